"""Libraries opened for a command, with progress and notices shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from index.documents import Document
from index.library import Library, StoredLibrary
from rag.answer import Chatbot
from rag.default_library import default_library
from rag.settings import Settings
from ui.errors import UnknownDocument
from ui.language import say
from ui.terminal import progress_bar, tell


def library_of(settings: Settings, *, create: bool = False, lasting: bool = False) -> StoredLibrary:
    """Open the library of the settings as `rag.default_library` does, telling its notices.

    Raises:
        IndexingError: it cannot be opened or made.
    """
    library, notices = _opened(settings, create=create, lasting=lasting)
    for notice in notices:
        tell(notice)
    return library


@contextmanager
def chatbot_of(settings: Settings) -> Iterator[Chatbot]:
    """Yield what answers from the library of the settings; its notices go with every answer.

    Raises:
        IndexingError: the library cannot be opened or made.
    """
    library, notices = _opened(settings)
    with library:
        yield Chatbot(library, settings=settings, notices=notices)


def check_documents(library: Library, ids: Sequence[str] | None) -> None:
    """Make sure that a library has the documents that a question is to be kept to.

    Raises:
        UnknownDocument: it has not.
        IndexingError: the library cannot be read.
    """
    known = {each.id for each in library.documents()} if ids else set[str]()
    if missing := [each for each in ids or () if each not in known]:
        raise UnknownDocument(
            say(
                f"资料库里没有文档 {missing[0]}；wenju documents 列出全部",
                f"there is no document {missing[0]}; `wenju documents` lists them all",
            )
        )


def _opened(
    settings: Settings, *, create: bool = False, lasting: bool = False
) -> tuple[StoredLibrary, tuple[str, ...]]:
    with embedding_bar() as progress:
        return default_library(settings, create=create, lasting=lasting, progress=progress)


def counted(documents: Iterable[Document]) -> Iterator[Document]:
    """Yield the documents as they are read, with a bar that counts them."""
    with progress_bar(say("正在读取", "Reading"), say("个文档", "documents")) as show:
        for done, document in enumerate(documents, start=1):
            show(done, None)
            yield document


def embedding_bar() -> AbstractContextManager[Callable[[int, int], None]]:
    """Return the progress bar of building an index."""
    return progress_bar(say("正在建立索引", "Indexing"), say("句", "sentences"))
