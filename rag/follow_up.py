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
from rag.ellipses import attribute_of, mentions, swaps
from rag.exchange import END_MARKS, Exchange
from rag.naming import named, sort_of
from rag.pointers import COUNTING, pointer_in, resolved
from rag.question import analyse
from rag.records import AnswerRecord
from rag.subquestions import clauses


@dataclass(frozen=True, slots=True)
class Turn(AnswerRecord):
    """One message of a conversation, in the shape of OpenAI's."""

    role: Literal["user", "assistant"]
    content: str


_LEADING = re.compile(
    r"^(?:那[么麼]|那|[还還]有|另外|然[后後]|接[着著]|[请請][问問]|以及|至[于於]|而且?|哦|嗯"
    r"|好的?(?=[,，\s])|[对對]了)[,，\s]*"
)
_NAME_TAGS = ("nr", "ns", "nt", "nz", "t")
"""The tags of words known to begin with a lead: 那曲, 而今; others are words of chance."""

_POINTING_LEAD = re.compile(rf"那[两几二三四五六七八九十][{COUNTING}]")
_ASIDE = re.compile(
    r"^(?:(?:[顺順]便|另外|最[后後]|再|[还還]?想再?)[问問](?:一?下|一?[个個])?[,，:：\s]*"
    r"|[还還]有一?[个個][问問][题題][,，:：\s]*|[对對]了[,，\s]*|另外[,，]\s*)"
)
"""What leads to another question, on the same topic or not."""

_CHANGES_TOPIC = re.compile(
    r"^(?:打住|算了|好[了的]?|嗯|对了|另外|那)?[,，。\s]*(?:咱们?|我们)?(?:来|还是|再|先)?"
    r"(?:换一?个?(?:话题|问题|事儿?)?|另[起问]一?个?|[说聊问谈讲]一?[个点些]?(?:别的|其[他它]的?)"
    r"|[不别]再?[说聊问谈提]|跳过[这那]|[这那][个件]?(?:事儿?|话题|问题)?先[放不]|题外话|回到)"
    r"[^,，。:：?？谁哪几]{0,6}[,，。:：\s]+"
)
_ASKS_NAME = re.compile(r"\s*(?:是[谁誰]|叫(?:[什甚][么麼]|啥)(?:名字)?)[?？。\s]*$")
"""Asked of the chatbot, unless something was talked of before."""

_ELLIPSIS = re.compile(rf"呢[{re.escape(END_MARKS)}]*$")
_CALLED = re.compile(r"^([^,，]+)呢[,，]\s*(?=.*\w)")
_ENGLISH = re.compile(
    r"\b(?:it|its|they|their|them|he|his|him|she|her|this|that|these|those|there)\b"
    r"|^(?:and|what about|how about)\b",
    re.IGNORECASE,
)


def readings(question: str, history: Sequence[Turn]) -> tuple[str, ...]:
    """Return the complete questions that a question may mean after the turns before it.

    The likeliest comes first; a question that is complete has one reading, itself.
    """
    return _readings(question, _exchanges(history))


def _exchanges(history: Sequence[Turn]) -> list[Exchange]:
    """Return the questions of a conversation, each made complete, with their replies."""
    found: list[Exchange] = []
    for turn, behind in zip(history, (*history[1:], None), strict=False):
        if turn.role != "user" or not turn.content.strip():
            continue
        if analyse(turn.content).kind != "meta":
            reply = behind.content if behind and behind.role == "assistant" else ""
            parts = clauses(_readings(turn.content, found)[0])
            found += [Exchange.of(part, reply if len(parts) == 1 else "") for part in parts]
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
    aside = _ASIDE.match(question)
    body = question[aside.end() :] if aside else question
    if aside and not _is_bare(body):
        yield body
    body = _without_leading(body.strip())
    pointer = pointer_in(body)
    if _ELLIPSIS.search(body) and not _has_gap(body):
        yield from _of_ellipsis(_ELLIPSIS.sub("", body), earlier)
    elif pointer:
        yield from (_CALLED.sub(r"\1", each) for each in resolved(body, pointer, earlier))
    elif _names_owner(body):
        yield body
    elif _names_only(body):
        yield from swaps(body.rstrip(END_MARKS), last)
    else:
        yield from _joined(_CALLED.sub(r"\1", body), last)


def _of_ellipsis(body: str, earlier: Sequence[Exchange]) -> Iterator[str]:
    """Yield what "它的面积呢" asks, its pointer resolved, or "苏州呢" by swaps."""
    pointer = pointer_in(body)
    if pointer and (pointer.noun or pointer.text[0] in "他她它牠其"):
        first = next(resolved(body, pointer, earlier))
        if not first.endswith(f"，{body}"):
            yield attribute_of("", first)
            return
    yield from swaps(body, earlier[-1])


def _joined(body: str, last: Exchange) -> Iterator[str]:
    """Yield a question with what was said before in front, and alone."""
    about = last.reply if last.names_reply else last.subject
    if mentions(body, last.subject) or not _is_bare(body):
        yield body
    yield from (f"{last.statement}，{body}", f"{about}，{body}", body)


def _without_leading(question: str) -> str:
    """Take away "那", "还有" and the like, but not the 那 of 那里, 那个, 那家医院 and 那曲."""
    led = _LEADING.match(question)
    if led is None or _POINTING_LEAD.match(question):
        return question
    words = tagged(question)
    if any(w.start < led.end() < w.end and w.tag.startswith(_NAME_TAGS) for w in words):
        return question
    if led.group() == "那":
        first, *rest = [word.text for word in words]
        if (first[1:] or "".join(rest[:1])) in {*COUNTING, *"里裡裏儿兒边邊些"}:
            return question
    return question[led.end() :]


def _has_gap(body: str) -> bool:
    asked = analyse(body)
    return asked.gap_end > asked.gap_start


def _names_only(body: str) -> bool:
    """Tell whether a question is a name and no more: "单项冠军？", "2021年的？"."""
    if analyse(body).kind == "yes-no" or _has_gap(body):
        return False
    return not any(word.tag in ("v", "vd", "vi") or word.tag[0] in "prd" for word in tagged(body))


def _names_owner(body: str) -> bool:
    """Tell a question that begins with the name of whose attribute it asks: 青石县的人口有多少."""
    first = next(iter(Exchange(body, "").phrases), None)
    if first is None or first.start or not body.startswith("的", first.end):
        return False
    compound = len(first.words) > 1 and sort_of(first.text) in ("place", "organisation")
    return (compound or named(first.text)) and len(body.rstrip(END_MARKS)) > first.end + 1


def _is_bare(body: str) -> bool:
    """Tell whether a question names nothing of its own to ask about."""
    asked = Exchange(body, "")
    found = [p.text for p in asked.phrases if fold(p.text).text != asked.asked.focus]
    return not found or (len(body) <= 8 and not any(map(named, found)))
