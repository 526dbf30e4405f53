"""Train the extractive reader: a question and a passage in, the answer's span or nothing out.

    python -m training.reader train --folder ../cache/reader --until 21:02
    python -m training.reader average --folder ../cache/reader --share 0.5

`train` goes from `start.pt` and `vocabulary.txt`, which `training.reader_start` writes, until a
time of the clock, the learning rate falling to zero as that time comes, and writes
`checkpoint.pt`, from which it goes on if it was stopped, and `final.pt`. `average` mixes the
weights at its beginning and its end.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.multiprocessing.spawn import spawn

from index.fold import fold
from index.passages import Passage
from rag.metrics import auroc, character_f1, exact_match
from rag.reader_tokens import Vocabulary
from training.material import (
    Material,
    Question,
    Window,
    batches,
    passages,
    read_squad,
    read_tuning,
    sample,
    window,
)
from training.reader_model import MAX_ANSWER, PADDING, Reader, adamw, autocast, span_loss

CPU = torch.device("cpu")

Floats = NDArray[np.float32]


class Batch(NamedTuple):
    ids: Tensor
    mask: Tensor | None
    """None where nothing is padded."""
    allowed: Tensor
    """Where a start or an end may be: the passage and position 0."""
    starts: Tensor
    ends: Tensor


def collate(windows: Sequence[Window]) -> Batch:
    """Return the windows as tensors, padded to the longest."""
    longest = max(len(each.ids) for each in windows)
    ids = torch.full((len(windows), longest), PADDING)
    allowed = torch.zeros(len(windows), longest, dtype=torch.bool)
    allowed[:, 0] = True
    for row, each in enumerate(windows):
        ids[row, : len(each.ids)] = torch.tensor(each.ids)
        allowed[row, each.first : len(each.ids) - 1] = True
    mask = (ids != PADDING).long()
    return Batch(
        ids,
        None if bool(mask.all()) else mask,
        allowed,
        torch.tensor([each.start for each in windows]),
        torch.tensor([each.end for each in windows]),
    )


def loss_of(model: Reader, batch: Batch) -> Tensor:
    """Return the mean cross-entropy of start and end over the places allowed."""
    starts, ends = model(batch.ids, batch.mask)
    return span_loss(starts, ends, batch.allowed, batch.starts, batch.ends)


class Span(NamedTuple):
    score: float
    """Start and end logit, less those of no answer."""
    start: int
    end: int
    """The last token of the answer, inclusive."""


def best_span(starts: Floats, ends: Floats, first: int, length: int) -> Span:
    """Return the best span within the passage of a window of `length` tokens."""
    s, e = starts[first : length - 1], ends[first : length - 1]
    sums = np.triu(s[:, None] + e[None, :])
    sums[np.tri(len(s), k=-1, dtype=bool)] = -np.inf
    sums[~np.tri(len(s), k=MAX_ANSWER - 1, dtype=bool)] = -np.inf
    at = int(sums.argmax())
    start, end = divmod(at, len(s))
    return Span(float(sums[start, end] - starts[0] - ends[0]), first + start, first + end)


Predict = Callable[[NDArray[np.int64], NDArray[np.int64]], tuple[Floats, Floats]]
"""Ids and mask, `(b, n)` each, to start and end logits."""


def predictor(model: Reader) -> Predict:
    """Return a function that runs the model."""

    model.eval()

    def predict(ids: NDArray[np.int64], mask: NDArray[np.int64]) -> tuple[Floats, Floats]:
        with torch.inference_mode():
            starts, ends = model(torch.from_numpy(ids), torch.from_numpy(mask))
        return starts.float().numpy(), ends.float().numpy()

    return predict


def read_windows(predict: Predict, windows: Sequence[Window]) -> list[Span]:
    """Return each window's best span."""
    spans: list[Span | None] = [None] * len(windows)
    order = sorted(range(len(windows)), key=lambda i: len(windows[i].ids))
    for begin in range(0, len(order), 16):
        part = order[begin : begin + 16]
        batch = collate([windows[i] for i in part])
        mask = (batch.ids != PADDING).long()
        starts, ends = predict(batch.ids.numpy(), mask.numpy())
        for row, i in enumerate(part):
            spans[i] = best_span(starts[row], ends[row], windows[i].first, len(windows[i].ids))
    return [span for span in spans if span is not None]


class Answer(NamedTuple):
    text: str
    score: float


def answer_all(
    predict: Predict,
    vocabulary: Vocabulary,
    asked: Sequence[tuple[str, Sequence[tuple[str, str]]]],
) -> list[Answer]:
    """Answer each question from its `(heading, text)` pairs by the best span of them all."""
    windows: list[Window] = []
    owners: list[tuple[int, str]] = []
    for i, (question, texts) in enumerate(asked):
        for heading, text in texts:
            made = window(vocabulary, question, heading, text)
            if made and len(made.ids) > made.first + 1:
                windows.append(made)
                owners.append((i, text))
    best = [Answer("", -np.inf)] * len(asked)
    for span, made, (i, text) in zip(read_windows(predict, windows), windows, owners, strict=True):
        if span.score > best[i].score:
            start, end = fold(text).span(span.start - made.first, span.end + 1 - made.first)
            best[i] = Answer(text[start:end], span.score)
    return best


def evaluate(
    predict: Predict, vocabulary: Vocabulary, questions: Sequence[Question]
) -> dict[str, float]:
    """Return EM and F1 given the document, and how well the score tells when to refuse.

    `refusal_auroc`: the same questions, the answer's sentences taken out of their documents.
    `unanswerable_auroc`: against questions that the documents do not answer, where there are.
    """
    known = [question for question in questions if question.places]
    given = [(q.text, [(p.heading, p.text) for p in passages(q.document)]) for q in questions]
    answers = answer_all(predict, vocabulary, given)
    removed: list[tuple[str, list[tuple[str, str]]]] = []
    for question in known:
        texts: list[tuple[str, str]] = []
        for passage in passages(question.document):
            overlaps = any(s < passage.end and passage.start < e for s, e in question.places)
            if not overlaps:
                texts.append((passage.heading, passage.text))
            elif rest := _rest(passage, question):
                texts.append((passage.heading, rest))
        if texts:
            removed.append((question.text, texts))
    refused = answer_all(predict, vocabulary, removed)
    right = [(a, q) for a, q in zip(answers, questions, strict=True) if q.places]
    positive = [a.score for a, _ in right]
    result = {
        "questions": float(len(right)),
        "em": float(np.mean([exact_match(a.text, q.answers) for a, q in right])),
        "f1": float(np.mean([character_f1(a.text, q.answers) for a, q in right])),
        "refusal_auroc": _auroc(positive, [a.score for a in refused]),
    }
    empty = [a.score for a, q in zip(answers, questions, strict=True) if not q.places]
    if empty:
        result["unanswerable"] = float(len(empty))
        result["unanswerable_auroc"] = _auroc(positive, empty)
    return {name: round(value, 4) for name, value in result.items()}


def _rest(passage: Passage, question: Question) -> str:
    return "".join(
        sentence.text
        for sentence in passage.sentences()
        if all(sentence.end <= s or e <= sentence.start for s, e in question.places)
    )


def _auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    scores = np.array([*positive, *negative])
    labels = np.arange(len(scores)) < len(positive)
    return float(auroc(scores, labels, np.ones((1, len(scores))))[0])


def _rate(fraction: float, peak: float) -> float:
    warm = 0.04
    if fraction < warm:
        return peak * (0.02 + 0.98 * fraction / warm)
    return peak * max(0.0, 1 - fraction) / (1 - warm)


class Trainer:
    """The weights in fp32 with their optimiser; forward and backward run as `autocast` says.

    Each worker has one, and every step takes the mean of their gradients.
    """

    def __init__(self, folder: Path, peak: float, until: float, frozen: int) -> None:
        torch.manual_seed(distributed.get_rank())
        self.folder, self.peak, self.until = folder, peak, until
        self.vocabulary = Vocabulary(folder / "vocabulary.txt")
        self.model = Reader(len(self.vocabulary))
        self.model.load_state_dict(torch.load(folder / "start.pt"))
        self.model.freeze(frozen)
        self.optimizer = adamw(self.model.parameters(), peak)
        self.started, self.step = time.time(), 0

    def resume(self) -> None:
        """Go on from `checkpoint.pt` if it is there."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state: dict[str, Any] = torch.load(path)
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.started, self.step = state["started"], state["step"]

    def save(self) -> None:
        """Write `checkpoint.pt` in one move."""
        path = self.folder / "checkpoint.new"
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "started": self.started,
                "step": self.step,
            },
            path,
        )
        path.replace(self.folder / "checkpoint.pt")

    def learn(self, windows: Sequence[Window]) -> tuple[float, float]:
        """Take one step; return its loss and how much of the time has passed."""
        self.model.train()
        with autocast(CPU):
            loss = loss_of(self.model, collate(windows))
        loss.backward()
        passed = (time.time() - self.started) / (self.until - self.started)
        mean_loss, passed = self._mean(loss.item(), passed)
        for group in self.optimizer.param_groups:
            group["lr"] = _rate(passed, self.peak)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return mean_loss, passed

    def _mean(self, *figures: float) -> list[float]:
        """Make the gradients those of all workers, and return the means of the figures.

        The clock is among them, so that all workers learn at one rate and stop at one step.
        """
        gradients = [each.grad for each in self.model.parameters() if each.grad is not None]
        everything = torch.cat([*(each.flatten() for each in gradients), torch.tensor(figures)])
        distributed.all_reduce(everything)
        everything /= distributed.get_world_size()
        *means, rest = everything.split([each.numel() for each in gradients] + [len(figures)])
        for gradient, mean in zip(gradients, means, strict=True):
            gradient.copy_(mean.view_as(gradient))
        return rest.tolist()


def train(arguments: argparse.Namespace) -> None:
    """Train until the time given on as many cores as `workers`."""
    with TemporaryDirectory() as folder:
        spawn(_work, (arguments, Path(folder) / "meeting"), arguments.workers)


def _work(rank: int, arguments: argparse.Namespace, meeting: Path) -> None:
    """Train as one of the workers; the first one tells how it goes and keeps the weights."""
    torch.set_num_threads(1)
    workers = arguments.workers
    distributed.init_process_group(
        "gloo", f"file://{meeting}", rank=rank, world_size=workers, timeout=timedelta(hours=1)
    )
    clock = datetime.strptime(arguments.until, "%H:%M")
    end = datetime.now().replace(hour=clock.hour, minute=clock.minute, second=0)
    until = (end if end > datetime.now() else end + timedelta(days=1)).timestamp()
    trainer = Trainer(arguments.folder, arguments.rate, until, arguments.frozen)
    trainer.resume()
    material = Material(
        trainer.vocabulary,
        arguments.data,
        latest=arguments.latest,
        squads_share=arguments.share_squads,
        news_share=arguments.share_news,
    )
    stream = batches(material, arguments.batch * workers)
    for _ in range(trainer.step):
        next(stream)
    report = _Report(trainer, arguments.data) if rank == 0 else None
    passed = 0.0
    while passed < 1:
        # Of windows of about the same length, so that no worker waits for another.
        loss, passed = trainer.learn(next(stream)[rank::workers])
        if report:
            report.after(loss)
    if report:
        trainer.save()
        torch.save(trainer.model.state_dict(), arguments.folder / "final.pt")
        print("done", flush=True)


class _Report:
    """Says every 20 steps how it goes, every 20 minutes how well, and saves every five."""

    def __init__(self, trainer: Trainer, data: Path) -> None:
        self._trainer = trainer
        development = sample(read_squad(data / "cmrc2018" / "dev-half.json.gz"), 150)
        self._sets = (development, sample(read_tuning()[1], 120))
        self._saved = self._evaluated = time.time()
        self._losses: list[float] = []

    def after(self, loss: float) -> None:
        """Take note of a step."""
        trainer = self._trainer
        self._losses.append(loss)
        if trainer.step % 20 == 0:
            minutes = (time.time() - trainer.started) / 60
            mean = np.mean(self._losses)
            say(f"step {trainer.step} minute {minutes:.1f} loss {mean:.3f}")
            self._losses = []
        if time.time() - self._saved > 300:
            trainer.save()
            self._saved = time.time()
        if time.time() - self._evaluated > 1200 and trainer.until - time.time() > 240:
            predict = predictor(trainer.model)
            for questions in self._sets:
                with autocast(CPU):
                    say(json.dumps(evaluate(predict, trainer.vocabulary, questions)))
            self._evaluated = time.time()


def say(text: str) -> None:
    """Print a line of the log, with the time."""
    print(f"{datetime.now():%H:%M:%S} {text}", flush=True)


def average(folder: Path, share: float) -> None:
    """Write `average.pt`: of `final.pt` a share, of `start.pt`, an earlier training, the rest.

    On what neither was trained on, the weights between two trainings read better than either.
    Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models".
    """
    start, final = (torch.load(folder / name) for name in ("start.pt", "final.pt"))
    mixed = {name: torch.lerp(start[name], final[name], share) for name in final}
    torch.save(mixed, folder / "average.pt")


def main() -> None:
    """Run the command that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("train", "average"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, default=Path("../cache/reader"))
    parser.add_argument("--until", default="23:59")
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--frozen", type=int, default=0, help="lowest layers that do not learn")
    parser.add_argument("--latest", type=int, default=0)
    parser.add_argument("--share-squads", type=float, default=1.0)
    parser.add_argument("--share-news", type=float, default=1.0)
    parser.add_argument("--share", type=float, default=0.6)
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments)
    else:
        average(arguments.folder, arguments.share)


if __name__ == "__main__":
    main()
