"""The trained reader's tokens: a question and a passage as one window of ids."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers.models import Unigram

from index.fold import Folded, fold, has_chinese

START, PADDING, END, UNKNOWN = range(4)
BLANK = "▁"
MAX_LENGTH = 320
"""Tokens of a window."""
MAX_QUESTION = 80
MAX_HEADING = 40

_LATIN_PARTS = re.compile(r"\s*[a-z]+|\s*[^a-z\s]")


class Encoded(NamedTuple):
    """`<s> question </s></s> heading passage </s>` as ids."""

    ids: tuple[int, ...]
    first: int
    """The passage's first token; its last one stands before the final </s>."""
    passage: Folded

    def tokens(self, start: int, end: int) -> tuple[int, int] | None:
        """Return the first and the last token of the passage's characters `[start, end)`.

        None where they are not wholly inside the window.
        """
        first = self.first + bisect_right(self.passage.ends, start)
        last = self.first + bisect_left(self.passage.offsets, end) - 1
        return (first, last) if first <= last < len(self.ids) - 1 else None


class Vocabulary:
    """One token a folded character; for questions without Chinese, Latin pieces too."""

    def __init__(self, path: Path) -> None:
        """Read the vocabulary: a token a line, a Latin piece's log-probability behind a tab.

        Raises:
            OSError: the file cannot be read.
        """
        lines = [line.split("\t") for line in path.read_text("utf-8").split("\n")[:-1]]
        self._ids = {line[0]: i for i, line in enumerate(lines)}
        self._latin = Unigram([(line[0], float(line[1])) for line in lines if len(line) > 1], 0)

    def __len__(self) -> int:
        return len(self._ids)

    def ids(self, folded: str) -> list[int]:
        """Return the id of every character; a blank is ▁, one not known is <unk>."""
        blank = self._ids[BLANK]
        return [blank if c.isspace() else self._ids.get(c, UNKNOWN) for c in folded]

    def question_ids(self, folded: str) -> list[int]:
        """Return the ids of a question: its words in the likeliest pieces if none is Chinese."""
        if has_chinese(folded):
            return self.ids(folded)
        ids: list[int] = []
        for part in _LATIN_PARTS.findall(" " + folded.strip()):
            if part[-1].isascii() and part[-1].isalpha():
                word = (BLANK if part[0].isspace() else "") + part.strip()
                ids += [self._ids[piece.value] for piece in self._latin.tokenize(word)]
            else:
                ids += self.ids(part)
        return ids

    def encode(self, question: Sequence[int], heading: str, text: str) -> Encoded:
        """Return the ids of a question before a passage, whose end is cut where it is too long."""
        ids = [START, *question[:MAX_QUESTION], END, END]
        heading = heading.strip()
        if heading and not text.lstrip("# ").startswith(heading):
            ids += [*self.ids(fold(heading).text)[:MAX_HEADING], self._ids[BLANK]]
        passage = fold(text)
        body = self.ids(passage.text)[: MAX_LENGTH - len(ids) - 1]
        return Encoded((*ids, *body, END), len(ids), passage)
