"""Milvus address: where on a Milvus server a library lies; and what tells it from a folder."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from index.errors import LibraryError

FORM = "milvus://HOST[:PORT][/DATABASE][/NAME]"

_PORT = 19530
_NAME = "wenju"
_SCHEMES = ("milvus", "milvus+tls")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")
"""Source: Milvus, "Collection names": letters, digits and underscores, at most 255 of them."""


@dataclass(frozen=True, slots=True)
class MilvusAddress:
    """A library on a Milvus server; its text names no secret.

    `name` begins the names of its collections, so that several libraries can lie in one
    database. `token` is an API key or "USER:PASSWORD", None for a server that asks for none.
    """

    host: str
    port: int = _PORT
    database: str | None = None
    name: str = _NAME
    tls: bool = False
    token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str, *, token: str | None = None) -> MilvusAddress:
        """Read `milvus://HOST[:PORT][/DATABASE][/NAME]`, or the same with `milvus+tls://`.

        One name in the path is the library's, of two the first is the database's.

        Raises:
            LibraryError: it is no such address.
        """
        try:
            url = urlsplit(text)
            names = [name for name in url.path.split("/") if name]
            whole = not (url.username or url.password or url.query or url.fragment)
            port = url.port or _PORT
            if not (url.hostname and whole and len(names) < 3 and url.scheme in _SCHEMES):
                raise ValueError
            if not all(map(_IDENTIFIER.fullmatch, names)):
                raise ValueError
        except ValueError as error:
            # Without the text, which may hold a password; nor does the cause show it.
            raise _unreadable() from error
        database = names[0] if len(names) == 2 else None
        name = names[-1] if names else _NAME
        return cls(url.hostname, port, database, name, url.scheme == "milvus+tls", token)

    @property
    def uri(self) -> str:
        """The address of the server, as pymilvus takes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    def __str__(self) -> str:
        scheme = "milvus+tls" if self.tls else "milvus"
        place = self.uri.partition("://")[2]
        return "/".join([f"{scheme}://{place}", *filter(None, [self.database]), self.name])


Location = Path | MilvusAddress
"""Where a library lies."""


def location_of(text: str | os.PathLike[str]) -> Location:
    """Return what a text names: an address where it has the scheme of one, else a folder.

    Raises:
        LibraryError: it is an address that cannot be read.
    """
    if isinstance(text, str) and text.partition("://")[0].lower() in _SCHEMES:
        return MilvusAddress.parse(text)
    return Path(text)


def _unreadable() -> LibraryError:
    return LibraryError(
        f"Milvus 的地址应写成 {FORM}（加密用 milvus+tls://），名字只含字母、数字和下划线；"
        "密码或密钥写在 WENJU_MILVUS_TOKEN 里。",
        f"The address of a Milvus library is {FORM} (milvus+tls:// for TLS), its names of "
        "letters, digits and underscores; WENJU_MILVUS_TOKEN holds a password or key.",
    )
