"""Archives: the files of a .zip, each unpacked by itself for as long as it is read."""

from __future__ import annotations

import lzma
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from index.encodings import plausibility
from index.errors import DocumentError

MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 1_000_000_000
MAX_RATIO = 200
"""How many times its packed size a large member may have; text packs to a tenth or so."""

DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    ValueError,
)
"""What is raised where a .zip, or a file in it, is damaged."""

_ALWAYS_FINE_BYTES = 10_000_000
_UTF8_NAMES = 0x800
_ENCRYPTED = 0x1
_COPIED_BYTES = 1 << 20
_LONGEST_STEM, _LONGEST_SUFFIX = 40, 20
"""Characters of a copy's name; systems allow some 255 bytes."""

_NO_NAME = re.compile(r'[<>:"|?*]')
_DRIVE = re.compile(r"[A-Za-z]:")
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")


class Archive:
    """An open archive that was found safe to unpack."""

    def __init__(self, path: Path, opened: zipfile.ZipFile) -> None:
        """Take over an open archive; `open_archive` is the way in."""
        self._path = path
        self._opened = opened
        self._members = {_name(member): member for member in opened.infolist()}

    def names(self) -> list[str]:
        """Return the names of its files in order, hidden ones left out."""
        return sorted(
            name
            for name in self._members
            if not name.endswith("/")
            and not any(p.startswith(".") for p in name.split("/"))
            and not name.startswith(_JUNK)
            and not name.endswith(_JUNK)
        )

    @contextmanager
    def unpacked(self, name: str) -> Iterator[Path]:
        """Yield a copy of one file, which is gone afterwards.

        Its name is that of the file, or like it where no file of the system may be named so.

        Raises:
            DocumentError: it is damaged or encrypted.
            OSError: it cannot be read or copied.
        """
        member = self._members[name]
        if member.flag_bits & _ENCRYPTED:
            raise DocumentError(
                f"无法读取 {self._path} 里的 {name}：它有密码。请解压后再加入。",
                f"{name} in {self._path} cannot be read: it is encrypted. Unpack it first.",
            )
        with TemporaryDirectory(prefix="wenju-") as folder:
            copy = Path(folder, _name_of_copy(name))
            try:
                with self._opened.open(member) as packed, copy.open("wb") as written:
                    while chunk := packed.read(_COPIED_BYTES):
                        written.write(chunk)
            except DAMAGE as error:
                raise DocumentError(
                    f"无法读取 {self._path} 里的 {name}：它已损坏或不完整。请重新下载压缩包。",
                    f"{name} in {self._path} cannot be read: it is damaged or incomplete. Fetch "
                    "the archive again.",
                ) from error
            yield copy


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open a .zip after looking at all that it lists.

    Raises:
        DocumentError: it is damaged, would unpack to too much, or leads out of its folder.
        OSError: it cannot be read.
    """
    try:
        opened = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise _damaged(path) from error
    with opened:
        _check(path, opened.infolist())
        yield Archive(path, opened)


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    size = sum(member.file_size for member in members)
    dense = any(
        member.file_size > max(_ALWAYS_FINE_BYTES, MAX_RATIO * member.compress_size)
        for member in members
    )
    if dense or size > MAX_UNPACKED_BYTES or len(members) > MAX_MEMBERS:
        raise DocumentError(
            f"无法读取 {path}：解压后有 {len(members):,} 个文件、{size / 1e6:,.0f} MB，"
            f"或者压得异常紧。最多 {MAX_MEMBERS:,} 个、{MAX_UNPACKED_BYTES // 1_000_000:,} MB；"
            "请解压后只加入需要的文件。",
            f"{path} cannot be read: it unpacks to {len(members):,} files of {size / 1e6:,.0f} MB, "
            f"or is packed more densely than files are. At most {MAX_MEMBERS:,} files and "
            f"{MAX_UNPACKED_BYTES // 1_000_000:,} MB are taken: unpack it and add what you need.",
        )
    for member in members:
        name = _name(member)
        mode = member.external_attr >> 16
        strange = bool(mode) and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR)
        if strange or name.startswith("/") or _DRIVE.match(name) or ".." in name.split("/"):
            raise DocumentError(
                f"无法读取 {path}：其中的 {name} 指向压缩包以外。请确认它来自可信的地方。",
                f"{path} cannot be read: {name} in it leads out of the archive. Make sure that "
                "it can be trusted.",
            )


def _name(member: zipfile.ZipInfo) -> str:
    """Return a member's name, read as what is likelier where it is not said to be UTF-8."""
    name = member.filename
    if not member.flag_bits & _UTF8_NAMES and not name.isascii():
        raw = member.orig_filename.encode("cp437")
        readings = [text for each in ("utf-8", "gb18030") if (text := _decoded(raw, each))]
        name = max(readings, key=plausibility, default=name)
    return name.replace("\\", "/")


def _name_of_copy(name: str) -> str:
    path = PurePosixPath(_NO_NAME.sub("_", name))
    return path.stem[:_LONGEST_STEM] + path.suffix[:_LONGEST_SUFFIX]


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError:
        return ""


def _damaged(path: Path) -> DocumentError:
    return DocumentError(
        f"无法读取 {path}：zip 已损坏或不完整。请重新下载，或解压后再加入。",
        f"{path} cannot be read: the zip is damaged or incomplete. Fetch it again, or unpack it.",
    )
