"""Relative references: what is added for "今年" and "我市", and when nothing is."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.documents import Document, read_documents
from index.passages import Passage, split_document
from index.references import index_text, resolved_text

ARTICLE = Path(__file__).parent.parent / "seeds" / "article.txt"

COUNTY = "发布时间：2021-05-06 来源：濉溪县人民政府\n\n我县粮食增产。"
NO_PLACE = "杭州和苏州都是好地方。我市很美。"


def document(text: str, published: str | None = None) -> Document:
    meta = {"published": published} if published else {}
    return Document(id="d", title="", text=text, source="d", meta=meta)


def indexed(of: Document) -> list[tuple[Passage, str]]:
    return [(passage, index_text(of, passage)) for passage in split_document(of)]


def test_the_article_says_its_year_city_and_province() -> None:
    texts = indexed(next(read_documents(ARTICLE)))
    joined = next(text for passage, text in texts if "今年10月15日我省全面加入" in passage.text)
    assert joined.endswith("（2019年10月15日，安徽省，淮北市）")
    traffic = next(text for passage, text in texts if "我市将交通" in passage.text)
    assert traffic.endswith("（淮北市）")
    assert all(passage.text in text for passage, text in texts)
    assert all(passage.heading in text for passage, text in texts)


def test_a_heading_is_indexed_once_with_each_passage_below_it() -> None:
    body = "各单位要高度重视这项工作，明确分工，落实责任，确保各项任务按时完成。" * 9
    texts = indexed(document(f"# 工作要求\n{body}"))
    assert len(texts) > 1
    assert all(text.count("工作要求") == 1 for _, text in texts)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("今年10月15日加入。", "2019年10月15日"),
        ("去年建成。", "2018年"),
        ("明年上半年完工。", "2020年上半年"),
        ("今年1至9月增长。", "2019年1至9月"),
        ("前年3月开工，今年3月建成。", "2017年3月，2019年3月"),
        ("本年度预算。", "2019年"),
    ],
)
def test_years_are_counted_from_the_publication(text: str, meaning: str) -> None:
    assert resolved_text(document(text, "2019-10-29"), text) == f"{text}（{meaning}）"


@pytest.mark.parametrize(
    "text", ["如今年轻人都来了。", "当今年代不同。", "目前年产五万吨。", "2010年。"]
)
def test_words_that_only_look_like_years_add_nothing(text: str) -> None:
    assert resolved_text(document(text, "2019-10-29"), text) == text


def test_without_a_date_or_a_place_nothing_is_added() -> None:
    for text in ("今年增产。", NO_PLACE):
        assert resolved_text(document(text), text) == text


@pytest.mark.parametrize(
    ("whole", "text", "meaning"),
    [
        (COUNTY, "我县粮食增产。", "濉溪县"),
        ("新华社太原8月10日电 全市动员。", "全市动员。", "太原市"),
        ("四川新闻网消息 我省招生开始。", "我省招生开始。", "四川省"),
        ("来源：广西日报\n全省皆知。", "全省皆知。", "广西壮族自治区"),
        ("来源：苏州日报\n江苏苏州举行活动。我省关注。", "我省关注。", "江苏省"),
        ("河海大学开学。河海大学招生。南京大学来访。我校欢迎。", "我校欢迎。", "河海大学"),
        ("广东省发文。广东省开会。全省响应。", "全省响应。", "广东省"),
        ("来源：上海市人民政府\n本市开会。", "本市开会。", "上海市"),
        ("稿源：淮北市委宣传部 淮北市\n我市开会。", "我市开会。", "淮北市"),
    ],
)
def test_places_are_those_that_the_document_speaks_from(
    whole: str, text: str, meaning: str
) -> None:
    assert resolved_text(document(whole), text) == f"{text}（{meaning}）"
