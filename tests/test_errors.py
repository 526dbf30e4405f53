"""Errors: each says what happened in Chinese and in English, never in both at once."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rag.errors
from index.errors import BilingualError

ROOT = Path(__file__).parents[1]
CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")


def kinds(root: type[BilingualError]) -> Iterator[type[BilingualError]]:
    """Yield an error class and all those below it."""
    yield root
    for kind in root.__subclasses__():
        yield from kinds(kind)


KINDS = list(kinds(BilingualError))


def test_the_trees_of_both_packages_are_bilingual() -> None:
    names = {kind.__name__ for kind in KINDS}
    assert {"DocumentError", "LibraryCorrupt", "EmbedderError", "IndexingError"} <= names
    assert {name for name in vars(rag.errors) if name.endswith("Error")} <= names


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_carries_both_languages(kind: type[BilingualError]) -> None:
    error = kind("坏了。", "It broke.")
    again = pickle.loads(pickle.dumps(error))
    for each in (error, again):
        assert (str(each), each.english) == ("坏了。", "It broke.")
    with pytest.raises(TypeError):
        kind("坏了。")  # pyright: ignore[reportCallIssue]


def raised(path: Path) -> Iterator[ast.Call]:
    """Yield wherever a file makes one of our errors."""
    names = {kind.__name__ for kind in KINDS}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node


def words(text: ast.expr) -> str:
    """Return what a message says by itself, without what is filled in."""
    return "".join(
        node.value
        for node in ast.walk(text)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_each_text_is_in_its_own_language() -> None:
    calls = [
        (path.name, call)
        for package in ("index", "rag")
        for path in sorted((ROOT / package).glob("*.py"))
        for call in raised(path)
    ]
    assert len(calls) > 50
    for name, call in calls:
        where = f"{name}:{call.lineno}"
        chinese, english = map(words, call.args)
        assert CHINESE.search(chinese), where
        assert not CHINESE.search(english), where
