"""A real browser and a real page for it, for the tests of what people see."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import serving
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from rag.answer import Chatbot
from ui.desk import Desk
from ui.guard import Hosts
from ui.server import build_app
from ui.web import build_page

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

DESKTOP = (1280, 800)
PHONE = (390, 844)

TIMEOUT_MS = 60_000.0
"""A machine that is busy with other things is slow, and that is no failure."""

expect.set_options(timeout=TIMEOUT_MS)

_asked_of_others: list[str] = []


def _watch(event: str, values: tuple[Any, ...]) -> None:
    if event == "socket.connect" and isinstance(values[1], tuple):
        host = str(values[1][0])
    elif event == "socket.getaddrinfo":
        host = str(values[0])
    else:
        return
    if host not in ("127.0.0.1", "localhost", "::1", "0.0.0.0", "None", ""):
        _asked_of_others.append(host)


sys.addaudithook(_watch)


def launched(playwright: Playwright) -> Browser:
    """Start any Chromium there is; without one the tests are skipped, on CI they fail."""
    own = playwright.chromium.executable_path
    found = next(filter(None, map(shutil.which, _NAMES)), own if Path(own).exists() else None)
    if found is None:
        message = "there is no Chromium: install chromium, or run `playwright install chromium`"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    return playwright.chromium.launch(executable_path=found, args=list(_ARGUMENTS))


@contextmanager
def served(
    chatbot: Chatbot, *, may_change: bool = True, port: int | None = None, **limits: int
) -> Iterator[str]:
    """Serve the page of a chatbot and yield its address; the server may ask no other host.

    `limits` are those of its desk.
    """
    before = len(_asked_of_others)
    desk = Desk(chatbot, **limits)
    page = build_page(desk, may_change=may_change)
    hosts = Hosts("127.0.0.1", loopback=True)
    with serving.served(
        build_app(desk, page, hosts=hosts, may_change=may_change), port or 0
    ) as address:
        yield address
    assert _asked_of_others[before:] == []


@contextmanager
def at_home(browser: Browser, **settings: Any) -> Iterator[BrowserContext]:
    """What a visitor's pages share: what they keep, and the files of a server once fetched."""
    context = browser.new_context(locale="zh-CN", **settings)
    context.set_default_timeout(TIMEOUT_MS)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    try:
        yield context
    finally:
        context.close()


@contextmanager
def visited(browser: Browser, address: str, **settings: Any) -> Iterator[Page]:
    """Open a page as a visitor with a browser of their own."""
    with at_home(browser, **settings) as context, _page(context, address) as page:
        yield page


@contextmanager
def opened(
    context: BrowserContext, address: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False
) -> Iterator[Page]:
    """Open a page as a new visitor, but for the server's files: those once fetched are there."""
    clerk = context.new_page()
    what = {"origin": address.rstrip("/"), "storageTypes": "cookies,indexeddb,local_storage"}
    context.new_cdp_session(clerk).send("Storage.clearDataForOrigin", what)
    clerk.close()
    with _page(context, address, size, dark) as page:
        yield page


@contextmanager
def _page(
    context: BrowserContext, address: str, size: tuple[int, int] = DESKTOP, dark: bool = False
) -> Iterator[Page]:
    """Open a page; it may run into no error and ask no other host."""
    foreign: list[str] = []
    errors: list[str] = []
    own = (address, address.replace("http", "ws", 1), "data:", f"blob:{address}")
    page = context.new_page()
    page.on("request", lambda r: None if r.url.startswith(own) else foreign.append(r.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.emulate_media(color_scheme="dark" if dark else "light")
    try:
        enter(page, address)
        yield page
    finally:
        page.close()
    assert foreign == []
    assert errors == []


def enter(page: Page, address: str) -> None:
    """Open the page and wait until all of it is there."""
    page.goto(address)
    expect(page.locator("#wj-question textarea")).to_be_visible()
    expect(page.locator(".wj-count")).not_to_be_empty()
    expect(page.locator(".wj-welcome, .wj-answer, [data-testid=user]").first).to_be_visible()


def ask(page: Page, question: str) -> None:
    """Ask a question and wait until its answer is there whole."""
    answers = page.locator(".wj-answer").count()
    begin(page, question)
    expect(page.locator(".wj-answer")).to_have_count(answers + 1)
    settle(page)


def settle(page: Page) -> None:
    """Wait until nothing is being answered."""
    # What was clicked a moment ago may have begun something.
    page.wait_for_timeout(200)
    expect(page.locator("body:not(.wj-busy)")).to_have_count(1)


def begin(page: Page, question: str) -> None:
    """Ask a question and wait for nothing."""
    settle(page)
    page.fill("#wj-question textarea", question)
    page.press("#wj-question textarea", "Enter")
