"""Folding: text made comparable, every position mapped back to the original.

For comparing and indexing only; what is shown and cited is always the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opencc import OpenCC

_SAME = str.maketrans(
    {
        **{chr(code): chr(code + 32) for code in range(ord("A"), ord("Z") + 1)},
        **{chr(code): chr(code - 0xFEE0).lower() for code in range(0xFF01, 0xFF5F)},
        **dict.fromkeys("“”„‟〝〞「」『』", '"'),
        **dict.fromkeys("‘’‚‛", "'"),
        **dict.fromkeys("—–―─‐‑‒−", "-"),
        **dict.fromkeys("•・‧∙⋅", "·"),
        **dict.fromkeys("～〜", "~"),
        **dict.fromkeys("【〔", "["),
        **dict.fromkeys("】〕", "]"),
        "\u3000": " ",
        "\xa0": " ",
        "。": ".",
        "｡": ".",
        "、": ",",
    }
)
"""Characters that fold to one other character each, whatever stands beside them."""

_PLAIN = r"\x00-\x7f\u4e00-\u9fff\u3400-\u4dbf\u3041-\u3096\u30a1-\u30fa\u30fc" + re.escape(
    "".join(map(chr, _SAME))
)
_PIECE = re.compile(
    # A plain character before another one may combine with it, so it goes with that one.
    rf"(?P<plain>[{_PLAIN}]+(?![^{_PLAIN}]))|[{_PLAIN}]?[^{_PLAIN}]+"
)
_CHINESE = re.compile("[\u3400-\u9fff]")
_INVISIBLE = frozenset("\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f")


@dataclass(frozen=True, slots=True)
class Folded:
    """A folded text; the character `text[i]` came from `[offsets[i], ends[i])` of the original."""

    text: str
    offsets: Sequence[int]
    ends: Sequence[int]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the original's `[start, end)` that folded into `text[start:end]`.

        Raises:
            IndexError: the span is not within the folded text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"[{start}, {end}) 不在长度为 {len(self.text)} 的文本之内")
        if start == end:
            here = self.offsets[start] if start < len(self.text) else self._original_end()
            return here, here
        return self.offsets[start], self.ends[end - 1]

    def _original_end(self) -> int:
        return self.ends[-1] if self.text else 0


def fold(text: str) -> Folded:
    """Fold width, case, punctuation and Traditional characters, keeping offsets.

    NFKC, lower case, one form for each kind of quote, dash, dot and bracket, Traditional to
    Simplified by OpenCC's t2s; invisible characters go.
    """
    if text.isascii():
        return _identity(text.lower())
    folded = _fold_width(text)
    simple = _simplify(folded.text)
    if len(simple) == len(folded.text):
        return Folded(simple, folded.offsets, folded.ends)
    return _simplify_each(folded)


def _identity(text: str) -> Folded:
    return Folded(text, range(len(text)), range(1, len(text) + 1))


def _fold_width(text: str) -> Folded:
    whole = _PIECE.fullmatch(text)
    if whole and whole["plain"]:
        return _identity(text.translate(_SAME))
    out: list[str] = []
    offsets: list[int] = []
    ends: list[int] = []
    for piece in _PIECE.finditer(text):
        for start, end, folded in _fold_piece(text, piece):
            out.append(folded)
            if len(folded) == end - start and piece["plain"]:
                offsets.extend(range(start, end))
                ends.extend(range(start + 1, end + 1))
            else:
                offsets.extend([start] * len(folded))
                ends.extend([end] * len(folded))
    return Folded("".join(out), offsets, ends)


def has_chinese(text: str) -> bool:
    """Tell whether there is any Chinese character in a text."""
    return bool(_CHINESE.search(text))


def _fold_piece(text: str, piece: re.Match[str]) -> list[tuple[int, int, str]]:
    start, end = piece.span()
    if piece["plain"]:
        return [(start, end, piece.group().translate(_SAME))]
    borders = [*_borders(text, start, end)][::-1]
    return [(first, last, _fold_cluster(text[first:last])) for first, last in pairwise(borders)]


def _borders(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where clusters begin and end, from the last on.

    An invisible character goes, so what stands behind it may join what stands before it.
    """
    yield end
    joins = False
    for at in range(end - 1, start, -1):
        if text[at] not in _INVISIBLE:
            joins = _combines(text[at])
        if not joins:
            yield at
    yield start


def _fold_cluster(cluster: str) -> str:
    visible = "".join(char for char in cluster if char not in _INVISIBLE)
    low = unicodedata.normalize("NFKC", visible).lower()
    # Again, since "İ" gets a mark in lower case that may have to change places with another.
    return unicodedata.normalize("NFKC", low).translate(_SAME)


def _combines(char: str) -> bool:
    """Tell whether NFKC may join the character with the one before it."""
    return (
        unicodedata.category(char).startswith("M")
        or "\u1160" <= char <= "\u11ff"  # Hangul vowels and final consonants
        or char in "\uff9e\uff9f"  # half-width voicing marks
    )


def _simplify_each(folded: Folded) -> Folded:
    """Simplify one character at a time, where a phrase would change the length."""
    simple = [_simplify(char) for char in folded.text]
    return Folded(
        "".join(simple),
        [at for at, chars in zip(folded.offsets, simple, strict=True) for _ in chars],
        [at for at, chars in zip(folded.ends, simple, strict=True) for _ in chars],
    )


def _simplify(text: str) -> str:
    return _converter().convert(text)


@cache
def _converter() -> OpenCC:
    from opencc import OpenCC  # noqa: PLC0415 - loads its dictionaries: only where used

    return OpenCC("t2s")
