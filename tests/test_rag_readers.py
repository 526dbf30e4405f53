"""Readers: spans that stand in their sentences; what happens when the weights are bad."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest
from asking import FEES, PAIRS, TOWN, asked, document, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import trained_reader
from rag.answer import load_reader
from rag.errors import ReaderError
from rag.reader import Reader, Span
from rag.sentences import ScoredSentence
from rag.settings import Language
from rag.span_scorer import SENTENCES_READ, SpanScorer
from rag.trained_reader import DIGEST, MODEL, VOCABULARY, TrainedReader

ROOT = Path(__file__).parents[1]
TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=80)
MIXED = st.text(
    alphabet="的我市長三角、，。企业１0亿年月“”《》和与（）é\u0301👨\u200d👩ﬁ㈱\u3000\n#",
    min_size=1,
    max_size=80,
)
QUESTIONS = ["教育小镇总投资多少？", "谁？", "哪一年加入的？", "How much?", "😀", ""]


@cache
def reader(kind: type[SpanScorer | TrainedReader]) -> Reader:
    return kind()


@pytest.fixture(params=[SpanScorer, TrainedReader])
def each(request: pytest.FixtureRequest) -> Reader:
    return reader(request.param)


def check_spans(spans: Sequence[Span], sentences: Sequence[ScoredSentence], text: str) -> None:
    scores = [found.score for found in spans]
    assert scores == sorted(scores, reverse=True)
    assert all(map(math.isfinite, [*scores, *(found.evidence for found in spans)]))
    for found in spans:
        sentence = found.sentence.sentence
        assert any(found.sentence is given for given in sentences)
        assert sentence.start <= found.start < found.end <= sentence.end
        if found.sentence.hit.passage.document_id == "0.txt":
            assert text[found.start : found.end] == found.text


@given(st.one_of(TEXTS, MIXED).filter(str.strip), st.sampled_from(QUESTIONS))
def test_spans_by_rule_stand_in_their_sentences(text: str, question: str) -> None:
    sentences = scored(question, text, TOWN)
    check_spans(reader(SpanScorer).read(asked(question), sentences), sentences, text)


@settings(max_examples=25)
@given(st.one_of(TEXTS, MIXED).filter(str.strip), st.sampled_from(QUESTIONS))
def test_trained_spans_stand_in_their_sentences(text: str, question: str) -> None:
    sentences = scored(question, text, TOWN)
    check_spans(reader(TrainedReader).read(asked(question), sentences), sentences, text)


@pytest.mark.parametrize(
    "text",
    [
        "1" * 400,
        "中" * 400,
        "“" * 390,
        "abc" * 130,
        "、".join(["上海电气"] * 79),
        "# 一个标题\n\n" + "正文里有很多字，" * 45 + "总投资100亿元。",
        "\n".join(f"第{n}条，内容是{n}。" for n in range(60)),
    ],
    ids=lambda text: text[:6],
)
def test_texts_longer_than_a_window_are_read(each: Reader, text: str) -> None:
    question = "总投资是多少？" * 40
    sentences = scored(question, text)
    check_spans(each.read(asked(question), sentences), sentences, document(text).text)


def test_nothing_to_read_gives_no_spans(each: Reader) -> None:
    assert each.read(asked("总投资多少？"), []) == []


def test_reading_twice_finds_the_same(each: Reader) -> None:
    question = "教育小镇总投资多少？"
    sentences = scored(question, TOWN, FEES, PAIRS)
    first, second = (each.read(asked(question), sentences) for _ in range(2))
    assert [(s.start, s.end, s.text) for s in first] == [(s.start, s.end, s.text) for s in second]
    assert [s.score for s in first] == pytest.approx([s.score for s in second], abs=1e-4)


def test_what_one_reader_has_read_another_reads_no_more() -> None:
    sentences = scored(QUESTIONS[0], TOWN, FEES)
    one, other = TrainedReader(), TrainedReader()
    found = one.read(asked(QUESTIONS[0]), sentences)
    run = other._transformer._logits.cache_info().misses
    assert other.read(asked(QUESTIONS[0]), sentences) == found
    assert other._transformer._logits.cache_info().misses == run > 0


def test_each_sentence_is_read_by_the_trained_reader() -> None:
    sentences = scored("教育小镇总投资多少？", TOWN, FEES, PAIRS)
    spans = reader(TrainedReader).read(asked("教育小镇总投资多少？"), sentences)
    assert {id(found.sentence) for found in spans} == {id(sentence) for sentence in sentences}


def test_only_the_best_sentences_are_searched_by_rule() -> None:
    text = "".join(f"第{n}个小镇总投资{n}亿元。" for n in range(1, 12))
    sentences = scored("小镇总投资多少？", text)
    spans = reader(SpanScorer).read(asked("小镇总投资多少？"), sentences)
    best = {id(sentence) for sentence in sentences[:SENTENCES_READ]}
    assert {id(found.sentence) for found in spans} == best


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("教育小镇计划总投资是多少？", "约100亿元"),
        ("教育小鎮計劃總投資是多少？", "约100亿元"),
        ("企业开办时间压缩至几个工作日以内？", "3个工作日以内"),
        ("收费清单同比精简百分之几？", "56%"),
        ("哪家集团投资了教育小镇？", "江苏港利集团"),
    ],
)
def test_rules_find_plain_facts(question: str, answer: str) -> None:
    sentences = scored(question, TOWN, FEES, PAIRS)
    assert reader(SpanScorer).read(asked(question), sentences)[0].text == answer


DAMAGE = """
import hashlib, json, pathlib, shutil, sys
from rag import trained_reader
from rag.errors import ReaderError

folder, kept = pathlib.Path(trained_reader.__file__).parent, pathlib.Path(sys.argv[1])
model, vocabulary, digest = (
    folder / name for name in ("reader.onnx", "reader_vocabulary.txt", "reader.sha256")
)

def signed(*paths):
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.name}\\n" for p in paths]
    digest.write_text("".join(lines))

def altered(path, at):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)

DAMAGES = {
    "model missing": lambda: model.unlink(),
    "model empty": lambda: model.write_bytes(b""),
    "model truncated": lambda: model.write_bytes(model.read_bytes()[:-1000]),
    "model altered": lambda: altered(model, 1_000_000),
    "model of another kind": lambda: (model.write_bytes(b"not onnx" * 99), signed(model)),
    "vocabulary missing": lambda: vocabulary.unlink(),
    "vocabulary truncated": lambda: vocabulary.write_bytes(vocabulary.read_bytes()[:-100]),
    "vocabulary altered": lambda: altered(vocabulary, 9000),
    "digest missing": lambda: digest.unlink(),
    "digest empty": lambda: digest.write_text(""),
    "digest altered": lambda: altered(digest, 5),
    "digest of another model": lambda: digest.write_text("0" * 64 + "  reader.onnx\\n"),
    "digest unreadable": lambda: digest.write_bytes(b"\\xff\\xfe\\x00"),
}
said = {}
for name, damage in DAMAGES.items():
    for path in kept.iterdir():
        shutil.copyfile(path, folder / path.name)
    damage()
    try:
        trained_reader.TrainedReader()
    except ReaderError as error:
        said[name] = str(error)
    except Exception as error:
        said[name] = repr(error)
    else:
        said[name] = "loaded"

from rag.answer import Chatbot, load_reader
model.unlink()
reader, notices = load_reader()
print(json.dumps({"said": said, "reader": reader.name, "notices": notices}))
"""


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What a copy of the package says when its reader's files are damaged, each in turn."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(ROOT / "rag", folder / "rag", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("index", "seeds"):
        (folder / name).symlink_to(ROOT / name)
    kept = folder / "kept"
    kept.mkdir()
    for name in (MODEL, VOCABULARY, DIGEST):
        shutil.copyfile(ROOT / "rag" / name, kept / name)
    done = subprocess.run(
        [sys.executable, "-c", DAMAGE, str(kept)],
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_damaged_weights_are_never_loaded(damaged: dict[str, dict[str, str]]) -> None:
    wrong = {name: said for name, said in damaged["said"].items() if MODEL not in said}
    assert wrong == {}
    assert len(damaged["said"]) == 13


def test_rules_stand_in_with_a_notice(damaged: dict[str, list[str]]) -> None:
    assert damaged["reader"] == "spans"
    (notice,) = damaged["notices"]
    assert MODEL in notice
    assert "重新安装" in notice


@pytest.mark.parametrize(("lang", "words"), [("zh", "改用规则抽取"), ("en", "by rules stands in")])
def test_rules_stand_in_where_the_runtime_cannot_be_imported(
    lang: Language, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained_reader, "_load", trained_reader._load.__wrapped__)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    stand_in, (notice,) = load_reader(lang)
    assert stand_in.name == "spans"
    assert "onnxruntime" in notice
    assert words in notice


class Session:
    """A stand-in for onnxruntime's session that fails like this."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object, **__: object) -> None:
        raise self.error


def test_why_the_weights_cannot_be_loaded_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_reader, "_load", trained_reader._load.__wrapped__)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session(RuntimeError("opset 99")))
    with pytest.raises(ReaderError, match=r"reader\.onnx（opset 99）"):
        TrainedReader()


def test_memory_that_runs_out_is_no_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_reader, "_load", trained_reader._load.__wrapped__)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session(MemoryError()))
    with pytest.raises(MemoryError):
        TrainedReader()


def test_the_digest_that_ships_names_both_files() -> None:
    lines = (ROOT / "rag" / DIGEST).read_text("utf-8").splitlines()
    assert {line.split()[1] for line in lines} == {MODEL, VOCABULARY}
