"""Office files: the text of .docx and .pptx, with headings, tables, notes and slides."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

from index.archives import DAMAGE
from index.errors import DocumentError
from index.extracted import Extracted, usable
from index.tables import Cell, lines_of

MAX_UNPACKED_BYTES = 300_000_000
MAX_PARTS = 20_000

_HEAD_BYTES = 65_536
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_BREAKS = {f"{_W}tab": " ", f"{_W}br": "\n", f"{_W}cr": "\n"}
_UNSHOWN = frozenset({_FALLBACK, f"{_W}del", f"{_W}moveFrom", f"{_W}txbxContent"})
_NOTES = {"footnotes": f"{_W}footnoteReference", "endnotes": f"{_W}endnoteReference"}
_HEADING = re.compile(r"(?:heading|标题)\s*(\d)", re.IGNORECASE)
_TITLE = re.compile(r"title|标题|文档标题", re.IGNORECASE)
_CONTENTS = re.compile(r"toc\s*\d|目录", re.IGNORECASE)
_SLIDE_EDGES = frozenset({"DATE", "FOOTER", "SLIDE_NUMBER", "HEADER"})


def read_docx(path: Path) -> Extracted:
    """Return the text of a Word document; headers and footers of its pages are left out.

    Raises:
        DocumentError: it is damaged, encrypted, too large, or has macros.
    """
    _check_package(path)
    import docx  # noqa: PLC0415 - a presentation does not need it

    try:
        document = docx.Document(str(path))
        return Extracted(usable("\n".join(_Word(document).lines())))
    except (*DAMAGE, KeyError, SyntaxError) as error:
        raise damaged(path) from error


def read_pptx(path: Path) -> Extracted:
    """Return the text of a presentation; each slide is a page.

    Raises:
        DocumentError: it is damaged, encrypted, too large, or has macros.
    """
    _check_package(path)
    import pptx  # noqa: PLC0415 - a text document does not need it

    try:
        slides = ["\n".join(_slide(slide)) for slide in pptx.Presentation(str(path)).slides]
    except (*DAMAGE, KeyError, SyntaxError) as error:
        raise damaged(path) from error
    text, pages = "", list[int]()
    for slide in map(usable, slides):
        text += "\n\n" if text and slide else ""
        pages.append(len(text))
        text += slide
    return Extracted(text, pages=tuple(pages))


def damaged(path: Path) -> DocumentError:
    """Return the error of a file that is not whole."""
    return DocumentError(
        f"无法读取 {path}：文件已损坏或不完整。请重新下载或另存。",
        f"{path} cannot be read: it is damaged or incomplete. Fetch or save it again.",
    )


def _check_package(path: Path) -> None:
    """Refuse a package that would unpack to too much, has macros, or declares entities.

    Raises:
        DocumentError: it is such.
    """
    try:
        with zipfile.ZipFile(path) as package:
            parts = package.infolist()
            if len(parts) > MAX_PARTS or sum(p.file_size for p in parts) > MAX_UNPACKED_BYTES:
                raise DocumentError(
                    f"无法读取 {path}：解压后超过 {MAX_UNPACKED_BYTES // 1_000_000} MB。"
                    "请确认它来自可信的地方，或拆分后再加入。",
                    f"{path} cannot be read: it unpacks to more than "
                    f"{MAX_UNPACKED_BYTES // 1_000_000} MB. Make sure that it can be trusted, "
                    "or split it.",
                )
            for part in parts:
                if part.filename.endswith("vbaProject.bin"):
                    raise DocumentError(
                        f"无法读取 {path}：它带有宏。请另存为不带宏的 docx 或 pptx。",
                        f"{path} cannot be read: it has macros. Save it as docx or pptx without.",
                    )
                if part.filename.endswith((".xml", ".rels")):
                    with package.open(part) as opened:
                        head = opened.read(_HEAD_BYTES)
                    if b"<!DOCTYPE" in head or b"<!ENTITY" in head:
                        raise DocumentError(
                            f"无法读取 {path}：它声明了实体，正常的 Office 文件没有。"
                            "请另存后再加入。",
                            f"{path} cannot be read: it declares entities, which no Office file "
                            "does. Save it again first.",
                        )
    except (*DAMAGE, RuntimeError, OSError) as error:
        raise damaged(path) from error


class _Word:
    """Reads the body of a Word document in its order."""

    def __init__(self, document: Any) -> None:
        self._body = document.element.body
        self._styles = {style.style_id: style.name or "" for style in document.styles}
        self._levels = {style.style_id: _level(style) for style in document.styles}
        self._notes = {
            (kind, number): text for kind in _NOTES for number, text in _notes(document.part, kind)
        }
        self._noted = 0
        self._waiting: list[str] = []

    def lines(self) -> Iterator[str]:
        """Yield its paragraphs and the rows of its tables; notes follow where they are made."""
        for element in self._blocks(self._body):
            if element.tag == f"{_W}tbl":
                yield from self._table(element)
            else:
                yield from self._paragraph(element)
            yield from self._waiting
            self._waiting = []

    def _blocks(self, parent: Any) -> Iterator[Any]:
        for child in parent:
            if child.tag in (f"{_W}p", f"{_W}tbl"):
                yield child
            elif child.tag == f"{_W}sdt":
                gallery = child.find(f"{_W}sdtPr/{_W}docPartObj/{_W}docPartGallery")
                if gallery is None or "Contents" not in gallery.get(f"{_W}val", ""):
                    yield from self._blocks(child)
            elif child.tag in (f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
                yield from self._blocks(child)

    def _paragraph(self, paragraph: Any) -> Iterator[str]:
        style = paragraph.find(f"{_W}pPr/{_W}pStyle")
        style_id = style.get(f"{_W}val") if style is not None else ""
        if _CONTENTS.match(self._styles.get(style_id, "")):
            return
        outline = paragraph.find(f"{_W}pPr/{_W}outlineLvl")
        level = self._levels.get(style_id, 0)
        if outline is not None and int(outline.get(f"{_W}val", "9")) < 6:
            level = int(outline.get(f"{_W}val")) + 1
        lines = [line.strip() for line in self._text(paragraph).splitlines()]
        lines = [line for line in lines if line]
        if level and lines:
            yield "#" * level + " " + " ".join(lines)
        else:
            yield from lines
        for box in paragraph.iter(f"{_W}txbxContent"):
            if not any(parent.tag == _FALLBACK for parent in box.iterancestors()):
                for inner in self._blocks(box):
                    yield from self._paragraph(inner)

    def _text(self, element: Any) -> str:
        """Return the text of an element, its notes' marks left out and their texts kept."""
        if element.tag in _UNSHOWN:
            return ""
        if element.tag == f"{_W}t":
            return element.text or ""
        if element.tag in _BREAKS:
            return _BREAKS[element.tag]
        for kind, reference in _NOTES.items():
            if element.tag == reference:
                note = self._notes.get((kind, element.get(f"{_W}id")), "")
                if note:
                    self._noted += 1
                    self._waiting.append(f"注{self._noted}：{note}")
                return ""
        return "".join(map(self._text, element))

    def _table(self, table: Any) -> Iterator[str]:
        rows = list(table.iterchildren(f"{_W}tr"))
        heads = takewhile(lambda row: row.find(f"{_W}trPr/{_W}tblHeader") is not None, rows)
        yield from lines_of(self._cells(rows), head_rows=len(list(heads)))

    def _cells(self, rows: list[Any]) -> list[list[Cell]]:
        """Return the cells of each row; one that goes on below is one cell of several rows."""
        placed = [dict(_placed(row)) for row in rows]
        part_of_above: set[tuple[int, int]] = set()
        cells: list[list[Cell]] = []
        for number, row in enumerate(placed):
            before = _number(rows[number], f"{_W}trPr/{_W}gridBefore", default=0)
            cells.append([Cell("", columns=before)] if before else [])
            for column, cell in row.items():
                if (number, column) in part_of_above:
                    continue
                end = number + 1
                while end < len(rows) and _goes_on(placed[end].get(column)):
                    part_of_above.add((end, column))
                    end += 1
                text = " ".join(self._text(p) for p in cell.iter(f"{_W}p"))
                cells[-1].append(Cell(text, columns=_columns(cell), rows=end - number))
        return cells


def _placed(row: Any) -> Iterator[tuple[int, Any]]:
    """Yield the cells of a row, each with the number of the column at which it begins."""
    column = _number(row, f"{_W}trPr/{_W}gridBefore", default=0)
    for cell in row.iterchildren(f"{_W}tc"):
        yield column, cell
        column += _columns(cell)


def _columns(cell: Any) -> int:
    return max(1, _number(cell, f"{_W}tcPr/{_W}gridSpan", default=1))


def _number(element: Any, path: str, *, default: int) -> int:
    found = element.find(path)
    return default if found is None else int(found.get(f"{_W}val"))


def _goes_on(cell: Any) -> bool:
    """Tell whether a cell is part of that above it."""
    merge = cell.find(f"{_W}tcPr/{_W}vMerge") if cell is not None else None
    return merge is not None and merge.get(f"{_W}val") != "restart"


def _level(style: Any) -> int:
    """Return the level of heading that a style gives, 0 if none."""
    while style is not None:
        name = style.name or ""
        if found := _HEADING.match(name):
            return min(int(found[1]), 6)
        if _TITLE.fullmatch(name):
            return 1
        style = getattr(style, "base_style", None)
    return 0


def _notes(part: Any, kind: str) -> Iterator[tuple[str, str]]:
    from docx.oxml import parse_xml  # noqa: PLC0415 - a presentation does not need it

    for relation in part.rels.values():
        if relation.is_external or not relation.reltype.endswith(f"/{kind}"):
            continue
        for note in parse_xml(relation.target_part.blob):
            if note.get(f"{_W}type") in (None, "normal"):
                text = "".join(each.text or "" for each in note.iter(f"{_W}t")).strip()
                yield note.get(f"{_W}id"), text


def _slide(slide: Any) -> Iterator[str]:
    """Yield the lines of a slide, its title first as a heading, and its notes."""
    title = slide.shapes.title
    if title is not None and title.has_text_frame and title.text_frame.text.strip():
        yield "# " + " ".join(title.text_frame.text.split())
    for shape in _in_reading_order(slide.shapes):
        if title is None or shape.shape_id != title.shape_id:
            yield from _shape(shape)
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = " ".join(slide.notes_slide.notes_text_frame.text.split())
        if notes:
            yield f"备注：{notes}"


def _in_reading_order(shapes: Any) -> list[Any]:
    return sorted(shapes, key=lambda shape: (shape.top or 0, shape.left or 0))


def _shape(shape: Any) -> Iterator[str]:
    if shape.is_placeholder and shape.placeholder_format.type.name in _SLIDE_EDGES:
        return
    if hasattr(shape, "shapes"):
        for inner in _in_reading_order(shape.shapes):
            yield from _shape(inner)
    elif getattr(shape, "has_table", False):
        rows = [
            [Cell(c.text, c.span_width, c.span_height) for c in row.cells if not c.is_spanned]
            for row in shape.table.rows
        ]
        yield from lines_of(rows, head_rows=int(shape.table.first_row))
    elif shape.has_text_frame:
        for paragraph in shape.text_frame.paragraphs:
            if text := " ".join(paragraph.text.split()):
                yield text
