"""The errors of indexing, one tree.

    IndexingError
    ├── DocumentError       a file or record that cannot become a Document
    │   └── PagesUnread     some pages of it cannot; the others have
    ├── RecordError         data that is no Document, Passage or Hit
    ├── EmbedderError       an embedding model that is missing, broken or misused
    └── LibraryError        a library folder that cannot be read or written
        ├── LibraryBusy     another process is writing to it
        ├── LibraryMismatch made by another embedder or format: rebuild it
        └── LibraryCorrupt  a file of it is damaged

Every message says what happened, where, and what to do about it, in Chinese and in English.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self


class BilingualError(Exception):
    """An error that may be shown to the user: `str(error)` in Chinese, or `error.english`."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(chinese, english)
        self.english = english

    def __str__(self) -> str:
        return self.args[0]

    def to_dict(self) -> dict[str, str]:
        """Return both texts as JSON values that `from_dict` reads."""
        return {"chinese": str(self), "english": self.english}

    @classmethod
    def from_dict(cls, told: Mapping[str, str]) -> Self:
        """Make again the error that another process told by `to_dict`."""
        return cls(told["chinese"], told["english"])

    def replaced(self, old: str, new: str) -> Self:
        """Return the same error with `new` for `old` in its texts."""
        return type(self)(str(self).replace(old, new), self.english.replace(old, new))


class IndexingError(BilingualError):
    """Root of all errors that `index` raises."""


class DocumentError(IndexingError):
    """A file or record cannot become a Document."""


class PagesUnread(DocumentError):
    """Some pages of a file hold no text that can be read; the Document has the others."""


class RecordError(IndexingError):
    """Data is not what `to_dict` of a Document, Passage or Hit wrote."""


class EmbedderError(IndexingError):
    """The embedding model is missing, broken or misused."""


class LibraryError(IndexingError):
    """The library folder cannot be read or written."""


class LibraryBusy(LibraryError):
    """Another process is writing to the library."""


class LibraryMismatch(LibraryError):
    """The library was made by another embedder or in another format."""


class LibraryCorrupt(LibraryError):
    """A file of the library is damaged."""
