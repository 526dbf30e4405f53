"""What is read of a file that is more than text: its text, its pages, its title and date."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_UNUSABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff\u00ad]")


@dataclass(frozen=True, slots=True)
class Extracted:
    """The text of a file.

    Headings are lines of Markdown ("## 水利建设"), so that they head their passages. `pages`
    holds the offset in code points at which each page begins, empty where there are none.
    `unread` numbers the pages, from 1, that hold no text that could be read: pictures alone, or
    damaged. `title` is what the file says of itself and the text does not. `published` is a date as
    the file writes it, or "".
    """

    text: str
    pages: tuple[int, ...] = field(default=())
    title: str = ""
    published: str = ""
    unread: tuple[int, ...] = ()


def usable(text: str) -> str:
    """Return text without the characters that no text may hold or no reader can see."""
    return _UNUSABLE.sub("", text)
