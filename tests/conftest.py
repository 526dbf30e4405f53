"""What tests of several modules start from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import settings
from letters import LetterEmbedder
from llama import llama
from milvus_server import MilvusServer, milvus_running

from index.embedder import load_embedder

Run = Callable[..., "subprocess.CompletedProcess[str]"]

_ROOT = Path(__file__).parent.parent

# A busy machine is no failure.
settings.register_profile("wenju", deadline=None)
settings.load_profile("wenju")


@pytest.fixture
def letters() -> LetterEmbedder:
    """An embedder that costs nothing and needs no model."""
    return LetterEmbedder()


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus server that all tests of a session share, each with a name of its own."""
    with milvus_running(tmp_path_factory.mktemp("milvus")) as server:
        yield server


@pytest.fixture(scope="session")
def seeded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose default library was made once, with the embedded model."""
    from rag.default_library import seed_library  # noqa: PLC0415 - tests of index need no rag

    home = tmp_path_factory.mktemp("home")
    with seed_library(_data(home) / "wenju" / "library", load_embedder()):
        return home


@pytest.fixture
def home(seeded_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own with the default library; no WENJU_* is set, and no proxy."""
    copy = tmp_path / "home"
    shutil.copytree(seeded_home, copy)
    _settle(copy, monkeypatch)
    return copy


@pytest.fixture
def new_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder in which wenju never ran."""
    folder = tmp_path / "new home"
    folder.mkdir()
    _settle(folder, monkeypatch)
    return folder


@pytest.fixture(scope="session")
def model_address() -> Iterator[str]:
    """The address of a real language model's API."""
    with llama() as address:
        yield address


@pytest.fixture
def wenju(tmp_path: Path) -> Run:
    """Run `wenju` in a process of its own, in a folder that is not the repository."""

    def run(
        *args: str, input: str | bytes = "", env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", "from ui.cli import main; main()", *args],
            input=input.encode() if isinstance(input, str) else input,
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(_ROOT), **(env or {})},
            timeout=120,
            check=False,
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    return run


def _settle(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WENJU_")]:
        monkeypatch.delenv(name)
    # Servers of the tests are asked directly.
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(_data(home)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))


def _data(home: Path) -> Path:
    return home / ".local" / "share"
