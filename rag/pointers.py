"""Pointers: pronouns and demonstratives, and what they stand for in the turns before."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from index.fold import fold
from index.words import tagged
from rag.exchange import Exchange
from rag.naming import QUOTES, Sort, nominal

COUNTING = "个個家位则則组組条條座所种種款次场場件支批处處届部份套篇项項名只張张本幅架辆輛"
"""The measure words that stand between a demonstrative and its noun."""

_POINTER = re.compile(
    r"(?P<pronoun>(?<![其吉维維])[他她](?:[们們][俩倆两兩]?)?(?![人乡鄉国國])"
    r"|(?<!其)[它牠][们們]?(?![俩倆])"
    r"|(?<![与與尤极極])其(?![实實中他她它次余餘间間]))"
    r"|(?P<place>[这這那](?:里|裡|裏|儿|兒|边|邊|地方)|当地|當地)"
    r"|(?P<demonstrative>(?:[这這那]|(?<![应應本活])[该該]|(?<![因从從彼就如])此(?![前后後外次时時番刻]))"
    r"(?:[一两兩几幾些]|[二三四五六七八九十](?=[个個家位]))?"
    rf"(?:[{COUNTING}](?!目|门|分|别|人))?)"
)
_MOMENT = re.compile(r"[这這那](?:时|時|会儿|會兒|个?时候|天|年|次)")
_DOCUMENT = frozenset("报道 報道 稿子 稿件 文章 新闻 新聞 消息 通讯 文 稿".split())
"""Nouns for what is read rather than for what it tells of."""

_SORT_BY_NOUN: dict[Sort, str] = {
    "person": r"[位人]|先生|女士|老师|老人|男子|女子|男孩|女孩|小伙|姑娘|记者|专家|教授|作者",
    "organisation": r"家|公司|企业|单位|机构|部门|团队|组织|协会|集团|机关",
    "place": r"地方|城市|地区|市|县|区|镇|乡|村|省|地|小区|园区",
}
_NAME_TAGS = ("nr", "ns", "nt", "nz")
_MOST_NAMES = 3
"""How many things one pointer may stand for."""


class Pointer(NamedTuple):
    """A pronoun or a demonstrative at `[start, end)` of a question, `noun` going with it."""

    text: str
    start: int
    end: int
    noun: str

    @property
    def wanted(self) -> tuple[Sort, ...]:
        """The sorts of things that it can stand for, the likeliest first; () for any."""
        text, noun = fold(self.text).text, fold(self.noun).text
        for sort, pattern in _SORT_BY_NOUN.items():
            if re.fullmatch(pattern, noun or text[-1]):
                return (sort,)
        if text[0] in "他她":
            return ("person", "organisation") if len(text) > 1 else ("person",)
        if text.endswith(("里", "儿", "边", "地方", "当地")):
            return ("place", "organisation")
        return () if noun else ("organisation", "place", "thing")


def pointer_in(question: str) -> Pointer | None:
    """Return the first pointer to the turns before, if any.

    None is inside a word or begins a name: 吉他, 土耳其 and 那曲 hold none.
    """
    inside = {
        at
        for word in tagged(question)
        for at in range(word.start + (not word.tag.startswith(_NAME_TAGS)), word.end)
    }
    for found in _POINTER.finditer(question):
        text, start, end = found.group(), found.start(), found.end()
        opens = start == 0 or question[start - 1] in ",，"
        noun = _noun_at(question, end) if found.lastgroup == "demonstrative" else ""
        if start in inside or _MOMENT.match(question, start) or noun in _DOCUMENT:
            continue
        # "5200元的那位" and "电信那边" name what they mean themselves.
        alone = text[-1] in COUNTING or len(text) == 1
        free = {
            "pronoun": True,
            "place": opens or not _nominal_before(question, start),
            "demonstrative": (opens and alone) or (bool(noun) and text not in "这這那"),
        }
        if free[found.lastgroup or ""]:
            return Pointer(text, start, end + len(noun), noun)
    return None


def resolved(question: str, pointer: Pointer, earlier: Sequence[Exchange]) -> Iterator[str]:
    """Yield a question with what its pointer stands for in its place, the likeliest first.

    "这个联盟" of which no name is known is told what was said of it.
    """
    known = list(_known(pointer, earlier))
    wanted = pointer.wanted
    noun = fold(pointer.noun).text
    of_the_noun = [n for n, _ in known if noun and fold(n).text.strip(QUOTES).endswith(noun)]
    described = f"{earlier[-1].statement}，{question}"
    if noun and not of_the_noun and not any(sort in wanted for _, sort in known):
        yield described
    # A person or a place that was asked for goes before others of the sort.
    asked_for = {e.reply for e in earlier if (e.asked.kind,) == wanted[:1] != ("organisation",)}
    known.sort(key=lambda known: (_misfit(known[1], wanted), known[0] not in asked_for))
    names = list(dict.fromkeys([*of_the_noun, *(name for name, _ in known)]))[:_MOST_NAMES]
    for name in names:
        yield f"{question[: pointer.start]}{name}{question[pointer.end :]}"
    if not names:
        yield described


def _known(pointer: Pointer, earlier: Sequence[Exchange]) -> Iterator[tuple[str, Sort]]:
    """Yield what was named, the latest first, no parts of a name that was a reply."""
    for exchange in reversed(earlier):
        for name, sort in exchange.referents:
            part = any(name in other.name and name != other.name for other in earlier)
            if not part and name != pointer.noun and sort not in ("time", "amount"):
                yield name, sort


def _misfit(sort: Sort, wanted: Sequence[Sort]) -> int:
    """Return how badly a sort fits what is wanted: 0 is best."""
    if sort in wanted:
        return 0
    return 1 if sort == "thing" else 2


def _nominal_before(text: str, at: int) -> bool:
    return any(word.end == at and nominal(word) for word in tagged(text))


def _noun_at(text: str, at: int) -> str:
    """Return the noun that a demonstrative goes with, "" where there is none."""
    first, *rest = [*tagged(text[at:]), None]
    if first is None or first.start or not first.tag.startswith(("n", "vn", "j", "l")):
        return ""
    acts = first.tag == "vn" and rest[0] is not None and rest[0].text in "了过過着著"
    return "" if acts else first.text
