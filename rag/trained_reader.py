"""The trained reader: a small transformer that marks where an answer starts and ends."""

from __future__ import annotations

import hashlib
import os
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.fold import Folded, fold
from index.library import Hit
from rag.boundaries import paired, whole_measure
from rag.errors import ReaderError
from rag.question import Asked
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.span_scorer import SpanScorer
from rag.spans import Probe, expectation

MODEL = "reader.onnx"
VOCABULARY = "reader_vocabulary.txt"
DIGEST = "reader.sha256"

SENTENCES_REFINED = 8
"""In how many of the sentences that the transformer likes best candidates are weighed."""

_WORDS = re.compile(r"\s*[a-z]+|\s*[^a-z\s]")

_START, _, _END, _UNKNOWN = range(4)
_BLANK = "▁"
_MAX_TOKENS = 320
_MAX_QUESTION = 80
_MAX_HEADING = 40
_MAX_ANSWER = 80
_AT_ONCE = min(8, os.cpu_count() or 1)
_KEPT = 256
"""How many windows' logits are kept: a question that is read further, or again, has them."""

Floats = NDArray[np.float32]
Logits = tuple[Floats, Floats]
"""The start and end logits of a window's tokens, `(tokens,)` each."""


class Weights(NamedTuple):
    """What counts beside the transformer's log-odds.

    `candidate`, `sentence` and `passage` weigh the scores of the candidate, of its sentence and
    of its passage; a span that is no candidate must lead by the evidence `margin` to be taken
    all the same. Source: `python -m training.reading_weights`, over the articles of
    `training/tuning` that the transformer was not trained on.
    """

    candidate: float = 0.1
    sentence: float = 4.0
    passage: float = 8.0
    margin: float = -1.0


class _Window(NamedTuple):
    """A question with a passage as token ids; the passage's tokens start at `first`."""

    hit: Hit
    folded: Folded
    ids: tuple[int, ...]
    first: int


class TrainedReader:
    """Reads whole passages, and weighs what it marks by the candidates of `rag.span_scorer`.

    The transformer takes one token a folded character, in the order `<s> question </s></s>
    heading passage </s>`, and of a question without Chinese the likeliest pieces of its
    words; a span's evidence is its start and end logit less those of no answer. In the
    sentences it likes best the candidates compete, by evidence, by their own scores and by
    whether they are of the kind asked for, since candidates begin and end where words do. The
    weights are made by `training/reader.py` and `training/reader_onnx.py`.
    """

    name = "reader"

    def __init__(self, weights: Weights = Weights()) -> None:  # noqa: B008 - it is immutable
        """Load the model that ships with the package.

        Raises:
            ReaderError: the model is missing or broken, or onnxruntime cannot be imported.
        """
        self._session, self._ids, self._pieces = _load()
        # Each window alone, on one thread: in one padded batch they take twice the CPU time.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wenju-reader")
        self._logits = lru_cache(_KEPT)(self._run)
        self._scorer = SpanScorer()
        self.weights = weights

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return the best span of each sentence, best first."""
        hits = list({id(s.hit): s.hit for s in sentences}.values())
        if not hits:
            return []
        question = self._question_tokens(probe.asked)[:_MAX_QUESTION]
        windows = [self._window(question, hit) for hit in hits]
        logits = self._threads.map(self._logits, (window.ids for window in windows))
        read = {
            id(window.hit): _Read(window, *found)
            for window, found in zip(windows, logits, strict=True)
        }
        marked = [best for s in sentences if (best := _best(s, read[id(s.hit)]))]
        marked.sort(key=lambda span: -span.score - self._found(span.sentence))
        refined = [
            self._refined(probe, span, read[id(span.sentence.hit)])
            for span in marked[:SENTENCES_REFINED]
        ]
        refined.sort(key=lambda span: -span.score)
        # The others' scores are evidence alone: another scale, on which none may overtake.
        return refined + [
            replace(span, score=min(span.score + self._found(span.sentence), refined[-1].score))
            for span in marked[SENTENCES_REFINED:]
        ]

    def _refined(self, probe: Probe, marked: Span, read: _Read) -> Span:
        """Return the best candidate of the span's sentence, or the span where it is far ahead."""
        placed, scores = self._scorer.candidates(probe, marked.sentence)
        wanted = expectation(probe.asked, marked.sentence.parsed)
        evidence = np.array([read.evidence(start, end) for start, end in placed.tolist()])
        if not np.isfinite(evidence).any():  # the window ends before any candidate does
            return marked
        total = evidence + self.weights.candidate * scores + wanted
        best = int(total.argmax())
        score = float(total[best]) + self._found(marked.sentence)
        if marked.evidence > evidence[best] + wanted[best] + self.weights.margin:
            found = replace(marked, score=score)
        else:
            start, end = placed[best].tolist()
            found = Span(marked.sentence, start, end, score, float(evidence[best]))
        return paired(found)

    def _found(self, sentence: ScoredSentence) -> float:
        """Return what retrieval says for a sentence, in the reader's log-odds."""
        weights = self.weights
        return weights.sentence * sentence.fused + weights.passage * sentence.hit.score

    def _window(self, question: Sequence[int], hit: Hit) -> _Window:
        heading = hit.passage.heading.strip()
        ids = [_START, *question, _END, _END]
        if heading and not hit.passage.text.lstrip("# ").startswith(heading):
            ids += [*self._tokens(fold(heading).text)[:_MAX_HEADING], self._ids[_BLANK]]
        folded = fold(hit.passage.text)
        body = self._tokens(folded.text)[: _MAX_TOKENS - len(ids) - 1]
        return _Window(hit, folded, (*ids, *body, _END), len(ids))

    def _question_tokens(self, asked: Asked) -> list[int]:
        if asked.chinese:
            return self._tokens(asked.text)
        ids: list[int] = []
        for part in _WORDS.findall(" " + asked.text.strip()):
            if part[-1].isascii() and part[-1].isalpha():
                word = (_BLANK if part[0].isspace() else "") + part.strip()
                ids += [self._ids[piece.value] for piece in self._pieces.tokenize(word)]
            else:
                ids += self._tokens(part)
        return ids

    def _tokens(self, folded: str) -> list[int]:
        blank = self._ids[_BLANK]
        return [blank if c.isspace() else self._ids.get(c, _UNKNOWN) for c in folded]

    def _run(self, ids: tuple[int, ...]) -> Logits:
        tokens = np.array([ids], dtype=np.int64)
        given = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        (starts,), (ends,) = self._session.run(None, given)
        return starts, ends


class _Read(NamedTuple):
    """A window with the logits of its tokens, `(tokens,)` each."""

    window: _Window
    starts: Floats
    ends: Floats

    def evidence(self, start: int, end: int) -> float:
        """Return the log-odds of the span `[start, end)` of the document against no answer."""
        window = self.window
        base = window.hit.passage.start
        first = bisect_right(window.folded.ends, start - base)
        last = bisect_left(window.folded.offsets, end - base) - 1
        if window.first + last >= len(window.ids) - 1:
            return -np.inf
        marked = self.starts[window.first + first] + self.ends[window.first + last]
        return float(marked - self.starts[0] - self.ends[0])


def _best(sentence: ScoredSentence, read: _Read) -> Span | None:
    """Return the likeliest span inside one sentence, None where the window does not reach it."""
    window, starts, ends = read
    base = window.hit.passage.start
    tokens = len(window.ids) - 1 - window.first
    low = bisect_left(window.folded.offsets, sentence.sentence.start - base)
    high = min(bisect_right(window.folded.ends, sentence.sentence.end - base), tokens)
    if high <= low:
        return None
    first, count = window.first + low, high - low
    sums = starts[first : first + count, None] + ends[None, first : first + count]
    square = np.ones((count, count), dtype=bool)
    allowed = np.triu(square) & ~np.triu(square, _MAX_ANSWER)
    start, end = divmod(int(np.where(allowed, sums, -np.inf).argmax()), count)
    score = float(sums[start, end] - starts[0] - ends[0])
    left, right = window.folded.span(low + start, low + end + 1)
    return whole_measure(Span(sentence, base + left, base + right, score, score))


@cache
def _load() -> tuple[Any, dict[str, int], Any]:
    try:
        import onnxruntime  # noqa: PLC0415 - takes a moment to load
        from tokenizers.models import Unigram  # noqa: PLC0415
    except ImportError as error:
        raise ReaderError(
            f"阅读模型无法运行：{error}。改用规则抽取；请重新安装 wenju。",
            f"The reading model cannot run: {error}. Extraction by rules stands in; reinstall "
            "wenju.",
        ) from error
    with resources.as_file(resources.files("rag")) as folder:
        _check(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(
                str(folder / MODEL), options, providers=["CPUExecutionProvider"]
            )
        except MemoryError:  # nothing that reinstalling would mend
            raise
        except Exception as error:  # onnxruntime's errors share no base class of their own
            raise _broken(folder / MODEL, error) from error
        lines = (folder / VOCABULARY).read_text("utf-8").split("\n")[:-1]
    rows = [line.split("\t") for line in lines]
    pieces = Unigram([(row[0], float(row[1])) for row in rows if len(row) > 1], 0)
    return session, {row[0]: number for number, row in enumerate(rows)}, pieces


def _check(folder: Path) -> None:
    """Hold the files against their digests, `DIGEST` being what sha256sum writes."""
    try:
        lines = (folder / DIGEST).read_text("utf-8").splitlines()
        wanted = {name: digest for digest, name in (line.split() for line in lines)}
        found = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in wanted}
        _ = (folder / VOCABULARY).stat()
    except (OSError, ValueError) as error:
        raise _broken(folder / MODEL, error) from error
    if MODEL not in wanted or found != wanted:
        raise _broken(folder / MODEL, f"{DIGEST} ≠ sha256")


def _broken(path: Path, why: object) -> ReaderError:
    return ReaderError(
        f"阅读模型缺失或损坏：{path}（{why}）。改用规则抽取；请重新安装 wenju。",
        f"The reading model is missing or damaged: {path} ({why}). Extraction by rules stands "
        "in; reinstall wenju.",
    )
