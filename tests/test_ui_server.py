"""The server over a real socket: who is let in, what it takes, how it starts and ends."""

from __future__ import annotations

import base64
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import gradio as gr
import httpx
import pytest
from asking import TOWN, Finds, document, letter_library
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from openai import AuthenticationError, OpenAI
from serving import CHAT, ROOT, WATCHED, endless, free_port, served, started

from index.library import DiskLibrary
from rag.answer import Chatbot
from rag.errors import SettingsError
from rag.settings import Settings
from ui.cli import WRONG_USE, run
from ui.desk import Desk
from ui.errors import PageError
from ui.guard import Hosts, Login
from ui.server import build_app, listening

LOGIN = "读者:口:令"
PASSWORD = "口:令"
QUESTION = "教育小镇计划总投资多少？"
PATHS = [
    ("GET", "/"),
    ("GET", "/config"),
    ("GET", "/theme.css"),
    ("GET", "/static/img/logo.svg"),
    ("GET", "/gradio_api/info"),
    ("GET", "/gradio_api/app_id"),
    ("GET", "/gradio_api/startup-events"),
    ("GET", "/gradio_api/queue/data?session_hash=x"),
    ("GET", "/gradio_api/heartbeat/x"),
    ("GET", "/gradio_api/file=/etc/hostname"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/component_server"),
    ("POST", "/gradio_api/queue/join"),
    ("POST", "/gradio_api/upload"),
    ("POST", "/login"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/v1/nothing"),
]


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


def bearer(text: str) -> dict[str, Any]:
    return {"Authorization": f"Bearer {text}".encode()}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskLibrary]:
    with letter_library(tmp_path_factory.mktemp("库"), document(TOWN)) as opened:
        yield opened


def page() -> gr.Blocks:
    """A page that gives back the file that it is sent."""
    with gr.Blocks(analytics_enabled=False) as made:
        file = gr.File()
        file.upload(lambda sent: sent, file, file, api_name="echo")
    return made


@pytest.fixture(scope="module")
def chatbot(library: DiskLibrary) -> Chatbot:
    return Chatbot(library, reader=Finds("100亿元"), settings=Settings(threshold=0))


@pytest.fixture(scope="module")
def open_address(chatbot: Chatbot) -> Iterator[str]:
    hosts = Hosts("127.0.0.1", loopback=True)
    with served(build_app(Desk(chatbot), page(), hosts=hosts)) as address:
        yield address


@pytest.fixture(scope="module")
def guarded(chatbot: Chatbot) -> Iterator[str]:
    """The address of a server with a password."""
    hosts = Hosts("127.0.0.1", loopback=True)
    with served(build_app(Desk(chatbot), page(), hosts=hosts, login=Login(LOGIN))) as address:
        yield address


@pytest.fixture(scope="module")
def closed_to_files(chatbot: Chatbot) -> Iterator[str]:
    hosts = Hosts("127.0.0.1", loopback=True)
    with served(build_app(Desk(chatbot), page(), hosts=hosts, may_change=False)) as address:
        yield address


def ask(method: str, address: str, **more: Any) -> httpx.Response:
    return httpx.request(method, address, trust_env=False, timeout=30, **more)


# --- the password -------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_nothing_is_answered_without_the_password(method: str, path: str, guarded: str) -> None:
    for headers in ({}, basic("读者:错"), bearer("错"), {"Authorization": "Basic ?"}):
        found = ask(method, guarded + path, headers=headers)
        assert found.status_code == 401
        assert found.headers["www-authenticate"].startswith("Basic ")


@pytest.mark.parametrize("path", ["/", "/config", "/v1/models"])
@pytest.mark.parametrize("headers", [basic(LOGIN), bearer(PASSWORD), bearer(LOGIN)])
def test_the_password_lets_in(headers: dict[str, Any], path: str, guarded: str) -> None:
    assert ask("GET", guarded + path, headers=headers).status_code == 200


def test_a_wrong_key_is_an_error_as_openai_clients_read_it(guarded: str) -> None:
    client = OpenAI(base_url=f"{guarded}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(AuthenticationError, match="Bearer"):
        client.models.list()


def test_health_says_no_more_than_ok_without_the_password(guarded: str, open_address: str) -> None:
    assert ask("GET", f"{guarded}/healthz").json() == {"status": "ok"}
    for address, headers in ((guarded, basic(LOGIN)), (open_address, {})):
        health = ask("GET", f"{address}/healthz", headers=headers).json()
        assert health["status"] == "ok"
        assert health["version"]
        assert health["library"]["documents"] == 1
        assert health["library"]["embedder"] == "tests/letters"
    assert ask("HEAD", f"{guarded}/healthz").status_code == 200


def test_health_is_bad_where_the_library_is(tmp_path: Path) -> None:
    folder = tmp_path / "库"
    with letter_library(folder, document(TOWN)) as opened:
        bot = Chatbot(opened, reader=Finds())
        hosts = Hosts("127.0.0.1", loopback=True)
        with served(build_app(Desk(bot), page(), hosts=hosts, login=Login(LOGIN))) as address:
            (folder / "library.sqlite").write_bytes(b"nonsense" * 1000)
            unknown = ask("GET", f"{address}/healthz")
            known = ask("GET", f"{address}/healthz", headers=basic(LOGIN))
    assert (unknown.status_code, unknown.json()) == (503, {"status": "error"})
    assert known.status_code == 503
    assert "library.sqlite" in known.json()["message"]


@pytest.mark.parametrize("text", ["", "secret", ":secret", "secret:"])
def test_a_login_needs_a_user_and_a_password(text: str) -> None:
    with pytest.raises(SettingsError, match="--auth") as caught:
        Login(text)
    assert "secret" not in str(caught.value)


def test_a_password_shows_nowhere() -> None:
    assert "secret" not in repr(Login("user:secret"))
    assert "secret" not in repr(Settings(auth="user:secret"))


def test_wrong_auth_on_the_command_line_is_told_without_repeating_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["chat", "--auth", "secret"]) == WRONG_USE
    captured = capsys.readouterr()
    assert "--auth" in captured.err
    assert captured.err.count("\n") == 1
    assert "secret" not in captured.err + captured.out


# --- names and origins --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("localhost", True),
        ("LocalHost:7860", True),
        ("localhost.:7860", True),
        ("127.0.0.1:1", True),
        ("127.0.0.2", True),
        ("[::1]:7860", True),
        ("chat.example.com", True),
        ("CHAT.example.com:443", True),
        ("", False),
        ("evil.com", False),
        ("evil.com:7860", False),
        ("localhost.evil.com", False),
        ("127.0.0.1.evil.com", False),
        ("evil.com@localhost", False),
        ("localhost:x", False),
        ("192.168.1.5:7860", False),
        ("[fe80::1]", False),
    ],
)
def test_on_loopback_only_its_own_names_are_answered(header: str, admitted: bool) -> None:
    hosts = Hosts("127.0.0.1", loopback=True, allowed=["Chat.Example.com"])
    assert hosts.admit(header) is admitted


@pytest.mark.parametrize(
    ("header", "admitted"),
    [
        ("localhost:7860", True),
        ("192.168.1.5:7860", True),
        ("[fe80::1]", True),
        ("Kitchen:7860", True),
        ("kitchen.local", True),
        ("kitchen.lan:7860", True),
        ("evil.com:7860", False),
        ("kitchen.evil.com", False),
    ],
)
def test_off_loopback_the_names_of_the_machine_are_answered_too(
    header: str, admitted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Kitchen")
    hosts = Hosts("kitchen.lan", loopback=False)
    assert hosts.admit(header) is admitted


@pytest.mark.parametrize("name", ["", "https://chat.example.com", "a b", "*"])
def test_an_allowed_host_must_be_a_name(name: str) -> None:
    with pytest.raises(SettingsError, match="--allow-host"):
        Hosts("127.0.0.1", loopback=True, allowed=[name])


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("GET", "/healthz")])
def test_another_host_is_refused_everywhere(method: str, path: str, open_address: str) -> None:
    found = ask(method, open_address + path, headers={"Host": "evil.com"})
    assert found.status_code == 421
    assert "--allow-host" in found.text


@pytest.mark.parametrize("origin", ["http://evil.com", "http://localhost:3000", "null"])
@pytest.mark.parametrize(("method", "path"), [*PATHS, ("GET", "/healthz")])
def test_a_page_elsewhere_is_given_no_leave_to_read(
    method: str, path: str, origin: str, open_address: str
) -> None:
    asking = {"Origin": origin, "Access-Control-Request-Method": method}
    for found in (
        ask("OPTIONS", open_address + path, headers=asking),
        ask(method, open_address + path, headers={"Origin": origin}),
    ):
        assert not [name for name in found.headers if name.startswith("access-control-")]
        assert path.startswith("/v1") or found.status_code == 403


def test_the_page_itself_may_ask(open_address: str) -> None:
    found = ask("GET", f"{open_address}/config", headers={"Origin": open_address})
    assert found.status_code == 200


# --- the README ---------------------------------------------------------------------------

CURL = re.findall(r"^curl .*$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_readme_has_requests() -> None:
    assert len(CURL) == 2


@pytest.mark.parametrize("line", CURL)
def test_a_request_of_the_readme_is_answered(line: str, open_address: str) -> None:
    _, address, _, header, _, body = shlex.split(line)
    name, _, value = header.partition(": ")
    found = ask(
        "POST",
        address.replace("http://127.0.0.1:7860", open_address),
        headers={name: value},
        content=body.encode(),
    )
    assert found.status_code == 200
    assert found.json()["wenju"]["question"] == json.loads(body)["messages"][0]["content"]


# --- files --------------------------------------------------------------------------------


def test_a_file_is_taken_only_where_documents_may_change(
    open_address: str, closed_to_files: str
) -> None:
    file = {"files": ("茶.txt", "清河乡种茶。".encode())}
    assert ask("POST", f"{open_address}/gradio_api/upload", files=file).status_code == 200
    for path in ("upload", "component_server", "process_recording"):
        refused = ask("POST", f"{closed_to_files}/gradio_api/{path}", files=file)
        assert refused.status_code == 403
        assert "--auth" in refused.text
    assert ask("GET", f"{closed_to_files}/config").status_code == 200


@pytest.mark.parametrize("url", ["https://example.com/a.txt", "https://hf.co/a.txt"])
def test_an_address_in_place_of_a_file_is_not_fetched(
    url: str, open_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[str] = []
    look_up = socket.getaddrinfo

    def watched(host: Any, *rest: Any, **more: Any) -> Any:
        if host in (None, "127.0.0.1", "localhost"):
            return look_up(host, *rest, **more)
        looked_up.append(host)
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    client = Client(open_address, verbose=False, download_files=False)
    with pytest.raises(AppError):
        client.predict(handle_file(url), api_name="/echo")
    client.close()
    for path in ("file=", "file/", "proxy="):
        assert ask("GET", f"{open_address}/gradio_api/{path}{url}").status_code in (400, 403)
    # Gradio's client looks up others by itself.
    assert urlsplit(url).hostname not in looked_up


# --- starting and ending ------------------------------------------------------------------


def test_a_port_that_is_taken_is_told_at_once() -> None:
    with listening("127.0.0.1", 0) as sockets:
        port = sockets[0].getsockname()[1]
        with pytest.raises(PageError, match=f"{port}.*--port"), listening("127.0.0.1", port):
            pass
    with listening("127.0.0.1", port):
        pass


def test_a_host_that_is_not_there_is_told() -> None:
    with pytest.raises(PageError, match="--host"), listening("203.0.113.7", 7860):
        pass


def test_the_watch_sees_what_goes_out() -> None:
    code = f"{WATCHED}\nimport socket; socket.create_connection(('192.0.2.1', 80), 1)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "OUTGOING socket.connect" in done.stderr or "OUTGOING socket.getaddr" in done.stderr


def test_everything_is_served_by_one_process_and_nothing_leaves_the_machine(
    seeded_home: Path,
) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ("-c", CHAT, "chat", "--port", str(port), "--no-browser")
    login = "reader:secret-1"
    with started(*command, home=seeded_home, WENJU_AUTH=login) as (server, told):
        assert address in told
        client = OpenAI(base_url=f"{address}/v1", api_key="secret-1", max_retries=0)
        found = client.chat.completions.create(
            model=client.models.list().data[0].id, messages=[{"role": "user", "content": QUESTION}]
        )
        assert "100亿元" in (found.choices[0].message.content or "")
        page = Client(address, headers=basic(login), verbose=False)
        assert page.predict(QUESTION, [], api_name="/ask")
        page.close()
        assert ask("GET", address).status_code == 401
        assert "问据" in ask("GET", address, headers=basic(login)).text
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
        assert server.stderr
        assert server.stderr.read() == ""
        assert "secret-1" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_whatever_it_is_busy_with(number: int, tmp_path: Path) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    program = Path(__file__).with_name("serving.py")
    asking = {"stream": True, "messages": [{"role": "user", "content": "甲？"}]}
    with (
        started(str(program), "0.0.0.0", str(port), str(tmp_path / "库")) as (server, told),
        httpx.Client(trust_env=False, timeout=30) as client,
        client.stream("GET", f"{address}/gradio_api/heartbeat/x") as alive,
        client.stream("POST", f"{address}/v1/chat/completions", json=asking) as answering,
    ):
        assert f"http://localhost:{port}" in told
        assert server.stderr
        assert "--auth" in server.stderr.readline()
        # httpx hangs up when what reads the lines is let go.
        beats, words = alive.iter_lines(), answering.iter_lines()
        assert next(beats)
        assert next(words)
        server.send_signal(number)
        assert server.wait(timeout=10) == 0
        assert server.stderr.read() == ""


def test_the_endless_chatbot_is_endless(library: DiskLibrary) -> None:
    bot = endless(library)
    for _ in range(3):
        bot.steps.release()
    stream = bot.stream("甲？")
    assert [next(stream).text for _ in range(3)] == ["字", "字字", "字字字"]
    stream.close()
    assert bot.ended.is_set()
