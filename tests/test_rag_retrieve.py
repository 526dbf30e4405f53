"""Retrieval for an answer: what reading finds moves a passage up, and more is read if need be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from asking import Finds, document, hits_of, letter_library, scored

from rag.answer import Chatbot
from rag.reader import Span
from rag.reading import READ_FIRST, READ_FURTHER
from rag.retrieve import IN_SIGHT, reorder
from rag.sentences import ScoredSentence
from rag.settings import Settings
from rag.spans import Probe

TOP_K = READ_FIRST + 2


def whole(sentence: ScoredSentence, evidence: float) -> Span:
    return Span(sentence, sentence.sentence.start, sentence.sentence.end, evidence, evidence)


def test_what_reading_finds_moves_a_passage_up() -> None:
    texts = ("甲路长五米。", "乙路长六米。", "丙路长七米。")
    hits = hits_of(*(document(text, f"{n}.txt") for n, text in enumerate(texts)))
    (found,) = [s for s in scored("丙路多长？", *texts) if s.sentence.text == texts[2]]
    ordered = reorder(hits, [whole(found, 8.0)])
    assert [hit.passage.text for hit in ordered] == [texts[0], texts[2], texts[1]]
    assert [hit.rank for hit in ordered] == [1, 2, 3]
    assert all(0 <= hit.score <= 1 for hit in ordered)


@pytest.mark.parametrize(("place", "rank"), [(IN_SIGHT - 1, IN_SIGHT), (IN_SIGHT, 1)])
def test_the_passage_that_answers_is_in_sight(place: int, rank: int) -> None:
    texts = [f"{n}路长{n}米。" for n in range(IN_SIGHT + 2)]
    hits = hits_of(*(document(text, f"{n}.txt") for n, text in enumerate(texts)))
    by_text = {s.sentence.text: s for s in scored("路多长？", *texts)}
    # Another passage has more evidence, and this one what else an answer is chosen by.
    spans = [whole(by_text[texts[place]], -50.0), whole(by_text[texts[0]], 5.0)]
    ordered = reorder(hits, spans)
    assert [hit.passage.text for hit in ordered].index(texts[place]) + 1 == rank
    assert [hit.rank for hit in ordered] == [*range(1, len(texts) + 1)]
    found = [hit.score for hit in ordered]
    assert found == sorted(found, reverse=True)


def test_without_a_span_the_order_stays() -> None:
    hits = hits_of(*(document(f"第{n}条路。", f"{n}.txt") for n in range(4)))
    assert [hit.passage.id for hit in reorder(hits, [])] == [hit.passage.id for hit in hits]


class FindsLate(Finds):
    """A reader that is sure of what only a passage further down says."""

    def __init__(self, *words: str) -> None:
        super().__init__(*words)
        self.passages: list[int] = []

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        self.passages.append(len({sentence.hit.passage.id for sentence in sentences}))
        return [
            Span(span.sentence, span.start, span.end, 90.0, 90.0)
            for span in super().read(probe, sentences)
        ] or [whole(sentences[0], -90.0)]


@pytest.mark.parametrize(
    ("place", "read"),
    [
        (READ_FIRST - 1, [READ_FIRST]),
        (READ_FIRST + 1, [READ_FIRST, TOP_K]),
        (TOP_K + 1, [READ_FIRST, TOP_K, TOP_K * READ_FURTHER]),
    ],
)
def test_more_is_read_before_a_question_is_refused(
    tmp_path: Path, place: int, read: list[int]
) -> None:
    # The letters in common fall from document to document, and with them the rank.
    asked = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未"
    counted = "一二三四五六七八九十百千万亿零两"
    texts = [f"{asked[n:]}是第{counted[n]}条路。" for n in range(len(counted))]
    reader = FindsLate(f"第{counted[place]}条路")
    documents = (document(text, f"{n}.txt") for n, text in enumerate(texts))
    with letter_library(tmp_path, *documents) as library:
        settings = Settings(top_k=TOP_K, threshold=0.5)
        answer = Chatbot(library, reader=reader, settings=settings).ask(f"{asked}是什么？")
    assert answer.text == reader.words[0]
    assert answer.citations[0].document_id in {hit.passage.document_id for hit in answer.hits}
    assert reader.passages == read
    assert len(answer.hits) == max(TOP_K, read[-1])
