"""The chat page: a question, its answer, and the source text behind every citation."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from index.errors import IndexingError
from rag.answer import MAX_QUESTION_CHARS, Chatbot
from rag.errors import RagError
from rag.follow_up import Turn
from ui.errors import PageError
from ui.language import error_message, say
from ui.render import answer_markdown, escape
from ui.terminal import tell

_Message = dict[str, Any]
_Update = tuple[str, list[_Message], list[Turn]]

_AT_ONCE = 8
"""Questions answered at the same time; more wait in the queue."""

_STYLE = "mark { padding: 0 .15em; border-radius: .2em }"

# A citation is a link to nowhere: it opens its source, which stands in the same message.
_OPEN_SOURCE = """() => document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#cite="]');
  if (!link) return;
  event.preventDefault();
  const sources = link.closest(".message").querySelectorAll("details");
  const source = sources[Number(link.textContent) - 1];
  if (source) { source.open = true; source.scrollIntoView({ block: "nearest" }); }
}, true)"""


def serve(chatbot: Chatbot, *, host: str, port: int, open_browser: bool) -> None:
    """Serve the page until the process is interrupted; nothing is asked of other hosts.

    Raises:
        PageError: the address cannot be listened on.
    """
    page = build_page(chatbot)
    try:
        _, url, _ = page.queue(default_concurrency_limit=_AT_ONCE).launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=True,
            ssr_mode=False,
            run_history=False,
            footer_links=[],
            css=_STYLE,
            js=_OPEN_SOURCE,
        )
    except OSError as error:
        raise PageError(
            say(
                f"网页无法在 {host} 的端口 {port} 上打开，多半是端口已被占用；"
                "请用 --port 换一个，或检查 --host。",
                f"The page cannot be served on port {port} of {host}, most likely because it is "
                "taken: choose another with --port, or check --host.",
            )
        ) from error
    tell(say(f"问据已在 {url} 打开，按 Ctrl+C 结束。", f"Wenju is at {url}; Ctrl+C ends it."))
    if open_browser and _has_screen():
        webbrowser.open(url)
    try:
        threading.Event().wait()
    finally:
        page.close(verbose=False)


def build_page(chatbot: Chatbot) -> gr.Blocks:
    """Return the page; its answers come from `chatbot`."""
    with gr.Blocks(title="问据 wenju", analytics_enabled=False, fill_height=True) as page:
        gr.Markdown(
            say(
                "## 问据\n\n向文档提问：回答附原文，文档没说的就说没说。",
                "## 问据 wenju\n\nAsk the documents: answers come with their source.",
            )
        )
        chat = gr.Chatbot(
            label=say("对话", "Chat"),
            scale=1,
            latex_delimiters=[],
            buttons=["copy"],
            placeholder=say("提一个问题，或点一个例子", "Ask a question, or pick an example"),
            examples=[{"text": example} for example in chatbot.examples()],
        )
        question = gr.Textbox(
            label=say("问题", "Question"),
            show_label=False,
            placeholder=say("想问什么？按回车发送", "What do you want to know? Enter sends"),
            submit_btn=True,
            max_length=MAX_QUESTION_CHARS,
            autofocus=True,
        )
        turns = gr.State([])
        respond = _responder(chatbot)
        state = [question, chat, turns]
        question.submit(respond, state, state, api_name="ask")
        chat.example_select(_picked, None, question, api_visibility="private").then(
            respond, state, state, api_visibility="private"
        )
    return page


def _responder(chatbot: Chatbot) -> Callable[..., Iterator[_Update]]:
    """Return the generator that answers in the page and keeps the turns for follow-ups."""

    def respond(question: str, shown: list[_Message], turns: list[Turn]) -> Iterator[_Update]:
        turns = turns if shown else []
        shown = [*shown, _message("user", escape(question))]
        try:
            for answer in chatbot.stream(question, turns):
                said = [Turn("user", question), Turn("assistant", answer.text)]
                yield "", [*shown, _message("assistant", answer_markdown(answer))], turns + said
        except (IndexingError, RagError) as error:
            yield "", [*shown, _message("assistant", escape(error_message(error)))], turns

    return respond


def _message(role: str, content: str) -> _Message:
    return {"role": role, "content": content}


def _picked(event: gr.SelectData) -> str:
    """Return the text of the example that was clicked."""
    return event.value["text"]


def _has_screen() -> bool:
    """Tell whether a browser can show itself; without one a text browser would take over."""
    return sys.platform != "linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
