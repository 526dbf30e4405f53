"""Documents: files and records read into plain text with stable ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Document:
    """One text to be asked about.

    `text` has its line endings made `\\n` and nothing else changed, so that code-point
    offsets into it hold for ever. `id` is stable between runs. `source` is where it came
    from (an absolute path, or path#record). `meta` holds JSON values only; `meta["published"]`
    is an ISO date ("2019-10-29") where the text states one.
    """

    id: str
    title: str
    text: str
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)


def read_documents(
    path: Path, *, on_error: Callable[[DocumentError], None] | None = None
) -> Iterator[Document]:
    """Yield the documents of a file, or of every readable file below a folder."""
    raise NotImplementedError
