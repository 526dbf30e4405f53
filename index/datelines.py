"""Datelines: the title and the publication date that a text states at its head."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from index.fold import fold

_HEAD_CHARS = 2000
_HEAD_LINES = 12
_LONGEST_TITLE = 40
_LONGEST_DATELINE = 120

# All patterns below read folded text: half-width, lower case, Simplified.
_DATE = r"(?<!\d)((?:19|20)\d\d)\s?[-/.年]\s?(\d{1,2})\s?[-/.月]\s?(\d{1,2})(?:日|(?!\d))"
_TIME = r"\d{1,2}:\d\d(?::\d\d)?"
_PUBLISHED = r"(?:发布|发表|发稿|发文|刊发|印发|成文|更新|公布)(?:时间|日期)|日期"
_LABELS = (
    rf"{_PUBLISHED}|时间|来源|稿源|文章来源|信息来源|作者|编辑|责编|责任编辑|字体|字号|"
    r"浏览(?:次数|量)?|阅读(?:次数|量)?|点击(?:次数|量|率)?|记者|通讯员|审核|校对|索引号|文号"
)
_LABEL = re.compile(rf"(?<![\u4e00-\u9fff])(?:{_LABELS})\s*:")
_BREADCRUMB = re.compile(r"\S\s*[>»›]\s*\S|^(?:当前页面|(?:您|你)?(?:当前)?的?(?:所在)?位置)\s*:")
_STATED = (
    re.compile(rf"(?<![\u4e00-\u9fff])(?:{_PUBLISHED})\s*:?\s*{_DATE}"),
    re.compile(rf"^\W*{_DATE}\s*(?:{_TIME}|[^\w.]*(?:正文|来源|稿源)\s*:)"),
    re.compile(rf"{_DATE}(?:电|讯)"),
)
_AGENCY = re.compile(r"[^。！？]{0,60}?(?:日电|讯|消息)(?=[\s（(\w])")
_DATE_OR_TIME = re.compile(rf"{_DATE}|{_TIME}")
_FIRST_DATE = re.compile(_DATE)
_BODY_LABEL = re.compile(r"\A[^。！？]{0,60}?正文[:：]\s*")
_TITLE_LABEL = re.compile(r"\A(?:原标题|標題|标题)[:：]\s*")
_MARKDOWN_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FIRST_SENTENCE = re.compile(r"[^。！？!?；;…]*[。！？!?；;…]*[”’」』）)》]*")


def title_of(text: str, *, markdown: bool = False, stated: str = "") -> str:
    """Return the title that a text gives itself, at most about 40 characters.

    The first heading of Markdown; else what is `stated` beside the text; else the first line
    that is neither navigation nor a dateline, or the beginning of its first sentence.
    """
    if markdown and (heading := _MARKDOWN_HEADING.search(text, 0, _HEAD_CHARS)):
        return _shortened(heading[1])
    if stated:
        return _shortened(stated)
    lines = list(_head(text))
    chosen = next((line for line in lines if not _is_front_matter(line)), lines[0] if lines else "")
    return _shortened(chosen)


def published(text: str) -> str | None:
    """Return the ISO date on which a text says at its head that it was published.

    Dates of what it tells about do not count: only a labelled date, a line that is a
    dateline, one that opens the text with a time of day, and a news agency's ("…日电").
    """
    for line in _head(text):
        folded = fold(line).text
        found = next((match for form in _STATED if (match := form.search(folded))), None)
        if not found and _is_front_matter(line):
            found = _FIRST_DATE.search(folded)
        if found and (stated := iso_date(found.group())):
            return stated
    return None


def front_matter(text: str) -> str:
    """Return what a text says about itself before it begins: front lines, and its dateline."""
    lines = list(_head(text))
    own = [line for line in lines if _is_front_matter(line)]
    told = (found.group() for line in lines if (found := _AGENCY.match(line)))
    return "\n".join([*own, *told])


def iso_date(text: str) -> str | None:
    """Return the first full date in a text as "2019-10-29", or None."""
    found = _FIRST_DATE.search(fold(text).text)
    if not found:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3])).isoformat()
    except ValueError:  # such as the 31st of February
        return None


def _head(text: str) -> Iterator[str]:
    """Yield the first lines that are not blank."""
    lines = (line.strip() for line in text[:_HEAD_CHARS].splitlines())
    yield from [line for line in lines if line][:_HEAD_LINES]


def _is_front_matter(line: str) -> bool:
    """Tell navigation, a dateline and the like from text."""
    folded = fold(line).text
    if len(folded) > _LONGEST_DATELINE or folded.endswith(tuple(".!?;")):
        return False
    if not any(map(str.isalnum, folded)) or _BREADCRUMB.search(folded) or _LABEL.search(folded):
        return True
    rest, dates = _DATE_OR_TIME.subn("", folded)
    return dates > 0 and len(re.findall(r"\w", rest)) <= 8


def _shortened(line: str) -> str:
    """Return the line without its labels, cut at a sentence end or comma where it is long."""
    line = _TITLE_LABEL.sub("", _BODY_LABEL.sub("", line)) or line
    first = _FIRST_SENTENCE.match(line)
    sentence = first.group() if first and first.group() else line
    if len(sentence) <= _LONGEST_TITLE:
        return sentence.rstrip("。；; ")
    cut = sentence[:_LONGEST_TITLE]
    comma = max(cut.rfind(sign) for sign in "，,、：: ")
    return (cut[:comma] if comma >= 8 else cut).rstrip() + "…"
