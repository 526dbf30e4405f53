"""Measure the page in a real browser and under many clients: `python -m benchmarks.page`.

It serves a library of the seed article, asks in a browser and through Gradio's client, opens
a document of a million characters, and prints a table in Markdown: medians and 95th percentiles
in milliseconds, and for the clients together the ratio to one client alone.
Needs the `test` extra and a Chromium.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import typer
from gradio_client import Client
from playwright.sync_api import Page, sync_playwright

from index.documents import Document
from index.embedder import load_embedder
from rag.answer import Chatbot
from rag.default_library import seed_library
from rag.questions import read_questions
from ui.desk import Desk
from ui.guard import Hosts
from ui.server import build_app
from ui.web import build_page

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

import serving  # noqa: E402
from asking import letter_library  # noqa: E402
from browser import launched, served, settle, visited  # noqa: E402

_T = TypeVar("_T")

HUGE = Document("一百万字.txt", "一百万字", "这一段说的是第某某件事情，写得不长。\n" * 52_700, "")

FIRST_WORD = """() => {
  const answers = document.querySelectorAll(".wj-text, .wj-refused").length;
  window.began = 0;
  document.querySelector("#wj-question .submit-button").addEventListener(
    "click", () => { window.began = performance.now(); }, { once: true, capture: true });
  window.firstWord = new Promise((tell) => {
    const seen = new MutationObserver(() => {
      if (document.querySelectorAll(".wj-text, .wj-refused").length > answers) {
        seen.disconnect();
        requestAnimationFrame(() => tell(performance.now() - window.began));
      }
    });
    seen.observe(document.querySelector("#wj-chat"), { childList: true, subtree: true });
  });
}"""
"""JavaScript: time from the click on the button to the frame that shows the answer's text."""

OPENED = """(chosen) => new Promise((tell) => {
  const seen = { visibilityProperty: true };
  const shown = () => document.querySelector(chosen.shows)?.checkVisibility(seen);
  const began = performance.now();
  const look = () => shown() ? tell(performance.now() - began) : requestAnimationFrame(look);
  document.querySelector(chosen.click).click();
  look();
})"""
"""JavaScript: time from a click to the frame that shows what it opens."""


class Row(NamedTuple):
    """A line of the table; times in milliseconds, each of so many measurements."""

    what: str
    measured: int
    p50_ms: float
    p95_ms: float
    note: str


def row(what: str, times_s: list[float], note: str = "") -> Row:
    """Return the line of some times, in seconds."""
    ordered = sorted(times_s)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Row(what, len(ordered), statistics.median(ordered) * 1000, p95 * 1000, note)


def in_the_browser(page: Page, questions: list[str]) -> list[Row]:
    """Ask each question by a click, and open its citation."""
    words: list[float] = []
    marks: list[float] = []
    for question in questions:
        page.fill("#wj-question textarea", question)
        page.evaluate(FIRST_WORD)
        page.locator("#wj-question .submit-button").click()
        words.append(page.evaluate("window.firstWord") / 1000)
        settle(page)
        if page.locator(".wj-answer:last-of-type .wj-cite").count():
            opened = {"click": ".wj-text .wj-cite", "shows": ".wj-mark"}
            marks.append(page.evaluate(OPENED, opened) / 1000)
            page.keyboard.press("Escape")
            page.wait_for_timeout(300)
        page.locator("[data-do=new_chat]").click()
        page.locator(".wj-welcome").wait_for()
    return [
        row("提问到第一个字 click to first word", words),
        row("点引文到高亮 citation to highlight", marks),
    ]


def of_a_million_characters(page: Page) -> Row:
    """Open the huge document, again and again."""
    page.locator(".wj-document").wait_for()
    times: list[float] = []
    for _ in range(10):
        opened = {"click": ".wj-document .wj-title", "shows": ".wj-page"}
        times.append(page.evaluate(OPENED, opened) / 1000)
        page.keyboard.press("Escape")
        page.wait_for_timeout(300)
    return row("打开一百万字的文档 open a million characters", times)


def of_clients(address: str, questions: list[str], count: int) -> list[Row]:
    """Ask all the questions by one client, and then by `count` at once, each all of them."""

    def asks(client: Client) -> list[float]:
        times: list[float] = []
        for question in questions:
            began = time.perf_counter()
            found = client.predict(question, [], api_name="/ask")
            times.append(time.perf_counter() - began)
            if found["question"] != question:
                raise ValueError(f"an answer to another question: {found['question']}")
        return times

    clients = [Client(address, verbose=False) for _ in range(count)]
    alone, alone_s = _timed(lambda: asks(clients[0]))
    ready = threading.Barrier(count)

    def together(client: Client) -> list[float]:
        ready.wait()
        return asks(client)

    with ThreadPoolExecutor(count) as pool:
        times, together_s = _timed(
            lambda: [t for each in pool.map(together, clients) for t in each]
        )
    rate = (len(times) / together_s) / (len(alone) / alone_s)
    return [
        row("一人 one client", alone),
        row(f"{count} 人同时 {count} clients", times, f"每秒答数是一人的 {rate:.2f} 倍，无一出错"),
    ]


def _timed(work: Callable[[], _T]) -> tuple[_T, float]:
    began = time.perf_counter()
    done = work()
    return done, time.perf_counter() - began


def table(rows: Sequence[Row]) -> str:
    """Return the lines of the table."""
    head = "| 什么 what | 次 n | p50 ms | p95 ms | |\n| --- | --- | --- | --- | --- |"
    lines = [
        f"| {each.what} | {each.measured} | {each.p50_ms:.0f} | {each.p95_ms:.0f} | {each.note} |"
        for each in rows
    ]
    return "\n".join([head, *lines])


def main(
    clients: Annotated[int, typer.Option(help="clients at once")] = 20,
    questions: Annotated[int, typer.Option(help="questions each")] = 10,
    out: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
) -> None:
    """Measure and print."""
    everything = read_questions(ROOT / "seeds" / "questions.jsonl")
    asked = [q.question for q in everything if q.answerable and not q.history]
    asked = asked[:: len(asked) // questions][:questions]
    with (
        tempfile.TemporaryDirectory() as folder,
        seed_library(Path(folder) / "seed", load_embedder()) as library,
        letter_library(Path(folder), HUGE) as huge,
        sync_playwright() as playwright,
    ):
        browser = launched(playwright)
        with served(Chatbot(huge)) as address, visited(browser, address) as page:
            rows = [of_a_million_characters(page)]
        with served(Chatbot(library)) as address, visited(browser, address) as page:
            rows = in_the_browser(page, asked) + rows
        browser.close()
        desk = Desk(Chatbot(library))
        app = build_app(desk, build_page(desk), hosts=Hosts("127.0.0.1", loopback=True))
        # Gradio's client asks other hosts, which those who watch the page would not forgive.
        with serving.served(app) as address:
            rows += of_clients(address, asked, clients)
    print(table(rows))
    if out:
        out.write_text(
            json.dumps([r._asdict() for r in rows], ensure_ascii=False, indent=1), "utf-8"
        )


if __name__ == "__main__":
    typer.run(main)
