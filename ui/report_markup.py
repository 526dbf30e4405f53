"""What the parts of the report page are made of; all text of others is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from rag.report import METRICS, figure
from ui.language import say
from ui.terminal import safe


def text(value: object) -> str:
    """Return a value as HTML that shows it literally, its control characters replaced."""
    return escape(safe(str(value)))


def both(chinese: str, english: str) -> str:
    """Return a heading in Chinese with English beside it; readers of English see that alone."""
    return say(f'{chinese} <small lang="en">{english}</small>', english)


def section(key: str, title: str, body: str) -> str:
    """Return a section under a heading; `title` and `body` are HTML already."""
    return f'<section id="{key}">\n<h2>{title}</h2>\n{body}\n</section>'


def figures(*drawn: tuple[str, str, str]) -> str:
    """Return plots side by side, each with its title and a note below; all HTML already."""
    each = (
        f"<figure><figcaption>{title}</figcaption>{plot}<p>{note}</p></figure>"
        for title, plot, note in drawn
    )
    return f'<div class="figures">{"".join(each)}</div>'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "") -> str:
    """Return a table of cells that are HTML already; a row of one cell is a heading.

    `kind` says how it is laid out on a phone.
    """
    header = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "\n".join(_row(head, row) for row in rows)
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}">\n<thead><tr>{header}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(head: Sequence[str], row: Sequence[str]) -> str:
    if len(row) == 1:
        return f'<tr><th colspan="{len(head)}" scope="colgroup">{row[0]}</th></tr>'
    # On a phone, where the head is not shown, a cell bears its name if that is mere text.
    names = ("" if "<" in cell else f' data-head="{cell}"' for cell in head)
    cells = (f"<td{name}>{cell}</td>" for name, cell in zip(names, row, strict=True))
    return f"<tr>{''.join(cells)}</tr>"


def scale(*ends: str) -> str:
    """Return the heading of a column of whiskers: what its ends and its middle stand for."""
    return f'<span class="scale">{"".join(f"<span>{end}</span>" for end in ends)}</span>'


def folded(summary: str, body: str, *, is_open: bool = False) -> str:
    """Return HTML behind a heading that opens it."""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>\n{body}\n</details>"


def listed(fields: Mapping[str, str]) -> str:
    """Return names and their values, which are HTML already."""
    entries = "\n".join(f"<dt>{text(name)}</dt><dd>{value}</dd>" for name, value in fields.items())
    return f"<dl>\n{entries}\n</dl>"


def label(name: str) -> str:
    """Return a metric's name in Chinese and as it is typed; readers of English see that alone."""
    return f"{say(escape(METRICS[name]) + ' ', '')}<code>{escape(name)}</code>"


def interval(name: str, pair: tuple[float, float] | None) -> str:
    """Return the interval of a metric as people read it."""
    return f"{figure(name, pair[0])} – {figure(name, pair[1])}" if pair else "—"
