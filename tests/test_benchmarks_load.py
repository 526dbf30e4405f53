"""The benchmark of many clients asks a real server and counts what fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from asking import FEES, TOWN, document

from benchmarks.load import ANSWER, SEARCH
from index.embedder import load_embedder
from index.library import open_library

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.load", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("库")
    with open_library(folder, load_embedder()) as opened:
        opened.add([document(f"{TOWN}\n{FEES}")])
    return folder


def questions(folder: Path, *texts: str) -> Path:
    file = folder / "questions.jsonl"
    lines = [
        {"id": str(n), "question": text, "answerable": False, "kind": "fact"}
        for n, text in enumerate(texts)
    ]
    file.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    return file


def test_every_load_is_carried(library: Path, tmp_path: Path) -> None:
    file, out = questions(tmp_path, "教育小镇投资多少？", "收费多少？"), tmp_path / "out.json"
    options = ("--seconds", "2", "--clients", "3", "--searches", "300", "--answers", "60")
    done = run("--library", library, "--questions", file, *options, "--json", out)
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text("utf-8"))
    assert (report["clients"], report["seconds"]) == (3, 2)
    found = report["loads"]
    assert [each["path"] for each in found] == [SEARCH, SEARCH, ANSWER, ANSWER]
    assert [each["asked"] for each in found[::2]] == [10, 2]  # no more than are due
    assert found[1]["asked"] > 10
    assert all(each["memory_mb"][0] > 50 and each["cpu"] > 0 for each in found)
    assert "3 人同时" in done.stdout


def test_what_fails_is_counted(library: Path, tmp_path: Path) -> None:
    file, options = questions(tmp_path, "长" * 10_001), ("--seconds", "1", "--searches", "0")
    done = run("--library", library, "--questions", file, *options)
    assert done.returncode == 1
    rows = [line.split(" | ") for line in done.stdout.splitlines() if line.startswith("| `")]
    assert len(rows) == 2
    assert all(row[2] == row[3] != "0" for row in rows)  # each that was asked


def test_a_library_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run("--library", tmp_path / "没有")
    assert done.returncode == 2
    assert "没有资料库" in done.stderr.replace("\n", "")
