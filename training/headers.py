"""Made-up headers of web articles, with questions for what they say: date, source, author …

News in the training data has lost the lines above its text, which people ask about all the
same: when it was published, where, by whom.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

_SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平刚桂英华"
_CITIES = "荆川 临溪 安岭 东陵 海宁州 南屏 云泽 青原 平江 宁川 长岭 白河".split()
_PAPERS = "日报 晚报 日报社 广播电视台 新闻网 融媒体中心 晨报 都市报 市政府办公室 发布".split()
_SITES = "在线 新闻网 之窗 党建网 政府网 热线 文明网".split()
_COLUMNS = "本地新闻 要闻 经济 社会 民生 科教文卫 部门动态 县区新闻 政务信息 图片新闻".split()

_QUESTIONS = {
    "date": """本文发布于哪一天 文章的发布日期？ 这条消息是几号发出来的？ 报道刊发的日期是？
        这则新闻啥时候登的 请问稿子是哪年哪月哪日发的？ 该文什么时候发表的
        When_was_this_news_story_posted? 这篇報導是何時刊出的？ 发布日期""",
    "clock": """发布的具体钟点是？ 文章几点发布的 网页上写的发布时刻是几点？
        稿子当天什么钟点发出来的？ At_what_time_of_day_was_it_posted?""",
    "source": """这篇报道来源于哪里？ 稿件是谁提供的 消息出自哪个单位？ 文章转自哪家媒体？
        原文是哪里发的呀 来源 Which_outlet_is_the_source_of_this_story?""",
    "site": """这是哪个网站的文章？ 我看到的是什么网站的页面 网站叫什么名字？ 登载它的网站是？""",
    "column": """这条新闻归在什么栏目下？ 它放在网站的哪个板块 所属栏目是什么？ 哪个频道里的？""",
    "author": """作者叫什么 这篇稿子谁写的？ 哪位记者采写的？ 记者姓甚名谁
        Who_wrote_this_story?""",
    "editor": """责编是谁？ 这篇文章由谁编辑的 编辑叫什么名字？""",
    "views": """这篇文章被看了多少次？ 点击量是多少 有几个人浏览过？""",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The text of a header, a question, and where its answer stands, None for nowhere."""

    text: str
    question: str
    place: tuple[int, int] | None


def made_header(rng: random.Random) -> Header:
    """Return a header in one of the usual forms with a question that it may answer."""
    text, places = _header(rng)
    asked = rng.choice(sorted(_QUESTIONS))
    if rng.random() < 0.8 and places:
        asked = rng.choice(sorted(places))
    question = rng.choice(_QUESTIONS[asked].split()).replace("_", " ")
    return Header(text, question, places.get(asked))


def _header(rng: random.Random) -> tuple[str, dict[str, tuple[int, int]]]:
    city, colon = rng.choice(_CITIES), rng.choice("：:")
    site, column = city + rng.choice(_SITES), rng.choice(_COLUMNS)
    parts: list[list[tuple[str, str]]] = []
    if rng.random() < 0.5:
        lead = rng.choice([f"当前位置{colon}", f"您所在的位置{colon}首页 > ", ""])
        parts.append([("", lead), ("site", site), ("", " > "), ("column", column), ("", "\n")])
    lines = [
        [("", rng.choice(["发布时间", "时间", "发布日期", "发稿时间"]) + colon), *_time(rng)],
        [
            ("", rng.choice(["来源", "稿源", "信息来源", "文章来源"]) + colon),
            ("source", city + rng.choice(_PAPERS)),
        ],
        [("", rng.choice(["作者", "记者", "本报记者"]) + colon), ("author", _name(rng))],
        [("", rng.choice(["编辑", "责任编辑", "责编"]) + colon), ("editor", _name(rng))],
        [
            ("", rng.choice(["浏览次数", "阅读", "点击"]) + colon),
            ("views", str(rng.randint(9, 9999))),
        ],
        [("", f"字体{colon}[大 中 小]")],
    ]
    kept = [line for line, share in zip(lines, (0.9, 0.7, 0.4, 0.3, 0.3, 0.4), strict=True)
            if rng.random() < share]  # fmt: skip
    rng.shuffle(kept)
    gap = rng.choice(["  ", " ", "\n", "　"])
    for line in kept:
        parts += [line, [("", gap)]]
    text, places = "", {}
    for name, piece in (pair for part in parts for pair in part):
        if name:
            places[name] = (len(text), len(text) + len(piece))
        text += piece
    return text.rstrip() + "\n\n", places


def _time(rng: random.Random) -> list[tuple[str, str]]:
    year, month, day = rng.randint(2008, 2025), rng.randint(1, 12), rng.randint(1, 28)
    date = rng.choice([f"{year}-{month:02}-{day:02}", f"{year}年{month}月{day}日",
                       f"{year}/{month}/{day}"])  # fmt: skip
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}"
    clock += rng.choice(["", f":{rng.randint(0, 59):02}"])
    with_clock = [("", " "), ("clock", clock)] if rng.random() < 0.6 else []
    return [("date", date), *with_clock]


def _name(rng: random.Random) -> str:
    return rng.choice(_SURNAMES) + "".join(rng.choices(_GIVEN, k=rng.choice((1, 2, 2))))
