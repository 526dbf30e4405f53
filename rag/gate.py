"""The fact gate: what a claim says that its evidence does not.

Numbers, dates, names and quoted terms, units and negation of a claim must stand in the evidence,
in any usual writing. What can be told by such facts alone is told; whether a claim follows from
its evidence in every other respect is not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from index.fold import fold
from rag import figures, names, polarity
from rag.facts import Evidence, Facts, Problem, facts_of
from rag.lists import item_text, pairings
from rag.rarity import rarity
from rag.settings import Language
from rag.spans import parse

Check = Callable[[Facts, Evidence], Iterator[Problem]]


def problems(claim: str, evidence: Evidence, language: Language = "zh") -> tuple[str, ...]:
    """Return what a claim says that its evidence does not, () where all of it stands there.

    Of a claim without Chinese only numbers and dates are judged.
    """
    said = facts_of(claim, evidence.published)
    checks = _ALL if said.chinese or not evidence.facts.chinese else _ACROSS_LANGUAGES
    found = dict.fromkeys(problem for check in checks for problem in check(said, evidence))
    return tuple(english if language == "en" else chinese for chinese, english in found)


def tells(claim: str) -> bool:
    """Tell whether there is anything in a claim that could be checked."""
    said = facts_of(claim, None)
    return bool(said.amounts or said.moments or _content(said))


def _pairings(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield items that the evidence pairs with others, by "分别"."""
    for sentence in evidence.facts.source.split("\n"):
        parsed = parse(sentence)
        for pairing in pairings(parsed):
            left, right = (
                [fold(item_text(parsed, item)).text for item in items] for items in pairing
            )
            for one, other in _paired(said, left, right):
                if left.index(one) != right.index(other):
                    meant = right[left.index(one)]
                    yield (
                        f"原文与“{one}”对应的是“{meant}”，不是“{other}”",
                        f"the source pairs “{one}” with “{meant}”, not with “{other}”",
                    )


def _paired(said: Facts, left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs that a claim makes: k-th with k-th in each clause that names both."""
    for clause in re.split(r"[;.\n]|,(?=[^,]*[是为将把])", said.text):
        ours = sorted((p, item) for item in left if (p := _place(item, clause, left)) >= 0)
        theirs = sorted((p, item) for item in right if (p := _place(item, clause, right)) >= 0)
        if ours and len(ours) == len(theirs):
            yield from zip((item for _, item in ours), (item for _, item in theirs), strict=True)


def _place(item: str, text: str, items: Sequence[str]) -> int:
    """Return where a text names an item, by all of it or a part that no other item has."""
    if item in text:
        return text.index(item)
    for size in range(len(item) - 1, 2, -1):
        for start in range(len(item) - size + 1):
            part = item[start : start + size]
            if part in text and not any(part in other for other in items if other != item):
                return text.index(part)
    return -1


LEAST_SAID = 0.35
"""The share of a claim's words, by weight, that its evidence must have."""

_COMMON = frozenset(
    """
    我市 该市 本市 我省 该省 公司 企业 项目 记者 报道 文章 文中 目前 已经 情况 表示 认为 进行
    根据 其中 以及 通过 方面 相关 有关 包括 主要 成为 作为 具有 实现 推动 建立 建设 问题 内容
    来自 属于 位于 时间
    """.split()
)


def _inventions(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield that most of a claim's words are not in the evidence, with the rarest of them."""
    known = evidence.known
    weights = {word: rarity(word) for word in _content(said)}
    missing = {word: weights[word] * (1 - _share(word, known)) for word in weights}
    total = sum(weights.values())
    if total and 1 - sum(missing.values()) / total < LEAST_SAID:
        shown = sorted(missing, key=missing.__getitem__, reverse=True)[:3]
        chinese, english = "、".join(f"“{w}”" for w in shown), ", ".join(f"“{w}”" for w in shown)
        yield f"原文没有说到{chinese}", f"the source does not speak of {english}"


def _content(facts: Facts) -> set[str]:
    return {
        word.text
        for word in facts.words
        if len(word.text) > 1
        and word.text not in _COMMON
        and word.tag.startswith(("n", "v", "a", "j", "l", "i", "b", "eng"))
    }


def _share(word: str, known: str) -> float:
    """Return how much of a word a text has: all of it, or single characters of it for half."""
    if word in known:
        return 1.0
    return 0.5 * sum(character in known for character in word) / len(word)


_ACROSS_LANGUAGES: tuple[Check, ...] = (figures.numbers, figures.ranges, figures.moments)
_ALL: tuple[Check, ...] = (
    *_ACROSS_LANGUAGES,
    names.quotes,
    names.names,
    names.substitutions,
    names.displaced,
    figures.bindings,
    polarity.directions,
    polarity.negations,
    polarity.reversals,
    _pairings,
    _inventions,
)
