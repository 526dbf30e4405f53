"""Sentences cut into tokens, candidates and lists, every offset back in the original."""

from __future__ import annotations

import time

import numpy as np
import pytest
from asking import FEES, PAIRS, TOWN, asked
from hypothesis import given
from hypothesis import strategies as st

from rag.lists import item_text
from rag.question import analyse
from rag.rarity import rarity
from rag.spans import (
    FEATURES,
    MAX_CHARS,
    SENTENCE_SCORES,
    Parsed,
    coverage,
    expectation,
    features,
    matched_characters,
    parse,
    probe,
    type_fit,
)

SENTENCES = st.one_of(
    st.text(max_size=120),
    st.text(
        alphabet="的我市長三角、，。企业１0亿年月“”《》和与等分别abＡ "
        "é\u0301👨\u200d👩ﬁ㈱Ⅷ\u3000\n()（）",
        max_size=120,
    ),
)


def candidates(parsed: Parsed) -> set[str]:
    spans = (parsed.offsets(first, last) for first, last in parsed.candidates.tolist())
    return {parsed.source[start:end] for start, end in spans}


def lists(sentence: str) -> list[list[str]]:
    parsed = parse(sentence)
    return [[item_text(parsed, item) for item in group] for group in parsed.groups]


@given(SENTENCES)
def test_every_candidate_stands_in_the_sentence(sentence: str) -> None:
    parsed = parse(sentence)
    assert parsed.source == sentence
    for first, last in parsed.candidates.tolist():
        assert 0 <= first <= last < len(parsed.tokens)
        start, end = parsed.offsets(first, last)
        assert 0 <= start < end <= len(sentence)
        # The slice of the original folds to the very tokens it was made from.
        tokens = parsed.tokens
        assert parsed.folded.span(tokens[first].start, tokens[last].end) == (start, end)
        assert sentence[start:end].strip()


@given(SENTENCES)
def test_tokens_follow_one_another_and_leave_out_blanks_only(sentence: str) -> None:
    parsed = parse(sentence)
    text, position = parsed.folded.text, 0
    for token in parsed.tokens:
        assert not text[position : token.start].strip()
        assert token.start < token.end
        position = token.end
    assert not text[position:].strip()
    assert len(parsed.clause) == len(parsed.tokens)
    assert np.all(np.diff(parsed.clause) >= 0)


@given(SENTENCES)
def test_lists_hold_items_that_follow_one_another(sentence: str) -> None:
    parsed = parse(sentence)
    for group in parsed.groups:
        assert len(group) > 1
        ends = [token for item in group for token in item]
        assert ends == sorted(ends)
        assert [group[0][0], group[-1][1]] in parsed.candidates.tolist()


@given(SENTENCES, st.text(max_size=40))
def test_features_are_finite_numbers_for_any_text(sentence: str, question: str) -> None:
    rows = features(asked(question), parse(sentence), rarity, [0.5] * SENTENCE_SCORES)
    assert rows.shape == (len(parse(sentence).candidates), FEATURES)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()


@pytest.mark.parametrize(
    ("sentence", "answer"),
    [
        (TOWN, "约100亿元"),
        (TOWN, "江苏港利集团"),
        (TOWN, "教育小镇"),
        (FEES, "56%"),
        (FEES, "3个工作日以内"),
        (PAIRS, "江苏省中医院"),
        (PAIRS, "市人民医院、市中医医院、皖北康复医院"),
        ("引進上海交大王浩偉教授團隊。", "王浩偉教授"),
        ("项目“柔性智能机械手”夺冠。", "“柔性智能机械手”"),
        ("项目“柔性智能机械手”夺冠。", "柔性智能机械手"),
        ("总投资１００亿元😀。", "１００亿元"),
        ("能够直接对接合作,承接产业转移,壮大自身力量。", "承接产业转移,壮大自身力量"),
        ("发布时间:2019-10-29 15:28:46 稿源", "2019-10-29 15:28:46"),
    ],
)
def test_the_answer_is_among_the_candidates(sentence: str, answer: str) -> None:
    assert answer in candidates(parse(sentence))


def test_candidates_are_whole_words_and_balanced() -> None:
    found = candidates(parse("果力科技的“柔性智能机械手”项目（首届）夺冠，获得100亿元。"))
    assert "00亿元" not in found
    assert "100亿" not in found
    assert all(words.count("“") == words.count("”") for words in found)
    assert all(words.count("（") == words.count("）") for words in found)
    assert not any(words.startswith(("，", "的", "。")) for words in found)


@given(SENTENCES)
def test_no_candidate_is_longer_than_a_list_needs(sentence: str) -> None:
    parsed = parse(sentence)
    whole = {(group[0][0], group[-1][1]) for group in parsed.groups}
    for first, last in parsed.candidates.tolist():
        length = parsed.tokens[last].end - parsed.tokens[first].start
        assert length <= MAX_CHARS or last - first < 12 or (first, last) in whole


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("引进科大讯飞、东华软件等企业开展建设。", [["科大讯飞", "东华软件"]]),
        ("邀请专家、学者和党政领导来淮讲座。", [["专家", "学者", "党政领导"]]),
        (
            "加强在政务服务、文化教育、医疗卫生、生态环保等领域合作。",
            [["政务服务", "文化教育", "医疗卫生", "生态环保"]],
        ),
        ("大大缩短企业通关时间、降低通关费用。", [["大大缩短企业通关时间", "降低通关费用"]]),
        (
            "具备50万只活塞、26万套零部件和5000吨材料的生产能力。",
            [["50万只活塞", "26万套零部件", "5000吨材料"]],
        ),
        (
            PAIRS,
            [
                ["市人民医院", "市中医医院", "皖北康复医院"],
                ["上海东方肝胆医院", "江苏省中医院", "复旦大学附属华山医院"],
            ],
        ),
        ("打造“源创客”“梧桐树”等孵化基地。", [["源创客", "梧桐树"]]),
        ("中國與美國、日本和韓國簽署協議", [["美國", "日本", "韓國"]]),
        ("教育小镇成功落地。", []),
        ("价格是1，234元，共3件。", []),
        ("、", []),
        ("、开头的顿号", []),
        ("甲、、乙", []),
        ("科大讯飞、", []),
        ("科大讯飞、东华软件、", [["科大讯飞", "东华软件"]]),
        ("科大讯飞、东华软件、，其他", [["科大讯飞", "东华软件"]]),
    ],
)
def test_lists_are_cut_into_their_items(sentence: str, expected: list[list[str]]) -> None:
    assert lists(sentence) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "、".join(["上海电气"] * 80),
        "中" * 400,
        "一" * 400,
        "1" * 400,
        "1,1 " * 100,
        "“" * 400,
        "第三十万" * 100,
        "百万亿" * 133,
        "2019年10月" * 50,
        "江苏港利集团计划总投资约100亿元的教育小镇，成功落地" * 16,
    ],
    ids=lambda sentence: sentence[:6],
)
def test_a_sentence_of_400_characters_costs_little(sentence: str) -> None:
    parse("先行载入词典")
    made = asked("教育小镇总投资多少亿元？")
    started = time.process_time()
    features(made, parse(sentence), rarity, [0.5] * SENTENCE_SCORES)
    assert time.process_time() - started < 3


def test_a_probe_weighs_content_words_once() -> None:
    made = probe(analyse("教育小镇的教育总投资是多少？"), lambda word: len(word) / 10)
    weights = dict(made.terms)
    assert len(weights) == len(made.terms)
    assert weights["教育"] == pytest.approx(0.2)
    assert not {"的", "是", "多少", "？"} & set(weights)
    assert made.before == "教育小镇的教育总投资是"
    assert made.after == ""


def test_the_gap_is_no_term() -> None:
    assert not any("年" in term for term, _ in asked("合肥是哪一年加入的？").terms)


def test_coverage_is_a_share_of_each_term() -> None:
    made = probe(analyse("淮北海关何时获批？"), lambda _: 1.0)
    terms = [term for term, _ in made.terms]
    assert len(terms) >= 2
    assert np.allclose(coverage(made, "淮北海关获批成立"), 1)
    assert np.allclose(coverage(made, "天气"), 0)
    assert coverage(made, "").shape == (len(terms),)


@given(SENTENCES, st.text(max_size=40))
def test_coverage_lies_between_none_and_all(sentence: str, question: str) -> None:
    shares = coverage(asked(question), parse(sentence).folded.text)
    assert np.all((shares >= 0) & (shares <= 1))


def test_matched_characters_are_those_the_question_says() -> None:
    sentence = parse("教育小镇总投资约100亿元。")
    marks = matched_characters(asked("教育小鎮總投資多少？"), sentence)
    said = "".join(c for c, mark in zip(sentence.folded.text, marks, strict=True) if mark)
    assert said == "教育小镇总投资"


@pytest.mark.parametrize(
    ("question", "text", "tag", "fits"),
    [
        ("总投资多少？", "约100亿元", "Q", 1),
        ("总投资多少？", "教育小镇", "n", 0),
        ("哪一年加入？", "2010年", "T", 1),
        ("哪一年加入？", "100亿元", "Q", 0),
        ("要多久？", "三个小时", "Q", 1),
        ("谁的团队？", "王浩伟", "nr", 1),
        ("在哪座城市？", "台州市", "n", 1),
        ("哪家医院？", "江苏省中医院", "n", 1),
        ("哪家医院？", "王浩伟", "nr", 0),
    ],
)
def test_a_span_fits_the_kind_or_not(question: str, text: str, tag: str, fits: int) -> None:
    assert type_fit(analyse(question), text, tag)[0] == fits


def test_a_span_fits_the_unit_and_the_focus() -> None:
    assert type_fit(analyse("占地多少亩？"), "300亩", "Q")[1] == 1
    assert type_fit(analyse("占地多少亩？"), "300米", "Q")[1] == 0
    assert type_fit(analyse("引进了哪位教授？"), "王浩伟教授", "n")[2] == 1
    assert type_fit(analyse("引进了哪位教授？"), "上海交大", "n")[2] == 0


@pytest.mark.parametrize(
    ("question", "sentence", "answer", "other"),
    [
        ("图书馆几点开门？", "图书馆9:00开门，可坐300人", "9:00", "300人"),
        ("星期几闭馆？", "博物馆周一闭馆，年接待30万人", "周一", "30万人"),
        ("护照有效期几年？", "护照有效期10年，收费120元", "10年", "120元"),
        ("办结时限多少天？", "办结时限20日，收费30元", "20日", "30元"),
        ("多长时间一趟？", "一个半小时一趟，票价5元", "一个半小时", "5元"),
    ],
)
def test_a_time_is_expected_where_one_is_asked_for(
    question: str, sentence: str, answer: str, other: str
) -> None:
    parsed = parse(sentence)
    texts = [sentence[slice(*parsed.offsets(a, b))] for a, b in parsed.candidates.tolist()]
    odds = dict(zip(texts, expectation(analyse(question), parsed).tolist(), strict=True))
    assert odds[answer] > max(0, odds[other])
