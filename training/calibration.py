"""Calibrate the confidence: how likely an answer is right, and below what it is refused.

    python training/calibration.py --squad ../shared/data/cmrc2018/trial.json.gz

Questions that the readers were not trained on, each asked in four ways: of its own document,
of that with the answer's sentences taken out (a made near miss), of all documents together,
and of all but its own; likewise those of the documents of `training/tuning` that are no news;
and the questions on its news, near misses and off-topic ones among them, of their own article and
some of another. A logistic regression over `rag.confidence.SIGNALS` learns whether the answer
found is right; the threshold is the highest at which the share of questions that are handled
rightly, `ANSWERABLE` of them having an answer, is level with the best. One calibration a reader.
Writes `rag/confidence.json`. The fixed question set takes no part.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from index.fusion import scaled
from index.library import Hit
from rag.confidence import SIGNALS, signals
from rag.follow_up import Turn, readings
from rag.metrics import auroc, character_f1, contains_reference
from rag.question import analyse
from rag.rarity import rarity
from rag.reader import Reader
from rag.sentences import ScoredSentence, score_sentences
from rag.span_scorer import SpanScorer
from rag.spans import Probe, probe
from rag.trained_reader import TrainedReader
from training.cases import (
    Case,
    Embeddings,
    hits_of,
    near_miss,
    squad_cases,
    tuning_cases,
    tuning_group,
)
from training.material import HELD_OUT

OUT = Path(__file__).parent.parent / "rag" / "confidence.json"
RIGHT_F1 = 0.5
"""From what overlap with a reference an answer counts as right."""

ANSWERABLE = 0.75
"""The share of questions that can be answered, as people ask them of documents they know of."""

LEVEL = 0.001
"""Shares handled rightly that are level; of their thresholds the highest is taken, since a wrong
answer does more harm than a refusal."""

PASSAGES = 8
"""How many passages are read of all documents together."""

HELD_OUT_GROUPS = frozenset(map(tuning_group, HELD_OUT))
BEYOND_FACTS = ("summary", "yes-no", "why", "how")


@dataclass(frozen=True, slots=True)
class Judged:
    """The signals of one answer, whether it is right, and what its case was."""

    signals: NDArray[np.float64]
    right: bool
    answerable: bool
    group: str
    weight: float


@dataclass(frozen=True, slots=True)
class Pool:
    """The passages of many texts: as hits, and their vectors `(n, d)`."""

    hits: list[Hit]
    texts: list[str]
    vectors: NDArray[np.float32]

    @classmethod
    def of(cls, texts: Iterable[str], embeddings: Embeddings) -> Pool:
        """Make a pool of the passages of some texts."""
        rows = [(hit, text) for text in dict.fromkeys(texts) for hit in hits_of(text)]
        vectors = embeddings.of_passages([hit.passage.text for hit, _ in rows])
        return cls([hit for hit, _ in rows], [text for _, text in rows], vectors)

    def nearest(self, asked: NDArray[np.float32], without: str = "") -> list[Hit]:
        """Return the `PASSAGES` nearest passages, none of the text `without`."""
        order = np.argsort(-(self.vectors @ asked))
        kept = [k for k in order.tolist() if self.texts[k] != without]
        return [self.hits[k] for k in kept[:PASSAGES]]


def in_four_ways(cases: Sequence[Case], embeddings: Embeddings) -> Iterator[tuple[Case, list[Hit]]]:
    """Yield each case with its own passages, without its answer, among others, and without it."""
    pool = Pool.of((case.text for case in cases), embeddings)
    for case in cases:
        asked = embeddings.of_question(case.question)
        yield case, hits_of(case.text)
        if missed := near_miss(case):
            yield missed, hits_of(missed.text)
        yield case, pool.nearest(asked)
        yield replace(case, answerable=False, answers=()), pool.nearest(asked, case.text)


def strangers(cases: Sequence[Case]) -> Iterator[tuple[Case, list[Hit]]]:
    """Yield every fourth case asked of an article that is about something else."""
    texts = list(dict.fromkeys(case.text for case in cases))
    for number, case in enumerate(cases[::4]):
        other = texts[(texts.index(case.text) + 1 + number) % len(texts)]
        if other != case.text:
            yield replace(case, answerable=False, answers=()), hits_of(other)


def judge(
    cases: Iterable[tuple[Case, list[Hit]]], reader: Reader, embeddings: Embeddings
) -> Iterator[Judged]:
    """Ask each case of its hits and judge what is found."""
    for case, hits in cases:
        probed, sentences = scored_for(case.question, case.history, hits, embeddings)
        spans = reader.read(probed, sentences)
        if probed.asked.kind in ("meta", "summary") or not spans:
            continue
        text = spans[0].text
        right = case.answerable and (
            case.kind in BEYOND_FACTS
            or character_f1(text, case.answers) >= RIGHT_F1
            or contains_reference(text, case.answers) > 0
        )
        yield Judged(
            signals(probed, spans, sentences),
            right,
            case.answerable,
            case.group,
            2.0 if case.group.startswith("news") else 1.0,
        )


def scored_for(
    question: str, history: Sequence[dict[str, Any]], hits: list[Hit], embeddings: Embeddings
) -> tuple[Probe, list[ScoredSentence]]:
    """Return a question made ready, and the sentences of the hits as scored for it."""
    question = readings(question, [Turn(**turn) for turn in history])[0]
    probed = probe(analyse(question), rarity)
    vectors = [embeddings.of_passages([s.text for s in hit.passage.sentences()]) for hit in hits]
    asked = embeddings.of_question(question)
    return probed, score_sentences(probed, _scored(hits, vectors, asked), asked, vectors)


def _scored(
    hits: list[Hit], vectors: list[NDArray[np.float32]], asked: NDArray[np.float32]
) -> list[Hit]:
    """Give the hits scores like those of a search: their cosines, scaled to [0, 1]."""
    best = scaled({k: float((rows @ asked).max()) for k, rows in enumerate(vectors)})
    return [replace(hit, score=best[k]) for k, hit in enumerate(hits)]


def fit(judged: list[Judged]) -> dict[str, object]:
    """Fit the regression and choose the threshold, by cross-validation."""
    rows = np.array([j.signals for j in judged])
    right = np.array([j.right for j in judged])
    answerable = np.array([j.answerable for j in judged])
    weights = np.array([j.weight for j in judged])
    weights[answerable] *= ANSWERABLE / weights[answerable].sum()
    weights[~answerable] *= (1 - ANSWERABLE) / weights[~answerable].sum()
    weights *= len(judged)
    model = LogisticRegression(C=0.3, max_iter=5000)
    predicted: Any = cross_val_predict(
        model, rows, right, cv=5, method="predict_proba", params={"sample_weight": weights}
    )
    folds: NDArray[np.float64] = np.asarray(predicted)[:, 1]
    tried = np.linspace(0.05, 0.95, 91)
    handled = np.array([_handled(folds, t, right, answerable, weights) for t in tried])
    level = tried[handled >= handled.max() - LEVEL]
    threshold = level.max()
    ones = np.ones((1, len(folds)))
    print(
        f"  {len(judged)} answers, {right.mean():.2f} right; AUROC right"
        f" {auroc(folds, right, ones)[0]:.3f}, answerable {auroc(folds, answerable, ones)[0]:.3f},"
        f" threshold {threshold:.2f}, level from {level.min():.2f}"
    )
    sorts = np.array([j.group.rstrip("0123456789") for j in judged])
    for sort in dict.fromkeys(sorts.tolist()):
        at = sorts == sort
        refused = folds[at] < threshold
        truth = ~answerable[at]
        print(
            f"  {sort}: refusal precision"
            f" {(refused & truth).sum() / max(1, refused.sum()):.3f}"
            f" recall {(refused & truth).sum() / truth.sum():.3f}"
            f" AUROC {np.asarray(auroc(folds[at], ~truth, np.ones((1, len(truth))))).item():.3f}"
        )
    model.fit(rows, right, sample_weight=weights)
    return {
        "threshold": round(float(threshold), 2),
        "bias": round(np.asarray(model.intercept_).item(), 5),
        "weights": {
            name: round(float(w), 5) for name, w in zip(SIGNALS, model.coef_[0], strict=True)
        },
    }


def _handled(
    folds: NDArray[np.float64],
    threshold: float,
    right: NDArray[np.bool_],
    answerable: NDArray[np.bool_],
    weights: NDArray[np.float64],
) -> float:
    """Return the share handled rightly: answered and right, or refused and unanswerable."""
    refused = folds < threshold
    return float(weights[(~refused & right) | (refused & ~answerable)].sum() / weights.sum())


def main() -> None:
    """Calibrate every reader and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--squad", type=Path, required=True)
    parser.add_argument("--articles", type=int, default=None, help="of the SQuAD file")
    parser.add_argument("--embeddings", type=Path, default=Path("../cache/embeddings.pickle"))
    arguments = parser.parse_args()
    if not arguments.squad.exists():
        parser.error(f"找不到 {arguments.squad}：请用 --squad 指定一个 SQuAD 格式的文件。")
    embeddings = Embeddings(arguments.embeddings)
    squad = list(squad_cases(arguments.squad, arguments.articles))
    held_out = [case for case in tuning_cases() if case.group in HELD_OUT_GROUPS]
    news = [case for case in held_out if case.group.startswith("news")]
    documents = [case for case in held_out if case.group.startswith("document")]
    cases = [
        *in_four_ways(squad, embeddings),
        *in_four_ways(documents, embeddings),
        *((case, hits_of(case.text)) for case in news),
        *strangers(news),
    ]
    embeddings.save()
    made: dict[str, object] = {}
    readers: tuple[Reader, ...] = (TrainedReader(), SpanScorer())
    for reader in readers:
        print(reader.name)
        made[reader.name] = fit(list(judge(cases, reader, embeddings)))
    embeddings.save()
    OUT.write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
