"""`wenju` in English: whatever is wrong, no Chinese is said beyond what was typed."""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import sys
from pathlib import Path

import pytest

from rag import trained_reader
from ui.cli import ANSWERED, FAILED, WRONG_USE, run

Captured = pytest.CaptureFixture[str]
Files = dict[str, bytes]

CHINESE = re.compile(r"[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")
QUESTION = "教育小镇计划总投资多少？"

RECORDS = (
    b'{"text"\n[1]\n{"title": "t"}\n{"text": " "}\n{"text": NaN}\n{"text": "a\\u0000"}\n'
    b'{"text": "a", "by": "\\ud800"}\n\xff\xfe\n{"text": "a", "id": " "}\n'
)
TWICE = b'{"text": "one", "id": "x"}\n{"text": "two", "id": "x"}\n'
HALF_SQUAD = (
    b'{"data": [{"paragraphs": [{"context": "a", "qas": [{"id": "q", "question": "w"}]}]}]}'
)


def question_set(**fields: object) -> bytes:
    return json.dumps({"id": "q", "question": "Who?", **fields}).encode()


@pytest.fixture(autouse=True)
def _english(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENJU_LANG", "en")


@pytest.fixture
def library(home: Path) -> Path:
    """The folder of the default library, which holds the seed article."""
    return home / ".local/share/wenju/library"


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def told(args: list[str], status: int, capsys: Captured) -> str:
    """Run `wenju` and return what it says on stderr, which has no Chinese in it."""
    capsys.readouterr()
    assert run(args) == status
    said = capsys.readouterr().err
    assert said
    assert not CHINESE.search(said)
    return said


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "There is no "),
        ({"in/.hidden": b"a"}, "There are no files in the folder"),
        ({"in/a.png": b"\x89PNG"}, "such files are not supported"),
        ({"in/a.txt": b""}, "is an empty file"),
        ({"in/a.txt": b" \n"}, "has no text"),
        ({"in/a.txt": b"a\0"}, "it holds NUL bytes"),
        ({"in/a.txt": b"\xff\xff\xff"}, "or not in UTF-8"),
        ({"in/a.txt": ("ラーメンを食べる" * 9).encode("shift-jis")}, "does not look like Chinese"),
        ({"in/a.txt": "正文".encode("utf-16") + b"x"}, "first bytes promise"),
        ({"in/a.jsonl": b"\n"}, "There are no records"),
        ({"in/a.jsonl": RECORDS}, "a.jsonl, line 1: It is no valid JSON"),
        ({"in/a.jsonl": RECORDS}, "line 2: It is no JSON object"),
        ({"in/a.jsonl": RECORDS}, 'line 3: There is no text in the field "text"'),
        ({"in/a.jsonl": RECORDS}, "line 4: "),
        ({"in/a.jsonl": RECORDS}, "line 5: NaN is no number of JSON"),
        ({"in/a.jsonl": RECORDS}, "holds the invalid character U+0000"),
        ({"in/a.jsonl": RECORDS}, "line 7: It holds a lone surrogate"),
        ({"in/a.jsonl": RECORDS}, "line 8: It holds bytes that are not in the file's encoding"),
        ({"in/a.jsonl": RECORDS}, "has no id"),
        ({"in/a.jsonl": TWICE}, "The id x occurs twice"),
    ],
)
def test_what_cannot_be_added(files: Files, words: str, tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, files)
    command = ["add", str(tmp_path / "in"), "--library", str(tmp_path / "library")]
    assert words in told(command, FAILED, capsys)


def test_json_lists_errors_in_english(tmp_path: Path, capsys: Captured) -> None:
    missing = str(tmp_path / "missing")
    assert run(["add", missing, "--json"]) == FAILED
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error == f"There is no {missing}. Check the path."


def test_one_id_of_two_sources(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, {"one/a.txt": b"one", "two/a.txt": b"two"})
    place = ["--library", str(tmp_path / "library")]
    assert run(["add", str(tmp_path / "one/a.txt"), *place]) == ANSWERED
    said = told(["add", str(tmp_path / "two/a.txt"), *place], FAILED, capsys)
    assert said.startswith("The document id a.txt has two sources: ")


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["ask", " "], WRONG_USE, "The question is blank"),
        (["ask", "a" * 2001], WRONG_USE, "The question has 2001 characters"),
        (["ask", "a", "--library", "{}/none"], FAILED, "There is no library in "),
        (["ask", "a", "--library", "{}/a.txt"], FAILED, "is a file and no folder"),
        (["ask", "a", "--library", "{}/a.txt/b"], FAILED, "There is no library in "),
        (["ask", "a", "--embedder", "{}/none"], FAILED, "There is no folder "),
        (["ask", "a", "--embedder", "{}"], FAILED, "The embedder "),
        (["add", ""], WRONG_USE, "the path is empty"),
        (["add", "{}/a.txt", "--library", "{}/a.txt/b"], FAILED, "cannot be read or written"),
        (["remove", "none"], FAILED, "There is no document none in the library"),
        (["rebuild", "--library", "{}/none"], FAILED, "There is no library in "),
        (["eval", "--min", "none=1"], WRONG_USE, "none=1 is not one of "),
        (["eval", "--min", "ece=1"], WRONG_USE, "ece=1 is not one of "),
        (["eval", "--questions", "{}/none"], FAILED, "There is no question set "),
        (["eval", "--questions", "{}"], FAILED, "cannot be read"),
        (["eval", "--questions", "{}/a.txt"], FAILED, "a.txt, line 1: It is no JSON"),
        (["eval", "--squad", "{}/none"], FAILED, "There is no question set "),
        (["eval", "--squad", "{}/a.txt"], FAILED, "a.txt: It is no JSON"),
        (["eval", "--baseline", "{}/none"], FAILED, "There is no report "),
        (["eval", "--baseline", "{}/a.txt"], FAILED, "cannot be read"),
        (["eval", "--limit", "1", "--json", "{}/none/a"], FAILED, "The report cannot be written"),
        (["nope"], WRONG_USE, "No such command"),
    ],
)
def test_what_cannot_be_done(
    args: list[str], status: int, words: str, tmp_path: Path, capsys: Captured
) -> None:
    write(tmp_path, {"a.txt": b"Some text."})
    assert words in told([arg.format(tmp_path) for arg in args], status, capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\n", "There are no questions in "),
        ("问".encode("gb18030"), "is no text in UTF-8"),
        (b"[1]", "line 1: It should be a JSON object"),
        (question_set(question=" "), '"question" is blank'),
        (question_set(id=None), '"id" should be a string, and is missing'),
        (question_set(answers="a"), "\"answers\" should be a list, and is 'a'"),
        (question_set(answerable=1), '"answerable" should be true or false'),
        (question_set(evidence=[""]), '"evidence" should be a list of strings'),
        (question_set(history=["a"]), 'Each of "history" should be '),
        (question_set() + b"\n" + question_set(), 'line 2: The id "q" is used in line 1 already'),
        (question_set(document="none"), 'The document "none" of the question "q"'),
        (question_set(evidence=["none"]), 'The evidence "none" of the question "q"'),
    ],
)
def test_what_is_no_question_set(
    content: bytes, words: str, tmp_path: Path, capsys: Captured
) -> None:
    write(tmp_path, {"set.jsonl": content})
    assert words in told(["eval", "--questions", str(tmp_path / "set.jsonl")], FAILED, capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{}", "It is not in SQuAD's layout"),
        (b'{"data": []}', "It holds no questions"),
        (HALF_SQUAD, 'The question "q" has no answer'),
    ],
)
def test_what_is_no_squad_file(
    content: bytes, words: str, tmp_path: Path, capsys: Captured
) -> None:
    write(tmp_path, {"squad.json": content, "squad.json.gz": gzip.compress(content)})
    for name in ("squad.json", "squad.json.gz"):
        assert words in told(["eval", "--squad", str(tmp_path / name)], FAILED, capsys)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"{}", "is no report"), (b'{"metrics": {}, "rows": [3]}', "is damaged: not all its figures")],
)
def test_what_is_no_report(content: bytes, words: str, tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, {"old.json": content})
    command = ["eval", "--limit", "1", "--baseline", str(tmp_path / "old.json")]
    assert words in told(command, FAILED, capsys)


def test_questions_without_a_document_to_hide(tmp_path: Path, capsys: Captured) -> None:
    write(tmp_path, {"set.jsonl": question_set(answerable=False)})
    command = ["eval", "--questions", str(tmp_path / "set.jsonl"), "--hold-out", "1"]
    assert "no question whose document could be hidden" in told(command, FAILED, capsys)


def test_a_metric_below_its_minimum(capsys: Captured) -> None:
    said = told(["eval", "--limit", "1", "--min", "recall@5=1.5"], FAILED, capsys)
    assert said.endswith("below the minimum of 1.5.\n")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WENJU_TOPK", "3", "There is no setting WENJU_TOPK"),
        ("WENJU_TOP_K", "0", "The setting top_k cannot be 0"),
        ("WENJU_TOP_K", "x", "The setting WENJU_TOP_K cannot be 'x'"),
    ],
)
def test_a_wrong_setting(
    name: str, value: str, words: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert words in told(["ask", "a"], WRONG_USE, capsys)


def test_a_damaged_library(library: Path, capsys: Captured) -> None:
    (library / "library.sqlite").write_bytes(b"nonsense" * 1000)
    assert "library.sqlite is damaged" in told(["documents"], FAILED, capsys)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE settings SET value = 99 WHERE name = 'format'", "is in format 99"),
        ("UPDATE settings SET value = 'other' WHERE name = 'embedder'", "was made by the embedder"),
        ("DELETE FROM settings WHERE name = 'format'", "the settings are not as stored"),
        ("UPDATE documents SET text = 'x'", "is not as stored"),
        ("UPDATE passages SET embeddings = x'00'", "vectors have the wrong length"),
    ],
)
def test_a_library_that_does_not_fit(
    change: str, words: str, library: Path, capsys: Captured
) -> None:
    with sqlite3.connect(library / "library.sqlite") as connection:
        connection.execute(change)
    connection.close()
    assert words in told(["ask", QUESTION], FAILED, capsys)


def test_a_library_that_cannot_be_written(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(home, {"file": b""})
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "file"))
    assert "a temporary one with the seed" in told(["ask", QUESTION], ANSWERED, capsys)


def test_a_reader_that_cannot_be_imported(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained_reader, "_load", trained_reader._load.__wrapped__)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "Extraction by rules stands in" in told(["ask", QUESTION], ANSWERED, capsys)
