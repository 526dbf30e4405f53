"""The trained reader: a small transformer that marks where an answer starts and ends."""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rag.boundaries import paired, whole_measure
from rag.errors import ReaderError
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.span_scorer import SpanScorer
from rag.spans import Probe, expectation

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from rag.reader_tokens import Encoded, Vocabulary

MODEL = "reader.onnx"
VOCABULARY = "reader_vocabulary.txt"
DIGEST = "reader.sha256"

SENTENCES_REFINED = 8
"""In how many of the sentences that the transformer likes best candidates are weighed."""

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
        self._transformer = _load()
        self._scorer = SpanScorer()
        self.weights = weights

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        """Return the best span of each sentence, best first."""
        hits = list({id(s.hit): s.hit for s in sentences}.values())
        if not hits:
            return []
        vocabulary = self._transformer.vocabulary
        question = vocabulary.question_ids(probe.asked.text)
        passages = [hit.passage for hit in hits]
        encoded = [vocabulary.encode(question, each.heading, each.text) for each in passages]
        logits = self._transformer.read([each.ids for each in encoded])
        read = {
            id(hit): _Read(hit.passage.start, each, *found)
            for hit, each, found in zip(hits, encoded, logits, strict=True)
        }
        marked = [best for s in sentences if (best := _marked(s, read[id(s.hit)]))]
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


class _Transformer:
    """The model in memory, which all readers of a process share, and what it read last."""

    def __init__(self, session: Any, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self._session = session
        # Each window alone, on one thread: in one padded batch they take twice the CPU time.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="wenju-reader")
        self._logits = lru_cache(_KEPT)(self._run)

    def read(self, windows: Sequence[tuple[int, ...]]) -> Iterator[Logits]:
        """Yield the logits of each window, given by the ids of its tokens."""
        return self._threads.map(self._logits, windows)

    def _run(self, ids: tuple[int, ...]) -> Logits:
        tokens = np.array([ids], dtype=np.int64)
        given = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
        (starts,), (ends,) = self._session.run(None, given)
        return starts, ends


class _Read(NamedTuple):
    """A passage that begins at `base` of its document, with its tokens' logits."""

    base: int
    encoded: Encoded
    starts: Floats
    ends: Floats

    def evidence(self, start: int, end: int) -> float:
        """Return the log-odds of the span `[start, end)` of the document against no answer."""
        tokens = self.encoded.tokens(start - self.base, end - self.base)
        return self._log_odds(*tokens) if tokens else -np.inf

    def best(self, start: int, end: int) -> tuple[int, int, float] | None:
        """Return the likeliest span inside `[start, end)` of the document, with its log-odds.

        None where the window does not reach it.
        """
        folded, first = self.encoded.passage, self.encoded.first
        low = bisect_left(folded.offsets, start - self.base)
        high = bisect_right(folded.ends, end - self.base)
        high = min(high, len(self.encoded.ids) - 1 - first)
        if high <= low:
            return None
        starts, ends = (each[first + low : first + high] for each in (self.starts, self.ends))
        square = np.ones((high - low, high - low), dtype=bool)
        allowed = np.triu(square) & ~np.triu(square, _MAX_ANSWER)
        sums = np.where(allowed, starts[:, None] + ends, -np.inf)
        left, right = (low + int(at) for at in divmod(int(sums.argmax()), high - low))
        begin, end = folded.span(left, right + 1)
        return self.base + begin, self.base + end, self._log_odds(first + left, first + right)

    def _log_odds(self, first: int, last: int) -> float:
        return float(self.starts[first] + self.ends[last] - self.starts[0] - self.ends[0])


def _marked(sentence: ScoredSentence, read: _Read) -> Span | None:
    """Return the likeliest span of one sentence, None where the window does not reach it."""
    best = read.best(sentence.sentence.start, sentence.sentence.end)
    if not best:
        return None
    start, end, log_odds = best
    return whole_measure(Span(sentence, start, end, log_odds, log_odds))


def opened(path: Path, threads: int = 1) -> InferenceSession:
    """Return a session that runs the reader's file, exact on any processor.

    Raises:
        Exception: whatever onnxruntime makes of a file that is no model.
    """
    import onnxruntime  # noqa: PLC0415 - takes a moment to load

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    # Without VNNI a product of uint8 with int8 is added up in 16 bits, where it overflows.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])


@cache
def _load() -> _Transformer:
    with resources.as_file(resources.files("rag")) as folder:
        _check(folder)
        try:
            from rag.reader_tokens import Vocabulary  # noqa: PLC0415 - imports tokenizers

            return _Transformer(opened(folder / MODEL), Vocabulary(folder / VOCABULARY))
        except ImportError as error:
            raise ReaderError(
                f"阅读模型无法运行：{error}。改用规则抽取；请重新安装 wenju。",
                f"The reading model cannot run: {error}. Extraction by rules stands in; "
                "reinstall wenju.",
            ) from error
        except MemoryError:  # nothing that reinstalling would mend
            raise
        except Exception as error:  # onnxruntime's errors share no base class of their own
            raise _broken(folder / MODEL, error) from error


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
