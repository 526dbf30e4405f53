"""Tables: their rows as lines that each say what they mean ("人口：52,300，茶园：11,200")."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, takewhile, zip_longest
from pathlib import Path
from typing import NamedTuple

from index.encodings import read_text
from index.errors import DocumentError
from index.extracted import Extracted, usable
from index.formats import MAX_CHARS

MAX_ROWS = 200_000
"""Rows that a file may have."""

MAX_SPANNED = 1_000
"""Columns up to which cells span; HTML lets a cell span as many.

Source: HTML, attributes common to td and th elements.
"""

_BLANKS = re.compile(r"\s+")
_FIGURE = re.compile(r"(?!(?:19|20)\d\d(?:年\D*)?\Z)\d")
"""What begins like a value; years ("2022", "2022年营收") head columns too."""

_NUMBER = re.compile(r"(?!(?:19|20)\d\d\Z)[-+]?[\d.,]+%?")
"""A figure and nothing else, which heads no column, unless it may be a year."""

_YEAR = re.compile(r"(?:19|20)\d\d")
_DIGITS = re.compile(r"\d+")
_LONGEST_HEAD = 30
_LONGEST_TOLD_HEAD = 80
"""Of a table that says where its heads are, or of a csv, which may have none."""
_SNIFFED_CHARS = 20_000


class Cell(NamedTuple):
    """A cell of a table: its text, and how many columns and rows it spans."""

    text: str
    columns: int = 1
    rows: int = 1


def lines_of(table: Iterable[Iterable[Cell]], *, head_rows: int = 0) -> Iterator[str]:
    """Yield a line for each row of a table, its cells named by the heads of their columns.

    `head_rows` is how many rows the table says itself to be heads. Where it says none, two columns
    are names and values, and more have heads where the first row holds no figures. A cell that
    spans several columns or rows stands in each. A line holds no sentence end of ours, so that a
    row stays one sentence.
    """
    rows = [[Cell(_BLANKS.sub(" ", text).strip(), *spans) for text, *spans in row] for row in table]
    wide = max(map(len, rows), default=0) > 2
    above = list(takewhile(lambda row: _is_caption(row, wide=wide), rows))
    yield from (row[0].text for row in above if row and row[0].text)
    rows = rows[len(above) :]
    grid = _grid(rows, repeat=False)
    width = max(map(len, grid), default=0)
    heads, count = _heads(rows, head_rows - len(above), width)
    if heads:
        grid = _grid(rows, repeat=True)
    for row, placed in islice(zip(rows, grid, strict=True), count, None):
        filled = [text for text in placed if text]
        if not any(cell.text for cell in row):
            continue
        if heads and not _is_banner(row):
            named = zip(heads, placed, strict=False)
            yield "，".join(f"{head}：{text}" if head else text for head, text in named if text)
        else:
            yield ("：" if len(filled) == 2 and width == 2 else "，").join(filled)


def read_csv(path: Path) -> Extracted:
    """Return a line for each record of comma-separated values (or by tab or semicolon).

    Raises:
        DocumentError: it is no table, has too many rows, or is in no encoding that can be told.
    """
    text = read_text(path)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:_SNIFFED_CHARS], delimiters=",\t;")
        dialect.doublequote, dialect.quotechar = True, '"'
    except csv.Error:  # such as a single column
        dialect = csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel
    csv.field_size_limit(MAX_CHARS)
    rows = csv.reader(io.StringIO(text, newline=""), dialect)
    try:
        records = list(islice(filter(any, rows), MAX_ROWS + 1))
        if len(records) > MAX_ROWS:
            raise DocumentError(
                f"无法读取 {path}：它超过 {MAX_ROWS:,} 行。请拆分成几个文件再加入。",
                f"{path} cannot be read: it has more than {MAX_ROWS:,} rows. Split it into "
                "several files.",
            )
        lines = lines_of((map(Cell, record) for record in records), head_rows=1)
        return Extracted(usable("\n".join(lines)), title=path.stem)
    except csv.Error as error:
        raise DocumentError(
            f"无法读取 {path}：第 {rows.line_num} 行不是 csv（{error}）。请用表格软件另存为 csv。",
            f"{path} cannot be read: line {rows.line_num} is no csv ({error}). Save it as csv "
            "with a spreadsheet program.",
        ) from error


def _is_banner(row: Sequence[Cell]) -> bool:
    """Tell a row that is one cell across the columns."""
    return len(row) == 1 and row[0].columns > 1


def _is_caption(row: Sequence[Cell], *, wide: bool) -> bool:
    """Tell a row above the heads that names the whole table, or is blank."""
    if any(cell.text for cell in row[1:]) or any(cell.rows > 1 for cell in row):
        return False
    return wide or _is_banner(row) or not any(cell.text for cell in row)


def _heads(rows: Sequence[Sequence[Cell]], told: int, width: int) -> tuple[list[str], int]:
    """Return the heads of the columns, and of how many rows they are made; none where unsure.

    Some may be blank, alike, longer or begin with a figure only where the table says that they are
    heads: the first row of a form, or of values, is none.
    """
    own_word = told > 0
    told = max(told, _grouped(rows[0]) if rows else 0)
    told = sum(1 for _ in takewhile(lambda row: not _is_banner(row), rows[: max(told, 0)]))
    count = told if 0 < told < len(rows) else 1
    parts = _grid(rows[:count], repeat=told > 0)
    columns = zip_longest(*parts, [""] * width, fillvalue="")
    heads = [" ".join(dict.fromkeys(filter(None, column))) for column in columns]
    own = len(set(filter(None, heads)))
    if (
        len(rows) > count
        and width > (1 if told else 2)
        and (own * 2 >= width if told else own == width - (not heads[0]))
        and not (_hold_values(rows, count) if own_word else any(map(_is_no_head, chain(*parts))))
    ):
        return heads, count
    return [], 0


def _is_no_head(text: str) -> bool:
    """Tell what heads no column of a table that does not say where its heads are."""
    return len(text) > _LONGEST_HEAD or bool(_FIGURE.match(text))


def _hold_values(rows: Sequence[Sequence[Cell]], count: int) -> bool:
    """Tell whether there are values in the first rows, which the table says to be heads.

    Values are figures, and what is written like that below it, such as dates over dates.
    """
    *heads, below = _grid(rows[: count + 1], repeat=True)
    if any(len(head) > _LONGEST_TOLD_HEAD or _NUMBER.fullmatch(head) for head in chain(*heads)):
        return True
    return any(
        _DIGITS.search(head) and not _YEAR.fullmatch(head) and _shape(head) == _shape(text)
        for head, text in zip(heads[-1], below, strict=False)
    )


def _shape(text: str) -> str:
    return _DIGITS.sub("0", text)


def _grouped(row: Sequence[Cell]) -> int:
    """Return how many rows heads take where some stand over several columns, else 0.

    Each of the others goes down as far as what stands below those does.
    """
    depth = max((cell.rows for cell in row), default=0)
    over = [cell.columns > 1 for cell in row]
    whole = all(cell.rows == depth or cell.columns > 1 for cell in row)
    return depth if depth > 1 and any(over) and whole else 0


def _grid(rows: Sequence[Sequence[Cell]], *, repeat: bool) -> list[list[str]]:
    """Return the texts of rows by column, those of cells that span rows in each of them.

    Those of cells that span columns stand in each where they `repeat`, else in the first.
    """
    grid: list[list[str]] = []
    above: dict[int, tuple[str, int]] = {}
    for row in rows:
        if not above and all(cell.columns == cell.rows == 1 for cell in row):
            grid.append([cell.text for cell in row])
            continue
        line = {column: text for column, (text, _) in above.items()}
        above = {column: (text, left - 1) for column, (text, left) in above.items() if left > 1}
        column = 0
        for cell in row:
            while column in line:
                column += 1
            end = 1 if _is_banner(row) else min(column + cell.columns, MAX_SPANNED)
            for place in range(column, max(column + 1, end)):
                text = cell.text if repeat or place == column else ""
                line.setdefault(place, text)
                if cell.rows > 1:
                    above[place] = (text, cell.rows - 1)
        # Pages let last cells span more columns than there are.
        last = max((column for column, text in line.items() if text), default=-1)
        grid.append([line.get(column, "") for column in range(last + 1)])
    return grid
