"""Disagreement: documents that give different answers to one question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag.amounts import Amount
from rag.facts import Facts, facts_of, letters
from rag.question import Kind
from rag.reader import Span
from rag.spans import Probe

MARGIN = 3.0
"""How much less evidence another document's span may have than the first, in log-odds.

Source: of 150 questions over all paragraphs of CMRC's development half one is told of another
document at any margin from 1 to 8; of 200 over two thousand news articles 2 are at 1, 4 at 3
and 7 at 5; up to 3 all where the first span is of a wrong document. Where a copy of the right
paragraph says another number, 75 of 120 are told at 1 and 79 from 2 on.
"""

_ROUGHLY = 0.1
"""The share by which a number may be off that is said to be about so much."""


def others(probe: Probe, spans: Sequence[Span], first: Span) -> list[Span]:
    """Return what other documents say otherwise than the first span, the surest first.

    Of each other document its best span counts, where it is likelier an answer than not, its
    evidence is within `MARGIN` of the first's, its passage says as much of the question, and its
    value differs (see `differ`).

    Args:
        probe: the question.
        spans: the reader's spans over all passages, best first.
        first: the one that answers.
    """
    if probe.asked.several:
        return []
    best = {_document(span): span for span in reversed(spans)}
    found = [
        span
        for document, span in best.items()
        if document != _document(first)
        and span.evidence >= max(0.0, first.evidence - MARGIN)
        and span.sentence.covered_nearby >= first.sentence.covered_nearby
        and differ(probe.asked.kind, first.text, span.text)
    ]
    return sorted(found, key=lambda span: -span.evidence)


def differ(kind: Kind, one: str, other: str) -> bool:
    """Tell whether two answers to a question of this kind exclude each other.

    Numbers do where they have one unit and are further apart than either is exact, dates where
    a year, month, day or time that both state differs, names where neither holds the other. Nothing
    else, such as a reason, can be told.
    """
    ours, theirs = facts_of(one, None), facts_of(other, None)
    match kind:
        case "number" | "duration" | "thing":
            return _amounts_differ(ours.amounts, theirs.amounts)
        case "date":
            return _dates_differ(_stated(ours), _stated(theirs))
        case "person" | "place" | "organisation":
            name, name_too = letters(ours.text), letters(theirs.text)
            return name not in name_too and name_too not in name
        case _:
            return False


def _document(span: Span) -> str:
    return span.sentence.hit.passage.document_id


def _amounts_differ(ours: Sequence[Amount], theirs: Sequence[Amount]) -> bool:
    """Tell whether two texts state one quantity each, of one unit, and not the same."""
    if len(ours) != 1 or len(theirs) != 1:
        return False
    (one,), (other,) = ours, theirs
    if one.dimension != other.dimension or one.vague or other.vague:
        return False
    rough = max(_ROUGHLY * each.number for each in (one, other)) if one.bound or other.bound else 0
    return abs(one.number - other.number) >= max(one.step, other.step, rough)


def _stated(facts: Facts) -> dict[str, set[int]]:
    """Return the years, months, days and times of a text, by part."""
    return {
        part: {n for moment in facts.moments if (n := getattr(moment, part)) is not None}
        for part in ("year", "month", "day", "minute")
    }


def _dates_differ(ours: Mapping[str, set[int]], theirs: Mapping[str, set[int]]) -> bool:
    """Tell whether two texts state one year, month, day or time each, and not the same."""
    return any(
        len(ours[part]) == len(theirs[part]) == 1 and ours[part] != theirs[part] for part in ours
    )
