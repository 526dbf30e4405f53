"""The public names of `index`: all there, and free until they are used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import index


def test_every_public_name_is_there() -> None:
    assert sorted(index.__all__) == dir(index)
    for name in index.__all__:
        assert getattr(index, name).__name__ == name


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        index.Nothing  # noqa: B018 # pyright: ignore[reportAttributeAccessIssue]


def test_importing_the_package_loads_nothing_large() -> None:
    program = (
        "import sys, index; print({'faiss', 'tantivy', 'numpy', 'torch'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"
