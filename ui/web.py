"""The chat page: a question, its answer, and the source text behind every citation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from index.errors import IndexingError
from rag.answer import MAX_QUESTION_CHARS, Chatbot
from rag.errors import RagError
from rag.follow_up import Turn
from ui.language import error_message, say
from ui.render import answer_markdown, escape

_Message = dict[str, Any]
_Update = tuple[str, list[_Message], list[Turn]]

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


def page_options() -> dict[str, Any]:
    """Return how the page is to be served by `gr.mount_gradio_app`.

    With these neither the server nor the page asks anything of another host.
    """
    return {
        "ssr_mode": False,
        "run_history": False,
        "footer_links": [],
        "css": _STYLE,
        "js": _OPEN_SOURCE,
    }


def build_page(chatbot: Chatbot, *, may_change: bool = True) -> gr.Blocks:
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
