"""The errors of indexing, one tree.

    IndexingError
    ├── DocumentError       a file or record that cannot become a Document
    ├── RecordError         data that is no Document, Passage or Hit
    ├── EmbedderError       an embedding model that is missing, broken or misused
    └── LibraryError        a library folder that cannot be read or written
        ├── LibraryBusy     another process is writing to it
        ├── LibraryMismatch made by another embedder or format: rebuild it
        └── LibraryCorrupt  a file of it is damaged

Every message says what happened, where, and what to do about it, in Chinese and in English.
"""


class BilingualError(Exception):
    """An error that may be shown to the user: `str(error)` in Chinese, or `error.english`."""

    def __init__(self, chinese: str, english: str) -> None:
        super().__init__(chinese, english)
        self.english = english

    def __str__(self) -> str:
        return self.args[0]


class IndexingError(BilingualError):
    """Root of all errors that `index` raises."""


class DocumentError(IndexingError):
    """A file or record cannot become a Document."""


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
