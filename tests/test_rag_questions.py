"""Question sets: our JSONL and SQuAD's layout, and what is said of broken ones."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rag.errors import EvaluationError
from rag.follow_up import Turn
from rag.questions import Question, read_questions, read_squad, sample_questions


def write_lines(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_full_line_and_a_bare_one(tmp_path: Path) -> None:
    full = {
        "id": "q1",
        "question": "那总投资呢？",
        "answers": ["10亿元"],
        "evidence": ["总投资10亿元"],
        "answerable": True,
        "kind": "follow-up",
        "history": [
            {"role": "user", "content": "项目在哪？"},
            {"role": "assistant", "content": "淮北"},
        ],
        "document": "文一",
        "note": "其他字段不读",
    }
    path = write_lines(
        tmp_path / "问题.jsonl",
        "\ufeff" + json.dumps(full, ensure_ascii=False),
        "",
        '{"id": "q2", "question": "占地多少？", "answerable": false}',
    )
    assert read_questions(path) == [
        Question(
            id="q1",
            question="那总投资呢？",
            answers=("10亿元",),
            evidence=("总投资10亿元",),
            kind="follow-up",
            history=(Turn("user", "项目在哪？"), Turn("assistant", "淮北")),
            document_id="文一",
        ),
        Question(id="q2", question="占地多少？", answerable=False),
    ]


def test_a_packed_question_set(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl.gz"
    path.write_bytes(gzip.compress('{"id": "q", "question": "谁？"}'.encode()))
    assert [question.id for question in read_questions(path)] == ["q"]


GOOD = '{"id": "q", "question": "谁？"}'


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "不是 JSON"),
        ('{"question": ' + "1" * 5000 + "}", "不是 JSON"),
        ("[1]", "应是一个 JSON 对象"),
        ('{"question": "谁？"}', "id 应是字符串，而这里没有"),
        ('{"id": 3, "question": "谁？"}', "id 应是字符串，而它是 3"),
        ('{"id": "r", "question": " "}', "question 是空的"),
        ('{"id": "r", "question": "谁？", "answers": "甲"}', "answers 应是列表"),
        ('{"id": "r", "question": "谁？", "evidence": ["甲", ""]}', "evidence 应是非空字符串"),
        ('{"id": "r", "question": "谁？", "answerable": "no"}', "answerable 应是true 或 false"),
        ('{"id": "r", "question": "谁？", "history": [{"role": "bot"}]}', "history 的每一项"),
        ('{"id": "r", "question": "谁？\\ud800"}', "含有非法字符 U+D800"),
        ('{"id": "r", "question": "谁？", "answers": ["甲\\u0000"]}', "含有非法字符 U+0000"),
        ('{"id": "r", "question": "谁？", "\\udc00": 1}', "含有非法字符 U+DC00"),
        (f'{{"id": "r", "question": "谁？", "n": {"9" * 5000}}}', "不是 JSON"),
        (GOOD, "编号“q”已在第 1 行用过"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, complaint: str) -> None:
    path = write_lines(tmp_path / "q.jsonl", GOOD, "", line)
    with pytest.raises(EvaluationError) as caught:
        read_questions(path)
    assert str(caught.value).startswith(f"{path} 第 3 行：")
    assert caught.value.english.startswith(f"{path}, line 3: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "complaint"),
    [
        ("none.jsonl", None, "找不到"),
        ("empty.jsonl", b"\n\n", "没有问题"),
        ("gbk.jsonl", "问题".encode("gb18030"), "不是 UTF-8"),
        ("plain.jsonl.gz", b"{}", "读不了"),
        ("cut.jsonl.gz", gzip.compress(b"x" * 999, mtime=0)[:-12], "读不了"),
        (".", None, "读不了"),
    ],
)
def test_an_unreadable_question_set(
    tmp_path: Path, name: str, data: bytes | None, complaint: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(EvaluationError, match=complaint):
        read_questions(path)


def write_squad(path: Path, *paragraphs: dict[str, Any]) -> Path:
    squad = {"data": [{"title": "淮北", "paragraphs": list(paragraphs)}]}
    path.write_text(json.dumps(squad, ensure_ascii=False), encoding="utf-8")
    return path


def paragraph(context: str, *qas: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"context": context, "qas": list(qas), **fields}


def test_each_squad_paragraph_is_a_document_of_its_own(tmp_path: Path) -> None:
    path = write_squad(
        tmp_path / "s.json",
        paragraph(
            "一期投资10亿元。\r\n二期投资20亿元。",
            {
                "id": "a",
                "question": "一期？",
                "answers": [
                    {"text": "10亿元", "answer_start": 99},
                    {"text": "10亿元", "answer_start": 4},
                    {"text": "拾亿元", "answer_start": 4},
                ],
            },
            id="P1",
        ),
        paragraph("没有问题的段落也在库里。"),
        paragraph(
            "三期未定。",
            {"id": "b", "question": "四期？", "answers": [], "is_impossible": True},
        ),
    )
    documents, questions = read_squad(path)
    assert [(d.id, d.title, d.text) for d in documents] == [
        ("P1", "P1", "一期投资10亿元。\n二期投资20亿元。"),
        ("淮北#1", "淮北#1", "没有问题的段落也在库里。"),
        ("淮北#2", "淮北#2", "三期未定。"),
    ]
    assert questions == [
        Question(
            id="a",
            question="一期？",
            answers=("10亿元", "拾亿元"),
            evidence=("10亿元",),
            document_id="P1",
            any_evidence=True,
        ),
        Question(
            id="b", question="四期？", answerable=False, document_id="淮北#2", any_evidence=True
        ),
    ]


def test_a_squad_file_has_one_source_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"id": "q", "question": "谁？", "answers": [{"text": "甲"}]}
    path = write_squad(tmp_path / "s.json", paragraph("甲。", asked, id="P"))
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    paths = (path, Path("s.json"), Path("folder/../s.json"))
    sources = [read_squad(each)[0][0].source for each in paths]
    assert sources == [f"{path.resolve()}#P"] * 3


def test_squad_ids_that_occur_twice_are_told_apart(tmp_path: Path) -> None:
    asked = {"id": "q", "question": "谁？", "answers": [{"text": "甲"}]}
    path = write_squad(
        tmp_path / "s.json", paragraph("甲。", asked, id="P"), paragraph("甲！", asked, id="P")
    )
    documents, questions = read_squad(path)
    assert [document.id for document in documents] == ["P", "P#2"]
    assert [(q.id, q.document_id) for q in questions] == [("q", "P"), ("q#2", "P#2")]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ('{"version": 1}', "不是 SQuAD 格式"),
        ('{"data": [{"paragraphs": [{"qas": []}]}]}', "不是 SQuAD 格式：KeyError.'context'"),
        ('{"data": []}', "没有问题"),
        ('{"data": [{"paragraphs": [{"context": "甲\\ud800"}]}]}', r"非法字符 U\+D800"),
        ("{", "不是 JSON"),
        (
            '{"data": [{"paragraphs": [{"context": "甲",'
            ' "qas": [{"id": "q7", "question": "谁"}]}]}]}',
            "问题“q7”没有答案",
        ),
    ],
)
def test_a_file_of_another_layout(tmp_path: Path, content: str, complaint: str) -> None:
    path = write_lines(tmp_path / "s.json", content)
    with pytest.raises(EvaluationError, match=complaint) as caught:
        read_squad(path)
    assert str(caught.value).startswith(f"{path}：")
    assert caught.value.english.startswith(f"{path}: ")


def test_sampling_keeps_the_order_and_repeats_by_seed() -> None:
    questions = [Question(id=str(n), question="？") for n in range(100)]
    assert sample_questions(questions, None) == questions
    assert sample_questions(questions, 500, 1) == questions
    assert sample_questions(questions, 3) == questions[:3]
    drawn = sample_questions(questions, 20, 7)
    assert drawn == sample_questions(questions, 20, 7)
    assert drawn != sample_questions(questions, 20, 8)
    assert len(drawn) == 20
    assert drawn == sorted(drawn, key=questions.index)
    with pytest.raises(EvaluationError, match="正整数"):
        sample_questions(questions, 0)
