"""Train the extractive reader on a GPU, on a machine that has PyTorch and nothing else.

    python -m training.reader_gpu pack --folder ../cache/reader       # here: what is learnt
    python -m training.reader_gpu learn --pack PACK --out OUT         # there, for some minutes
    python -m training.reader_gpu unpack --folder ../cache/reader --out OUT    # here again

`pack` writes the windows of some passes, the texts, the weights to begin with and what is
looked at on the way, all as token ids, to `FOLDER/pack`. `learn` reads with them, the random
seeds fixed and the learning rates falling by the clock:

1. masked characters in the texts, so that the layers learn Chinese by single characters;
2. the questions, twice from there in different order, against small changes of the
   embeddings (Miyato et al. 2017, "Adversarial Training Methods for Semi-Supervised Text
   Classification");
3. the mean of the two, and of each alone, whatever reads best on what is looked at (Wortsman
   et al. 2022, "Model soups").

`unpack` joins its files to `final.pt`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import time
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from training.reader_model import (
    END,
    MAX_ANSWER,
    MAX_LENGTH,
    PADDING,
    START,
    WIDTH,
    Reader,
    adamw,
    autocast,
    span_loss,
)

PASSES = 6
SHARES = (0.3, 0.34, 0.34)
"""Of the time: masked characters, and each of the two trainings on questions."""
MASKED_RATE, MASKED_BATCH, MASKED_LENGTH = 5e-4, 192, 256
READ_RATE, READ_BATCH = 2.5e-4, 64
CHANGE = 0.005
"""The size of an adversarial change, in parts of the embeddings'."""
PART = 12 * 2**20

State = dict[str, Tensor]


# Here: what is learnt


def pack(folder: Path, data: Path) -> None:
    """Write windows, texts, weights and what is looked at, from `FOLDER/start.pt` and the data."""
    from rag.reader_tokens import Vocabulary  # noqa: PLC0415
    from training import material  # noqa: PLC0415

    vocabulary = Vocabulary(folder / "vocabulary.txt")
    learnt = material.Material(vocabulary, data)
    numbers: dict[material.Window, int] = {}
    passes = [
        [numbers.setdefault(each, len(numbers)) for each in learnt.epoch(number)]
        for number in range(PASSES)
    ]
    documents = dict.fromkeys(question.document for question in learnt.questions())
    texts = [*documents, *material.read_texts(data / "news" / "documents-20k.jsonl.gz")]
    held_out = material.read_tuning()[1]
    looked_at = {
        "cmrc": material.read_squad(data / "cmrc2018" / "dev-half.json.gz"),
        "news": [question for question in held_out if question.places],
        "absent": [question for question in held_out if not question.places],
    }
    out = folder / "pack"
    out.mkdir(exist_ok=True)
    # Windows of one document side by side, so that they compress.
    order = sorted(numbers, key=lambda each: each.ids[each.first :])
    place = {numbers[each]: i for i, each in enumerate(order)}
    arrays = _windows(order) | {
        "passes": np.array([place[i] for each in passes for i in each], np.uint32),
        "pass_ends": np.cumsum([len(each) for each in passes]),
        "texts": np.array(
            [i for text in texts for i in (*vocabulary.ids(material.fold(text).text), END)],
            np.uint16,
        ),
    }
    for name, questions in looked_at.items():
        windows, owners, golds = _asked(vocabulary, questions)
        arrays |= {f"{name}_{key}": value for key, value in _windows(windows).items()}
        arrays[f"{name}_owners"] = np.array(owners)
        arrays[f"{name}_golds"] = np.array(golds).reshape(-1, 4)
    _save(out / "windows.xz", arrays)
    _save(out / "start.xz", _small(torch.load(folder / "start.pt")))
    for path in sorted(out.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 2**20:.1f} MiB")


def _windows(windows: Sequence[Any]) -> dict[str, NDArray[Any]]:
    return {
        "ids": np.array([i for each in windows for i in each.ids], np.uint16),
        "lengths": np.array([len(each.ids) for each in windows], np.uint16),
        "firsts": np.array([each.first for each in windows], np.uint16),
        "starts": np.array([each.start for each in windows], np.uint16),
        "ends": np.array([each.end for each in windows], np.uint16),
    }


def _asked(
    vocabulary: Any, questions: Sequence[Any]
) -> tuple[list[Any], list[int], list[tuple[int, int, int, int]]]:
    """Return the windows of each question's document, whose they are, and where answers stand.

    An answer is a row of its question, its window, and its first and last token.
    """
    from training import material  # noqa: PLC0415

    windows: list[Any] = []
    owners: list[int] = []
    golds: list[tuple[int, int, int, int]] = []
    for number, question in enumerate(questions):
        for passage in material.passages(question.document):
            made = material.window(vocabulary, question.text, passage.heading, passage.text)
            if made is None or len(made.ids) < made.first + 2:
                continue
            for start, end in question.places:
                span = (start - passage.start, end - passage.start)
                if span[0] >= 0 and passage.start + len(passage.text) >= end:
                    known = material.window(
                        vocabulary, question.text, passage.heading, passage.text, span
                    )
                    if known:
                        golds.append((number, len(windows), known.start, known.end))
            windows.append(made)
            owners.append(number)
    return windows, owners, golds


def _small(state: State) -> dict[str, NDArray[Any]]:
    """Return the weights in int8, each row with its scale, and what has one dimension whole."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, weight in state.items():
        if weight.dim() == 1 or min(weight.shape) < 100:
            arrays[name] = weight.float().numpy()
            continue
        scale = weight.abs().amax(1, keepdim=True).clamp_min(1e-8) / 127
        arrays[f"{name}|int8"] = (weight / scale).round().to(torch.int8).numpy()
        arrays[f"{name}|scale"] = scale.float().numpy()
    return arrays


def _whole(arrays: dict[str, NDArray[Any]]) -> State:
    """Undo `_small`."""
    state = {name: torch.from_numpy(value) for name, value in arrays.items() if "|" not in name}
    for name in (name for name in arrays if name.endswith("|int8")):
        plain = name.removesuffix("|int8")
        scale = torch.from_numpy(arrays[f"{plain}|scale"])
        state[plain] = torch.from_numpy(arrays[name]).float() * scale
    return state


def _save(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    buffer = BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=6))


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(BytesIO(lzma.decompress(path.read_bytes()))) as file:
        return {name: file[name] for name in file.files}


# There: learning


class Windows(NamedTuple):
    """Windows as tensors on the device; `lengths` on the host, for batches of like length."""

    ids: Tensor
    """`(count, MAX_LENGTH)`, padded."""
    lengths: NDArray[np.int64]
    long: Tensor
    firsts: Tensor
    starts: Tensor
    ends: Tensor


def _on(device: torch.device, arrays: dict[str, NDArray[Any]], prefix: str = "") -> Windows:
    lengths = arrays[prefix + "lengths"].astype(np.int64)
    table = np.full((len(lengths), MAX_LENGTH), PADDING, np.int16)
    table[np.arange(MAX_LENGTH) < lengths[:, None]] = arrays[prefix + "ids"].astype(np.int16)
    rest = [
        torch.from_numpy(arrays[prefix + name].astype(np.int64)).to(device)
        for name in ("lengths", "firsts", "starts", "ends")
    ]
    return Windows(torch.from_numpy(table).to(device), lengths, *rest)


class Batch(NamedTuple):
    ids: Tensor
    mask: Tensor
    open: Tensor
    """Where a start or an end may be: the passage and position 0."""
    starts: Tensor
    ends: Tensor


def _batch(windows: Windows, rows: NDArray[np.int64]) -> Batch:
    longest = -(-int(windows.lengths[rows].max()) // 16) * 16
    at = torch.from_numpy(rows).to(windows.ids.device)
    ids = windows.ids[at, : min(longest, MAX_LENGTH)].long()
    places = torch.arange(ids.shape[1], device=ids.device)
    inside = (places >= windows.firsts[at, None]) & (places < windows.long[at, None] - 1)
    return Batch(
        ids,
        places < windows.long[at, None],
        inside | (places == 0),
        windows.starts[at],
        windows.ends[at],
    )


def _batches(
    windows: Windows, passes: Sequence[NDArray[np.int64]], seed: int
) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of batches of windows about as long, pass after pass, for ever."""
    rng = np.random.default_rng(seed)
    number = seed
    while True:
        rows = rng.permutation(passes[number % len(passes)])
        for begin in range(0, len(rows), READ_BATCH * 50):
            pool = rows[begin : begin + READ_BATCH * 50]
            pool = pool[np.argsort(windows.lengths[pool], kind="stable")]
            chunks = [pool[i : i + READ_BATCH] for i in range(0, len(pool), READ_BATCH)]
            for i in rng.permutation(len(chunks)):
                yield chunks[i]
        number += 1


class Learner:
    """A model with its optimiser and a learning rate that falls as its time runs out."""

    def __init__(self, modules: Sequence[nn.Module], peak: float, seconds: float) -> None:
        parameters = [p for module in modules for p in module.parameters()]
        self.parameters, self.peak, self.seconds = parameters, peak, seconds
        self.optimizer = adamw(parameters, peak)
        self.begun, self.steps = time.monotonic(), 0

    def fraction(self) -> float:
        """Return how much of the time is gone."""
        return (time.monotonic() - self.begun) / self.seconds

    def step(self) -> None:
        """Move the weights by the gradients at hand."""
        gone = self.fraction()
        rate = self.peak * min(1.0, self.steps / 150) * max(0.0, 1 - gone)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.steps += 1


def learn_characters(model: Reader, texts: Tensor, seconds: float) -> None:
    """Learn to tell masked characters: one in seven, mostly runs of two or three."""
    device = texts.device
    turn = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.LayerNorm(WIDTH)).to(device)
    bias = nn.Linear(1, model.words.num_embeddings, bias=False).to(device)
    nn.init.zeros_(bias.weight)
    learner = Learner([model, turn, bias], MASKED_RATE, seconds)
    model.train()
    span = torch.arange(MASKED_LENGTH - 1, device=device)
    losses: list[Tensor] = []
    hidden = model.words.num_embeddings - 1  # a Latin piece that no text has
    while learner.fraction() < 1:
        begins = torch.randint(len(texts) - MASKED_LENGTH, (MASKED_BATCH, 1), device=device)
        true = texts[begins + span].long()
        chance = torch.rand(true.shape, device=device)
        masked = chance < 0.07
        masked |= masked.roll(1, 1) & (torch.rand(true.shape, device=device) < 0.8)
        masked |= masked.roll(1, 1) & (torch.rand(true.shape, device=device) < 0.2)
        kind = torch.rand(true.shape, device=device)
        other = texts[torch.randint(len(texts), true.shape, device=device)].long()
        shown = torch.where(masked & (kind < 0.8), hidden, true)
        shown = torch.where(masked & (kind > 0.9), other, shown)
        first = torch.full((MASKED_BATCH, 1), START, device=device)
        with autocast(device):
            states = model.encode(torch.cat([first, shown], 1), None)[:, 1:]
            logits = functional.linear(turn(states[masked]), model.words.weight, bias.weight[:, 0])
            loss = functional.cross_entropy(logits.float(), true[masked])
        loss.backward()
        learner.step()
        losses.append(loss.detach())
        if learner.steps % 200 == 0:
            _say(f"characters: step {learner.steps}, loss {torch.stack(losses).mean():.3f}")
            losses = []
    _say(f"characters: {learner.steps} steps of {MASKED_BATCH}")


def _loss(model: Reader, x: Tensor, batch: Batch) -> Tensor:
    """Return the loss of a batch whose embeddings are `x`."""
    logits = model.head(model.through(x, batch.mask))
    return span_loss(logits[..., 0], logits[..., 1], batch.open, batch.starts, batch.ends)


def learn_reading(
    model: Reader, windows: Windows, passes: Sequence[NDArray[np.int64]], seed: int, seconds: float
) -> State:
    """Learn the questions; return the weights, smoothed over the last steps."""
    torch.manual_seed(seed)
    device = windows.ids.device
    learner = Learner([model], READ_RATE, seconds)
    smooth = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    )
    model.train()
    losses: list[Tensor] = []
    for rows in _batches(windows, passes, seed):
        batch = _batch(windows, rows)
        with autocast(device):
            x = model.embed(batch.ids)
            x.retain_grad()
            loss = _loss(model, x, batch)
        loss.backward()
        with torch.no_grad():
            gradient = torch.nan_to_num(x.grad) if x.grad is not None else torch.zeros_like(x)
            size = x.flatten(1).norm(dim=1) / gradient.flatten(1).norm(dim=1).clamp_min(1e-12)
            change = CHANGE * size[:, None, None] * gradient
        with autocast(device):
            again = _loss(model, model.embed(batch.ids) + change, batch)
        again.backward()
        learner.step()
        smooth.update_parameters(model)
        losses.append(torch.stack([loss.detach(), again.detach()]))
        if learner.steps % 200 == 0:
            means = torch.stack(losses).mean(0).tolist()
            _say(f"reading {seed}: step {learner.steps}, loss {means[0]:.3f} {means[1]:.3f}")
            losses = []
        if learner.fraction() >= 1:
            break
    _say(f"reading {seed}: {learner.steps} steps of {READ_BATCH}")
    return {name: value.clone() for name, value in smooth.module.state_dict().items()}


class Look(NamedTuple):
    """Questions over whole documents, to see how well they are read."""

    windows: Windows
    owners: NDArray[np.int64]
    golds: NDArray[np.int64]


def _spans(model: Reader, windows: Windows) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each window's best span, first and last token, and its score."""
    model.eval()
    scores = np.zeros(len(windows.lengths))
    spans = np.zeros((len(windows.lengths), 2), np.int64)
    order = np.argsort(windows.lengths, kind="stable")
    for begin in range(0, len(order), 256):
        rows = order[begin : begin + 256]
        batch = _batch(windows, rows)
        with torch.inference_mode(), autocast(windows.ids.device):
            logits = model.head(model.encode(batch.ids, batch.mask)).float()
        starts, ends = logits[..., 0], logits[..., 1]
        none = starts[:, 0] + ends[:, 0]
        closed = ~batch.open
        closed[:, 0] = True
        starts, ends = starts.masked_fill(closed, -1e4), ends.masked_fill(closed, -1e4)
        sums = starts[:, :, None] + ends[:, None, :]
        near = torch.ones(sums.shape[1:], dtype=torch.bool, device=sums.device)
        sums = sums.masked_fill(~(near.triu() & near.tril(MAX_ANSWER - 1)), -1e9)
        best = sums.flatten(1).max(1)
        scores[rows] = (best.values - none).cpu().numpy()
        at = best.indices.cpu().numpy()
        spans[rows] = np.stack(np.divmod(at, sums.shape[2]), 1)
    return scores, spans


def look(model: Reader, looks: dict[str, Look]) -> dict[str, float]:
    """Return exact match and F1 of tokens, and how well scores tell what is absent."""
    found: dict[str, float] = {}
    best: dict[str, list[float]] = {}
    for name, (windows, owners, golds) in looks.items():
        scores, spans = _spans(model, windows)
        ids = windows.ids.cpu().numpy()
        exact: list[float] = []
        overlaps: list[float] = []
        best[name] = []
        for owner in np.unique(owners):
            rows = np.flatnonzero(owners == owner)
            row = rows[scores[rows].argmax()]
            best[name].append(float(scores[row]))
            told = ids[row, spans[row, 0] : spans[row, 1] + 1].tolist()
            right = [ids[g[1], g[2] : g[3] + 1].tolist() for g in golds[golds[:, 0] == owner]]
            if right:
                exact.append(float(told in right))
                overlaps.append(max(_overlap(told, each) for each in right))
        if exact:
            found |= {f"{name}_em": float(np.mean(exact)), f"{name}_f1": float(np.mean(overlaps))}
    known, absent = np.array(best["news"]), np.array(best["absent"])
    wins = (known[:, None] > absent).mean() + (known[:, None] == absent).mean() / 2
    return {name: round(value, 4) for name, value in found.items()} | {
        "absent_auroc": round(float(wins), 4)
    }


def _overlap(told: list[int], right: list[int]) -> float:
    common = sum(min(told.count(i), right.count(i)) for i in set(told))
    return 2 * common / (len(told) + len(right))


def learn(pack_folder: Path, out: Path, seconds: float) -> None:
    """Learn for so many seconds, with the weights that read best so far always in `out`."""
    begun = time.monotonic()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = True
    arrays = _load(pack_folder / "windows.xz")
    windows = _on(device, arrays)
    looks = {
        name: Look(
            _on(device, arrays, f"{name}_"), arrays[f"{name}_owners"], arrays[f"{name}_golds"]
        )
        for name in ("cmrc", "news", "absent")
    }
    passes = np.split(arrays["passes"].astype(np.int64), arrays["pass_ends"][:-1])
    state = _whole(_load(pack_folder / "start.xz"))
    model = Reader(len(state["words.weight"])).to(device)
    model.load_state_dict(state)
    _say(f"ready after {time.monotonic() - begun:.0f} s; {look(model, looks)}")
    left = seconds - (time.monotonic() - begun)
    texts = torch.from_numpy(arrays["texts"].astype(np.int16)).to(device)
    learn_characters(model, texts, left * SHARES[0])
    begin = {name: value.clone() for name, value in model.state_dict().items()}
    kept: list[State] = []
    best = 0.0
    for seed, share in enumerate(SHARES[1:]):
        model.load_state_dict(begin)
        kept.append(learn_reading(model, windows, passes, seed, left * share))
        mixes = [kept[-1]] if seed == 0 else [kept[-1], _mean(kept)]
        for mixed in mixes:
            model.load_state_dict(mixed)
            figures = look(model, looks)
            _say(json.dumps(figures))
            good = figures["cmrc_f1"] + figures["news_f1"] + figures["absent_auroc"]
            if good > best:
                best = good
                _write(mixed, out)
    _say(f"done after {time.monotonic() - begun:.0f} s")


def _mean(states: Sequence[State]) -> State:
    return {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}


def _write(state: State, out: Path) -> None:
    """Write the weights in half precision, in parts that are small enough to travel."""
    buffer = BytesIO()
    torch.save({name: value.half().cpu() for name, value in state.items()}, buffer)
    data = buffer.getvalue()
    for number, begin in enumerate(range(0, len(data), PART)):
        (out / f"part-{number}").write_bytes(data[begin : begin + PART])


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# Here again


def unpack(folder: Path, out: Path) -> None:
    """Join the parts to `final.pt`."""
    data = b"".join(path.read_bytes() for path in sorted(out.glob("part-*")))
    state: State = torch.load(BytesIO(data))
    torch.save({name: value.float() for name, value in state.items()}, folder / "final.pt")


def main() -> None:
    """Run the command that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("pack", "learn", "unpack"))
    parser.add_argument("--folder", type=Path, default=Path("../cache/reader"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pack", type=Path, default=Path("../cache/reader/pack"))
    parser.add_argument("--out", type=Path, default=Path("out"))
    parser.add_argument("--seconds", type=float, default=560)
    arguments = parser.parse_args()
    if arguments.command == "pack":
        pack(arguments.folder, arguments.data)
    elif arguments.command == "learn":
        learn(arguments.pack, arguments.out, arguments.seconds)
    else:
        unpack(arguments.folder, arguments.out)


if __name__ == "__main__":
    main()
