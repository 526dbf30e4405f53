"""`wenju` with a language model that always says the same: how it is measured and held to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run
from misbehaving import answers, misbehaving

from ui.cli import ANSWERED, run

QUESTION = "教育小镇计划总投资多少？"
RIGHT = "江苏港利集团计划总投资约100亿元的教育小镇成功落地。"
WRONG = "江苏港利集团计划总投资约200亿元的教育小镇成功落地。"

Captured = pytest.CaptureFixture[str]


def named(url: str) -> list[str]:
    return ["--llm-base-url", url, "--llm-model", "some-model"]


# wenju eval


def test_a_model_is_measured_beside_the_extraction(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out.json"
    with misbehaving(answers(RIGHT)) as server:
        command = ["eval", "--limit", "3", "--json", str(out), *named(server.url)]
        assert run(command) == ANSWERED
        assert len(server.visits) == 3
    compared = capsys.readouterr().out.partition("比较")[2].splitlines()
    assert compared[0].split()[:2] == ["抽取", "some-model"]
    shown = {row.split()[0]: row.split()[1:] for row in compared if row.strip()}
    metrics = json.loads(out.read_text(encoding="utf-8"))["metrics"]
    for name in ("claim_recall", "unsupported_rate", "fallback_rate"):
        extracted, models = shown[name][:2]
        assert models == f"{metrics[name]:.3f}"
        assert (extracted == "–") == (name != "claim_recall")


def test_a_model_that_says_what_no_document_says_is_never_the_answer(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = tmp_path / "out.json"
    with misbehaving(answers(WRONG)) as server:
        command = ["eval", "--limit", "3", "--json", str(out), *named(server.url)]
        assert run(command) == ANSWERED
    metrics = json.loads(out.read_text(encoding="utf-8"))["metrics"]
    assert (metrics["fallback_rate"], metrics["quote_verbatim"]) == (1.0, 1.0)


def test_extraction_asks_no_model(home: Path, capsys: Captured) -> None:
    with misbehaving(answers(RIGHT)) as server:
        command = ["--limit", "3", "--extract", *named(server.url)]
        assert run(["eval", *command]) == ANSWERED
        assert server.visits == []
    assert "some-model" not in capsys.readouterr().out


# wenju ask


def test_a_bare_figure_is_no_answer_in_english(home: Path, capsys: Captured) -> None:
    with misbehaving(answers("56%")) as server:
        asked = ["ask", "市级涉企收费清单同比精简多少？", "--json", *named(server.url)]
        assert run(asked) == ANSWERED
    answer = json.loads(capsys.readouterr().out)
    assert (answer["mode"], answer["text"], answer["notices"]) == ("llm", "56%", [])


# wenju ask --strict, in processes of their own


def test_a_wrong_figure_is_marked_and_where_it_must_not_be_the_answer_is_extracted(
    home: Path, wenju: Run
) -> None:
    with misbehaving(answers(RIGHT, WRONG)) as server:
        lax = wenju("ask", QUESTION, *named(server.url))
        strict = wenju("ask", QUESTION, "--strict", *named(server.url))
        assert len(server.visits) == 2
    assert (lax.returncode, strict.returncode) == (ANSWERED, ANSWERED)
    assert lax.stdout.splitlines()[0] == f"{RIGHT}[1]{WRONG}[?]"
    assert f"⚠ 原文没有支持这一句：{WRONG}" in lax.stdout
    assert lax.stderr == ""
    assert strict.stdout.splitlines()[0] == "约100亿元"
    assert "200亿元" not in strict.stdout
    assert "严格模式" in strict.stderr
    assert WRONG in strict.stderr


def test_strictness_leaves_an_answer_that_holds(home: Path, wenju: Run) -> None:
    with misbehaving(answers(RIGHT)) as server:
        done = wenju("ask", QUESTION, "--strict", "--json", *named(server.url))
    answer = json.loads(done.stdout)
    assert (answer["mode"], answer["text"], answer["notices"]) == ("llm", RIGHT, [])
