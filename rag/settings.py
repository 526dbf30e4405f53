"""Settings: what an answer depends on besides its question; the only reader of WENJU_*."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from math import inf
from pathlib import Path
from types import UnionType
from typing import Any, Literal
from urllib.parse import urlsplit

from index.errors import LibraryError
from index.milvus_address import Location, MilvusAddress, location_of
from rag.errors import SettingsError

Language = Literal["zh", "en"]

_PREFIX = "WENJU_"
_SHORTEST_S, _LONGEST_S = 0.001, 86400
_SCHEMES = {
    "llm_base_url": ("http", "https"),
    "llm_proxy": ("http", "https", "socks5", "socks5h"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to find and to answer; None leaves a choice to the part that makes it.

    `library` is the folder of the library to ask, or its address on a Milvus server, None for
    the default one; `milvus_token` is an API key or "USER:PASSWORD" for such a server. `embedder`
    is None for the embedded model, else the name or folder of a sentence-transformers model;
    `device` ("cpu", "cuda" …), `dtype` ("float32", "bfloat16" …) and `batch_size` (texts at
    once) are for such a model. `top_k` is how many passages are found, and read unless the first
    few answer clearly. An answer whose confidence lies below `threshold` is refused; None takes
    the calibrated threshold. `lang` is the language of messages. `auth` is the "USER:PASSWORD"
    that the web page and the HTTP API ask for, None if everybody may use them.

    `llm_base_url` is the address of an OpenAI-compatible API, as "https://host/v1", and
    `llm_model` the name of its model; None for none. `llm_api_key` is sent as its bearer token,
    `llm_headers` beside it. `llm_proxy` is the proxy on the way there, None for what the
    environment names. `llm_verify` is whether its certificate is checked, or the file or folder
    of the authorities that it is checked by. Connecting may take `llm_connect_s` seconds, the
    first token `llm_first_token_s` more, and all attempts together `llm_total_s`. An answer may
    have `llm_max_tokens` tokens, and together with its prompt `llm_context`. `strict` is whether
    only quotes may be answered.

    What may hold a secret stays out of the repr.

    Raises:
        SettingsError: a value is impossible.
    """

    library: Location | None = None
    milvus_token: str | None = field(default=None, repr=False)
    embedder: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int = 32
    top_k: int = 10
    threshold: float | None = None
    lang: Language = "zh"
    auth: str | None = field(default=None, repr=False)
    llm_base_url: str | None = field(default=None, repr=False)
    llm_model: str | None = None
    llm_api_key: str | None = field(default=None, repr=False)
    llm_headers: Mapping[str, str] | tuple[tuple[str, str], ...] = field(default=(), repr=False)
    llm_proxy: str | None = field(default=None, repr=False)
    llm_verify: bool | Path = True
    llm_connect_s: float = 10
    llm_first_token_s: float = 60
    llm_total_s: float = 180
    llm_max_tokens: int = 1024
    llm_context: int = 4096
    strict: bool = False

    def __post_init__(self) -> None:
        """Refuse impossible values, and freeze the headers so that settings can be hashed."""
        folder = isinstance(self.library, Path | MilvusAddress | None)
        self._require("library", folder, "Path, MilvusAddress, None")
        for name in ("milvus_token", "embedder", "device", "dtype", "auth"):
            self._require(name, isinstance(getattr(self, name), str | None), "str, None")
        self._require("batch_size", _lies_in(self.batch_size, int, 1, inf), "≥ 1")
        self._require("top_k", _lies_in(self.top_k, int, 1, 100), "1–100")
        share = self.threshold is None or _lies_in(self.threshold, int | float, 0, 1)
        self._require("threshold", share, "0–1")
        self._require("lang", self.lang in ("zh", "en"), "zh, en")
        self._require("strict", isinstance(self.strict, bool), "true, false")
        self._require_llm()

    def _require_llm(self) -> None:
        if isinstance(self.llm_headers, Mapping):
            object.__setattr__(self, "llm_headers", tuple(self.llm_headers.items()))
        for name in ("llm_base_url", "llm_proxy"):
            value = getattr(self, name)
            schemes = _SCHEMES[name]
            self._require(name, value is None or _is_address(value, schemes), _addresses(schemes))
        model = self.llm_model is None or (isinstance(self.llm_model, str) and self.llm_model)
        self._require("llm_model", bool(model), "str, None")
        key = self.llm_api_key is None or _is_header("Authorization", self.llm_api_key)
        self._require("llm_api_key", key, "str (ASCII), None")
        headers = isinstance(self.llm_headers, tuple) and all(
            isinstance(pair, tuple) and len(pair) == 2 and _is_header(*pair)
            for pair in self.llm_headers
        )
        self._require("llm_headers", headers, '{"NAME": "VALUE"} (ASCII)')
        self._require("llm_verify", isinstance(self.llm_verify, bool | Path), "true, false, Path")
        for name in ("llm_connect_s", "llm_first_token_s", "llm_total_s"):
            limit = _lies_in(getattr(self, name), int | float, _SHORTEST_S, _LONGEST_S)
            self._require(name, limit, f"{_SHORTEST_S}–{_LONGEST_S}")
        self._require("llm_max_tokens", _lies_in(self.llm_max_tokens, int, 1, inf), "≥ 1")
        self._require("llm_context", _lies_in(self.llm_context, int, 512, inf), "≥ 512")
        if (self.llm_base_url is None) != (self.llm_model is None):
            told, missing = "llm_base_url", "llm_model"
            if self.llm_base_url is None:
                told, missing = missing, told
            raise SettingsError(
                f"设置了 {told}，却没有 {missing}；请也设置 {missing}"
                f"（环境变量 {_PREFIX}{missing.upper()}），或两项都不设。",
                f"{told} is set but {missing} is not; set {missing} too "
                f"(the variable {_PREFIX}{missing.upper()}), or neither.",
            )

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise _impossible(name, getattr(self, name), allowed)

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, **overrides: Any
    ) -> Settings:
        """Read the settings of `WENJU_*` variables; `overrides` that are not None win.

        `environ` is `os.environ` where it is not given. An empty variable counts as unset.

        Raises:
            SettingsError: a name is unknown, or a value impossible.
        """
        environ = os.environ if environ is None else environ
        said = {
            name.removeprefix(_PREFIX).lower(): value.strip()
            for name, value in environ.items()
            if name.startswith(_PREFIX) and value.strip()
        }
        _refuse_unknown(said, lambda name: _PREFIX + name.upper())
        _refuse_unknown(overrides, str)
        values = {name: _read(name, text) for name, text in said.items()}
        values |= {name: value for name, value in overrides.items() if value is not None}
        if isinstance(library := values.get("library"), str | os.PathLike):
            values["library"] = _read_library(library)
        if isinstance(verify := values.get("llm_verify"), str):
            values["llm_verify"] = _read_verify(verify)
        return cls(**values)

    @property
    def location(self) -> Location | None:
        """The library to ask, with what lets us in there; None for the default one."""
        if isinstance(self.library, MilvusAddress) and self.milvus_token:
            return replace(self.library, token=self.milvus_token)
        return self.library


def language(environ: Mapping[str, str] | None = None) -> Language:
    """Return the language that messages are wanted in: Chinese unless `WENJU_LANG` is "en"."""
    environ = os.environ if environ is None else environ
    return "en" if environ.get(_PREFIX + "LANG", "").strip().lower() == "en" else "zh"


def _read_library(text: str | os.PathLike[str]) -> Location:
    try:
        library = location_of(text)
    except LibraryError as error:
        raise SettingsError.from_dict(error.to_dict()) from error
    return library.expanduser() if isinstance(library, Path) else library


def _read_bool(text: str) -> bool:
    return {"true": True, "1": True, "false": False, "0": False}[text.lower()]


def _read_verify(text: str) -> bool | Path:
    try:
        return _read_bool(text)
    except KeyError:
        return Path(text).expanduser()


_READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "batch_size": (int, "1, 2, 3 …"),
    "top_k": (int, "1–100"),
    "threshold": (float, "0–1"),
    "lang": (str.lower, "zh, en"),
    "llm_headers": (json.loads, '{"NAME": "VALUE"}'),
    "llm_verify": (_read_verify, "true, false, Path"),
    "llm_connect_s": (float, f"{_SHORTEST_S}–{_LONGEST_S}"),
    "llm_first_token_s": (float, f"{_SHORTEST_S}–{_LONGEST_S}"),
    "llm_total_s": (float, f"{_SHORTEST_S}–{_LONGEST_S}"),
    "llm_max_tokens": (int, "1, 2, 3 …"),
    "llm_context": (int, "512, 513 …"),
    "strict": (_read_bool, "true, false"),
}
"""How a variable's text is read, where it is not a plain string, and what it may be."""


def _lies_in(value: Any, kind: type | UnionType, least: float, most: float) -> bool:
    return isinstance(value, kind) and least <= value <= most


def _is_address(value: object, schemes: Iterable[str]) -> bool:
    if not isinstance(value, str) or not re.fullmatch(r"\S+", value):
        return False
    try:
        url = urlsplit(value)
        return url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _addresses(schemes: Iterable[str]) -> str:
    return ", ".join(f"{scheme}://HOST…" for scheme in schemes)


def _is_header(name: object, value: object) -> bool:
    """Return whether HTTP can carry a header.

    Source: RFC 9110, 5.1 and 5.5.
    """
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and bool(re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name))
        and bool(re.fullmatch(r"[!-~](?:[ \t!-~]*[!-~])?", value))
    )


def _read(name: str, text: str) -> Any:
    reader, allowed = _READERS.get(name, (str, ""))
    try:
        return reader(text)
    except (ValueError, KeyError):
        # Without the cause, which may quote a secret.
        raise _impossible(name, text, allowed, shown=_PREFIX + name.upper()) from None


def _refuse_unknown(names: Iterable[str], shown: Callable[[str], str]) -> None:
    known = [field.name for field in fields(Settings)]
    for name in names:
        if name in known:
            continue
        near = ", ".join(shown(match) for match in get_close_matches(name, known) or known)
        raise SettingsError(
            f"没有 {shown(name)} 这项设置；您要的是不是：{near}？",
            f"There is no setting {shown(name)}; did you mean: {near}?",
        )


def _impossible(
    name: str, value: object, allowed: str, *, shown: str | None = None
) -> SettingsError:
    shown = shown or name
    if name in _SECRET:
        return SettingsError(
            f"设置 {shown} 不能是这个值；可以是 {allowed}。",
            f"The setting {shown} cannot be what it is set to; use {allowed}.",
        )
    return SettingsError(
        f"设置 {shown} 不能是 {value!r}；可以是 {allowed}。",
        f"The setting {shown} cannot be {value!r}; use {allowed}.",
    )


_SECRET = {field.name for field in fields(Settings) if not field.repr}
"""The settings whose values no message may show."""
