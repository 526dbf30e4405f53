"""Imports run ui → rag → index and never back, and what is slow to load waits until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {
    "seeds": set(),
    "index": {"index"},
    "rag": {"index", "rag"},
    "ui": {"index", "rag", "ui"},
}
SLOW = {"torch", "sentence_transformers", "transformers", "gradio", "pandas"}
FILES = [path for package in MAY_IMPORT for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_package_imports_only_those_below_it(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    ours = set(imported(path)) & {*MAY_IMPORT, "tests", "training", "benchmarks"}
    assert ours <= MAY_IMPORT[package]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_says_in_its_first_line_why_it_is_there(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    if source.strip():
        said = ast.get_docstring(ast.parse(source))
        assert said
        assert said.splitlines()[0].endswith((".", "。", ":", ";"))


@pytest.mark.parametrize(
    "code",
    [
        "from rag import answer; assert '100亿元' in answer('教育小镇计划总投资多少？').text",
        "from ui.cli import run; assert run(['ask', '教育小镇计划总投资多少？']) == 0",
        "from ui.cli import run; assert run(['documents']) == 0",
        "from ui.cli import run; assert run(['add', 'training/documents/SOURCES.md']) == 0",
        "from ui.cli import run; assert run(['eval', '--limit', '1']) == 0",
    ],
)
def test_the_default_path_loads_nothing_slow(code: str, home: Path) -> None:
    assert loaded(code) & SLOW == set()


def test_the_page_needs_no_model_framework(home: Path) -> None:
    code = (
        "import os, socket; os.environ['no_proxy'] = '*'; import ui.server\n"
        "from ui.cli import run\n"
        "ui.server._run = lambda server, sockets: None\n"
        "with socket.create_server(('127.0.0.1', 0)) as free: port = free.getsockname()[1]\n"
        "assert run(['chat', '--no-browser', '--port', str(port)]) == 0"
    )
    names = loaded(code)
    assert "gradio" in names
    assert names & {"torch", "sentence_transformers"} == set()


def loaded(code: str) -> set[str]:
    """Run some code in a process of its own and return the names of all modules then there."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_an_older_python_is_refused_in_one_sentence() -> None:
    code = "import sys; sys.version_info = (3, 10, 4); import ui.cli"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "3.11" in done.stderr
    assert "3.10" in done.stderr
