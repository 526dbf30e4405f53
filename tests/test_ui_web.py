"""The chat page, served for real and asked through Gradio's own client."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from rag.answer import Answer

CHAT = "import sys; from ui.cli import run; sys.exit(run(['chat', *sys.argv[1:]]))"
ROOT = Path(__file__).parent.parent
TOWN = "教育小镇计划总投资多少？"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def chat(home: Path, port: int) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WENJU_")}
    return subprocess.Popen(
        [sys.executable, "-c", CHAT, "--port", str(port), "--no-browser"],
        env={
            **environ,
            "PYTHONPATH": str(ROOT),
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / ".local/share"),
            # A proxy that is not there: the page has to start without one.
            "HTTP_PROXY": "http://127.0.0.1:9",
            "ALL_PROXY": "socks5://127.0.0.1:9",
        },
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def address(seeded_home: Path) -> Iterator[str]:
    server = chat(seeded_home, port := free_port())
    assert server.stderr
    assert f"127.0.0.1:{port}" in server.stderr.readline()
    yield f"http://127.0.0.1:{port}"
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=30) == 0
    assert "Traceback" not in server.stderr.read()


@pytest.fixture(scope="module")
def client(address: str) -> Client:
    return Client(address, verbose=False)


def ask(client: Client, question: str, history: list[dict[str, str]] | None = None) -> Answer:
    return Answer.from_dict(client.predict(question, history or [], api_name="/ask"))


def test_an_answer_is_the_same_object_for_programs(client: Client) -> None:
    answer = ask(client, TOWN)
    assert "100亿元" in answer.text
    (citation,) = answer.citations
    assert citation.quote.startswith("加强与沪苏浙教育")
    assert "/" not in citation.source
    with pytest.raises(AppError, match=r"没有文档 没有\.txt"):
        client.predict(TOWN, [], ["没有.txt"], api_name="/ask")


def test_a_follow_up_is_understood_from_the_turns_before(client: Client) -> None:
    history = [
        {"role": "user", "content": TOWN},
        {"role": "assistant", "content": "约100亿元"},
    ]
    assert "教育小镇" in ask(client, "那它是哪个集团的？", history).resolved_question
    assert ask(client, "那它是哪个集团的？").resolved_question == "那它是哪个集团的？"


def test_a_blank_question_and_a_broken_history_are_told(client: Client) -> None:
    with pytest.raises(AppError, match="问题是空的"):
        ask(client, "   ")
    with pytest.raises(AppError, match="role"):
        ask(client, TOWN, [{"content": "没有角色"}])


def test_twenty_people_at_once_are_all_answered(address: str) -> None:
    def person(number: int) -> Answer:
        called = f"{address}/gradio_api/call/ask"
        with httpx.Client(trust_env=False, timeout=120) as web:
            asked = web.post(called, json={"data": [TOWN + "？" * number, [], None]})
            told = web.get(f"{called}/{asked.raise_for_status().json()['event_id']}").text
        (answer,) = json.loads(told.rpartition("data: ")[2])
        return Answer.from_dict(answer)

    with ThreadPoolExecutor(20) as people:
        answers = list(people.map(person, range(20)))
    assert [answer.question for answer in answers] == [TOWN + "？" * n for n in range(20)]
    assert all("100亿元" in answer.text for answer in answers)


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    page = httpx.get(address, trust_env=False).text
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(https?:[^"]*)"', page)
    assert loaded == []


def test_only_the_question_can_be_asked_from_outside(client: Client) -> None:
    api = client.view_api(return_format="dict", print_info=False)
    assert isinstance(api, dict)
    assert list(api["named_endpoints"]) == ["/ask"]


def test_a_port_that_is_taken_is_told(seeded_home: Path, address: str) -> None:
    taken = int(address.rsplit(":", 1)[1])
    server = chat(seeded_home, taken)
    _, message = server.communicate(timeout=60)
    assert server.returncode == 1
    assert str(taken) in message
    assert "--port" in message
    assert message.count("\n") == 1
