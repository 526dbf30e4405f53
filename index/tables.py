"""Tables: their rows as lines that each say what they mean ("人口：52,300，茶园：11,200")."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from index.encodings import read_text
from index.errors import DocumentError
from index.extracted import Extracted, usable

MAX_ROWS = 200_000
"""Rows that are read of a table."""

_BLANKS = re.compile(r"\s+")
_FIGURE = re.compile(r"(?!(?:19|20)\d\d年?\Z)\d")
"""What begins like a value; years head columns too."""

_LONGEST_HEAD = 30
_SNIFFED_CHARS = 20_000


def lines_of(rows: Sequence[Sequence[str]], *, headed: bool = False) -> Iterator[str]:
    """Yield a line for each row of a table, its cells named by the heads of their columns.

    Where the table does not say itself that it is `headed`, two columns are names and values,
    and more have heads where the first row holds no figures. A line holds no sentence end of
    ours, so that a row stays one sentence.
    """
    cleaned = [[_BLANKS.sub(" ", cell).strip() for cell in row] for row in rows]
    cleaned = [row for row in cleaned if any(row)]
    if not cleaned:
        return
    width = max(map(len, cleaned))
    if len(cleaned) > 1 and width > 1 and (headed or width > 2) and _are_heads(cleaned[0], width):
        heads = cleaned[0]
        for row in cleaned[1:]:
            named = zip(heads, row, strict=False)
            yield "，".join(f"{head}：{cell}" if head else cell for head, cell in named if cell)
        return
    for row in cleaned:
        filled = [cell for cell in row if cell]
        yield ("：" if len(filled) == 2 and width == 2 else "，").join(filled)


def read_csv(path: Path) -> Extracted:
    """Return a line for each record of comma-separated values (or by tab or semicolon).

    Raises:
        DocumentError: it is no table, has too many rows, or is in no encoding that can be told.
    """
    text = read_text(path)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:_SNIFFED_CHARS], delimiters=",\t;")
        dialect.doublequote = True
    except csv.Error:  # such as a single column
        dialect = csv.excel
    rows = csv.reader(text.splitlines(keepends=True), dialect)
    try:
        lines = lines_of(list(islice(rows, MAX_ROWS)), headed=True)
        return Extracted(usable("\n".join(lines)), title=path.stem)
    except csv.Error as error:
        raise DocumentError(
            f"无法读取 {path}：第 {rows.line_num} 行不是 csv（{error}）。请用表格软件另存为 csv。",
            f"{path} cannot be read: line {rows.line_num} is no csv ({error}). Save it as csv "
            "with a spreadsheet program.",
        ) from error


def _are_heads(row: Sequence[str], width: int) -> bool:
    """Tell the names of columns from values; the corner may be blank."""
    return (
        len(row) == width
        and all(row[1:])
        and len(set(row)) == width
        and all(len(cell) <= _LONGEST_HEAD for cell in row)
        and not any(map(_FIGURE.match, row))
    )
