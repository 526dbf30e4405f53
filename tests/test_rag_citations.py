"""Citations: numbered, each once, verbatim at its offsets, on its page."""

from __future__ import annotations

from dataclasses import replace

import pytest
from asking import FEES, PAIRS, TOWN, document
from hypothesis import given
from hypothesis import strategies as st

from index.documents import Document
from index.errors import LibraryCorrupt
from index.passages import Sentence, split_sentences
from rag.citations import Claim, cite, distinct

REPORT = document(f"{TOWN}{FEES}\n{PAIRS}", "报道.txt")
OTHER = document(f"{TOWN}", "另一篇.txt")


def sentences(made: Document) -> list[Sentence]:
    return list(split_sentences(made.text))


def test_a_claim_carries_its_sentence() -> None:
    town = sentences(REPORT)[0]
    (claim,) = cite([("约100亿元", REPORT, town)])
    (citation,) = claim.citations
    assert (claim.text, claim.supported, claim.problems) == ("约100亿元", True, ())
    assert (citation.number, citation.quote) == (1, TOWN)
    assert REPORT.text[citation.start : citation.end] == TOWN
    assert (citation.document_id, citation.title) == ("报道.txt", "标题：报道.txt")
    assert (citation.source, citation.page) == ("/文档/报道.txt", None)


def test_numbers_count_sentences_not_claims() -> None:
    town, fees, pairs = sentences(REPORT)
    made = cite(
        [
            ("市人民医院", REPORT, pairs),
            ("56%", REPORT, fees),
            ("市中医医院", REPORT, pairs),
            ("约100亿元", REPORT, town),
        ]
    )
    assert [claim.citations[0].number for claim in made] == [1, 2, 1, 3]
    assert [c.quote for c in distinct(made)] == [PAIRS, FEES, TOWN]
    assert [c.number for c in distinct(made)] == [1, 2, 3]


def test_the_same_offsets_of_another_document_are_another_citation() -> None:
    made = cite([("甲", REPORT, sentences(REPORT)[0]), ("乙", OTHER, sentences(OTHER)[0])])
    assert [c.document_id for c in distinct(made)] == ["报道.txt", "另一篇.txt"]


def test_a_sentence_that_its_document_does_not_say_is_not_cited() -> None:
    town = sentences(REPORT)[0]
    damaged = Sentence(town.start, town.end, town.text.replace("100", "900"))
    moved = Sentence(town.start + 1, town.end + 1, town.text)
    for sentence in (damaged, moved):
        with pytest.raises(LibraryCorrupt, match=r"报道\.txt 的段落与原文不符.*wenju rebuild"):
            cite([("约100亿元", REPORT, town), ("约900亿元", REPORT, sentence)])


def test_no_claims_cite_nothing() -> None:
    assert cite([]) == ()
    assert distinct([Claim("无据", (), supported=False, problems=("没有依据",))]) == ()


def test_a_sentence_that_the_document_does_not_say_is_not_cited() -> None:
    (town, *_) = sentences(REPORT)
    harmed = replace(town, text=town.text.replace("1", "9") + "！")
    with pytest.raises(LibraryCorrupt, match="wenju rebuild"):
        cite([("约100亿元", REPORT, harmed)])


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ([0, 10, 20], [1, 1, 2, 2, 3]),
        ([0], [1] * 5),
        ([5, 20], [1, 1, 1, 1, 2]),  # what stands before the first page is on it
        ([], [1] * 5),
        (None, [None] * 5),
        ("第一页", [None] * 5),
    ],
)
def test_the_page_is_where_the_quote_begins(pages: object, expected: list[int | None]) -> None:
    made = document("中" * 30, pages=pages) if pages is not None else document("中" * 30)
    found = [
        cite([("中", made, Sentence(at, at + 3, "中中中"))])[0].citations[0].page
        for at in (0, 9, 10, 19, 25)
    ]
    assert found == expected


@given(
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1).filter(str.strip),
    st.data(),
)
def test_every_quote_is_verbatim(text: str, data: st.DataObject) -> None:
    made = document(text)
    chosen = data.draw(st.lists(st.sampled_from(sentences(made)), max_size=6))
    cited = distinct(cite((s.text, made, s) for s in chosen))
    assert all(made.text[c.start : c.end] == c.quote for c in cited)
    assert {(c.start, c.quote) for c in cited} == {(s.start, s.text) for s in chosen}
    assert [c.number for c in cited] == list(range(1, len(cited) + 1))
