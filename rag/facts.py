"""The facts of a text, and the evidence that a claim is judged by."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from itertools import chain

from index.documents import Document
from index.fold import fold, has_chinese
from index.references import places, resolved_text
from index.words import Word, tagged
from rag.amounts import Amount, amounts
from rag.dates import Moment, dates
from rag.measures import apart
from rag.rarity import rarity

Problem = tuple[str, str]
"""What is wrong with a claim, in Chinese and in English."""

PROPER = ("nr", "ns", "nt", "nz")
"""The tags of names of people, places, organisations and other things."""

HEARD, RARE, UNHEARD = 0.4, 0.55, 0.9
"""The rarity of what is tagged as a person, an abbreviation and a noun, to be taken for a name."""

_NO_PERSONS = frozenset(
    "明白 高兴 平安 安全 方便 白天 小镇 高峰 金额 成功 文明 安静 和平 和谐 高速 查明".split()
)
_NUMERALS = "一二三四五六七八九十百千万亿两0123456789"
_ORGAN = re.compile(r"\w{2}[局部委厅署院会社团馆园厂]$")
"""The end of a word that names a body, however common it is."""
_BLANKS = re.compile(r"(?<=[^\x00-\x7f]) +(?=\w)|(?<=\w) +(?=[^\x00-\x7f])")
"""Blanks that some set between Chinese characters and figures."""

QUOTED = re.compile(r"[\"《]([^\"《》]{1,60})[\"》]")
"""A quoted term or a title, folded."""

_DELIMITER = re.compile(r"[;:!?\n]|\.(?!\d)|,(?!\d{3}(?!\d))")
_COMPARES = re.compile("[同环]比")
"""What a figure is said beside of that its clause does not name."""
_TOPIC_CHARS, _LEAD_CHARS = 5000, 100
_POINTS = re.compile(r"[该此这其他她它]|上述|双方|[本我]公司|两[人者家]|^(?:公司|据悉|对此)")
"""What stands for something that the sentences before tell of."""

_BEFORE_CHARS = 200
_BODIES = "公司|集团|企业|学校|医院|银行|大学|机构|平台|部门"


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of a text; `text` is `source` folded, and all offsets are into it."""

    source: str
    text: str
    moments: tuple[Moment, ...]
    amounts: tuple[Amount, ...]
    words: tuple[Word, ...]

    @property
    def chinese(self) -> bool:
        """Whether there is any Chinese in the text."""
        return has_chinese(self.text)

    def before(self, amount: Amount) -> str:
        """Return what stands before an amount in its clause, after the amount before it."""
        start, _ = self._clause(amount)
        ends = [other.end for other in self.amounts if other.end <= amount.start]
        return self.text[max(start, *ends, 0) : amount.start]

    def around(self, amount: Amount) -> set[str]:
        """Return the nouns of an amount's clause, from the amount before to the one behind.

        The subject of a comparison stands in the clause before: "报价22元，环比上涨5%".
        """
        return noun_pairs(self.before(amount)) | self.behind(amount) or self._subject(amount)

    def _subject(self, amount: Amount) -> set[str]:
        start, end = self._clause(amount)
        if not _COMPARES.search(self.text[start:end]):
            return set()
        marks = [mark.end() for mark in _DELIMITER.finditer(self.text, 0, max(0, start - 1))]
        return noun_pairs(self.text[max(marks, default=0) : start])

    def behind(self, amount: Amount) -> set[str]:
        """Return the nouns behind an amount in its clause, up to the next: what is counted."""
        _, end = self._clause(amount)
        starts = [other.start for other in self.amounts if other.start >= amount.end]
        return noun_pairs(self.text[amount.end : min([end, *starts])])

    def clause(self, amount: Amount) -> set[str]:
        """Return the nouns of an amount's clause."""
        start, end = self._clause(amount)
        return noun_pairs(self.text[start:end]) or self._subject(amount)

    def _clause(self, amount: Amount) -> tuple[int, int]:
        marks = [mark.start() for mark in _DELIMITER.finditer(self.text)]
        before = [mark + 1 for mark in marks if mark < amount.start]
        behind = [mark for mark in marks if mark >= amount.end]
        return max(before, default=0), min(behind, default=len(self.text))


@lru_cache(maxsize=2000)
def facts_of(source: str, published: date | None) -> Facts:
    """Return the facts of a text; 今年 and the like are resolved by the day it was published."""
    folded = fold(source)
    text, masked = (_BLANKS.sub("", each) for each in (folded.text, apart(folded, source)))
    moments = tuple(dates(text, published))
    for moment in moments:
        blank = "," * (moment.end - moment.start)
        masked = masked[: moment.start] + blank + masked[moment.end :]
    return Facts(source, text, moments, tuple(amounts(masked)), tuple(tagged(text)))


def noun_pairs(text: str) -> set[str]:
    """Return the pairs of characters in the nouns of a text, to compare what it is about."""
    return {
        word.text[k : k + 2]
        for word in tagged(_COMPARES.sub("", text))
        if len(word.text) > 1 and (word.tag[0] not in "vdpcurmqtxy" or word.tag == "vn")
        for k in range(len(word.text) - 1)
    }


def letters(text: str) -> str:
    """Return the letters and figures of a text alone."""
    return re.sub(r"\W", "", text)


def is_proper(word: Word) -> bool:
    """Tell a name, by its tag or because general news never uses the noun."""
    if re.search(f"[这那每各{_NUMERALS}]", word.text):
        return False
    if word.tag.startswith("nr"):
        return rarity(word.text) >= HEARD and word.text not in _NO_PERSONS
    if word.tag == "j":
        return rarity(word.text) >= RARE
    if word.tag.startswith("n") and _ORGAN.search(word.text):
        return True
    return word.tag.startswith(PROPER) or (
        word.tag == "n" and len(word.text) > 2 and rarity(word.text) >= UNHEARD
    )


def differs(said: str, stated: Sequence[str]) -> Problem:
    """Return the problem that a claim says what the source does not, with what it says."""
    said = said.strip(", ")
    if not stated:
        return f"原文没有“{said}”", f"the source has no “{said}”"
    shown = dict.fromkeys(text.strip(", ") for text in stated[:3])
    return (
        f"“{said}”在原文里是{'、'.join(f'“{text}”' for text in shown)}",
        f"“{said}” is {', '.join(f'“{text}”' for text in shown)} in the source",
    )


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a claim is judged by: the facts of sentences, and what is known beside them.

    `known` is all that the sentences and `background` hold, folded; the background is what
    holds for the whole of their documents: title, heading, place, date, topic. `years` and
    `months` are those that a date without one may be of; `titles` those of the documents, folded.
    """

    facts: Facts
    background: str
    known: str
    published: date | None
    years: frozenset[int]
    months: frozenset[int]
    titles: str


def evidence_of(parts: Sequence[tuple[Document, str, str]]) -> Evidence:
    """Return sentences as evidence, each with its document and its heading."""
    first = _published(parts[0][0])
    source = "\n".join(resolved_text(document, sentence) for document, _, sentence in parts)
    background = fold("\n".join(chain.from_iterable(_background(*part) for part in parts))).text
    facts = facts_of(source, first)
    told = [_told(document.text, _published(document)) for document, *_ in parts]
    years = frozenset(year for those, _ in told for year in those)
    months = frozenset(month for _, those in told for month in those)
    titles = fold("\n".join(document.title for document, *_ in parts)).text
    known = f"{facts.text}\n{background}"
    return Evidence(facts, background, known, first, years, months, titles)


def _published(document: Document) -> date | None:
    stated = document.meta.get("published")
    return date.fromisoformat(stated) if isinstance(stated, str) else None


@lru_cache(maxsize=64)
def _told(text: str, published: date | None) -> tuple[frozenset[int], frozenset[int]]:
    """Return the years and months that a date of a document may be of."""
    if published:
        return frozenset({published.year}), frozenset({published.month})
    moments = dates(fold(text).text)
    return frozenset(m.year for m in moments if m.year), frozenset(
        m.month for m in moments if m.month
    )


def _background(document: Document, heading: str, sentence: str) -> Iterator[str]:
    published = _published(document)
    yield from (document.title, heading, published.isoformat() if published else "")
    yield from places(document).values()
    yield from _topics(document.text)
    yield document.text[:_LEAD_CHARS]
    if _POINTS.search(sentence):
        yield from _before(document, sentence)


@lru_cache(maxsize=64)
def _topics(text: str) -> tuple[str, ...]:
    """Return the place, and the other name, that a text has most often, if it repeats them."""
    words = [word for word in tagged(fold(text[:_TOPIC_CHARS]).text) if len(word.text) > 1]
    names = [word for word in words if is_proper(word) or word.tag == "eng"]
    places = Counter(word.text for word in names if word.tag == "ns")
    others = Counter(word.text for word in names if word.tag != "ns")
    best = [*places.most_common(1), *others.most_common(1)]
    return tuple(name for name, count in best if count > 1)


def _before(document: Document, sentence: str) -> Iterator[str]:
    """Yield what stands before a sentence, where it may point to: 该区 to the last 新洲区."""
    before = document.text[: max(0, document.text.find(sentence))]
    yield before[-_BEFORE_CHARS:]
    for kind in {found[1] for found in re.finditer(rf"[该此]({_BODIES}|\w)", sentence)}:
        yield from re.findall(rf"\w{{2,12}}{kind}", before[-_TOPIC_CHARS:])[-1:]
