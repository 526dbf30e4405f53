"""An answer as Markdown for the page, every character of document and model text escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote

from index.library import Hit
from rag.answer import Answer
from rag.citations import Citation, Claim
from ui.language import say
from ui.terminal import confidence_in_words, safe

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_LINE_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")


def escape(text: str) -> str:
    """Return text that shows as itself wherever Markdown or HTML is read, in one line.

    Every ASCII punctuation mark becomes a character reference: Markdown reads no syntax, no
    bare address and no formula from those, HTML no tag.
    """
    flat = _LINE_BREAKS.sub(" ", text).replace("\t", " ").strip()
    return _PUNCTUATION.sub(lambda mark: f"&#{ord(mark.group())};", safe(flat))


def answer_markdown(answer: Answer) -> str:
    """Return an answer with its citations, or a refusal with the nearest passage."""
    return "\n\n".join(_refusal(answer) if answer.refused else _answered(answer))


def citation_link(citation: Citation) -> str:
    """Return the `[n]` of a citation, a link that says where its quote stands."""
    target = f"{quote(citation.document_id, safe='')}:{citation.start}-{citation.end}"
    title = say(f"来源：{escape(citation.title)}", f"Source: {escape(citation.title)}")
    return f'[{citation.number}](#cite={target} "{title}")'


def _answered(answer: Answer) -> Iterator[str]:
    yield from _resolved(answer)
    if answer.claims:
        items = "、".join(claim.text for claim in answer.claims) == answer.text
        yield ("、" if items else " ").join(map(_claim, answer.claims))
    else:
        yield "<br>".join(map(escape, answer.text.splitlines()))
    for claim in answer.claims:
        if not claim.supported:
            yield _unsupported(claim)
    if answer.citations:
        yield _confidence(answer)
        yield "\n".join(_source(citation, answer.hits) for citation in answer.citations)


def _refusal(answer: Answer) -> Iterator[str]:
    yield from _resolved(answer)
    yield f"<strong>{say('没有找到答案', 'No answer found')}</strong>"
    yield escape(answer.refusal_reason)
    if answer.hits:
        nearest = answer.hits[0].passage
        label = say("最接近的原文", "The nearest passage")
        yield f"<details open><summary>{label}</summary>{escape(nearest.text)}</details>"


def _resolved(answer: Answer) -> Iterator[str]:
    if answer.resolved_question != answer.question:
        yield say("理解为：", "Understood as: ") + escape(answer.resolved_question)


def _claim(claim: Claim) -> str:
    links = " ".join(map(citation_link, claim.citations))
    return f"<strong>{escape(claim.text)}</strong> {links}".rstrip()


def _unsupported(claim: Claim) -> str:
    label = say("原文没有支持这一句：", "The source does not support this: ")
    problems = " ".join(map(escape, claim.problems))
    return f"⚠ {label}{escape(claim.text)} {problems}".rstrip()


def _confidence(answer: Answer) -> str:
    return say("可信度：", "Confidence: ") + confidence_in_words(answer.confidence)


def _source(citation: Citation, hits: tuple[Hit, ...]) -> str:
    """Return the quote marked inside the passage that it stands in."""
    before, after = _context(citation, hits)
    marked = f"{escape(before)}<mark>{escape(citation.quote)}</mark>{escape(after)}"
    summary = f"&#91;{citation.number}&#93; {escape(citation.title)}"
    return f"<details><summary>{summary}</summary>{marked}</details>"


def _context(citation: Citation, hits: tuple[Hit, ...]) -> tuple[str, str]:
    for hit in hits:
        passage = hit.passage
        if (
            passage.document_id == citation.document_id
            and passage.start <= citation.start
            and citation.end <= passage.end
        ):
            at = citation.start - passage.start
            return passage.text[:at], passage.text[at + len(citation.quote) :]
    return "", ""
