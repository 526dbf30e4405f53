"""A library on Milvus: what is its own, beside the contract that all stores hold."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hash_embedder import HashEmbedder
from milvus_server import MilvusServer, milvus_running

from index import milvus_client
from index.copying import copy_library
from index.documents import Document
from index.embedder import load_embedder
from index.errors import DocumentError, LibraryCorrupt, LibraryError
from index.library import StoredLibrary, open_library
from index.milvus import MilvusLibrary
from index.milvus_address import MilvusAddress, location_of
from index.milvus_rows import LONGEST_VARCHAR
from rag.default_library import seed_document

RIVER = Document("river.txt", "河长", "淮河流域全面推行河长制，水质明显改善。", "/文档/river.txt")
RAIL = Document("rail.txt", "高铁", "淮北到上海的高铁今年开通，全程三小时。", "/文档/rail.txt")

QUESTIONS = (
    "教育小镇总投资多少？",
    "教育小镇占地多少亩？",
    "教育小镇由哪个集团投资？",
    "企业开办时间压缩到几天？",
    "长三角一体化",
    "淮北市和上海有哪些合作？",
    "医院之间怎样合作？",
    "异地就医门诊怎么结算？",
    "涉企收费清单精简了多少？",
    "政务服务一网通办",
    "有多少项目签约？",
    "引进了哪些企业？",
    "交通建设有什么进展？",
    "高铁什么时候通车？",
    "产业园区建在哪里？",
    "生态环境怎么治理？",
    "采煤塌陷区怎样修复？",
    "文化旅游",
    "人才怎样引进？",
    "高校与企业怎样合作？",
    "营商环境如何优化？",
    "传统产业怎样转型升级？",
    "新能源汽车",
    "陶铝新材料产业",
    "目标产值是多少？",
    "干部到哪里挂职学习？",
    "how much is invested in the education town?",
    "教育小鎮總投資多少？",
    "火星上有没有水？",
    "500亩",
)


@pytest.fixture
def address(milvus: MilvusServer) -> MilvusAddress:
    return milvus.address()


@pytest.fixture
def library(address: MilvusAddress) -> Iterator[StoredLibrary]:
    with open_library(address, HashEmbedder()) as opened:
        opened.add([RIVER, RAIL])
        yield opened


def found(library: StoredLibrary, question: str, k: int = 5, **filters: Any) -> list[str]:
    return [hit.passage.document_id for hit in library.search(question, k, **filters)]


# Addresses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("milvus://db", MilvusAddress("db")),
        ("milvus://db/", MilvusAddress("db", 19530, None, "wenju")),
        ("milvus://db:1/news", MilvusAddress("db", 1, None, "news")),
        ("milvus://[::1]:1/work/news", MilvusAddress("::1", 1, "work", "news")),
        ("milvus+tls://db:443", MilvusAddress("db", 443, tls=True)),
    ],
)
def test_an_address_is_read_and_written(text: str, expected: MilvusAddress) -> None:
    assert location_of(text) == expected
    assert MilvusAddress.parse(str(expected)) == expected


def test_an_address_names_its_server_to_the_client() -> None:
    assert MilvusAddress("::1", 1, "work", "news").uri == "http://[::1]:1"
    assert MilvusAddress("db", tls=True).uri == "https://db:19530"


@pytest.mark.parametrize("text", ["文库", "/a/milvus", "http://db", "milvus:/db", "C:\\库"])
def test_anything_else_is_a_folder(text: str) -> None:
    assert location_of(text) == Path(text)


@pytest.mark.parametrize(
    "text",
    [
        "milvus://",
        "milvus://db:x",
        "milvus://db:99999",
        "milvus://[db",
        "milvus://db/a/b/c",
        "milvus://db/a-b",
        "milvus://db/库",
        "milvus://db/a?b=c",
        "milvus://root:hidden@db",
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(LibraryError, match=r"milvus://HOST.*WENJU_MILVUS_TOKEN") as refused:
        location_of(text)
    assert "hidden" not in refused.value.english + str(refused.value)


def test_a_token_is_not_shown() -> None:
    address = MilvusAddress("db", token="root:hidden")
    assert "hidden" not in f"{address} {address!r}"


# What cannot be reached


def test_what_pymilvus_is_needed_for_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(LibraryError, match=r"pip install 'wenju\[milvus\]'"):
        open_library("milvus://127.0.0.1:1", HashEmbedder())


def test_no_server_is_said(milvus: MilvusServer) -> None:
    with pytest.raises(LibraryError, match=r"^连不上 milvus://127\.0\.0\.1:1/wenju。请检查"):
        open_library("milvus://127.0.0.1:1", HashEmbedder())


def test_no_library_is_said(address: MilvusAddress) -> None:
    with pytest.raises(LibraryError, match=r"里没有资料库.*wenju add"):
        open_library(address, HashEmbedder(), create=False)


def test_no_database_is_said(milvus: MilvusServer) -> None:
    with pytest.raises(LibraryError, match="nowhere"):
        open_library(MilvusAddress("127.0.0.1", milvus.port, "nowhere"), HashEmbedder())


def test_a_server_without_bm25_is_refused(
    address: MilvusAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pymilvus.MilvusClient.get_server_version", lambda *_, **__: "v2.4.23", raising=True
    )
    with pytest.raises(LibraryError, match=r"v2\.4\.23，太旧。请升级到 2\.5"):
        open_library(address, HashEmbedder())


@contextmanager
def refusing(code: str) -> Iterator[int]:
    """Yield the port of a server that answers every call by an error of gRPC."""
    import grpc  # noqa: PLC0415 - there with pymilvus alone

    def refuse(_: object, context: Any) -> None:
        context.abort(getattr(grpc.StatusCode, code), "auth check failure")

    class Handler(grpc.GenericRpcHandler):
        def service(self, handler_call_details: object) -> Any:
            return grpc.unary_unary_rpc_method_handler(refuse)

    with ThreadPoolExecutor(2) as pool:
        server = grpc.server(pool, handlers=[Handler()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_a_wrong_key_is_said_without_showing_it(milvus: MilvusServer, code: str) -> None:
    with (
        refusing(code) as port,
        pytest.raises(LibraryError, match=r"不接受这个密钥.*WENJU_MILVUS_TOKEN") as refused,
    ):
        open_library(MilvusAddress("127.0.0.1", port, token="root:hidden"), HashEmbedder())
    assert "hidden" not in refused.value.english + str(refused.value)


def test_a_server_that_dies_and_comes_back_is_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        milvus_running(tmp_path) as server,
        open_library(server.address(), HashEmbedder()) as library,
    ):
        library.add([RIVER])
        server.kill()
        monkeypatch.setattr(milvus_client, "AWAY_S", 0.2)
        for use in (
            lambda: library.search("河长制"),
            lambda: library.add([RAIL]),
            lambda: library.document(RIVER.id),
            library.documents,
        ):
            with pytest.raises(LibraryError, match=r"^连不上 .*请检查地址和网络"):
                use()
        monkeypatch.undo()
        server.start()
        assert found(library, "河长制", 1) == [RIVER.id]
        assert library.add([RIVER, RAIL]).added == 1
        assert len(library.documents()) == 2


# What is stored


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_text_of_many_blocks_comes_back_whole(library: StoredLibrary, before: str) -> None:
    text = before + "😀" * 20_000 + "。\n" + "江苏港利集团计划总投资约100亿元的教育小镇。" * 1_500
    assert len(text.encode()) > 2 * LONGEST_VARCHAR
    long = Document("long", "长", text, "s", {"pages": [0, 20_002]})
    library.add([long])
    assert library.document("long") == long
    passages = library.passages("long")
    assert [text[each.start : each.end] for each in passages] == [each.text for each in passages]
    assert library.remove(["long"]) == 1
    assert library.passages("long") == []


@pytest.mark.parametrize(
    "name",
    [
        'o\'brien "quoted"',
        'x" or key != "',
        "back\\slash\\",
        "百分%_{}",
        "line\nbreak",
        "长" * 1_000,
        'a#0-1") or ("',
    ],
    ids=["quotes", "filter", "backslash", "signs", "line", "long", "passage"],
)
def test_any_id_is_only_itself(library: StoredLibrary, name: str) -> None:
    library.add([Document(name, "", "月球基地开工。", f"source of {name}")])
    assert found(library, "月球基地", documents=[name]) == [name]
    assert name not in found(library, "月球基地", exclude_documents=[name])
    (passage,) = library.passages(name)
    assert library.sentence_embeddings([passage.id])[0].shape == (1, 32)
    assert library.remove([name]) == 1
    assert sorted(each.id for each in library.documents()) == ["rail.txt", "river.txt"]


def test_an_id_too_long_for_milvus_is_refused(library: StoredLibrary) -> None:
    with pytest.raises(DocumentError, match="太长，Milvus 存不下"):
        library.add([Document("长" * 30_000, "", "新的。", "s")])
    assert len(library.documents()) == 2


def test_a_text_that_lost_a_block_is_said(library: StoredLibrary, address: MilvusAddress) -> None:
    library.add([Document("long", "", "长文" * 30_000, "s")])
    assert isinstance(library, MilvusLibrary)
    library._server.call("delete", library.check().documents, filter="block == 1")
    with pytest.raises(LibraryCorrupt, match="long 的内容与存入时不同"):
        library.document("long")


def test_a_document_that_lost_a_passage_is_not_copied(
    library: StoredLibrary, address: MilvusAddress, tmp_path: Path
) -> None:
    assert isinstance(library, MilvusLibrary)
    library._server.call("delete", library.check().passages, filter="start == 0")
    with pytest.raises(LibraryCorrupt, match=r"river\.txt 的内容与存入时不同.*重新加入"):
        copy_library(address, tmp_path / "copy")


def test_a_replacement_that_stops_halfway_shows_the_old_document(
    library: StoredLibrary, address: MilvusAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(library, MilvusLibrary)
    new = Document(RIVER.id, "河长", "月球基地开工。", RIVER.source)
    upsert = library._server.upsert

    def stop(collection: str, rows: Sequence[Any]) -> None:
        if collection.endswith("_documents"):
            raise KeyboardInterrupt
        upsert(collection, rows)

    monkeypatch.setattr(library._server, "upsert", stop)
    with pytest.raises(KeyboardInterrupt):
        library.add([new])
    monkeypatch.undo()
    with open_library(address, HashEmbedder()) as other:
        assert other.document(RIVER.id) == RIVER
        assert {hit.passage.text for hit in other.search("月球基地")} == {RIVER.text, RAIL.text}
        assert other.add([new]).updated == 1
        assert [hit.passage.text for hit in other.search("月球基地", 1)] == [new.text]
        assert other.info().passages == 2


def test_libraries_of_one_server_are_apart(milvus: MilvusServer, library: StoredLibrary) -> None:
    with open_library(milvus.address(), HashEmbedder()) as other:
        assert other.documents() == []
        other.add([RIVER])
    assert library.remove([RIVER.id]) == 1, "closing one leaves the other open"


# Several processes

WRITER = """
import sys
from hash_embedder import HashEmbedder
from index.documents import Document
from index.library import open_library

name = sys.argv[2]
with open_library(sys.argv[1], HashEmbedder()) as library:
    for number in range(10):
        own = Document(f"{name}{number}", "", f"第{number}号公告，{name}。", f"{name}{number}")
        shared = Document(f"s{number}", "", f"第{number}号通告。", f"s{number}")
        library.add([own, shared])
    library.remove([f"{name}0"])
"""


def test_processes_write_at_the_same_time(address: MilvusAddress) -> None:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(address), name],
            env=environ,
            stderr=subprocess.PIPE,
        )
        for name in ("甲", "乙")
    ]
    told = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], told
    with open_library(address, HashEmbedder(), create=False) as library:
        expected = {f"{name}{n}" for name in ("甲", "乙") for n in range(1, 10)}
        expected |= {f"s{n}" for n in range(10)}
        assert {each.id for each in library.documents()} == expected
        assert len(library.documents()) == len(expected)
        assert set(found(library, "第3号", 100)) == expected
        assert library.info().passages == len(expected)


# Ranking


def test_both_stores_rank_alike(address: MilvusAddress, tmp_path: Path) -> None:
    embedder = load_embedder()
    with (
        open_library(tmp_path / "disk", embedder) as disk,
        open_library(address, embedder) as other,
    ):
        disk.add([seed_document()])
        other.copy(disk)
        for question in QUESTIONS:
            # The counts behind BM25 differ by one: on disk a further entry holds the generation.
            ours, theirs = (library.search(question, 5) for library in (disk, other))
            assert [hit.passage for hit in ours] == [hit.passage for hit in theirs], question
            assert [hit.dense_score for hit in ours] == [hit.dense_score for hit in theirs]
            near, same = (library.search(question, 20, mode="dense") for library in (disk, other))
            assert near == same, question
