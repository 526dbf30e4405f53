"""Lists: a span widened to the whole list, or turned to the item that 分别 pairs."""

from __future__ import annotations

import pytest
from asking import PAIRS, TOWN, asked, span
from hypothesis import given
from hypothesis import strategies as st

from rag.lists import item_text, pairings, partner, whole_list
from rag.spans import parse

HOSPITALS = ["市人民医院", "市中医医院", "皖北康复医院"]
PARTNERS = ["上海东方肝胆医院", "江苏省中医院", "复旦大学附属华山医院"]
CITIES = "北京 上海 广州 深圳 杭州 成都 武汉 南京 西安 重庆 天津 苏州".split()


@pytest.mark.parametrize(
    ("sentence", "words", "expected"),
    [
        (PAIRS, "江苏省中医院", PARTNERS),
        (PAIRS, "江苏省中医院、复旦大学", PARTNERS),
        (PAIRS, "市中医医院", HOSPITALS),
        ("引进科大讯飞、东华软件等企业。", "科大讯飞", ["科大讯飞", "东华软件"]),
        ("邀请专家、学者和党政领导来淮讲座。", "专家", ["专家", "学者", "党政领导"]),
        ("創新海關監管、檢驗檢疫兩項制度。", "監管", ["海關監管", "檢驗檢疫兩項制度"]),
        ("培育火电、水电、风电产业集群。", "火电、水电、风电产业", ["火电", "水电", "风电产业"]),
        (
            "实行事前联防、事中联控、事后联查。",
            "事前联防、事中联控、事后联查",
            ["事前联防", "事中联控", "事后联查"],
        ),
        ("搭建“小橘灯”“木棉花”等平台。", "小橘灯”“木棉花", ["小橘灯", "木棉花"]),
        (
            "印发《甲、乙办法》、《丙细则》和目录。",
            "《甲、乙办法》、《丙细则》和目录",
            ["《甲、乙办法》", "《丙细则》", "目录"],
        ),
        (TOWN, "约100亿元", ["约100亿元"]),
        (PAIRS, "协作关系", ["协作关系"]),
    ],
)
def test_a_span_becomes_the_list_it_is_in(sentence: str, words: str, expected: list[str]) -> None:
    assert whole_list(asked("有哪些？"), span(sentence, words)).items == expected


@pytest.mark.parametrize("words", ["、", "、、"])
def test_a_list_of_nothing_is_the_span_itself(words: str) -> None:
    assert whole_list(asked("有哪些？"), span("、、。", words)) == ([words], words)


@given(st.lists(st.sampled_from(CITIES), min_size=2, max_size=8, unique=True), st.data())
def test_any_list_of_names_is_returned_whole(names: list[str], data: st.DataObject) -> None:
    last = data.draw(st.sampled_from(["、", "和", "以及"]))
    joined = "、".join(names[:-1]) + (last if len(names) > 2 else "、") + names[-1]
    chosen = data.draw(st.sampled_from(names))
    listed = whole_list(asked("来到哪些城市？"), span(f"这次来到{joined}。", chosen))
    assert listed == (names, joined)


@pytest.mark.parametrize(
    ("question", "sentence", "words", "expected"),
    [
        ("有哪三种店？", "有茶馆、书店和饭馆。", "书店", "茶馆、书店和饭馆"),
        ("有哪些平台？", "搭建“小橘灯”“木棉花”等平台。", "小橘灯", "“小橘灯”“木棉花”等平台"),
        ("送了什么礼物？", "送去毛巾、水杯等日常用品。", "毛巾", "毛巾、水杯等"),
        ("哪六个区？", "丰台、通州等6个城区。", "丰台", "丰台、通州等"),
        ("哪6个城区？", "丰台、通州等6个城区。", "丰台", "丰台、通州等6个城区"),
        ("和哪些企业签约？", "與「甲」「乙」等企業簽約。", "甲", "「甲」「乙」等企業"),
        ("哪些人参加？", "甲（站长）、乙，其中丙没有来。", "乙", "甲（站长）、乙"),
    ],
)
def test_a_list_is_written_as_its_sentence_has_it(
    question: str, sentence: str, words: str, expected: str
) -> None:
    assert whole_list(asked(question), span(sentence, words)).text == expected


@pytest.mark.parametrize(
    ("question", "found", "expected"),
    [
        ("市人民医院与哪家医院建立协作关系？", "江苏省中医院", "上海东方肝胆医院"),
        ("市中医医院与哪家医院合作？", "上海东方肝胆医院", "江苏省中医院"),
        ("皖北康复医院和谁合作？", "江苏省中医院", "复旦大学附属华山医院"),
        ("江苏省中医院与哪家医院协作？", "市人民医院", "市中医医院"),
        ("复旦大学附属华山医院与淮北哪家医院协作？", "市人民医院", "皖北康复医院"),
        ("市中醫醫院與哪家醫院合作？", "上海东方肝胆医院", "江苏省中医院"),
    ],
)
def test_the_partner_of_the_item_named(question: str, found: str, expected: str) -> None:
    assert partner(asked(question), span(PAIRS, found)) == expected


def test_a_name_that_ends_in_a_part_of_another_word_is_paired() -> None:
    sentence = "这项技术被教育部、工信部分别写进“十四五”教育规划、国家首批次新材料名单。"
    found = span(sentence, "“十四五”教育规划")
    assert partner(asked("工信部把它写进了哪份名单？"), found) == "国家首批次新材料名单"


@pytest.mark.parametrize(
    ("question", "sentence", "found"),
    [
        # Lists of different lengths pair nothing.
        ("香蕉产自哪里？", "苹果、香蕉分别产自山东、海南、云南。", "海南"),
        # No 分别, no pairs.
        ("李娜去哪里？", "张伟、李娜、王强去了北京、上海、广州。", "上海"),
        # The question names none of the items, or all of them.
        ("赵敏来自哪里？", "张伟、李娜、王强分别来自北京、上海、广州。", "上海"),
        ("三家医院分别与哪些医院合作？", PAIRS, "江苏省中医院"),
        # The span answers something else.
        ("市中医医院建立了什么关系？", PAIRS, "协作关系"),
        ("教育小镇总投资多少？", TOWN, "约100亿元"),
    ],
)
def test_no_partner_where_nothing_is_paired(question: str, sentence: str, found: str) -> None:
    assert partner(asked(question), span(sentence, found)) is None


@given(st.lists(st.sampled_from(CITIES), min_size=4, max_size=10, unique=True), st.data())
def test_the_ith_is_paired_with_the_ith(names: list[str], data: st.DataObject) -> None:
    half = len(names) // 2
    left, right = names[:half], names[half : 2 * half]
    k = data.draw(st.integers(0, half - 1))
    word = data.draw(st.sampled_from(["分别", "依次"]))
    sentence = f"{'、'.join(left)}{word}支援{'、'.join(right)}。"
    assert partner(asked(f"{left[k]}支援哪座城市？"), span(sentence, right[0])) == right[k]
    assert partner(asked(f"哪座城市支援{right[k]}？"), span(sentence, left[-1])) == left[k]


COMPANIES = (
    "上海公司和苏州公司的营业收入分别为3.2亿元和4.1亿元，上半年员工分别有520人和610人，"
    "总经理分别是钱程与陆文涛。"
)
YEARS = "2022年、2023年营业收入分别为30.18亿元、34.45亿元，研发投入分别为1.52亿元、1.98亿元。"


@pytest.mark.parametrize(
    ("question", "sentence", "found", "expected"),
    [
        ("2023年研发投入是多少？", YEARS, "1.52亿元", "1.98亿元"),
        ("2022年研发投入是多少？", YEARS, "1.98亿元", "1.52亿元"),
        ("2023年营业收入是多少？", YEARS, "30.18亿元", "34.45亿元"),
        ("哪一年研发投入1.98亿元？", YEARS, "2022年", "2023年"),
        ("苏州公司有多少员工？", COMPANIES, "520人", "610人"),
        ("上海公司营业收入多少？", COMPANIES, "4.1亿元", "3.2亿元"),
        ("陆文涛是哪家公司的总经理？", COMPANIES, "上海公司", "苏州公司"),
        (
            "赵六得了几等奖？",
            "张三、李四分别得一等奖、二等奖，王五、赵六分别得三等奖、优秀奖。",
            "三等奖",
            "优秀奖",
        ),
    ],
)
def test_each_list_behind_another_respectively_is_paired_with_the_names(
    question: str, sentence: str, found: str, expected: str
) -> None:
    assert partner(asked(question), span(sentence, found)) == expected


@pytest.mark.parametrize(
    "sentence",
    ["会议由张三和李四主持，各部门和各街道汇报了工作和计划。", "张三和李四去了北京和上海。", TOWN],
)
def test_what_nothing_pairs_is_not_paired(sentence: str) -> None:
    assert pairings(parse(sentence)) == []


def test_the_pairing_is_that_of_the_two_lists() -> None:
    parsed = parse(PAIRS)
    (pairing,) = pairings(parsed)
    assert [item_text(parsed, item) for item in pairing.left] == HOSPITALS
    assert [item_text(parsed, item) for item in pairing.right] == PARTNERS
