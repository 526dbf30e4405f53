"""Tokens: the words of a sentence, its dates and quantities kept whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from index.fold import Folded
from index.words import Word, tagged
from rag.measures import DATE, QUANTITY, apart

OPENING, CLOSING = '“‘「『《〈(（【["', '”’」』》〉)）】]"'
STRONG_END = frozenset(",;:。!?…\n，；：！？.")
COPULA = frozenset(
    """
    是 为 叫 称 即 指 系 乃 名为 称为 叫做 叫作 改名 更名为 成为 作为 属于 位于 分别
    包括 包含 有 达 共 达到 至 到
    """.split()
)
_RESPECTIVELY = re.compile("(?<=部)分别")
"""Cut as 部分 and 别 where 部 ends a name: "教育部、财政部分别"."""
_GLUED = re.compile("..+[为任说称在是]")
ENUMERATION_END = frozenset(("等", "等等", "分别", "依次"))
AND = frozenset(["和", "与", "及", "以及", "暨", "或"])
TAGS = tuple("n nr ns nt nz Q T v a d p c u r x f m o".split())
"""The coarse tags: jieba's, joined, with Q for quantities, T for times, x for signs."""

# By the start of jieba's tag, the first that fits.
_COARSE = {
    **{tag: tag for tag in ("nr", "ns", "nt", "nz")},
    "eng": "nz",
    "vn": "n",
    **dict.fromkeys("njlisbg", "n"),
    **{tag: tag for tag in "vapcurfmd"},
    "q": "f",
    "t": "T",
}
TAG_INDEX = {tag: number for number, tag in enumerate(TAGS)}


@dataclass(frozen=True, slots=True)
class Token:
    """A word, quantity or date at `[start, end)` of the folded sentence, with a coarse tag."""

    text: str
    start: int
    end: int
    tag: str


def tokenise(sentence: str, folded: Folded) -> list[Token]:
    """Tag the words of a folded sentence, with dates and quantities kept whole.

    Punctuation keeps its original form, since folding makes 、 and ， one.
    """
    text = folded.text
    fixed = _fixed_spans(apart(folded, sentence))
    tokens: list[Token] = []
    position = 0
    words = [part for w in tagged(text) if w.text.strip() for part in _unglued(w)]
    for start, end, tag in [*fixed, (len(text), len(text), "")]:
        for word in words:
            left, right = max(word.start, position), min(word.end, start)
            if left < right:
                form, coarse = text[left:right], _coarse(text[left:right], word.tag)
                if coarse == "x":
                    form = sentence[slice(*folded.span(left, right))]
                tokens.append(Token(form, left, right, coarse))
        if tag:
            tokens.append(Token(text[start:end], start, end, tag))
        position = end
        words = [w for w in words if w.end > position]
    return tokens


def _unglued(word: Word) -> list[Word]:
    """Cut off the verb that the tagger leaves on a name: 赵文博任."""
    if word.tag != "nr" or not _GLUED.fullmatch(word.text):
        return [word]
    name, cut = word.text[:-1], word.end - 1
    return [Word(name, word.start, cut, "nr"), Word(word.text[-1], cut, word.end, "v")]


def _fixed_spans(text: str) -> list[tuple[int, int, str]]:
    dates = [(m.start(), m.end(), "T") for m in DATE.finditer(text)]
    taken = np.zeros(len(text) + 1, dtype=bool)
    for start, end, _ in dates:
        taken[start:end] = True
    quantities = [
        (m.start(), m.end(), "Q")
        for m in QUANTITY.finditer(text)
        if not taken[m.start() : m.end()].any() and not _inside_word(text, m.start(), m.end())
    ]
    pairing = [(*m.span(), "d") for m in _RESPECTIVELY.finditer(text)]
    return sorted(dates + quantities + pairing)


def _inside_word(text: str, start: int, end: int) -> bool:
    """Tell whether a match is only the tail or head of a Latin word such as "covid19"."""
    return (start > 0 and text[start - 1].isascii() and text[start - 1].isalpha()) or (
        end < len(text) and text[end].isascii() and text[end].isalpha() and text[end - 1].isdigit()
    )


def _coarse(text: str, tag: str) -> str:
    """Return the coarse tag of a word, one of `TAGS`."""
    if not any(character.isalnum() for character in text):
        return "x"
    return next((coarse for fine, coarse in _COARSE.items() if tag.startswith(fine)), "o")
