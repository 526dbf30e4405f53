"""An exchange: a question that was asked and its reply, as later questions refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from index.fold import fold
from index.words import Word, tagged
from rag.measures import DATE
from rag.naming import CLOSING_QUOTES, MEASURE, OPENING_QUOTES, Sort, named, nominal, sort_of
from rag.question import Asked, analyse, without_attribute

END_MARKS = "?？!！。.…~～ \n\t"

_NAME_CHARS = 30
"""The longest reply that can be a name, in characters."""

_UNANSWERED = re.compile(r"没有|沒有|没找到|未(?:找到|说明|提)|无法|抱歉|不知道|[，,；;：:]$")
_POLITE = re.compile(r"^[请請][问問][,，]?")
_ALTERNATIVE = re.compile(r"是?[^是，,]{1,8}还是.*$")
_ASPECT = ("了", "过", "着", "過", "著")
"""Particles that make a verb of the word in front of them."""

_UNFILLED = ("why", "how", "yes-no", "summary", "meta")
"""Kinds of questions whose reply does not go into their gap."""

_FIGURES = ("number", "duration", "date")
_MEASURE_WORDS = frozenset("个個位家所座条條项項种種些类類款支名件次场場届部儿兒里裡裏")
_COUNTING = _MEASURE_WORDS - frozenset("些次场場届部儿兒里裡裏")
"""Measure words behind which a verb qualifies the noun that is counted: 多少个创新团队."""

_EMPTY = frozenset(("时候", "时间", "名字", "情况", "什么", "请问", "问"))
_PREDICATE_TAGS = ("v", "d", "p", "r", "c", "y")
_TELLING = frozenset("认为 指出 表示 觉得 建议 介绍 透露 预计 要求 希望 提出".split())


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
        return cls(_POLITE.sub("", question.strip()), told if short else "")

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
            unit = "".join(_MEASURE_WORDS.intersection(self.question[end : end + 1]))
        return start, end + len(unit) * fold(self.question[end:]).text.startswith(fold(unit).text)

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        """The noun phrases outside the hole, as written."""
        start, end = self.hole
        outside = [w for w in self.words if not (w.start < end and start < w.end)]
        counted = end if self.question[end - 1 : end] in _COUNTING else None
        found = _phrases(self.question, outside, counted)
        return tuple(p for p in found if not self.question.startswith(_ASPECT, p.end))

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
    def words_ahead(self) -> tuple[Word, ...]:
        """The words in front of the gap, all where there is none."""
        start, end = self.gap
        return tuple(word for word in self.words if word.end <= start or start == end)

    @cached_property
    def theme(self) -> str:
        """What stands in front of the predicate, with its time: "上半年大兴区"."""
        kept: list[Word] = []
        quoted = False
        for word, behind in zip(self.words_ahead, (*self.words_ahead[1:], None), strict=False):
            quoted = (quoted or word.text in OPENING_QUOTES) and word.text not in CLOSING_QUOTES
            joins = word.text in "和与與跟及同" and behind is not None and nominal(behind)
            if kept and not (quoted or joins) and self._is_predicate(word):
                break
            kept.append(word)
        while kept and not (nominal(kept[-1]) or kept[-1].text in CLOSING_QUOTES):
            kept.pop()
        names = any(word.tag.startswith(("n", "j", "eng", "l", "vn", "b")) for word in kept)
        return self.question[: kept[-1].end] if names else ""

    @cached_property
    def subject(self) -> str:
        """What the question is about, without its time and its attribute."""
        bare = without_attribute(_unmeasured(_undated(self.theme))).rstrip("的")
        return bare if len(bare) > 1 else self._longest or self.name

    @property
    def name(self) -> str:
        """The reply, if it may be a name."""
        return self.reply if self._sort_of_reply not in ("time", "amount") else ""

    @cached_property
    def names_reply(self) -> bool:
        """Whether the question asks for a name, so that its reply is what one goes on about."""
        kind, focus, before = self.asked.kind, self.asked.focus, self.asked.before
        if not self.reply or self.reply[0].isdigit():
            return False
        which = self.gap_text.startswith("哪") or before.endswith(("的是", "叫", "叫做", "名为"))
        of_the_kind = bool(focus) and self.reply.endswith(focus) and focus not in before
        return (
            kind in ("person", "organisation")
            or (kind == "list" and self.gap_text.startswith("哪"))
            or (kind == "thing" and (which or of_the_kind))
        )

    @property
    def equates(self) -> bool:
        """Whether the reply is what the question is about, as in "…是谁", "哪家公司…"."""
        start = self.gap[0]
        linked = self.question[:start].endswith(("是", "叫", "为", "名"))
        return self.names_reply and (linked or start <= len(self.theme))

    @cached_property
    def referents(self) -> tuple[tuple[str, Sort], ...]:
        """What a later pronoun can stand for, the likeliest first."""
        texts = [p.text for p in self.phrases if p != self.asked_noun or not self.reply]
        texts.sort(key=lambda text: (named(text), len(text)), reverse=True)
        parts = [text for text in texts if not self.subject.endswith(text)]
        told: list[tuple[str, Sort]] = [(t, sort_of(t)) for t in (self.subject, *parts) if t]
        replied: list[tuple[str, Sort]] = [(self.reply, self._sort_of_reply)] if self.reply else []
        return tuple([*replied, *told] if self.names_reply else [*told, *replied])

    @cached_property
    def statement(self) -> str:
        """What is known now: the question with the reply in its gap, or without its gap."""
        start, end = self.gap
        before, after = self.question[:start], self.question[end:].rstrip(END_MARKS + "呢呀啊")
        if self.asked.kind in _UNFILLED or not self.reply:
            behind = after[self.hole[1] - end :]
            if before.endswith(("是", "叫")):
                behind = behind.removeprefix(self.asked.focus)
            return (before + behind).strip("的了吗么不没是有在为叫，, " + END_MARKS)
        if start == end:
            before = _ALTERNATIVE.sub("", before).rstrip(END_MARKS + "呢的")
            return f"{before}是{self.reply}"
        if self.gap_text.startswith("在") and not self.reply.startswith(("在", "位于")):
            before += "在"
        if self.gap_text.endswith("哪") or (self.asked.unit and self.asked.unit in self.reply):
            after = after[self.hole[1] - end :]
        if not _overlap(self.reply, after, 1):
            after = after.removeprefix(self._replied_noun)
        reply = self.reply[_overlap(before, self.reply, 2) :]
        return before + reply + after[_overlap(reply, after, 1) :]

    def _is_predicate(self, word: Word) -> bool:
        if self.question.startswith(_ASPECT, word.end):
            return True
        return _predicates(word) and not self._qualifies(word)

    def _qualifies(self, verb: Word) -> bool:
        """Tell whether a verb qualifies the noun behind it, as in 联合基金, and is no predicate."""
        behind = [word for word in self.words_ahead if word.start >= verb.end]
        return (
            verb.tag == "v"
            and len(verb.text) > 1
            and verb.text not in _TELLING
            and len(behind) > 1
            and behind[0].tag in ("n", "vn")
            and any(map(_predicates, behind[1:]))
        )

    @property
    def _longest(self) -> str:
        """The longest phrase, a name before others, without its attribute."""
        texts = [phrase.text for phrase in self.phrases]
        longest = max(texts, key=lambda text: (named(text), len(text)), default="")
        bare = without_attribute(longest)
        return bare if len(bare) > 1 else longest

    @property
    def _replied_noun(self) -> str:
        """The noun that the reply stands for, "" where it is a figure or a person by name."""
        noun, kind, focus = self.asked_noun, self.asked.kind, self.asked.focus
        if not noun or kind in _FIGURES or self.gap_text.endswith(("谁", "誰")):
            return ""
        if focus and noun.text.startswith(focus):
            return focus
        return noun.words[0].text if kind in ("place", "organisation") else noun.text

    @cached_property
    def _sort_of_reply(self) -> Sort:
        if not self.reply or self.reply[0].isdigit():
            return "amount"
        sort, kind = sort_of(self.reply), self.asked.kind
        if sort == "person" and kind == "thing":  # a post, not who holds it
            return sort if tagged(self.reply)[-1].tag == "nr" else "thing"
        if sort == "thing" and kind in ("person", "organisation", "place"):
            return kind
        return sort_of(self.asked.focus) if sort == "thing" else sort


def _phrases(text: str, words: Sequence[Word], counted: int | None) -> Iterator[Phrase]:
    """Yield the noun phrases, the one that is `counted` from there on with a verb before it."""
    run: list[Word] = []
    quoted = False
    for word, behind in zip(words, (*words[1:], None), strict=False):
        opens, closes = word.text in OPENING_QUOTES, word.text in CLOSING_QUOTES
        limits = bool(run) and word.tag == "f" and run[-1].tag.startswith(("m", "q"))
        qualifies = word.tag == "a" and len(word.text) == 1
        if word.start == counted and word.tag == "v" and len(word.text) > 1:
            qualifies = behind is not None and behind.tag in ("n", "vn")
        joins = (nominal(word) or quoted or limits or qualifies) and not (opens or closes)
        if run and (not joins or run[-1].end != word.start):
            yield from _phrase(text, run)
            run = []
        quoted = (quoted or opens) and not closes
        if joins:
            run.append(word)
    yield from _phrase(text, run)


def _phrase(text: str, run: Sequence[Word]) -> Iterator[Phrase]:
    kept = list(run)
    while kept and kept[-1].tag == "a":
        kept.pop()
    if kept:
        start, end = kept[0].start, kept[-1].end
        if end - start > 1 and text[start:end] not in _EMPTY:
            yield Phrase(text[start:end], start, end, tuple(kept))


def _predicates(word: Word) -> bool:
    return word.tag.startswith(_PREDICATE_TAGS) and not word.tag.startswith("vn")


def _undated(theme: str) -> str:
    """Take the time away from the beginning and the end of a theme."""
    folded = fold(theme).text
    times = [(w.start, w.end) for w in tagged(theme) if w.tag == "t"]
    if len(folded) == len(theme):
        times = [found.span() for found in DATE.finditer(folded)] + times
    begin, finish = 0, len(theme)
    for start, end in times:
        begin = end if start == begin else begin
    for start, end in reversed(times):
        finish = start if end == finish else finish
    return theme[begin:finish].strip("的,，起")


def _unmeasured(theme: str) -> str:
    """Return whose measure a theme is: 合肥市 of "合肥市上半年出口额"."""
    measured = MEASURE.search(theme)
    if not measured:
        return theme
    return next(
        (theme[: w.start] for w in tagged(theme) if w.tag == "t"), theme[: measured.start()]
    )


def _overlap(first: str, second: str, least: int) -> int:
    """Return how many characters that end the first text begin the second, or 0."""
    longest = min(len(first), len(second))
    return next((n for n in range(longest, least - 1, -1) if first.endswith(second[:n])), 0)
