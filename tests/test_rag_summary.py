"""Summaries: few verbatim sentences, of the whole document or of one topic."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import FEES, PAIRS, TOWN, document, letter_library, scored, seed_articles

from index.library import DiskLibrary
from rag.default_library import SEED_ID, seed_document
from rag.summary import MAX_SENTENCES, about, summarise

BODY = "我市聚焦创新驱动推动协同发展的步伐一直在加速，吸引更多的科技资源集聚。"


@pytest.fixture(scope="module")
def seeds(seeded_home: Path) -> Iterator[DiskLibrary]:
    with seed_articles(seeded_home) as library:
        yield library


def test_the_article_is_summed_up_in_its_own_sentences(seeds: DiskLibrary) -> None:
    text = seed_document().text
    found = summarise(seeds, SEED_ID)
    assert 3 <= len(found) <= MAX_SENTENCES
    assert all(text[s.start : s.end] == s.text for s in found)
    starts = [s.start for s in found]
    assert starts == sorted(set(starts))
    assert sum(len(s.text) for s in found) < len(text) / 3


def test_the_sections_of_the_article_are_each_heard_once(seeds: DiskLibrary) -> None:
    headings = [
        next(p.heading for p in seeds.passages(SEED_ID) if p.start <= s.start < p.end)
        for s in summarise(seeds, SEED_ID)
    ]
    assert len(set(headings)) == len(headings)


def test_navigation_and_the_dateline_are_no_summary(seeds: DiskLibrary) -> None:
    said = "".join(s.text for s in summarise(seeds, SEED_ID))
    assert "当前页面" not in said
    assert "发布时间" not in said


def test_a_document_of_one_section_gives_three_sentences(tmp_path: Path) -> None:
    text = f"{TOWN}{FEES}{PAIRS}{BODY}谁能想到会有今天这样的好成绩呢？短。"
    with letter_library(tmp_path / "库", document(text)) as library:
        found = summarise(library, "报道.txt")
    assert len(found) == 3
    assert {s.text for s in found} < {TOWN, FEES, PAIRS, BODY}


def test_a_document_that_says_the_same_again_is_not_repeated(tmp_path: Path) -> None:
    with letter_library(tmp_path / "库", document(f"{TOWN}{TOWN}{PAIRS}{FEES}")) as library:
        assert len({s.text for s in summarise(library, "报道.txt")}) == 3


@pytest.mark.parametrize("text", ["短。", "为什么会这样呢？真的吗？", "好。是。对。"])
def test_a_document_without_a_full_sentence_gives_its_first(tmp_path: Path, text: str) -> None:
    with letter_library(tmp_path / "库", document(text)) as library:
        (found,) = summarise(library, "报道.txt")
    assert text.startswith(found.text)


def test_a_document_that_is_not_there_has_no_summary(tmp_path: Path) -> None:
    with letter_library(tmp_path / "库", document(TOWN)) as library:
        assert summarise(library, "没有.txt") == []


def test_a_topic_is_told_by_sentences_of_the_best_document() -> None:
    sentences = scored("概括一下教育小镇", f"{TOWN}{FEES}{PAIRS}", f"{TOWN}另有消息。")
    found = about(sentences)
    best = sentences[0].hit.passage.document_id
    text = f"{TOWN}{FEES}{PAIRS}" if best == "0.txt" else f"{TOWN}另有消息。"
    assert 1 <= len(found) <= 3
    assert all(text[s.start : s.end] == s.text for s in found)
    assert TOWN in [s.text for s in found]
    assert [s.start for s in found] == sorted(s.start for s in found)


def test_a_section_with_a_table_is_heard_once(tmp_path: Path) -> None:
    rows = "\n".join(f"| 企业开办事项第{n}号 | {n}个工作日之内 |" for n in range(40))
    table = f"| 事项 | 办理时限 |\n|---|---|\n{rows}"
    text = f"# 指南\n{BODY}\n\n{table}\n\n{TOWN}\n# 收费\n{FEES}"
    with letter_library(tmp_path / "库", document(text)) as library:
        headings = {passage.heading for passage in library.passages("报道.txt")}
        found = summarise(library, "报道.txt")
    assert "指南：事项、办理时限" in headings
    assert len(found) == 2
    assert found[1].text == FEES
