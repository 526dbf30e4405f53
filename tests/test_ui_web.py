"""The chat page, served for real and asked through Gradio's own client."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from gradio_client import Client

CHAT = "import sys; from ui.cli import run; sys.exit(run(['chat', *sys.argv[1:]]))"
ROOT = Path(__file__).parent.parent


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


def said(messages: list[dict]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"][0]["text"]) for message in messages]


def test_an_answer_comes_with_its_citation(client: Client) -> None:
    box, shown = client.predict("教育小镇计划总投资多少？", [], api_name="/ask")
    assert box == ""
    (asker, question), (answerer, answer) = said(shown)
    assert (asker, answerer) == ("user", "assistant")
    assert question == "教育小镇计划总投资多少？"
    assert "100亿元" in answer
    assert re.search(r"\[1\]\(#cite=article\.txt:\d+-\d+ ", answer)
    assert "<mark>" in answer


def test_a_follow_up_is_understood_from_the_turns_before(client: Client) -> None:
    _, shown = client.predict("教育小镇计划总投资多少？", [], api_name="/ask")
    _, shown = client.predict("那它是哪个集团的？", shown, api_name="/ask")
    assert len(shown) == 4
    assert "理解为：" in said(shown)[-1][1]


def test_a_new_chat_forgets_the_turns_before(client: Client) -> None:
    client.predict("教育小镇计划总投资多少？", [], api_name="/ask")
    _, shown = client.predict("那它是哪个集团的？", [], api_name="/ask")
    assert "理解为：" not in said(shown)[-1][1]


def test_a_question_is_shown_and_not_run(client: Client) -> None:
    _, shown = client.predict("<img src=x onerror=alert(1)> **粗**", [], api_name="/ask")
    assert "<img" not in said(shown)[0][1]
    assert "**" not in said(shown)[0][1]


def test_a_blank_question_is_told_in_the_chat(client: Client) -> None:
    _, shown = client.predict("   ", [], api_name="/ask")
    assert said(shown)[-1] == ("assistant", "问题是空的。请写下想问的内容。")


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
