"""Setting up: the pinned versions cover everything, and a wrong Python is told in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    Requirement(text)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for text in group
]
LINES = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
PINNED: dict[str, str] = {
    canonicalize_name(name): version
    for name, _, version in (line.partition("==") for line in LINES if not line.startswith("#"))
}


# pip itself sees to setuptools, in every environment that it builds in.
@pytest.mark.parametrize("needed", [r for r in DECLARED if r.name != "setuptools"], ids=str)
def test_what_is_declared_is_pinned_at_a_version_that_it_allows(needed: Requirement) -> None:
    assert needed.specifier.contains(PINNED[canonicalize_name(needed.name)])


def test_pins_name_no_build_and_no_place() -> None:
    for line in LINES:
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line)


def test_torch_is_pinned_for_every_build() -> None:
    assert PINNED["torch"] == "2.13.0"


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
@pytest.mark.parametrize(("lang", "said"), [("zh", "问据需要"), ("en", "wenju needs")])
def test_make_refuses_an_unsuitable_python_in_one_sentence(
    lang: str, said: str, tmp_path: Path
) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    target = f"{tmp_path}/venv/bin/python"
    # These tests may themselves be run by make, which must not speak to this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "-s", f"VENV={tmp_path}/venv", f"PYTHON={old}", target],
        cwd=ROOT,
        env={**environ, "WENJU_LANG": lang},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout == ""
    sentence, *make_itself = done.stderr.splitlines()
    assert sentence.startswith(said)
    assert "3.11" in sentence
    assert "3.13" in sentence
    assert all(line.startswith("make: ***") for line in make_itself)
