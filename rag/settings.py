"""Settings: what an answer depends on besides its question; the only reader of WENJU_*."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from math import inf
from pathlib import Path
from types import UnionType
from typing import Any, Literal

from rag.errors import SettingsError

Language = Literal["zh", "en"]

_PREFIX = "WENJU_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to find and to answer; None leaves a choice to the part that makes it.

    `library` is the folder of the library to ask, None for the default one. `embedder` is
    None for the embedded model, else the name or folder of a sentence-transformers model;
    `device` ("cpu", "cuda" …), `dtype` ("float32", "bfloat16" …) and `batch_size` (texts at
    once) are for such a model. `top_k` is how many passages are read. An answer whose
    confidence lies below `threshold` is refused; None takes the calibrated threshold. `lang`
    is the language of messages. `auth` is the "USER:PASSWORD" that the web page and the HTTP
    API ask for, None if everybody may use them; it stays out of the repr.

    Raises:
        SettingsError: a value is impossible.
    """

    library: Path | None = None
    embedder: str | None = None
    device: str | None = None
    dtype: str | None = None
    batch_size: int = 32
    top_k: int = 10
    threshold: float | None = None
    lang: Language = "zh"
    auth: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        self._require("library", isinstance(self.library, Path | None), "Path, None")
        for name in ("embedder", "device", "dtype", "auth"):
            self._require(name, isinstance(getattr(self, name), str | None), "str, None")
        self._require("batch_size", _lies_in(self.batch_size, int, 1, inf), "≥ 1")
        self._require("top_k", _lies_in(self.top_k, int, 1, 100), "1–100")
        share = self.threshold is None or _lies_in(self.threshold, int | float, 0, 1)
        self._require("threshold", share, "0–1")
        self._require("lang", self.lang in ("zh", "en"), "zh, en")

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
            values["library"] = Path(library).expanduser()
        return cls(**values)


def language(environ: Mapping[str, str] | None = None) -> Language:
    """Return the language that messages are wanted in: Chinese unless `WENJU_LANG` is "en"."""
    environ = os.environ if environ is None else environ
    return "en" if environ.get(_PREFIX + "LANG", "").strip().lower() == "en" else "zh"


_READERS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "batch_size": (int, "1, 2, 3 …"),
    "top_k": (int, "1–100"),
    "threshold": (float, "0–1"),
    "lang": (str.lower, "zh, en"),
}
"""How a variable's text is read, where it is not a plain string, and what it may be."""


def _lies_in(value: Any, kind: type | UnionType, least: float, most: float) -> bool:
    return isinstance(value, kind) and least <= value <= most


def _read(name: str, text: str) -> Any:
    reader, allowed = _READERS.get(name, (str, ""))
    try:
        return reader(text)
    except ValueError as exc:
        raise _impossible(_PREFIX + name.upper(), text, allowed) from exc


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


def _impossible(name: str, value: object, allowed: str) -> SettingsError:
    return SettingsError(
        f"设置 {name} 不能是 {value!r}；可以是 {allowed}。",
        f"The setting {name} cannot be {value!r}; use {allowed}.",
    )
