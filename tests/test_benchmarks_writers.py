"""The benchmark of writers beside readers finds nothing wrong, and would tell if it did."""

import json
import os
import subprocess
import sys
from pathlib import Path

from asking import FEES, TOWN, document

from benchmarks.writers import Done, Searched, article, left_over, wrong
from index.embedder import load_embedder
from index.library import open_library

ROOT = Path(__file__).parent.parent


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.writers", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_nothing_is_lost_beside_readers(tmp_path: Path) -> None:
    library, out = tmp_path / "库", tmp_path / "out.json"
    with open_library(library, load_embedder()) as opened:
        opened.add([document(f"{TOWN}\n{FEES}")])
    done = run("--library", library, "--work", tmp_path, "--seconds", "4", "--json", out)
    assert done.returncode == 0, done.stderr + done.stdout
    found = json.loads(out.read_text("utf-8"))
    assert found["wrong"] == found["lost"] == []
    assert found["added"] > 0
    assert found["searches"] > 0
    with open_library(library, load_embedder()) as opened:
        assert len(opened.documents()) == 1  # it is a copy that was written to


def test_a_library_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = run("--library", tmp_path / "没有", "--work", tmp_path)
    assert done.returncode == 2
    assert "没有资料库" in done.stderr.replace("\n", "")


def test_what_is_found_is_judged_by_what_had_been_done() -> None:
    done = [Done("added", 0, 0, 5, 1.0, 2.0), Done("removed", 0, 0, 5, 5.0, 6.0)]

    def searched(began: float, *, found: bool) -> list[str]:
        return wrong(done, [Searched(0, 3, began, began + 0.5, found)])

    assert searched(3.0, found=True) == searched(7.0, found=False) == []
    assert len(searched(3.0, found=False)) == len(searched(7.0, found=True)) == 1
    for undecided in (1.5, 4.8, 5.5):
        assert searched(undecided, found=True) == searched(undecided, found=False) == []


def test_what_is_left_is_held_against_what_was_done(tmp_path: Path) -> None:
    with open_library(tmp_path, load_embedder()) as opened:
        opened.add([article(0, 0), article(0, 2), document(TOWN)])
    done = [Done("added", 0, 0, 2, 1.0, 2.0)]
    assert left_over(tmp_path, done, 1) == [
        "WJ00X000001: lost or left over",
        "WJ00X000002: lost or left over",
    ]
    assert left_over(tmp_path, done, 2)[-1] == "2 documents before, 1 now"
