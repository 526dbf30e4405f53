"""PDF: the text of its pages, wrapped lines joined again, running heads and feet left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from ctypes import byref, c_double
from dataclasses import dataclass, replace
from pathlib import Path

import pypdfium2
import pypdfium2.raw as pdfium

from index.errors import DocumentError
from index.extracted import Extracted, usable
from index.tables import Cell, lines_of

MAX_PAGES = 5_000
MAX_CHARS_A_PAGE = 200_000

_WRONG_PASSWORD = 4
_WIDE_GAP_EM = 1.2
_CELL_GAP_EM = 0.45
"""A gap this wide parts cells where there is a blank too; without one it takes a wide gap."""

_HEADING_RATIO = 1.15
_BLANK_EM = 0.25
_LONGEST_UPRIGHT = 2
"""Characters on a line of a page that is written downwards."""

_NOTE_RATIO = 0.93
_LONGEST_HEADING = 60
_SMALL = 0.8
_RUNNING_LINES = 2
_SCANNED_LINES = 3
"""Lines that may be printed on a scanned page: its number, a stamp."""

_HAN = r"[\u2e80-\u303f\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
_IS_HAN = re.compile(_HAN)
_ENDS = re.compile(r"[。！？!?；;：…][”’」』）)】》]*\Z|\.\Z")
_GOES_ON = re.compile(r"[，、,]\Z")
_DIGITS = re.compile(r"\d+")
_PAGE_NUMBER = re.compile(
    r"""\W*(?:
        (?:第\s*)?\d+\s*页?(?:\s*[/,，]?\s*(?:共\s*)?\d+\s*页?)?
      | [ivxlc]+
      | page\ \d+(?:\ of\ \d+)?
    )\W*""",
    re.IGNORECASE | re.VERBOSE,
)
_PRINTED = re.compile(
    r"\d{1,4}/\d{1,2}/\d{1,4},? \d{1,2}:\d\d.*|(?:https?|file)://\S+(?: \d+/\d+)?"
)
_ITEM = re.compile(
    r"[•·●■◆○▪–—-]\s|[（(]?[一二三四五六七八九十\d]{1,3}(?:[）)、]|[.．](?!\d))"
    r"|第[一二三四五六七八九十百\d]+[章节条编]"
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a page: its cells, its place in points (y counts upwards), its type size.

    `heading` is its level where it stands out by its size, else 0.
    """

    cells: tuple[str, ...]
    left: float
    right: float
    bottom: float
    size: float
    heading: int = 0

    @property
    def text(self) -> str:
        return " ".join(self.cells)

    @property
    def width(self) -> float:
        return self.right - self.left


@dataclass(frozen=True, slots=True)
class _Page:
    lines: tuple[_Line, ...]
    width: float
    pictures: bool
    """Whether it has some, beside hardly any text."""
    damaged: bool = False


def read_pdf(path: Path) -> Extracted:
    """Return the text of a PDF, with the offset at which each page begins.

    Raises:
        DocumentError: it is encrypted, damaged, too long, or pictures without text.
    """
    pages = _without_running_lines(_pages(path))
    if not any(page.lines for page in pages):
        if any(page.pictures for page in pages):
            raise DocumentError(
                f"无法读取 {path}：它是扫描件，只有图片，没有文字。请先用文字识别（OCR）软件转换。",
                f"{path} cannot be read: it is a scan, pictures without text. Convert it with an "
                "OCR program first.",
            )
        return Extracted("")
    unread = (
        number
        for number, page in enumerate(pages, 1)
        if page.damaged or (page.pictures and not page.lines)
    )
    return replace(_joined(_with_headings(pages)), unread=tuple(unread))


def _pages(path: Path) -> list[_Page]:
    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if pdfium.FPDF_GetLastError() == _WRONG_PASSWORD or "password" in str(error).lower():
            raise DocumentError(
                f"无法读取 {path}：它有密码。请去掉密码，另存后再加入。",
                f"{path} cannot be read: it is encrypted. Save it without its password first.",
            ) from error
        raise DocumentError(
            f"无法读取 {path}：PDF 已损坏或不完整。请重新下载或另存。",
            f"{path} cannot be read: the PDF is damaged or incomplete. Fetch or save it again.",
        ) from error
    count = len(document)
    if count > MAX_PAGES:
        raise DocumentError(
            f"无法读取 {path}：它有 {count:,} 页，最多 {MAX_PAGES:,} 页。请拆分后再加入。",
            f"{path} cannot be read: it has {count:,} pages, at most {MAX_PAGES:,} are taken. "
            "Split it first.",
        )
    return [_page(document, number) for number in range(count)]


def _page(document: pypdfium2.PdfDocument, number: int) -> _Page:
    try:
        page = document[number]
        text = page.get_textpage()
    except pypdfium2.PdfiumError:  # one damaged page must not lose the others
        return _Page((), 0.0, pictures=False, damaged=True)
    lines = [line for run in _runs(text) if (line := _line(run))]
    width, height = page.get_size()
    if lines and sum(len(line.text) <= _LONGEST_UPRIGHT for line in lines) > max(
        12, 0.6 * len(lines)
    ):
        lines = _columns(lines, height)
        width = height
    pictures = len(lines) <= _SCANNED_LINES and any(
        isinstance(found, pypdfium2.PdfImage) for found in page.get_objects(max_depth=3)
    )
    page.close()
    return _Page(tuple(lines), width, pictures)


@dataclass(frozen=True, slots=True)
class _Char:
    char: str
    left: float
    right: float
    bottom: float
    top: float
    size: float
    generated: bool
    """It is no character of the page: a blank put where there is a gap."""


def _runs(text: pypdfium2.PdfTextPage) -> Iterator[list[_Char]]:
    """Yield the characters of each line of a page, without the breaks at its end."""
    run: list[_Char] = []
    box = [c_double() for _ in range(4)]
    for k in range(min(text.count_chars(), MAX_CHARS_A_PAGE)):
        char = chr(pdfium.FPDFText_GetUnicode(text, k))
        if char in "\r\n":
            if run:
                yield run
            run = []
            continue
        pdfium.FPDFText_GetCharBox(text, k, *map(byref, box))
        left, right, bottom, top = (each.value for each in box)
        size = _size(text, k) or top - bottom
        generated = pdfium.FPDFText_IsGenerated(text, k) == 1
        run.append(_Char(char, left, right, bottom, top, size, generated))
    if run:
        yield run


def _size(text: pypdfium2.PdfTextPage, k: int) -> float:
    """Return the size of a character as it is shown, in points."""
    matrix = pdfium.FS_MATRIX()
    size = pdfium.FPDFText_GetFontSize(text, k)
    if not pdfium.FPDFText_GetMatrix(text, k, byref(matrix)):
        return size
    return size * (matrix.c**2 + matrix.d**2) ** 0.5


def _line(run: Sequence[_Char]) -> _Line | None:
    """Return a line of its characters, split into cells at wide gaps."""
    shown = [each for each in run if not each.char.isspace()]
    if not shown:
        return None
    sizes = Counter(round(each.size, 1) for each in shown)
    size = max(sizes, key=lambda each: (sizes[each], each)) or 1.0
    cells: list[str] = [""]
    before: _Char | None = None
    blank: _Char | None = None
    for each in run:
        if each.char.isspace():
            blank = blank or each
            continue
        if before:
            gap = each.left - before.right
            if gap > (_CELL_GAP_EM if blank else _WIDE_GAP_EM) * size and _may_part(
                before, each, gap / size
            ):
                cells.append("")
            elif blank and not (blank.generated and _is_spacing(before, each, gap / size)):
                cells[-1] += " "
        if not _is_mark(each, size, shown):
            cells[-1] += each.char
        before, blank = each, None
    found = tuple(cell for raw in cells if (cell := usable(raw).strip()))
    if not found:
        return None
    return _Line(
        found,
        left=min(each.left for each in shown),
        right=max(each.right for each in shown),
        bottom=min(each.bottom for each in shown),
        size=size,
    )


def _may_part(before: _Char, each: _Char, gap_em: float) -> bool:
    """Tell a gap between cells from one between words, which justified lines stretch."""
    latin = before.char.isascii() and each.char.isascii()
    return gap_em > _WIDE_GAP_EM or not (latin and (before.char + each.char).isalpha())


def _is_spacing(before: _Char, each: _Char, gap_em: float) -> bool:
    """Tell the little room around Chinese characters from a blank that someone wrote."""
    han = [bool(_IS_HAN.match(char.char)) for char in (before, each)]
    return any(han) and not (all(han) and gap_em > _BLANK_EM)


def _is_mark(char: _Char, size: float, line: Sequence[_Char]) -> bool:
    """Tell the raised small figure that points to a footnote."""
    if char is line[0] or not char.char.isdigit() or char.size >= _SMALL * size or len(line) < 2:
        return False
    lowest = min(each.bottom for each in line if each.size >= _SMALL * size)
    return char.bottom > lowest + 0.1 * size


def _columns(lines: Sequence[_Line], height: float) -> list[_Line]:
    """Return the columns of a page that is written downwards, as lines that lie on their side."""
    columns: list[_Line] = []
    for line in lines:
        if len(line.text) > _LONGEST_UPRIGHT:  # a page number or the like, beside the columns
            continue
        turned = _Line(
            ("".join(line.cells),),
            left=height - line.bottom - line.size,
            right=height - line.bottom,
            bottom=line.left,
            size=line.size,
        )
        last = columns[-1] if columns else None
        if (
            last
            and abs(last.bottom - turned.bottom) < turned.size
            and turned.left > last.left
            and abs(last.size - turned.size) < 0.5
        ):
            columns[-1] = replace(
                last, cells=(last.text + turned.text,), right=max(last.right, turned.right)
            )
        else:
            columns.append(turned)
    return columns


def _without_running_lines(pages: Sequence[_Page]) -> list[_Page]:
    """Leave out page numbers, and what stands at the same place of most pages' edges."""
    edges = [_edges(page) for page in pages]
    often = Counter(_pattern(line) for page in edges for line in page)
    enough = 2 if len(pages) == 2 else 3

    def runs(line: _Line) -> bool:
        return (
            often[_pattern(line)] >= enough
            or bool(_PAGE_NUMBER.fullmatch(line.text))
            or bool(_PRINTED.fullmatch(line.text))
        )

    return [
        replace(page, lines=tuple(x for x in page.lines if not (x in edge and runs(x))))
        for page, edge in zip(pages, edges, strict=True)
    ]


def _edges(page: _Page) -> list[_Line]:
    """Return the uppermost and lowest lines of a page."""
    if len(page.lines) < 2:
        return list(page.lines) if page.pictures else []
    by_height = sorted(page.lines, key=lambda line: line.bottom)
    return [*by_height[:_RUNNING_LINES], *by_height[-_RUNNING_LINES:]]


def _pattern(line: _Line) -> tuple[str, int]:
    return _DIGITS.sub("#", line.text), round(line.bottom / 6)


def _with_headings(pages: Sequence[_Page]) -> list[_Page]:
    """Mark the lines that stand out by their size, the largest as level 1."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[line.size] += len(line.text)
    if not sizes:
        return list(pages)
    body = sizes.most_common(1)[0][0]
    larger = sorted((size for size in sizes if size >= _HEADING_RATIO * body), reverse=True)
    levels = {size: min(level, 6) for level, size in enumerate(larger, start=1)}

    def marked(line: _Line) -> _Line:
        short = len(line.text) <= _LONGEST_HEADING and not line.text.endswith(("。", "，", "；"))
        return replace(line, heading=levels[line.size] if line.size in levels and short else 0)

    return [
        replace(page, lines=_notes_aside([marked(line) for line in page.lines], body))
        for page in pages
    ]


def _notes_aside(lines: list[_Line], body: float) -> tuple[_Line, ...]:
    """Put footnotes before a paragraph that goes on on the next page, so as not to part it."""
    text = len(lines)
    while text and lines[text - 1].size < _NOTE_RATIO * body:
        text -= 1
    first = text - 1
    if text in (0, len(lines)) or _ENDS.search(lines[first].text):
        return tuple(lines)
    while first and not _ENDS.search(lines[first - 1].text) and not lines[first - 1].heading:
        first -= 1
    return (*lines[:first], *lines[text:], *lines[first:text])


def _joined(pages: Sequence[_Page]) -> Extracted:
    """Return the text of all lines, those of one paragraph joined, also across pages."""
    margins = Counter(round(line.right / 6) for page in pages for line in page.lines)
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    before: _Line | None = None
    for page in pages:
        starts_here = True
        for block in _blocks(page.lines):
            if isinstance(block, str):
                joint, text, line = "\n", block, None
            else:
                line = block
                joint = _joint(before, line, page.width, margins)
                text = "#" * line.heading + " " + line.text if line.heading else line.text
                if joint in ("", " ") and line.heading:
                    text = line.text
            joint = joint if parts else ""
            parts += [joint, text]
            length += len(joint)
            if starts_here:
                starts.append(length)
                starts_here = False
            length += len(text)
            before = line
        if starts_here:
            starts.append(length)
    return Extracted("".join(parts), pages=tuple(starts))


def _blocks(lines: Sequence[_Line]) -> Iterator[_Line | str]:
    """Yield the lines of a page, the rows of tables as lines that are whole already."""
    k = 0
    while k < len(lines):
        columns = len(lines[k].cells)
        end = k + 1
        while columns > 1 and end < len(lines) and len(lines[end].cells) == columns:
            end += 1
        if columns > 1 and (end - k) * columns >= 6 and end - k > 1:
            yield from lines_of((map(Cell, line.cells) for line in lines[k:end]), head_rows=1)
        else:
            yield from lines[k:end]
        k = end


def _joint(before: _Line | None, line: _Line, width: float, margins: Counter[int]) -> str:
    """Return what stands between two lines: nothing or a blank within a paragraph."""
    if before is None or not _continues(before, line, width, margins):
        return "\n"
    last, first = before.text[-1], line.text[0]
    if last.isdigit() and first.isdigit():
        return ""
    latin = last.isascii() and first.isascii() and (last.isalnum() or last in ",;:)")
    return " " if latin else ""


def _continues(before: _Line, line: _Line, width: float, margins: Counter[int]) -> bool:
    """Tell whether a line goes on with the paragraph of the one before it."""
    if before.heading != line.heading or abs(before.size - line.size) > 0.08 * line.size:
        return False
    if _ENDS.search(before.text) or _ITEM.match(line.text):
        return False
    if _GOES_ON.search(before.text):
        return True
    if line.left > before.left + 1.2 * line.size and line.bottom < before.bottom:
        return False
    beside = sum(margins[round(before.right / 6) + step] for step in (-1, 0, 1, 2))
    return before.width >= 10 * before.size and (before.width >= 0.6 * width or beside > 2)
