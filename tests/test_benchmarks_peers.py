"""The benchmark of peers runs every stage over tiny systems, and its report says what they did."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.peers.report import main as report
from benchmarks.peers.report import (
    median_and_ratio,
    mrr,
    page,
    quantile,
    refusal_auroc,
    retrieval_plot,
    share,
    time_plot,
)
from benchmarks.peers.runner import begun
from benchmarks.peers.scoring import score_answer, score_chunks
from rag.questions import Question

ROOT = Path(__file__).parent.parent
NEWS = ROOT / "seeds" / "news" / "articles.jsonl"

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="it needs Linux")

# Finds documents by the characters that they share with the question. It keeps the layers of the
# model that indexed, and asked by a model without any, it breaks.
SYSTEM = """
import json
from pathlib import Path

PACKAGES = ("pip",)
CANNOT = {cannot}
STATE = {{}}


def set_up(folder, model, chunk):
    STATE["file"] = Path(folder) / "index.json"
    STATE["layers"] = json.loads((Path(model) / "config.json").read_text())["num_hidden_layers"]
    if STATE["file"].exists():
        STATE["documents"] = json.loads(STATE["file"].read_text("utf-8"))


def index(documents):
    print("what a system prints is no reply")
    STATE["file"].parent.mkdir(parents=True)
    STATE["file"].write_text(json.dumps(documents), "utf-8")
    (STATE["file"].parent / "layers").write_text(str(STATE["layers"]))
    STATE["documents"] = documents


def retrieve(question, k=10):
    if {breaks!r} in question or not STATE["layers"]:
        raise ValueError("it broke")
    best = sorted(STATE["documents"], key=lambda each: -len(set(question) & set(each["text"])))
    return [{{"document": each["id"], "text": each["text"], "start": 0}} for each in best[:k]]


def answer(question, hidden=None):
    if CANNOT:
        return None
    best = [each for each in retrieve(question) if each["document"] not in (hidden or [])][0]
    share = len(set(question) & set(best["text"])) / len(set(question))
    citation = {{"document": best["document"], "start": 0, "text": best["text"][:2]}}
    return {{"text": best["text"][:2], "confidence": share, "citations": [citation],
            "chunks": retrieve(question)}}


def tear_down():
    STATE.clear()
"""

PARAGRAPHS = {
    "a": ("黄山位于安徽省南部。", "安徽省南部有什么山？", "黄山"),
    "b": ("长江流经上海市。", "流经上海市的是什么？", "长江"),
    "c": ("故宫在北京市中心。", "北京市中心有什么？", "故宫"),
    "d": ("泰山是五岳之首。", "五岳之首是什么？", "泰山"),
}


def run(folder: Path, *options: str) -> dict[str, Any]:
    """Run the two systems of a folder with the same settings each time; return the results."""
    out = folder / "results.json"
    same = {
        "--work": folder / "work", "--model": folder / "model", "--news": folder / "news.jsonl",
        "--documents": 1, "--questions": 4, "--json": out, "--threads": 1,
    }  # fmt: skip
    command = [sys.executable, "-m", "benchmarks.peers", folder / "wenju.py", folder / "other.py"]
    command += [*options, *(str(part) for pair in same.items() for part in pair)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text("utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny systems, the second of which breaks on one question, and what to run them on."""
    folder = tmp_path_factory.mktemp("peers")
    none = {"answer": "没有", "refusal": "没有", "citations": "没有"}
    (folder / "wenju.py").write_text(SYSTEM.format(cannot={}, breaks="无此"), "utf-8")
    (folder / "other.py").write_text(SYSTEM.format(cannot=none, breaks="五岳"), "utf-8")
    paragraphs = [
        {
            "id": name,
            "context": text,
            "qas": [{"id": f"{name}?", "question": asked, "answers": [{"text": answer}]}],
        }
        for name, (text, asked, answer) in PARAGRAPHS.items()
    ]
    squad = folder / "small" / "dev.json"
    squad.parent.mkdir()
    squad.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), "utf-8")
    (folder / "news.jsonl").write_text(
        '{"id": "x", "text": "又一篇新闻。"}\n{"id": "y", "text": "再一篇。"}\n', "utf-8"
    )
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text('{"num_hidden_layers": 12}', "utf-8")
    return folder


@pytest.fixture(scope="module")
def results(folder: Path) -> tuple[dict[str, Any], str]:
    """What a run of every stage gave, and the report on it."""
    squad = folder / "small" / "dev.json"
    found = run(folder, "--runs", "2", "--large", "32", "--squad", str(squad))
    report(folder / "results.json")
    for plot in ("time.svg", "retrieval.svg"):
        ElementTree.parse(folder / plot)
    return found, (folder / "RESULTS.md").read_text("utf-8")


def test_every_stage_of_every_run_is_there(results: tuple[dict[str, Any], str]) -> None:
    found, _ = results
    told = {(row["stage"], row["run"], row["system"]) for row in found["timings"]}
    stages = ("first", "cold", "index", "latency")
    names = ("wenju", "other")
    often = {(stage, run, name) for stage in stages for run in (0, 1) for name in names}
    assert told == often | {("large", 0, name) for name in names}
    assert not any("failed" in row for row in found["timings"])
    order = [row["system"] for row in found["timings"] if row["stage"] == "cold"]
    assert order == ["wenju", "other", "other", "wenju"]
    for row in found["timings"]:
        assert 1 < row["peak_mb"] < 1000
        if row["stage"] == "first":
            assert row["cpu_s"] > 0
            assert row["wall_s"] > 0
    (latency, _) = (
        r for r in found["timings"] if (r["stage"], r["system"]) == ("latency", "wenju")
    )
    assert len(latency["retrieve_16"]) == len(latency["answer_1"]) == 50


def test_a_stand_in_indexes_many_articles_once_and_the_model_asks(
    folder: Path, results: tuple[dict[str, Any], str]
) -> None:
    found, said = results
    assert "32 篇新闻上检索一问" in said
    indexes = folder / "work" / "indexes"
    layers = [
        (indexes / "other" / name / "layers").read_text() for name in ("news", "large-32-200")
    ]
    assert layers == ["12", "0"]
    made = indexes / "other" / "large-32-200" / "index.json"
    assert len(json.loads(made.read_text("utf-8"))) == 32
    was = made.stat().st_mtime_ns
    again = run(folder, "--runs", "0", "--large", "32")
    assert made.stat().st_mtime_ns == was
    for name in ("wenju", "other"):
        (before,), (after,) = (
            [r for r in each["timings"] if (r["stage"], r["system"]) == ("large", name)]
            for each in (found, again)
        )
        assert None not in after["retrieve_16"]
        assert after["retrieve_16"] != before["retrieve_16"]
        assert after["disk_mb"] == before["disk_mb"] > 0
    others = [[r for r in each["timings"] if r["stage"] != "large"] for each in (found, again)]
    assert others[0] == others[1]
    assert again["quality"] == found["quality"]


def test_a_question_that_breaks_a_system_counts_as_wrong(
    results: tuple[dict[str, Any], str],
) -> None:
    found, _ = results
    ours, other = (found["quality"]["small"][name]["rows"] for name in ("wenju", "other"))
    assert share(ours, "retrieve", "document", 1) == share(ours, "retrieve", "evidence", 1) == 1.0
    assert [row["id"] for row in other if row["failed"]] == ["d?"]
    assert len(other) == 4
    assert share(other, "retrieve", "evidence", 1) == mrr(other, "retrieve", "evidence") == 0.75
    assert all(row["answer"]["em"] == 1.0 for row in ours)
    assert refusal_auroc(ours) == 1.0
    assert ["answer" in row for row in other] == [False] * 4


def test_the_report_says_what_a_system_cannot_do(results: tuple[dict[str, Any], str]) -> None:
    found, page = results
    assert "| other | 没有 |" in page
    assert "| wenju | 1.000 | 1.000 | 1.000 |" in page
    ratio = median_and_ratio(found, "other", "cold", lambda row: row["wall_s"])
    assert ratio in page
    assert ratio.endswith("×）")


def test_what_is_not_measured_again_stays(tmp_path: Path) -> None:
    sizes = {"threads": 1, "chunk": 200, "questions": 4}
    out = tmp_path / "results.json"
    first = begun(out, sizes)
    first["quality"]["small"] = {"other": {"documents": 4}}
    out.write_text(json.dumps(first), "utf-8")
    assert begun(out, sizes) == first
    with pytest.raises(SystemExit, match="别的设置"):
        begun(out, sizes | {"chunk": 500})


def test_the_report_is_that_of_the_results() -> None:
    folder = ROOT / "benchmarks" / "peers"
    found = json.loads((folder / "results.json").read_text("utf-8"))
    assert (folder / "RESULTS.md").read_text("utf-8") == page(found)
    assert (folder / "time.svg").read_text("utf-8") == time_plot(found)
    assert (folder / "retrieval.svg").read_text("utf-8") == retrieval_plot(found)


def test_a_stage_that_failed_is_told() -> None:
    rows = [{"system": "other", "stage": "cold", "run": 0, "failed": "it broke"}]
    said = median_and_ratio({"timings": rows}, "other", "cold", lambda row: row["wall_s"])
    assert said == "失败 failed"


def test_a_question_that_failed_never_ends() -> None:
    row = {"system": "other", "stage": "latency", "run": 0, "retrieve_1": [0.001, 0.002, None]}
    found = {"timings": [row]}
    assert median_and_ratio(found, "other", "latency", quantile("retrieve_1", 0.5)) == "2.00"
    assert (
        median_and_ratio(found, "other", "latency", quantile("retrieve_1", 0.95)) == "失败 failed"
    )


def test_ratios_are_taken_pair_by_pair() -> None:
    figures = {"wenju": (1.0, 2.0, 4.0), "other": (2.0, 2.0, 20.0)}
    rows = [
        {"system": name, "stage": "cold", "run": run, "wall_s": seconds}
        for name, times in figures.items()
        for run, seconds in enumerate(times)
    ]
    said = median_and_ratio({"timings": rows}, "other", "cold", lambda row: row["wall_s"])
    assert said == "2.00（2.00×）"


QUESTION = Question(id="q", question="?", answers=("5 月", "五月"), document_id="d")


def test_evidence_is_the_answer_in_a_chunk_of_the_right_document() -> None:
    text = "会议在5月举行。"
    chunks = [
        {"document": "x", "text": "会议在5月举行。", "start": 0},
        {"document": "d", "text": "会议", "start": 0},
        {"document": "d", "text": "在5月", "start": 1},
    ]
    row = score_chunks(chunks, QUESTION, text)
    assert (row["document"], row["evidence"], row["chars"]) == (2, 3, 8 + 2 + 3)
    assert row["verbatim"] == (1, 2)
    nothing = score_chunks([], QUESTION, text)
    assert (nothing["document"], nothing["evidence"], nothing["chars"]) == (None, None, None)


def test_an_answer_that_failed_scores_nothing() -> None:
    assert set(score_answer(None, QUESTION, "五月").values()) == {0.0}


@pytest.mark.parametrize("name", ["nothing", "nothing.py"])
def test_a_system_that_is_not_there_is_told(tmp_path: Path, name: str) -> None:
    options = ["--work", tmp_path, "--model", tmp_path, "--news", NEWS, "--json", tmp_path / "o"]
    command = [sys.executable, "-m", "benchmarks.peers", name, *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "没有系统 nothing" in done.stderr


def test_what_the_reader_has_learnt_from_is_not_held_against_others() -> None:
    found = json.loads((ROOT / "benchmarks" / "peers" / "results.json").read_text("utf-8"))
    sections = {part.partition("（")[0]: part for part in page(found).split("\n## ")}
    assert "re-ranked" in sections["cmrc2018"]
    assert "re-ranked" not in sections["drcd"]
    assert "AUROC" in sections["cmrc2018"]
    assert "AUROC" not in sections["drcd"]
