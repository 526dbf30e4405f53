"""The chat page: questions and answers, the library, and the source behind every citation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import gradio as gr
from gradio.events import api
from gradio.themes import Base
from pydantic import TypeAdapter, ValidationError
from starlette.concurrency import run_in_threadpool

from index.errors import IndexingError
from rag.answer import MAX_QUESTION_CHARS, Answer, Chatbot
from rag.errors import RagError
from rag.follow_up import Turn
from ui import conversation
from ui.conversation import KEPT_EXCHANGES, Exchange
from ui.desk import Asked, Desk, Waiting
from ui.errors import FeedbackError, TooManyPeople, UnknownDocument
from ui.feedback import REASONS, Reason, save_feedback
from ui.language import error_message, say
from ui.library_bar import library_bar
from ui.marking import without_folders
from ui.opening import check_documents
from ui.page_panels import FOLDER, panel
from ui.render import answer_html, escape, problem_html
from ui.sources import source_around, source_slice
from ui.terminal import safe
from ui.uploads import MAX_FILE_MB

_EXAMPLES = 4
_MOST_TO_CHOOSE = 2_000
"""Documents up to which they are listed to choose from; beyond, --document says which."""

_SUGGESTIONS = 3

_BUSY = "(...values) => { document.body.classList.add('wj-busy'); return values.slice(0, %d); }"
_IDLE = "() => document.body.classList.remove('wj-busy')"
"""Said in the page at once: the server's first word of an answer comes later."""

_PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}

_TURNS = TypeAdapter(list[Turn])

_Stored = list[dict[str, Any]]
_Updates = AsyncIterator[tuple[Any, ...]]


def page_options() -> dict[str, Any]:
    """Return how the page is to be served, for `launch` and `gr.mount_gradio_app` alike.

    With these neither the server nor the page asks anything of another host.
    """
    return {
        "ssr_mode": False,
        "run_history": False,
        "footer_links": [],
        # Gradio turns a whole batch away, in English: up to this, each file is told by itself.
        "max_file_size": f"{5 * MAX_FILE_MB}mb",
        "show_error": False,
        # Gradio's own way of styling puts every rule inside its container, out of reach of body.
        "head": f"<style>{(FOLDER / 'page.css').read_text('utf-8')}</style>",
        "theme": Base(
            primary_hue="orange",
            neutral_hue="stone",
            font=["system-ui", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif"],
            font_mono=["ui-monospace", "monospace"],
        ),
    }


def build_page(desk: Desk, *, may_change: bool = True) -> gr.Blocks:
    """Return the page.

    Args:
        desk: where it asks, and whose chatbot's library is shown.
        may_change: whether readers may add documents and remove them.
    """
    chatbot, asking = desk.chatbot, _Asking(desk)
    with gr.Blocks(
        title=say("问据", "wenju"), analytics_enabled=False, fill_height=True, fill_width=True
    ) as page:
        # The secret is no secret: a random one would make a restart forget the conversation.
        kept = gr.BrowserState([], storage_key="wenju-conversation", secret="wenju")
        header = panel("header", elem_id="wj-header", value=None, **_header_words())
        shelf = library_bar(chatbot.library, may_change=may_change)
        with gr.Column(elem_id="wj-main"):
            chat = _chat()
            _feedback(chat, kept)
            scope = gr.Dropdown(visible=False, **_scope_words())
            question = _question_box()
        panel(
            "source",
            elem_id="wj-source",
            server_functions=_source_functions(chatbot),
            **_source_words(),
        )
        _asking_events(asking, kept, chat, question, scope)
        _conversation_events(kept, chat, question, header)
        page.load(partial(_restored, chatbot), kept, chat, concurrency_limit=None, **_PRIVATE)
        page.unload(asking.stop)
        shelf.changed(lambda: gr.Chatbot(examples=_examples(chatbot)), None, chat, **_PRIVATE)
        for event in (page.load, shelf.changed):
            event(partial(_scope, chatbot), scope, scope, concurrency_limit=None, **_PRIVATE)
        api(asking.ask, api_name="ask", concurrency_limit=None)
    return page


class _Asking:
    """Asks the chatbot for the page and for programs, each in its turn."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._asked: dict[str | None, Asked] = {}

    async def ask(
        self,
        question: str,
        history: list[dict[str, str]] | None = None,
        documents: list[str] | None = None,
    ) -> dict[str, Any]:
        """Answer one question; `history` is the turns before it, as {"role", "content"}.

        `documents` are the ids of the only ones to answer from.
        """
        try:
            turns = _TURNS.validate_python(history or [])
            await run_in_threadpool(check_documents, self._desk.chatbot.library, documents)
            async with aclosing(self._desk.ask(str(question), turns, documents=documents)) as asked:
                *_, answer = [step async for step in asked if isinstance(step, Answer)]
                return without_folders(answer).to_dict()
        except (IndexingError, RagError, TooManyPeople, UnknownDocument) as error:
            raise gr.Error(error_message(error), print_exception=False) from error
        except ValidationError as error:
            message = say("history 的每一项要有 role 和 content。", "Turns need role and content.")
            raise gr.Error(message, print_exception=False) from error

    async def respond(
        self,
        question: str,
        before: Sequence[Exchange],
        documents: Sequence[str],
        visitor: str | None,
    ) -> AsyncIterator[Exchange]:
        """Yield the exchange as it goes on: waiting, answered in part, answered or stopped.

        It is answered from `documents` alone where there are any.
        """
        exchange = Exchange.begin(question)
        yield exchange
        asked: Asked | None = None
        try:
            turns = conversation.turns(before)
            taken = self._desk.ask(question, turns, documents=documents or None)
            async with aclosing(taken) as asked:
                self._asked[visitor] = asked
                async for step in asked:
                    if isinstance(step, Waiting):
                        told = _waiting(step.ahead) if step.ahead else ""
                        yield replace(exchange, problem=told)
                    else:
                        exchange = exchange.answered(step)
                        yield exchange
                if asked.stopped:
                    yield replace(exchange, stopped=True)
                    return
        except (IndexingError, RagError, TooManyPeople) as error:
            yield replace(exchange, problem=error_message(error))
            return
        finally:
            if asked and self._asked.get(visitor) is asked:
                del self._asked[visitor]
        if exchange.answer and exchange.answer.refused:
            asked_before = {question, *(each.question for each in before)}
            examples = await asyncio.to_thread(self._desk.chatbot.examples, 8)
            others = [each for each in examples if each not in asked_before]
            yield replace(exchange, suggestions=tuple(others[:_SUGGESTIONS]))

    async def stop(self, request: gr.Request) -> None:
        """Stop what a visitor has asked."""
        if asked := self._asked.get(request.session_hash):
            asked.stop()


def _asking_events(
    asking: _Asking,
    kept: gr.BrowserState,
    chat: gr.Chatbot,
    question: gr.Textbox,
    scope: gr.Dropdown,
) -> None:
    """Let every way of asking run one generator, which Stop tells to end.

    Gradio's own way of cancelling an event comes too late: what the generator says meanwhile
    would be shown over what Stop says.
    """

    async def respond(
        text: str,
        before: list[Exchange],
        within: list[str],
        request: gr.Request,
        *,
        typed: bool = False,
    ) -> _Updates:
        if not text.strip():
            yield gr.skip(), gr.skip(), gr.skip()
            return
        box = _generating(typed)
        before = before[1 - KEPT_EXCHANGES :]
        stored, messages = conversation.store(before), _messages(before)
        async for exchange in asking.respond(text, before, within, request.session_hash):
            latest = [exchange]
            yield [*stored, *conversation.store(latest)], [*messages, *_messages(latest)], box
            # From now on the box may hold what the reader is about to ask next.
            box = gr.skip()
        yield gr.skip(), gr.skip(), _ready()

    async def submitted(
        text: str, stored: _Stored, within: list[str], request: gr.Request
    ) -> _Updates:
        async for update in respond(text, conversation.load(stored), within, request, typed=True):
            yield update

    async def chosen(
        event: gr.SelectData, stored: _Stored, within: list[str], request: gr.Request
    ) -> _Updates:
        # An example is a message of Gradio's, a suggestion is its text.
        picked = event.value["text"] if isinstance(event.value, dict) else event.value
        async for update in respond(str(picked), conversation.load(stored), within, request):
            yield update

    async def retried(
        event: gr.RetryData, stored: _Stored, within: list[str], request: gr.Request
    ) -> _Updates:
        exchanges, at = conversation.load(stored), _exchange_of(event.index)
        async for update in respond(exchanges[at].question, exchanges[:at], within, request):
            yield update

    async def edited(
        event: gr.EditData, stored: _Stored, within: list[str], request: gr.Request
    ) -> _Updates:
        exchanges, at = conversation.load(stored), _exchange_of(event.index)
        async for update in respond(str(event.value), exchanges[:at], within, request):
            yield update

    def failed(stored: _Stored) -> tuple[Any, ...]:
        exchanges = conversation.load(stored)
        return conversation.store(exchanges), _messages(exchanges), _ready()

    outputs = [kept, chat, question]
    common: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "once", **_PRIVATE}
    for event in (
        question.submit(submitted, [question, kept, scope], outputs, js=_BUSY % 3, **common),
        chat.example_select(chosen, [kept, scope], outputs, js=_BUSY % 2, **common),
        chat.option_select(chosen, [kept, scope], outputs, js=_BUSY % 2, **common),
        chat.retry(retried, [kept, scope], outputs, js=_BUSY % 2, **common),
        chat.edit(edited, [kept, scope], outputs, js=_BUSY % 2, **common),
    ):
        event.failure(failed, kept, outputs, **_PRIVATE).then(None, js=_IDLE)
        event.success(None, js=_IDLE)
    question.stop(asking.stop, None, None, queue=False, **_PRIVATE)


def _conversation_events(
    kept: gr.BrowserState, chat: gr.Chatbot, question: gr.Textbox, header: gr.HTML
) -> None:
    """Let the conversation be undone, begun anew and exported."""

    def undone(event: gr.UndoData, stored: _Stored) -> tuple[Any, ...]:
        exchanges, at = conversation.load(stored), _exchange_of(event.index)
        left = exchanges[:at]
        return conversation.store(left), _messages(left), exchanges[at].question

    def exported(write: Callable[[Sequence[Exchange]], str], suffix: str, stored: _Stored) -> Any:
        now = datetime.now()
        name = f"wenju-{now:%Y%m%d-%H%M%S}.{suffix}"
        return {"name": name, "text": write(conversation.load(stored)), "at": time.monotonic_ns()}

    chat.undo(undone, kept, [kept, chat, question], **_PRIVATE)
    # "multiple": a nudge that is lost itself must not stop the next one.
    header.nudge(lambda: None, concurrency_limit=None, trigger_mode="multiple", **_PRIVATE)
    header.new_chat(lambda: ([], []), None, [kept, chat], **_PRIVATE)
    header.export_markdown(
        partial(exported, conversation.to_markdown, "md"), kept, header, **_PRIVATE
    )
    header.export_json(partial(exported, conversation.to_json, "json"), kept, header, **_PRIVATE)


def _feedback(chat: gr.Chatbot, kept: gr.BrowserState) -> None:
    """Build the row that asks why an answer was bad, and what keeps it."""
    disliked = gr.State(0)
    with gr.Row(visible=False, elem_id="wj-why") as row:
        gr.Markdown(say("哪里不对？", "What is wrong?"))
        buttons = [gr.Button(_reason_in_words(reason), size="sm") for reason in REASONS]
        cancel = gr.Button(say("取消", "Cancel"), size="sm")

    def ask_why(event: gr.LikeData) -> tuple[Any, ...]:
        return _exchange_of(event.index), gr.Row(visible=True)

    def save(reason: Reason, at: int, stored: _Stored) -> gr.Row:
        exchanges = conversation.load(stored)
        answer = exchanges[at].answer if at < len(exchanges) else None
        try:
            if answer:
                save_feedback(answer, conversation.turns(exchanges[:at]), reason)
                gr.Info(say("已记下，谢谢。", "Noted, thank you."), title=say("意见", "Feedback"))
        except FeedbackError as error:
            gr.Warning(escape(error_message(error)), title=say("意见", "Feedback"))
        return gr.Row(visible=False)

    chat.like(ask_why, None, [disliked, row], **_PRIVATE)
    for reason, button in zip(REASONS, buttons, strict=True):
        button.click(partial(save, reason), [disliked, kept], row, **_PRIVATE)
    cancel.click(lambda: gr.Row(visible=False), None, row, **_PRIVATE)


def _chat() -> gr.Chatbot:
    return gr.Chatbot(
        label=say("对话", "Conversation"),
        show_label=False,
        elem_id="wj-chat",
        scale=1,
        height="100%",
        latex_delimiters=[],
        allow_tags=False,
        buttons=[],
        editable="user",
        feedback_options=["Dislike"],
        layout="bubble",
        placeholder=_welcome(),
    )


def _question_box() -> gr.Textbox:
    return gr.Textbox(
        label=say("问题", "Question"),
        show_label=False,
        elem_id="wj-question",
        placeholder=say("向文档提问，按回车发送", "Ask the documents; Enter sends"),
        submit_btn=say("发送", "Send"),
        stop_btn=False,
        max_lines=6,
        max_length=MAX_QUESTION_CHARS,
        autofocus=True,
        interactive=True,
    )


def _generating(typed: bool) -> gr.Textbox:
    """Return the question box while an answer comes, empty if the question was typed there."""
    box: dict[str, Any] = {"value": ""} if typed else {}
    return gr.Textbox(submit_btn=False, stop_btn=say("停止", "Stop"), **box)


def _ready() -> gr.Textbox:
    return gr.Textbox(submit_btn=say("发送", "Send"), stop_btn=False)


def _restored(chatbot: Chatbot, stored: _Stored) -> gr.Chatbot:
    """Return the chat as the browser kept it."""
    messages = _messages(conversation.load(stored))
    return gr.Chatbot(value=messages, examples=_examples(chatbot))  # type: ignore


def _messages(exchanges: Sequence[Exchange]) -> list[dict[str, Any]]:
    """Return two messages for each exchange, but for one that is just begun."""
    messages: list[dict[str, Any]] = []
    for exchange in exchanges:
        messages.append({"role": "user", "content": escape(exchange.question)})
        if reply := _reply(exchange):
            options = [{"value": each, "label": each} for each in exchange.suggestions]
            messages.append({"role": "assistant", "content": reply, "options": options})
    return messages


def _reply(exchange: Exchange) -> str:
    parts: list[str] = []
    if exchange.answer:
        parts.append(answer_html(exchange.answer))
    if exchange.problem:
        parts.append(problem_html(exchange.problem))
    if exchange.stopped:
        parts.append(problem_html(say("已停止。", "Stopped.")))
    return "".join(parts)


def _exchange_of(message: Any) -> int:
    """Return which exchange a message of the chat belongs to."""
    return int(message) // 2


def _scope(chatbot: Chatbot, chosen: list[str] | None) -> gr.Dropdown:
    """Return the choice of documents to answer from, where there is one to make."""
    known = {document.id: document.title for document in chatbot.library.documents()}
    if not 1 < len(known) <= _MOST_TO_CHOOSE:
        return gr.Dropdown(choices=[], value=[], visible=False)
    return gr.Dropdown(
        choices=[(f"{safe(title)} ({safe(name)})", name) for name, title in known.items()],
        value=[name for name in chosen or [] if name in known],
        visible=True,
    )


def _scope_words() -> dict[str, Any]:
    return {
        "label": say("只问这些文档（不选则问全部）", "Ask these documents only (none chosen: all)"),
        "choices": [],
        "value": [],
        "multiselect": True,
        "elem_id": "wj-scope",
    }


def _examples(chatbot: Chatbot) -> list[Any]:
    return [{"text": example} for example in chatbot.examples(_EXAMPLES)]


def _source_functions(chatbot: Chatbot) -> list[Callable[..., Any]]:
    def get_source(asked: dict[str, Any]) -> dict[str, Any]:
        return source_around(chatbot.library, asked)

    def get_more(asked: dict[str, Any]) -> dict[str, Any]:
        return source_slice(chatbot.library, asked)

    return [get_source, get_more]


def _waiting(ahead: int) -> str:
    return say(f"正在排队，前面还有 {ahead} 个问题…", f"Waiting: {ahead} questions come first…")


def _reason_in_words(reason: Reason) -> str:
    return {
        "wrong": say("答错了", "It is wrong"),
        "wrong source": say("出处不对", "Wrong source"),
        "should have refused": say("应该拒答", "It should have refused"),
        "should have answered": say("应该能答", "It should have answered"),
    }[reason]


def _welcome() -> str:
    heading = say("有问，必有据", "Answers with their evidence")
    line = say(
        "回答都来自资料库里的文档，点一下编号就能核对原文；文档没说的，就说没说。",
        "Answers come from your documents, each linked to its source; "
        "what they do not say is refused.",
    )
    return f'<div class="wj-welcome"><h2>{heading}</h2><p>{line}</p></div>'


def _header_words() -> dict[str, str]:
    return {
        "lang": say("zh-CN", "en"),
        "brand": say("问据", "wenju"),
        "home": say("去提问", "Go to the question"),
        "tagline": say("问文档，有依据", "Ask the documents"),
        "library": say("资料库", "Library"),
        "new_chat": say("新对话", "New chat"),
        "export_as": say("导出", "Export"),
        "theme": say("切换深浅色", "Light or dark"),
        "copied": say("已复制", "Copied"),
        "drop": say("松开即可添加文档", "Drop to add documents"),
        "retry": say("重试", "Retry"),
        "undo": say("撤回", "Undo"),
        "edit": say("修改问题", "Edit the question"),
        "dislike": say("不好", "Not good"),
        "submit": say("发送", "Send"),
        "cancel": say("取消", "Cancel"),
        "conversation": say("对话", "Conversation"),
        "asked": say("提问", "Question"),
        "answered": say("回答", "Answer"),
    }


def _source_words() -> dict[str, str]:
    return {
        "heading": say("原文", "Source"),
        "close": say("关闭原文", "Close the source"),
        "all": say("全部引文", "All citations"),
        "citation": say("引文", "Citation"),
        "earlier": say("显示上文", "Show what comes before"),
        "later": say("显示下文", "Show what follows"),
        "loading": say("正在打开原文…", "Opening the source…"),
        "failed": say("打不开原文，请再试一次。", "The source cannot be opened; try again."),
    }
