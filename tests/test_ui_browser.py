"""The chat page in a real browser: what people click, type, see and read aloud."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from asking import Finds, document, letter_library
from axe_playwright_python.sync_playwright import Axe
from browser import (
    DESKTOP,
    PHONE,
    ask,
    at_home,
    begin,
    enter,
    launched,
    opened,
    served,
    settle,
    visited,
)
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from index.embedder import load_embedder
from index.library import DiskLibrary
from rag.answer import Answer, Chatbot
from rag.default_library import seed_library
from rag.follow_up import Turn
from rag.questions import read_questions
from rag.settings import Settings
from ui.feedback import feedback_file

TOWN = "教育小镇计划总投资多少？"
MAYOR = "市长叫什么名字？"
SLOWLY = "请慢慢回答"
BADLY = "请出个错"

STEPS = 1_200
"""Of a slow answer, ten a second: what is tested must be over before it ends, on any machine."""

HOSTILE = (
    "总负责人是<img src=http://e.example/i.png onerror=alert(1)><script>alert(2)</script>"
    '<iframe src="http://e.example"></iframe><form action="http://e.example"><input></form>'
    "<style>body{display:none}</style>![图](http://e.example/p.png)[点](javascript:alert(3))"
    "{{value}}${alert(4)}`x`~~y~~ http://e.example \u202e反向\u202c"
)
LONG_WORD = "长" * 5_000 + "w" * 5_000


class Watched(Chatbot):
    """The real chatbot, which can also be asked to take its time, and tells when it ends."""

    def __init__(self, library: DiskLibrary) -> None:
        super().__init__(library)
        self.ended = threading.Event()
        self.steps = 0

    def stream(self, question: str, history: Sequence[Turn] = (), **rest: Any) -> Generator[Answer]:
        if BADLY in question:
            raise RuntimeError("inside")
        if SLOWLY not in question:
            yield from super().stream(question, history, **rest)
            return
        whole = replace(self.ask(TOWN), question=question, resolved_question=question)
        self.ended.clear()
        try:
            for self.steps in range(1, STEPS):
                yield replace(whole, text="字" * self.steps, claims=(), citations=())
                time.sleep(0.1)
        finally:
            self.ended.set()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's data folder of these tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("user")
        patch.setenv("HOME", str(home))
        patch.setenv("XDG_DATA_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def chatbot(user: Path) -> Iterator[Watched]:
    with seed_library(user / "library", load_embedder()) as library:
        yield Watched(library)


@pytest.fixture(scope="module")
def address(browser: Browser, chatbot: Watched) -> Iterator[str]:
    with served(chatbot) as address:
        yield address


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with at_home(browser) as context:
        yield context


@pytest.fixture
def page(context: BrowserContext, address: str) -> Iterator[Page]:
    with opened(context, address) as page:
        yield page


def last(page: Page) -> Locator:
    return page.locator(".wj-answer").last


def action(page: Page, name: str) -> Locator:
    """Return the last button of this name beside the messages."""
    return page.locator("#wj-chat").get_by_role("button", name=name, exact=True).last


# Asking


def test_a_question_is_answered_with_its_citation(page: Page) -> None:
    ask(page, TOWN)
    expect(last(page).locator(".wj-text")).to_contain_text("100亿元")
    expect(last(page).locator(".wj-quote mark")).to_contain_text("100亿元")
    expect(last(page)).to_contain_text("可信度：")
    expect(page.locator("#wj-question textarea")).to_have_value("")


def test_an_example_is_asked_by_a_click(page: Page) -> None:
    example = page.locator("#wj-chat button.example").first
    question = example.inner_text().strip()
    example.click()
    expect(page.locator("[data-testid=user]")).to_have_text(question)
    expect(last(page).locator(".wj-cite").first).to_be_visible()


def test_an_answer_streams_and_stop_ends_the_work(page: Page, chatbot: Watched) -> None:
    begin(page, SLOWLY)
    page.wait_for_function("document.querySelector('.wj-text')?.textContent.length > 3")
    length = len(last(page).locator(".wj-text").inner_text())
    page.wait_for_function(f"document.querySelector('.wj-text').textContent.length > {length}")
    page.get_by_role("button", name="停止").click()
    assert chatbot.ended.wait(30)
    assert chatbot.steps < STEPS - 1
    expect(page.get_by_text("已停止。")).to_be_visible()
    expect(page.get_by_role("button", name="发送")).to_be_visible()
    ask(page, TOWN)
    expect(last(page)).to_contain_text("100亿元")


def test_who_leaves_ends_the_work(browser: Browser, address: str, chatbot: Watched) -> None:
    with visited(browser, address) as page:
        begin(page, SLOWLY)
        expect(page.locator(".wj-text")).to_be_visible()
        assert not chatbot.ended.is_set()
    assert chatbot.ended.wait(30)
    assert chatbot.steps < STEPS - 1


def test_a_question_asked_meanwhile_waits_in_its_box(page: Page) -> None:
    begin(page, SLOWLY)
    expect(page.locator(".wj-text")).to_be_visible()
    page.fill("#wj-question textarea", TOWN)
    page.press("#wj-question textarea", "Enter")
    page.get_by_role("button", name="停止").click()
    settle(page)
    expect(page.locator("[data-testid=user]")).to_have_count(1)
    expect(page.locator("#wj-question textarea")).to_have_value(TOWN)
    page.press("#wj-question textarea", "Enter")
    expect(last(page)).to_contain_text("100亿元")


def test_a_result_that_nobody_listens_for_comes_all_the_same(page: Page) -> None:
    # The word that ends the stream of results is held back, as a busy machine does at times.
    page.evaluate(
        """() => {
          const { fetch } = window;
          window.fetch = async (...asked) => {
            const response = await fetch(...asked);
            if (!String(asked[0].url ?? asked[0]).includes("/queue/data")) return response;
            const late = new TransformStream({
              async transform(chunk, out) {
                const text = new TextDecoder().decode(chunk);
                const end = text.indexOf('data: {"msg":"close_stream"');
                if (end < 0) return out.enqueue(chunk);
                out.enqueue(new TextEncoder().encode(text.slice(0, end)));
                window.ending = true;
                await new Promise((go) => setTimeout(go, 2000));
                out.enqueue(new TextEncoder().encode(text.slice(end)));
              },
            });
            return new Response(response.body.pipeThrough(late), response);
          };
        }"""
    )
    ask(page, TOWN)
    page.wait_for_function("window.ending")
    ask(page, "企业开办时间压缩到几天？")
    expect(last(page)).to_contain_text("3个工作日")


def test_a_question_is_retried_edited_and_taken_back(page: Page) -> None:
    ask(page, TOWN)
    action(page, "重试").click()
    settle(page)
    expect(page.locator(".wj-answer")).to_have_count(1)
    expect(last(page)).to_contain_text("100亿元")
    ask(page, "费用精简了56%吗?")
    action(page, "修改问题").click()
    box = page.locator("#wj-chat textarea")
    expect(box).to_have_value("费用精简了56%吗?")
    box.fill("企业开办时间压缩到几天？")
    action(page, "发送").click()
    expect(page.locator("[data-testid=user]").last).to_have_text("企业开办时间压缩到几天？")
    expect(last(page).locator(".wj-text")).to_contain_text("3个工作日")
    expect(page.locator(".wj-answer")).to_have_count(2)
    settle(page)
    action(page, "撤回").click()
    expect(page.locator(".wj-answer")).to_have_count(1)
    expect(page.locator("#wj-question textarea")).to_have_value("企业开办时间压缩到几天？")


def test_a_follow_up_shows_how_it_was_understood(page: Page) -> None:
    ask(page, TOWN)
    ask(page, "那它是哪个集团的？")
    understood = last(page).locator(".wj-resolved")
    expect(understood).to_contain_text("理解为：")
    understood.get_by_role("link", name="修改").click()
    box = page.locator("#wj-question textarea")
    expect(box).to_be_focused()
    assert box.input_value() in understood.inner_text()
    assert "集团" in box.input_value()


def test_a_new_chat_is_empty_and_stays_so(page: Page, address: str) -> None:
    ask(page, TOWN)
    page.get_by_role("button", name="新对话").click()
    expect(page.locator(".wj-welcome")).to_be_visible()
    enter(page, address)
    expect(page.locator(".wj-welcome")).to_be_visible()
    ask(page, "那它是哪个集团的？")
    expect(page.locator(".wj-resolved")).to_have_count(0)


def test_a_reload_keeps_the_conversation_and_follow_ups_go_on(page: Page, address: str) -> None:
    ask(page, TOWN)
    enter(page, address)
    expect(last(page)).to_contain_text("100亿元")
    ask(page, "那它是哪个集团的？")
    expect(last(page).locator(".wj-resolved")).to_be_visible()


def test_an_answer_cut_short_can_be_retried_among_others(page: Page, address: str) -> None:
    begin(page, SLOWLY)
    expect(page.locator(".wj-text")).to_be_visible()
    page.evaluate("window.stop()")
    begin_anew = "企业开办时间压缩到几天？"
    enter(page, address)
    ask(page, TOWN)
    ask(page, begin_anew)
    action(page, "重试").click()
    settle(page)
    expect(page.locator("[data-testid=user]").last).to_have_text(begin_anew)
    expect(last(page).locator(".wj-text")).to_contain_text("3个工作日")
    expect(page.locator("[data-testid=user]")).to_have_count(3)


def test_a_fault_of_our_own_can_be_retried_and_says_nothing_of_the_inside(page: Page) -> None:
    begin(page, BADLY)
    expect(page.get_by_text("回答中断了")).to_be_visible()
    settle(page)
    assert "inside" not in page.locator("body").inner_text()
    expect(action(page, "重试")).to_be_visible()
    ask(page, TOWN)
    expect(last(page)).to_contain_text("100亿元")


def test_who_leaves_the_line_frees_the_place(browser: Browser, chatbot: Watched) -> None:
    with (
        served(chatbot, at_once=1, waiting=1) as address,
        visited(browser, address) as first,
    ):
        begin(first, SLOWLY)
        expect(first.locator(".wj-text")).to_be_visible()
        with visited(browser, address) as second:
            begin(second, TOWN)
            expect(second.get_by_text("正在排队")).to_be_visible()
        with visited(browser, address) as third:
            third.wait_for_timeout(2000)
            begin(third, TOWN)
            expect(third.get_by_text("正在排队，前面还有 1 个问题")).to_be_visible()
            third.get_by_role("button", name="停止").click()
            expect(third.get_by_text("已停止。")).to_be_visible()
        first.get_by_role("button", name="停止").click()
        expect(first.get_by_text("已停止。")).to_be_visible()


def test_a_restart_keeps_the_conversation(browser: Browser, chatbot: Watched) -> None:
    with served(chatbot) as address:
        port = int(address.rstrip("/").rsplit(":", 1)[1])
        with visited(browser, address) as page:
            ask(page, TOWN)
            storage = page.context.storage_state()
    with (
        served(chatbot, port=port) as address,
        visited(browser, address, storage_state=storage) as page,
    ):
        expect(last(page)).to_contain_text("100亿元")


def test_enter_in_an_input_method_sends_nothing(page: Page) -> None:
    page.fill("#wj-question textarea", "小镇")
    page.evaluate(
        """() => {
          const box = document.querySelector("#wj-question textarea");
          for (const how of [{ isComposing: true }, { keyCode: 229 }]) {
            box.dispatchEvent(new KeyboardEvent("keydown",
              { key: "Enter", code: "Enter", bubbles: true, cancelable: true, ...how }));
          }
        }"""
    )
    page.wait_for_timeout(1000)
    expect(page.locator("#wj-question textarea")).to_have_value("小镇")
    expect(page.locator("[data-testid=user]")).to_have_count(0)
    page.press("#wj-question textarea", "Enter")
    expect(page.locator("[data-testid=user]")).to_have_count(1)


def test_who_has_to_wait_sees_the_place_and_who_cannot_is_told(
    browser: Browser, chatbot: Watched
) -> None:
    with (
        served(chatbot, at_once=1, waiting=1) as address,
        visited(browser, address) as first,
        visited(browser, address) as second,
        visited(browser, address) as third,
    ):
        begin(first, SLOWLY)
        expect(first.locator(".wj-text")).to_be_visible()
        begin(second, TOWN)
        expect(second.get_by_text("正在排队，前面还有 1 个问题")).to_be_visible()
        begin(third, TOWN)
        expect(third.get_by_text("现在提问的人太多了")).to_be_visible()
        first.get_by_role("button", name="停止").click()
        expect(last(second)).to_contain_text("100亿元")
        action(third, "重试").click()
        expect(last(third)).to_contain_text("100亿元")


# Refusing


def test_a_refusal_offers_the_nearest_passage_and_questions(page: Page) -> None:
    ask(page, MAYOR)
    refused = page.locator(".wj-refused")
    expect(refused).to_contain_text("没有找到答案")
    refused.locator(".wj-nearest a").click()
    expect(page.locator(".wj-mark")).to_be_visible()
    assert page.locator(".wj-mark").inner_text().strip()
    page.keyboard.press("Escape")
    page.locator("#wj-chat button.option").last.click()
    expect(page.locator(".wj-answer")).to_have_count(2)
    expect(last(page).locator(".wj-cite").first).to_be_visible()


def test_thumbs_down_becomes_a_question_to_complete(
    page: Page, user: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ui.cli import run  # noqa: PLC0415 - what the command line loads is its own matter

    feedback_file().unlink(missing_ok=True)
    ask(page, MAYOR)
    action(page, "不好").click()
    page.get_by_role("button", name="应该能答").click()
    expect(page.get_by_text("已记下，谢谢。")).to_be_visible()
    expect(page.locator("#wj-why")).to_be_hidden()
    kept = json.loads(feedback_file().read_text("utf-8"))
    assert Answer.from_dict(kept["answer"]).refused
    out = tmp_path / "set.jsonl"
    assert run(["eval", "--from-feedback", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    (question,) = read_questions(out)
    assert (question.question, question.answerable) == (MAYOR, True)


# Checking the source


def quoted(link: Locator, chatbot: Chatbot) -> str:
    """Return what the document itself holds where a link points."""
    name, span, _ = (link.get_attribute("href") or "").removeprefix("#cite=").split(":")
    start, end = map(int, span.split("-"))
    return chatbot.library.document(unquote(name)).text[start:end]


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("by", ["click", "keyboard"])
def test_a_citation_opens_its_exact_quote(
    context: BrowserContext, address: str, chatbot: Watched, size: tuple[int, int], by: str
) -> None:
    with opened(context, address, size=size) as page:
        ask(page, TOWN)
        link = page.locator(".wj-text .wj-cite")
        if by == "click":
            link.click()
        else:
            link.focus()
            page.keyboard.press("Enter")
        mark = page.locator(".wj-mark")
        expect(mark).to_be_in_viewport()
        assert mark.text_content() == quoted(link, chatbot)
        assert page.url.rstrip("/") == address.rstrip("/")
        expect(page.locator(".wj-panel-title")).to_be_focused()
        expect(page.locator(".wj-where")).to_contain_text("段，约全文")
        page.keyboard.press("Escape")
        expect(page.locator(".wj-panel")).to_be_hidden()
        expect(link).to_be_focused()


def test_all_citations_are_walked_through_by_their_numbers(page: Page, chatbot: Watched) -> None:
    ask(page, "这篇文章讲了什么？")
    links = page.locator(".wj-text .wj-cite")
    assert links.count() >= 2
    links.first.click()
    pills = page.locator(".wj-pill")
    expect(pills).to_have_count(links.count())
    pills.nth(1).click()
    expect(page.locator(".wj-mark")).to_have_text(quoted(links.nth(1), chatbot))
    expect(pills.nth(1)).to_have_attribute("aria-current", "true")


def test_a_citation_stands_with_the_sentence_before_it(page: Page) -> None:
    ask(page, "这篇文章讲了什么？")
    # A full-width 。 takes 1em, of which more than half is blank.
    ahead, behind = page.locator(".wj-text .wj-sentence + .wj-cite").first.evaluate(
        """link => {
            const size = parseFloat(getComputedStyle(link.parentElement).fontSize)
            const style = getComputedStyle(link)
            return [parseFloat(style.marginLeft) / size, parseFloat(style.marginRight) / size]
        }"""
    )
    assert behind >= ahead + 0.5


def test_an_answer_is_copied_with_its_source(page: Page) -> None:
    ask(page, TOWN)
    page.get_by_role("button", name="复制回答与出处").click()
    expect(page.get_by_text("已复制")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("约100亿元[1]")
    assert "江苏港利集团" in copied


def test_a_conversation_is_exported(page: Page) -> None:
    ask(page, TOWN)
    saved: dict[str, str] = {}
    for name in ("Markdown", "JSON"):
        page.locator(".wj-menu summary").click()
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        saved[name] = download.value.path().read_text("utf-8")
    assert f"## {TOWN}" in saved["Markdown"]
    assert "> 加强与沪苏浙教育" in saved["Markdown"]
    (exchange,) = json.loads(saved["JSON"])
    citation = Answer.from_dict(exchange["answer"]).citations[0]
    assert citation.quote.startswith("加强与沪苏浙教育")


# The library


def test_files_are_added_asked_replaced_and_removed(page: Page, tmp_path: Path) -> None:
    texts = {
        "茶园.txt": "云雾茶园位于青山镇。茶园今年采茶共计4321公斤。".encode(),
        "旧编码.txt": "石桥建于清代乾隆年间，全长88米，是当地重要的古建筑。".encode("gb18030"),
        "坏的.txt": b"\x00\x01\x02\xff\xfe\x00\xd8" * 40,
        "空的.txt": b"",
    }
    for name, content in texts.items():
        (tmp_path / name).write_bytes(content)
    chosen = page.locator("#wj-library input[type=file]")
    chosen.set_input_files([tmp_path / name for name in texts])
    report = page.locator("#wj-report")
    expect(report).to_contain_text("已加入：茶园.txt、旧编码.txt")
    expect(report).to_contain_text("坏的.txt")
    expect(report).to_contain_text("空的.txt 是空文件")
    assert "/tmp" not in report.inner_text()
    expect(page.locator(".wj-count")).to_have_text("3")
    ask(page, "茶园今年采茶共计多少公斤？")
    expect(last(page)).to_contain_text("4321公斤")
    ask(page, "石桥全长多少米？")
    expect(last(page)).to_contain_text("88米")

    (tmp_path / "茶园.txt").write_text("云雾茶园位于青山镇。茶园今年采茶共计9876公斤。", "utf-8")
    chosen.set_input_files([tmp_path / "茶园.txt"])
    expect(page.locator("#wj-taken")).to_contain_text("已有 茶园.txt")
    page.get_by_role("button", name="保留旧的").click()
    expect(page.locator("#wj-taken")).to_be_hidden()
    chosen.set_input_files([tmp_path / "茶园.txt"])
    page.get_by_role("button", name="替换").click()
    expect(report).to_contain_text("已替换 1 个文档")
    ask(page, "茶园今年采茶共计多少公斤？")
    expect(last(page)).to_contain_text("9876公斤")
    page.locator(".wj-answer").first.locator(".wj-text .wj-cite").click()
    expect(page.locator(".wj-warning")).to_contain_text("这个文档改过")
    page.keyboard.press("Escape")

    page.get_by_label("查找文档").fill("石桥")
    expect(page.locator(".wj-document")).to_have_count(1)
    page.get_by_label("查找文档").fill("")
    for name in ("茶园.txt", "旧编码.txt"):
        page.get_by_role("button", name=f"移除：{name}").click()
        confirm = page.locator(".wj-confirm")
        expect(confirm).to_contain_text("确定吗")
        confirm.get_by_role("button", name="移除", exact=True).click()
        expect(page.get_by_role("button", name=f"移除：{name}")).to_have_count(0)
    expect(page.locator(".wj-count")).to_have_text("1")
    page.locator(".wj-answer").first.locator(".wj-text .wj-cite").click()
    expect(page.locator(".wj-warning")).to_contain_text("已不在资料库里")


def test_a_question_is_kept_to_the_documents_chosen_and_its_page_is_shown(page: Page) -> None:
    scope = page.locator("#wj-scope")
    expect(scope).to_have_count(0)
    chosen = page.locator("#wj-library input[type=file]")
    chosen.set_input_files(Path(__file__).parent / "files" / "工作报告.pdf")
    expect(page.locator("#wj-report")).to_contain_text("已加入：工作报告.pdf")
    ask(page, TOWN)
    expect(last(page)).to_contain_text("100亿元")
    scope.locator("input").click()
    page.get_by_role("option", name="工作报告.pdf").click()
    page.keyboard.press("Escape")
    ask(page, "总投资多少？")
    expect(last(page)).to_contain_text("3,850万元")
    expect(last(page).locator("figcaption").first).to_contain_text("第 2 页")
    last(page).locator(".wj-text .wj-cite").click()
    expect(page.locator(".wj-where")).to_contain_text("第 2 页")
    assert _violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="移除：工作报告.pdf").click()
    page.locator(".wj-confirm").get_by_role("button", name="移除", exact=True).click()
    expect(scope).to_have_count(0)


def test_examples_follow_the_library(page: Page, tmp_path: Path) -> None:
    (tmp_path / "果园.txt").write_text("青山果园今年收获苹果约500吨。", "utf-8")
    page.locator("#wj-library input[type=file]").set_input_files(tmp_path / "果园.txt")
    example = page.locator("#wj-chat button.example", has_text="苹果")
    expect(example).to_be_visible()
    page.get_by_role("button", name="移除：果园.txt").click()
    page.locator(".wj-confirm").get_by_role("button", name="移除", exact=True).click()
    expect(example).to_have_count(0)


def test_a_dropped_file_is_added(page: Page) -> None:
    page.evaluate(
        """() => {
          const files = new DataTransfer();
          files.items.add(new File(["拖放来的文字。"], "拖放.txt", { type: "text/plain" }));
          document.querySelector("#wj-library").dispatchEvent(
            new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
        }"""
    )
    remove = page.get_by_role("button", name="移除：拖放.txt")
    remove.click()
    page.locator(".wj-confirm").get_by_role("button", name="移除", exact=True).click()
    expect(remove).to_have_count(0)


def test_a_page_that_may_not_change_the_library_says_so(browser: Browser, chatbot: Watched) -> None:
    with (
        served(chatbot, may_change=False) as address,
        visited(browser, address) as page,
    ):
        expect(page.get_by_text("这里只能查阅")).to_be_visible()
        expect(page.locator("#wj-library input[type=file]")).to_have_count(0)
        expect(page.locator(".wj-remove")).to_have_count(0)


# For everyone


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_nothing_stands_in_the_way_of_anyone(
    context: BrowserContext, address: str, size: tuple[int, int], dark: bool
) -> None:
    with opened(context, address, size=size, dark=dark) as page:
        assert page.evaluate("document.body.classList.contains('dark')") is dark
        violations = _violations(page)
        ask(page, MAYOR)
        ask(page, TOWN)
        page.locator(".wj-trace summary").last.click()
        violations += _violations(page)
        page.locator(".wj-text .wj-cite").click()
        expect(page.locator(".wj-mark")).to_be_visible()
        violations += _violations(page)
        page.keyboard.press("Escape")
        action(page, "不好").click()
        expect(page.locator("#wj-why")).to_be_visible()
        if size == PHONE:
            page.get_by_role("button", name="资料库", exact=True).click()
        page.locator(".wj-remove").first.click()
        violations += _violations(page)
    assert violations == []


def _violations(page: Page) -> list[str]:
    page.wait_for_timeout(400)
    found = Axe().run(page).response["violations"]
    return [f"{each['id']}: {node['html'][:300]}" for each in found for node in each["nodes"]]


def test_a_phone_scrolls_no_way_but_down(context: BrowserContext, address: str) -> None:
    with opened(context, address, size=PHONE) as page:
        ask(page, MAYOR)
        ask(page, TOWN)
        page.locator(".wj-trace summary").last.click()
        assert _width(page) == PHONE[0]
        page.locator(".wj-text .wj-cite").click()
        expect(page.locator(".wj-mark")).to_be_visible()
        assert _width(page) == PHONE[0]
        box = page.locator("#wj-source").bounding_box()
        assert box
        assert box["width"] == PHONE[0]
        assert box["y"] > 100
        page.locator("#wj-source .wj-close").click()
        page.get_by_role("button", name="资料库", exact=True).click()
        expect(page.get_by_label("查找文档")).to_be_focused()
        assert _width(page) == PHONE[0]
        page.keyboard.press("Escape")
        expect(page.locator("#wj-library")).to_be_hidden()


def _width(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


# Hostile and huge


@pytest.fixture(scope="module")
def strange(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page whose library holds a hostile document and one of a million characters."""
    hostile = replace(document(f"开头。{HOSTILE}。", f"{HOSTILE}.txt"), title=HOSTILE)
    long = document(f"很长的词：{LONG_WORD}。", "长词.txt")
    huge = document("这一段说的是第某某件事情，写得不长。\n" * 52_700, "一百万字.txt")
    assert len(huge.text) > 1_000_000
    library = letter_library(tmp_path_factory.mktemp("strange"), hostile, long, huge)
    finds = Finds(HOSTILE[:60])
    with library:
        chatbot = Chatbot(library, reader=finds, settings=Settings(threshold=0.0))
        with served(chatbot) as address:
            yield address


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_hostile_text_is_only_ever_shown(
    context: BrowserContext, strange: str, size: tuple[int, int]
) -> None:
    with opened(context, strange, size=size) as page:
        ran: list[str] = []
        page.on("dialog", lambda dialog: ran.append(dialog.message))
        ask(page, HOSTILE)
        ask(page, f"{LONG_WORD[:100]}总负责人是谁？")
        links = page.locator(".wj-answer .wj-cite, .wj-answer .wj-open")
        links.first.click()
        expect(page.locator(".wj-page")).to_be_visible()
        assert "<img" in page.locator(".wj-page").inner_text()
        page.keyboard.press("Escape")
        page.locator(".wj-trace summary").last.click()
        page.locator(".wj-document", has_text="长词").locator(".wj-title").dispatch_event("click")
        expect(page.locator(".wj-page")).to_contain_text(LONG_WORD[:1000])
        expect(page.locator(".wj-where")).to_contain_text("段，约全文")
        assert _width(page) == size[0]
        inside = page.evaluate(
            """() => [...document.querySelectorAll("#wj-chat .prose *, #wj-source .wj-page *, "
              + "#wj-library .wj-documents *")].map((node) => node.tagName.toLowerCase())"""
        )
        assert not {"img", "script", "iframe", "form", "style", "input"} & set(inside)
        addresses = page.evaluate(
            "() => [...document.querySelectorAll('#wj-chat a')].map((a) => a.getAttribute('href'))"
        )
        assert {each.split("=")[0] for each in addresses} <= {"#cite", "#copy", "#ask"}
        enter(page, strange)
        page.wait_for_timeout(500)
        assert ran == []


def test_a_hostile_file_name_is_only_ever_shown(page: Page) -> None:
    page.locator("#wj-library input[type=file]").set_input_files(
        {
            "name": "<img src=x onerror=alert(1)>{{7*7}}.txt",
            "mimeType": "text/plain",
            "buffer": "一段普通的文字。".encode(),
        }
    )
    expect(page.locator(".wj-count")).to_have_text("2")
    expect(page.locator("#wj-report")).to_contain_text("已加入")
    assert page.locator("#wj-library img").count() == 0
    page.locator(".wj-remove").last.click()
    page.locator(".wj-confirm").get_by_role("button", name="移除", exact=True).click()
    expect(page.locator(".wj-count")).to_have_text("1")


def test_a_million_characters_open_in_parts(context: BrowserContext, strange: str) -> None:
    with opened(context, strange) as page:
        title = page.locator(".wj-document", has_text="一百万字").locator(".wj-title")
        title.click()
        expect(page.locator(".wj-page")).to_contain_text("这一段说的是")
        shown = len(page.locator(".wj-page").inner_text())
        assert shown < 50_000
        page.get_by_role("button", name="显示下文").click()
        page.wait_for_function(
            f"document.querySelector('.wj-page').textContent.length >= {shown + 7000}"
        )
