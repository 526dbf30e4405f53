"""The HTTP API, asked by OpenAI's own client and byte by byte."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import openai
import pytest
from answers import ANSWER, REFUSAL
from asking import FEES, TOWN, Finds, document, letter_library
from fastapi import FastAPI
from openai import OpenAI
from serving import Growing, endless, served

from index.errors import LibraryError
from index.library import DiskLibrary
from rag.answer import MAX_QUESTION_CHARS, Answer, Chatbot
from rag.citations import Claim
from rag.follow_up import Turn
from rag.prompt import Message as Prompt
from rag.settings import Settings
from ui.api import add_routes
from ui.completions import CompletionRequest, Message, body, footnotes, readable
from ui.desk import Desk

QUESTION = "教育小镇计划总投资多少？"
HOSTILE = "镇长说[图](http://evil.example/x)<img src=x>`码`**粗**投资约7亿元。"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskLibrary]:
    documents = document(f"{TOWN}\n{FEES}", "甲.txt"), document(HOSTILE, "乙.txt")
    with letter_library(tmp_path_factory.mktemp("库"), *documents) as opened:
        yield opened


@contextmanager
def api(chatbot: Chatbot, **limits: int) -> Iterator[str]:
    app = FastAPI()
    add_routes(app, Desk(chatbot, **limits))
    with served(app) as address:
        yield f"{address}/v1"


@pytest.fixture(scope="module")
def address(library: DiskLibrary) -> Iterator[str]:
    bot = Chatbot(library, reader=Finds("约100亿元"), settings=Settings(threshold=0))
    with api(bot) as found:
        yield found


@pytest.fixture(scope="module")
def client(address: str) -> OpenAI:
    return client_of(address)


def client_of(address: str) -> OpenAI:
    return OpenAI(base_url=address, api_key="any", max_retries=0, timeout=30)


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def post(address: str, body: Any, **more: Any) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(
        f"{address}/chat/completions",
        content=content,
        trust_env=False,
        **({"timeout": 30, "headers": {"Content-Type": "application/json"}} | more),
    )


def asked(address: str, *messages: dict[str, Any]) -> dict[str, Any]:
    found = post(address, {"messages": messages})
    assert found.status_code == 200, found.text
    return found.json()


def events(text: str) -> list[Any]:
    parts = text.split("\n\n")
    assert parts.pop() == ""
    assert all(part.startswith("data: ") for part in parts)
    assert parts.pop() == "data: [DONE]"
    return [json.loads(part.removeprefix("data: ")) for part in parts]


def until(holds: Callable[[], bool], meanwhile: Callable[[], object] = lambda: None) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        meanwhile()
        time.sleep(0.02)


# --- answers ------------------------------------------------------------------------------


def test_an_answer_ends_in_its_citations(client: OpenAI, library: DiskLibrary) -> None:
    found = client.chat.completions.create(
        model="wenju", messages=[{"role": "user", "content": QUESTION}]
    )
    (choice,) = found.choices
    quote = "江苏港利集团计划总投资约100亿元的教育小镇成功落地。"
    assert choice.finish_reason == "stop"
    assert choice.message.content == f"约100亿元 [1]\n\n[1] 《标题：甲.txt》：“{quote}”"
    assert found.model_extra
    answer = Answer.from_dict(found.model_extra["wenju"])
    (citation,) = answer.citations
    assert library.document("甲.txt").text[citation.start : citation.end] == quote


def test_a_stream_says_the_same_in_pieces(client: OpenAI) -> None:
    asking: list[Any] = [user(QUESTION)]
    whole = client.chat.completions.create(model="wenju", messages=asking)
    chunks = list(client.chat.completions.create(model="wenju", messages=asking, stream=True))
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert said == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks][-2:] == [None, "stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].model_extra
    assert Answer.from_dict(chunks[-1].model_extra["wenju"]).text == "约100亿元"
    assert all("wenju" not in (chunk.model_extra or {}) for chunk in chunks[:-1])


def test_a_stream_is_server_sent_events(address: str) -> None:
    found = post(address, {"messages": [user(QUESTION)], "stream": True})
    assert found.headers["content-type"].startswith("text/event-stream")
    assert {event["object"] for event in events(found.text)} == {"chat.completion.chunk"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_question_may_be_kept_to_some_documents(address: str, *, stream: bool) -> None:
    def found_in(*documents: str) -> set[str]:
        body = {"messages": [user(QUESTION)], "documents": documents, "stream": stream}
        told = post(address, body)
        assert told.status_code == 200
        answer = (events(told.text)[-1] if stream else told.json())["wenju"]
        return {hit.passage.document_id for hit in Answer.from_dict(answer).hits}

    assert found_in("甲.txt", "乙.txt") == {"甲.txt", "乙.txt"}
    assert found_in("乙.txt") == {"乙.txt"}


@pytest.mark.parametrize("stream", [False, True])
def test_a_document_that_is_not_there_is_named(address: str, *, stream: bool) -> None:
    named = {"documents": ["甲.txt", "没有.txt"], "stream": stream}
    told = post(address, {"messages": [user(QUESTION)], **named})
    assert told.status_code == 400
    error = told.json()["error"]
    assert error["param"] == "documents"
    assert "没有文档 没有.txt" in error["message"]


@pytest.mark.parametrize("wrong", [{"documents": 3}, {"documents": "甲.txt"}, {"model": None}])
def test_what_the_fields_are_is_told(address: str, wrong: dict[str, Any]) -> None:
    told = post(address, {"messages": [user(QUESTION)], **wrong})
    assert told.status_code == 400
    message = told.json()["error"]["message"]
    assert "documents 是文档编号的列表" in message
    assert "model 是文字" in message


@pytest.mark.parametrize("stream", [False, True])
def test_citations_do_not_tell_where_files_lie(address: str, *, stream: bool) -> None:
    told = post(address, {"messages": [user(QUESTION)], "stream": stream})
    told = events(told.text)[-1] if stream else told.json()
    assert "/文档" not in json.dumps(told, ensure_ascii=False)
    (citation,) = Answer.from_dict(told["wenju"]).citations
    assert citation.source == "甲.txt"


@pytest.mark.parametrize("follow_up", ["它还投资了什么？", "该集团在哪里？"])
def test_an_answer_that_is_sent_back_is_what_was_said(library: DiskLibrary, follow_up: str) -> None:
    first = "教育小镇是哪个集团投资的？"
    bot = Chatbot(library, reader=Finds("江苏港利集团"), settings=Settings(threshold=0))
    with api(bot) as address:
        content = asked(address, user(first))["choices"][0]["message"]["content"]
        before = user(first), {"role": "assistant", "content": content}
        found = asked(address, *before, user(follow_up))["wenju"]
    on_the_page = [Turn("user", first), Turn("assistant", "江苏港利集团")]
    assert found["resolved_question"] == bot.ask(follow_up, on_the_page).resolved_question
    assert "江苏港利集团" in found["resolved_question"]


@pytest.mark.parametrize("text", ["约100亿元", "甲[1]*乙*", r"a\[?] \\", "$1_000 `x`", "共[2]人。"])
@pytest.mark.parametrize("supported", [True, False])
@pytest.mark.parametrize("notices", [(), ("临时资料库。",)])
def test_what_a_client_sends_back_is_read_as_it_was_said(
    text: str, notices: tuple[str, ...], *, supported: bool
) -> None:
    claim = replace(ANSWER.claims[0], text=text, supported=supported)
    answer = replace(ANSWER, text=f"如下：\n{text}", claims=(claim,), notices=notices)
    content = body(answer) + footnotes(answer)
    messages = [Message(role="assistant", content=content), Message(role="user", content="甲？")]
    _, history = CompletionRequest(messages=messages).turns()
    assert history == [Turn("assistant", answer.text)]


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_all_paragraphs_of_an_answer_are_kept_and_what_a_refusal_quotes_is_not(
    lang: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WENJU_LANG", lang)
    long = replace(ANSWER, text="约100亿元。\n\n“小镇”（在青山）由港利集团投资。")
    for answer, said in ((long, long.text), (REFUSAL, REFUSAL.refusal_reason)):
        content = body(answer) + footnotes(answer)
        messages = [
            Message(role="assistant", content=content),
            Message(role="user", content="甲？"),
        ]
        assert CompletionRequest(messages=messages).turns()[1] == [Turn("assistant", said)]


def test_what_others_said_is_left_as_it_is() -> None:
    said = "第一段。\n\n第二段，2*3。"
    messages = [Message(role="assistant", content=said), Message(role="user", content="甲？")]
    assert CompletionRequest(messages=messages).turns()[1] == [Turn("assistant", said)]


def test_the_turns_before_complete_a_follow_up(address: str) -> None:
    found = asked(
        address,
        {"role": "system", "content": "You are a pirate."},
        user([{"type": "text", "text": "教育小镇计划"}, {"type": "text", "text": "总投资多少？"}]),
        {"role": "assistant", "content": None},
        {"role": "tool", "content": "x", "tool_call_id": "1"},
        user("那它是哪个集团的？"),
        {"role": "assistant", "content": "答："},
    )
    assert found["wenju"]["question"] == "那它是哪个集团的？"
    assert "教育小镇" in found["wenju"]["resolved_question"]
    assert "\n\n理解为：" in found["choices"][0]["message"]["content"]


def test_the_chatbot_hears_the_question_and_what_was_said_before(library: DiskLibrary) -> None:
    bot = Growing(library, ["答"])
    bot.steps.release()
    with api(bot) as address:
        asked(address, {"role": "developer", "content": "x"}, user("甲？"), {
            "role": "assistant", "content": [{"type": "text", "text": "乙。"}],
        }, user("丙？"))  # fmt: skip
    assert bot.heard == [("丙？", [Turn("user", "甲？"), Turn("assistant", "乙。")])]


def test_a_refusal_says_so_and_quotes_what_is_nearest() -> None:
    text = footnotes(REFUSAL)
    assert text == "文档里没有说到这一点。\n\n“简介。 总投资约100亿元的小镇。”（报道.txt）"
    assert footnotes(replace(REFUSAL, hits=())) == "文档里没有说到这一点。"


def test_a_refusal_is_a_completion_like_any_other(library: DiskLibrary) -> None:
    bot = Chatbot(library, reader=Finds("7亿元"), settings=Settings(threshold=1))
    with api(bot) as address:
        found = asked(address, user("青山镇有几座桥？"))
        streamed = events(post(address, {"messages": [user("甲？")], "stream": True}).text)
    assert found["wenju"]["refused"] is True
    assert found["choices"][0]["message"]["content"].startswith("文档里没有说到这一点")
    assert "“" in streamed[-2]["choices"][0]["delta"]["content"]


def test_an_unsupported_claim_is_marked() -> None:
    claim = Claim("约200亿元", (), supported=False, problems=("原文没有 200。",))
    text = footnotes(replace(ANSWER, claims=(claim,)))
    assert "⚠ 原文没有支持这一句：约200亿元 原文没有 200。" in text


def test_pages_notices_and_english(monkeypatch: pytest.MonkeyPatch) -> None:
    cited = replace(ANSWER.citations[0], page=3, title="报道")
    answer = replace(ANSWER, citations=(cited,), notices=("临时资料库。",))
    assert footnotes(answer) == (
        "\n\n[1] 《报道》第 3 页：“总投资约100亿元的小镇。”\n\n临时资料库。"
    )
    monkeypatch.setenv("WENJU_LANG", "en")
    assert "[1] 报道, page 3: “总投资约100亿元的小镇。”" in footnotes(answer)


def test_an_answer_without_citations_stands_alone() -> None:
    assert footnotes(replace(ANSWER, citations=(), claims=())) == ""


def test_what_a_document_says_is_no_markup(library: DiskLibrary) -> None:
    bot = Chatbot(library, reader=Finds("7亿元"), settings=Settings(threshold=0))
    with api(bot) as address:
        found = asked(address, user("镇长说投资多少？"))
    assert found["choices"][0]["message"]["content"].endswith(
        r"“镇长说\[图\](http://evil.example/x)\<img src=x>\`码\`\*\*粗\*\*投资约7亿元。”"
    )
    assert found["wenju"]["citations"][0]["quote"] == HOSTILE
    assert readable("a_b\u202e3~5元 [x] $1 \\") == r"a\_b" + "\ufffd" + r"3\~5元 \[x\] \$1 \\"


# --- an answer that grows -----------------------------------------------------------------


def test_an_answer_is_sent_as_it_grows_and_anew_after_a_fallback(library: DiskLibrary) -> None:
    bot = Growing(library, ["约", "约100", "约100亿", "改*口"])
    with api(bot) as address, ThreadPoolExecutor() as pool:
        sent: list[str] = []

        def listen() -> None:
            for chunk in client_of(address).chat.completions.create(
                model="wenju", messages=[{"role": "user", "content": "甲？"}], stream=True
            ):
                sent.append(chunk.choices[0].delta.content or "")

        listening = pool.submit(listen)
        for count in range(2, 6):
            bot.steps.release()
            until(lambda count=count: len(sent) >= count)
        listening.result(30)
    assert sent[:5] == ["", "约", "100", "亿", "\n\n改\\*口"]


class Writes:
    """A language model that writes a text letter by letter."""

    name = "writes"

    def __init__(self, text: str) -> None:
        self._text = text

    def stream(
        self, messages: Sequence[Prompt], stop: Sequence[str] = ()
    ) -> Generator[str, None, str]:
        yield from self._text
        return "stop"


@pytest.mark.parametrize(
    "text",
    [
        "教育小镇**总投资约100亿元**[1]，由`江苏港利集团`投资[1]。计划**已落地**。",
        "## 结论\n\n| 项目 | 投资 |\n|---|---|\n| 教育小镇 | 约100亿元 |\n\n见[报道](http://a/b)。",
        "- **教育小镇**：约100亿元[1]\n- 集团：江苏港利集团 [1, 2]\n\n来源：[1] 报道",
    ],
)
def test_whatever_markdown_a_model_writes_is_said_once(library: DiskLibrary, text: str) -> None:
    with api(Chatbot(library, model=Writes(text))) as address:
        whole = asked(address, user(QUESTION))
        streamed = events(post(address, {"messages": [user(QUESTION)], "stream": True}).text)
    said = "".join(event["choices"][0]["delta"].get("content", "") for event in streamed)
    assert whole["wenju"]["mode"] == "llm"
    assert said == whole["choices"][0]["message"]["content"]


class Failing(Chatbot):
    """A chatbot that says half an answer, if anything, and fails."""

    def __init__(self, library: DiskLibrary, error: Exception, said: str = "") -> None:
        super().__init__(library, reader=Finds())
        self._error = error
        self._said = said

    def stream(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        documents: Sequence[str] | None = None,
        exclude_documents: Sequence[str] = (),
    ):
        if self._said:
            yield replace(ANSWER, text=self._said)
        raise self._error


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_before_the_first_word_has_its_status(stream: bool, library: DiskLibrary) -> None:
    with api(Failing(library, LibraryError("资料库坏了。", "The library is broken."))) as address:
        found = post(address, {"messages": [user("甲？")], "stream": stream})
    assert found.status_code == 500
    assert found.json()["error"] == {
        "message": "资料库坏了。",
        "type": "server_error",
        "param": None,
        "code": None,
    }


def test_a_failure_in_the_middle_of_a_stream_is_told_in_it(library: DiskLibrary) -> None:
    with (
        api(
            Failing(library, LibraryError("资料库坏了。", "The library is broken."), "约")
        ) as address,
        pytest.raises(openai.APIError, match="资料库坏了"),
    ):
        list(
            client_of(address).chat.completions.create(
                model="wenju", messages=[{"role": "user", "content": "甲？"}], stream=True
            )
        )


def test_a_fault_of_our_own_says_nothing_of_the_inside(library: DiskLibrary) -> None:
    with api(Failing(library, RuntimeError("inside"))) as address:
        found = post(address, {"messages": [user("甲？")]})
    assert found.status_code == 500
    assert found.json()["error"]["type"] == "server_error"
    assert "inside" not in found.text


# --- who leaves, and who waits ------------------------------------------------------------


def test_who_leaves_a_stream_ends_the_work(library: DiskLibrary) -> None:
    bot = endless(library)
    with api(bot, at_once=1, waiting=0) as address:
        bot.steps.release()
        with httpx.stream(
            "POST",
            f"{address}/chat/completions",
            json={"messages": [user("甲？")], "stream": True},
            trust_env=False,
        ) as answering:
            lines = answering.iter_lines()
            assert next(lines).startswith("data: ")
            assert not bot.ended.is_set()
        until(bot.ended.is_set, bot.steps.release)
        bot.ended.clear()
        _leaves_while_waiting(address)
        until(bot.ended.is_set, bot.steps.release)
    assert len(bot.heard) == 2


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_before_the_answer_ends_the_work(stream: bool, library: DiskLibrary) -> None:
    bot = endless(library)
    with api(bot) as address:
        _leaves_while_waiting(address, stream=stream)
        until(bot.ended.is_set, bot.steps.release)


def _leaves_while_waiting(address: str, *, stream: bool = False) -> None:
    with pytest.raises(httpx.ReadTimeout):
        post(address, {"messages": [user("甲？")], "stream": stream}, timeout=1)


def test_who_finds_all_places_taken_is_told_to_come_back(library: DiskLibrary) -> None:
    bot = Growing(library, ["答"])
    with api(bot, at_once=1, waiting=1) as address, ThreadPoolExecutor() as pool:
        first = pool.submit(asked, address, user("一？"))
        until(lambda: len(bot.heard) == 1)
        rivals = [pool.submit(post, address, {"messages": [user("二？")]}) for _ in range(2)]
        (turned_away,), (waiting,) = wait(rivals, return_when=FIRST_COMPLETED)
        full = turned_away.result()
        assert full.status_code == 503
        bot.steps.release(3)
        assert first.result(30)["wenju"]["text"] == "答"
        assert waiting.result(30).status_code == 200
        assert asked(address, user("三？"))["wenju"]["text"] == "答"
    assert int(full.headers["retry-after"]) > 0
    assert "过几秒再试" in full.json()["error"]["message"]


def test_twenty_at_once_are_all_answered(client: OpenAI) -> None:
    ready = threading.Barrier(20)

    def one(_: int) -> str:
        ready.wait(30)
        found = client.chat.completions.create(
            model="wenju", messages=[{"role": "user", "content": QUESTION}]
        )
        return found.choices[0].message.content or ""

    with ThreadPoolExecutor(20) as pool:
        assert all(text.startswith("约100亿元 [1]") for text in pool.map(one, range(20)))


# --- wrong requests -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        (b"", 400, None, "JSON"),
        (b"{", 400, None, "JSON"),
        (b"\xff", 400, None, "JSON"),
        (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 400, None, "JSON"),
        (b"[" * 100_000, 400, None, "JSON"),
        ([], 400, None, "JSON"),
        ({}, 400, "messages", "messages"),
        ({"messages": "甲？"}, 400, "messages", "messages"),
        ({"messages": ["甲？"]}, 400, "messages.0", "messages.0"),
        ({"messages": [{"content": "甲？"}]}, 400, "messages.0.role", "messages.0.role"),
        ({"messages": [user(3)]}, 400, "messages.0.content", "messages.0.content"),
        ({"messages": [user("甲？")], "stream": "maybe"}, 400, "stream", "stream"),
        ({"messages": []}, 400, "messages", "user"),
        ({"messages": [{"role": "system", "content": "甲"}]}, 400, "messages", "user"),
        ({"messages": [user("")]}, 400, "messages", "问题是空的"),
        ({"messages": [user(" \n")]}, 400, "messages", "问题是空的"),
        ({"messages": [user(None)]}, 400, "messages", "问题是空的"),
        ({"messages": [user("长" * (MAX_QUESTION_CHARS + 1))]}, 400, "messages", "最多"),
        ({"messages": [user([{"type": "image_url"}])]}, 400, "messages", "图片"),
        ({"messages": [user("甲？")], "model": "gpt-9"}, 404, "model", "gpt-9"),
        (b" " * 5_000_000, 413, None, "字节"),
    ],
)
def test_a_wrong_request_is_an_error_as_openai_clients_read_it(
    body: Any, status: int, param: str | None, words: str, address: str
) -> None:
    found = post(address, body)
    assert found.status_code == status
    error = found.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]


def test_another_content_type_is_refused(address: str) -> None:
    body = {"messages": [user(QUESTION)]}
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert post(address, body, headers={"Content-Type": kind}).status_code == 415
    for kind in ("application/json; charset=utf-8", "Application/JSON"):
        assert post(address, body, headers={"Content-Type": kind}).status_code == 200


def test_the_client_raises_what_it_should(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(
            model="gpt-9", messages=[{"role": "user", "content": "甲？"}]
        )
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="问题是空的"):
        client.chat.completions.create(model="wenju", messages=[{"role": "user", "content": " "}])
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_the_one_model_is_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["wenju"]
    assert client.models.retrieve("wenju").object == "model"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/chat/completions"), ("POST", "/embeddings"), ("GET", "/x")]
)
def test_what_is_not_there_is_told_with_what_is(method: str, path: str, address: str) -> None:
    found = httpx.request(method, address + path, trust_env=False)
    assert found.status_code == 404
    assert found.json()["error"]["code"] == "unknown_url"
    assert "POST /v1/chat/completions" in found.json()["error"]["message"]
