"""Encodings: which of those that Chinese text comes in a file is written in."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import rjieba

from index.errors import DocumentError
from index.fold import fold

_CHUNK_BYTES = 1 << 20
_SAMPLE_CHARS = 2000
_ENOUGH_CHARS = 50
_LEAST_PLAUSIBLE = 0.1
"""Below this it is no Chinese.

Measured on 100 characters: right readings of CMRC and DRCD paragraphs have at least 0.27,
Japanese and Korean encodings read as Chinese ones at most 0.04.
"""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHINESE = ("gb18030", "big5hkscs")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_HAN = re.compile(r"[\u3400-\u9fff]")


def encoding_of(path: Path) -> str:
    """Return the codec name that the whole file decodes with.

    A byte-order mark decides, then strict UTF-8, then GB18030 against Big5 by `plausibility`:
    nearly any Big5 text is also valid GB18030, so validity cannot tell them apart.

    Raises:
        DocumentError: the file is not text, or in none of these encodings.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_CHUNK_BYTES)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if b"\0" in head:
        raise DocumentError(
            f"无法读取 {path}：不是文本文件（含有空字节）。请先转换成 UTF-8 的 txt 或 md 文件。",
            f"{path} cannot be read: it is no text file, since it holds NUL bytes. Convert it to "
            "a txt or md file in UTF-8 first.",
        )
    if _sample(path, "utf-8") is not None:
        return "utf-8"
    samples = ((name, _sample(path, name)) for name in _CHINESE)
    readings = [(plausibility(sample), name) for name, sample in samples if sample is not None]
    if not readings:
        raise DocumentError(
            f"无法读取 {path}：不是文本文件，或者不是 UTF-8、GB18030、Big5、UTF-16 编码。"
            "请用文本编辑器另存为 UTF-8。",
            f"{path} cannot be read: it is no text file, or not in UTF-8, GB18030, Big5 or "
            "UTF-16. Save it as UTF-8 with a text editor.",
        )
    best, name = max(readings)
    if best < _LEAST_PLAUSIBLE and len(_HAN.findall(_sample(path, name) or "")) >= _ENOUGH_CHARS:
        raise DocumentError(
            f"无法读取 {path}：看起来不是中文文本，编码无法判断。请用文本编辑器另存为 UTF-8。",
            f"{path} cannot be read: it does not look like Chinese, so that its encoding cannot "
            "be told. Save it as UTF-8 with a text editor.",
        )
    return name


def encoding_of_lines(path: Path) -> str:
    """Return the codec name that most lines of a file decode with.

    That of the whole file where there is one, so that a damaged line does not lose the others.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return encoding_of(path)
    except DocumentError:
        pass
    decoded, others, sample = 0, 0, b""
    with path.open("rb") as lines:
        for line in lines:
            if line.isascii():
                continue
            try:
                line.decode("utf-8")
                decoded += 1
            except UnicodeDecodeError:
                others += 1
                sample = (sample + line)[: 2 * _SAMPLE_CHARS]
    readings = [(plausibility(sample.decode(name, "replace")), name) for name in _CHINESE]
    best, name = max(readings)
    return name if others > decoded and best >= _LEAST_PLAUSIBLE else "utf-8"


def read_text(path: Path) -> str:
    """Return the text of a file, its line endings made `\\n`.

    Raises:
        DocumentError: it is in no encoding that can be told, or damaged.
        OSError: it cannot be read.
    """
    encoding = encoding_of(path)
    try:
        return path.read_text(encoding)
    except UnicodeError as error:
        raise misencoded(path, encoding) from error


def misencoded(path: Path, encoding: str) -> DocumentError:
    """Return the error of a file that is not what its byte-order mark promises."""
    return DocumentError(
        f"无法读取 {path}：内容与它的 {encoding} 文件头不符。请用文本编辑器另存为 UTF-8。",
        f"{path} cannot be read: its content is not the {encoding} that its first bytes "
        "promise. Save it as UTF-8 with a text editor.",
    )


def plausibility(text: str) -> float:
    """Return how much like Chinese a decoded text reads, at most 1.

    The share of its characters beyond ASCII that stand in dictionary words of two or more,
    less the share that no text uses. In a wrong decoding neighbours form no words.
    """
    folded = fold(text).text
    beyond = len(re.findall(r"[^\x00-\x7f]", folded))
    if not beyond:
        return 0.0
    in_words = sum(
        len(word) for word in rjieba.cut(folded, False) if len(word) > 1 and _HAN.match(word)
    )
    unused = sum(unicodedata.category(char) in ("Co", "Cn") for char in folded)
    return (in_words - unused) / beyond


def _sample(path: Path, encoding: str) -> str | None:
    """Return some of the file's text beyond ASCII, or None where it does not decode."""
    kept: list[str] = []
    size = 0
    try:
        for text in _decoded(path, encoding):
            if size < _SAMPLE_CHARS:
                kept += _NOT_ASCII.findall(text)
                size = sum(map(len, kept))
    except UnicodeDecodeError:
        return None
    return " ".join(kept)[:_SAMPLE_CHARS]


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)
