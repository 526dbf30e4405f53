"""The README says only what works: its commands parse, its Python runs, its files are there.

Its figures are those of the results.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import fields
from pathlib import Path

import pytest
import typer

from benchmarks import readme
from benchmarks.readme import filled, keep
from rag.settings import Settings
from ui.cli import app
from ui.usage import Group

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


CONSOLE = [line for block in blocks("console") for line in block.splitlines() if line]
INLINE = re.findall(r"`((?:wenju|make) [^`]+)`", README)
COMMANDS = list(dict.fromkeys(CONSOLE + INLINE))


def wenju_group() -> Group:
    group = typer.main.get_command(app)
    assert isinstance(group, Group)
    return group


def test_there_is_something_to_hold() -> None:
    assert len(COMMANDS) > 20
    assert len(blocks("python")) == 3


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make")])
def test_a_make_command_has_its_target_and_variables(line: str) -> None:
    _, target, *assignments = shlex.split(line)
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    for assignment in assignments:
        assert re.search(rf"\b{assignment.partition('=')[0]}\b", MAKEFILE)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("wenju")])
def test_a_wenju_command_parses(line: str) -> None:
    _, name, *args = shlex.split(line)
    group = wenju_group()
    if name.startswith("-"):
        assert any(name in option.opts for option in group.params)
    else:
        group.commands[name].make_context(name, args)


@pytest.mark.parametrize("code", blocks("python"))
def test_python_of_the_readme_runs(
    code: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(code, {})
    assert capsys.readouterr().out.strip()


def test_every_command_is_named() -> None:
    named = {shlex.split(line)[1] for line in COMMANDS if line.startswith("wenju")}
    assert set(wenju_group().commands) <= named


def test_every_setting_is_named() -> None:
    assert set(re.findall(r"WENJU_\w+", README)) == {
        f"WENJU_{field.name.upper()}" for field in fields(Settings)
    }


def test_the_figures_are_those_of_the_results() -> None:
    assert filled(README) == README


def test_a_block_that_is_missing_is_told() -> None:
    with pytest.raises(ValueError, match="unpack"):
        filled(README.replace("<!-- /load -->", ""))


def test_a_report_is_kept_without_its_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readme, "EVALUATIONS", tmp_path / "kept")
    (tmp_path / "kept").mkdir()
    figures = {"correct": 0.5, "latency_p50_ms": 3.0}
    found = dict.fromkeys(("metrics", "intervals", "counts"), figures)
    report = tmp_path / "fixed.json"
    report.write_text(json.dumps({**found, "by_kind": {}, "rows": ["问题"]}), "utf-8")
    keep(report)
    kept = json.loads((tmp_path / "kept" / "fixed.json").read_text("utf-8"))
    assert kept == {**{part: {"correct": 0.5} for part in found}, "by_kind": {}}


def test_every_link_inside_leads_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README):
        if target.startswith("#"):
            assert re.search(rf"^#+ {target[1:]}$", README, re.MULTILINE | re.IGNORECASE)
        else:
            assert (ROOT / target).exists()
