"""Example questions made from a library's own documents."""

from __future__ import annotations

import re
from itertools import islice, zip_longest

from index.library import Library
from rag.messages import Messages
from rag.spans import parse

_NUMBER = re.compile(
    r"^(?:约|近|超过?|逾)? ?\d[\d,.]*(?: ?[多余来]?[百千万亿]+[多余]?| ?[多余来])?"
)
_DOCUMENTS = 3
"""Documents that examples are made of, the latest added."""

_SENTENCES = 200
"""Sentences of a document that are looked through."""


def example_questions(library: Library, count: int, say: Messages) -> list[str]:
    """Return up to `count` questions that the latest documents answer, of each in turn."""
    if count < 1:
        return []
    latest = library.documents()[::-1]
    lists: list[list[str]] = []
    for document in latest[:_DOCUMENTS]:
        passages = library.passages(document.id)
        sentences = (s.text for passage in passages for s in passage.sentences())
        found = (ask_for_number(s) for s in islice(sentences, _SENTENCES))
        asked = [question for question in found if question]
        spaced = asked[:: max(1, len(asked) // count)]
        # Behind the heading of a table's rows stand the names of its columns, not of a topic.
        headed = (p.heading for p in passages if p.heading and p.heading in p.text)
        headings = [say.about_heading.format(heading) for heading in headed]
        about = [say.about_document] if len(latest) == 1 else []
        lists.append([*about, *spaced[: max(1, count - 2)], *headings[:1]])
    in_turn = (question for turn in zip_longest(*lists) for question in turn if question)
    return list(dict.fromkeys(in_turn))[:count]


def ask_for_number(sentence: str) -> str | None:
    """Turn the first clause with one quantity into a question for it, None if there is none.

    "企业开办时间压缩至3个工作日以内" becomes "企业开办时间压缩至多少个工作日以内？".
    """
    parsed = parse(sentence)
    for number in sorted(set(parsed.clause.tolist())):
        tokens = [t for t, c in zip(parsed.tokens, parsed.clause, strict=True) if c == number]
        tokens = [t for t in tokens if t.tag != "x" or t.text not in ",，。；;.!?！？:："]
        quantities = [t for t in tokens if t.tag == "Q" and _NUMBER.match(t.text)]
        if len(quantities) != 1 or len(tokens) < 4 or tokens[0].tag not in ("n", "nz", "ns", "nt"):
            continue
        start, end = parsed.folded.span(tokens[0].start, tokens[-1].end)
        if not 10 <= end - start <= 30 or quantities[0] not in tokens[-2:]:
            continue
        quantity = quantities[0]
        counted = _NUMBER.match(quantity.text)
        digits = counted.end() if counted else 0
        at, to = parsed.folded.span(quantity.start, quantity.start + digits)
        if quantity.text[digits:] == "%":
            _, to = parsed.folded.span(quantity.start, quantity.end)
            return f"{sentence[start:at]}百分之多少{sentence[to:end]}？"
        return f"{sentence[start:at]}多少{sentence[to:end]}？"
    return None
