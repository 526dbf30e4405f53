"""Grounding: each claim of a model's answer tied to its sentences, or told as unsupported."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from index.documents import Document
from index.library import Hit, Library
from rag.alignment import Source, alignments, sources_of
from rag.citations import Claim, Numbering
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
        self._numbering = Numbering()

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
            parts = [(s.document, s.heading, s.sentence.text) for s in chosen]
            found = problems(draft.judged, evidence_of(parts), self._language)
            if not found:
                cited = tuple(self._numbering.cite(s.document, s.sentence) for s in chosen)
                return Claim(draft.text, cited, supported=True)
            said = said or found
        none = messages(self._language).unfounded
        return Claim(draft.text, (), supported=False, problems=said or (none,))

    @cached_property
    def _sources(self) -> list[Source]:
        vectors = self._library.sentence_embeddings([hit.passage.id for hit in self._hits])
        passages = zip(self._documents, self._hits, vectors, strict=True)
        return [
            source
            for number, (document, hit, rows) in enumerate(passages, 1)
            for source in sources_of(number, document, hit.passage, rows)
        ]
