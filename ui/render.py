"""An answer as the page shows it: HTML of our own around escaped document and model text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from urllib.parse import quote
from zlib import crc32

from index.library import Hit
from rag.answer import Answer, Mode
from rag.citations import Citation, Claim
from rag.messages import shortened
from ui.language import say
from ui.marking import marked
from ui.terminal import confidence_in_words, safe

_PUNCTUATION = re.compile(r"[!-/:-@\[-`{-~]")
_LINE_BREAKS = re.compile(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+")

_SENTENCE_ENDS = ("。", "！", "？", "”", ".", "!", "?")

_SHOWN_QUOTES = 3
_SHOWN_CHARS = 240
"""Characters of a passage that are shown in a message; its link opens the rest."""


def escape(text: str) -> str:
    """Return text that shows as itself wherever Markdown or HTML is read, in one line.

    Every ASCII punctuation mark becomes a character reference: Markdown reads no syntax, no
    bare address and no formula from those, HTML no tag.
    """
    return _escape_part(text).strip()


def _escape_part(text: str) -> str:
    """Return escaped text with the blanks at its ends, to be joined."""
    flat = _LINE_BREAKS.sub(" ", text).replace("\t", " ")
    return _PUNCTUATION.sub(lambda mark: f"&#{ord(mark.group())};", safe(flat))


def answer_html(answer: Answer) -> str:
    """Return an answer with its citations, or a refusal with the nearest passage.

    It is one HTML block of one line, which Markdown leaves as it is.
    """
    parts = _refusal(answer) if answer.refused else _answered(answer)
    kind = "wj-answer wj-refused" if answer.refused else "wj-answer"
    inner = "".join((*_resolved(answer), *parts, *map(_notice, answer.notices), _trace(answer)))
    return f'<div class="{kind}">{inner}</div>'


def problem_html(problem: str) -> str:
    """Return what is said in place of an answer."""
    return f'<div class="wj-answer wj-problem"><p>{escape(problem)}</p></div>'


def source_address(document_id: str, start: int, end: int, text: str) -> str:
    """Return the address that opens a stretch of a document in the source panel.

    It ends in a checksum of the text, by which a change of the document is noticed.
    """
    check = crc32(text.encode(errors="replace"))
    return f"#cite={quote(document_id, safe='')}:{start}-{end}:{check:08x}"


def citation_link(citation: Citation) -> str:
    """Return the number of a citation as a link that opens its quote."""
    place = source_address(citation.document_id, citation.start, citation.end, citation.quote)
    page = say(f"，第 {citation.page} 页", f", page {citation.page}") if citation.page else ""
    title = say("来源：", "Source: ") + escape(citation.title) + page
    return f'<a class="wj-cite" href="{place}" title="{title}">{citation.number}</a>'


def _answered(answer: Answer) -> Iterator[str]:
    text = marked(answer, _between, partial(_claim, answer.mode))
    yield f'<p class="wj-text">{text or say("正在撰写…", "Writing…")}</p>'
    if problems := "".join(_unsupported(claim) for claim in answer.claims if not claim.supported):
        yield f'<ul class="wj-problems">{problems}</ul>'
    if answer.citations:
        yield from _evidence(answer)
        yield _confidence(answer)


def _refusal(answer: Answer) -> Iterator[str]:
    yield f'<p class="wj-refusal">{say("没有找到答案", "No answer found")}</p>'
    yield f"<p>{escape(answer.refusal_reason)}</p>"
    if answer.hits:
        nearest = answer.hits[0].passage
        place = source_address(nearest.document_id, nearest.start, nearest.end, nearest.text)
        label = say("最接近的原文", "The nearest passage")
        read = say("在原文中查看", "Open it in the source")
        yield (
            f'<figure class="wj-nearest"><figcaption>{label}</figcaption>'
            f"<blockquote>{escape(shortened(nearest.text, _SHOWN_CHARS))}</blockquote>"
            f'<a class="wj-open" href="{place}">{read}</a></figure>'
        )


def _resolved(answer: Answer) -> Iterator[str]:
    if answer.resolved_question != answer.question:
        label = say("理解为：", "Understood as: ")
        change = say("修改", "Edit")
        name = say("修改这个问题", "Edit this question")
        yield (
            f'<p class="wj-resolved">{label}{escape(answer.resolved_question)} '
            f'<a href="#ask={quote(answer.resolved_question, safe="")}" title="{name}">'
            f"{change}</a></p>"
        )


def _between(text: str) -> str:
    """Return what stands between claims, its line breaks kept."""
    return "<br>".join(map(_escape_part, text.split("\n")))


def _claim(mode: Mode, claim: Claim, is_marked: bool) -> str:
    """Return a claim with its links; a quote stands out, a sentence among others does not."""
    tag, kind = ("span", "wj-said") if mode == "llm" else ("strong", "wj-claim")
    kind += "" if claim.supported else " wj-unsupported"
    kind += " wj-sentence" if claim.text.endswith(_SENTENCE_ENDS) else ""
    links = "".join(map(citation_link, claim.citations)) if is_marked else ""
    return f'<{tag} class="{kind}">{escape(claim.text)}</{tag}>{links}'


def _unsupported(claim: Claim) -> str:
    label = say("原文没有支持这一句：", "The source does not support this: ")
    problems = " ".join(map(escape, claim.problems))
    return f"<li>{label}{escape(claim.text)} {problems}</li>"


def _evidence(answer: Answer) -> Iterator[str]:
    shown = [_quoted(citation, answer) for citation in answer.citations]
    yield "".join(shown[:_SHOWN_QUOTES])
    if rest := shown[_SHOWN_QUOTES:]:
        more = say(f"另外 {len(rest)} 处原文", f"{len(rest)} more quotes")
        yield f"<details><summary>{more}</summary>{''.join(rest)}</details>"


def _quoted(citation: Citation, answer: Answer) -> str:
    """Return a quote with the words that the answer took from it marked."""
    words = [
        claim.text
        for claim in answer.claims
        if any(citation.number == cited.number for cited in claim.citations)
    ]
    page = say(f" · 第 {citation.page} 页", f" · page {citation.page}") if citation.page else ""
    return (
        f'<figure class="wj-quote"><blockquote>{_marked(citation.quote, words)}</blockquote>'
        f"<figcaption>{citation_link(citation)} {escape(citation.title)}{page}</figcaption>"
        "</figure>"
    )


def _marked(quoted: str, words: list[str]) -> str:
    """Return a quote with these words of it marked, unless they are all of it."""
    wanted = sorted({word for word in words if word in quoted and word != quoted}, key=len)
    if not wanted:
        return escape(quoted)
    parts = re.split("(" + "|".join(map(re.escape, reversed(wanted))) + ")", quoted)
    return "".join(
        f"<mark>{_escape_part(part)}</mark>" if place % 2 else _escape_part(part)
        for place, part in enumerate(parts)
    )


def _confidence(answer: Answer) -> str:
    words = confidence_in_words(answer.confidence)
    label = say("可信度：", "Confidence: ")
    grade = "high" if answer.confidence >= 0.8 else "fair" if answer.confidence >= 0.5 else "low"
    copy = say("复制回答与出处", "Copy the answer with its source")
    writer = ""
    if answer.mode == "llm":
        by = say(
            f"{answer.model} 撰写，逐句核对", f"Written by {answer.model}, each sentence checked"
        )
        writer = f'<span class="wj-writer">{escape(by)}</span> '
    return (
        f'<p class="wj-meta"><span class="wj-grade wj-{grade}">{label}{words}</span> {writer}'
        f'<a class="wj-copy" href="#copy" role="button">{copy}</a></p>'
    )


def _notice(text: str) -> str:
    return f'<p class="wj-notice">{escape(text)}</p>'


def _trace(answer: Answer) -> str:
    """Return what was retrieved, with its scores, and the time by stage, folded."""
    if not answer.hits:
        return ""
    summary = say("检索过程", "How it was found")
    heads = (
        say("原文", "Passage"),
        say("总分", "Score"),
        say("意思", "Meaning"),
        say("词语", "Words"),
    )
    head = "".join(f"<th>{name}</th>" for name in heads)
    rows = "".join(map(_trace_row, answer.hits))
    times = " · ".join(
        f"{_stage(name)} {milliseconds:.0f} ms" for name, milliseconds in answer.timings_ms.items()
    )
    return (
        f'<details class="wj-trace"><summary>{summary}</summary>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p>{escape(times)}</p></details>"
    )


def _trace_row(hit: Hit) -> str:
    passage = hit.passage
    place = source_address(passage.document_id, passage.start, passage.end, passage.text)
    scores = "".join(
        f"<td>{'–' if score is None else f'{score:.2f}'}</td>"
        for score in (hit.score, hit.dense_score, hit.lexical_score)
    )
    beginning = escape(shortened(passage.text, 34))
    return f'<tr><td><a class="wj-open" href="{place}">{beginning}</a></td>{scores}</tr>'


def _stage(name: str) -> str:
    return {
        "follow_up": say("理解问题", "understand"),
        "retrieve": say("检索", "retrieve"),
        "read": say("阅读", "read"),
        "check": say("核对", "check"),
        "cite": say("引文", "cite"),
        "generate": say("撰写", "write"),
        "total": say("共", "total"),
    }.get(name, name)
