"""Stretches of a document for the source panel, cut where the offsets say."""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

from index.documents import Document
from index.errors import LibraryBusy, LibraryCorrupt, LibraryError, LibraryMismatch
from index.library import Library
from rag.citations import page_of
from ui.language import error_message, say
from ui.terminal import safe

_AROUND = 1500
"""Characters sent before and after what is asked for."""

_MOST = 20_000
"""Characters sent at a time, whatever is asked for."""

_PARAGRAPHS = re.compile(r"\S[^\n]*")


def source_around(library: Library, asked: dict[str, Any]) -> dict[str, Any]:
    """Return a stretch of a document, what stands around it, and where it is in words.

    `asked` has `document`, `start` and `end` in code points, and the `check`sum of the quote.
    An answer with `problem` says to people why there is nothing to show.
    """
    try:
        document = library.document(str(asked["document"]))
        start, end = _offsets(document, asked)
    except (LibraryBusy, LibraryMismatch, LibraryCorrupt) as error:
        return {"problem": error_message(error)}
    except LibraryError:
        return {"problem": say("这个文档已不在资料库里。", "This document is no longer there.")}
    except (KeyError, TypeError, ValueError):
        return {"problem": say("这个出处的地址不完整。", "This link to a source is not complete.")}
    quote = document.text[start:end]
    changed = asked.get("check") not in (None, "", f"{crc32(quote.encode()):08x}")
    first, last = max(0, start - _AROUND), min(len(document.text), end + _AROUND)
    return {
        "title": safe(document.title),
        "where": _position(document, start),
        "warning": _changed() if changed else "",
        "from": first,
        "to": last,
        "length": len(document.text),
        "before": document.text[first:start],
        "quote": quote,
        "after": document.text[end:last],
    }


def source_slice(library: Library, asked: dict[str, Any]) -> dict[str, Any]:
    """Return more of a document: its text from `start` to `end`, in code points."""
    try:
        document = library.document(str(asked["document"]))
        start, end = _offsets(document, asked)
    except (LibraryError, KeyError, TypeError, ValueError):
        return {"problem": say("读不到更多原文。", "No more of the source can be read.")}
    return {"text": document.text[start:end]}


def _offsets(document: Document, asked: dict[str, Any]) -> tuple[int, int]:
    """Return the offsets asked for, inside the document and not too far apart."""
    length = len(document.text)
    start = min(max(0, int(asked["start"])), length)
    end = min(max(start, int(asked["end"])), length, start + _MOST)
    return start, end


def _position(document: Document, start: int) -> str:
    paragraph = sum(1 for _ in _PARAGRAPHS.finditer(document.text, 0, start + 1)) or 1
    percent = round(100 * start / len(document.text))
    page = page_of(document, start)
    return say(
        f"{f'第 {page} 页，' if page else ''}第 {paragraph} 段，约全文 {percent}%",
        f"{f'page {page}, ' if page else ''}paragraph {paragraph}, about {percent}% into the text",
    )


def _changed() -> str:
    return say(
        "回答之后，这个文档改过：下面标出的可能不是当时引用的那一句。",
        "The document was changed after the answer: the marked text may not be what was quoted.",
    )
