"""The report page: everything escaped, nothing loaded, no script needed, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import DESKTOP, PHONE, launched
from playwright.sync_api import Browser, Page, expect, sync_playwright

from rag.comparison import compare
from rag.report import CAUSES, Excerpt, Report, Row, figure, make_report
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
    timings_ms={"retrieve": 2.0, ATTACK: 0.5, "total": 3.0},
    ranks={"evidence": (2,), "dense_evidence": (None,), "document": (1,)},
    withheld=ATTACK,
    right_if_answered=False,
    excerpts=(Excerpt(ATTACK, 7, 99, f"It makes 50 pistons. {ATTACK}", ((9, 19),), ((12, 21),)),),
)
RIGHT = replace(
    WRONG,
    id="right",
    kind="fact",
    failure=None,
    excerpts=(),
    right_if_answered=True,
    got="50",
    scores={"correct": 1.0, "answer_f1": 1.0, "recall@5": 1.0},
)
REFUSED = replace(
    WRONG,
    id="refused",
    kind="list",
    got="",
    refused=True,
    refusal_reason=ATTACK,
    confidence=0.1,
    failure="refused though answerable",
    excerpts=(),
)
UNANSWERABLE = replace(
    REFUSED,
    id="unanswerable",
    kind="near miss",
    answerable=False,
    expected=(),
    failure=None,
    scores={"correct": 1.0, "refusal_recall": 1.0},
    ranks={},
    withheld="",
)
RAISED = replace(
    WRONG,
    id="raised",
    got="",
    confidence=None,
    error=ATTACK,
    failure="error",
    timings_ms={},
    ranks={"evidence": (None,)},
    right_if_answered=None,
    excerpts=(),
)
EVERY = [WRONG, RIGHT, REFUSED, UNANSWERABLE, RAISED]
REPORT = make_report([WRONG, RIGHT], settings={"path": ATTACK, "threshold": 0.25})


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
    assert links.loaded
    assert all(link and link.startswith("#") for link in links.loaded)
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
    assert "答案不对" in page
    assert figure("answer_f1", REPORT.metrics["answer_f1"]) in page


def test_the_page_is_in_english_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENJU_LANG", "en")
    for page in (page_of(REPORT), to_html(make_report([RIGHT]))):
        assert not re.search(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]", page)
    assert '<html lang="en">' in page_of(REPORT)
    assert "wrong answer" in page_of(REPORT)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [RIGHT],
        [WRONG],
        [REFUSED],
        [UNANSWERABLE],
        [RAISED],
        [RIGHT, UNANSWERABLE],
        [WRONG, REFUSED, RAISED],
        EVERY,
    ],
    ids=lambda rows: "+".join(row.id[:8] for row in rows) or "none",
)
@pytest.mark.parametrize("older", [None, [], [RIGHT], [replace(WRONG, id="other")]])
def test_any_report_is_a_page_with_its_figures_and_failures(
    rows: list[Row], older: list[Row] | None
) -> None:
    report = make_report(rows, settings={"threshold": 0.25})
    names = ("before", "now")
    page = to_html(
        report, None if older is None else compare(report, make_report(older).to_dict(), names)
    )
    assert not re.search(r"\bnan\b", page, re.IGNORECASE)
    assert page.count("<article") == len(report.failures)
    if report.metrics["correct"] is not None:
        assert f"<strong>{report.metrics['correct']:.3f}</strong>" in page


def test_the_source_is_marked_where_evidence_and_citation_stand() -> None:
    quoted = (
        to_html(make_report([WRONG])).partition("<blockquote>")[2].partition("</blockquote>")[0]
    )
    assert quoted == (
        '…It makes <mark class="evidence">50 </mark><mark class="evidence cited">pistons</mark>'
        '<mark class="cited">. </mark>&lt;script&gt;alert(1)&lt;/script&gt;…'
    )


def test_failures_stand_under_what_went_wrong() -> None:
    lost = replace(WRONG, id="lost", ranks={"evidence": (1, None)})
    page = to_html(make_report([WRONG, lost, *EVERY[2:]])).partition('id="failures"')[2]
    groups = re.split('<div class="group', page)[1:]
    shown = {
        name: re.findall("<code>(.*?)</code>", group)
        for group in groups
        for name, label in CAUSES.items()
        if f"<h3>{label} " in group
    }
    assert shown == {
        "not found": ["lost"],
        "found but misread": ["&lt;script&gt;alert(1)&lt;/script&gt;&amp;"],
        "error": ["raised"],
        "refused though answerable": ["refused"],
    }


def test_a_refusal_shows_what_it_withheld() -> None:
    page = to_html(make_report([replace(REFUSED, withheld="60", right_if_answered=False)]))
    assert "<dd>60（不对）</dd>" in page


def test_two_runs_are_compared_question_by_question() -> None:
    before = [
        replace(RIGHT, id="won", got="49", confidence=0.4, scores={"correct": 0.0}),
        replace(RIGHT, id="lost", confidence=0.9),
        replace(RIGHT, id="reworded", got="fifty"),
        replace(RIGHT, id="moved", confidence=0.7),
        replace(RIGHT, id="same"),
        replace(RIGHT, id="gone"),
    ]
    now = [
        replace(RIGHT, id="won"),
        replace(WRONG, id="lost", got="51"),
        *(replace(RIGHT, id=name) for name in ("reworded", "moved", "same", "new")),
    ]
    report = make_report(now)
    page = to_html(report, compare(report, make_report(before).to_dict(), ("以前", "现在")))
    section = page.partition('id="compare"')[2].partition("</section>")[0]
    assert "两次都问了 5 题：变对 1，变错 1，对错不变 3。" in section
    folds = re.findall("<summary>(.*?) <.*?</summary>(.*?)</details>", section, re.DOTALL)
    held = {title: re.findall("<code>([a-z]+)</code>|<p>(.*?)</p>", body) for title, body in folds}
    assert held == {
        "变对了": [("won", "")],
        "变错了": [("lost", "")],
        "对错不变，回答变了": [("reworded", "")],
        "只有可信度变了 0.1 以上": [("moved", "")],
        "只在这次问了": [("", "new")],
        "这次没有问": [("", "gone")],
    }
    assert "✗ 49 <code>0.40</code>" in section
    assert section.count("<polygon") == 2
    assert section.count('class="unchanged"') == 3


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    report = make_report(
        [replace(row, kind=kind, id=f"{row.id}-{kind}") for row in EVERY for kind in ("a", "b")],
        settings={"threshold": 0.25, "long": "长" * 900 + "w" * 900},
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page_of(report), encoding="utf-8")
    return path


def opened(browser: Browser, file: Path, size: tuple[int, int], **settings: Any) -> Page:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, **settings)
    page.goto(file.as_uri())
    return page


def test_failures_are_chosen_without_a_script(browser: Browser, file: Path) -> None:
    with opened(browser, file, DESKTOP, java_script_enabled=False) as page:
        shown = page.locator("article:visible")
        expect(shown).to_have_count(6)
        page.locator("label", has_text="有答案却拒答").click()
        expect(shown).to_have_count(2)
        page.locator("label", has=page.locator("#kind-1")).click()
        expect(shown).to_have_count(1)
        expect(shown).to_contain_text("refused-b")
        expect(page.locator(".group:visible")).to_have_count(1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_accessible_and_scrolls_no_way_but_down(
    browser: Browser, file: Path, size: tuple[int, int], scheme: str
) -> None:
    # What checks the page is a script, which the page itself forbids.
    with opened(browser, file, size, color_scheme=scheme, bypass_csp=True) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        found = Axe().run(page).response["violations"]
        assert [f"{v['id']}: {node['html']}" for v in found for node in v["nodes"]] == []
