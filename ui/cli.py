"""The command line: `wenju ask`, `chat`, `add`, `copy`, `eval` and what else there is.

Exit status: 0 answered or done, 1 failed, 2 wrong use, 3 refused to answer.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from itertools import chain
from typing import Annotated, Any, NoReturn

import typer
from typer.exceptions import TyperException

from index.copying import copy_library
from index.documents import READABLE, READABLE_ENGLISH, Document, read_documents
from index.errors import DocumentError, IndexingError
from index.library import AddReport, LibraryInfo, rebuild_library
from index.milvus_address import FORM
from index.vector_kinds import SHRUNK, SIZES
from rag.default_library import default_folder, settings_embedder
from rag.errors import QuestionError, RagError, SettingsError
from rag.settings import Settings
from ui.errors import UiError, UnknownDocument
from ui.evaluation import evaluate_questions
from ui.language import error_message, say
from ui.opening import chatbot_of, check_documents, counted, embedding_bar, library_of
from ui.options import (
    DeviceOption,
    DtypeOption,
    EmbedderOption,
    ExtractFlag,
    JsonFlag,
    LibraryOption,
    LlmModelOption,
    LlmOption,
    StrictFlag,
    answering_settings,
)
from ui.terminal import (
    progress_bar,
    show_answer,
    show_growing,
    stdout,
    table,
    tell,
    tolerate_encodings,
)
from ui.usage import Command, Group, usage_message
from ui.version import version

ANSWERED, FAILED, WRONG_USE, REFUSED = range(4)

_LONGEST_INPUT = 1_000_000
"""Characters read from stdin: more than any question may have, so that it is told."""

_SHOWN_ERRORS = 20

app = typer.Typer(
    name="wenju",
    help=say(
        "问据：向中文文档提问，得到带原文证据的回答。",
        "Wenju: ask Chinese documents and get answers with their evidence.",
    ),
    epilog=say(
        "退出状态：0 已回答，1 出错，2 用法不对，3 拒答。",
        "Exit status: 0 answered, 1 failed, 2 wrong use, 3 refused.",
    ),
    cls=Group,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> NoReturn:
    """Run `wenju` and exit."""
    sys.exit(run(sys.argv[1:]))


def run(args: list[str]) -> int:
    """Run `wenju` with these arguments and return the exit status; errors are one message."""
    tolerate_encodings()
    try:
        status = typer.main.get_command(app).main(args, "wenju", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        tell(usage_message(error))
        return WRONG_USE
    except (QuestionError, SettingsError) as error:
        tell(error_message(error))
        return WRONG_USE
    except (IndexingError, RagError, UiError) as error:
        tell(error_message(error))
        return FAILED
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status or ANSWERED


def _version(wanted: bool) -> None:
    if wanted:
        stdout().print(f"wenju {version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _wenju(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help=say("显示版本", "show the version")
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(cls=Command, help=say("提一个问题", "ask a question"))
def ask(
    question: Annotated[
        str,
        typer.Argument(
            metavar="QUESTION",
            help=say("问题；- 表示从标准输入读取", "the question; - reads it from stdin"),
        ),
    ],
    document: Annotated[
        list[str] | None,
        typer.Option(
            "--document",
            metavar="ID",
            help=say("只在这个文档里找（可重复）", "search this document only (repeatable)"),
        ),
    ] = None,
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    llm_base_url: LlmOption = None,
    llm_model: LlmModelOption = None,
    strict: StrictFlag = None,
    extract: ExtractFlag = False,
    as_json: JsonFlag = False,
) -> int:
    """Answer one question; 3 where the answer is a refusal."""
    settings = answering_settings(
        extract=extract,
        library=library,
        embedder=embedder,
        device=device,
        dtype=dtype,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        strict=strict,
    )
    if question == "-":
        question = sys.stdin.read(_LONGEST_INPUT).rstrip("\r\n")
    with chatbot_of(settings) as chatbot:
        try:
            check_documents(chatbot.library, document)
        except UnknownDocument as error:
            raise typer.BadParameter(str(error), param_hint="--document") from error
        with closing(chatbot.stream(question, documents=document)) as answers:
            answer = show_growing(answers)
    if as_json:
        _print_json(answer.to_dict())
    else:
        show_answer(stdout(), answer)
    return REFUSED if answer.refused else ANSWERED


@app.command(cls=Command, help=say("打开问答网页", "open the chat page"))
def chat(
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help=say("监听的地址", "address to serve"))
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", metavar="PORT", min=1, max=65535, help=say("监听的端口", "port to serve")
        ),
    ] = 7860,
    auth: Annotated[
        str | None,
        typer.Option(
            "--auth",
            metavar="USER:PASSWORD",
            help=say(
                "要求登录；也可以写在 WENJU_AUTH 里，免得密码出现在进程列表中",
                "require a login; WENJU_AUTH keeps it out of the list of processes",
            ),
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-host",
            metavar="NAME",
            help=say(
                "还用哪个名字访问，如反向代理的（可重复）",
                "a further name it is reached by, such as a proxy's (repeatable)",
            ),
        ),
    ] = None,
    browser: Annotated[
        bool,
        typer.Option(
            "--browser/--no-browser",
            help=say("是否打开浏览器", "whether to open a browser"),
        ),
    ] = True,
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    llm_base_url: LlmOption = None,
    llm_model: LlmModelOption = None,
    strict: StrictFlag = None,
    extract: ExtractFlag = False,
) -> int:
    """Serve the chat page and the HTTP API until it is interrupted."""
    with _without_proxies():  # a web server takes seconds to import
        from ui.guard import Login  # noqa: PLC0415
        from ui.server import listening, serve  # noqa: PLC0415

    settings = answering_settings(
        extract=extract,
        library=library,
        embedder=embedder,
        device=device,
        dtype=dtype,
        auth=auth,
        llm_base_url=llm_base_url,
        llm_model=llm_model,
        strict=strict,
    )
    login = None if settings.auth is None else Login(settings.auth)
    with listening(host, port) as sockets, chatbot_of(settings) as chatbot:
        for notice in chatbot.notices:
            tell(notice)
        serve(
            chatbot,
            sockets,
            host=host,
            login=login,
            allowed=allow_host or (),
            open_browser=browser,
        )
    return ANSWERED


@contextmanager
def _without_proxies() -> Iterator[None]:
    """Set no proxy for a moment.

    Gradio makes an HTTP client as it is imported, which fails for some proxies and needs none; a
    language model may need one.
    """
    before = os.environ.get("no_proxy")
    os.environ["no_proxy"] = "*"
    try:
        yield
    finally:
        if before is None:
            del os.environ["no_proxy"]
        else:
            os.environ["no_proxy"] = before


@app.command(cls=Command, help=say("把文件或文件夹加入资料库", "add files or folders"))
def add(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help=say(f"{READABLE}文件，或文件夹", f"{READABLE_ENGLISH} files, or folders"),
        ),
    ],
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonFlag = False,
) -> int:
    """Add what can be added, then tell the rest; 1 where there is some."""
    if not all(path.strip() for path in paths):
        # An empty path would be read as the current folder.
        raise typer.BadParameter(say("路径是空的", "the path is empty"), param_hint="PATH")
    errors: list[DocumentError] = []
    settings = Settings.from_environment(
        library=library, embedder=embedder, device=device, dtype=dtype
    )
    found = chain.from_iterable(read_documents(path, on_error=errors.append) for path in paths)
    try:
        report = _add(found, settings, errors)
    except KeyboardInterrupt:
        tell(
            say(
                "已停止。处理完的文档已经保存；再运行一次，会从这里接着做。",
                "Stopped. The documents done so far are kept; run it again to go on from here.",
            )
        )
        raise
    finally:
        _tell_left_out(errors)
    if as_json:
        _print_json(asdict(report) | {"errors": [error_message(error) for error in errors]})
    else:
        _show_report(report)
    return FAILED if errors else ANSWERED


def _show_report(report: AddReport) -> None:
    stdout().print(
        say(
            f"新增 {report.added} 个文档，更新 {report.updated} 个，"
            f"未变 {report.unchanged} 个；写入 {report.passages} 个段落。",
            f"{report.added} documents added, {report.updated} updated, "
            f"{report.unchanged} unchanged; {report.passages} passages written.",
        )
    )


def _tell_left_out(errors: Sequence[DocumentError]) -> None:
    """Tell what could not be read or added, after all that could."""
    for error in errors[:_SHOWN_ERRORS]:
        tell(error_message(error))
    if unshown := errors[_SHOWN_ERRORS:]:
        tell(
            say(
                f"另有 {len(unshown)} 处没有加入；--json 列出全部。",
                f"{len(unshown)} more were not added; --json lists them all.",
            )
        )


def _add(found: Iterator[Document], settings: Settings, errors: list[DocumentError]) -> AddReport:
    """Add documents as they are read; without a first one, no library is made for them."""
    found = counted(found)
    first = next(found, None)
    if first is None:
        return AddReport(0, 0, 0, 0)
    opened = library_of(settings, create=True, lasting=True)
    with opened, embedding_bar() as progress:
        return opened.add(chain([first], found), progress=progress, on_error=errors.append)


@app.command(cls=Command, help=say("列出资料库里的文档", "list the documents of the library"))
def documents(
    library: LibraryOption = None, embedder: EmbedderOption = None, as_json: JsonFlag = False
) -> int:
    """Print a line for each document."""
    with library_of(Settings.from_environment(library=library, embedder=embedder)) as opened:
        found = opened.documents()
    if as_json:
        _print_json([asdict(document) for document in found])
        return ANSWERED
    columns = (
        say("编号", "id"),
        say("标题", "title"),
        say("加入时间", "added"),
        say("字数", "characters"),
        say("段落", "passages"),
    )
    rows = [(d.id, d.title, d.added, f"{d.chars:,}", f"{d.passages:,}") for d in found]
    stdout().print(table(columns, rows, numbers=2))
    return ANSWERED


@app.command(cls=Command, help=say("从资料库移除文档", "remove documents from the library"))
def remove(
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help=say("文档编号", "ids of documents")),
    ],
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonFlag = False,
) -> int:
    """Remove documents; 1 where one of them is not there."""
    settings = Settings.from_environment(library=library, embedder=embedder)
    with library_of(settings, lasting=True) as opened:
        missing = sorted(set(ids) - {document.id for document in opened.documents()})
        removed = opened.remove(ids)
    if as_json:
        _print_json({"removed": removed, "missing": missing})
    else:
        stdout().print(say(f"移除了 {removed} 个文档。", f"{removed} documents removed."))
    for document_id in missing:
        tell(
            say(
                f"资料库里没有文档 {document_id}；用 wenju documents 可以列出全部文档。",
                f"There is no document {document_id} in the library; "
                "`wenju documents` lists them all.",
            )
        )
    return FAILED if missing else ANSWERED


@app.command(cls=Command, help=say("用存下的原文重建索引", "build the indexes anew"))
def rebuild(
    library: LibraryOption = None,
    embedder: EmbedderOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    as_json: JsonFlag = False,
) -> int:
    """Embed and index all documents again, also those of another embedder or format."""
    settings = Settings.from_environment(
        library=library, embedder=embedder, device=device, dtype=dtype
    )
    location = settings.location or default_folder()
    with embedding_bar() as progress:
        opened = rebuild_library(location, settings_embedder(settings), progress=progress)
    with opened:
        info = opened.info()
    if as_json:
        _print_json(asdict(info))
        return ANSWERED
    stdout().print(
        say(
            f"已重建 {info.documents} 个文档、{info.passages} 个段落的索引。",
            f"Rebuilt the indexes of {info.documents} documents, {info.passages} passages.",
        )
    )
    return ANSWERED


@app.command(cls=Command, help=say("把资料库复制到另一处", "copy a library to another place"))
def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help=say(f"资料库的文件夹，或 {FORM}", f"folder of the library, or {FORM}"),
        ),
    ],
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help=say("复制到哪里，同上；没有就新建", "where to, likewise; made if it is not there"),
        ),
    ],
    as_json: JsonFlag = False,
) -> int:
    """Copy all documents with their vectors; what the target holds besides stays there."""
    places = [Settings.from_environment(library=place).location for place in (source, target)]
    begun, end = (place or default_folder() for place in places)
    try:
        with progress_bar(say("正在复制", "Copying"), say("个文档", "documents")) as progress:
            report = copy_library(begun, end, progress=progress)
    except KeyboardInterrupt:
        tell(
            say(
                "已停止。复制完的文档已经保存；再运行一次，会从这里接着做。",
                "Stopped. The documents copied so far are kept; run it again to go on from here.",
            )
        )
        raise
    if as_json:
        _print_json(asdict(report))
    else:
        _show_report(report)
    return ANSWERED


@app.command(cls=Command, help=say("显示资料库的情况", "show the state of the library"))
def info(
    library: LibraryOption = None, embedder: EmbedderOption = None, as_json: JsonFlag = False
) -> int:
    """Print what the library holds, how and where."""
    with library_of(Settings.from_environment(library=library, embedder=embedder)) as opened:
        found = opened.info()
    if as_json:
        _print_json(asdict(found))
        return ANSWERED
    lines = {
        say("位置", "location"): found.location,
        say("文档", "documents"): f"{found.documents:,}",
        say("段落", "passages"): f"{found.passages:,}",
        say("向量模型", "embedder"): say(
            f"{found.embedder}（{found.dimension} 维）", f"{found.embedder} ({found.dimension}-d)"
        ),
        say("向量索引", "vector index"): vector_index_line(found),
    }
    if found.generation is not None:
        lines[say("改动次数", "generation")] = f"{found.generation:,}"
    if found.bytes_on_disk is not None:
        lines[say("占用磁盘", "on disk")] = f"{found.bytes_on_disk / 1e6:,.1f} MB"
    stdout().print(table(("", ""), list(lines.items())))
    return ANSWERED


def vector_index_line(found: LibraryInfo) -> str:
    """Say which index is used, how big it is, and why that one."""
    if found.vector_index.startswith("Milvus"):
        return found.vector_index + say("（由服务器选择）", " (chosen by the server)")
    flat, graph = SIZES.flat, SIZES.graph
    reasons = {
        "Flat": say(
            f"{flat:,} 段以内，逐一比较", f"up to {flat:,} passages, compares with every one"
        ),
        "HNSW": say(
            f"{flat:,} 段以上，沿近邻图查找；减到 {SHRUNK * flat:,.0f} 段换回",
            f"above {flat:,} passages, walks a graph; given up at {SHRUNK * flat:,.0f}",
        ),
        "IVF": say(
            f"{graph:,} 段以上，压缩分组，查最近的几组；减到 {SHRUNK * graph:,.0f} 段换回",
            f"above {graph:,} passages, looks into the nearest lists of rounded vectors; "
            f"given up at {SHRUNK * graph:,.0f}",
        ),
    }
    why = next(why for name, why in reasons.items() if found.vector_index.startswith(name))
    size = f"{found.vector_bytes / 1e6:,.1f} MB"
    changes = say(
        f"；另有 {found.vector_changes:,} 处改动在内存中",
        f"; {found.vector_changes:,} changes beside it in memory",
    )
    return say(
        f"{found.vector_index}，{size}（{why}）", f"{found.vector_index}, {size} ({why})"
    ) + (changes if found.vector_changes else "")


app.command(
    "eval", cls=Command, help=say("用问题集评测", "measure answers with a set of questions")
)(evaluate_questions)


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))
