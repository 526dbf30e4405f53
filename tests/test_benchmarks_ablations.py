"""The ablations take away what they say, keep what was measured, and fill the README's tables."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ablations import SETS, VARIANTS, Remembering, ask, read
from index.documents import Document
from index.embedder import load_embedder
from index.library import open_library
from index.passages import Passage
from rag.answer import Chatbot
from rag.follow_up import Turn
from rag.questions import Question
from rag.report import Report

ROOT = Path(__file__).parent.parent

HUANGSHAN = "黄山位于安徽省南部，主峰是莲花峰，海拔1864米。"
YANGTZE = "长江全长约6300公里，在上海流入东海。流域面积约180万平方公里，占全国的五分之一。"
TEXT = f"# 黄山\n\n{HUANGSHAN}\n\n# 长江\n\n{YANGTZE * 6}"
ASKED = [
    Question("高", "那它的海拔呢？", ("1864米",), history=(Turn("user", "黄山的主峰是什么？"),)),
    Question("长", "长江全长多少公里？", ("约6300公里",), ("长江全长约6300公里",)),
]


def asked(name: str, work: Path) -> tuple[Report, list[Passage]]:
    document = Document(id="山川.md", title="山川", text=TEXT, source="山川.md")
    report, _ = ask(([document], ASKED), VARIANTS[name], work)
    with open_library(work / VARIANTS[name].passages, load_embedder()) as library:
        return report, library.passages("山川.md")


def test_follow_ups_are_left_as_asked(tmp_path: Path) -> None:
    whole, same = (asked(name, tmp_path)[0].rows[0] for name in ("whole", "as asked"))
    assert "黄山" in whole.resolved_question
    assert same.resolved_question == "那它的海拔呢？"


def test_headings_are_kept_from_all_but_the_text(tmp_path: Path) -> None:
    (_, told), (_, untold) = (asked(name, tmp_path) for name in ("whole", "no headings"))
    assert {passage.heading for passage in told} == {"黄山", "长江"}
    assert {passage.heading for passage in untold} == {""}
    assert [passage.text for passage in told] == [passage.text for passage in untold]


def test_passages_are_of_the_size_asked_for(tmp_path: Path) -> None:
    sizes = {name: asked(name, tmp_path)[1] for name in ("100", "whole", "400")}
    longest = [max(len(each.text) for each in passages) for passages in sizes.values()]
    assert longest[0] <= 100 < longest[1] <= 200 < longest[2] <= 400


def test_rules_stand_in_for_the_reader(tmp_path: Path) -> None:
    found = {name: asked(name, tmp_path)[0].settings["models"] for name in ("whole", "rules")}
    assert found == {"whole": ["reader"], "rules": ["spans"]}


def test_only_a_hidden_document_is_read_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking: list[str] = []
    real = Chatbot.ask

    def counted(self: Chatbot, question: str, *args: object, **options: object) -> object:
        asking.append(question)
        return real(self, question, *args, **options)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(Chatbot, "ask", counted)
    documents = [
        Document(id=title, title=title, text=text, source=title)
        for title, text in (("黄山", HUANGSHAN), ("长江", YANGTZE))
    ]
    questions = [
        Question("高", "黄山的海拔是多少？", ("1864米",), ("1864米",)),
        Question("长", "长江全长多少公里？", ("6300公里",), ("6300公里",)),
    ]
    answers, refusals = ask((documents, questions), VARIANTS["rules"], tmp_path, hides=True)
    assert (answers.counts["refusal_recall"], refusals.counts["refusal_recall"]) == (0, 1)
    assert len(asking) == 3
    assert Remembering.stream is Chatbot.stream


def squad(path: Path, articles: dict[str, list[str]]) -> None:
    """Write articles, paragraph by paragraph, asking of each how high and how long."""
    questions = [
        {"question": "黄山的海拔是多少？", "answers": [{"text": "1864米"}]},
        {"question": "长江全长多少公里？", "answers": [{"text": "6300公里"}]},
    ]
    data = [
        {"title": title, "paragraphs": [{"context": text, "qas": questions} for text in texts]}
        for title, texts in articles.items()
    ]
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(json.dumps({"data": data}).encode()))


def test_drcd_is_what_the_reader_was_not_trained_on(tmp_path: Path) -> None:
    articles = {f"第{number}篇": [HUANGSHAN, YANGTZE] for number in range(9)}
    squad(tmp_path / "drcd" / "dev.json.gz", articles)
    paragraphs, each = read("drcd", tmp_path)
    assert [document.id for document in paragraphs] == [
        f"第{n}篇#{part}" for n in (0, 4, 8) for part in (0, 1)
    ]
    assert len(each) == 12
    documents, asked = read("drcd articles", tmp_path)
    assert [document.id for document in documents] == ["第0篇", "第4篇", "第8篇"]
    assert documents[1].text == f"# 第4篇\n\n{HUANGSHAN}\n\n{YANGTZE}"
    assert [question.question for question in asked] == [question.question for question in each]


def test_the_sets_that_come_with_wenju_need_no_data(tmp_path: Path) -> None:
    _, fixed = read("fixed", tmp_path)
    _, follow_ups = read("fixed follow-ups", tmp_path)
    assert follow_ups == [each for each in fixed if each.kind == "follow-up"] != []
    articles, news = read("news", tmp_path)
    assert (len(articles), len(news)) == (30, 50)
    assert len(read("tuning follow-ups", tmp_path)[1]) == 240


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.ablations", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_there_is_is_measured_and_kept(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out.json"
    squad(data / SETS["xquad"].file, {"山川": [HUANGSHAN, YANGTZE]})
    options = ("cmrc2018", "xquad", "--data", data, "--json", out)
    done = run(*options)
    assert done.returncode == 1
    assert f"没有 {data / SETS['cmrc2018'].file}" in done.stderr
    found = json.loads(out.read_text("utf-8"))
    assert list(found) == ["xquad"]
    assert list(found["xquad"]) == ["whole", "rules", "100", "400"]
    assert found["xquad"]["whole"]["questions"] == 4
    assert len(found["xquad"]["rules"]["refusal_auroc"]) == 3
    assert "change" in found["xquad"]["rules"]
    squad(data / SETS["cmrc2018"].file, {"山川": [HUANGSHAN, YANGTZE]})
    done = run(*options)
    assert done.returncode == 0, done.stderr
    assert f"{out} 里已有 xquad" in done.stderr
    again = json.loads(out.read_text("utf-8"))
    assert (again["xquad"], set(again)) == (found["xquad"], {"cmrc2018", "xquad"})
    # A row for each size and ranking, and for the reader and the rules.
    assert done.stdout.count("| CMRC 2018 |") == done.stdout.count("| XQuAD |") == 2 + 6


def test_a_set_that_is_not_there_is_told() -> None:
    done = run("cmrc")
    assert done.returncode == 2
    assert "cmrc" in done.stderr


def test_every_set_is_measured_with_all_its_variants() -> None:
    results = ROOT / "benchmarks" / "results" / "ablations.json"
    found = json.loads(results.read_text("utf-8"))
    assert {name: ["whole", *each.variants] for name, each in SETS.items()} == {
        name: list(figures) for name, figures in found.items()
    }
