"""The ablations tell every ranking of every passage size, and the answers that come of them."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

TEXT = "黄山位于安徽省南部，主峰是莲花峰。长江全长约6300公里，在上海流入东海。"
ACROSS = "莲花峰。长江"


def test_a_row_for_each_size_and_ranking(tmp_path: Path) -> None:
    squad = tmp_path / "small" / "dev.json"
    squad.parent.mkdir()
    asked = [{"id": "q", "question": "黄山的主峰是什么？", "answers": [{"text": ACROSS}]}]
    paragraphs = [{"id": "p", "context": TEXT, "qas": asked}]
    squad.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    command = [sys.executable, "-m", "benchmarks.ablations", squad, "--size", "20", "--size", "400"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, _, *lines = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines()
    )
    rows = [dict(zip(head[1:], line[1:], strict=True)) for line in lines]
    assert [row["字 chars"] for row in rows] == ["20"] * 4 + ["400"] * 4
    # What goes across two sentences lies in no passage of one.
    assert [row["recall@1"] for row in rows] == ["0.000"] * 4 + ["1.000"] * 4
    assert [row["answer_f1"] != "" for row in rows] == [False, False, False, True] * 2
