"""The benchmark of a million passages measures every size and draws what it measured."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.million import plot

ROOT = Path(__file__).parent.parent
NEWS = ROOT / "seeds" / "news" / "articles.jsonl"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_size_is_measured_and_drawn(tmp_path: Path) -> None:
    out, svg = tmp_path / "out.json", tmp_path / "plot.svg"
    command = [sys.executable, "-m", "benchmarks.million", "100", "--articles", "2"]
    options = {"--news": NEWS, "--work": tmp_path / "work", "--json": out, "--svg": svg}
    command += [str(part) for option in options.items() for part in option]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(out.read_text("utf-8"))
    assert (found["passages"], found["served"]["index"]) == (100, "Flat")
    assert found["compared"]["recall"] == 1
    assert 0 < found["served"]["asked_own_mb"] < found["served"]["asked_mb"]
    assert "| Recall@10 | 1.0000 |" in done.stdout
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


def test_the_plot_of_the_readme_is_that_of_the_results() -> None:
    found = json.loads((ROOT / "benchmarks" / "results" / "million.json").read_text("utf-8"))
    assert plot(found) == (ROOT / "docs" / "million.svg").read_text("utf-8")
