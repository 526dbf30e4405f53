"""Made-up tables, with questions for what stands in one of their cells, or in none.

The news of the training data has no tables, which people ask about all the same: what a permit
costs, when the last bus leaves, who has which telephone number.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SORTS: list[dict[str, Any]] = tomllib.loads(
    Path(__file__).with_suffix(".toml").read_text("utf-8")
)["sort"]
_RANGE = re.compile(r"\{(\d+)-(\d+)\}")

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Table:
    """The text of a table under a heading, a question, and where its answer stands, if it does."""

    heading: str
    text: str
    question: str
    place: Place | None


def made_table(rng: random.Random) -> Table:
    """Return a table with a question for a cell, for a row, or for what it does not hold."""
    sort = rng.choice(_SORTS)
    everything = sort["rows"].split()
    rng.shuffle(everything)
    count = rng.randint(2, min(8, len(everything) - 1))
    rows, absent = everything[:count], everything[count:]
    columns = rng.sample(sort["column"], rng.randint(2, min(4, len(sort["column"]))))
    others = [column for column in sort["column"] if column not in columns]
    cells = [[row, *(_cell(column, rng) for column in columns)] for row in rows]
    names = [rng.choice(each.split()) for each in (sort["first"], *(c["names"] for c in columns))]
    heading, text, places = _written(rng, names, cells)

    row, k = rng.randrange(count), rng.randrange(len(columns))
    column, kind = columns[k], rng.random()
    held = cells[row][k + 1]
    if kind < 0.15 and "back" in column and [line[k + 1] for line in cells].count(held) == 1:
        return Table(heading, text, column["back"].format(held), places[row][0])
    if kind < 0.7:
        return Table(heading, text, _asked(column, rows[row], rng), places[row][k + 1])
    if kind < 0.85 and others:
        return Table(heading, text, _asked(rng.choice(others), rows[row], rng), None)
    return Table(heading, text, _asked(column, absent[0], rng), None)


def _asked(column: dict[str, str], row: str, rng: random.Random) -> str:
    return rng.choice(column["asked"].split()).format(row)


def _cell(column: dict[str, str], rng: random.Random) -> str:
    pattern = rng.choice(column["cells"].split())
    return _RANGE.sub(lambda found: str(rng.randint(int(found[1]), int(found[2]))), pattern)


def _written(
    rng: random.Random, names: list[str], cells: list[list[str]]
) -> tuple[str, str, list[list[Place]]]:
    """Return the heading of a table, its text, and the places of its cells.

    It is written as Markdown has it, or in lines that name their columns. The head of one in
    Markdown stands in the text, or in the heading as for a passage that begins in its midst.
    """
    heading = rng.choice(("", "附件1", "附表", "一览表", f"{names[0]}一览表", "公示名单"))
    marked, text = rng.random() < 0.5, ""
    if marked and rng.random() < 0.5:
        text = f"| {' | '.join(names)} |\n|{'---|' * len(names)}\n"
    elif marked:
        heading = "：".join(filter(None, (heading, "、".join(names))))
    places: list[list[Place]] = []
    for line in cells:
        places.append([])
        for k, cell in enumerate(line):
            text += "| " if marked else f"{'，' if k else ''}{names[k]}："
            places[-1].append((len(text), len(text) + len(cell)))
            text += cell + (" " if marked else "")
        text += "|\n" if marked else "\n"
    return heading, text.rstrip("\n"), places
