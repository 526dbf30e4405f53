"""Formats beyond plain text: which there are, and reading them in a process with limits.

Each is read by a library that may be missing, in a process of its own: a hostile or broken file
can take no more than `MAX_SECONDS` and `MAX_MEMORY_BYTES`, and cannot end this one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from index.errors import DocumentError
from index.extracted import Extracted

MAX_SECONDS = 300
MAX_MEMORY_BYTES = 3 << 30
MAX_FILE_BYTES = 300_000_000
MAX_CHARS = 20_000_000
"""Characters that are taken of one file."""

_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name, the `function` that reads it, and the module and package it needs."""

    name: str
    function: str
    module: str
    package: str


_PDF = Format("pdf", "index.pdf:read_pdf", "pypdfium2", "pypdfium2")
_DOCX = Format("docx", "index.office:read_docx", "docx", "python-docx")
_PPTX = Format("pptx", "index.office:read_pptx", "pptx", "python-pptx")
_HTML = Format("html", "index.html:read_html", "lxml", "lxml")
_CSV = Format("csv", "index.tables:read_csv", "csv", "")

FORMATS = {
    ".pdf": _PDF,
    ".docx": _DOCX,
    ".pptx": _PPTX,
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".csv": _CSV,
    ".tsv": _CSV,
}
"""The formats by the suffix of a file's name."""

_ZIP = b"PK\x03\x04"
_MAGIC = {_PDF: b"%PDF-", _DOCX: b"PK", _PPTX: b"PK"}
_OTHERS = (
    (b"%PDF-", "pdf", "pdf"),
    (_ZIP, "docx、pptx 或 zip", "docx, pptx or zip"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OLD = {".doc": "docx", ".docx": "docx", ".wps": "docx", ".xls": "csv", ".et": "csv"}
_MACROS = {
    ".docm": "docx",
    ".dotm": "docx",
    ".pptm": "pptx",
    ".ppsm": "pptx",
    ".potm": "pptx",
    ".xlsm": "csv",
}
_UNREAD = {".xlsx": "csv", ".ods": "csv", ".odt": "docx", ".odp": "pptx"}


def check_content(path: Path) -> None:
    """Refuse a file that is not what its name says.

    Raises:
        DocumentError: it is such, with what to do about it.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    suffix = path.suffix.lower()
    kind = FORMATS.get(suffix)
    if suffix in _MACROS:
        raise DocumentError(
            f"无法读取 {path}：{suffix} 文件可能带有宏。请另存为 {_MACROS[suffix]}。",
            f"{path} cannot be read: {suffix} files may have macros. Save it as {_MACROS[suffix]}.",
        )
    if suffix in _UNREAD and head.startswith(_ZIP):
        raise DocumentError(
            f"无法读取 {path}：不支持 {suffix} 文件。请另存为 {_UNREAD[suffix]}。",
            f"{path} cannot be read: {suffix} files are not supported. Save it as "
            f"{_UNREAD[suffix]}.",
        )
    if head.startswith(_OLE):
        wanted = _OLD.get(suffix, _UNREAD.get(suffix, "pptx"))
        raise DocumentError(
            f"无法读取 {path}：它有密码，或者是旧版 Office 文件。请去掉密码，另存为 {wanted}。",
            f"{path} cannot be read: it is encrypted, or of an old Office. Save it as {wanted} "
            "without a password.",
        )
    if kind and kind in _MAGIC and _MAGIC[kind] not in head:
        raise DocumentError(
            f"无法读取 {path}：它的内容不是 {kind.name}。请检查是否改错了名，或下载不完整。",
            f"{path} cannot be read: its content is no {kind.name}. Check whether it was renamed "
            "or not fetched whole.",
        )
    if kind not in _MAGIC and suffix != ".zip":
        for magic, chinese, english in _OTHERS:
            if head.startswith(magic):
                raise DocumentError(
                    f"无法读取 {path}：它的内容其实是 {chinese}。请把文件名的后缀改对。",
                    f"{path} cannot be read: it really is {english}. Give it the right suffix.",
                )


def extract(path: Path, kind: Format) -> Extracted:
    """Return what a file holds, read in a process of its own.

    Raises:
        DocumentError: it cannot be read, or not within the limits.
        OSError: no process can be started.
    """
    if find_spec(kind.module) is None:
        raise DocumentError(
            f"无法读取 {path}：读 {kind.name} 需要 {kind.package}。"
            "请运行 pip install 'wenju[formats]'。",
            f"{path} cannot be read: {kind.name} needs {kind.package}. "
            "Run `pip install 'wenju[formats]'`.",
        )
    if path.stat().st_size > MAX_FILE_BYTES:
        raise _beyond(path, f"{MAX_FILE_BYTES // 1_000_000} MB")
    # Never the current folder, which an empty entry means too: a docx.py of the user's is no ours.
    own = str(Path(__file__).parent.parent)
    paths = [own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    code = f"from index.formats import _serve; _serve({kind.function!r})"
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", code, str(path)],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _beyond(path, f"{MAX_SECONDS} s") from error
    if done.returncode:
        raise _failed(path, f"exit {done.returncode}")
    told = json.loads(done.stdout)
    if "chinese" in told:
        raise DocumentError.from_dict(told)
    return Extracted(**{**told, "pages": tuple(told["pages"]), "unread": tuple(told["unread"])})


def _beyond(path: Path, limit: str) -> DocumentError:
    return DocumentError(
        f"无法读取 {path}：解析它超出了限度（{limit}），文件可能已损坏。请另存或拆分后再加入。",
        f"{path} cannot be read: reading it takes more than is allowed ({limit}); it may be "
        "damaged. Save it again, or split it.",
    )


def _failed(path: Path, reason: str) -> DocumentError:
    return DocumentError(
        f"无法读取 {path}：解析时出错（{reason}），文件可能已损坏。请重新下载或另存后再加入。",
        f"{path} cannot be read: reading it failed ({reason}); it may be damaged. Fetch or save "
        "it again.",
    )


def _serve(function: str) -> None:
    """Read the file that is named on the command line and print what it holds, as JSON."""
    _limit()
    path = Path(sys.argv[1])
    module, _, name = function.partition(":")
    read: Callable[[Path], Extracted] = getattr(import_module(module), name)
    try:
        found = read(path)
        if len(found.text) > MAX_CHARS:
            raise _beyond(path, f"{MAX_CHARS:,}")
        told: dict[str, Any] = asdict(found)
    except DocumentError as error:
        told = error.to_dict()
    except MemoryError:
        told = _beyond(path, f"{MAX_MEMORY_BYTES >> 30} GB").to_dict()
    except Exception as error:  # noqa: BLE001 - what parsers raise at broken files has no end
        told = _failed(path, type(error).__name__).to_dict()
    sys.stdout.write(json.dumps(told))


def _limit() -> None:
    """Keep this process within the memory that is allowed, where the system can."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin":  # which knows the limit and does not keep it
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
