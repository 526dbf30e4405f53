"""The benchmark of many documents runs every stage and holds what a kill left against the whole."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEWS = ROOT / "seeds" / "news" / "articles.jsonl"

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL on Windows")


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.corpus", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_stage_is_measured(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out.json"
    options = ("--embedder", "hash", "--kills", "1", "--json", out)
    done = run("--news", NEWS, "--documents", "30", "--work", work, *options)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text("utf-8"))
    assert found["documents"] == found["first"]["added"] == found["again"]["unchanged"] == 30
    assert found["changed"]["updated"] == 1
    assert found["passages"] == found["first"]["passages"] > 30
    assert found["killed"]["differences"] == []
    assert found["again"]["passages"] == 0
    assert f"| 段落 passages | {found['passages']} |" in done.stdout


@pytest.mark.parametrize(
    ("news", "documents", "said"),
    [(ROOT / "nothing.jsonl", "1", "没有文件"), (NEWS, "31", "只有30篇")],
)
def test_what_is_missing_is_told(tmp_path: Path, news: Path, documents: str, said: str) -> None:
    done = run("--news", news, "--documents", documents, "--work", tmp_path)
    assert done.returncode == 2
    assert said in re.sub(r"\W", "", done.stderr)  # it is wrapped, in a box
