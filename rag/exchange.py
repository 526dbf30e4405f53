"""An exchange: a question that was asked and its reply, as later questions refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from index.fold import fold
from index.words import Word, tagged
from rag.measures import DATE, QUANTITY
from rag.question import Asked, analyse, without_attribute

Sort = Literal["person", "place", "organisation", "time", "amount", "thing"]
"""What a phrase names."""

END_MARKS = "?？!！。.…~～ \n\t"
QUOTES = "《》〈〉“”‘’「」『』\"'"

_NAME_CHARS = 30
"""The longest reply that can be a name, in characters."""

_TELLS = frozenset("认为 指出 表示 觉得 建议 介绍 透露 预计 要求 希望 提出".split())
_UNANSWERED = re.compile(r"没有|沒有|没找到|未(?:找到|说明|提)|无法|抱歉|不知道|[，,；;：:]$")
_NOMINAL = ("n", "vn", "an", "j", "l", "b", "eng", "s", "i", "m", "q", "zg", "g")
_NAMES = ("nr", "ns", "nt", "nz", "eng")
_EMPTY = frozenset(("时候", "时间", "名字", "情况", "什么", "请问", "问"))
_PREDICATE = ("v", "d", "p", "r", "c", "y")
_COUNTS = ("number", "duration", "date")
_COUNTED = frozenset("个個位家所座条條项項种種些类類款支名件次场場届部儿兒里裡裏")
_PERSON = re.compile(
    r"\w(?:先生|女士|小姐|老师|某某?|同学|教授|医生|院长|局长|书记|主任|主席|队长)$"
)
_NAME = re.compile(
    r"\w+·\w+|(?:欧阳|司马|上官|诸葛|司徒|东方|尉迟|皇甫|慕容|令狐|公孙|夏侯|[赵钱孙李周吴郑王冯陈褚卫蒋沈"
    r"韩杨朱秦尤许何吕施张孔曹严华金魏陶姜戚谢邹喻柏水窦章云苏潘葛奚范彭郎鲁韦昌马苗凤花方俞任袁柳酆鲍史唐"
    r"费廉岑薛雷贺倪汤滕殷罗毕郝邬安常乐于时傅皮卞齐康伍余元卜顾孟平黄和穆萧尹姚邵湛汪祁毛禹狄米贝明臧计伏"
    r"成戴谈宋茅庞熊纪舒屈项祝董梁杜阮蓝闵席季麻强贾路娄危江童颜郭梅盛林刁钟徐邱骆高夏蔡田樊胡凌霍虞万支柯"
    r"管卢莫经房裘缪干解应宗丁宣邓郁单杭洪包诸左石崔吉龚程邢裴陆荣翁荀羊甄曲封芮靳焦巴谷车侯宁仇栾祖武符刘"
    r"景詹束龙叶司黎薄印白蒲邰从鄂索赖卓蔺屠蒙池乔阴佟闻党翟谭贡姬申扶冉宰郦雍桑桂牛寿边燕冀尚农温庄晏柴瞿阎"
    r"充慕连习容向古易慎廖庾终居衡步都耿满匡文寇广阙欧沃利蔚越隆师巩聂晁勾敖冷訾辛阚简饶曾关蒯相查荆游竺权"
    r"逯盖益桓公肖隽])\w{1,2}"
)
"""A name of a person by its surname, or a foreign one with a dot."""
_PEOPLE = re.compile(r"\w(?:人|们|者|员|生|民|家长|村民|老人|孩子|夫妇|夫妻|兄弟|姐妹)$")
_ORGANISATION = re.compile(
    r"(?:公司|集团|企业|[工药电]厂|医院|学校|大学|学院|[中小]学|幼儿园|\w\w[局厅部委院所馆社队团厂]|水厂|政府"
    r"|办公室|中心|银行|证券|基金|协会|联盟|学会|商会|平台|机构|法院|检察院|超市|酒店|俱乐部)$"
)
_PLACE = re.compile(
    r"(?:[省市区县镇乡村州国岛路街湖山河江港]|街道|社区|小区|地区|园区|广场|机场|车站)$"
)


MEASURE = re.compile(
    r"[全总總]长|[全總总]長|(?:总|總|(?<![今去前明当])年|平均|人均|最[高低大小])?"
    r"(?:投资|投資|资金|資金|资本|資本|产值|產值|营收|营业收入|收入|利润|产量|产能|规模|面积|面積|人数|人次|数量"
    r"|金额|总额|比例|占比|价格|费用|成本|里程|长度|高度|深度|海拔|均价|销量|销售额|增速|增幅|功率|功耗"
    r"|频率|扭矩|容积率|年龄|体重|身高|速度|温度|[率额量数价値值])$"
)
"""Nouns for what can be measured of a thing."""


class Phrase(NamedTuple):
    """A noun phrase at `[start, end)` of a question."""

    text: str
    start: int
    end: int
    words: tuple[Word, ...]

    @property
    def head(self) -> Word:
        """The noun that the others qualify."""
        return self.words[-1]


@dataclass(frozen=True)
class Exchange:
    """A complete question, with the reply where that may be a name or a figure, else ""."""

    question: str
    reply: str

    @classmethod
    def of(cls, question: str, reply: str) -> Exchange:
        """Make one of what was said."""
        told = reply.strip().rstrip("。.!！")
        short = len(told) <= _NAME_CHARS and not _UNANSWERED.search(told)
        return cls(question.strip(), told if short else "")

    @cached_property
    def asked(self) -> Asked:
        """The question taken apart; its text is folded."""
        return analyse(self.question)

    @cached_property
    def gap(self) -> tuple[int, int]:
        """Where the question word stands in the question as written."""
        return fold(self.question).span(self.asked.gap_start, self.asked.gap_end)

    @property
    def gap_text(self) -> str:
        """The question word, "" where there is none."""
        return self.question[slice(*self.gap)]

    @cached_property
    def words(self) -> tuple[Word, ...]:
        """The words of the question as written."""
        return tuple(tagged(self.question))

    @cached_property
    def hole(self) -> tuple[int, int]:
        """The gap with the unit or the measure word behind it, if any."""
        start, end = self.gap
        unit = self.asked.unit
        if self.gap_text.endswith("哪"):
            unit = self.question[end : end + 1]
            unit = unit if unit in _COUNTED else ""
        return start, end + len(unit) * fold(self.question[end:]).text.startswith(fold(unit).text)

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        """The noun phrases outside the hole, as written."""
        start, end = self.hole
        outside = [w for w in self.words if not (w.start < end and start < w.end)]
        found = _phrases(self.question, outside)
        return tuple(p for p in found if not re.match("[了过着]", self.question[p.end :]))

    @cached_property
    def asked_noun(self) -> Phrase | None:
        """The phrase behind the hole: "多少只活塞" asks for 活塞."""
        return next((p for p in self.phrases if p.start == self.hole[1] > self.hole[0]), None)

    @cached_property
    def asked_phrase(self) -> Phrase | None:
        """The phrase whose number or kind is asked for, behind the gap or in front of it."""
        ahead = [phrase for phrase in self.phrases if phrase.end <= self.gap[0]]
        return self.asked_noun or next(reversed(ahead), None)

    @cached_property
    def theme(self) -> str:
        """What stands in front of the predicate, with its time: "上半年大兴区"."""
        kept: list[Word] = []
        quoted = False
        words = self.words[: self._words_ahead]
        for k, word in enumerate(words):
            quoted = (quoted or word.text in "“《「『") and word.text not in "”》」』"
            joins = word.text in "和与跟及同" and k + 1 < len(words) and nominal(words[k + 1])
            acts = self.question.startswith(("了", "过", "着"), word.end)
            predicate = _predicates(word) and not self._qualifies(k)
            if kept and not (quoted or joins) and (predicate or acts):
                break
            kept.append(word)
        while kept and not (nominal(kept[-1]) or kept[-1].text in "”》」』"):
            kept.pop()
        if not any(word.tag.startswith(("n", "j", "eng", "l", "vn", "b")) for word in kept):
            return ""
        return re.sub(r"^请问[,，]?", "", self.question[: kept[-1].end])

    @cached_property
    def _words_ahead(self) -> int:
        """How many words stand in front of the gap."""
        start, end = self.gap
        return sum(word.end <= start or start == end for word in self.words)

    def _qualifies(self, number: int) -> bool:
        """Tell whether a verb qualifies the noun behind it, as in 联合基金, and is no predicate."""
        word, behind = self.words[number], self.words[number + 1 : self._words_ahead]
        return (
            word.tag == "v"
            and len(word.text) > 1
            and word.text not in _TELLS
            and len(behind) > 1
            and behind[0].tag in ("n", "vn")
            and any(map(_predicates, behind[1:]))
        )

    @cached_property
    def subject(self) -> str:
        """What the question is about, without its time and its attribute."""
        bare = MEASURE.sub("", _undated(self.theme))
        bare = without_attribute(bare).rstrip("的")
        return bare if len(bare) > 1 else self.longest or self.name

    @cached_property
    def longest(self) -> str:
        """The longest phrase, a name before others, without its attribute."""
        longest = max(
            (phrase.text for phrase in self.phrases),
            key=lambda text: (named(text), len(text)),
            default="",
        )
        bare = without_attribute(longest)
        return bare if len(bare) > 1 else longest

    @property
    def name(self) -> str:
        """The reply, if it may be a name."""
        return self.reply if self._sort_of_reply() not in ("time", "amount") else ""

    @cached_property
    def names_reply(self) -> bool:
        """Whether the question asks for a name, so that its reply is what one goes on about."""
        asked = self.asked
        return (
            bool(self.reply)
            and not self.reply[0].isdigit()
            and (
                asked.kind in ("person", "organisation")
                or (asked.kind == "list" and self.gap_text.startswith("哪"))
                or (asked.kind == "thing" and self.gap_text.startswith("哪"))
                or (
                    asked.kind == "thing" and bool(asked.focus) and self.reply.endswith(asked.focus)
                )
                or (asked.kind == "thing" and asked.before.endswith(("的是", "叫", "叫做", "名为")))
            )
        )

    @property
    def equates(self) -> bool:
        """Whether the reply is what the question is about, as in "…是谁", "哪家公司…"."""
        start = self.gap[0]
        ahead = self.question[:start]
        return self.names_reply and (
            ahead.endswith(("是", "叫", "为", "名")) or start <= len(self.theme)
        )

    @cached_property
    def referents(self) -> tuple[tuple[str, Sort], ...]:
        """What a later pronoun can stand for, the likeliest first."""
        replied = [(self.reply, self._sort_of_reply())] if self.reply else []
        parts = [text for text in self._by_length() if not self.subject.endswith(text)]
        told = [(text, sort_of(text)) for text in (self.subject, *parts) if text]
        return tuple([*replied, *told] if self.names_reply else [*told, *replied])

    @cached_property
    def statement(self) -> str:
        """What is known now: the question with the reply in its gap, or without its gap."""
        start, end = self.gap
        before = re.sub(r"^请问[,，]?", "", self.question[:start])
        after = self.question[end:].rstrip(END_MARKS + "呢呀啊")
        kind = self.asked.kind
        if kind in ("why", "how", "yes-no", "summary", "meta") or not self.reply:
            behind = after[self.hole[1] - end :]
            if before.endswith(("是", "叫")):
                behind = behind.removeprefix(self.asked.focus)
            return (before + behind).strip("的了吗么不没是有在为叫" + END_MARKS)
        if start == end:
            before = re.sub(r"是?[^是，,]{1,8}还是.*$", "", before)
            return f"{before.rstrip(END_MARKS + '呢的')}是{self.reply}"
        if self.gap_text.startswith("在") and not self.reply.startswith(("在", "位于")):
            before += "在"
        if self.gap_text.endswith("哪") or (self.asked.unit and self.asked.unit in self.reply):
            after = after[self.hole[1] - end :]
        if not _overlap(self.reply, after, 1):
            after = after.removeprefix(self._noun_replied)
        reply = self.reply[_overlap(before, self.reply, 2) :]
        return before + reply + after[_overlap(reply, after, 1) :]

    @property
    def _noun_replied(self) -> str:
        """The noun that the reply stands for, "" where it is a figure or a person by name."""
        noun, kind = self.asked_noun, self.asked.kind
        if not noun or kind in _COUNTS or self.gap_text.endswith(("谁", "誰")):
            return ""
        if self.question.startswith(self.asked.focus, noun.start):
            return self.asked.focus or noun.words[0].text
        return noun.words[0].text if kind in ("place", "organisation") else noun.text

    def _sort_of_reply(self) -> Sort:
        if not self.reply or self.reply[0].isdigit():
            return "amount"
        sort = sort_of(self.reply)
        asked = self.asked.kind
        if sort == "person" and asked == "thing":  # a post, not who holds it
            return sort if tagged(self.reply)[-1].tag == "nr" else "thing"
        if sort == "thing" and asked in ("person", "organisation", "place"):
            return asked
        return sort_of(self.asked.focus) if sort == "thing" else sort

    def _by_length(self) -> list[str]:
        texts = [p.text for p in self.phrases if p != self.asked_noun or not self.reply]
        return sorted(texts, key=lambda text: (named(text), len(text)), reverse=True)


def sort_of(text: str) -> Sort:
    """Tell what a phrase names, by its last words."""
    folded = fold(text).text.strip(fold(QUOTES).text + " ")
    words = tagged(folded)
    if not words:
        return "thing"
    if DATE.fullmatch(folded) or all(w.tag == "t" for w in words):
        return "time"
    if QUANTITY.fullmatch(folded):
        return "amount"
    if _PERSON.search(folded) or _PEOPLE.search(folded):
        return "person"
    if _ORGANISATION.search(folded) or words[-1].tag == "nt":
        return "organisation"
    if _PLACE.search(folded) or words[-1].tag == "ns":
        return "place"
    common = any(len(word.text) > 1 and word.tag[:2] != "nr" for word in words)
    return "person" if _NAME.fullmatch(folded) and not common else "thing"


def named(text: str) -> bool:
    """Tell whether a phrase holds a name."""
    return any(word.tag.startswith(_NAMES) for word in tagged(text))


def nominal(word: Word) -> bool:
    """Tell whether a word can be part of a noun phrase."""
    return word.tag.startswith(_NOMINAL) and word.text not in ("请问", "问")


def phrases_of(text: str) -> list[Phrase]:
    """Return the noun phrases of a text."""
    return list(_phrases(text, tagged(text)))


def _phrases(text: str, words: Iterator[Word] | Sequence[Word]) -> Iterator[Phrase]:
    run: list[Word] = []
    quoted = False
    for word in words:
        opens, closes = word.text in "“《「『", word.text in "”》」』"
        measured = bool(run) and word.tag == "f" and run[-1].tag.startswith(("m", "q"))
        qualifies = word.tag == "a" and len(word.text) == 1
        joins = nominal(word) or quoted or measured or qualifies
        if run and (not joins or opens or closes or run[-1].end != word.start):
            yield from _phrase(text, run)
            run = []
        quoted = (quoted or opens) and not closes
        if joins and not (opens or closes):
            run.append(word)
    yield from _phrase(text, run)


def _phrase(text: str, run: Sequence[Word]) -> Iterator[Phrase]:
    kept = list(run)
    while kept and kept[-1].tag == "a":
        kept.pop()
    if not kept:
        return
    found = text[kept[0].start : kept[-1].end]
    if len(found) > 1 and found not in _EMPTY:
        yield Phrase(found, kept[0].start, kept[-1].end, tuple(kept))


def _predicates(word: Word) -> bool:
    return word.tag.startswith(_PREDICATE) and not word.tag.startswith("vn")


def _undated(theme: str) -> str:
    """Take the time away from the beginning and the end of a theme."""
    words = list(tagged(theme))
    folded = fold(theme).text
    start, end = 0, len(theme)
    for dated in DATE.finditer(folded if len(folded) == len(theme) else theme):
        if not dated.start():
            start = dated.end()
        if dated.end() == end:
            end = dated.start()
    for word in words:
        if word.start == start and word.tag == "t":
            start = word.end
    for word in reversed(words):
        if word.end == end and word.tag == "t":
            end = word.start
    return theme[start:end].strip("的,，起")


def _overlap(first: str, second: str, least: int) -> int:
    """Return how many characters that end the first text begin the second, or 0."""
    longest = min(len(first), len(second))
    return next((n for n in range(longest, least - 1, -1) if first.endswith(second[:n])), 0)
