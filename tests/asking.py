"""Documents, hits and scored sentences made in code, for tests of what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from letters import LetterEmbedder

from index.documents import Document
from index.embedder import load_embedder
from index.library import DiskLibrary, Hit, open_library
from index.passages import split_document
from rag.question import analyse
from rag.rarity import rarity
from rag.reader import Span
from rag.sentences import ScoredSentence, score_sentences
from rag.spans import Probe, parse, probe

PAIRS = (
    "市人民医院、市中医医院、皖北康复医院分别与上海东方肝胆医院、江苏省中医院、"
    "复旦大学附属华山医院建立协作关系。"
)
TOWN = "江苏港利集团计划总投资约100亿元的教育小镇成功落地。"
FEES = "市级涉企收费清单同比精简56%，企业开办时间压缩至3个工作日以内。"


def asked(question: str) -> Probe:
    """Return a question made ready, its words weighed by their rarity."""
    return probe(analyse(question), rarity)


def document(text: str, id: str = "报道.txt", **meta: object) -> Document:
    """Return a document of this text."""
    return Document(id, f"标题：{id}", text, f"/文档/{id}", meta)


def hits_of(*documents: Document) -> list[Hit]:
    """Return all passages of the documents as hits, in their order."""
    passages = [passage for each in documents for passage in split_document(each)]
    return [
        Hit(passage, 1 / rank, rank, dense_score=0.9, lexical_score=1.0)
        for rank, passage in enumerate(passages, 1)
    ]


def scored(question: str, *texts: str) -> list[ScoredSentence]:
    """Return the sentences of the texts, a document each, scored for a question."""
    hits = hits_of(*(document(text, f"{n}.txt") for n, text in enumerate(texts)))
    embedder = LetterEmbedder()
    vectors = [embedder.embed_passages([s.text for s in h.passage.sentences()]) for h in hits]
    return score_sentences(asked(question), hits, embedder.embed_question(question), vectors)


def span(sentence: str, words: str, *, score: float = 1.0) -> Span:
    """Return the span of some words in a sentence that stands somewhere in a document."""
    found = max(scored("什么？", "开头一句。" + sentence), key=lambda s: s.sentence.start)
    start = found.sentence.start + found.sentence.text.index(words)
    return Span(found, start, start + len(words), score, score)


def measures(sentence: str) -> list[str]:
    """Return the quantities and times of a sentence, as it writes them."""
    parsed = parse(sentence)
    marked = [k for k, token in enumerate(parsed.tokens) if token.tag in "QT"]
    return [sentence[slice(*parsed.offsets(k, k))] for k in marked]


class Finds:
    """A reader that finds the words it was told to, in the best sentence that holds them."""

    name = "spans"

    def __init__(self, *words: str) -> None:
        self.words = words
        self.questions: list[str] = []

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        self.questions.append(probe.asked.text)
        found: list[Span] = []
        for score, words in enumerate(reversed(self.words), 1):
            for each in sentences:
                if words in each.sentence.text:
                    start = each.sentence.start + each.sentence.text.index(words)
                    found.append(Span(each, start, start + len(words), float(score), float(score)))
                    break
        return found[::-1]


def letter_library(folder: Path, *documents: Document) -> DiskLibrary:
    """Return a library of documents in a folder that needs no model."""
    library = open_library(folder, LetterEmbedder())
    library.add(documents)
    return library


def seed_articles(home: Path) -> DiskLibrary:
    """Open the default library of a home folder that holds the seed article already."""
    return open_library(home / ".local/share/wenju/library", load_embedder(), create=False)
