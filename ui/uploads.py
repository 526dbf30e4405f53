"""Uploaded files: read, checked against limits, and told apart from what is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from index.documents import Document, read_documents
from index.errors import DocumentError
from index.library import Library
from ui.language import error_message, say

MAX_FILES = 20
"""Files that are taken at a time."""

MAX_FILE_MB = 20


@dataclass(frozen=True, slots=True)
class Upload:
    """What a batch of files holds: new documents, those whose name is taken, and errors.

    `unchanged` counts the documents that the library holds already as they are.
    """

    new: tuple[Document, ...]
    taken: tuple[Document, ...]
    unchanged: int
    errors: tuple[str, ...]


def read_uploads(paths: Sequence[str], library: Library) -> Upload:
    """Read uploaded files; one that cannot be read is an error of its own and stops no other."""
    errors: list[str] = []
    if len(paths) > MAX_FILES:
        left = len(paths) - MAX_FILES
        errors.append(
            say(
                f"一次最多 {MAX_FILES} 个文件，后面 {left} 个没有加入，请分批上传。",
                f"At most {MAX_FILES} files at a time: {left} were left out; upload them next.",
            )
        )
    found: dict[str, Document] = {}
    for path in map(Path, paths[:MAX_FILES]):
        for document in _read(path, errors):
            if document.id in found:
                errors.append(_twice(document))
            else:
                found[document.id] = document
    return _sorted_out(list(found.values()), library, tuple(errors))


def _read(path: Path, errors: list[str]) -> list[Document]:
    if path.stat().st_size > MAX_FILE_MB * 1_000_000:
        errors.append(
            say(
                f"{path.name} 超过 {MAX_FILE_MB} MB，请拆分后再上传。",
                f"{path.name} is larger than {MAX_FILE_MB} MB: split it and try again.",
            )
        )
        return []

    def note(error: DocumentError) -> None:
        # Where the server keeps the upload is nothing to the reader.
        errors.append(error_message(error).replace(str(path), path.name))

    documents = read_documents(path, on_error=note)
    return [
        replace(document, source=document.source.replace(str(path), f"upload/{path.name}"))
        for document in documents
    ]


def _sorted_out(documents: list[Document], library: Library, errors: tuple[str, ...]) -> Upload:
    sources = {known.id: known.source for known in library.documents()}
    new: list[Document] = []
    taken: list[Document] = []
    for document in documents:
        if document.id not in sources:
            new.append(document)
        elif library.document(document.id).text != document.text:
            # A library lets a document be replaced by one of the same source alone.
            taken.append(replace(document, source=sources[document.id]))
    unchanged = len(documents) - len(new) - len(taken)
    return Upload(tuple(new), tuple(taken), unchanged, errors)


def _twice(document: Document) -> str:
    return say(
        f"有两个文档的名字都是 {document.id}，只加入了第一个。",
        f"Two documents are named {document.id}: only the first was added.",
    )
