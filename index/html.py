"""HTML: the main text of a page, with its headings, tables and date, and nothing around it."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import islice, takewhile
from pathlib import Path

import lxml.html
from lxml import etree  # type: ignore

from index.encodings import encoding_of
from index.errors import DocumentError
from index.extracted import Extracted
from index.tables import Cell, lines_of

MAX_DEPTH = 200
"""Elements within one another; written pages have some tens."""

_MAX_ROWSPAN = 65_534
"""Rows that a cell of rowspan 0 may span, all that follow in its part of the table.

Source: HTML, attributes common to td and th elements.
"""

_DROPPED = frozenset(
    """script style noscript template nav footer aside button select input textarea iframe
    object embed svg canvas video audio dialog menu head title""".split()
)
_BLOCKS = frozenset(
    """address article blockquote body caption center dd details div dl dt fieldset figcaption
    figure form h1 h2 h3 h4 h5 h6 header hr html li main ol p pre section summary ul""".split()
)
_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "complementary", "dialog"})
_AROUND = re.compile(
    r"(?:\A|[\s_-])(?:cookies?|consent|gdpr|navbar|nav|breadcrumbs?|crumbs?|sidebar|footer|"
    r"pagination|share|social|comments?|related|recommend|advert|ads|popup|modal|skip-link)"
    r"(?:\Z|[\s_-])",
    re.IGNORECASE,
)
# Not "visibility: hidden": saved pages have it on their text, which a script would have shown.
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w-]+)""", re.IGNORECASE)
_CHINESE = {"gb2312": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}
_DATES = (
    "//meta[@property='article:published_time']/@content",
    "//meta[translate(@name, 'PUBDATE', 'pubdate')='pubdate']/@content",
    "//time[@pubdate]/@datetime",
)
_SITE = re.compile(r"\s*[-_|–—]\s*[^-_|–—]+\Z")
_BLANKS = re.compile(r"[ \t\r\n\f\u200b\ufeff]+")
_ANY_BLANK = re.compile(r"\s+")
_LINKED_SHARE = 0.6
_GOOD_SHARE = 0.3
"""The share of a page's text from which an element holds a good part of it."""

_WRITTEN = etree.XPath(
    "descendant::text()[not(parent::script or parent::style)]", smart_strings=False
)


def read_html(path: Path) -> Extracted:
    """Return the main text of a page.

    Raises:
        DocumentError: it is nested too deep, or in no encoding that can be told.
    """
    root = _parsed(path)
    if root is None:
        return Extracted("")
    main = _main(root)
    lines = _Lines(partial(_is_around, whole=_size(main)))
    lines.read(main)
    text = lines.text()
    titles = (" ".join(found.split()) for found in root.xpath("//title/text()"))
    title = next((_SITE.sub("", each) or each for each in titles if each), "")
    dates = (value for path in _DATES for value in root.xpath(path))
    return Extracted(text, title=title, published=next(dates, ""))


def _parsed(path: Path) -> etree._Element | None:
    content = path.read_bytes()
    if not content.strip():
        return None
    parser = lxml.html.HTMLParser(
        encoding=_encoding(path, content), no_network=True, huge_tree=True, remove_comments=True
    )
    root = lxml.html.document_fromstring(content, parser=parser, ensure_head_body=False)
    depth = 0
    for event, _ in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if depth > MAX_DEPTH:
            raise DocumentError(
                f"无法读取 {path}：网页的嵌套超过 {MAX_DEPTH} 层。请另存为纯文本再加入。",
                f"{path} cannot be read: the page is nested deeper than {MAX_DEPTH}. Save it as "
                "plain text and add that.",
            )
    return root


def _encoding(path: Path, content: bytes) -> str:
    """Return the declared encoding where the page is in it, else what its bytes say."""
    declared = _CHARSET.search(content[:4096])
    if declared and not content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        name = declared[1].decode().lower()
        name = _CHINESE.get(name, name)
        try:
            content.decode(name)
        except (LookupError, UnicodeDecodeError):
            pass
        else:
            return name
    return encoding_of(path).removesuffix("-sig")


def _main(root: etree._Element) -> etree._Element:
    """Return the element of the main text, where the page marks one that holds most of it."""
    whole = _size(root)
    for path in ("//main", "//*[@role='main']", "//article"):
        found = root.xpath(path)
        if len(found) == 1 and _size(found[0]) >= whole * _GOOD_SHARE:
            return found[0]
    return root


def _plain(element: etree._Element) -> str:
    return "".join(etree.XPath("string()")(element)).strip()


def _size(element: etree._Element) -> int:
    """Return how many characters a reader may see, blanks not counted."""
    return sum(len(_ANY_BLANK.sub("", text)) for text in _WRITTEN(element))


class _Lines:
    """Gathers the lines of a page, block by block."""

    def __init__(self, is_left_out: Callable[[etree._Element, str], bool]) -> None:
        self._is_left_out = is_left_out
        self._lines: list[tuple[str, str]] = []
        self._open: list[str] = []
        self._prefix = ""

    def text(self) -> str:
        self._end()
        return "\n".join(prefix + line for prefix, line in self._lines)

    def flat(self) -> str:
        """Return the lines as one, headings among them as text."""
        self._end()
        return " ".join(line for _, line in self._lines)

    def read(self, element: etree._Element) -> None:
        """Read an element and all below it, but not what follows it."""
        tag = element.tag
        if not isinstance(tag, str) or self._is_left_out(element, tag):
            return
        if tag == "table" and _has_columns(element):
            self._table(element)
            return
        if tag == "br":
            if not "".join(self._open).rstrip().endswith(("，", "、", ",")):
                self._end()
            return
        block = tag in _BLOCKS or tag in ("table", "tr", "td", "th")
        if block:
            self._end()
        if re.fullmatch("h[1-6]", tag):
            self._prefix = "#" * int(tag[1]) + " "
        if tag == "pre":
            for line in _plain(element).splitlines():
                self._open.append(line)
                self._end()
            return
        if tag == "li" and _in_notes(element):
            self._prefix = f"注{1 + len(list(element.itersiblings('li', preceding=True)))}："
        self._open.append(element.text or "")
        for child in element:
            self.read(child)
            self._open.append(child.tail or "")
        if block:
            self._end()

    def _end(self) -> None:
        line = _BLANKS.sub(" ", "".join(self._open)).strip()
        if line:
            self._lines.append((self._prefix, line))
            self._prefix = ""
        self._open = []

    def _table(self, table: etree._Element) -> None:
        self._end()
        for caption in table.iterchildren("caption"):
            if name := _flat(caption):
                self._lines.append(("", name))
        rows = list(table.iter("tr"))
        cells = (map(_cell, row.iterchildren("th", "td")) for row in rows)
        head_rows = sum(1 for _ in takewhile(_is_head, rows))
        self._lines.extend(("", line) for line in lines_of(cells, head_rows=head_rows))


def _has_columns(table: etree._Element) -> bool:
    """Tell a table of values from one that lays out a page."""
    return not table.xpath(".//table") and bool(table.xpath(".//tr[count(th | td) > 1]"))


def _flat(element: etree._Element) -> str:
    """Return all that is shown of a cell or a caption, as one line."""
    lines = _Lines(_is_unshown)
    lines.read(element)
    return lines.flat()


def _cell(cell: etree._Element) -> Cell:
    """Return a cell and what it spans; it spans no row of another part of its table."""
    columns, rows = (_span(cell, name) for name in ("colspan", "rowspan"))
    following = cell.getparent().itersiblings("tr")
    left = 1 + sum(1 for _ in islice(following, (rows or _MAX_ROWSPAN) - 1))
    return Cell(_flat(cell), max(columns, 1), left)


def _span(cell: etree._Element, name: str) -> int:
    found = re.match(r"\s*0*(\d{1,5})", cell.get(name, ""))
    return int(found[1]) if found else 1


def _is_head(row: etree._Element) -> bool:
    cells = list(row.iterchildren("th", "td"))
    return all(cell.tag == "th" for cell in cells) or row.getparent().tag == "thead"


def _is_unshown(element: etree._Element, tag: str) -> bool:
    """Tell what no reader sees as text, or only as a way to a note."""
    return (
        tag in _DROPPED
        or element.get("role") in ("doc-backlink", "doc-noteref")
        or element.get("hidden") is not None
        or element.get("aria-hidden") == "true"
        or bool(_HIDDEN.search(element.get("style", "")))
    )


def _is_around(element: etree._Element, tag: str, *, whole: int) -> bool:
    """Tell what stands around the text: navigation, banners, and what is not shown.

    `whole` is the size of the text: a form that holds a good part of it is no search box.
    """
    if _is_unshown(element, tag) or element.get("role") in _ROLES:
        return True
    if tag == "form":
        return _size(element) < whole * _GOOD_SHARE
    if tag in ("body", "html", "main", "article"):
        return False
    if tag == "header" and not any(e.tag in ("article", "main") for e in element.iterancestors()):
        return not element.xpath(".//h1")
    named = f"{element.get('class', '')} {element.get('id', '')}"
    return bool(_AROUND.search(named)) or _is_list_of_links(element, tag)


def _is_list_of_links(element: etree._Element, tag: str) -> bool:
    """Tell a menu: a list that is mostly links, each a few words."""
    if tag not in ("ul", "ol", "div") or (tag == "div" and element.xpath(".//p|.//h1|.//table")):
        return False
    links = element.findall(".//a")
    if len(links) < 3:
        return False
    linked = sum(len(_plain(link)) for link in links)
    return linked > _LINKED_SHARE * max(1, len(_plain(element)))


def _in_notes(element: etree._Element) -> bool:
    return any(each.get("role") == "doc-endnotes" for each in element.iterancestors())
