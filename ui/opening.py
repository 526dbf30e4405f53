"""Libraries opened for a command, with progress and notices shown."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from index.library import DiskLibrary
from rag.default_library import default_library
from rag.settings import Settings
from ui.language import say
from ui.terminal import progress_bar, tell


def library_of(settings: Settings, *, create: bool = False, lasting: bool = False) -> DiskLibrary:
    """Open the library of the settings as `rag.default_library` does, telling its notices.

    Raises:
        IndexingError: it cannot be opened or made.
    """
    with embedding_bar() as progress:
        library, notices = default_library(
            settings, create=create, lasting=lasting, progress=progress
        )
    for notice in notices:
        tell(notice)
    return library


def embedding_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    """Return the progress bar of building an index."""
    return progress_bar(say("正在建立索引", "Indexing"), say("句", "sentences"))
