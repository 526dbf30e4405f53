"""Question sets: what an evaluation asks and expects, from our JSONL or a SQuAD-layout file."""

from __future__ import annotations

import gzip
import json
import random
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from index.documents import UNUSABLE, Document
from rag.errors import EvaluationError
from rag.follow_up import Turn

BEYOND_FACTS = frozenset({"summary", "yes-no", "why", "how", "meta"})
"""Kinds whose answers have no one wording, so that they say little when compared by it."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a set with what is expected of its answer.

    `answers` are references, any one suffices; none where the wording is free (a summary, a
    greeting). `evidence` are verbatim substrings of the source: all of them are needed, or,
    where `any_evidence`, any one (SQuAD files, whose references are one another's
    alternatives). `document_id` is the document to find the evidence in, None for any.
    `kind` groups questions in the report.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    answerable: bool = True
    kind: str = "fact"
    history: tuple[Turn, ...] = ()
    document_id: str | None = None
    any_evidence: bool = False


def read_questions(path: Path) -> list[Question]:
    """Read a question set in our format: JSONL in UTF-8, one question a line, gzip too.

    A line is `{"id", "question", "answers": [...], "evidence": [...], "answerable": bool,
    "kind", "history": [{"role", "content"}], "document"}`; only `id` and `question` are
    required, blank lines and other fields are passed over.

    Raises:
        EvaluationError: the file cannot be read, or a line (named by its number) is not a
            question, or an id occurs twice.
    """
    questions: list[Question] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        with _placed(f"{path} 第 {number} 行", f"{path}, line {number}"):
            question = _question(_json_object(line))
            if question.id in line_of:
                raise EvaluationError(
                    f"编号“{question.id}”已在第 {line_of[question.id]} 行用过。"
                    "请给每个问题一个不同的 id。",
                    f'The id "{question.id}" is used in line {line_of[question.id]} already. '
                    "Give each question an id of its own.",
                )
        line_of[question.id] = number
        questions.append(question)
    if not questions:
        raise EvaluationError(
            f"{path} 里没有问题。请每行写一个 JSON 问题。",
            f"There are no questions in {path}. Write one in JSON on each line.",
        )
    return questions


def read_squad(path: Path) -> tuple[list[Document], list[Question]]:
    """Read a file in the layout of SQuAD 1.1 or 2.0 (CMRC, DRCD, XQuAD), gzip too.

    Every paragraph becomes a document, whose title is its id, so that no article title helps
    retrieval. The evidence of a question is any reference where it stands in its own
    paragraph. All its occurrences count and `answer_start` is not looked at: in CMRC it
    always points at the first occurrence, whichever the annotator meant, and where it is
    wrong the text has to be searched for anyway.

    Raises:
        EvaluationError: the file cannot be read or has another layout.
    """
    text = _read_text(path)
    with _placed(str(path), str(path)):
        # The same file has the same source, however its path is typed.
        return _squad(_json_object(text), path.resolve())


def _squad(squad: Mapping[str, Any], source: Path) -> tuple[list[Document], list[Question]]:
    documents: dict[str, Document] = {}
    questions: dict[str, Question] = {}
    try:
        for paragraph, fallback_id in _paragraphs(squad):
            document_id = _unused(str(paragraph.get("id", fallback_id)), documents)
            text = _normal_newlines(paragraph["context"])
            documents[document_id] = Document(
                id=document_id, title=document_id, text=text, source=f"{source}#{document_id}"
            )
            for record in paragraph["qas"]:
                question_id = _unused(str(record.get("id", f"{document_id}-q")), questions)
                questions[question_id] = _squad_question(record, question_id, document_id, text)
    except (KeyError, TypeError, AttributeError) as error:
        raise EvaluationError(
            f"不是 SQuAD 格式：{error!r}。"
            "需要 data[].paragraphs[]，每段有 context 和 qas，每问有 question 和 answers[].text。",
            f"It is not in SQuAD's layout: {error!r}. It needs data[].paragraphs[], each with "
            "context and qas, and in those question and answers[].text.",
        ) from error
    if not questions:
        raise EvaluationError(
            "里面没有问题。请换一个文件。", "It holds no questions. Name another file."
        )
    return list(documents.values()), list(questions.values())


def sample_questions(
    questions: Sequence[Question], limit: int | None, seed: int | None = None
) -> list[Question]:
    """Return the first `limit` questions, or with a `seed` that many at random, in their order.

    Raises:
        EvaluationError: `limit` is not positive.
    """
    if limit is None or limit >= len(questions):
        return list(questions)
    if limit < 1:
        raise EvaluationError(
            f"问题数上限须为正整数，而给的是 {limit}。",
            f"The limit of questions must be a positive integer, and {limit} is given.",
        )
    if seed is None:
        return list(questions[:limit])
    chosen = sorted(random.Random(seed).sample(range(len(questions)), limit))
    return [questions[at] for at in chosen]


def _read_text(path: Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise EvaluationError(
            f"找不到问题集 {path}。请检查路径。",
            f"There is no question set {path}. Check the path.",
        ) from error
    except UnicodeDecodeError as error:
        raise EvaluationError(
            f"{path} 不是 UTF-8 文本。请另存为 UTF-8。",
            f"{path} is no text in UTF-8. Save it as UTF-8.",
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise EvaluationError(
            f"读不了问题集 {path}：{error}。请检查这个文件。",
            f"The question set {path} cannot be read: {error}. Check this file.",
        ) from error


@contextmanager
def _placed(chinese: str, english: str) -> Iterator[None]:
    """Say in front of an error where it was found."""
    try:
        yield
    except EvaluationError as error:
        raise EvaluationError(f"{chinese}：{error}", f"{english}: {error.english}") from error


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        unusable = next(filter(None, map(UNUSABLE.search, _texts(value))), None)
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a plain ValueError.
        raise EvaluationError(
            f"不是 JSON（{error}）。请改正。", f"It is no JSON ({error}). Correct it."
        ) from error
    if unusable:
        character = f"U+{ord(unusable.group()):04X}"
        raise EvaluationError(
            f"含有非法字符 {character}。请删去它。",
            f"It holds the invalid character {character}. Delete it.",
        )
    if not isinstance(value, dict):
        raise EvaluationError(
            "应是一个 JSON 对象，即 {…}。", "It should be a JSON object, that is, {…}."
        )
    return value


def _texts(value: object) -> Iterator[str]:
    """Yield every string of a JSON value, keys too."""
    match value:
        case str():
            yield value
        case dict() | list():
            parts = chain.from_iterable(value.items()) if isinstance(value, dict) else value
            for part in parts:
                yield from _texts(part)
        case _:
            pass


def _question(record: Mapping[str, Any]) -> Question:
    question = _field(record, "question", str)
    if not question.strip():
        raise EvaluationError(
            "question 是空的。请写上问题。", '"question" is blank. Write the question.'
        )
    return Question(
        id=_field(record, "id", str),
        question=question,
        answers=_strings(record, "answers"),
        evidence=_strings(record, "evidence"),
        answerable=_field(record, "answerable", bool, default=True),
        kind=_field(record, "kind", str, default="fact"),
        history=tuple(_turn(turn) for turn in _field(record, "history", list, [])),
        document_id=_field(record, "document", str) if "document" in record else None,
    )


_TYPE_NAMES = {
    str: ("字符串", "a string"),
    bool: ("true 或 false", "true or false"),
    list: ("列表", "a list"),
}


def _field(
    record: Mapping[str, Any], name: str, kind: type[_Value], default: _Value | None = None
) -> _Value:
    value = record.get(name, default)
    if not isinstance(value, kind):
        chinese, english = _TYPE_NAMES[kind]
        missing = value is None
        raise EvaluationError(
            f"{name} 应是{chinese}，而{'这里没有' if missing else f'它是 {value!r}'}。",
            f'"{name}" should be {english}, and {"is missing" if missing else f"is {value!r}"}.',
        )
    return value


def _strings(record: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _field(record, name, list, [])
    if not all(isinstance(value, str) and value.strip() for value in values):
        raise EvaluationError(
            f"{name} 应是非空字符串的列表，而它是 {values!r}。",
            f'"{name}" should be a list of strings that are not blank, and is {values!r}.',
        )
    return tuple(values)


def _turn(turn: object) -> Turn:
    match turn:
        case {"role": ("user" | "assistant") as role, "content": str(content)}:
            return Turn(role=role, content=content)
        case _:
            raise EvaluationError(
                f'history 的每一项应是{{"role": "user" 或 "assistant", "content": "…"}}，'
                f"而有一项是 {turn!r}。",
                f'Each of "history" should be {{"role": "user" or "assistant", "content": "…"}}, '
                f"and one is {turn!r}.",
            )


def _paragraphs(squad: Mapping[str, Any]) -> Iterator[tuple[Mapping[str, Any], str]]:
    for article in squad["data"]:
        for index, paragraph in enumerate(article["paragraphs"]):
            yield paragraph, f"{article.get('title', '')}#{index}"


def _squad_question(
    record: Mapping[str, Any], question_id: str, document_id: str, text: str
) -> Question:
    references = [_normal_newlines(answer["text"]) for answer in record.get("answers", ())]
    answers = tuple(dict.fromkeys(reference for reference in references if reference.strip()))
    answerable = not record.get("is_impossible", False)
    if answerable and not answers:
        raise EvaluationError(
            f"问题“{question_id}”没有答案。答不出的问题请标 is_impossible: true。",
            f'The question "{question_id}" has no answer. Mark one that cannot be answered by '
            "is_impossible: true.",
        )
    return Question(
        id=question_id,
        question=record["question"],
        answers=answers if answerable else (),
        evidence=tuple(answer for answer in answers if answer in text) if answerable else (),
        answerable=answerable,
        document_id=document_id,
        any_evidence=True,
    )


def _normal_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _unused(wanted: str, taken: Mapping[str, object]) -> str:
    """Return the wanted id, or the first of id#2, id#3, … that is free."""
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted}#{number}"
    return name
