"""Extraction: what the reader's spans make of a question: a span, a list, a pair, a summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from index.documents import Document
from index.fold import fold
from index.library import Library
from index.passages import Sentence
from rag.confidence import Calibration, confidence, signals
from rag.lists import partner, whole_list
from rag.messages import Messages
from rag.question import analyse, ends_as_question, tells_of_the_moment
from rag.reader import Span
from rag.retrieve import documents_of
from rag.sentences import ScoredSentence
from rag.spans import Probe, covered
from rag.summary import about, summarise

NAMED = 0.65
"""The share of a topic, by weight, that the title of the document meant says."""

_LABEL = re.compile(r"^(?:(?:答|回答|答复|A)\s*[:：]|[-*•])\s*")
_RUN_IN = re.compile(
    r"[（(]?(?:\d{1,2}|[一二三四五六七八九十]{1,3})[.．、)）]\s*[^,，;；:：]{1,20}[.。]"
)
_CHANGES = re.compile(r"(?:[涨升增降减跌]|提高|上调|下调)[高加长低少幅]?了?(?:多少|几)(?!倍|成)")
_SINCE = re.compile(r"[由从從][^,，;；。由从從]*[为為至到]$")


@dataclass(frozen=True, slots=True)
class Found:
    """What an extraction found.

    `claims` are words with the id of their document and the sentence that they are taken from.
    """

    text: str
    claims: tuple[tuple[str, str, Sentence], ...]
    confidence: float
    notices: tuple[str, ...] = ()

    @property
    def only_sentence(self) -> tuple[str, Sentence] | None:
        """The document and sentence that all claims are taken from, None where several are."""
        sources = {(name, sentence) for _, name, sentence in self.claims}
        return sources.pop() if len(sources) == 1 else None

    def covers(self, parts: Sequence[Found]) -> bool:
        """Tell whether this says all that the parts of a question were answered.

        It holds their words, or is a list of as many items that stand in theirs.
        """
        items = [text for text, _, _ in self.claims]
        listed = all(any(item in part.text for part in parts) for item in items)
        return all(p.text in self.text for p in parts) or (listed and len(items) == len(parts))


def joined(parts: Sequence[Found]) -> Found:
    """Return the answers to the parts of a question as one, as sure as the least sure of them.

    What another says too, in the same sentence, is said once.
    """
    told = [part for k, part in enumerate(parts) if not _is_told(part, parts[:k], parts[k + 1 :])]
    return Found(
        "；".join(part.text for part in told),
        tuple(claim for part in told for claim in part.claims),
        min(part.confidence for part in parts),
        tuple(dict.fromkeys(notice for part in told for notice in part.notices)),
    )


def _is_told(part: Found, before: Sequence[Found], behind: Sequence[Found]) -> bool:
    """Tell whether another part says what this one does; of the same words the first stay."""

    def says(other: Found) -> bool:
        return part.text in other.text and other.only_sentence == part.only_sentence

    return any(map(says, before)) or any(says(each) and each.text != part.text for each in behind)


class Extraction:
    """Makes answers of what a reader found, over one library."""

    def __init__(self, library: Library, calibration: Calibration, say: Messages) -> None:
        """`calibration` is the reader's; `say` is what notices are written with."""
        self._library = library
        self._calibration = calibration
        self._say = say

    def answer(
        self, probed: Probe, sentences: Sequence[ScoredSentence], spans: Sequence[Span]
    ) -> Found:
        """Return the answer of the best span, or a whole sentence where that is asked for."""
        sure = self._confidence(probed, sentences, spans)
        best = spans[0].sentence if spans else sentences[0]
        if (
            _asks(best, spans)
            and (reply := self._following(best))
            and not ends_as_question(reply.text)
        ):
            return _of_sentences(best, [reply], sure)
        if spans and probed.asked.kind != "yes-no":
            found = _of_span(probed, spans[0], sure)
            return found if len(found.claims) > 1 else self._with_others(found, probed, spans)
        headed = self._following(best) if _is_run_in(best) else None
        return _of_sentences(best, [best.sentence, *([headed] if headed else [])], sure)

    def summary(
        self, probed: Probe, sentences: Sequence[ScoredSentence], spans: Sequence[Span]
    ) -> Found:
        """Sum up a document, or what it says on the topic that `probed` is of, if any.

        How sure that is, is how much of the topic the best passage mentions; across languages
        words cannot tell, and the calibrated confidence stands in.
        """
        document_id = sentences[0].hit.passage.document_id
        named, said = self._named(probed, sentences) if probed.asked.text else (document_id, 1.0)
        if said >= NAMED:
            document_id, chosen, sure = named, summarise(self._library, named), said
        else:
            chosen, sure = about(sentences), sentences[0].covered_nearby
            if not probed.asked.chinese:
                sure = self._confidence(probed, sentences, spans)
        text = "".join(s.text for s in chosen)
        return Found(text, tuple((s.text, document_id, s) for s in chosen), sure)

    def _named(self, probed: Probe, sentences: Sequence[ScoredSentence]) -> tuple[str, float]:
        """Return the document found whose title says most of the topic, and how much."""
        ids = dict.fromkeys(s.hit.passage.document_id for s in sentences)
        titles = {d: document.title for d, document in documents_of(self._library, ids).items()}
        said = {name: covered(probed, fold(title).text) for name, title in titles.items()}
        return max(said.items(), key=lambda item: item[1])

    def _following(self, sentence: ScoredSentence) -> Sentence | None:
        """Return the sentence of the document behind one, None behind the last."""
        document_id, end = sentence.hit.passage.document_id, sentence.sentence.end
        passages = self._library.passages(document_id)
        behind = (s for p in passages if p.end > end for s in p.sentences() if s.start >= end)
        return next(behind, None)

    def _confidence(
        self, probed: Probe, sentences: Sequence[ScoredSentence], spans: Sequence[Span]
    ) -> float:
        if probed.asked.of_the_moment and not any(
            tells_of_the_moment(s.hit.passage.text) for s in sentences
        ):
            return 0.0  # a dateline is no answer to "今天天气怎么样"
        return confidence(self._calibration, signals(probed, spans, sentences))

    def _with_others(self, found: Found, probed: Probe, spans: Sequence[Span]) -> Found:
        """Add what other documents say otherwise, each with its document's date."""
        if len({_document_id(span) for span in spans}) < 2 or found.text != spans[0].text:
            return found
        from rag.disagreement import others  # noqa: PLC0415 - one document needs no comparing

        told = others(probed, spans, spans[0])
        if not told:
            return found
        saying = [spans[0], *told]
        documents = documents_of(self._library, map(_document_id, saying))
        return Found(
            "；".join(_dated(span, documents[_document_id(span)]) for span in saying),
            tuple((span.text, _document_id(span), span.sentence.sentence) for span in saying),
            found.confidence,
            (self._say.disagree.format(len(saying)),),
        )


def _document_id(span: Span) -> str:
    return span.sentence.hit.passage.document_id


def _dated(span: Span, document: Document) -> str:
    """Return a span with the date of its document, where it states one."""
    published = document.meta.get("published")
    return f"{span.text}（{published}）" if published else span.text


def _asks(best: ScoredSentence, spans: Sequence[Span]) -> bool:
    """Tell a question that the document answers behind it, in whose question word the span is.

    It begins a line, as in lists of questions and answers.
    """
    passage, sentence = best.hit.passage, best.sentence
    ahead = passage.text[: sentence.start - passage.start].rstrip(" \t\u3000#*-")
    if not ends_as_question(sentence.text) or (ahead and not ahead.endswith("\n")):
        return False
    asked = analyse(sentence.text)
    gap = asked.text[asked.gap_start : asked.gap_end]
    found = fold(spans[0].text).text if spans else ""
    return not gap or not found or gap in found or found in gap


def _is_run_in(best: ScoredSentence) -> bool:
    """Tell a numbered heading that its text goes on behind, in one line: "4. 游泳池改造。"."""
    passage, sentence = best.hit.passage, best.sentence
    behind = passage.text[sentence.end - passage.start :]
    return bool(_RUN_IN.fullmatch(sentence.text)) and bool(behind) and not behind[0].isspace()


def _of_sentences(best: ScoredSentence, said: Sequence[Sentence], sure: float) -> Found:
    """Answer with whole sentences, without the "答：" or the bullet that the first begins with."""
    texts = [_LABEL.sub("", said[0].text), *(s.text for s in said[1:])]
    document_id = best.hit.passage.document_id
    claims = tuple((text, document_id, s) for text, s in zip(texts, said, strict=True))
    return Found("".join(texts), claims, sure)


def _of_span(probed: Probe, span: Span, sure: float) -> Found:
    """Make the answer of the best span: its partner, its whole list, or itself."""
    if probed.asked.several:
        items, text = whole_list(probed, span)
        items[-1] = text[text.rindex(items[-1]) :]  # the end of a list is claimed with its last
    else:
        text = partner(probed, span) or _change(probed, span) or span.text
        items = [text]
    claims = tuple((item, _document_id(span), span.sentence.sentence) for item in items)
    return Found(text, claims, sure)


def _change(probed: Probe, span: Span) -> str | None:
    """Return "由120元调整为150元" where a question asks by how much, None elsewhere.

    Nothing is calculated: what the document says of the change is the answer.
    """
    sentence = span.sentence.sentence
    ahead = sentence.text[: span.start - sentence.start]
    since = _SINCE.search(ahead) if _CHANGES.search(probed.asked.text) else None
    return sentence.text[since.start() : span.end - sentence.start] if since else None
