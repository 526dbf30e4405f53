"""The library bar of the page: its documents, adding files to them, and removing them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from index.documents import Document
from index.errors import IndexingError
from index.library import Library
from ui.language import error_message, say
from ui.marking import file_name
from ui.page_panels import panel
from ui.render import escape
from ui.terminal import safe
from ui.uploads import MAX_FILE_MB, MAX_FILES, Upload, read_uploads

_PROGRESS = gr.Progress()

_Update = tuple[Any, ...]


def library_bar(library: Library, *, may_change: bool) -> gr.HTML:
    """Build the bar and return its list, whose `changed` event tells of another library."""
    with gr.Column(elem_id="wj-library"):
        shelf = panel(
            "library",
            value="",
            server_functions=_functions(library, may_change),
            may_change=may_change,
            **_words(),
        )
        if may_change:
            _uploading(library, shelf)
        else:
            gr.Markdown(
                say(
                    "这里只能查阅：资料库由管理员用 wenju add 和 wenju remove 更改。",
                    "Read only: the library is changed with `wenju add` and `wenju remove`.",
                ),
                elem_classes="wj-hint",
            )
    return shelf


def _uploading(library: Library, shelf: gr.HTML) -> None:
    """Build the upload with its report, and the question whether to replace."""
    taken = gr.State(())
    upload = gr.UploadButton(
        say("添加文档", "Add documents"), file_count="multiple", elem_id="wj-upload", size="md"
    )
    gr.Markdown(
        say(
            f"也可以把文件拖到这里。每次最多 {MAX_FILES} 个，每个不超过 {MAX_FILE_MB} MB。",
            f"Or drop files here. At most {MAX_FILES} at a time, {MAX_FILE_MB} MB each.",
        ),
        elem_classes="wj-hint",
    )
    report = gr.Markdown(elem_id="wj-report", min_height=24)
    with gr.Column(visible=False, elem_id="wj-taken") as ask:
        which = gr.Markdown()
        with gr.Row():
            replace = gr.Button(say("替换", "Replace"), variant="primary", size="sm", min_width=60)
            keep = gr.Button(say("保留旧的", "Keep the old"), size="sm", min_width=60)

    def add(
        paths: list[str], pending: tuple[Document, ...], progress: gr.Progress = _PROGRESS
    ) -> _Update:
        try:
            found = read_uploads(paths, library)
        except IndexingError as error:
            found = Upload((), (), 0, (error_message(error),))
        for path in paths:  # they are in the library now, or not wanted
            Path(path).unlink(missing_ok=True)
        added, problems = _add(library, found.new, progress)
        waiting = {document.id: document for document in (*pending, *found.taken)}
        taken_names = "、".join(waiting)
        question = say(
            f"资料库里已有 {taken_names}，内容不同。要替换吗？",
            f"The library has {taken_names} with other content. Replace?",
        )
        return (
            _report(found, added, problems),
            tuple(waiting.values()),
            gr.Column(visible=bool(waiting)),
            escape(question),
            _token(),
        )

    def put(documents: tuple[Document, ...], progress: gr.Progress = _PROGRESS) -> _Update:
        _, problems = _add(library, documents, progress)
        if problems:
            return _warnings(problems), documents, gr.Column(visible=True), gr.skip(), _token()
        done = say(f"已替换 {len(documents)} 个文档。", f"{len(documents)} documents replaced.")
        return escape(done), (), gr.Column(visible=False), "", _token()

    outputs = [report, taken, ask, which, shelf]
    common: dict[str, Any] = {
        "api_visibility": "private",
        "concurrency_id": "library",
        "concurrency_limit": 1,
        "show_progress_on": report,
    }
    upload.upload(add, [upload, taken], outputs, **common)
    replace.click(put, taken, outputs, **common)
    keep.click(lambda: ((), gr.Column(visible=False)), None, [taken, ask], api_visibility="private")


def _add(
    library: Library, documents: tuple[Document, ...], progress: gr.Progress
) -> tuple[list[str], list[str]]:
    """Add documents; return the ids of those that are there now, and what went wrong."""
    errors: list[IndexingError] = []
    there: list[str] = []

    def show(done: int, total: int) -> None:
        progress((done, total), desc=say("正在建立索引", "Indexing"), unit=say("句", "sentences"))

    try:
        if documents:
            library.add(documents, progress=show, on_error=errors.append)
            sources = {known.id: known.source for known in library.documents()}
            there = [each.id for each in documents if sources.get(each.id) == each.source]
    except IndexingError as error:
        errors.append(error)
    return there, [error_message(error) for error in errors]


def _report(found: Upload, added: Sequence[str], problems: Sequence[str]) -> str:
    lines: list[str] = []
    if added:
        names = "、".join(added)
        lines.append("✓ " + escape(say(f"已加入：{names}", f"Added: {names}")))
    if found.unchanged:
        lines.append(
            say(f"{found.unchanged} 个文档没有变化。", f"{found.unchanged} documents unchanged.")
        )
    lines.append(_warnings([*problems, *found.errors]))
    return "\n\n".join(filter(None, lines))


def _warnings(problems: Sequence[str]) -> str:
    return "\n\n".join(f"⚠ {escape(problem)}" for problem in problems)


def _token() -> str:
    """Return a value unlike the last one: the list sees that it has to be read again."""
    return str(time.monotonic_ns())


def _functions(library: Library, may_change: bool) -> list[Callable[..., Any]]:
    def list_documents(_: Any) -> list[dict[str, Any]]:
        documents = [asdict(document) for document in library.documents()]
        return [
            each | {"title": safe(each["title"]), "source": file_name(each["source"])}
            for each in documents
        ]

    def remove_document(document_id: str) -> str:
        """Remove a document and return what went wrong, to be told."""
        try:
            library.remove([str(document_id)])
        except IndexingError as error:
            return error_message(error)
        return ""

    return [list_documents, remove_document] if may_change else [list_documents]


def _words() -> dict[str, str]:
    return {
        "heading": say("资料库", "Library"),
        "search": say("查找文档", "Find a document"),
        "none": say("资料库是空的。", "The library is empty."),
        "no_match": say("没有匹配的文档。", "No document matches."),
        "remove": say("移除", "Remove"),
        "really": say("移除后不能再从它回答。确定吗？", "It will not be answered from. Remove?"),
        "cancel": say("取消", "Cancel"),
        "open": say("查看原文", "Open"),
        "chars": say("字", "characters"),
        "close": say("关闭资料库", "Close the library"),
        "failed": say("没有成功，请再试一次。", "That failed; try again."),
    }
