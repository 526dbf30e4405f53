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
    not_said: str
    not_asked: str
    holds: str
    try_these: str
    disagree: str
    unfounded: str
    names_unchecked: str
    left_out: str
    cut_off: str
    fell_back: str
    not_grounded: str
    strictly: str
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
    not_said="其中这一问，文档里没有说到：{}",
    not_asked="一次最多答三问，其余请另外再问：{}",
    holds="您好，我是问据：根据文档回答问题，每个回答都附原文。现有文档 {} 篇：{}。",
    try_these="可以这样问：",
    disagree="{} 份文档的说法不同，都列在上面，括号里是文档的日期。",
    unfounded="文档里没有这一句的依据",
    names_unchecked="英文回答对照中文原文时，只核对了数字和日期，名称没有核对。",
    left_out="问题连同资料超出了模型能读的长度，略去了排在最后的 {} 段。",
    cut_off="模型的回答到长度上限就断了，最后可能不完整；可以调大 WENJU_LLM_MAX_TOKENS。",
    fell_back="大模型没有答成，改用抽取的回答。{}",
    not_grounded="大模型的回答没有一句有原文依据，改用抽取的回答。它说的是：“{}”",
    strictly="大模型的回答里有原文不支持的话，按严格模式改用抽取的回答：{}",
    about_document="这篇文章讲了什么？",
    about_heading="“{}”讲了什么？",
)
_ENGLISH = Messages(
    nothing_to_search="There is no document to search. Add some with `wenju add`, or allow more "
    "documents.",
    refused="The documents do not say. The passage nearest in meaning follows.",
    refused_missing="The documents do not say: they never mention {}. The passage nearest in "
    "meaning follows.",
    not_said="One part of it the documents do not say: {}",
    not_asked="At most three questions are answered at once, ask the others again: {}",
    holds="Hello, this is wenju: answers from documents, each with its evidence. It holds {} "
    "document(s): {}.",
    try_these="You could ask:",
    disagree="{} documents say differently: all is listed, with the date of each document.",
    unfounded="nothing in the documents carries this sentence",
    names_unchecked="Of an English answer over a Chinese source only numbers and dates are "
    "checked, names are not.",
    left_out="The question with its passages is longer than the model reads: the last {} "
    "passages were left out.",
    cut_off="The model's answer ends at its longest and may be incomplete; raise "
    "WENJU_LLM_MAX_TOKENS.",
    fell_back="The language model gave no answer, so this one is extracted. {}",
    not_grounded="No sentence of the language model's answer has a basis in the documents, so "
    "this one is extracted. It said: “{}”",
    strictly="The language model said what the source does not support; being strict, this "
    "answer is extracted: {}",
    about_document="这篇文章讲了什么？",
    about_heading="“{}”讲了什么？",
)


def messages(language: Literal["zh", "en"]) -> Messages:
    """Return the sentences of a language."""
    return _ENGLISH if language == "en" else _CHINESE


def shortened(text: str, most: int = 200) -> str:
    """Return a text in one line of at most so many characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
