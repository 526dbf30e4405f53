"""Generation: a language model's answer as it grows, each of its claims judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from index.embedder import readable
from index.library import Hit, Library
from rag.citations import Claim
from rag.drafts import Draft, drafts
from rag.errors import EndpointError, PromptTooLong
from rag.gate import tells
from rag.grounding import Grounding
from rag.messages import Messages, messages
from rag.prompt import STOP, Message, fitting, prompt, says_not
from rag.retrieve import documents_of
from rag.settings import Settings

_CUT_OFF = "length"
"""The finish reason of an answer that reached its longest."""

REPEATS = 3
"""How often a model may not say the same sentence."""


class Model(Protocol):
    """A language model that answers a conversation."""

    name: str

    def stream(
        self, messages: Sequence[Message], stop: Sequence[str] = ()
    ) -> Generator[str, None, str]:
        """Yield the text as it comes, an empty piece while none does; return why it ended."""
        ...


@dataclass(frozen=True, slots=True)
class Generated:
    """An answer so far: `claims` are its finished sentences, judged.

    `text` is all of it without markers and markup. `says_not` is whether it says that the
    documents do not say, and nothing else.
    """

    text: str = ""
    claims: tuple[Claim, ...] = ()
    notices: tuple[str, ...] = ()
    says_not: bool = False

    @property
    def supported(self) -> int:
        """How many of the claims are supported."""
        return sum(claim.supported for claim in self.claims)


def generate(
    library: Library,
    model: Model,
    settings: Settings,
    question: str,
    hits: Sequence[Hit],
    *,
    chinese: bool,
) -> Generator[Generated]:
    """Yield the answer as it grows; at last the whole of it.

    Where the passages do not fit into the model's context, the last are left out, and a notice
    says so.

    Raises:
        EndpointError: the model cannot be reached, or answers nothing of use.
        IndexingError: the library cannot be read.
    """
    say = messages(settings.lang)
    read = documents_of(library, (hit.passage.document_id for hit in hits))
    documents = [read[hit.passage.document_id] for hit in hits]
    passages = [(document, hit.passage) for document, hit in zip(documents, hits, strict=True)]
    room = settings.llm_context - min(settings.llm_max_tokens, settings.llm_context // 2)
    count = max(1, fitting(question, passages, room, chinese=chinese))
    while True:
        grounding = Grounding(library, documents[:count], hits[:count], settings.lang)
        left_out = (say.left_out.format(len(hits) - count),) if count < len(hits) else ()
        asked = prompt(question, passages[:count], chinese=chinese)
        try:
            yield from _grown(model, asked, grounding, Generated(notices=left_out), say)
        except PromptTooLong:
            if count == 1:
                raise
            count //= 2
        else:
            return


def _grown(
    model: Model,
    asked: Sequence[Message],
    grounding: Grounding,
    begun: Generated,
    say: Messages,
) -> Generator[Generated]:
    pieces = model.stream(asked, STOP)
    text, grown = "", begun
    try:
        while True:
            if piece := next(pieces):
                text += readable(piece)
                grown = _judged(grown, *drafts(text, finished=False), grounding)
            yield grown
            if _rambles(grown.claims):
                raise EndpointError(
                    f"模型 {model.name} 不断重复同一句话；请换一个 llm_model。",
                    f"The model {model.name} says the same over and over; use another llm_model.",
                )
    except StopIteration as ended:
        grown = _judged(grown, *drafts(text), grounding)
        if ended.value == _CUT_OFF:
            grown = replace(grown, notices=(*grown.notices, say.cut_off))
        yield grown
    finally:
        pieces.close()


def _judged(grown: Generated, found: Sequence[Draft], rest: str, grounding: Grounding) -> Generated:
    """Judge the claims that are new."""
    silent = [says_not(draft.text) for draft in found]
    told = [d for d, no in zip(found, silent, strict=True) if not (no or _claims_nothing(d.text))]
    new = (grounding.judge(draft) for draft in told[len(grown.claims) :])
    return replace(
        grown,
        text="".join(draft.lead + draft.text for draft in found) + rest,
        claims=(*grown.claims, *new),
        says_not=bool(found) and all(silent) and not rest,
    )


def _claims_nothing(text: str) -> bool:
    """Tell a question, and such as 好的, from a claim."""
    return text.rstrip("\"'”’）)").endswith(("？", "?")) or not tells(text)


def _rambles(claims: Sequence[Claim]) -> bool:
    """Tell whether a model says the same over and over."""
    counts = Counter(claim.text for claim in claims)
    return any(count >= REPEATS for count in counts.values())
