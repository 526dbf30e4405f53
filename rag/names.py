"""Names and quoted terms of a claim that its evidence does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import pairwise

from index.fold import fold
from index.words import Word, tagged
from rag.facts import PROPER, QUOTED, RARE, Evidence, Facts, Problem, differs, is_proper, letters
from rag.rarity import rarity

_SCOPES = ("全国", "全省", "全市", "全县", "全区", "全球", "世界", "国内", "国际", "亚洲", "欧洲")
_PROVINCES = """
    北京 天津 上海 重庆 河北 山西 辽宁 吉林 黑龙江 江苏 浙江 安徽 福建 江西 山东 河南 湖北 湖南
    广东 海南 四川 贵州 云南 陕西 甘肃 青海 台湾 内蒙古 广西 西藏 宁夏 新疆 香港 澳门
""".split()
_ABBREVIATED = dict(
    zip(
        "京津沪渝冀晋辽吉黑苏浙皖闽赣鲁豫鄂湘粤琼川贵云陕甘青台蒙桂藏宁新港澳",
        _PROVINCES,
        strict=True,
    )
)
_SAME_SCOPE = {"国内": "全国|我国", "全球": "世界", "世界": "全球", "国际": "世界|全球"}
_SHORT = f"[{''.join(_ABBREVIATED)}]"
_LEVEL = re.compile(
    r"(?<=..)(?:省|市|县|区|镇|乡|村|州|国|集团|公司|有限公司|大学|医院|教授|先生|女士)$"
)
_PARTICLES = re.compile(
    r"^[有是到让使经由在从对将被把与和及等为以向于自按据就再又还更最已未不也都该其此之所]|[方者们处员]$|(?<=..)[时里内中后前上下间及为等和是被说称]$"
)
_LATIN = re.compile(r"[a-z][a-z0-9.+-]*[a-z0-9]|[a-z0-9]*\d[a-z]+[a-z0-9]*|[a-z]+\d+")


def quotes(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the quoted terms and titles of a claim that its evidence does not have."""
    known = letters(evidence.known)
    for found in QUOTED.finditer(said.text):
        if letters(found[1]) not in known:
            yield f"原文没有“{found[1]}”", f"the source has no “{found[1]}”"


def names(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield the names of a claim that its evidence does not have."""
    known = letters(evidence.known)
    for found in _LATIN.finditer(said.text):
        if found.group() not in known and letters(found.group()) not in known:
            yield f"原文没有“{found.group()}”", f"the source has no “{found.group()}”"
    uncovered = _uncovered(said.text, known)
    stated = letters(evidence.facts.text + evidence.titles)
    told = [word.text for word in evidence.facts.words if _is_person(word)]
    for word in _named(said):
        name, new = word.text, sum(uncovered[word.start : word.end])
        # A scope, and a person where the evidence tells of one, must stand in itself.
        near = name in _SCOPES or (told and _is_person(word) and not any(o in name for o in told))
        if near and name not in stated and not _known(name, stated):
            yield f"原文没有“{name}”", f"the source has no “{name}”"
        # Of a common noun that is only longer here, less is new than half.
        if new > (len(name) / 2 if word.tag in ("n", "j") else 0) and not _known(name, known):
            yield f"原文没有“{name}”", f"the source has no “{name}”"


def _is_person(word: Word) -> bool:
    return word.tag.startswith("nr") and len(word.text) > 1 and rarity(word.text) >= RARE


def _uncovered(text: str, known: str) -> list[bool]:
    """Tell of each character whether no pair with a neighbour stands in a text.

    Words are cut wrongly where a name is unheard of: what matters is that its characters stand
    together somewhere, not that they are one word.
    """
    pairs = [text[k : k + 2] in known for k in range(len(text) - 1)]
    return [
        not (before or behind)
        for before, behind in zip([False, *pairs], [*pairs, False], strict=True)
    ]


def _named(facts: Facts) -> Iterator[Word]:
    """Yield the names in a text: of people, places, organisations, and scopes such as 全国."""
    for word in facts.words:
        if (len(word.text) > 1 and is_proper(word)) or word.text in _SCOPES:
            yield word


def _known(name: str, known: str) -> bool:
    """Tell whether a name stands in a text: whole, without its level, longer, or abbreviated."""
    if name in _SCOPES:
        alike = _SAME_SCOPE.get(name, f"[我本该全]{name[1]}|{name[1]}内")
        return name in known or bool(re.search(alike, known))
    bare = _PARTICLES.sub("", _LEVEL.sub("", name))
    return (
        len(bare) < 2 or bare in known or _abbreviated(name, known) or _renamed(name, bare, known)
    )


def _renamed(name: str, bare: str, known: str) -> bool:
    """Tell whether a text has a name in another form: 沪 of 上海, 常女士 of 常某, longer."""
    if name.endswith("某"):
        return bool(re.search(f"{name[:-1]}(?:女士|先生|某)", known))
    short = re.sub(r"[二三四五六七八九十两]?[省市地]$", "", name)
    if short and all(_ABBREVIATED.get(character, "-") in known for character in short):
        return True
    letter = next((short for short, long in _ABBREVIATED.items() if bare == long), None)
    if letter and re.search(rf"{letter}(?={_SHORT}|[省市企籍])|(?<={_SHORT}){letter}", known):
        return True
    if len(bare) <= 4 and bare in _initials(known):
        return True
    return len(bare) > 2 and any(
        _is_subsequence(bare, known[found.start() : found.start() + 3 * len(bare)])
        for found in re.finditer(re.escape(bare[0]), known)
    )


@lru_cache(maxsize=200)
def _initials(known: str) -> str:
    """Return the first characters of the places in a text: 淮宿蚌 of 淮北—宿州—蚌埠."""
    return "".join(word.text[0] for word in tagged(known) if word.tag == "ns")


def _abbreviated(name: str, known: str) -> bool:
    """Tell whether a text has a name in a shorter form: 上海交大 of 上海交通大学."""
    for found in re.finditer(re.escape(name[:2]), known):
        place, taken = 2, 2
        while found.start() + taken < len(known):
            place = name.find(known[found.start() + taken], place) + 1
            if not place:
                break
            taken += 1
            if place >= len(name) - 1 and taken >= max(3, 0.6 * len(name)):
                return True
    return False


def _is_subsequence(short: str, long: str) -> bool:
    rest = iter(long)
    return all(character in rest for character in short)


def substitutions(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield a noun that stands where the evidence has another, between the same words."""
    known = evidence.known
    ours = [word for word in said.words if word.tag != "uj"]
    for sentence in evidence.facts.source.split("\n"):
        theirs = [word for word in tagged(fold(sentence).text) if word.tag != "uj"]
        matched = SequenceMatcher(
            None, [word.text for word in ours], [word.text for word in theirs], autojunk=False
        )
        for kind, a, b, c, d in matched.get_opcodes():
            if kind != "replace" or not _is_name_swap(ours, theirs, (a, b, c, d)):
                continue
            used, own = _joined(ours[a:b]), _joined(theirs[c:d])
            if used not in known and not set(used) & set(own):
                yield differs(used, [own])


def displaced(said: Facts, evidence: Evidence) -> Iterator[Problem]:
    """Yield a name before a noun that has another name before it in the evidence."""
    known = letters(evidence.known)
    theirs = evidence.facts.words
    for name, noun in pairwise(said.words):
        if not (is_proper(name) and noun.tag.startswith("n") and rarity(noun.text) >= 0.5):
            continue
        if name.text + noun.text in known:
            continue
        before = [
            one.text
            for one, other in pairwise(theirs)
            if other.text == noun.text and one.tag.startswith(PROPER)
        ]
        if before and not any(_known(name.text, one) or one in name.text for one in before):
            yield differs(name.text + noun.text, [one + noun.text for one in before])
    for post, person in pairwise(said.words):
        if not (person.tag.startswith("nr") and is_proper(person) and post.tag == "n"):
            continue
        if person.text in evidence.facts.text:
            continue
        held = [o.text for p, o in pairwise(theirs) if p.text == post.text and o.tag[:2] == "nr"]
        if held and not any(_known(person.text, one) or one in person.text for one in held):
            yield differs(person.text, held)


def _is_name_swap(
    ours: Sequence[Word], theirs: Sequence[Word], places: tuple[int, int, int, int]
) -> bool:
    """Tell whether short noun phrases stand for each other right before or behind a noun."""
    a, b, c, d = places
    swapped = [*ours[a:b], *theirs[c:d]]
    if b - a > 3 or d - c > 3 or not all(word.tag.startswith(_NOMINAL) for word in swapped):
        return False
    if not any(rarity(word.text) >= RARE or word.tag.startswith(PROPER) for word in theirs[c:d]):
        return False
    before = ours[a - 1] if a else None
    behind = ours[b] if b < len(ours) else None
    return any(w is not None and w.tag.startswith(_NOMINAL) for w in (before, behind))


_NOMINAL = ("n", "j", "eng", "b", "l", "s", "f")


def _joined(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words)
