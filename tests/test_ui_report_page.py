"""The report page: everything escaped, nothing loaded, and in the reader's language."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from rag.comparison import compare
from rag.report import Report, Row, figure, make_report
from ui.report_page import to_html

ATTACK = "<script>alert(1)</script>"


class Links(HTMLParser):
    """Collects the tags of a page and whatever they would load from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loaded: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loaded += [value for name, value in attrs if name in {"src", "href", "srcset"}]


WRONG = Row(
    id=f"{ATTACK}&",
    kind="<img src=http://x>",
    question="How many?",
    resolved_question=ATTACK,
    answerable=True,
    expected=("50",),
    got=ATTACK,
    refused=False,
    refusal_reason="",
    confidence=0.5,
    top_passage="It makes 50 pistons.",
    error="",
    failure="wrong answer",
    scores={"correct": 0.0, "answer_f1": 0.25, "recall@5": 1.0},
    timings_ms={"retrieve": 2.0, "total": 3.0},
)
RIGHT = replace(
    WRONG,
    id="right",
    kind="fact",
    failure=None,
    got="50",
    scores={"correct": 1.0, "answer_f1": 1.0, "recall@5": 1.0},
)
REPORT = make_report([WRONG, RIGHT], settings={"path": ATTACK})


def page_of(report: Report) -> str:
    """Return the page of a report that is compared with one of fewer and better answers."""
    return to_html(
        report, compare(report, make_report([RIGHT]).to_dict(), ("extracted<b>", ATTACK))
    )


def test_the_page_shows_everything_escaped_and_loads_nothing() -> None:
    page = page_of(REPORT)
    links = Links()
    links.feed(page)
    assert not {"script", "img", "link", "iframe"} & links.tags
    assert links.loaded == []
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "答案不对" in page
    assert figure("answer_f1", REPORT.metrics["answer_f1"]) in page


def test_the_page_is_in_english_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENJU_LANG", "en")
    for page in (page_of(REPORT), to_html(make_report([RIGHT]))):
        assert not re.search(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]", page)
    assert '<html lang="en">' in page_of(REPORT)
    assert "wrong answer" in page_of(REPORT)
