"""The wheel: all that the packages need at run time is in it, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("index", "rag", "seeds", "ui")
NOT_PACKED = tuple(ROOT / "seeds" / name for name in ("news", "documents", "claims.jsonl"))
"""What only tests and benchmarks read."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    source = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "pyproject.toml", "README.md", "LICENSE"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, source / name)
    code = "from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    built = subprocess.run(
        [sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return zipfile.ZipFile(source / built.stdout.splitlines()[-1])


@pytest.mark.parametrize("package", PACKAGES)
def test_every_file_of_a_package_is_in_it(package: str, wheel: zipfile.ZipFile) -> None:
    files = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / package).rglob("*")
        if path.is_file()
        and "__pycache__" not in path.parts
        and not any(path.is_relative_to(left_out) for left_out in NOT_PACKED)
    }
    packed = {name for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert packed == files


def test_nothing_else_becomes_importable(wheel: zipfile.ZipFile) -> None:
    top = {name.split("/")[0] for name in wheel.namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == set(PACKAGES)


def test_the_article_is_packed_byte_for_byte(wheel: zipfile.ZipFile) -> None:
    assert wheel.read("seeds/article.txt") == (ROOT / "seeds/article.txt").read_bytes()


def test_the_command_is_wenju(wheel: zipfile.ZipFile) -> None:
    (entry_points,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
    assert "wenju = ui.cli:main" in wheel.read(entry_points).decode()


def test_the_installed_command_answers(
    wheel: zipfile.ZipFile, new_home: Path, tmp_path: Path
) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    wheel.extractall(installed)
    elsewhere.mkdir()
    code = (
        "import sys; from importlib.metadata import entry_points\n"
        "(command,) = entry_points(group='console_scripts', name='wenju')\n"
        "main = command.load()\n"
        "import index, rag, seeds, ui\n"
        "print(*(module.__file__ for module in (index, rag, seeds, ui)), sep='\\n')\n"
        "sys.argv = ['wenju', 'ask', '教育小镇计划总投资多少？']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    *modules, answer = done.stdout.splitlines()[: len(PACKAGES) + 1]
    assert modules == [str(installed / package / "__init__.py") for package in PACKAGES]
    assert "100亿元" in answer
