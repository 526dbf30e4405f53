"""Subquestions: the questions that one question asks, each with its full subject.

"小镇在哪里，总投资多少？" asks two things of one subject, "甲和乙的营收分别是多少？" one thing of
two. What is asked is told by question words and what joins them, never by what they ask about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, takewhile

from index.fold import fold
from index.words import Word, tagged
from rag.ellipses import mentions, swaps
from rag.exchange import END_MARKS, Exchange
from rag.naming import CLOSING_QUOTES, MEASURE, OPENING_QUOTES, named, nominal
from rag.parallels import AND, of_each
from rag.question import analyse, ends_as_question

_NEAR = 30
"""How far behind 和 another question is looked for, in characters."""

_CLAUSE_ENDS = frozenset(",，;；?？。!！\n")
_MARKS = _CLAUSE_ENDS | {"、"}
_AND_ALSO = frozenset(("以及", "还有", "還有", "并且", "並且", "而且"))
_AND_ENGLISH = re.compile(r"[?;.]\s+(?:and\s+)?|,?\s+and\s+", re.IGNORECASE)
_LEADING = re.compile(r"^(?:以及|[还還]有|[并並]且|而且|另外|同[时時]|和|又|[与與]|及)[,，]?")
_ASIDE = re.compile(
    r"^(?:谁|哪位|有没有人|你|我想)(?:能|可以|会)?(?:知道|告[诉訴]我?|说说|[问問]一?下?)[,，]?"
)
_ASKS_NOTHING = re.compile(
    r"(?<![有是共第分了到成设建办签开招各达出要用需花等])几"
    r"(?=[个家处方只类位地种条件名座]|天(?![能可才内办拿到出就]))|几乎|[好十百近前后这那头]几"
    r"|[许众很大诸最]多|(?:无论|不管|不论|没|不知道|不清楚|被问|为了?分清)\w*|列[出举]"
    r"|(?:谁|哪位|有没有人|你)(?:能|可以|会)?(?:知道|告诉|说说|了解|晓得)\w{0,2}"
    r"|(?<!是)(?:怎么|怎样|如何|多少|几)\w*的[^的\W]+$"
)
"""What holds a question word and asks nothing: 未来几天, 许多大型企业, 谁知道, 怎么用的规矩."""

_CHOOSES = re.compile(r"[前后後]者|[前后後最][一后後][个個座条條项項]|只[问問要答]|我[问問]的?是")
"""What leaves one of several to be answered."""

_ITEM_NUMBER = re.compile(
    r"(?:^|(?<=[?？;；,，。\n]))\s*(?:[(（]?(?:\d{1,2}|[一二三四五六])[)）.．、](?!\d)|[①-⑨])\s*"
)
"""What numbers one of several questions: "1.费用多少？2.时间多长？"."""

_EQUATES = re.compile(r"[又是叫为為]+$")
_ELLIPSIS = re.compile(rf"呢[{re.escape(END_MARKS)}]*$")
_WHETHER = re.compile(r"是否|是不是|能否")
_TAG = re.compile(
    r"^(?:[你您我]?(?:真的|是|对|對|好|行|可以|知道|了解|清楚|方便|不是)(?:这样)?[吗嗎])"
    r"|^(?:请问)?[你您我]?(?:能不能|能否|可不可以|可以|能|想|方便)?(?:请教|[请請]?[问問]|告[诉訴]|[说說]|帮|麻烦|打扰)"
)
"""What asks to be confirmed, or for leave to ask."""

_RELATIVE = re.compile(
    r"(?:[为為](?:什[么麼]|何)[会會]?)?(?:同比|[环環]比|又|[约約])?(?:[增降涨漲跌减減升]|提高|下[滑降]|上升|占(?!地))"
)
"""Predicates of the amount that was asked for before: 同比增长, 占总股本."""


def subquestions(question: str) -> tuple[str, ...]:
    """Return the questions that a question asks, each complete; itself where it asks one."""
    return _several(question, (each for one in clauses(question) for each in of_each(one)))


def clauses(question: str) -> tuple[str, ...]:
    """Return the questions that a question joins, each complete; itself where it is one."""
    asked = analyse(question)
    if asked.kind in ("meta", "summary") or _CHOOSES.search(question):
        return (question,)
    completed = (
        _completed(_cut(_ITEM_NUMBER.sub("", question)))
        if asked.chinese
        else _completed_english(question)
    )
    return _several(question, completed)


def _several(question: str, found: Iterable[str]) -> tuple[str, ...]:
    distinct = tuple(dict.fromkeys(found))
    return distinct if len(distinct) > 1 else (question,)


def _completed_english(question: str) -> list[str]:
    """Return the English questions, all but the first with the first behind it."""
    cuts = [
        cut
        for cut in _AND_ENGLISH.finditer(question)
        if _asks(question[: cut.start()]) and _asks(question[cut.end() :].split("?", maxsplit=1)[0])
    ]
    borders = [0, *(place for cut in cuts for place in cut.span()), len(question)]
    first, *others = (
        question[a:b].strip() for a, b in zip(borders[::2], borders[1::2], strict=True)
    )
    gap_end = analyse(first).gap_end
    if others and gap_end == len(first):
        # "When and where is it?" leaves out what the second says.
        first += others[0].rstrip("?")[analyse(others[0]).gap_end :]
    return [f"{first}?", *(f"{other.rstrip('?')}? ({first}?)" for other in others)]


# --- several questions --------------------------------------------------------------------


def _cut(question: str) -> list[str]:
    """Cut a question behind each clause that asks something, if another such follows."""
    pieces: list[str] = []
    asked = False
    for start, end in pairwise([0, *_borders(question), len(question)]):
        piece = question[start:end]
        alone = not pieces or ends_as_question(pieces[-1])
        asks = _asks(piece) or (alone and (_asks_why(piece) or _asks_whether(piece)))
        if pieces and not (asked and asks):
            # What asks nothing leads what follows, or ends what asks.
            pieces[-1] += piece
        else:
            pieces.append(piece)
        asked = asked or asks
    return pieces


def _borders(question: str) -> Iterator[int]:
    """Yield where a clause may end: at signs, 以及, and 和 in front of a question word."""
    words = tagged(question)
    depth = 0
    for word, behind in zip(words, (*words[1:], None), strict=True):
        depth += (word.text in OPENING_QUOTES) - (word.text in CLOSING_QUOTES)
        if depth > 0 or behind is None:
            continue
        if word.text in _MARKS:
            yield word.end
        elif word.text in _AND_ALSO or (word.text in AND and _asks_apart(question, word)):
            yield word.start


def _asks_apart(question: str, conjunction: Word) -> bool:
    """Tell 和 in front of another question from that of "谁和谁"."""
    ahead = question[: conjunction.start]
    behind = question[conjunction.end : conjunction.end + _NEAR]
    asked = Exchange.of(behind, "").gap_text
    return _asks_first(behind) and not (asked and ahead.endswith(asked))


def _asks_first(text: str) -> bool:
    """Tell whether a text opens with its question word, or with what governs that."""
    asked = analyse(text)
    return _asks(text) and not any(w.end <= asked.gap_start and nominal(w) for w in asked.words)


def _asks(text: str) -> bool:
    """Tell whether a text asks for a fact: it has a question word, or is such as 面积呢.

    A clause for a reason does not: "为什么要办，想达到什么目的" asks one thing.
    """
    asked = analyse(_ASKS_NOTHING.sub("", fold(text).text))
    has_gap = asked.gap_start < asked.gap_end
    return (has_gap and asked.kind != "why") or _names_only(text)


def _asks_why(text: str) -> bool:
    """Tell a question for a reason that is a sentence of its own: "为什么下降？"."""
    return ends_as_question(text) and analyse(text).kind == "why"


def _asks_whether(text: str) -> bool:
    """Tell a question for yes or no, but not 对吗 and "能告诉我吗", which ask nothing."""
    body = text.strip("".join(_MARKS) + " ")
    ends = body.endswith(("吗", "嗎")) or ends_as_question(text)
    return ends and analyse(body).kind == "yes-no" and not _TAG.search(body)


def _names_only(text: str) -> bool:
    """Tell a name with 呢 behind it from a clause."""
    body, ellipses = _ELLIPSIS.subn("", text)
    return bool(ellipses) and not any(w.tag == "v" or w.tag[0] in "prd" for w in tagged(body))


def _completed(cut: Sequence[str]) -> list[str]:
    """Return the clauses with the subject that they leave out, or the predicate."""
    if len(cut) == 1:
        return list(cut)
    first, *others = (clause.strip("".join(_MARKS) + " ") for clause in cut)
    bodies = [_ASIDE.sub("", first), *(_LEADING.sub("", other) for other in others)]
    shares = cut[0].rstrip()[-1] not in _CLAUSE_ENDS
    complete = [bodies[0] + (_predicate(*bodies[:2]) if shares else "")]
    for body in bodies[1:]:
        last = Exchange.of(complete[-1], "")
        if _names_only(body):
            complete.append(next(swaps(_ELLIPSIS.sub("", body), last)))
        else:
            complete.append(_with_subject(body, Exchange.of(complete[0], "")))
    return [f"{each.rstrip(END_MARKS)}？" for each in complete]


def _predicate(body: str, following: str) -> str:
    """Return what "活动什么时候" waits for: the predicate of "在哪里举行", "" where nothing."""
    asked = analyse(body)
    if asked.after or asked.kind in ("number", "duration"):
        return ""
    behind = following[Exchange.of(following, "").gap[1] :]
    noun = takewhile(lambda word: word.tag in ("q", "n", "ns", "f"), tagged(behind))
    behind = behind[max((word.end for word in noun), default=0) :]
    acts = any(word.tag.startswith("v") for word in tagged(behind))
    return behind if acts and _asks_first(following) else ""


def _with_subject(body: str, first: Exchange) -> str:
    """Return a clause with the subject of the first one, if it has no name of its own.

    Where that asks whether, its subject is what it names, or all that it says; where it asks for
    no more than a measure ("费用多少"), it has none.
    """
    relative = bool(_RELATIVE.match(body))
    if first.asked.kind == "yes-no":
        whether = analyse(body).kind == "yes-no"
        said = Exchange.of(_WHETHER.sub("", first.question), "").statement
        lead = first.theme or ("" if whether else said)
    else:
        lead = _lead(first, with_amount=relative)
    if not lead or (MEASURE.fullmatch(lead) and not relative):
        return body
    if mentions(body, lead) or named(Exchange.of(body, "").theme):
        return body
    opens_with_noun = tagged(body)[0].tag.startswith(("n", "vn", "b"))
    if not any(map(nominal, tagged(lead))):
        # "需要多少钱和多长时间": a verb governs both, and owns neither.
        governs = first.asked.kind != "yes-no" and analyse(body).gap_start == 0
        return f"{lead}{body}" if governs else f"{lead}，{body}"
    return f"{lead}{'的' if opens_with_noun else '，'}{body}"


def _lead(first: Exchange, *, with_amount: bool) -> str:
    """Return what the first question is about: what it says in front of its predicate.

    Of "小镇的镇长是谁" that is 小镇, of "小镇2019年总投资多少" 小镇2019年, perhaps with the amount.
    """
    words = [word for word in first.words_ahead if word.text not in "请请問問"]
    said = first.question[: _without_predicate(words)]
    owner, of, attribute = said.rpartition("的")
    measure = MEASURE.search(said)
    if of and attribute and _EQUATES.match(first.question[len(said) : first.gap[0]]):
        said = owner
    elif measure and not with_amount:
        year = said[: measure.start()][-1:].isdigit()
        ahead = [word for word in words if word.end <= measure.start()]
        said = said[: measure.start() + 1] if year else said[: _without_predicate(ahead)]
    return said.rstrip("的是,，") or first.statement


def _without_predicate(words: Sequence[Word]) -> int:
    """Return where words end without the verbs, prepositions and particles at their end."""
    kept = [word.end for word in words if not _predicates(word)]
    return max(kept or (word.end for word in words), default=0)


def _predicates(word: Word) -> bool:
    return word.tag.startswith(("v", "p", "u", "d", "c", "r", "y")) and word.tag != "vn"
