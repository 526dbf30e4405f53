"""The errors of indexing, one tree.

    IndexingError
    ├── DocumentError       a file or record that cannot become a Document
    ├── EmbedderError       an embedding model that is missing, broken or misused
    └── LibraryError        a library folder that cannot be read or written
        ├── LibraryBusy     another process is writing to it
        ├── LibraryMismatch made by another embedder or format: rebuild it
        └── LibraryCorrupt  a file of it is damaged

Every message says what happened, where, and what to do about it.
"""


class IndexingError(Exception):
    """Root of all errors that `index` raises; its text may be shown to the user."""


class DocumentError(IndexingError):
    """A file or record cannot become a Document."""


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
