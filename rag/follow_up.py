"""Follow-up questions completed from the turns before them, without a language model.

A question that leans on the conversation ("那总投资呢？", "它的目标产值？") is joined with what
was asked and answered before; any other is left as it is. Words alone often cannot tell what
"苏州呢？" goes with, so there are several readings, the likeliest first, and what the
documents say decides among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from index.fold import fold
from index.words import tagged
from rag.exchange import (
    END_MARKS,
    MEASURE,
    QUOTES,
    Exchange,
    Phrase,
    Sort,
    named,
    nominal,
    phrases_of,
    sort_of,
)
from rag.measures import DATE
from rag.question import analyse


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the shape of OpenAI's."""

    role: Literal["user", "assistant"]
    content: str


_LEADING = re.compile(
    r"^(?:那[么麼]|那|[还還]有|另外|然[后後]|接[着著]|[请請][问問]|以及|至[于於]|而且?|哦|嗯|好的?"
    r"|[对對]了)[,，\s]*"
)
_ASIDE = re.compile(
    r"^(?:[顺順]便|另外|最[后後]|再|[还還]?想再?)[问問](?:一?下|一?[个個])?[,，:：\s]*"
    r"|^[还還]有一?[个個][问問][题題][,，:：\s]*|^[对對]了[,，\s]*|^另外[,，]\s*"
)
"""What leads to another question, on the same topic or not."""

_OTHER = r"一?(?:个|点|些)?(?:别的|其[他它]的?)"
_CHANGES_TOPIC = re.compile(
    r"^(?:打住|算了|好[了的]?|嗯|对了|另外|那)?[,，。\s]*(?:咱们?|我们)?(?:来|还是|再|先)?"
    rf"(?:换一?个?(?:话题|问题|事儿?)?|另[起问]一?个?|[说聊问谈讲]{_OTHER}|(?:不|别)再?[说聊问谈提]"
    r"|跳过[这那]|[这那](?:个|件)?(?:事儿?|话题|问题)?先[放不]|题外话|回到)"
    r"[^,，。:：?？谁哪几]{0,6}[,，。:：\s]+"
)
_ASKS_NAME = re.compile(r"\s*(?:是[谁誰]|叫(?:[什甚][么麼]|啥)(?:名字)?)[?？。\s]*$")
"""Asked of the chatbot, unless something was talked of before."""

_ELLIPSIS = re.compile(rf"呢[{re.escape(END_MARKS)}]*$")
_ENGLISH = re.compile(
    r"\b(?:it|its|they|their|them|he|his|him|she|her|this|that|these|those|there)\b"
    r"|^(?:and|what about|how about)\b",
    re.IGNORECASE,
)

_COUNTING = "个個家位则則组組条條座所种種款次场場件支批处處届届部份套篇项項名只張张本幅架辆輛"
_POINTER = re.compile(
    r"(?P<personal>[他她](?:[们們](?:[俩倆两兩])?)?|[它牠](?:[们們])?(?![俩倆])"
    r"|(?<![与與尤极極])其(?![实實中他她它次余餘间間]))"
    r"|(?P<place>[这這那](?:里|裡|裏|儿|兒|边|邊|地方)|当地|當地)"
    r"|(?P<pointing>(?:[这這那该該]|此(?![前后後外次时時番刻]))(?:[一两兩几幾些]|[二三四五六七八九十](?=[个個家位]))?"
    rf"(?:[{_COUNTING}](?!目|门|分|别|人))?)"
)
_DOCUMENT = frozenset("报道 報道 稿子 稿件 文章 新闻 新聞 消息 通讯 文 稿".split())
"""Nouns for what is read rather than for what it tells of."""
_MOMENT = re.compile(r"^(?:[这這那](?:时|時|会儿|會兒|个?时候|天|年|次)|[当當][时時天年])")
_SHELL = re.compile(
    rf"^[这這那][些{_COUNTING}](?!.*[这這那])|(?:的?[这這那](?:边|邊|块|塊|儿|兒|里)|方面)$|的[这這那][个個位家]$"
)
"""What stands around the newly named thing without saying anything of it: "电信那边"."""

_NUMBERED = re.compile(r"第?[\d.一二三四五六七八九十百千两]+")
_PERSONAL = re.compile(r"年龄|年紀|年纪|身高|体重|收入|年薪|生日|出生")

_ROLE_SORTS: dict[Sort, str] = {
    "person": r"[位人]|先生|女士|老师|老人|男子|女子|男孩|女孩|小伙|姑娘|记者|专家|教授|作者",
    "organisation": r"家|公司|企业|单位|机构|部门|团队|组织|协会|集团|机关",
    "place": r"地方|城市|地区|市|县|区|镇|乡|村|省|地|小区|园区",
}
_ATTRIBUTE_QUESTION = {
    "number": "是多少？",
    "date": "是什么时候？",
    "place": "在哪里？",
}


def readings(question: str, history: Sequence[Turn]) -> tuple[str, ...]:
    """Return the complete questions that a question may mean after the turns before it.

    The likeliest comes first; a question that is complete has one reading, itself.
    """
    return _readings(question, _exchanges(history))


def _exchanges(history: Sequence[Turn]) -> list[Exchange]:
    """Return the questions of a conversation, each made complete, with their replies."""
    found: list[Exchange] = []
    for number, turn in enumerate(history):
        said = turn.content
        if turn.role != "user" or not said.strip() or analyse(said).kind == "meta":
            continue
        behind = history[number + 1 : number + 2]
        reply = next((t.content for t in behind if t.role == "assistant"), "")
        found.append(Exchange.of(_readings(said, found)[0], reply))
    return found


def _readings(question: str, earlier: Sequence[Exchange]) -> tuple[str, ...]:
    if not earlier:
        return (question,)
    changed = _CHANGES_TOPIC.match(question)
    if changed and len(question) - changed.end() > 4:
        return (question[changed.end() :],)
    asked = analyse(question)
    if asked.kind in ("meta", "summary") and not _ASKS_NAME.match(question):
        return (question,)
    if not asked.chinese:
        before = earlier[-1].question
        return (f"{question} ({before})",) if _ENGLISH.search(question) else (question,)
    return tuple(dict.fromkeys(_complete(question, earlier)))


def _complete(question: str, earlier: Sequence[Exchange]) -> Iterator[str]:
    """Yield the readings of a question, the likeliest first."""
    last = earlier[-1]
    if not last.subject:
        yield f"{last.statement}，{_ELLIPSIS.sub('？', question)}" if last.statement else question
        return
    asked_aside = _ASIDE.match(question)
    if asked_aside and not _is_bare(question[asked_aside.end() :]):
        yield question[asked_aside.end() :]
    body = _without_leading(question.strip())
    if _ELLIPSIS.search(body) and not _has_gap(body):
        yield from _swaps(_ELLIPSIS.sub("", body), earlier)
        return
    pointer = _pointer(body)
    if pointer:
        yield from _resolved(body, pointer, earlier)
        return
    if _names_only(body):
        yield from _swaps(body.rstrip(END_MARKS), earlier)
        return
    body = _called(body)
    alone = [] if _is_bare(body) else [body]
    if _mentions(body, last.subject):
        yield body
    about = last.reply if last.names_reply else last.subject
    yield from (*alone, f"{last.statement}，{body}", f"{about}，{body}", body)


def _without_leading(question: str) -> str:
    """Take away "那", "还有" and the like, but not the 那 of 那里, 那个 and 那家医院."""
    aside = _ASIDE.match(question)
    question = question[aside.end() :] if aside else question
    led = _LEADING.match(question)
    if led is None:
        return question
    if re.match(rf"那[两几二三四五六七八九十][{_COUNTING}]", question):
        return question
    if led.group() == "那":
        first, *rest = [word.text for word in tagged(question)]
        if (first[1:] or "".join(rest[:1])) in {*_COUNTING, *"里裡裏儿兒边邊些"}:
            return question
    return question[led.end() :]


def _called(body: str) -> str:
    """Take the 呢 out of "佟丽娅呢，多大了"."""
    return re.sub(r"^([^,，]+)呢[,，]\s*(?=.*\w)", r"\1", body)


def _has_gap(body: str) -> bool:
    asked = analyse(body)
    return asked.gap_end > asked.gap_start


def _names_only(body: str) -> bool:
    """Tell whether a question is a name and no more: "单项冠军？", "2021年的？"."""
    asked = analyse(body)
    if asked.kind == "yes-no" or _has_gap(body):
        return False
    return not any(
        word.tag.startswith(("v", "p", "r", "d")) and word.tag != "vn" for word in tagged(body)
    )


# Pointers


def _pointer(body: str) -> re.Match[str] | None:
    """Return the pronoun or demonstrative that points to the turns before, if any."""
    for found in _POINTER.finditer(body):
        text, first = found.group(), found.start() == 0 or body[found.start() - 1] in ",，"
        if _MOMENT.match(body[found.start() :]):
            continue
        if found.lastgroup == "pointing":
            counted = text[-1] in _COUNTING
            noun = _noun_behind(body, found.end())
            if noun in _DOCUMENT:
                continue
            if not noun and not (first and (counted or len(text) == 1)):
                continue
            if len(text) == 1 and text in "这這那" and not first:
                continue
        if found.lastgroup == "place" and not first and _nominal_before(body, found.start()):
            continue
        return found
    return None


def _nominal_before(body: str, at: int) -> bool:
    return any(word.end == at and nominal(word) for word in tagged(body))


def _noun_behind(body: str, at: int) -> str:
    """Return the first noun behind a demonstrative."""
    words = tagged(body[at:])
    if not words or words[0].start or not words[0].tag.startswith(("n", "vn", "j", "l")):
        return ""
    acts = words[0].tag == "vn" and len(words) > 1 and words[1].text in "了过過着著"
    return "" if acts else words[0].text


def _resolved(body: str, pointer: re.Match[str], earlier: Sequence[Exchange]) -> Iterator[str]:
    """Yield a question with what its pronoun stands for in its place."""
    text, end = fold(pointer.group()).text, pointer.end()
    noun = _noun_behind(body, end) if pointer.lastgroup == "pointing" else ""
    wanted = _wanted(text, fold(noun).text)
    known = [
        (name, sort)
        for exchange in reversed(earlier)
        for name, sort in exchange.referents
        if name != noun and not any(name in other.name and name != other.name for other in earlier)
    ]
    if noun:
        meant = [
            name for name, _ in known if fold(name).text.strip(QUOTES).endswith(fold(noun).text)
        ]
        if not meant and not any(sort in wanted for _, sort in known):
            yield f"{earlier[-1].statement}，{body}"
        end += len(noun)
    else:
        meant = []
    replies = {
        exchange.reply
        for exchange in earlier
        if (exchange.asked.kind,) == wanted[:1] != ("organisation",)
    }
    ranked = sorted(known, key=lambda known: (_fits(known[1], wanted), known[0] not in replies))
    names = dict.fromkeys(
        [*meant, *(name for name, sort in ranked if sort not in ("time", "amount"))]
    )
    for name in list(names)[:3]:
        yield _called(f"{body[: pointer.start()]}{name}{body[end:]}")
    if not names:
        yield f"{earlier[-1].statement}，{body}"


def _wanted(pointer: str, noun: str) -> tuple[Sort, ...]:
    """Return the sorts of things that a pronoun with its noun can stand for."""
    for sort, pattern in _ROLE_SORTS.items():
        if re.fullmatch(pattern, noun or pointer[-1]):
            return (sort,)
    if pointer[0] in "他她":
        return ("person", "organisation") if len(pointer) > 1 else ("person",)
    if pointer[-1] in "里儿边" or pointer.endswith(("地方", "当地")):
        return ("place", "organisation")
    return () if noun else ("organisation", "place", "thing")


def _fits(sort: Sort, wanted: Sequence[Sort]) -> int:
    """Return how badly a sort fits what is wanted: 0 is best."""
    if sort in wanted:
        return 0
    return 1 if sort == "thing" else 2


# Ellipses


_CERTAIN = 6.0
"""From what likeness nothing else can be meant."""


def _swaps(body: str, earlier: Sequence[Exchange]) -> Iterator[str]:
    """Yield the question before with what is newly named in the place of its like.

    "市人民医院和哪家医院合作？" + "那市中医医院呢" swaps the hospitals; what has no like there
    ("总投资") is asked of the subject.
    """
    last = earlier[-1]
    pointer = _pointer(body)
    if pointer and (pointer.lastgroup == "personal" or _noun_behind(body, pointer.end())):
        resolved = next(_resolved(body, pointer, earlier))
        if not resolved.endswith(f"，{body}"):
            yield _asked_of("", resolved)
            return
    new = _SHELL.sub("", body.strip()) or body.strip()
    if not any(map(str.isalnum, new)):
        yield last.question
        return
    found = sorted(_replacements(new, last), key=lambda found: -found[0])
    strong = [text for likeness, text in found if likeness > 1]
    weak = [text for likeness, text in found if likeness <= 1]
    attributes = [_asked_of(owner, new.removesuffix("的")) for owner in _owners(new, last)]
    if found and found[0][0] >= _CERTAIN:
        attributes = []
    elif _asks_other(new, last):
        yield from attributes
    if body[-1] in "边邊" and new != body:
        yield from weak
    yield from (*strong, *attributes, *weak)


def _owners(attribute: str, last: Exchange) -> list[str]:
    """Return whose attribute is meant, the likeliest first: 市三中 of 市三中的校长, or its reply."""
    owner, of, _ = last.subject.rpartition("的")
    about = [last.subject, owner] if of else [last.subject]
    if not last.equates:
        return about
    person = last.referents[0][1] == "person"
    if person and (MEASURE.search(attribute) or analyse(attribute).kind in _ATTRIBUTE_QUESTION):
        personal = _PERSONAL.search(attribute)
        return [last.reply, *about] if personal else [*reversed(about), last.reply]
    return [last.reply, *about]


def _asks_other(attribute: str, last: Exchange) -> bool:
    """Tell whether an attribute wants another kind of answer than the question before."""
    kind = analyse(attribute).kind
    counts = last.asked_noun is not None and bool(last.asked.unit)
    if MEASURE.search(attribute):
        return counts or last.asked.kind != "number"
    return kind in _ATTRIBUTE_QUESTION and kind != last.asked.kind


def _asked_of(subject: str, attribute: str) -> str:
    """Return the question for an attribute of the subject."""
    kind = analyse(attribute).kind
    ending = _ATTRIBUTE_QUESTION.get(kind, "是多少？" if MEASURE.search(attribute) else "是什么？")
    joint = "" if not subject or _mentions(attribute, subject) else f"{subject}的"
    return f"{joint}{attribute}{ending}"


def _replacements(new: str, last: Exchange) -> Iterator[tuple[float, str]]:
    """Yield the question before with the new in the place of something, and how alike they are."""
    text = last.question
    bare = _without_preposition(new.strip(QUOTES).removesuffix("的") or new)
    found: list[tuple[float, int, int, str]] = []
    if _timed(bare):
        found.append((6, *_time_in(last), bare))
    else:
        if numbered := _like_number(bare, text):
            found.append((7, *numbered, bare))
        if new[0] in "《〈" and (title := re.search(r"[《〈][^《》〈〉]+[》〉]", text)):
            found.append((7, *title.span(), new))
        found += [(4, start, end, bare) for start, end in _twins(bare, last)]
        found += [(4.2, *verb, bare) for verb in _verb_like(bare, last)]
        clause = max(text.rfind(mark, 0, last.gap[0]) for mark in ",，") + 1
        for phrase in last.phrases:
            if phrase.text != bare and phrase.start >= clause and not _counts(phrase):
                found += _in_phrase(new, bare, phrase, last)
    for likeness, start, end, instead in found:
        yield likeness, text[:start] + instead + text[end:]


def _without_preposition(text: str) -> str:
    first, *rest = tagged(text) or [None]
    return text[first.end :] if first and rest and first.tag in ("p", "c") else text


def _counts(phrase: Phrase) -> bool:
    return all(word.tag.startswith(("m", "q", "t")) for word in phrase.words)


def _verb_like(new: str, last: Exchange) -> Iterator[tuple[int, int]]:
    """Yield where the verb stands that a new one takes the place of."""
    if not _acts(new):
        return
    asked = last.asked_phrase
    if asked and (measured := MEASURE.search(asked.text)):
        yield asked.start + measured.start(), asked.end
        return
    ahead = [w for w in last.words if w.end <= last.gap[0] or last.gap[0] == last.gap[1]]
    verbs = [w for w in ahead if w.tag in ("v", "vn") and w.text not in "有是为"]
    if verbs:
        yield verbs[-1].start, verbs[-1].end


def _in_phrase(
    new: str, bare: str, phrase: Phrase, last: Exchange
) -> Iterator[tuple[float, int, int, str]]:
    """Yield where and how well the new goes into a phrase: its whole, its head or what leads it."""
    head = phrase.head.start
    prefix = last.question[phrase.start : head]
    measured = MEASURE.search(phrase.text)
    measure = phrase.start + measured.start() if measured else phrase.end
    measure = head if phrase.end - measure == 1 else measure
    if MEASURE.search(bare):
        if measured:
            yield 5, measure, phrase.end, bare
        elif phrase == last.asked_phrase and sort_of(phrase.text) in ("thing", "time", "amount"):
            yield 2.5, head if named(prefix) else phrase.start, phrase.end, bare
        return
    if new.endswith("的") and phrase == last.asked_phrase:
        yield 4.1 if _acts(bare) else 4.5, phrase.start, head, new
    end = measure if measured and measure > phrase.start else phrase.end
    old = last.question[phrase.start : end]
    likeness = _likeness(old, bare)
    if last.asked.kind in ("number", "person") and phrase == last.asked_phrase and not named(bare):
        likeness += 2
    if phrase.start == 0:
        likeness += 2 if sort_of(old) == "thing" and _parallel(bare) else 0.5
    if end == phrase.end and named(prefix) and not named(bare) and old[-1] == bare[-1]:
        yield likeness + 0.5, head, end, bare
    yield likeness, phrase.start, end, bare


def _parallel(new: str) -> bool:
    """Tell whether the new stands for one like what was asked of: a name, "高庙村那个"."""
    return named(new) or bool(re.search(r"[这這那][个個位家]$", new))


def _likeness(old: str, new: str) -> float:
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
        if start in starts and outside and like and old != new and 1 < len(new):
            yield start, word.end


def _timed(text: str) -> bool:
    """Tell whether a text is a time: "今年", "2000年以后", "通车后"."""
    folded = fold(text).text
    rest = DATE.sub("", folded)
    words = [w for w in tagged(rest) if w.text not in "的以之"]
    dated = rest != folded or any(w.tag == "t" for w in words)
    timeless = all(w.tag.startswith(("t", "m", "f")) or w.text == "季度" for w in words)
    return (dated and timeless) or bool(re.search(r"\w(?:[之以]?[前后]|时候?|期间|以来)$", folded))


def _time_in(last: Exchange) -> tuple[int, int]:
    """Return where the question names its time, or its beginning."""
    dated = re.search(rf"(?:[上本]世纪)?{DATE.pattern}(?:以[来前后])?", fold(last.question).text)
    if dated and len(fold(last.question).text) == len(last.question):
        return dated.span()
    timed = next((w for w in last.words if w.tag == "t" and w.end <= last.gap[0]), None)
    return (timed.start, timed.end) if timed else (0, 0)


def _like_number(body: str, text: str) -> tuple[int, int] | None:
    """Return what counts the same thing in the earlier question: "第二名" for "第三名"."""
    led = _NUMBERED.match(body)
    if led and led.end() < len(body):
        found = re.search(rf"(?:{_NUMBERED.pattern})?{re.escape(body[led.end() :])}", text)
        return found.span() if found else None
    stem = re.sub(rf"{_NUMBERED.pattern}$", "", body)
    if stem in ("", body):
        return None
    found = re.search(rf"{re.escape(stem)}{_NUMBERED.pattern}", text)
    return found.span() if found else None


def _acts(text: str) -> bool:
    """Tell whether a text is a verb: "占地", "完工的", "上半年新增的"."""
    if MEASURE.search(text):
        return False
    words = tagged(text)
    return (
        bool(words)
        and any(w.tag in ("v", "vn", "vi") for w in words)
        and all(w.tag.startswith(("v", "t", "d")) for w in words)
    )


def _is_bare(body: str) -> bool:
    """Tell whether a question names nothing of its own to ask about."""
    asked = analyse(body)
    found = [p.text for p in Exchange(body, "").phrases if fold(p.text).text != asked.focus]
    return not found or (len(body) <= 8 and not any(map(named, found)))


def _mentions(body: str, subject: str) -> bool:
    return subject in body or (len(subject) > 3 and subject[-3:] in body)
