"""The libraries that nobody has to make: the default one, and those of an evaluation."""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from index.documents import Document, read_documents
from index.embedder import Embedder, load_embedder
from index.errors import LibraryBusy, LibraryCorrupt, LibraryError, LibraryMismatch
from index.library import DiskLibrary, Progress, StoredLibrary, open_library
from index.milvus_address import Location
from rag.settings import Settings

SEED_ID = "article.txt"

_SEEDING_S = 120.0
"""Seconds after which another process must have put the seed article into the library."""


def default_folder() -> Path:
    """Return the folder of the default library, inside the user's data folder."""
    return user_data_path("wenju", appauthor=False) / "library"


def default_library(
    settings: Settings,
    *,
    create: bool = False,
    lasting: bool = False,
    progress: Progress | None = None,
) -> tuple[StoredLibrary, tuple[str, ...]]:
    """Open the library that the settings name, or the default one, and say what was special.

    The default one is made on first use, with the seed article in it; any number of
    processes may start at once. Where its folder cannot be written, a temporary one serves
    until the process ends, and a notice says so; with `lasting` that is an error. A library
    that is named and is not there is made only with `create`.

    Raises:
        EmbedderError: the embedder cannot be loaded.
        LibraryError: the library cannot be opened or made.
    """
    embedder = settings_embedder(settings)
    if settings.location is not None:
        return open_library(settings.location, embedder, create=create), ()
    try:
        return _seeded(default_folder(), embedder, progress), ()
    except (LibraryBusy, LibraryMismatch, LibraryCorrupt):
        raise
    except LibraryError as error:
        if lasting:
            raise
        return _seeded(temporary_folder(), embedder, progress), (
            _temporary_notice(error, settings),
        )


def temporary_folder() -> Path:
    """Make a folder that is removed when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="wenju-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def settings_embedder(settings: Settings) -> Embedder:
    """Return the embedder that the settings name.

    Raises:
        EmbedderError: it cannot be loaded.
    """
    return load_embedder(
        settings.embedder,
        device=settings.device,
        dtype=settings.dtype,
        batch_size=settings.batch_size,
    )


def seed_document() -> Document:
    """Return the seed article; its id and source are the same wherever wenju is installed."""
    with as_file(files("seeds") / SEED_ID) as path:
        (document,) = read_documents(path)
    return replace(document, id=SEED_ID, source=f"seeds/{SEED_ID}")


def seed_library(
    folder: Path, embedder: Embedder, *, progress: Progress | None = None
) -> DiskLibrary:
    """Open the library in a folder with the seed article in it, and nothing else if it is new.

    Raises:
        LibraryError: the folder cannot be used.
    """
    library = open_library(folder, embedder)
    library.add([seed_document()], progress=progress)
    return library


def corpus_library(
    documents: Sequence[Document],
    location: Location | None,
    embedder: Embedder,
    *,
    progress: Progress | None = None,
) -> StoredLibrary:
    """Open a library of these documents; what it embedded before is not embedded again.

    Without a `location` it lies in the user's cache folder, one for each set of documents and
    embedder.

    Raises:
        LibraryError: the folder cannot be used.
    """
    library = open_library(location or _cache_folder(documents, embedder), embedder)
    library.add(documents, progress=progress)
    return library


def _seeded(folder: Path, embedder: Embedder, progress: Progress | None) -> DiskLibrary:
    """Open a library, putting the seed article in if nothing was ever written to it."""
    library = open_library(folder, embedder)
    deadline = time.monotonic() + _SEEDING_S
    try:
        while _is_untouched(library):
            _seed(library, progress, last_try=time.monotonic() > deadline)
    except BaseException:
        library.close()
        raise
    return library


def _is_untouched(library: DiskLibrary) -> bool:
    """Tell whether the library was never changed: who removed the article keeps it out."""
    info = library.info()
    return info.generation == 0 and info.documents == 0


def _seed(library: DiskLibrary, progress: Progress | None, *, last_try: bool) -> None:
    try:
        library.add([seed_document()], progress=progress)
    except LibraryBusy:
        # A process that started at the same time is doing it.
        if last_try:
            raise


def _cache_folder(documents: Sequence[Document], embedder: Embedder) -> Path:
    digest = hashlib.sha256(embedder.name.encode())
    for document in documents:
        digest.update(f"\0{document.id}\0{document.source}\0{document.text}".encode())
    return user_cache_path("wenju", appauthor=False) / "evaluation" / digest.hexdigest()[:16]


def _temporary_notice(error: LibraryError, settings: Settings) -> str:
    if settings.lang == "en":
        return (
            f"The default library cannot be used ({error.english}); a temporary one with the seed "
            "article serves until the end. Name a folder that can be written with --library "
            "or WENJU_LIBRARY."
        )
    return (
        f"默认资料库不能用（{error}），这次临时用只含示例文章的资料库，结束后即消失。"
        "请用 --library 或 WENJU_LIBRARY 指定一个可写的文件夹。"
    )
