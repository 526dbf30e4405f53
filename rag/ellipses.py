"""Ellipses: "B公司呢？" is the question before with the new in the place of its like."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from index.fold import fold
from index.words import Word, tagged
from rag.exchange import Exchange, Phrase
from rag.measures import DATE
from rag.naming import MEASURE, QUOTES, named, sort_of
from rag.pointers import COUNTING
from rag.question import analyse

_SHELL = re.compile(
    rf"^[这這那][些{COUNTING}](?!.*[这這那])"
    r"|(?:的?[这這那](?:边|邊|块|塊|儿|兒|里)|方面)$|的[这這那][个個位家]$"
)
"""What stands around the new without saying anything of it: "电信那边"."""

_SIDE = ("那边", "那邊", "这边", "這邊")
_THAT_ONE = re.compile(r"[这這那][个個位家]$")
_NUMBER = r"第?[\d.一二三四五六七八九十百千两]+"
_PERSONAL = re.compile(r"年龄|年紀|年纪|身高|体重|收入|年薪|生日|出生")
_TITLE = re.compile(r"[《〈][^《》〈〉]+[》〉]")
_TIMED = re.compile(r"\w(?:[之以]?[前后後]|时候?|時候?|期间|以来)$")
_DATE_IN = re.compile(rf"(?:[上本]世纪)?{DATE.pattern}(?:以[来前后])?")
_ENDINGS = {
    "number": "是多少？",
    "date": "是什么时候？",
    "place": "在哪里？",
}
_CERTAIN, _LIKELY = 6.0, 1.0
"""From what likeness nothing else can be meant, and above what likeness more than an attribute."""


class _Swap(NamedTuple):
    """The new, as it goes in at `[start, end)` of the question before."""

    likeness: float
    start: int
    end: int
    new: str


def swaps(body: str, last: Exchange) -> Iterator[str]:
    """Yield what an ellipsis may ask after an exchange, the likeliest first.

    After "市人民医院和哪家医院合作？", "市中医医院" takes the other hospital's place; what has no
    like there ("总投资") is asked of the subject.
    """
    new = _SHELL.sub("", body.strip()) or body.strip()
    if not any(map(str.isalnum, new)):
        yield last.question
        return
    found = sorted(_swaps(new, last), key=lambda swap: -swap.likeness)
    likely = [_put(swap, last) for swap in found if swap.likeness > _LIKELY]
    # Unlike ones only where nothing is sure: they ask again what was answered. A name may be
    # taken for a verb.
    others = [_put(s, last) for s in found if s.likeness <= _LIKELY and (_acts(new) or not likely)]
    if found and found[0].likeness >= _CERTAIN:
        yield from likely
        return
    attributes = [attribute_of(owner, new.removesuffix("的")) for owner in _owners(new, last)]
    if _asks_other(new, last):
        likely = attributes + likely
    if body.endswith(_SIDE):
        likely, others = likely or others, []
    yield from (*likely, *attributes, *others)


def attribute_of(subject: str, attribute: str) -> str:
    """Return the question for an attribute of a subject, or what already names both."""
    measure = "是多少？" if MEASURE.search(attribute) else "是什么？"
    of_subject = f"{subject}的" if subject and not mentions(attribute, subject) else ""
    return f"{of_subject}{attribute}{_ENDINGS.get(analyse(attribute).kind, measure)}"


def mentions(text: str, subject: str) -> bool:
    """Tell whether a text speaks of a subject, perhaps by the end of its name."""
    return subject in text or (len(subject) > 3 and subject[-3:] in text)


def _put(swap: _Swap, last: Exchange) -> str:
    return last.question[: swap.start] + swap.new + last.question[swap.end :]


def _owners(attribute: str, last: Exchange) -> list[str]:
    """Return whose attribute is meant, the likeliest first: 三中 or 三中的校长, or the reply."""
    owner, of, _ = last.subject.rpartition("的")
    about = [last.subject, owner] if of else [last.subject]
    if not last.equates:
        return about
    typed = MEASURE.search(attribute) or analyse(attribute).kind in _ENDINGS
    if sort_of(last.reply) == "person" and typed and not _PERSONAL.search(attribute):
        return [*reversed(about), last.reply]
    return [last.reply, *about]


def _asks_other(attribute: str, last: Exchange) -> bool:
    """Tell whether an attribute wants another kind of answer than the question before."""
    kind = analyse(attribute).kind
    if MEASURE.search(attribute):
        return last.asked.kind != "number" or last.asked_noun is not None
    return kind in _ENDINGS and kind != last.asked.kind


def _swaps(new: str, last: Exchange) -> Iterator[_Swap]:
    """Yield the places where the new may go, with how alike it is to what stands there."""
    text = last.question
    bare = _without_preposition(new.strip(QUOTES).removesuffix("的") or new)
    if _is_time(bare):
        yield _Swap(_CERTAIN, *_time_in(last), bare)
        return
    if numbered := _like_number(bare, text):
        yield _Swap(_CERTAIN, *numbered, bare)
    if new[0] in "《〈" and (title := _TITLE.search(text)):
        yield _Swap(_CERTAIN, *title.span(), new)
    yield from (_Swap(4, start, end, bare) for start, end in _twins(bare, last))
    if acts := _acts(bare):
        yield from (_Swap(4.2, start, end, bare) for start, end in _verb(last))
    asked = last.asked_phrase
    if asked and new.endswith("的") and not MEASURE.search(bare):
        likeness = 4.1 if acts else 4.5 if sort_of(bare) == "thing" else 2.0
        yield _Swap(likeness, asked.start, asked.head.start, new)
    clause = max(text.rfind(mark, 0, last.gap[0]) for mark in ",，") + 1
    for phrase in last.phrases:
        figure = phrase.head.tag.startswith(("m", "q", "t"))
        if phrase.start >= clause and phrase.text != bare and not figure:
            into = _measure_into if MEASURE.search(bare) else _name_into
            yield from into(phrase, bare, last)


def _measure_into(phrase: Phrase, new: str, last: Exchange) -> Iterator[_Swap]:
    """Yield where a measure goes into a phrase: 销量 into 汽车产量."""
    if MEASURE.search(phrase.text):
        yield _Swap(5, _measure_start(phrase), phrase.end, new)
    elif phrase == last.asked_phrase and sort_of(phrase.text) == "thing":
        yield _Swap(2.5, _core_start(phrase), phrase.end, new)


def _name_into(phrase: Phrase, new: str, last: Exchange) -> Iterator[_Swap]:
    """Yield where a noun goes into a phrase: for all of it or for its core."""
    measure = _measure_start(phrase)
    end = measure if measure > phrase.start else phrase.end
    old = last.question[phrase.start : end]
    alike = likeness(old, new)
    if last.asked.kind in ("number", "person") and phrase == last.asked_phrase and not named(new):
        alike += 2
    if phrase.start == 0:
        parallel = sort_of(old) == "thing" and (named(new) or _THAT_ONE.search(new))
        alike += 2 if parallel else 0.5
    core = _core_start(phrase)
    goes_behind = old[-1] == new[-1] or end < phrase.end
    if phrase.start < core < end and goes_behind and not any(map(_places, tagged(new))):
        yield _Swap(alike + 0.5, core, end, new)
    yield _Swap(alike, phrase.start, end, new)


def _core_start(phrase: Phrase) -> int:
    """Return where a phrase goes on behind the names and places that lead it."""
    led = [word.end for word in phrase.words[:-1] if _places(word)]
    return max(led, default=phrase.start)


def _places(word: Word) -> bool:
    return named(word.text) or sort_of(word.text) == "place"


def _measure_start(phrase: Phrase) -> int:
    """Return where the measure begins that a phrase ends with, or the phrase's end."""
    measured = MEASURE.search(phrase.text)
    if not measured:
        return phrase.end
    return phrase.head.start if len(measured.group()) == 1 else phrase.start + measured.start()


def likeness(old: str, new: str) -> float:
    """Return how alike two phrases are, by what they name and how they end."""
    same_sort = sort_of(old) == sort_of(new) != "thing"
    same_end = old[-1] == new[-1] and len(new) > 1
    return 3 * same_sort + 2.5 * same_end + 2 * (named(old) and named(new))


def _twins(new: str, last: Exchange) -> Iterator[tuple[int, int]]:
    """Yield where words of the length and the end of the new stand: 完工 and 开工."""
    starts = {word.start for word in last.words}
    for word in last.words:
        start = word.end - len(new)
        old = last.question[max(0, start) : word.end]
        outside = word.end <= last.hole[0] or last.hole[1] <= start
        like = old[-1:] == new[-1] or (len(new) == 2 and old[:1] == new[0])
        if start in starts and outside and like and old != new and len(new) > 1:
            yield start, word.end


def _verb(last: Exchange) -> Iterator[tuple[int, int]]:
    """Yield where the predicate of a question stands, or the measure that stands for it."""
    asked = last.asked_phrase
    if asked and _measure_start(asked) < asked.end:
        yield _measure_start(asked), asked.end
        return
    verbs = [w for w in last.words_ahead if w.tag in ("v", "vn") and w.text not in "有是为"]
    if verbs:
        yield verbs[-1].start, verbs[-1].end


def _like_number(new: str, text: str) -> tuple[int, int] | None:
    """Return where the like of "第三名" or "三号线" counts the same thing, or of "英特尔3"."""
    behind = re.sub(rf"^{_NUMBER}", "", new)
    ahead = re.sub(rf"{_NUMBER}$", "", new)
    if behind not in ("", new):
        found = re.search(rf"(?:{_NUMBER})?{re.escape(behind)}", text)
    elif ahead not in ("", new):
        found = re.search(re.escape(ahead) + _NUMBER, text)
    else:
        return None
    return found.span() if found else None


def _is_time(text: str) -> bool:
    """Tell whether a text is a time: "今年", "2000年以后", "通车后"."""
    folded = fold(text).text
    rest = DATE.sub("", folded)
    words = [word for word in tagged(rest) if word.text not in "的以之"]
    dated = rest != folded or any(word.tag == "t" for word in words)
    nothing_else = all(w.tag.startswith(("t", "m", "f")) or w.text == "季度" for w in words)
    return (dated and nothing_else) or bool(_TIMED.search(folded))


def _time_in(last: Exchange) -> tuple[int, int]:
    """Return where the question names its time, or its beginning."""
    folded = fold(last.question).text
    dated = _DATE_IN.search(folded)
    if dated and len(folded) == len(last.question):
        return dated.span()
    timed = next((word for word in last.words_ahead if word.tag == "t"), None)
    return (timed.start, timed.end) if timed else (0, 0)


def _acts(text: str) -> bool:
    """Tell whether a text is a verb: "占地", "完工的", "上半年新增的"."""
    tags = [word.tag for word in tagged(text)]
    return (
        not MEASURE.search(text)
        and any(tag in ("v", "vn", "vi") for tag in tags)
        and all(tag.startswith(("v", "t", "d")) for tag in tags)
    )


def _without_preposition(text: str) -> str:
    first, *rest = [*tagged(text), None]
    leads = first is not None and rest[0:1] != [None] and first.tag in ("p", "c")
    return text[first.end :] if first is not None and leads else text
