"""Chat completions over real sockets: good servers are read, bad ones end in a clear error."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import (
    DONE,
    EVENTS,
    Scenario,
    Visit,
    answers,
    delta,
    event,
    hangs,
    misbehaving,
    replies,
    sends,
    streams,
    texts,
    trickles,
)

from rag.errors import EndpointError, PromptTooLong
from rag.llm import BEAT_S, ChatModel, Endpoint, Message, endpoint_of
from rag.llm_stream import Visible
from rag.settings import Settings

ASKED = [Message("system", "只用原文作答。"), Message("user", "投资多少？")]
ANSWERED = ("约100亿元。", "stop")


@pytest.fixture(autouse=True)
def nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait little between attempts, and use no proxy that the environment names."""
    monkeypatch.setattr("rag.llm._backoff.multiplier", 0.01)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


def model(url: str, **more: Any) -> ChatModel:
    """Return a model whose limits are too wide to matter unless they are given."""
    return ChatModel(Endpoint(base_url=url, model="some-model", **more))


def drained(stream: Generator[str, None, str]) -> tuple[list[str], str]:
    """Return the pieces that have text, and the finish reason."""
    pieces = list[str]()
    while True:
        try:
            pieces.append(next(stream))
        except StopIteration as end:
            return [piece for piece in pieces if piece], end.value


def said(chat: ChatModel, **more: Any) -> tuple[str, str]:
    """Return the whole text and the finish reason."""
    pieces, reason = drained(chat.stream(ASKED, **more))
    return "".join(pieces), reason


def failure(*scenarios: Scenario, tries: int = 1, **more: Any) -> EndpointError:
    """Return the error that a server leads to, in so many tries; it names the server."""
    with misbehaving(*scenarios) as server, pytest.raises(EndpointError) as raised:
        said(model(server.url, **more))
    assert len(server.visits) == tries
    assert server.url in str(raised.value)
    assert server.url in raised.value.english
    return raised.value


@contextmanager
def no_thread_left() -> Iterator[None]:
    """Demand that there are soon no more threads than before."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 10
    while not set(threading.enumerate()) <= before:
        assert time.monotonic() < end, set(threading.enumerate()) - before
        time.sleep(0.01)


# What is sent and read


def test_text_comes_in_pieces_and_ends_with_its_reason() -> None:
    with misbehaving(answers("约100", "亿元。")) as server:
        with no_thread_left():
            assert said(model(server.url), stop=["\n"]) == ANSWERED
        (visit,) = server.visits
    assert visit.line == "POST /v1/chat/completions HTTP/1.1"
    assert visit.body == {
        "model": "some-model",
        "messages": [
            {"role": "system", "content": "只用原文作答。"},
            {"role": "user", "content": "投资多少？"},
        ],
        "stream": True,
        "temperature": 0,
        "max_tokens": 1024,
        "stop": ["\n"],
    }
    assert "authorization" not in visit.headers
    assert visit.headers["accept-encoding"] == "identity"


def test_a_piece_is_yielded_before_the_next_one_comes() -> None:
    with misbehaving(hangs(EVENTS, texts("约"))) as server:
        stream = model(server.url).stream(ASKED)
        assert next(piece for piece in stream if piece) == "约"
        stream.close()


def test_key_headers_and_query_are_sent() -> None:
    with misbehaving(answers("好")) as server:
        chat = model(
            server.url + "/?api-version=2",
            api_key="sk-1",
            headers={"X-Team": "问据"},
            max_tokens=7,
        )
        assert said(chat) == ("好", "stop")
        (visit,) = server.visits
    assert visit.line == "POST /v1/chat/completions?api-version=2 HTTP/1.1"
    assert visit.headers["authorization"] == "Bearer sk-1"
    assert visit.headers["x-team"] == "问据"
    assert visit.body["max_tokens"] == 7
    assert "stop" not in visit.body


def test_half_a_surrogate_pair_is_sent_for_the_server_to_judge() -> None:
    with misbehaving(answers("好")) as server:
        list(model(server.url).stream([Message("user", "\ud800")]))
        assert server.visits[0].body["messages"][0]["content"] == "\ud800"


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([texts("约100亿元。"), DONE], id="no finish reason"),
        pytest.param([delta(content="约100亿元。", reason="stop")], id="no [DONE]"),
        pytest.param([delta(content="约100亿元。", reason="stop").strip()], id="no last newline"),
        pytest.param([texts("约100亿元。").replace(b"\n", b"\r\n"), DONE], id="CRLF"),
        pytest.param([texts("约100亿元。").replace(b"data: ", b"data:"), DONE], id="no blank"),
        pytest.param(
            [b": ping\n\nevent: chunk\nid: 1\n", texts("约100亿元。"), b"data:\n\n", DONE],
            id="comments and other fields",
        ),
        pytest.param(
            [
                delta(role="assistant", content=None),
                event({"choices": []}),
                texts("约100亿元。"),
                DONE,
            ],
            id="chunks without text",
        ),
        pytest.param(
            [
                delta(reasoning_content="想"),
                delta(reasoning="想"),
                texts("<thi", "nk>想", "</th", "ink>约100", "亿元。"),
                DONE,
            ],
            id="thinking",
        ),
        pytest.param([bytes([b]) for b in texts("约100亿元。") + DONE], id="byte by byte"),
    ],
)
def test_event_streams_are_read(parts: list[bytes]) -> None:
    with misbehaving(streams(*parts)) as server:
        assert said(model(server.url)) == ANSWERED


def test_invalid_utf8_becomes_a_replacement_character() -> None:
    with misbehaving(streams(texts("约?亿元").replace(b"?", b"\xff"), DONE)) as server:
        assert said(model(server.url)) == ("约\ufffd亿元", "stop")


def test_what_might_have_become_a_tag_is_handed_over_at_the_end() -> None:
    with misbehaving(streams(texts("1 <"), DONE)) as server:
        assert said(model(server.url)) == ("1 <", "stop")


def test_a_completion_that_comes_whole_is_read() -> None:
    whole = {
        "choices": [
            {"message": {"content": "<think>想</think>约100亿元。"}, "finish_reason": "stop"}
        ]
    }
    with misbehaving(replies(200, whole)) as server:
        assert said(model(server.url)) == ANSWERED


@pytest.mark.parametrize(
    ("reason", "expected"), [("length", "length"), ("eos", "eos"), (3, "3"), ("a\x1b[0m", "a [0m")]
)
def test_any_finish_reason_is_returned_as_text(reason: Any, expected: str) -> None:
    with misbehaving(streams(texts("约"), delta(reason=reason), DONE)) as server:
        assert said(model(server.url)) == ("约", expected)


def test_it_streams_inside_a_running_event_loop() -> None:
    async def ask(url: str) -> tuple[str, str]:
        return said(model(url))

    with misbehaving(answers("约100", "亿元。")) as server:
        assert asyncio.run(ask(server.url)) == ANSWERED


# What fails


def test_a_refused_connection_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with no_thread_left(), pytest.raises(EndpointError, match=f"连不上 http://127.0.0.1:{port}/v1"):
        said(model(f"http://127.0.0.1:{port}/v1"))


def test_an_unknown_host_is_told() -> None:
    with pytest.raises(EndpointError, match=r"连不上 http://host\.invalid/v1"):
        said(model("http://host.invalid/v1"))


def test_a_connection_that_breaks_before_anything_came_is_tried_again() -> None:
    with misbehaving(sends(), answers("约100", "亿元。")) as server:
        assert said(model(server.url)) == ANSWERED
        assert len(server.visits) == 2


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (replies(401, {"error": {"message": "no"}}), r"密钥（HTTP 401, no）.*WENJU_LLM_API_KEY"),
        (replies(403, "<h1>"), r"密钥（HTTP 403）"),
        (replies(404, {"error": "no such model"}), r"HTTP 404, no such model.*/v1.*llm_model"),
        (replies(422, {"detail": "max\x07tokens"}), r"HTTP 422, max tokens"),
        (replies(400, [{"error": {"message": "坏" * 999}}]), r"HTTP 400, 坏{300}…）"),
        (replies(307, Location="http://new.example/v2?secret=1"), r"http://new\.example/v2；"),
        (replies(204, {}), "格式"),
        (replies(200, "<html>请登录"), "网页.*/v1"),
        (replies(200, {"object": "list"}), r"不是 OpenAI 格式的内容：\{"),
        (replies(200, {"choices": []}), "空的"),
        (sends(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[" * 9), "OpenAI 格式"),
        (streams(b'data: {"choices": [{"del\n\n'), "OpenAI 格式"),
        (streams(b"data: " + b"[" * 9999 + b"\n\n"), "OpenAI 格式"),
        (streams(event({"choices": [{"delta": {"content": 5}}]})), "OpenAI 格式"),
        (streams(event({"choices": "约"})), "OpenAI 格式"),
        (streams(texts("约"), event({"error": {"message": "GPU\n没了"}})), "报告错误：GPU 没了"),
        (streams(texts("约")), "中途断了"),
        (streams(), "中途断了"),
        (sends(EVENTS.replace(b"close", b"x\r\nContent-Length: 999"), texts("约")), "中途断了"),
        (streams(DONE), "空的"),
        (streams(texts("<think>想"), delta(reason="length")), "空的（length）.*LLM_MAX_TOKENS"),
        (streams(texts(" \n"), DONE), "空的"),
        (streams(delta(tool_calls=[{"id": "1"}])), "调用工具"),
        (streams(delta(function_call={"name": "f"})), "调用工具"),
        (streams(texts("约"), delta(reason="tool_calls")), "调用工具"),
        (streams(texts("约"), delta(reason="content_filter")), "内容审查"),
        (streams(texts("约" * 10_000_000)), "过多"),
        (hangs(EVENTS, b"data: " + b"x" * 2_000_000), "过多"),
        (streams(*[texts("约" * 999)] * 101), "过多"),
        (streams(*[b": " + b"x" * 99_998 + b"\n"] * 81), "过多"),
        (
            sends(EVENTS.replace(b"text/event-stream", b"application/json"), b" " * 9_000_000),
            "过多",
        ),
    ],
)
def test_what_is_wrong_is_told_at_once(scenario: Scenario, expected: str) -> None:
    assert re.search(expected, str(failure(scenario)))


@pytest.mark.parametrize(
    "scenario",
    [
        replies(400, {"error": {"code": "context_length_exceeded", "message": "5 > 4"}}),
        replies(400, {"error": {"type": "exceed_context_size_error", "message": "5 > 4"}}),
        replies(400, {"object": "error", "message": "This model's maximum context length is 4"}),
        streams(event({"error": {"code": "context_length_exceeded", "message": "5 > 4"}})),
    ],
)
def test_a_prompt_that_does_not_fit_is_an_error_of_its_own(scenario: Scenario) -> None:
    error = failure(scenario)
    assert isinstance(error, PromptTooLong)
    assert "WENJU_LLM_CONTEXT" in str(error)


# Trying again


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(status: int) -> None:
    with misbehaving(replies(status), replies(status), answers("约100", "亿元。")) as server:
        assert said(model(server.url)) == ANSWERED
        assert len(server.visits) == 3


def test_what_does_not_pass_fails_after_three_attempts() -> None:
    error = failure(replies(503, {"error": {"message": "loading"}}), tries=3)
    assert "HTTP 503, loading" in str(error)


def test_nothing_is_tried_again_once_there_is_text() -> None:
    failure(streams(texts("约")), answers("约100亿元。"))


def test_the_wait_that_the_server_wants_is_kept_with_beats() -> None:
    with misbehaving(replies(429, Retry_After="1"), answers("约100亿元。")) as server:
        pieces = list(model(server.url).stream(ASKED))
        first, second = server.visits
    assert second.at - first.at >= 1
    assert pieces.count("") >= 2
    assert "".join(pieces) == "约100亿元。"


def test_a_wait_until_a_time_that_is_over_is_none() -> None:
    past = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    with misbehaving(replies(429, Retry_After=past), answers("约100亿元。")) as server:
        assert said(model(server.url)) == ANSWERED


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_a_wait_beyond_the_limit_fails_at_once_and_is_told(form: str) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    wanted = "3600" if form == "seconds" else then
    error = failure(replies(429, Retry_After=wanted))
    assert re.search(r"请在 3[0-9]{3} 秒后再试", str(error))
    assert re.search(r"in 3[0-9]{3} seconds", error.english)


# Limits and ends


@pytest.mark.parametrize(
    ("scenario", "limits", "expected"),
    [
        (hangs(), {"first_token_s": 0.5}, "0.5 秒内开始作答.*llm_first_token_s"),
        (hangs(EVENTS), {"connect_s": 0.3, "first_token_s": 0.6}, "0.6 秒内开始作答"),
        (hangs(EVENTS, delta(role="assistant")), {"first_token_s": 0.5}, "0.5 秒内开始作答"),
        (trickles(EVENTS, b": ping\n\n"), {"first_token_s": 0.5}, "0.5 秒内开始作答"),
        (hangs(EVENTS, texts("约")), {"total_s": 1}, "1 秒内答完.*llm_total_s"),
        (hangs(EVENTS, texts("约")), {"first_token_s": 0.5, "total_s": 1}, "1 秒内答完"),
        (
            hangs(EVENTS, delta(reasoning_content="想")),
            {"first_token_s": 0.5, "total_s": 1},
            "1 秒内答完",
        ),
        (trickles(EVENTS, texts("约")), {"total_s": 1}, "1 秒内答完"),
        (trickles(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), {"total_s": 1}, "1 秒内答完"),
    ],
)
def test_a_limit_ends_it(scenario: Scenario, limits: dict[str, Any], expected: str) -> None:
    with no_thread_left():
        assert re.search(expected, str(failure(scenario, **limits)))


def test_the_total_limit_is_one_for_all_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.llm._backoff", lambda _: 0.6)
    failure(replies(503), tries=2, total_s=1)


def test_a_handshake_that_hangs_passes_the_limit_of_connecting() -> None:
    # Nobody accepts: the kernel alone makes the connection.
    with socket.create_server(("127.0.0.1", 0)) as mute, no_thread_left():
        chat = model(f"https://127.0.0.1:{mute.getsockname()[1]}/v1", connect_s=0.5)
        with pytest.raises(EndpointError, match=r"0\.5 秒内接通.*llm_connect_s"):
            said(chat)


def test_a_look_up_that_hangs_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def look_up(*_: Any, **__: Any) -> list[Any]:
        go_on.wait(60)
        raise socket.gaierror("nobody knows")

    with no_thread_left():
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        with pytest.raises(EndpointError, match=r"0\.5 秒内接通"):
            said(model("http://llm.example/v1", connect_s=0.5))
        assert not go_on.is_set()
        go_on.set()


@pytest.mark.parametrize(
    "scenario",
    [
        hangs(),
        hangs(EVENTS),
        hangs(EVENTS, texts("约")),
        hangs(EVENTS, texts("<think>想")),
        trickles(EVENTS, texts("约")),
        trickles(EVENTS, b": ping\n\n"),
    ],
)
def test_closing_the_stream_ends_the_connection(scenario: Scenario) -> None:
    with misbehaving(scenario) as server, no_thread_left():
        stream = model(server.url).stream(ASKED)
        next(stream)
        while not server.visits:
            next(stream)
        next(stream)
        stream.close()
        assert server.visits[0].gone.wait(10)


def test_closing_the_stream_ends_a_handshake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, no_thread_left():
        stream = model(f"https://127.0.0.1:{mute.getsockname()[1]}/v1").stream(ASKED)
        next(stream)
        connection, _ = mute.accept()
        with connection:
            connection.settimeout(10)
            assert connection.recv(1)
            stream.close()
            while connection.recv(65536):
                pass


def test_closing_the_stream_ends_a_wait_between_attempts() -> None:
    with misbehaving(replies(429, Retry_After="60")) as server, no_thread_left():
        stream = model(server.url).stream(ASKED)
        while not server.visits:
            next(stream)
        assert [next(stream), next(stream)] == ["", ""]
        stream.close()
        assert len(server.visits) == 1


def test_a_stream_that_nobody_holds_ends_too() -> None:
    with misbehaving(hangs(EVENTS)) as server, no_thread_left():
        next(iter(model(server.url).stream(ASKED)))


def test_there_is_a_piece_at_every_beat() -> None:
    with misbehaving(hangs(EVENTS)) as server:
        stream = model(server.url).stream(ASKED)
        started = time.monotonic()
        assert [next(stream) for _ in range(4)] == [""] * 4
        assert time.monotonic() - started >= 4 * BEAT_S - 0.1
        stream.close()


# Secrets


def echo(status: int) -> Scenario:
    """Return the scenario of a server that tells every header that it was sent."""

    def tell(visit: Visit) -> None:
        replies(status, {"error": {"message": f"bad {list(visit.headers.values())}"}})(visit)

    return tell


SECRETS = {
    "api_key": "sk-secret/4711",
    "headers": {"X-Token": "Token tok-secret-4712", "Cookie": "session=secret-4713"},
}


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500])
def test_no_secret_that_the_server_echoes_is_told(status: int) -> None:
    tries = 3 if status in (429, 500) else 1
    error = failure(echo(status), tries=tries, **SECRETS)
    assert "bad" in str(error)
    assert not re.search("secret|471", without_ports(str(error) + error.english))


@pytest.mark.parametrize(
    "scenario",
    [
        streams(event({"error": {"message": "key sk-secret/4711"}})),
        streams(b"data: {sk-secret/4711}\n\n"),
        streams(rb"data: {sk-secret\/4711}" + b"\n\n"),
        replies(302, Location="/login/sk-secret%2F4711"),
        replies(400, {"error": "x" * 290 + "sk-secret/4711"}),
        streams(texts(" "), delta(reason="sk-secret/4711")),
    ],
)
def test_no_secret_comes_back_another_way(scenario: Scenario) -> None:
    error = failure(scenario, **SECRETS)
    assert not re.search("secret|471", without_ports(str(error) + error.english))


def without_ports(told: str) -> str:
    """Return what is told without the ports of this machine, which may hold any digits."""
    return re.sub(r"(?<=127\.0\.0\.1:)\d{1,5}\b", "", told)


def test_address_is_told_without_login_and_query() -> None:
    with misbehaving(echo(400)) as server, pytest.raises(EndpointError) as raised:
        said(model(f"http://reader:pass-4711@{server.place}/v1?key=query-4712"))
    assert f"http://{server.place}/v1" in str(raised.value)
    assert not re.search("471|cmVhZGVyOnBhc3MtNDcxMQ", without_ports(str(raised.value)))


def test_a_header_that_http_does_not_allow_is_told_without_it() -> None:
    error = failure(answers("好"), tries=0, api_key="sk-secret\n4711")
    assert "llm_headers" in str(error)
    assert "4711" not in str(error)


def test_secrets_stay_out_of_the_repr() -> None:
    proxy = "http://user:pass-4711@proxy.example"
    shown = repr(
        Endpoint(
            base_url="http://reader:pass-4712@host/v1",
            model="m",
            api_key="sk-4713",
            headers={"X-Token": "tok-4714"},
            proxy=proxy,
        )
    )
    assert "471" not in shown
    assert "model='m'" in shown


# Certificates and proxies


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for this machine, with its key in the same file."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    key, made = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split(),
            *"-addext subjectAltName=IP:127.0.0.1".split(),
            *"-addext keyUsage=digitalSignature,keyCertSign".split(),
            *("-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    made.write_bytes(made.read_bytes() + key.read_bytes())
    return made


@pytest.fixture
def tls(certificate: Path) -> ssl.SSLContext:
    """What a server shows the certificate with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_self_signed_certificate_is_refused(tls: ssl.SSLContext) -> None:
    with misbehaving(answers("好"), tls=tls) as server:
        with pytest.raises(EndpointError, match=r"不信任 https://.*WENJU_LLM_VERIFY"):
            said(model(server.url))
        assert not server.visits


def test_a_certificate_may_be_named_or_not_checked(
    tls: ssl.SSLContext, certificate: Path, tmp_path: Path
) -> None:
    subject = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", str(certificate)],
        check=True,
        capture_output=True,
        text=True,
    )
    shutil.copy(certificate, tmp_path / f"{subject.stdout.strip()}.0")
    with misbehaving(answers("约100亿元。"), tls=tls) as server:
        for verify in (certificate, tmp_path, False):
            assert said(model(server.url, verify=verify)) == ANSWERED


def test_certificates_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.pem", Path(__file__)):
        with pytest.raises(EndpointError, match="WENJU_LLM_VERIFY"):
            said(model("https://llm.example/v1", verify=path))


def test_a_proxy_is_asked_instead() -> None:
    with misbehaving(answers("约100亿元。")) as proxy:
        assert said(model("http://llm.example/v1", proxy=f"http://{proxy.place}")) == ANSWERED
        assert proxy.visits[0].line == "POST http://llm.example/v1/chat/completions HTTP/1.1"


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with misbehaving(answers("约100亿元。")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.place}")
        assert said(model("http://llm.example/v1")) == ANSWERED
        assert len(proxy.visits) == 1
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with misbehaving(answers("好")) as server:
            assert said(model(server.url)) == ("好", "stop")
        assert len(proxy.visits) == 1


def test_a_proxy_that_makes_no_tunnel_is_told() -> None:
    with misbehaving(replies(407)) as proxy:
        with pytest.raises(EndpointError, match=r"连不上 https://llm\.example/v1：407") as raised:
            said(model("https://llm.example/v1", proxy=f"http://user:pass-4711@{proxy.place}"))
        assert proxy.visits[0].line == "CONNECT llm.example:443 HTTP/1.1"
    assert "4711" not in str(raised.value)


def test_a_proxy_that_hangs_passes_the_limit_of_connecting() -> None:
    with misbehaving(hangs()) as proxy, pytest.raises(EndpointError, match=r"0\.5 秒内接通"):
        said(model("https://llm.example/v1", proxy=f"http://{proxy.place}", connect_s=0.5))


@pytest.mark.parametrize("proxy", ["ftp://pass-4711@host", "http://host:port", "socks5://host"])
def test_an_impossible_proxy_is_told(proxy: str) -> None:
    with pytest.raises(EndpointError, match="代理") as raised:
        said(model("http://llm.example/v1", proxy=proxy))
    assert "4711" not in str(raised.value)


# Settings


def test_no_address_is_no_endpoint() -> None:
    assert endpoint_of(Settings()) is None


def test_settings_make_an_endpoint() -> None:
    settings = Settings(
        llm_base_url="http://host/v1",
        llm_model="m",
        llm_api_key="k",
        llm_headers={"X-Team": "w"},
        llm_proxy="http://proxy",
        llm_verify=False,
        llm_connect_s=1,
        llm_first_token_s=2,
        llm_total_s=3,
        llm_max_tokens=4,
    )
    assert endpoint_of(settings) == Endpoint(
        base_url="http://host/v1",
        model="m",
        api_key="k",
        headers={"X-Team": "w"},
        proxy="http://proxy",
        verify=False,
        connect_s=1,
        first_token_s=2,
        total_s=3,
        max_tokens=4,
    )


def test_defaults_of_settings_and_endpoint_agree() -> None:
    settings = Settings(llm_base_url="http://host/v1", llm_model="m")
    assert endpoint_of(settings) == Endpoint(base_url="http://host/v1", model="m")


# Thinking


def visible(*pieces: str) -> str:
    """Return what can be read of a text in pieces."""
    reading = Visible()
    return "".join([*map(reading.feed, pieces), reading.close()])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("约100亿元。", "约100亿元。"),
        ("<think>想</think>约", "约"),
        (" \n<think>想</think>\n约", " \n\n约"),
        ("<THINKING>想</Thinking>约", "约"),
        ("<think>想</thinking>约", "约"),
        ("<think>想<think>又想</think>约", "约"),
        ("约<think>想", "约"),
        ("约<think>想</thi", "约"),
        ("约<think></think>亿<think>想</think>元", "约亿元"),
        ("想</think>约", "想约"),
        ("1 < 2 <thin> </p> <", "1 < 2 <thin> </p> <"),
        ("<thin\u212a>", "<thin\u212a>"),
        ("", ""),
    ],
)
def test_thinking_is_left_out(text: str, expected: str) -> None:
    assert visible(text) == expected


_PARTS = st.sampled_from(
    [*"<>/ 约k", "think", "ing", "<think>", "</think>", "<THINKING>", "</thinking>"]
)


@given(st.lists(_PARTS).map("".join), st.data())
def test_where_a_text_is_split_does_not_matter(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)))))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert visible(*pieces) == visible(text)


def test_only_what_may_be_a_tag_is_held_back() -> None:
    reading = Visible()
    fed = [reading.feed(piece) for piece in ("1 <", " 2 </t", "hin", "gs</THINK", ">约", "<think")]
    assert fed == ["1 ", "< 2 ", "", "</things", "约", ""]
    assert reading.close() == "<think"


# A real model


CAPITALS = [
    Message("user", "中国的首都是哪里？"),
    Message("assistant", "北京"),
    Message("user", "日本的首都是哪里？"),
    Message("assistant", "东京"),
    Message("user", "英国的首都是哪里？"),
    Message("assistant", "伦敦"),
    Message("user", "法国的首都是哪里？"),
]


def test_a_real_model_goes_on_until_its_line_ends(model_address: str) -> None:
    stream = model(model_address).stream(CAPITALS, stop=["\n"])
    pieces, reason = drained(stream)
    assert ("".join(pieces), reason) == ("巴黎", "stop")


def test_a_real_model_streams_in_pieces_until_it_may_say_no_more(model_address: str) -> None:
    pieces, reason = drained(model(model_address, max_tokens=12).stream(CAPITALS))
    assert reason == "length"
    assert len(pieces) > 3
    assert "".join(pieces).startswith("巴黎\n")


def test_a_real_model_tells_a_prompt_that_does_not_fit(model_address: str) -> None:
    with pytest.raises(PromptTooLong, match="tokens"):
        list(model(model_address).stream([Message("user", "长" * 9000)]))
