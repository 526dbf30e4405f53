"""Follow-up questions completed from the turns before them, without a language model.

A question that leans on the conversation ("那总投资呢？", "它的目标产值？") is joined with what
the last complete question was about; any other is left as it is. Words alone often cannot
tell what "苏州呢？" goes with, so there are several readings, the likeliest first, and what the
documents say decides among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from index.fold import fold
from index.words import Word, tagged
from rag.question import Asked, analyse, without_attribute


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation, in the shape of OpenAI's."""

    role: Literal["user", "assistant"]
    content: str


_THINGS = "|".join(
    """
    公司 企业 企業 医院 醫院 项目 項目 产业园 產業園 园区 園區 小镇 小鎮
    基地 机构 機構 团队 團隊 城市 人 铁路 鐵路 高铁 高鐵 学校 學校 单位
    單位 活动 活動 政策 协会 協會 集团 集團 联盟 聯盟 比赛 比賽 大赛 大賽
    产品 產品 材料 论坛 論壇 会议 會議 工程 平台 平臺 系统 系統 地方 数字
    數字 技术 技術 措施 制度
    """.split()
)
_PRONOUN = re.compile(
    r"(?:[它他她牠][们們]?)(?=$|[^俩])|(?<![与與尤极極])其(?![实實中他它次余餘间間])"
    r"|[这這那](?:里|裡|裏|儿|边)"
    r"|(?:这|這|那|该|該|此)(?:一|两|几|些)?"
    r"(?:个|個|家|位|项|條|条|項|座|所|种|種|款|次|场|場|件|支|批|处|處|届|部|份|些)?"
    rf"(?:{_THINGS})?"
)
_LEADING = re.compile(
    r"^(?:那[么麼]|那|[还還]有|另外|然[后後]|接[着著]|再[问問](?:一下)?|[请請][问問]|以及|至[于於]"
    r"|而|哦|嗯|好的?|[对對]了)[,，\s]*"
)
_CHANGES_TOPIC = re.compile(
    r"^(?:打住|算了|好[了的]?|嗯|对了|另外)?[,，。\s]*"
    r"(?:换个?|换一个|另[起问]一?个?|再?[说聊问]个别的|不[说聊问谈]这个了?|先不[说聊问谈]这个|题外话|回到)"
    r"(?:话题|问题|事儿?)?[^,，。:：]{0,4}[,，。:：\s]+"
)
_ASKS_NAME = re.compile(r"\s*(?:是[谁誰]|叫(?:[什甚][么麼]|啥)(?:名字)?)[?？。\s]*$")
"""Asked of the chatbot, unless something was talked of before."""

_ELLIPSIS = re.compile(r"呢[?？!！。.\s]*$")
_ENGLISH = re.compile(
    r"\b(?:it|its|they|their|them|he|his|him|she|her|this|that|these|those|there)\b"
    r"|^(?:and|what about|how about)\b",
    re.IGNORECASE,
)
_POINTED_AT = frozenset("里裡裏儿边个個家位项項条條座所种種款次场場件支批处處届部份些")
_NUMBERED = re.compile(r"第?[\d.一二三四五六七八九十百千两]+")
_NOMINAL = ("n", "vn", "an", "j", "l", "b", "eng", "s", "i", "m", "q")
_EMPTY = frozenset(("时候", "时间", "名字", "情况", "什么"))
_QUOTES = "《》〈〉“”‘’「」『』\"'"
_NAME_CHARS = 30
"""The longest reply that can be a name, in characters."""

_ATTRIBUTE_QUESTION = {
    "number": "是多少？",
    "date": "是什么时候？",
    "place": "在哪里？",
}


def readings(question: str, history: Sequence[Turn]) -> tuple[str, ...]:
    """Return the complete questions that a question may mean after the turns before it.

    The likeliest comes first; a question that is complete has one reading, itself.
    """
    said = [turn.content for turn in history if turn.role == "user" and turn.content.strip()]
    asked_before = [content for content in said if analyse(content).kind != "meta"]
    whole = analyse(question).kind in ("meta", "summary") and not _ASKS_NAME.match(question)
    if not asked_before or whole:
        return (question,)
    topic = _last_complete(asked_before)
    if not analyse(question).chinese:
        return (f"{question} ({topic})",) if _ENGLISH.search(question) else (question,)
    replied = next((t.content for t in reversed(history) if t.role == "assistant"), "")
    changed = _CHANGES_TOPIC.match(question)
    if changed and len(question) - changed.end() > 4:
        return (question[changed.end() :],)
    return tuple(dict.fromkeys(_complete(question, topic, replied.strip())))


def _last_complete(asked: Sequence[str]) -> str:
    """Complete the user's earlier questions one after the other and return the last."""
    topic = asked[0]
    for question in asked[1:]:
        topic = next(_complete(question, topic, ""))
    return topic


def _complete(question: str, topic: str, replied: str) -> Iterator[str]:
    """Yield the readings of a question, the likeliest first."""
    body = _without_leading(question.strip())
    led = body != question.strip()
    before = analyse(topic)
    subject = _subject(before, replied)
    if not subject:
        yield question
        return
    pronoun = _pronoun(body)
    context = _statement(before) or subject
    if _ELLIPSIS.search(body) and (led or not _has_gap(body)):
        yield from _swaps(_ELLIPSIS.sub("", body).strip("的"), topic, before, subject)
    elif pronoun:
        meant = _meant(pronoun.group(), before, replied)
        for name in filter(None, (meant, subject, _longest(before), _name(replied))):
            yield f"{body[: pronoun.start()]}{name}{body[pronoun.end() :]}"
    elif _mentions(body, subject):
        yield body if led or _is_bare(body) else question
    else:
        joined = [f"{about}，{body}" for about in (context, _name(replied)) if about]
        alone = [] if led or _is_bare(body) else [question]
        yield from (*alone, *joined, body)


def _name(replied: str) -> str:
    """Return a reply that may be a name, or ""."""
    named = replied.rstrip("。.!！")
    return named if len(named) <= _NAME_CHARS and not named[:1].isdigit() else ""


def _without_leading(question: str) -> str:
    """Take away "那", "还有" and the like, but not the 那 of 那里, 那个 and 那家医院."""
    led = _LEADING.match(question)
    if led is None:
        return question
    if led.group() == "那":
        first, *rest = [word.text for word in tagged(question)]
        if (first[1:] or "".join(rest[:1])) in _POINTED_AT:
            return question
    return question[led.end() :]


def _statement(asked: Asked) -> str:
    """Return what a question takes for granted: itself without its gap."""
    behind = asked.after.removeprefix(asked.unit)
    if asked.before.endswith(("是", "叫", "为")):
        behind = behind.removeprefix(asked.focus)
    return (asked.before + behind).lstrip("的").rstrip("是有在为叫的了吗")


def _meant(pronoun: str, before: Asked, replied: str) -> str:
    """Return what a pronoun with a noun ("这本书", "该项目") stands for, or ""."""
    pronoun = fold(pronoun).text
    if pronoun[0] in "他她" and before.kind != "person":
        # A name opens its phrase: 小镇 in 教育小镇, tagged as one by mistake, does not.
        phrases = _phrases(before)
        people = [w.text for w in before.words if w.tag == "nr"]
        return next((p for p in people if any(q.startswith(p) for q in phrases)), "")
    if pronoun[-1] in "它牠们其这那该此个":
        return ""
    named = [phrase for phrase in _phrases(before) if phrase.endswith(pronoun[-1])]
    if named:
        return max(named, key=len)
    answered = replied.rstrip("。.!！")
    fits = answered.endswith((pronoun[-1], "》", "”"))
    return answered if fits and len(answered) <= _NAME_CHARS else ""


def _pronoun(body: str) -> re.Match[str] | None:
    found = _PRONOUN.finditer(body)
    return next((m for m in found if m.group() not in ("这", "那") or m.start() == 0), None)


def _has_gap(body: str) -> bool:
    asked = analyse(body)
    return asked.gap_end > asked.gap_start


def _swaps(body: str, topic: str, before: Asked, subject: str) -> Iterator[str]:
    """Yield the question before with what is newly named in the place of its like.

    "市人民医院和哪家医院合作？" + "那市中医医院呢" swaps the hospitals; what has no like there
    ("总投资") is asked of the subject.
    """
    if not any(map(str.isalnum, body)):
        yield topic
        return
    like = _like_of(body, topic, before)
    likes = [like] if like else sorted(_phrases(before), key=len, reverse=True)
    # The phrases are folded: those of a Traditional question stand in its folded text only.
    swapped = [
        (topic if each in topic else before.text).replace(each, body.strip(_QUOTES), 1)
        for each in likes
    ]
    attribute = _attribute(body, subject)
    yield from (*swapped, attribute) if like else (attribute, *swapped)


def _like_of(body: str, topic: str, before: Asked) -> str:
    """Return what the newly named takes the place of in the question before, or ""."""
    named = body.strip(_QUOTES)
    like = _like(named, before) or _like_number(named, topic)
    if not like and body.startswith("《"):
        like = _title(topic)
    if not like and _proper(named):
        like = next((p for p in reversed(_phrases(before)) if before.text.startswith(p)), "")
    if not like and before.kind == "number" and analyse(named).kind == "thing":
        like = _asked_noun(before)
    return like


def _attribute(body: str, subject: str) -> str:
    """Return the question for an attribute of the subject."""
    ending = _ATTRIBUTE_QUESTION.get(analyse(body).kind, "是什么？")
    if _has_gap(body):
        ending = "？"
    pronoun = _pronoun(body)
    if pronoun:
        return f"{body[: pronoun.start()]}{subject}{body[pronoun.end() :]}{ending}"
    return f"{subject}{'' if _mentions(body, subject) else '的'}{body}{ending}"


def _title(text: str) -> str:
    """Return the first title between 《 and 》, or ""."""
    found = re.search(r"《([^《》]+)》", text)
    return found[1] if found else ""


def _asked_noun(asked: Asked) -> str:
    """Return the phrase behind the question word and its unit: "多少只活塞" asks for 活塞."""
    behind = asked.text[asked.gap_end :].removeprefix(asked.unit)
    return next((p for p in reversed(_phrases(asked)) if behind.startswith(p)), "")


def _like(body: str, before: Asked) -> str:
    """Return the phrase of the earlier question that is of one kind with `body`, or ""."""
    for phrase in sorted(_phrases(before), key=len, reverse=True):
        if (
            phrase not in (body, _asked_noun(before))
            and len(phrase) > 1
            and ((phrase[-1] == body[-1] and len(body) > 1) or (_proper(phrase) and _proper(body)))
        ):
            return phrase
    return ""


def _like_number(body: str, topic: str) -> str:
    """Return what counts the same thing in the earlier question: "第二名" for "第三名"."""
    led = _NUMBERED.match(body)
    if led is None or len(led.group()) == len(body):
        return ""
    found = re.search(rf"(?:{_NUMBERED.pattern})?{re.escape(body[led.end() :])}", topic)
    return found.group() if found else ""


def _proper(text: str) -> bool:
    words = tagged(text)
    return bool(words) and words[-1].tag.startswith(("nr", "ns", "nt", "nz"))


def _subject(before: Asked, replied: str) -> str:
    """Return what the conversation is about: the longest phrase of the question before.

    A question for a name ("谁…", "哪家…") makes its answer the subject, and so does one for a
    thing that the answer ends with ("哪条铁路…").
    """
    named = replied.rstrip("。.!！")
    asks_name = before.kind in ("person", "organisation") or (
        before.kind == "thing" and before.focus and named.endswith(before.focus)
    )
    if asks_name and 0 < len(named) <= _NAME_CHARS:
        return named
    return _longest(before)


def _longest(before: Asked) -> str:
    """Return the longest phrase of a question, a name before others, without its attribute."""
    longest = max(_phrases(before), key=lambda p: (_specific(p), len(p)), default="")
    bare = without_attribute(longest)
    return bare if len(bare) > 1 else longest


def _specific(phrase: str) -> int:
    return int(any(w.tag.startswith(("nr", "ns", "nt", "nz")) for w in tagged(phrase)))


def _phrases(asked: Asked) -> list[str]:
    """Return the noun phrases of a question outside its gap, as written there (folded)."""
    phrases: list[str] = []
    run: list[Word] = []
    for word in asked.words:
        if not _nominal(word) or (word.start < asked.gap_end and asked.gap_start < word.end):
            run = []
            continue
        if run and run[-1].end == word.start:
            phrases.pop()
        else:
            run = []
        run.append(word)
        phrases.append(asked.text[run[0].start : word.end])
    return [p for p in phrases if len(p) > 1 and p not in _EMPTY]


def _nominal(word: Word) -> bool:
    return word.tag.startswith(_NOMINAL) and word.text not in ("请问", "问")


def _is_bare(body: str) -> bool:
    """Tell whether a question names nothing of its own to ask about."""
    asked = analyse(body)
    named = [p for p in _phrases(asked) if p != asked.focus]
    return not named or (len(body) <= 8 and not any(_specific(p) for p in named))


def _mentions(body: str, subject: str) -> bool:
    return subject in body or (len(subject) > 3 and subject[-3:] in body)
