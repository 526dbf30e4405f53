"""What the chatbot says of itself, in the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Messages:
    """The sentences of one language; `{}` are filled in by the caller."""

    nothing_to_search: str
    refused: str
    refused_missing: str
    holds: str
    try_these: str
    about_document: str
    about_heading: str

    def introduction(self, documents: int, titles: str, examples: Sequence[str]) -> str:
        """Return what the library holds, with questions to begin with."""
        lines = [self.holds.format(documents, titles)]
        if examples:
            lines += [self.try_these, *(f"- {example}" for example in examples)]
        return "\n".join(lines)


_CHINESE = Messages(
    nothing_to_search="没有可查的文档。请先用 wenju add 加入文档，或放宽文档范围。",
    refused="文档里没有说到这一点。下面是意思最接近的一段，供您判断。",
    refused_missing="文档里没有说到这一点：其中从未提及{}。下面是意思最接近的一段，供您判断。",
    holds="您好，我是问据：根据文档回答问题，每个回答都附原文。现有文档 {} 篇：{}。",
    try_these="可以这样问：",
    about_document="这篇文章讲了什么？",
    about_heading="“{}”讲了什么？",
)
_ENGLISH = Messages(
    nothing_to_search="There is no document to search. Add some with `wenju add`, or allow more "
    "documents.",
    refused="The documents do not say. The passage nearest in meaning follows.",
    refused_missing="The documents do not say: they never mention {}. The passage nearest in "
    "meaning follows.",
    holds="Hello, this is wenju: answers from documents, each with its evidence. It holds {} "
    "document(s): {}.",
    try_these="You could ask:",
    about_document="这篇文章讲了什么？",
    about_heading="“{}”讲了什么？",
)


def messages(language: Literal["zh", "en"]) -> Messages:
    """Return the sentences of a language."""
    return _ENGLISH if language == "en" else _CHINESE
