"""The benchmark of a cold start times a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other units")
def test_every_run_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks.cold", "--runs", "2", "--json", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text("utf-8"))
    assert len(found["seconds"]) == len(found["memory_mb"]) == 2
    assert min(found["seconds"]) > 0
    assert 50 < min(found["memory_mb"]) < 5000
    assert "从冷启动到答完" in done.stdout
