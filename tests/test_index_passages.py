"""Sentences and passages: where they end, and that no character is lost."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index.documents import Document
from index.passages import LONGEST_SENTENCE, Passage, split_document, split_sentences

ARTICLE = (Path(__file__).parent.parent / "seeds" / "article.txt").read_text("utf-8")

PIECES = st.sampled_from(
    [
        *"。！？；…!?;.,，、：:\"“”‘’（）()《》「」 \t\n\r　·-#1234567890",
        "\r\n", "\n\n", "\u2028", "\xa0", "\u200b", "e\u0301", "👩‍👩‍👧", "𠮷", "한",
        "Mr. ", "3.14", "U.S. ", "e.g. ", "1. ", "第一章 ", "一、", "## ", "```\n",
        "《你好！世界》",
        "https://a.cn/x?y=1;z", "15:28:46", "12,345", "淮北市经济", "a" * 150,
        "字" * 150, "甲，" * 150,
    ]
)  # fmt: skip
TEXTS = st.one_of(st.lists(PIECES, max_size=60).map("".join), st.text(max_size=200))


def document(text: str) -> Document:
    return Document(id="d", title="", text=text, source="d")


def sentences(text: str) -> list[str]:
    return [sentence.text for sentence in split_sentences(text)]


def passages(text: str, max_chars: int = 200) -> list[Passage]:
    return split_document(document(text), max_chars=max_chars)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("今天下雨。明天呢？好！", ["今天下雨。", "明天呢？", "好！"]),
        ("如何携手?如何共赢?有答案.", ["如何携手?", "如何共赢?", "有答案."]),
        ("他说：“好。”然后走了。", ["他说：“好。”", "然后走了。"]),
        ('他说:"好。"然后走了。', ['他说:"好。"', "然后走了。"]),
        ('结束了。"开始"很难。', ["结束了。", '"开始"很难。']),
        ("真的吗？！……是的。", ["真的吗？！……", "是的。"]),
        ("他写了《谁动了我的奶酪？》的书评。", ["他写了《谁动了我的奶酪？》的书评。"]),
        ("《你好！李焕英》上映了。好看", ["《你好！李焕英》上映了。", "好看"]),
        ("一是快；二是好;三是省", ["一是快；", "二是好;", "三是省"]),
        ("增长3.14%，达12,345元,时间15:28:46。", ["增长3.14%，达12,345元,时间15:28:46。"]),
        ("见https://a.cn/x?y=1;z。完", ["见https://a.cn/x?y=1;z。", "完"]),
        (
            "Mr. Smith met J. Doe, e.g. at 3.5 p.m. in U.S. cities. Then he left.",
            ["Mr. Smith met J. Doe, e.g. at 3.5 p.m. in U.S. cities.", "Then he left."],
        ),
        ("It was 2010. Then came 2011.", ["It was 2010.", "Then came 2011."]),
        ("1. 总则 2. 细则", ["1. 总则 2.", "细则"]),
        ('He said "Go." Then left.', ['He said "Go."', "Then left."]),
        ("  一行\r\n\r\n 二行　\r三行 ", ["一行", "二行", "三行"]),
        ("好。😀\n真好。——", ["好。😀", "真好。——"]),
        ("", []),
        (" \n　", []),
    ],
)
def test_a_sentence_ends_where_a_reader_ends_it(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_ascii_commas_of_the_article_end_no_sentence() -> None:
    line = "市级涉企收费清单同比精简56%,企业开办时间压缩至3个工作日以内,服务效能显著提升。"
    assert line in sentences(ARTICLE)
    assert "[ 字体: 发布时间:2019-10-29 15:28:46 稿源:淮北日报社 ]" in sentences(ARTICLE)


def test_a_long_sentence_is_cut_after_commas() -> None:
    cut = sentences("春天来了，" * 200 + "完。")
    assert "".join(cut) == "春天来了，" * 200 + "完。"
    assert all(len(piece) <= LONGEST_SENTENCE for piece in cut)
    assert all(piece.endswith("，") for piece in cut[:-1])


def test_a_cut_never_parts_a_number() -> None:
    cut = sentences("1,234,567" + "字" * 385 + "9,876,543" + "字" * 300)
    assert any("9,876,543" in piece for piece in cut)


@settings(max_examples=300)
@given(TEXTS, st.integers(1, 500))
@example("a。" + '"' * 3, 1)
@example("《" + "甲，" * 199 + "！乙》" + "丙，" * 200, 1000)
def test_offsets_hold_and_nothing_is_lost(text: str, max_chars: int) -> None:
    found = list(split_sentences(text))
    assert all(text[s.start : s.end] == s.text == s.text.strip() != "" for s in found)
    covered = "".join(s.text for s in found)
    assert re.sub(r"\s", "", covered) == re.sub(r"\s", "", text)
    assert [s.start for s in found] == sorted(s.start for s in found)
    if re.search(r"[\x00\ud800-\udfff]", text) or not text.strip():
        return
    packed = split_document(document(text), max_chars=max_chars)
    assert all(text[p.start : p.end] == p.text for p in packed)
    # The sentences of the passages, split again, are the sentences of the text.
    assert [s for p in packed for s in p.sentences()] == found
    assert len({p.id for p in packed}) == len(packed)


@settings(max_examples=100)
@given(st.lists(st.lists(st.integers(1, 300), min_size=1), min_size=1), st.integers(1, 300))
def test_a_passage_is_long_only_for_one_sentence(paragraphs: list[list[int]], size: int) -> None:
    text = "\n".join("".join("字" * n + "。" for n in sizes) for sizes in paragraphs)
    for passage in passages(text, size):
        assert len(passage.text) <= size or len(passage.sentences()) == 1


def test_headings_of_the_article_apply_until_the_next() -> None:
    headings = list(dict.fromkeys(p.heading for p in passages(ARTICLE)))
    assert headings == [
        "",
        "产业优势互补推动经济协作",
        "加速创新驱动推动协同发展",
        "坚持对外开放推动互联互通",
        "不断创优环境推动资源共享",
        "创新体制机制推动形成合力",
    ]
    assert all(len(p.text) <= 200 + len(p.heading) for p in passages(ARTICLE))


BODY = "各单位要高度重视这项工作，明确分工，落实责任，确保各项任务按时完成，不得推诿。"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"# 总则 #\n{BODY}\n## 学习 C#\n{BODY}", ["总则", "学习 C#"]),
        (f"一、要求\n（一）指导思想\n{BODY}\n（二）原则\n{BODY}", ["（一）指导思想", "（二）原则"]),
        (f"第一章 总则\n{BODY}\n第二章 附则\n{BODY}", ["第一章 总则", "第二章 附则"]),
        (f"1. 背景\n{BODY}\n2. 目标\n{BODY}", ["1. 背景", "2. 目标"]),
        (f"2010年\n{BODY}", ["2010年"]),
        (f"清单\n苹果\n香蕉\n{BODY}", [""]),  # items, not headings
        (f"电话：0561-123\n{BODY}", [""]),
        (f"来得真快！\n{BODY}", [""]),
        (f"{BODY}\n# 尾声", ["", "尾声"]),  # nothing follows
        (f"```\n# 注释\n```\n{BODY}", [""]),
    ],
)  # fmt: skip
def test_headings_are_told_from_text(text: str, expected: list[str]) -> None:
    assert [p.heading for p in passages(text)] == expected


def test_long_paragraphs_stay_apart_and_short_ones_gather() -> None:
    long, short = "甲" * 120 + "。", "短句在此。"
    assert [p.text for p in passages(f"{long}\n{long}")] == [long, long]
    assert [p.text for p in passages(f"{short}\n\n{short}\n{short}")] == [
        f"{short}\n\n{short}\n{short}"
    ]
    assert [p.text for p in passages(f"{long}\n{short}")] == [long, short]


def test_a_long_paragraph_is_packed_evenly() -> None:
    paragraph = ("甲" * 49 + "。") * 5
    assert [len(p.text) for p in passages(paragraph)] == [150, 100]


def test_impossible_size_is_refused() -> None:
    with pytest.raises(ValueError, match="max_chars"):
        split_document(document("字"), max_chars=0)


ROWS = "\n".join(f"| 事项{n} | {n}个工作日 | {n}0元 |" for n in range(1, 41))
COLUMNS = "事项、办理时限、收费"


@pytest.mark.parametrize("rule", ["|---|---|---|", "| :-- | --: | :-: |"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_passages_among_the_rows_of_a_table_know_its_columns(rule: str, end: str) -> None:
    text = f"# 指南\n| 事项 | 办理时限 | 收费 |\n{rule}\n{ROWS}\n\n{BODY * 6}".replace("\n", end)
    first, *others = passages(text)
    assert first.heading == "指南"
    assert "| 事项 |" in first.text
    among = [p for p in others if "个工作日" in p.text]
    assert len(among) > 2
    assert {p.heading for p in among} == {f"指南：{COLUMNS}"}
    assert {p.heading for p in others if p not in among} == {"指南"}


@pytest.mark.parametrize("rule", ["--- | --- | ---", ":--|--:|:-:"])
def test_a_table_needs_no_pipes_around_its_rows(rule: str) -> None:
    rows = ROWS.replace("| 事项", "事项").replace(" |\n", "\n")
    _, *among = passages(f"# 指南\n事项 | 办理时限 | 收费\n{rule}\n{rows}")
    assert len(among) > 2
    assert {p.heading for p in among} == {f"指南：{COLUMNS}"}


@pytest.mark.parametrize(
    "text",
    [
        ROWS,  # no head
        f"    | 甲 | 乙 | 丙 |\n|---|---|---|\n{ROWS}",  # code
        f"甲乙丙\n---\n{ROWS}",  # a heading underlined
        f"| 甲 | 乙 |\n{ROWS}",  # no rule
        f"|{'长' * 201}|\n|---|\n{ROWS}",  # no head that anybody would write
    ],
)
def test_rows_without_names_of_columns_have_the_heading_alone(text: str) -> None:
    assert {p.heading for p in passages(f"# 指南\n{text}")} == {"指南"}


def test_a_table_straight_behind_another_has_its_own_columns() -> None:
    second = "| 姓名 | 电话 |\n| --- | --- |\n" + "\n".join(f"| 周敏{n} | {n} |" for n in range(60))
    text = f"# 指南\n  | **事项** | `甲\\|乙` |\n  |---|---|\n  {ROWS}\n{second}"
    found = passages(text.replace("\n|", "\n   |"))
    headings = [p.heading for p in found if p.text.startswith(("| 事项", "| 周敏"))]
    assert list(dict.fromkeys(headings)) == ["指南：事项、甲|乙", "指南：姓名、电话"]


@pytest.mark.parametrize("piece", ["|", "-", "|a|\n", "|-", "|-|\n", "|a|\n|-|\n", " |", "`", "~"])
def test_hostile_tables_and_fences_take_time_by_their_length(piece: str) -> None:
    begun = time.monotonic()
    passages("|a|\n|-|\n" + piece * (100_000 // len(piece)))
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize(
    "code",
    [
        "```python\n# 注释\n```",
        "~~~ python\n# 注释\n```\n# 注释\n~~~",
        "````\n# 注释\n```\n# 注释\n`````",
        "```\n# 注释\n```python\n# 注释\n```",
        "```code``` 是一行里的代码。",
        "~~~ 不 是 代码。",
    ],
)
def test_only_a_fence_opens_and_closes_code(code: str) -> None:
    found = passages(f"# 甲\n{BODY * 3}\n{code}\n# 乙\n{BODY * 3}")
    assert list(dict.fromkeys(p.heading for p in found)) == ["甲", "乙"]
