"""Documents: files and records read into plain text with stable ids."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from errno import EACCES
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from index.archives import open_archive
from index.datelines import iso_date, published, title_of
from index.encodings import encoding_of_lines, misencoded, read_text
from index.errors import DocumentError, PagesUnread
from index.formats import FORMATS, Format, check_content, extract
from index.ignored import Ignored
from index.records import Record

UNUSABLE = re.compile(r"[\x00\ud800-\udfff]")
"""What no text may hold: it cannot be stored or encoded."""

_MARKDOWN = frozenset({".md", ".markdown"})
_RECORDS = frozenset({".jsonl", ".ndjson"})
_TEXTS = frozenset({".txt", ".text"}) | _MARKDOWN
_PAGES_NAMED = 10
_ARCHIVES = frozenset({".zip"})
_READABLE = _TEXTS | _RECORDS | _ARCHIVES | FORMATS.keys()

READABLE = "txt、md、jsonl、pdf、docx、pptx、html、csv 和 zip"
READABLE_ENGLISH = "txt, md, jsonl, pdf, docx, pptx, html, csv and zip"


@dataclass(frozen=True, slots=True)
class Document(Record):
    """One text to be asked about.

    `text` has its line endings made `\\n` and nothing else changed, so that code-point
    offsets into it hold for ever. `id` is stable between runs. `source` is where it came
    from (an absolute path, or path#record). `meta` holds JSON values only; `meta["published"]`
    is an ISO date ("2019-10-29") where the text states one; `meta["pages"]` lists the offset at
    which each page begins, where there are pages.

    Raises:
        DocumentError: the id or the text is blank, or holds NUL or a lone surrogate.
    """

    id: str
    title: str
    text: str
    source: str
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id.strip():
            raise DocumentError(
                f"{self.source} 的文档没有编号（id）。请给它一个编号。",
                f"The document of {self.source} has no id. Give it one.",
            )
        for value in (self.id, self.title, self.text):
            if found := UNUSABLE.search(value):
                raise DocumentError(
                    f"无法使用 {self.source}：含有非法字符 U+{ord(found.group()):04X}。"
                    "请删去它，或确认文件的编码。",
                    f"{self.source} cannot be used: it holds the invalid character "
                    f"U+{ord(found.group()):04X}. Delete it, or check the file's encoding.",
                )
        if not self.text.strip():
            raise _textless(self.source)


def read_documents(
    path: Path | str, *, on_error: Callable[[DocumentError], None] | None = None
) -> Iterator[Document]:
    """Yield the documents of a file, or of every readable file below a folder.

    Text (.txt, .md) and what has pages or tables (see `index.formats`) is one document a file,
    .jsonl one a line: `{"text": …, "id": …, "title": …}`, where all but the text may be missing
    and other keys become `meta`. The files of a .zip are read like those of a folder. Folders
    are walked in the order of their names, without hidden files and those that a .gitignore or
    .wenjuignore names. A file given by itself may have any suffix as long as it is text. What
    cannot be read goes to `on_error` and the rest is read on.

    Raises:
        DocumentError: something cannot be read, more than some pages of a file (`PagesUnread`),
            and there is no `on_error`.
    """
    sources: dict[str, str] = {}
    for item in _read(path):
        error = (
            item
            if isinstance(item, DocumentError)
            else _invisible(item) or _collision(item, sources)
        )
        if error is None and isinstance(item, Document):
            sources[item.id] = item.source
            yield item
        elif error and on_error:
            on_error(error)
        elif error and not isinstance(error, PagesUnread):
            raise error


def _textless(source: str) -> DocumentError:
    return DocumentError(
        f"{source} 没有文字内容。请检查它是否为空。",
        f"{source} has no text. Check whether it is empty.",
    )


def _invisible(document: Document) -> DocumentError | None:
    """Return the error of a text that holds no more than blanks and, say, zero-width spaces."""
    if any(char.isprintable() and not char.isspace() for char in document.text):
        return None
    return _textless(document.source)


def _collision(document: Document, sources: Mapping[str, str]) -> DocumentError | None:
    earlier = sources.get(document.id)
    if earlier is None:
        return None
    return DocumentError(
        f"编号 {document.id} 重复：{earlier} 和 {document.source} 都用了它。请改掉其中一个。",
        f"The id {document.id} occurs twice, in {earlier} and {document.source}. "
        "Change one of them.",
    )


def _read(path: Path | str) -> Iterator[Document | DocumentError]:
    if not str(path).strip():
        yield DocumentError(
            "路径为空。请给出一个文件或文件夹。", "The path is empty. Name a file or a folder."
        )
        return
    root = _absolute(Path(path).expanduser())
    try:
        if root.is_dir():
            yield from _read_folder(root)
        elif root.is_file():
            yield from _read_file(root, root.name)
        elif root.exists():
            yield DocumentError(
                f"无法读取 {root}：不是普通文件。请给出一个文件或文件夹。",
                f"{root} cannot be read: it is no regular file. Name a file or a folder.",
            )
        else:
            yield DocumentError(
                f"找不到 {root}。请检查路径是否写对。", f"There is no {root}. Check the path."
            )
    except OSError as error:
        yield _unreadable(root, error)


def _absolute(path: Path) -> Path:
    """Return a path by the one name that it has from anywhere; symbolic links stay in it."""
    plain = os.path.abspath(path)
    if ".." not in path.parts or os.path.realpath(plain) == (real := os.path.realpath(path)):
        return Path(plain)
    return Path(real)  # after a link, `..` is the parent of what it leads to


def _read_folder(root: Path) -> Iterator[Document | DocumentError]:
    broken: list[OSError] = []
    empty = True
    ignored = Ignored(root)
    for folder, subfolders, names in os.walk(root, onerror=broken.append):
        if not os.access(folder, os.X_OK):  # its names may be listed, nothing in it opened
            broken.append(PermissionError(EACCES, os.strerror(EACCES), folder))
            subfolders.clear()
            continue
        for error in ignored.enter(Path(folder)):
            yield _unreadable(Path(error.filename or folder), error)
        paths = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        subfolders[:] = sorted(
            name
            for name in subfolders
            if not name.startswith(".") and not ignored.folder(Path(folder, name))
        )
        for path in paths:
            empty = False
            if not ignored.file(path):
                yield from _read_listed(path, path.relative_to(root.parent).as_posix())
    for error in broken:
        yield _unreadable(Path(error.filename or root), error)
    if empty and not broken:
        yield DocumentError(
            f"文件夹 {root} 里没有文件。请放入 {READABLE} 文件。",
            f"There are no files in the folder {root}. Put {READABLE_ENGLISH} files there.",
        )


def _read_listed(path: Path, document_id: str) -> Iterator[Document | DocumentError]:
    if not path.is_file():  # such as a pipe, which must not be waited for
        yield DocumentError(
            f"跳过 {path}：不是普通文件。请先把内容存成文件。",
            f"{path} is passed over: it is no regular file. Save what it holds as one.",
        )
        return
    if path.suffix.lower() in _READABLE:
        yield from _read_file(path, document_id)
        return
    try:
        check_content(path)  # some of what cannot be read is told better
    except DocumentError as error:
        yield error
    except OSError as error:
        yield _unreadable(path, error)
    else:
        yield DocumentError(
            f"跳过 {path}：不支持这种文件。目前可以读取 {READABLE}。",
            f"{path} is passed over: such files are not supported. Those that can be read are "
            f"{READABLE_ENGLISH}.",
        )


def _read_file(path: Path, document_id: str) -> Iterator[Document | DocumentError]:
    suffix = path.suffix.lower()
    try:
        if not path.stat().st_size:
            raise DocumentError(
                f"{path} 是空文件。请检查它是否保存完整。",
                f"{path} is an empty file. Check whether it was saved whole.",
            )
        check_content(path)
        if suffix in _ARCHIVES:
            yield from _read_archive(path, document_id)
        elif suffix in _RECORDS:
            yield from _read_records(path, document_id)
        elif kind := FORMATS.get(suffix):
            yield from _read_format(path, document_id, kind)
        else:
            yield _read_text(path, document_id)
    except DocumentError as error:
        yield error
    except OSError as error:
        yield _unreadable(path, error)


def _read_archive(path: Path, document_id: str) -> Iterator[Document | DocumentError]:
    """Yield the documents of an archive; archives in it are passed over."""
    with open_archive(path) as archive:
        names = archive.names()
        for name in names:
            if Path(name).suffix.lower() in _ARCHIVES:
                yield DocumentError(
                    f"跳过 {path} 里的 {name}：不读压缩包里的压缩包。请先解压。",
                    f"{name} in {path} is passed over: it is an archive itself. Unpack it first.",
                )
                continue
            try:
                with archive.unpacked(name) as copy:
                    for item in _read_listed(copy, f"{document_id}/{name}"):
                        yield _relocated(item, copy, path, name)
            except DocumentError as error:
                yield error
            except OSError as error:
                yield _unreadable(Path(f"{path}#{name}"), error)
    if not names:
        yield DocumentError(
            f"{path} 里没有文件。请检查它是否为空。",
            f"There are no files in {path}. Check whether it is empty.",
        )


def _relocated(
    item: Document | DocumentError, copy: Path, archive: Path, name: str
) -> Document | DocumentError:
    """Return what was read of a copy, or why it was not, as being of the file in its archive."""
    place = f"{archive}#{name}"
    if isinstance(item, Document):
        title = PurePosixPath(name).stem if item.title == copy.stem else item.title
        return replace(item, title=title, source=item.source.replace(str(copy), place))
    return item.replaced(str(copy), place)


def _read_format(path: Path, document_id: str, kind: Format) -> Iterator[Document | DocumentError]:
    found = extract(path, kind)
    stated = iso_date(found.published) or published(found.text)
    pages = {"pages": list(found.pages)} if found.pages else {}
    yield Document(
        id=document_id,
        title=title_of(found.text, markdown=True, stated=found.title) or path.stem,
        text=found.text,
        source=str(path),
        meta={"published": stated, **pages} if stated else pages,
    )
    if found.unread:
        few = [str(page) for page in found.unread[:_PAGES_NAMED]]
        more = "等" if len(found.unread) > _PAGES_NAMED else ""
        yield PagesUnread(
            f"{path} 的第 {'、'.join(few)} 页{more}（共 {len(found.unread)} 页）没有能读的文字，"
            "多半是扫描的图片；其余各页已经收入。请先用文字识别（OCR）软件转换。",
            f"{len(found.unread)} page(s) of {path} hold no text that can be read, most likely "
            f"scanned pictures: {', '.join(few)}{' …' if more else ''}. The others were "
            "taken. Convert it with an OCR program first.",
        )


def _unreadable(path: Path, error: OSError) -> DocumentError:
    reason = error.strerror or str(error)
    forbidden = isinstance(error, PermissionError)
    translated = DocumentError(
        f"无法读取 {path}：{'没有读取权限' if forbidden else reason}。请检查这个文件或文件夹。",
        f"{path} cannot be read: {reason}. Check this file or folder.",
    )
    translated.__cause__ = error
    return translated


def _read_text(path: Path, document_id: str) -> Document:
    text = read_text(path)
    stated = published(text)
    return Document(
        id=document_id,
        title=title_of(text, markdown=path.suffix.lower() in _MARKDOWN) or path.stem,
        text=text,
        source=str(path),
        meta={"published": stated} if stated else {},
    )


def _read_records(path: Path, document_id: str) -> Iterator[Document | DocumentError]:
    encoding = encoding_of_lines(path)
    empty = True
    # A damaged line is found by its surrogates; a lost byte of UTF-16 damages all lines after it.
    errors = "strict" if encoding == "utf-16" else "surrogateescape"
    with path.open(encoding=encoding, errors=errors) as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                empty = False
                try:
                    yield _record(line, f"{path}#{number}", f"{document_id}#{number}")
                except DocumentError as error:
                    yield DocumentError(
                        f"{path} 第 {number} 行：{error}", f"{path}, line {number}: {error.english}"
                    )
        except UnicodeDecodeError as error:
            raise misencoded(path, encoding) from error
    if empty:
        yield DocumentError(
            f"{path} 里没有记录。请检查它是否为空。",
            f"There are no records in {path}. Check whether it is empty.",
        )


def _record(line: str, source: str, fallback_id: str) -> Document:
    fields = _fields(line)
    text = fields.pop("text", None)
    if not isinstance(text, str):
        raise DocumentError(
            '没有文字字段 "text"。每行应为 {"text": "…"}。',
            'There is no text in the field "text". Each line should be {"text": "…"}.',
        )
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    own_id = fields.pop("id", None)
    title = fields.pop("title", None)
    stated = iso_date(str(fields.pop("published", ""))) or published(text)
    return Document(
        id=fallback_id if own_id in (None, "") else str(own_id),
        title=str(title).strip() if title else title_of(text),
        text=text,
        source=source,
        meta={**fields, "published": stated} if stated else fields,
    )


def _fields(line: str) -> dict[str, Any]:
    """Parse one JSON object whose strings can all be stored.

    Raises:
        DocumentError: it is no JSON object, or holds bytes or numbers that are none.
    """
    if UNUSABLE.search(line):
        raise DocumentError(
            "含有不属于文件编码的字节。请把这一行另存为 UTF-8。",
            "It holds bytes that are not in the file's encoding. Save this line as UTF-8.",
        )
    try:
        fields = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError(
            f"不是有效的 JSON（{error}）。请改正这一行。",
            f"It is no valid JSON ({error}). Correct this line.",
        ) from error
    if not isinstance(fields, dict):
        raise DocumentError(
            '不是 JSON 对象。每行应为 {"text": "…"}。',
            'It is no JSON object. Each line should be {"text": "…"}.',
        )
    if UNUSABLE.search(json.dumps(fields, ensure_ascii=False)):
        raise DocumentError(
            "含有单独的代理字符（如 \\ud800）。请删去它。",
            "It holds a lone surrogate (such as \\ud800). Delete it.",
        )
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise DocumentError(
        f"{name} 不是 JSON 的数。请改正这一行。", f"{name} is no number of JSON. Correct this line."
    )
