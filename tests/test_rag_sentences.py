"""Scored sentences: order, ranges, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
from asking import FEES, PAIRS, TOWN, asked, document, hits_of, scored
from hypothesis import given
from hypothesis import strategies as st
from letters import LetterEmbedder

from rag.sentences import score_sentences
from rag.spans import SENTENCE_SCORES

TEXT = f"{FEES}{TOWN}\n{PAIRS}今天没有别的消息！"


def test_the_sentence_that_speaks_of_it_comes_first() -> None:
    assert scored("教育小镇计划总投资是多少？", TEXT)[0].sentence.text == TOWN
    assert scored("企业开办时间压缩至几个工作日？", TEXT)[0].sentence.text == FEES
    assert scored("市中醫醫院與誰建立協作關係？", TEXT)[0].sentence.text == PAIRS


def test_every_sentence_of_every_hit_is_there_once() -> None:
    found = scored("教育小镇？", TEXT, TEXT, "另一篇报道。")
    placed = [(s.hit.passage.document_id, s.sentence.start) for s in found]
    assert len(set(placed)) == len(placed)
    texts = (document(text, f"{n}.txt") for n, text in enumerate((TEXT, TEXT, "另一篇报道。")))
    assert sorted(placed) == [
        (hit.passage.document_id, sentence.start)
        for hit in hits_of(*texts)
        for sentence in hit.passage.sentences()
    ]


def test_scores_lie_in_their_ranges_and_fall() -> None:
    found = scored("教育小镇计划总投资是多少？", TEXT, "无关的一句话。")
    assert [s.fused for s in found] == sorted((s.fused for s in found), reverse=True)
    for each in found:
        assert -1 <= each.cosine <= 1 + 1e-6
        assert 0 <= each.covered <= each.covered_nearby <= 1 + 1e-9
        assert 0 <= each.fused <= 1
        assert len(each.scores) == SENTENCE_SCORES
        assert each.parsed.source == each.sentence.text


@given(
    st.text(max_size=30),
    st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=60).filter(str.strip),
)
def test_any_question_scores_any_text(question: str, text: str) -> None:
    found = scored(question, text, TOWN)
    assert TOWN in [s.sentence.text for s in found]
    assert all(np.isfinite([s.cosine, s.covered, s.fused, *s.scores]).all() for s in found)
    assert all(0 <= s.fused <= 1 for s in found)


def test_no_hits_give_no_sentences() -> None:
    question = LetterEmbedder().embed_question("问")
    assert score_sentences(asked("问？"), [], question, []) == []


def test_a_question_without_a_word_is_scored_by_meaning_alone() -> None:
    assert {s.covered for s in scored("？？", TEXT)} == {0.0}


def test_a_heading_is_no_answer() -> None:
    text = "教育小镇总投资\n\n" + "江苏港利集团计划投资约100亿元，这个项目已经成功落地。" * 2
    assert "教育小镇总投资" not in [s.sentence.text for s in scored("教育小镇总投资？", text)]


def test_a_heading_alone_is_better_than_nothing() -> None:
    assert [s.sentence.text for s in scored("关于什么？", "# 关于规划")] == ["# 关于规划"]


def test_what_stands_nearby_counts_for_the_passage() -> None:
    text = "教育小镇落户淮北。总投资约100亿元。"
    found = {s.sentence.text: s for s in scored("教育小镇总投资多少？", text)}
    here = found["总投资约100亿元。"]
    assert here.covered_nearby > here.covered
    assert here.covered_nearby == pytest.approx(1)
