"""Train the weights that `rag.span_scorer` scores candidate spans by.

    python training/span_scorer.py --squad ../shared/data/cmrc2018/train.json.gz

Questions of CMRC 2018's training set and of `training/tuning`, each over its own document; a
small network over `rag.spans.features` learns to put the candidate that overlaps the answer
most in front of the others (a softmax over all candidates of a question). The news questions
count `NEWS_WEIGHT` times, since their answers are as short as the product's should be. Writes
`rag/span_scorer.npz`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rag.question import analyse
from rag.rarity import rarity
from rag.sentences import score_sentences
from rag.span_scorer import SENTENCES_READ
from rag.spans import Parsed, features, probe
from training.cases import Case, Embeddings, hits_of, squad_cases, tuning_cases

OUT = Path(__file__).parent.parent / "rag" / "span_scorer.npz"
NEWS_WEIGHT = 6.0
HIDDEN = (32, 24)
EPOCHS = 6
BATCH = 16
NEGATIVES = 200
"""Candidates far from the answer that are drawn for each question and step."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Example:
    """A question's candidates: `rows` `(n, FEATURES)`, and each one's overlap (F1) `(n,)`."""

    rows: Floats
    overlap: Floats
    weight: float


def examples(cases: Iterator[Case], embeddings: Embeddings) -> Iterator[Example]:
    """Make an example of each case whose answer stands in a sentence that would be read."""
    for case in cases:
        if not case.gold or case.history:
            continue
        hits = hits_of(case.text)
        vectors = [
            embeddings.of_passages([s.text for s in hit.passage.sentences()]) for hit in hits
        ]
        probed = probe(analyse(case.question), rarity)
        asked = embeddings.of_question(case.question)
        read = score_sentences(probed, hits, asked, vectors)[:SENTENCES_READ]
        rows = [features(probed, s.parsed, rarity, s.scores) for s in read]
        overlap = [_overlap(s.parsed, s.sentence.start, case.gold) for s in read]
        made = Example(
            np.concatenate(rows),
            np.concatenate(overlap),
            NEWS_WEIGHT if case.group.startswith("news") else 1.0,
        )
        if len(made.overlap) and made.overlap.max() > 0.5:
            yield made


def _overlap(parsed: Parsed, base: int, gold: Sequence[tuple[int, int]]) -> Floats:
    """Return the best character F1 of each candidate with a place of the answer, `(n,)`."""
    offsets = [parsed.offsets(a, b) for a, b in parsed.candidates.tolist()]
    spans = np.array(offsets).reshape(-1, 2) + base
    best = np.zeros(len(spans), dtype=np.float32)
    for start, end in gold:
        shared = np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], start)
        f1 = 2 * shared.clip(0) / (spans[:, 1] - spans[:, 0] + end - start)
        best = np.maximum(best, f1)
    return best


class Scorer(nn.Module):
    """Features to a score, standardised first."""

    mean: Tensor
    scale: Tensor
    linear: list[nn.Linear]

    def __init__(self, mean: Floats, scale: Floats) -> None:
        super().__init__()
        self.mean, self.scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((len(mean), *HIDDEN, 1)))
        self.drop = nn.Dropout(0.2)

    def forward(self, rows: Tensor) -> Tensor:
        """Return a score a row, `(n,)`."""
        values = (rows - self.mean) / self.scale
        for layer in self.linear[:-1]:
            values = self.drop(torch.relu(layer(values)))
        return self.linear[-1](values)[:, 0]


def train(made: Sequence[Example]) -> Scorer:
    """Return the trained scorer; the seed is fixed."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    sampled = np.concatenate([e.rows[::7] for e in made])
    model = Scorer(sampled.mean(0), sampled.std(0) + 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
    steps = EPOCHS * -(-len(made) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        order = rng.permutation(len(made))
        total = 0.0
        for begin in range(0, len(order), BATCH):
            loss = _loss(model, [made[i] for i in order[begin : begin + BATCH]], rng)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2)
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total * BATCH / len(made):.3f}", flush=True)
    return model.eval()


def _loss(model: Scorer, batch: Sequence[Example], rng: np.random.Generator) -> Tensor:
    chosen = [_chosen(e.overlap, rng) for e in batch]
    rows = np.concatenate([e.rows[at] for e, at in zip(batch, chosen, strict=True)])
    scores = model(torch.from_numpy(rows)).split([len(at) for at in chosen])
    losses = []
    for example, at, score in zip(batch, chosen, scores, strict=True):
        overlap = torch.from_numpy(example.overlap[at])
        target = torch.where(overlap > 0.5, overlap**8, torch.zeros_like(overlap))
        losses.append(-example.weight * (target / target.sum() * score.log_softmax(0)).sum())
    return torch.stack(losses).mean()


def _chosen(overlap: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    near = np.flatnonzero(overlap > 0.4)
    far = np.flatnonzero(overlap <= 0.4)
    return np.concatenate([near, rng.choice(far, min(len(far), NEGATIVES), replace=False)])


def arrays_of(model: Scorer) -> dict[str, Floats]:
    """Return the weights by name, each matrix `(inputs, outputs)`."""
    arrays = {"mean": model.mean.numpy(), "scale": model.scale.numpy()}
    for k, layer in enumerate(model.linear):
        arrays[f"w{k}"] = layer.weight.detach().numpy().T.copy()
        arrays[f"b{k}"] = layer.bias.detach().numpy()
    return arrays


def main() -> None:
    """Train on what the arguments name and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--articles", type=int, default=560, help="of the SQuAD file")
    parser.add_argument("--embeddings", type=Path, default=Path("../cache/embeddings.pickle"))
    arguments = parser.parse_args()
    if not arguments.squad.exists():
        parser.error(f"找不到 {arguments.squad}：请用 --squad 指定 CMRC 2018 的训练集。")
    embeddings = Embeddings(arguments.embeddings)
    cases = [*squad_cases(arguments.squad, arguments.articles), *tuning_cases()]
    made = list(examples(iter(cases), embeddings))
    embeddings.save()
    print(f"{len(made)} questions", flush=True)
    np.savez(OUT, allow_pickle=False, **arrays_of(train(made)))
    print(f"{OUT}: {OUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
