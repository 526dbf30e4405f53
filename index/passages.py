"""Passages: a document split at sentences and headings, by code-point offsets.

A sentence is decided by its own text alone, never by what stands around it, so that
splitting a passage again gives the very sentences that were packed into it. That is why
`Passage` stores no sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from index.documents import Document
from index.records import Record

Span = tuple[int, int]
"""Half-open code-point offsets."""

LONGEST_SENTENCE = 400
"""Characters above which a sentence is cut at a comma: what an embedder can still read."""

_LONGEST_HEADING = 40
_LONGEST_PLAIN_HEADING = 30

_LINE = re.compile(r"[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_NON_BLANK = re.compile(r"\S")
_WORD = re.compile(r"\w")

_STOP = re.compile(
    r"""
      《[^《》]{1,60}》                              # a title is one piece whatever it holds
    | (?P<mark>(?:[。！？｡；…!?;]+[”’」』）)】〉》\]}]*)+)
    | (?P<dot>\.[”’」』）)】\]}]*(?=["']?(?:\s|\Z)))
    """,
    re.VERBOSE,
)
_GLUED = re.compile(r"[A-Za-z0-9=&/#%_]")
_LAST_WORD = re.compile(r"(?:\A|[^A-Za-z0-9.])([A-Za-z0-9.]+)\Z")
_ABBREVIATION = re.compile(
    r"(?i:mr|mrs|ms|dr|prof|st|vs|nos?|figs?|vols?|inc|ltd|co|corp|jr|sr|al|cf|pp|eds?|gen|col"
    r"|gov|sen|rep|rev|dept|univ|approx|e\.g|i\.e)|[A-Z]"
)
_SENTENCE_LIKE = re.compile(r"[。！？｡；…!?;.：:][”’」』）)】〉》\]}\"']*\Z")
_MARKDOWN = re.compile(r"\A#+\s*|\s+#+\Z")
_CUTS = (
    re.compile(r".*(?:[，、：]|[,:](?!\d))(?=.)", re.DOTALL),
    re.compile(r".*[^A-Za-z0-9.,:](?=.)", re.DOTALL),
)
"""The last place in a window to cut at, the better first; each sees one character beyond."""

_WITH_PIPE = r"(?=[^\r\n|]*+\|)"
_RULE = rf"[ ]{{0,3}}{_WITH_PIPE}(?=[ \t:|]*+-)[ \t:|-]++(?:\r?\n|\Z)"
_TABLE = re.compile(
    rf"""
      ^(?![ ]{{4}}|\t){_WITH_PIPE}(?P<columns>[^\r\n]{{1,200}})\r?\n
      {_RULE}
      (?P<rows>(?:{_WITH_PIPE}[^\r\n]*+(?:\r?\n|\Z)(?!{_RULE}))++)
    """,
    re.VERBOSE | re.MULTILINE,
)
"""A table as Markdown has it: the names of its columns, a rule, and rows, with pipes in each.

A row above another rule heads a table of its own.
"""

_PIPE = re.compile(r"(?<!\\)\|")
_FENCE = re.compile(r"(?P<run>`{3,}+(?=[^`]*\Z)|~{3,}+(?=[ \t]*+\S*+\Z))")
"""The line that opens or closes a block of code.

Source: CommonMark 0.31.2, section 4.5, but for what may stand behind tildes: many more words than
one are no name of a language.
"""

_HEADING_STYLES = (
    ("markdown", re.compile(r"#{1,6}\s+\S")),
    ("chapter", re.compile(r"第[一二三四五六七八九十百零〇\d]+[编篇章]")),
    ("section", re.compile(r"第[一二三四五六七八九十百零〇\d]+[节部]")),
    ("numeral", re.compile(r"[一二三四五六七八九十]+[、.．]")),
    ("bracketed", re.compile(r"[（(][一二三四五六七八九十]+[）)]")),
    ("decimal", re.compile(r"\d+(?:\.\d+)+\.?\s*(?=[^\W\d])")),
    ("number", re.compile(r"\d{1,2}[、.．]\s*(?=[^\W\d])")),
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence at `[start, end)` of its document's text, `text` being that slice."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Passage(Record):
    """A run of whole sentences under one heading; `document.text[start:end] == text`.

    `heading` is the innermost heading without its markup, or "". The heading's own line
    opens the text of the first passage below it. Behind the heading of a passage that begins
    among the rows of a Markdown table stand the names of the columns.
    """

    id: str
    document_id: str
    start: int
    end: int
    heading: str
    text: str

    def sentences(self) -> tuple[Sentence, ...]:
        """Split the passage into its sentences, offsets into the document's text."""
        return tuple(split_sentences(self.text, self.start))


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    style: str
    """How it is marked as a heading: a name of `_HEADING_STYLES`, "plain", or "" for body text."""


def split_sentences(text: str, offset: int = 0) -> Iterator[Sentence]:
    """Yield the sentences of `text` in order, their offsets moved by `offset`.

    A sentence ends at 。！？；… or their ASCII forms, at a full stop before a blank, and at a
    line break; closing quotes and brackets belong to it, blanks around it do not. One longer
    than `LONGEST_SENTENCE` is cut. Every character that is not blank is in one sentence.
    """
    for line in _lines(text):
        for span in _sentences_of_line(text, line):
            for start, end in _cut(text, span):
                yield Sentence(start + offset, end + offset, text[start:end])


def split_document(document: Document, *, max_chars: int = 200) -> list[Passage]:
    """Split a document into passages of at most about `max_chars` characters.

    Whole sentences are packed; a passage is longer only where one sentence is longer or its
    heading comes on top. A passage never crosses a heading, and holds several paragraphs
    only where each is shorter than half of `max_chars`. Every character that is not blank is
    in one passage.

    Raises:
        ValueError: `max_chars` is below 1.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars 必须至少为 1，而不是 {max_chars}")
    return [
        Passage(
            id=passage_id(document.id, start, end),
            document_id=document.id,
            start=start,
            end=end,
            heading=heading,
            text=document.text[start:end],
        )
        for (start, end), heading in _named(document.text, _pack(document.text, max_chars))
    ]


def passage_id(document_id: str, start: int, end: int) -> str:
    """Return the id of the passage at `[start, end)` of a document."""
    return f"{document_id}#{start}-{end}"


def _lines(text: str) -> Iterator[Span]:
    """Yield the lines that are not blank, without the blanks at their ends."""
    for line in _LINE.finditer(text):
        span = _trim(text, *line.span())
        if span[0] < span[1]:
            yield span


def _trim(text: str, start: int, end: int) -> Span:
    found = _NON_BLANK.search(text, start, end)
    if not found:
        return end, end
    while text[end - 1].isspace():
        end -= 1
    return found.start(), end


def _sentences_of_line(text: str, line: Span) -> Iterator[Span]:
    """Yield the sentences of one line; a scrap without any word joins the one before."""
    held: Span | None = None
    for span in _stretches(text, line):
        if held and not _WORD.search(text, *span):
            held = held[0], span[1]
            continue
        if held:
            yield held
        held = span
    if held:
        yield held


def _stretches(text: str, line: Span) -> Iterator[Span]:
    """Yield the stretches of a line up to each sentence end, trimmed."""
    start, line_end = line
    position = start
    while found := _STOP.search(text, position, line_end):
        position = found.end()
        if _ends_sentence(text, start, found, line_end):
            if text.startswith('"', position, line_end) and text.count('"', start, position) % 2:
                position += 1
            yield _trim(text, start, position)
            start, _ = _trim(text, position, line_end)
            position = start
    if start < line_end:
        yield start, line_end


def _ends_sentence(text: str, start: int, found: re.Match[str], line_end: int) -> bool:
    if found["dot"]:
        return _full_stop(text, start, found, line_end)
    if not found["mark"] or "》" in found["mark"]:
        return False
    ascii_mark = found["mark"][-1] in "!?;"
    return not (ascii_mark and _GLUED.match(text, found.end(), line_end))


def _full_stop(text: str, start: int, found: re.Match[str], line_end: int) -> bool:
    """Tell a full stop from the dot of "1. Item", "J. Smith" and "e.g. this"."""
    follows = _NON_BLANK.search(text, found.end(), line_end)
    if follows and follows.group().islower():
        return False
    dot = found.start()
    word = _LAST_WORD.search(text[max(start, dot - 16) : dot])
    if not word:
        return True
    last = word[1]
    if last.isdigit():
        return len(last) > 3 or dot - len(last) != start
    return not _ABBREVIATION.fullmatch(last)


def _cut(text: str, sentence: Span) -> Iterator[Span]:
    """Yield the sentence, or the pieces of one that is too long."""
    start, end = sentence
    if end - start <= LONGEST_SENTENCE:
        yield sentence
        return
    while start < end:
        stop = _cut_point(text, start, end)
        # A cut may part a title from its bracket and so lay open a sentence end in it.
        yield from _sentences_of_line(text, _trim(text, start, stop))
        start, _ = _trim(text, stop, end)


def _cut_point(text: str, start: int, end: int) -> int:
    """Return where to cut: after the last comma, else between words, else anywhere."""
    limit = start + LONGEST_SENTENCE
    if end <= limit:
        return end
    earliest = start + LONGEST_SENTENCE // 2
    window = text[earliest : limit + 1]
    found = next((match for cut in _CUTS if (match := cut.match(window))), None)
    return earliest + found.end() if found else limit


def _pack(text: str, max_chars: int) -> Iterator[tuple[Span, str]]:
    """Yield the span and the heading of each passage."""
    long = max_chars // 2
    heading = ""
    headings: Span | None = None  # waiting for the text below them
    paragraphs: Span | None = None  # short ones, gathered
    for line in _with_headings(text):
        span = line.start, line.end
        length = line.end - line.start
        if paragraphs and (line.style or length > long or line.end - paragraphs[0] > max_chars):
            yield _joined(headings, paragraphs), heading
            headings = paragraphs = None
        if line.style:
            if headings and line.end - headings[0] > max_chars:
                yield headings, heading
                headings = None
            headings = _joined(headings, span)
            heading = _heading_text(text[line.start : line.end], line.style)
        elif length > long:
            for part in _parts(text, span, max_chars):
                yield _joined(headings, part), heading
                headings = None
        else:
            paragraphs = _joined(paragraphs, span)
    if paragraphs:
        yield _joined(headings, paragraphs), heading
    elif headings:
        yield headings, heading


def _named(text: str, packed: Iterable[tuple[Span, str]]) -> Iterator[tuple[Span, str]]:
    """Yield the passages, the names of the columns told to those that begin in a table's rows."""
    tables = _TABLE.finditer(text)
    table = next(tables, None)
    for span, heading in packed:
        while table and table.end("rows") <= span[0]:
            table = next(tables, None)
        if table and table.start("rows") <= span[0]:
            yield span, "：".join(filter(None, (heading, _columns(table["columns"]))))
        else:
            yield span, heading


def _columns(row: str) -> str:
    cells = (cell.replace("\\|", "|").strip(" \t*`") for cell in _PIPE.split(row))
    return "、".join(filter(None, cells))


def _heading_text(line: str, style: str) -> str:
    return _MARKDOWN.sub("", line) if style == "markdown" else line


def _joined(first: Span | None, second: Span) -> Span:
    return (first or second)[0], second[1]


def _parts(text: str, paragraph: Span, max_chars: int) -> Iterator[Span]:
    """Yield runs of a paragraph's sentences, about equally long and within `max_chars`."""
    length = paragraph[1] - paragraph[0]
    enough = length / -(-length // max_chars)
    run: Span | None = None
    for sentence in _sentences_of_line(text, paragraph):
        if sentence[1] - sentence[0] > LONGEST_SENTENCE:
            if run:
                yield run
                run = None
            yield from _cut(text, sentence)
        elif run and (run[1] - run[0] >= enough or sentence[1] - run[0] > max_chars):
            yield run
            run = sentence
        else:
            run = _joined(run, sentence)
    if run:
        yield run


def _with_headings(text: str) -> Iterator[_Line]:
    """Yield the lines of `text`, each told whether it is a heading.

    A line that looks like a heading is one where body text follows it, directly or after
    headings of other styles: items of a list follow one another in the same style.
    """
    waiting: list[_Line] = []
    for line in _styled(_lines(text), text):
        if line.style:
            waiting.append(line)
            # A run this long repeats a style, or is marked up: no need to see its end.
            if len(waiting) > 2 * len(_HEADING_STYLES):
                yield _settled(waiting.pop(0), heads=False)
            continue
        heads = _is_body(text, line) and _all_differ(waiting)
        yield from (_settled(each, heads=heads) for each in waiting)
        waiting = []
        yield line
    yield from (_settled(each, heads=False) for each in waiting)


def _all_differ(run: list[_Line]) -> bool:
    styles = [line.style for line in run if line.style != "markdown"]
    return len(set(styles)) == len(styles)


def _settled(line: _Line, *, heads: bool) -> _Line:
    """Return the line as a heading if it `heads` text, else as text; markup needs no text."""
    return line if heads or line.style == "markdown" else _Line(line.start, line.end, "")


def _is_body(text: str, line: _Line) -> bool:
    """Tell a paragraph from another short line: it is long, or it is a sentence."""
    return line.end - line.start > _LONGEST_HEADING or bool(
        _SENTENCE_LIKE.search(text[line.start : line.end])
    )


def _styled(lines: Iterable[Span], text: str) -> Iterator[_Line]:
    fence = ""
    for start, end in lines:
        found = _FENCE.match(text, start, end)
        if fence or found:
            yield _Line(start, end, "")
        else:
            yield _Line(start, end, _style(text, start, end))
        if found and not fence:
            fence = found["run"]
        elif found and found.end() == end and found["run"].startswith(fence):
            fence = ""


def _style(text: str, start: int, end: int) -> str:
    """Return the style of heading that the line could be by itself, or ""."""
    if end - start > 200:
        return ""
    line = text[start:end]
    style = next((name for name, pattern in _HEADING_STYLES if pattern.match(line)), "plain")
    if style == "markdown":
        return style
    longest = _LONGEST_PLAIN_HEADING if style == "plain" else _LONGEST_HEADING
    if len(line) > longest or not _WORD.search(line):
        return ""
    forbidden = "。！？!?；;…：:>|[]【】\t" if style == "plain" else "。！!；;…|\t"
    if any(sign in line for sign in forbidden) or line[-1] in "，,、.：:":
        return ""
    return style
