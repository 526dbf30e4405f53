"""Grounding: each claim of a model's answer tied to its sentences, or told as unsupported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from index.documents import Document
from index.library import Hit, Library
from rag.alignment import Source, alignments
from rag.citations import Citation, Claim, citation
from rag.drafts import Draft
from rag.facts import evidence_of, facts_of
from rag.gate import problems
from rag.messages import messages
from rag.settings import Language


class Grounding:
    """Judges the claims of one answer by the passages that its model was given."""

    def __init__(
        self,
        library: Library,
        documents: Sequence[Document],
        hits: Sequence[Hit],
        language: Language,
    ) -> None:
        """Judge by `hits`, each with its document; problems are told in `language`."""
        self._library = library
        self._documents = documents
        self._hits = hits
        self._language: Language = language
        self._numbers: dict[tuple[str, int, int], int] = {}

    def judge(self, draft: Draft) -> Claim:
        """Return a claim with the sentences that carry it, or without any and why none does.

        Raises:
            IndexingError: the library cannot be read.
        """
        vector = self._library.embed_question(draft.judged)
        facts = facts_of(draft.judged, None)
        sources = self._sources
        if not (facts.chinese or facts.amounts or facts.moments):
            # Nothing of it can be checked across languages: only where the model itself says so.
            sources = [source for source in sources if source.number in draft.markers]
        said: tuple[str, ...] = ()
        for chosen in alignments(draft.judged, vector, draft.markers, sources):
            parts = [(s.document, s.hit.passage.heading, s.sentence.text) for s in chosen]
            found = problems(draft.judged, evidence_of(parts), self._language)
            if not found:
                return Claim(draft.text, self._cited(chosen), supported=True)
            said = said or found
        none = messages(self._language).unfounded
        return Claim(draft.text, (), supported=False, problems=said or (none,))

    @cached_property
    def _sources(self) -> list[Source]:
        vectors = self._library.sentence_embeddings([hit.passage.id for hit in self._hits])
        return [
            Source(number, document, hit, sentence, vector)
            for number, (document, hit, rows) in enumerate(
                zip(self._documents, self._hits, vectors, strict=True), 1
            )
            for sentence, vector in zip(hit.passage.sentences(), rows, strict=True)
        ]

    def _cited(self, sources: Sequence[Source]) -> tuple[Citation, ...]:
        """Cite sentences, one cited before by the number that it has."""
        made: list[Citation] = []
        for source in sources:
            key = (source.document.id, source.sentence.start, source.sentence.end)
            number = self._numbers.setdefault(key, len(self._numbers) + 1)
            made.append(citation(number, source.document, source.sentence))
        return tuple(made)
