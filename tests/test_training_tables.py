"""Made-up tables: the answer stands in the row and the column that are asked for, or nowhere."""

from __future__ import annotations

import random
import re

import pytest

from training.tables import Table, made_table


def tables(count: int) -> list[Table]:
    rng = random.Random(0)
    return [made_table(rng) for _ in range(count)]


@pytest.mark.parametrize("table", tables(60), ids=lambda table: table.question)
def test_an_answer_is_a_whole_cell_of_a_row_that_the_question_names(table: Table) -> None:
    if not table.place:
        return
    start, end = table.place
    before, behind = table.text[:start], table.text[end:]
    assert before.endswith(("| ", "："))
    assert behind[:1] in ("", "，", "\n") or behind.startswith(" |")
    line = before.rsplit("\n", 1)[-1] + table.text[start:end] + behind.split("\n", 1)[0]
    cells = filter(None, map(str.strip, re.split("[|，：]", line)))
    assert any(cell in table.question for cell in cells)


def test_about_a_third_has_no_answer() -> None:
    made = tables(600)
    assert 0.2 < sum(table.place is None for table in made) / len(made) < 0.4
