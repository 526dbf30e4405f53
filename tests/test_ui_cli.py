"""`wenju` from end to end: every command, every exit status, and every bad input."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from answers import ANSWER
from conftest import Run
from hypothesis import given
from hypothesis import strategies as st
from milvus_server import MilvusServer

from index.embedder import DEFAULT_EMBEDDER
from index.errors import LibraryError
from index.library import LibraryInfo
from rag.answer import Chatbot
from rag.default_library import default_folder
from ui.cli import ANSWERED, FAILED, REFUSED, WRONG_USE, run, vector_index_line
from ui.evaluation import read_minimums
from ui.feedback import save_feedback

QUESTION = "教育小镇计划总投资多少？"
ABSENT = "教育小镇占地多少亩？"

Captured = pytest.CaptureFixture[str]


# In processes of their own


def test_a_question_is_answered_with_its_source(home: Path, wenju: Run) -> None:
    done = wenju("ask", QUESTION)
    assert done.returncode == ANSWERED
    assert "100亿元" in done.stdout.splitlines()[0]
    assert "[1] " in done.stdout
    assert "总投资约100亿元的教育小镇成功落地" in done.stdout
    assert done.stderr == ""


def test_what_the_documents_do_not_say_is_refused(home: Path, wenju: Run) -> None:
    done = wenju("ask", ABSENT, "--json", env={"WENJU_THRESHOLD": "1"})
    assert done.returncode == REFUSED
    answer = json.loads(done.stdout)
    assert answer["refused"] is True
    assert answer["text"] == ""
    assert answer["hits"]


def test_the_first_use_needs_nothing_but_the_question(new_home: Path, wenju: Run) -> None:
    done = wenju("ask", QUESTION)
    assert done.returncode == ANSWERED
    assert "100亿元" in done.stdout


def test_a_question_comes_from_stdin_in_any_bytes(home: Path, wenju: Run) -> None:
    assert "100亿元" in wenju("ask", "-", input=f"{QUESTION}\n").stdout
    done = wenju("ask", "-", "--json", input=b"\xff\x00\xed\xa0\x80" + QUESTION.encode())
    assert done.returncode in (ANSWERED, REFUSED)
    assert "\ufffd" in json.loads(done.stdout)["question"]


def test_lone_surrogates_on_the_command_line_are_taken(home: Path) -> None:
    code = "from ui.cli import run; import sys; sys.exit(run(['ask', sys.argv[1], '--json']))"
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", code, b"\xed\xa0\x80" + QUESTION.encode()],
        env={**os.environ, "PYTHONPATH": root},
        capture_output=True,
        check=False,
    )
    assert done.returncode in (ANSWERED, REFUSED), done.stderr
    assert "\ufffd" in json.loads(done.stdout)["question"]


def test_wrong_use_is_one_sentence_and_status_2(new_home: Path, wenju: Run) -> None:
    done = wenju("ask", "--jsn")
    assert done.returncode == WRONG_USE
    assert done.stdout == ""
    assert done.stderr == "没有 --jsn 这个选项；您要的是不是 --json。用法见 wenju ask --help。\n"


def test_output_that_nobody_reads_to_its_end_is_no_error(home: Path, wenju: Run) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    root = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", "from ui.cli import main; main()", "documents", "--json"],
        env={**os.environ, "PYTHONPATH": root},
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (FAILED, b"")


def test_an_encoding_without_chinese_is_no_error(home: Path, wenju: Run) -> None:
    done = wenju("ask", QUESTION, env={"PYTHONIOENCODING": "ascii"})
    assert done.returncode == ANSWERED
    assert "100" in done.stdout


def test_an_interruption_ends_it_quietly(new_home: Path, tmp_path: Path) -> None:
    root = str(Path(__file__).parent.parent)
    # A shell lets what runs in its background ignore the signal, and children inherit that.
    heeds = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{heeds}; from ui.cli import main; main()", "ask", "-"],
        env={**os.environ, "PYTHONPATH": root},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _wait_until_reading_stdin(process.pid)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, b"")


def _wait_until_reading_stdin(pid: int) -> None:
    call = Path(f"/proc/{pid}/syscall")  # its number, then its arguments: a read's file is first
    waiting = Path(f"/proc/{pid}/wchan")
    if not call.exists():
        pytest.skip("only Linux tells what a process waits for")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        # While it starts it may read from other pipes, and an import may swallow the signal.
        if "pipe" in waiting.read_text() and call.read_text().split()[1:2] == ["0x0"]:
            return
        time.sleep(0.05)
    raise TimeoutError("it never read its input")


def test_the_shell_completes_commands_and_options(new_home: Path, wenju: Run) -> None:
    for words, expected in (
        ("wenju re", "rebuild"),
        ("wenju cop", "copy"),
        ("wenju eval --sq", "--squad"),
    ):
        env = {
            "_WENJU_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(words.count(" ")),
        }
        assert expected in wenju(env=env).stdout.split()


# In this process


def test_the_help_is_in_one_language(capsys: Captured) -> None:
    for command in (
        "",
        "ask",
        "chat",
        "add",
        "documents",
        "remove",
        "rebuild",
        "copy",
        "info",
        "eval",
    ):
        assert run([*command.split(), "--help"]) == ANSWERED
        text = capsys.readouterr().out
        assert text.startswith(f"用法：wenju {command}".rstrip())
        for english in ("Usage", "Options", "Arguments", "Commands", "Show ", "required"):
            assert english not in text


def test_wenju_alone_shows_its_help(capsys: Captured) -> None:
    assert run([]) == ANSWERED
    assert "用法：wenju" in capsys.readouterr().out


def test_the_version_is_told(capsys: Captured) -> None:
    assert run(["--version"]) == ANSWERED
    assert capsys.readouterr().out.startswith("wenju ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["nope"], "没有 nope 这个命令。用法见 wenju --help。"),
        (["ask"], "缺少 QUESTION。用法见 wenju ask --help。"),
        (["ask", "甲", "乙"], "多出了参数 乙。用法见 wenju ask --help。"),
        (["chat", "--port", "x"], "--port 的值不能用：应为整数。用法见 wenju chat --help。"),
        (["remove"], "缺少 ID...。用法见 wenju remove --help。"),
        (["ask", "甲", "--library"], "--library 后面缺少值。用法见 wenju ask --help。"),
        (["ask", "甲", "--json=1"], "--json 不带值。用法见 wenju ask --help。"),
        (["chat", "--browser=x"], "--browser 不带值。用法见 wenju chat --help。"),
        (["--version=1"], "--version 不带值。用法见 wenju --help。"),
        (["chat", "--port", "0"], "--port 的值不能用：应不小于 1。用法见 wenju chat --help。"),
        (["eval", "--hold-out", "2"], "--hold-out 的值不能用：应不大于 1。"),
        (["eval", "--hold-out", "x"], "--hold-out 的值不能用：应为数。"),
        (["eval", "--min", "nope=1"], "--min 的值不能用：nope=1 应写成 指标=值"),
        (["eval", "--min", "ece=1"], "--min 的值不能用：ece=1 应写成 指标=值"),
        (["eval", "--min", "answer_em=x"], "--min 的值不能用：x 不是数"),
        (["eval", "--min", "answer_em=nan"], "--min 的值不能用：nan 不是数"),
        (["eval", "--min", "answer_em=-inf"], "--min 的值不能用：-inf 不是数"),
        (["eval", "--questions", "a", "--squad", "b"], "--squad 的值不能用：与 --questions"),
        (["eval", "--hold-out", "1", "--given-document"], "与 --given-document 不能同时用"),
    ],
)
def test_wrong_use_says_what_is_wrong(args: list[str], message: str, capsys: Captured) -> None:
    assert run(args) == WRONG_USE
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_wrong_use_is_told_in_english_where_it_is_asked_for(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WENJU_LANG", "en")
    assert run(["ask"]) == WRONG_USE
    assert capsys.readouterr().err == "Missing argument 'QUESTION'. See wenju ask --help.\n"


@pytest.mark.parametrize("question", ["", "   ", "\n", "长" * 100_000])
def test_a_question_that_cannot_be_asked_is_wrong_use(
    question: str, home: Path, capsys: Captured
) -> None:
    assert run(["ask", question]) == WRONG_USE
    captured = capsys.readouterr()
    assert captured.err.startswith("问题")
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_an_unknown_setting_is_wrong_use(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WENJU_TRESHOLD", "0.5")
    assert run(["ask", QUESTION]) == WRONG_USE
    assert "WENJU_THRESHOLD" in capsys.readouterr().err


def test_a_question_may_be_kept_to_one_document(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    other = tmp_path / "乡.txt"
    other.write_text("清河乡计划总投资7亿元建设茶叶小镇。", encoding="utf-8")
    run(["add", str(other)])
    capsys.readouterr()
    run(["ask", "小镇计划总投资多少？", "--document", "乡.txt", "--json"])
    hits = json.loads(capsys.readouterr().out)["hits"]
    assert {hit["passage"]["document_id"] for hit in hits} == {"乡.txt"}


def test_a_document_that_is_not_there_is_wrong_use(home: Path, capsys: Captured) -> None:
    assert run(["ask", QUESTION, "--document", "无.txt"]) == WRONG_USE
    captured = capsys.readouterr()
    assert "--document 的值不能用：资料库里没有文档 无.txt" in captured.err
    assert captured.out == ""


def test_a_page_is_told_with_its_citation(home: Path, capsys: Captured) -> None:
    report = Path(__file__).parent / "files" / "工作报告.pdf"
    assert run(["add", str(report)]) == ANSWERED
    capsys.readouterr()
    asked = ["ask", "水库除险加固工程总投资多少？", "--document", "工作报告.pdf"]
    assert run(asked) == ANSWERED
    captured = capsys.readouterr().out
    assert captured.splitlines()[0] == "3,850万元"
    assert "(工作报告.pdf 第 2 页 " in captured
    assert run([*asked, "--json"]) == ANSWERED
    (citation,) = json.loads(capsys.readouterr().out)["citations"]
    assert citation["page"] == 2


def test_an_interruption_says_that_what_is_done_is_kept(
    home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("index.library.DiskLibrary.add", interrupted)
    file = tmp_path / "茶.txt"
    file.write_text("清河乡种茶。", encoding="utf-8")
    assert run(["add", str(file)]) == 130
    assert "已经保存" in capsys.readouterr().err


def test_documents_are_added_listed_and_removed(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "茶.txt"
    file.write_text("清河乡2021年种茶300亩。", encoding="utf-8")
    assert run(["add", str(file), "--json"]) == ANSWERED
    report = json.loads(capsys.readouterr().out)
    assert (report["added"], report["unchanged"], report["errors"]) == (1, 0, [])

    assert run(["add", str(file)]) == ANSWERED
    assert "未变 1 个" in capsys.readouterr().out

    assert run(["documents", "--json"]) == ANSWERED
    assert [d["id"] for d in json.loads(capsys.readouterr().out)] == ["article.txt", "茶.txt"]
    assert run(["documents"]) == ANSWERED
    assert "茶.txt" in capsys.readouterr().out

    assert run(["remove", "茶.txt"]) == ANSWERED
    assert "移除了 1 个文档" in capsys.readouterr().out
    assert run(["remove", "茶.txt"]) == FAILED
    assert "没有文档 茶.txt" in capsys.readouterr().err


def test_what_is_removed_is_told_to_programs(home: Path, capsys: Captured) -> None:
    assert run(["remove", "article.txt", "无.txt", "--json"]) == FAILED
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {"removed": 1, "missing": ["无.txt"]}
    assert "没有文档 无.txt" in captured.err


def test_what_cannot_be_added_is_named_and_the_rest_is_added(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "文档"
    folder.mkdir()
    (folder / "好.txt").write_text("清河乡种茶。", encoding="utf-8")
    (folder / "空.txt").write_text("", encoding="utf-8")
    (folder / "坏.jsonl").write_text('{"text": "第一条。"}\n{坏\n', encoding="utf-8")
    missing = tmp_path / "没有"
    assert run(["add", str(folder), str(missing), "--json"]) == FAILED
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["added"] == 2
    assert len(report["errors"]) == 3
    for named in ("空.txt", "坏.jsonl", str(missing)):
        assert named in captured.err


def added(capsys: Captured, *paths: Path, status: int = ANSWERED) -> dict[str, Any]:
    assert run(["add", *map(str, paths), "--json"]) == status
    return json.loads(capsys.readouterr().out)


def test_one_id_of_two_files_is_told_and_the_rest_is_added(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    one, other = tmp_path / "甲" / "文档", tmp_path / "乙" / "文档"
    for folder in (one, other):
        folder.mkdir(parents=True)
        (folder / "茶.txt").write_text(f"{folder.parent.name}乡种茶。", encoding="utf-8")
    (other / "桥.txt").write_text("石桥建于清代。", encoding="utf-8")
    report = added(capsys, one, other, status=FAILED)
    assert (report["added"], len(report["errors"])) == (2, 1)
    assert f"{one / '茶.txt'} 与 {other / '茶.txt'}，没有加入后一个" in report["errors"][0]
    again = added(capsys, one, other, status=FAILED)
    assert (again["unchanged"], again["errors"]) == (2, report["errors"])


def test_a_folder_that_was_moved_is_added_as_before(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    folder = tmp_path / "旧" / "文档"
    folder.mkdir(parents=True)
    (folder / "茶.txt").write_text("清河乡种茶。", encoding="utf-8")
    added(capsys, folder)
    (tmp_path / "旧").rename(tmp_path / "新")
    folder = tmp_path / "新" / "文档"
    (folder / "桥.txt").write_text("石桥建于清代。", encoding="utf-8")
    (folder / "空.txt").write_text("", encoding="utf-8")
    report = added(capsys, folder, status=FAILED)
    assert (report["added"], report["updated"], report["unchanged"]) == (1, 0, 1)
    (error,) = report["errors"]
    assert "空.txt 是空文件" in error
    run(["documents", "--json"])
    sources = {each["id"]: each["source"] for each in json.loads(capsys.readouterr().out)}
    assert sources["文档/茶.txt"] == str(folder / "茶.txt")
    (folder / "空.txt").unlink()
    (folder / "茶.txt").write_text("清河乡种茶三百亩。", encoding="utf-8")
    assert added(capsys, folder / ".." / "文档")["updated"] == 1


def test_records_may_be_put_before_others(home: Path, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "r.jsonl"

    def write(**texts: str) -> None:
        lines = [json.dumps({"id": name, "text": text}) for name, text in texts.items()]
        file.write_text("\n".join(lines), encoding="utf-8")

    write(k1="清河乡种茶。", k2="石桥建于清代。")
    added(capsys, file)
    write(k0="果园结果。", k1="清河乡种茶。", k2="石桥建于明代。")
    report = added(capsys, file)
    assert (report["added"], report["updated"], report["unchanged"]) == (1, 1, 1)


def test_what_could_not_be_read_is_told_where_adding_fails(
    home: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise LibraryError("磁盘已满。", "The disk is full.")

    monkeypatch.setattr("index.library.DiskLibrary.add", failing)
    (tmp_path / "空.txt").write_text("", encoding="utf-8")
    (tmp_path / "茶.txt").write_text("清河乡种茶。", encoding="utf-8")
    assert run(["add", str(tmp_path / "空.txt"), str(tmp_path / "茶.txt")]) == FAILED
    empty, full = capsys.readouterr().err.splitlines()
    assert "空.txt 是空文件" in empty
    assert full == "磁盘已满。"


def test_nothing_to_add_leaves_everything_alone(
    new_home: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert run(["add", str(tmp_path / "没有"), "--library", str(tmp_path / "库")]) == FAILED
    captured = capsys.readouterr()
    assert "没有" in captured.err
    assert captured.err.count("\n") == 1
    assert "新增 0 个文档" in captured.out
    assert not (tmp_path / "库").exists()


@pytest.mark.parametrize("path", ["", "  "])
def test_an_empty_path_is_not_the_current_folder(
    path: str, new_home: Path, capsys: Captured
) -> None:
    assert run(["add", path]) == WRONG_USE
    assert capsys.readouterr().err == "PATH 的值不能用：路径是空的。用法见 wenju add --help。\n"
    assert not any(new_home.iterdir())


def test_many_unreadable_lines_do_not_flood_the_terminal(
    new_home: Path, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "坏.jsonl"
    file.write_text("坏\n" * 50, encoding="utf-8")
    assert run(["add", str(file), "--json"]) == FAILED
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 21
    assert captured.err.endswith("另有 30 处没有加入；--json 列出全部。\n")
    assert len(json.loads(captured.out)["errors"]) == 50


def test_a_library_may_be_named(home: Path, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "茶.txt"
    file.write_text("清河乡2021年种茶300亩。", encoding="utf-8")
    library = ["--library", str(tmp_path / "我的 库")]
    assert run(["documents", *library]) == FAILED
    assert str(tmp_path / "我的 库") in capsys.readouterr().err
    assert run(["add", str(file), *library]) == ANSWERED
    capsys.readouterr()
    assert run(["info", "--json", *library]) == ANSWERED
    info = json.loads(capsys.readouterr().out)
    assert (info["documents"], info["location"]) == (1, str(tmp_path / "我的 库"))
    run(["ask", "种茶多少亩？", *library])
    assert "茶.txt" in capsys.readouterr().out


def test_a_library_is_rebuilt(home: Path, tmp_path: Path, capsys: Captured) -> None:
    file = tmp_path / "茶.txt"
    file.write_text("清河乡种茶。", encoding="utf-8")
    library = ["--library", str(tmp_path / "库")]
    run(["add", str(file), *library])
    capsys.readouterr()
    assert run(["rebuild", *library]) == ANSWERED
    assert "已重建 1 个文档、1 个段落" in capsys.readouterr().out
    assert run(["info", *library]) == ANSWERED
    assert DEFAULT_EMBEDDER in capsys.readouterr().out
    assert run(["rebuild", "--json", *library]) == ANSWERED
    rebuilt = json.loads(capsys.readouterr().out)
    assert run(["info", "--json", *library]) == ANSWERED
    assert json.loads(capsys.readouterr().out).keys() == rebuilt.keys()
    assert (rebuilt["documents"], rebuilt["passages"]) == (1, 1)


@pytest.mark.parametrize(
    ("name", "passages", "changes", "expected"),
    [
        ("Flat", 12, 0, "Flat，2.5 MB（30,000 段以内，逐一比较）"),
        (
            "HNSW32",
            90_000,
            7,
            "HNSW32，2.5 MB（30,000 段以上，沿近邻图查找；减到 24,000 段换回）"
            "；另有 7 处改动在内存中",
        ),
        (
            "IVF4096,SQ8",
            900_000,
            0,
            "IVF4096,SQ8，2.5 MB（500,000 段以上，压缩分组，查最近的几组；减到 400,000 段换回）",
        ),
    ],
)
def test_info_says_which_vector_index_and_why(
    name: str, passages: int, changes: int, expected: str
) -> None:
    found = LibraryInfo("库", 1, passages, "模型", 384, name, 1, 9_000_000, 2_500_000, changes)
    assert vector_index_line(found) == expected


def test_there_must_be_something_to_rebuild(new_home: Path, capsys: Captured) -> None:
    assert run(["rebuild"]) == FAILED
    assert "没有资料库" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_serves_questions_only(
    seeded_home: Path,
    new_home: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocked = new_home / "a file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_DATA_HOME", str(blocked))
    assert run(["ask", QUESTION]) == ANSWERED
    captured = capsys.readouterr()
    assert "100亿元" in captured.out
    assert captured.err.count("WENJU_LIBRARY") == 1
    assert run(["ask", QUESTION, "--json"]) == ANSWERED
    (notice,) = json.loads(capsys.readouterr().out)["notices"]
    assert "结束后即消失" in notice
    served: list[Chatbot] = []
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("ui.server.serve", lambda chatbot, *_, **__: served.append(chatbot))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert run(["chat", "--no-browser", "--port", str(port)]) == ANSWERED
    (chatbot,) = served
    assert chatbot.notices == (notice,)
    assert notice in capsys.readouterr().err
    file = tmp_path / "茶.txt"
    file.write_text("清河乡种茶。", encoding="utf-8")
    assert run(["add", str(file)]) == FAILED
    assert str(blocked) in capsys.readouterr().err


def test_a_damaged_library_is_told_with_what_to_do(home: Path, capsys: Captured) -> None:
    (home / ".local/share/wenju/library/library.sqlite").write_bytes(b"nonsense" * 1000)
    assert run(["ask", QUESTION]) == FAILED
    captured = capsys.readouterr()
    assert "library.sqlite" in captured.err
    assert captured.err.count("\n") == 1


def test_a_model_that_is_not_there_is_told(
    new_home: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    missing = str(tmp_path / "no-such-model")
    assert run(["ask", QUESTION, "--embedder", missing]) == FAILED
    assert missing in capsys.readouterr().err


# wenju eval


def test_an_evaluation_prints_writes_compares_and_holds_minimums(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    first, page = tmp_path / "first.json", tmp_path / "first.html"
    library = home / ".local/share/wenju/library"
    generation = (library / "library.sqlite").read_bytes()
    assert run(["eval", "--limit", "3", "--json", str(first), "--html", str(page)]) == ANSWERED
    captured = capsys.readouterr()
    for shown in ("recall@5", "证据召回@5", "95% 区间", "题型", "retrieve", "3 题，失败"):
        assert shown in captured.out
    report = json.loads(first.read_text(encoding="utf-8"))
    assert report["questions"] == 3
    assert report["metrics"]["quote_verbatim"] == 1.0
    assert report["settings"]["limit"] == 3
    assert "<html" in page.read_text(encoding="utf-8")
    assert (library / "library.sqlite").read_bytes() == generation

    older = ["--baseline", str(first), "--library", str(library)]
    assert run(["eval", "--limit", "3", *older, "--min", "recall@5=1.01"]) == FAILED
    captured = capsys.readouterr()
    assert "以前" in captured.out
    assert captured.err == "recall@5 为 1.000，低于下限 1.01。\n"


def test_the_questions_of_a_file_are_asked_of_the_library(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    questions = tmp_path / "题.jsonl"
    record = {
        "id": "q",
        "question": QUESTION,
        "answers": ["约100亿元"],
        "evidence": ["江苏港利集团计划总投资约100亿元的教育小镇成功落地"],
    }
    questions.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    assert run(["eval", "--questions", str(questions), "--json", "-"]) == ANSWERED
    report = json.loads(capsys.readouterr().out)
    assert report["metrics"]["answer_contains"] == 1.0
    assert report["settings"]["question_set"] == "题.jsonl"


def test_a_squad_file_becomes_a_library_that_is_kept(
    new_home: Path, tmp_path: Path, capsys: Captured
) -> None:
    squad = tmp_path / "squad.json"
    paragraphs = [
        {
            "id": f"p{number}",
            "context": f"{town}镇于{1990 + number}年设立，盛产{product}。",
            "qas": [
                {
                    "id": f"q{number}",
                    "question": f"{town}镇盛产什么？",
                    "answers": [{"text": product, "answer_start": 0}],
                }
            ],
        }
        for number, (town, product) in enumerate([("青山", "茶叶"), ("白水", "稻米")])
    ]
    data = {"data": [{"title": "镇", "paragraphs": paragraphs}]}
    squad.write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    command = ["eval", "--squad", str(squad), "--json", "-"]
    assert run(command) == ANSWERED
    report = json.loads(capsys.readouterr().out)
    assert report["questions"] == 2
    assert report["metrics"]["document_recall@1"] == 1.0
    kept = list((new_home / ".cache/wenju/evaluation").iterdir())
    assert len(kept) == 1
    assert run([*command, "--hold-out", "0.5", "--sample-seed", "1"]) == ANSWERED
    assert json.loads(capsys.readouterr().out)["metrics"]["refusal_recall"] is not None
    assert list((new_home / ".cache/wenju/evaluation").iterdir()) == kept


@pytest.mark.parametrize("option", ["--questions", "--squad", "--baseline"])
def test_a_missing_file_is_told(option: str, home: Path, tmp_path: Path, capsys: Captured) -> None:
    missing = str(tmp_path / "没有.json")
    assert run(["eval", option, missing]) == FAILED
    assert missing in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_told(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    out = str(tmp_path / "没有" / "out.json")
    assert run(["eval", "--limit", "1", "--json", out]) == FAILED
    assert out in capsys.readouterr().err


def test_a_name_too_long_is_told(home: Path, tmp_path: Path, capsys: Captured) -> None:
    name = str(tmp_path / ("长" * 300))
    feedback = home / ".local/share/wenju/feedback.jsonl"
    save_feedback(ANSWER, [], "wrong", path=feedback)
    for command in (["eval", "--from-feedback", name], ["ask", QUESTION, "--library", name]):
        assert run(command) == FAILED
        assert name in capsys.readouterr().err


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_may_be_a_minimum(value: float) -> None:
    assert read_minimums([f"recall@5={value!r}"]) == {"recall@5": value}


def test_a_library_is_copied_and_asked_elsewhere(
    home: Path, tmp_path: Path, capsys: Captured
) -> None:
    default, copy = str(default_folder()), str(tmp_path / "副本")
    assert run(["copy", default, copy, "--json"]) == ANSWERED
    report = json.loads(capsys.readouterr().out)
    assert (report["added"], report["updated"], report["unchanged"]) == (1, 0, 0)
    assert run(["copy", default, copy]) == ANSWERED
    assert "未变 1 个" in capsys.readouterr().out
    assert run(["ask", QUESTION, "--library", copy]) == ANSWERED
    assert "100亿元" in capsys.readouterr().out


def test_a_copy_of_nothing_fails(new_home: Path, tmp_path: Path, capsys: Captured) -> None:
    assert run(["copy", str(tmp_path / "无"), str(tmp_path / "副本")]) == FAILED
    assert "里没有资料库" in capsys.readouterr().err
    assert not (tmp_path / "副本").exists()


def test_an_interrupted_copy_says_that_what_is_done_is_kept(
    home: Path, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ui.cli.copy_library", interrupted)
    assert run(["copy", str(default_folder()), str(tmp_path / "副本")]) == 130
    assert "已经保存" in capsys.readouterr().err


def test_every_command_works_on_milvus(
    home: Path, tmp_path: Path, milvus: MilvusServer, capsys: Captured
) -> None:
    where = ["--library", str(milvus.address())]
    assert run(["copy", str(default_folder()), where[1], "--json"]) == ANSWERED
    assert json.loads(capsys.readouterr().out)["added"] == 1
    assert run(["ask", QUESTION, *where]) == ANSWERED
    assert "100亿元" in capsys.readouterr().out
    file = tmp_path / "茶.txt"
    file.write_text("清河乡2021年种茶300亩。", encoding="utf-8")
    assert run(["add", str(file), *where]) == ANSWERED
    assert run(["remove", "article.txt", *where]) == ANSWERED
    assert run(["rebuild", *where]) == ANSWERED
    capsys.readouterr()
    assert run(["documents", "--json", *where]) == ANSWERED
    assert [d["id"] for d in json.loads(capsys.readouterr().out)] == ["茶.txt"]
    assert run(["info", *where]) == ANSWERED
    told = capsys.readouterr().out
    assert where[1] in told
    assert "Milvus AUTOINDEX（由服务器选择）" in told
    assert "占用磁盘" not in told
    assert run(["info", "--json", *where]) == ANSWERED
    assert json.loads(capsys.readouterr().out)["bytes_on_disk"] is None


@pytest.mark.parametrize("command", [["info", "--library"], ["copy", "库"]])
def test_an_address_that_cannot_be_read_is_wrong_use(
    command: list[str], new_home: Path, capsys: Captured
) -> None:
    assert run([*command, "milvus://root:hidden@db"]) == WRONG_USE
    said = capsys.readouterr().err
    assert "milvus://HOST" in said
    assert "hidden" not in said
