"""Drafts: whatever a model marks and wherever, its claims are found, whole and as they come."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag.drafts import Draft, drafts

FORMS = {
    "[1]": (1,),
    "[1][2]": (1, 2),
    "[1,2]": (1, 2),
    "[1，3、4]": (1, 3, 4),
    "[1-3]": (1, 2, 3),
    "【1】": (1,),
    "［1］": (1,),
    "（2）": (2,),
    "(2)": (2,),
    "[^1]": (1,),
    "[来源1]": (1,),
    "[资料：2]": (2,),
    "[Source 2]": (2,),
    "【3†source】": (3,),
    "[1] [2]": (1, 2),
    "[2][2]": (2,),
}


def said(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """Return the claims of a text with their markers."""
    return [(draft.text, draft.markers) for draft in drafts(text)[0]]


def whole(text: str) -> str:
    """Return a text as its claims have it."""
    return "".join(draft.lead + draft.text for draft in drafts(text)[0])


@pytest.mark.parametrize(
    "place",
    [
        "投资100亿元{}。位于淮北。",
        "投资100亿元 {}。位于淮北。",
        "投资100亿元。{}位于淮北。",
        "投资100亿元。 {} 位于淮北。",
        "投资100亿元。{}\n位于淮北。",
        "投资100亿元。\n{}\n位于淮北。",
        "**投资100亿元。**{}位于淮北。",
        "**投资100亿元{}。** 位于淮北。",
    ],
)
@pytest.mark.parametrize(("marker", "numbers"), FORMS.items())
def test_a_marker_of_any_form_belongs_to_the_sentence_before(
    marker: str, numbers: tuple[int, ...], place: str
) -> None:
    assert said(place.format(marker)) == [("投资100亿元。", numbers), ("位于淮北。", ())]


@pytest.mark.parametrize("marker", ["[1]", "【1】", "[^1]", "[来源1]"])
def test_a_marker_may_also_begin_a_line(marker: str) -> None:
    text = f"{marker} 投资100亿元。\n{marker} 位于淮北。"
    assert said(text) == [("投资100亿元。", (1,)), ("位于淮北。", (1,))]


def test_the_last_marker_may_stand_alone() -> None:
    assert said("投资100亿元。\n[2]") == [("投资100亿元。", (2,))]


@pytest.mark.parametrize(
    "text", ["（2019）年报。", "第（1）条写明了。", "共[数]人。", "约（100多）人。"]
)
def test_not_every_bracket_is_a_marker(text: str) -> None:
    assert said(text) == [(text, ())]


@pytest.mark.parametrize("text", ["", " \n", "[1]", "。", "**", "- \n- ", "——"])
def test_what_says_nothing_has_no_claims(text: str) -> None:
    assert drafts(text) == ([], "")


@pytest.mark.parametrize(
    "text",
    [
        "- 甲公司[1]\n- 乙公司[2]",
        "* 甲公司[1]\n* 乙公司[2]",
        "• 甲公司[1]\n• 乙公司[2]",
        "1. 甲公司[1]\n2. 乙公司[2]",
        "1、甲公司[1]\n2、乙公司[2]",
        "1) 甲公司[1]\n2) 乙公司[2]",
        "（1）甲公司[1]\n（2）乙公司[2]",
        "- **甲公司**[1]\n- **乙公司**[2]",
        "## 甲公司[1]\n## 乙公司[2]",
        "- `甲公司`[1]\n\n\n- __乙公司__[2]\n",
    ],
)
def test_lists_are_told_apart_from_their_markup(text: str) -> None:
    assert said(text)[-2][0].endswith("甲公司")
    assert whole(text).replace(" ", "") == "甲公司\n乙公司"
    assert said(text)[-1] == ("乙公司", (2,))


def test_a_figure_at_the_beginning_is_no_number_of_a_list() -> None:
    assert said("3.5亿元已到位。\n2019年完成。") == [("3.5亿元已到位。", ()), ("2019年完成。", ())]


def test_the_words_that_introduce_a_list_go_with_each_item() -> None:
    found, rest = drafts("主要包括：\n- 甲公司[1]\n- 乙公司[2]\n此外还有丙。")
    assert rest == ""
    assert found == [
        Draft("甲公司", "主要包括：\n", "主要包括：甲公司", (1,)),
        Draft("乙公司", "\n", "主要包括：乙公司", (2,)),
        Draft("此外还有丙。", "\n", "此外还有丙。", ()),
    ]


def test_an_introduction_of_nothing_is_a_claim() -> None:
    assert said("甲。\n主要包括：") == [("甲。", ()), ("主要包括：", ())]
    assert whole("甲。\n主要包括：") == "甲。\n主要包括："


def test_emphasis_over_sentences_leaves_nothing_behind() -> None:
    assert whole("**投资100亿元。位于淮北。**结束了。") == "投资100亿元。位于淮北。结束了。"
    assert whole("投资**100亿元**，2*3*4。") == "投资100亿元，2*3*4。"


def test_english_is_joined_by_blanks() -> None:
    text = "The town costs 10 billion yuan [1]. It is in Huaibei.[2] See Dr. Li."
    assert said(text) == [
        ("The town costs 10 billion yuan.", (1,)),
        ("It is in Huaibei.", (2,)),
        ("See Dr. Li.", ()),
    ]
    assert whole(text) == "The town costs 10 billion yuan. It is in Huaibei. See Dr. Li."


def test_the_last_sentence_of_a_text_that_grows_is_its_rest_without_half_a_marker() -> None:
    assert drafts("甲。乙。[", finished=False) == ([Draft("甲。", "", "甲。", ())], "乙。")
    assert drafts("甲。\n乙。\n[1", finished=False) == ([Draft("甲。", "", "甲。", ())], "\n乙。")
    assert drafts("甲包括：\n- 乙", finished=False) == ([], "甲包括：\n乙")
    assert drafts("甲。**", finished=False) == ([], "甲。")
    assert drafts("", finished=False) == ([], "")


_PLAIN = st.lists(st.sampled_from(["投资", "100", "亿元", "，", "。", "！", "\n", "小镇", "、"]))


@given(_PLAIN.map("".join))
def test_no_text_is_lost(text: str) -> None:
    kept = re.sub(r"\s|(?m:^[，。！、\s]+)", "", text)
    assert re.sub(r"\W", "", whole(text)) == re.sub(r"\W", "", kept)


_PARTS = st.lists(
    st.sampled_from(
        [
            *'甲乙1.?"”)。；：，\n -*[]（）【】',
            "[1]",
            "（2）",
            "。[2]",
            "\n[1]",
            "**",
            "- ",
            "包括：\n",
        ]
    ),
    max_size=30,
)


@given(_PARTS.map("".join), st.data())
@settings(max_examples=500)
@example("甲。\n[1]", None)
@example("甲甲。[2][?**]甲", None)
@example("甲\n**[1]", None)
@example("甲\n**[", None)
def test_what_is_found_of_a_beginning_is_found_of_the_whole(
    text: str, data: st.DataObject | None
) -> None:
    cuts = [data.draw(st.integers(0, len(text)))] if data else range(len(text) + 1)
    found, _ = drafts(text)
    for cut in cuts:
        begun, _ = drafts(text[:cut], finished=False)
        assert begun == found[: len(begun)]


def shown(text: str) -> str:
    """Return what is shown of a text that grows."""
    found, rest = drafts(text, finished=False)
    return "".join(draft.lead + draft.text for draft in found) + rest


_MARKUP = st.lists(
    st.sampled_from(
        [
            *"甲乙a1_*`[]()（）《》|#。：，.-“” \n",
            "**",
            "__",
            "[1]",
            "[来源：1]",
            "【2†甲】",
            "[甲](http://a/b)",
            "《甲。乙》",
            "\n## ",
            "\n- ",
            "\n1. ",
            "\n| ",
            "\n|---|",
            "\n来源：",
            "\n参考资料\n",
            "\n[^1]: ",
            "包括：\n",
        ]
    ),
    max_size=24,
)


@given(_MARKUP.map("".join))
@settings(max_examples=300)
@example("投资100亿元[1]。位于淮北[2]。")
@example("主要包括：\n- 甲公司[1]\n- 乙公司[2]")
@example("1. 甲公司。[1]\n2. 乙公司。[2]")
@example("It is A [1]. It is B [2].")
@example("改造**危桥16座**[1]，`3.6亿元`，__乙__，[链接](http://a/b)。丙**丁。戊**己。")
@example("## 结论\n\n甲。\n\n| 项目 | 数 |\n|---|---|\n| 甲 | 2 |\n\n## 参考资料\n[1] 报道")
@example("甲。\n——乙。\n**来源**：报道\n[^1]: 报道\n来源不明。")
@example("[甲？[[a")
@example("甲《谁来？谁去？》乙（2025年）。数组[数]人，2**10，[1, 2, 3, 4, 5]。")
def test_what_is_shown_of_a_text_that_grows_is_only_added_to(text: str) -> None:
    steps = [shown(text[:end]) for end in range(len(text) + 1)] + [whole(text)]
    for before, after in pairwise(steps):
        assert after.startswith(before)


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("改造**危桥", ""),
        ("改造**危桥16座**", ""),
        ("甲*乙", ""),
        ("共[数]人", ""),
        ("（以下简称甲）", ""),
        ("来源于财政", ""),
        ("甲。\n来源于财政", ""),
        ("甲`乙", ""),
        ("改造[危桥", "危桥"),
        ("甲。\n## 结论", "\n结论"),
        ("甲。\n参考资", "\n参考资"),
        ("甲。\n| 项目 | ", " |"),
        ("共[数丙丁。戊", ""),
    ],
)
def test_little_is_held_back(text: str, held: str) -> None:
    assert len(shown(text)) >= len(re.sub(r"\*\*|`|#+ ", "", text)) - len(held) - 1


def test_headings_lead_to_what_stands_below_them() -> None:
    text = "# 概况\n## 1. 结论\n\n投资100亿元[1]。\n## 项目\n- 甲公司[2]\n## 其他"
    assert drafts(text) == (
        [
            Draft("投资100亿元。", "概况\n结论\n", "投资100亿元。", (1,)),
            Draft("甲公司", "\n项目\n", "项目甲公司", (2,)),
        ],
        "",
    )
    assert said("## 江苏港利集团") == [("江苏港利集团", ())]


@pytest.mark.parametrize("heading", ["投资100亿元", "结论。", "甲公司[1]"])
def test_a_heading_that_tells_something_is_a_claim(heading: str) -> None:
    assert [text for text, _ in said(f"## {heading}\n乙。")] == [
        heading.removesuffix("[1]"),
        "乙。",
    ]


@pytest.mark.parametrize(
    "sources",
    [
        "来源：[1] 报道",
        "**来源**：《报道》",
        "出处: 报道。",
        "参考资料：\n1. 报道\n2. 通知",
        "## 参考资料\n\n[1] 报道\n[2] 通知",
        "Sources:\n- report",
        "[^1]: 报道\n[^2]: 通知",
    ],
)
def test_sources_that_the_model_lists_are_no_claims(sources: str) -> None:
    assert whole(f"投资100亿元[1]。\n\n{sources}") == "投资100亿元。"


def test_an_answer_that_tells_a_source_is_one() -> None:
    assert whole("来源：财政拨款。") == "来源：财政拨款。"
    assert whole("甲。\n来源于财政拨款。") == "甲。\n来源于财政拨款。"


def test_markup_is_no_part_of_a_claim() -> None:
    assert whole("改造[危桥](http://a/b)`16座`，丙**丁。戊**己。") == "改造危桥16座，丙丁。戊己。"
    assert whole("2**10=1024，2 ** 3。") == "2**10=1024，2 ** 3。"


def test_a_title_that_grows_ends_no_sentence() -> None:
    assert drafts("《甲？乙", finished=False) == ([], "")
    assert said("《甲？乙》是书。") == [("《甲？乙》是书。", ())]
