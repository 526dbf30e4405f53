"""Titles and publication dates, found at the heads of real layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from index.datelines import front_matter, iso_date, published, title_of

ARTICLE = (Path(__file__).parent.parent / "seeds" / "article.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("淮北市推进一体化发展\n\n正文在此。", "淮北市推进一体化发展"),
        ("首页 > 新闻 > 要闻\n来源：新华社\n2023年5月1日 10:00\n真正的标题\n正文。", "真正的标题"),
        ("當前位置：首頁 » 新聞\n發布時間：2023-05-01\n標題在此\n內文。", "標題在此"),
        ("2023-08-03 15:09:40，正文：救援结束了。之后再报。", "救援结束了"),
        ("原标题：天眼影像\n正文。", "天眼影像"),
        ("为什么天是蓝的？因为散射。", "为什么天是蓝的？"),
        ("甲" * 50 + "。", "甲" * 40 + "…"),
        ("为推进各项工作落实，" + "乙" * 50 + "。", "为推进各项工作落实…"),
        ("来源：新华社", "来源：新华社"),  # nothing better
        ("", ""),
    ],
)
def test_the_title_is_the_first_line_that_is_text(text: str, title: str) -> None:
    assert title_of(text) == title


def test_the_article_has_a_title_without_its_navigation() -> None:
    assert title_of(ARTICLE) == "长三角地区已经成为中国区域协调发展的“试验田”…"
    assert front_matter(ARTICLE).count("\n") == 1


def test_markdown_takes_its_first_heading() -> None:
    text = "一段引言。\n\n## 安装 `pip` ##\n\n# 后来"
    assert title_of(text, markdown=True) == "安装 `pip`"
    assert title_of(text) == "一段引言"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("标题\n发布时间:2019-10-29 15:28:46 稿源:日报社\n正文", "2019-10-29"),
        ("標題\n發布時間：２０１９／１０／２９\n內文", "2019-10-29"),
        ("2023-08-03 15:09:40，正文：今天下雨。", "2023-08-03"),
        ("2023/07/31 ，正文：本报北京7月30日电", "2023-07-31"),
        ("标题\n2019年10月29日 来源：新华社\n正文", "2019-10-29"),
        ("标题\n2019年1月9日\n正文", "2019-01-09"),
        ("新华社北京2019年10月29日电（记者张三）会议召开。", "2019-10-29"),
        ("张三于1990年5月1日出生。", None),
        ("2010年10月1日，淮北联络线开通，全市欢庆，各界代表参加了仪式。", None),
        ("活动时间：2023年8月1日，地点：广场，欢迎广大市民踊跃参加。", None),
        ("发布时间：2023-02-31\n正文", None),
        ("8月3日下雨。", None),
        ("", None),
    ],
)
def test_only_a_stated_publication_date_counts(text: str, date: str | None) -> None:
    assert published(text) == date


def test_a_date_far_below_the_head_does_not_count() -> None:
    assert published("正文。\n" * 1500 + "发布时间：2019-10-29") is None


def test_iso_date() -> None:
    assert iso_date("在2019年 3月 5日") == "2019-03-05"
    assert iso_date("12019-10-291") is None
    assert iso_date("") is None
