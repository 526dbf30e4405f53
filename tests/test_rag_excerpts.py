"""Excerpts: the marks stand where the spans do, and nothing is shown twice."""

from __future__ import annotations

from index.documents import Document
from rag.excerpts import excerpts
from rag.metrics import Span
from rag.report import Excerpt

TEXT = "".join(chr(0x4E00 + at) for at in range(1000))
DOCUMENTS = {name: Document(name, f"《{name}》", TEXT, name) for name in ("甲", "乙")}


def span(start: int, end: int, name: str = "甲") -> Span:
    return Span(name, start, end)


def marked(excerpt: Excerpt) -> tuple[list[str], list[str]]:
    evidence, cited = (
        [excerpt.text[start:end] for start, end in marks]
        for marks in (excerpt.evidence, excerpt.cited)
    )
    return evidence, cited


def test_evidence_and_citation_are_marked_in_their_surroundings() -> None:
    (made,) = excerpts([(span(300, 310),)], [span(305, 330)], DOCUMENTS.get)
    assert (made.title, made.start, made.length) == ("《甲》", 200, 1000)
    assert made.text == TEXT[200:430]
    assert marked(made) == ([TEXT[300:310]], [TEXT[305:330]])


def test_what_is_far_apart_or_in_another_document_is_shown_apart() -> None:
    evidence = [(span(0, 5),), (span(700, 705, "乙"),)]
    made = excerpts(evidence, [span(900, 1000)], DOCUMENTS.get)
    assert [(each.title, each.start) for each in made] == [
        ("《甲》", 0),
        ("《甲》", 800),
        ("《乙》", 600),
    ]
    assert [marked(each) for each in made] == [
        ([TEXT[:5]], []),
        ([], [TEXT[900:]]),
        ([TEXT[700:705]], []),
    ]


def test_of_several_places_the_cited_one_is_shown_else_the_first() -> None:
    places = (span(100, 110), span(600, 610))
    (made,) = excerpts([places], [span(590, 640)], DOCUMENTS.get)
    assert made.start == 490
    assert marked(made)[0] == [TEXT[600:610]]
    (made,) = excerpts([places], [], DOCUMENTS.get)
    assert marked(made)[0] == [TEXT[100:110]]


def test_a_citation_of_no_document_has_no_excerpt() -> None:
    assert excerpts([], [span(0, 5, "丙")], DOCUMENTS.get) == ()
