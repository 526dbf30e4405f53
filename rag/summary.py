"""Extractive summaries: the few sentences that say what a document, or a topic of it, says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from index.library import Library
from index.passages import Passage, Sentence
from index.words import Word
from rag.question import Asked, ends_as_question
from rag.sentences import ScoredSentence

MAX_SENTENCES = 5
_MIN_CHARS = 12
_TOPIC_SENTENCES = 3


def summarise(library: Library, document_id: str) -> list[Sentence]:
    """Return the sentences that sum up a document, in its order.

    The most central sentence of each section, centrality being the cosine with the mean of
    all the document's sentences; where there are fewer sections than sentences wanted, the
    next most central ones that say something else.
    """
    passages = library.passages(document_id)
    vectors = library.sentence_embeddings([passage.id for passage in passages])
    rows = [
        (section, sentence, vector)
        for section, passage, matrix in zip(_sections(passages), passages, vectors, strict=True)
        for sentence, vector in zip(passage.sentences(), matrix, strict=True)
        if len(sentence.text) >= _MIN_CHARS and not ends_as_question(sentence.text)
    ]
    if not rows:
        return [s for passage in passages for s in passage.sentences()][:1]
    matrix = np.array([vector for _, _, vector in rows])
    central = matrix @ matrix.mean(axis=0)
    sections = [list(own) for _, own in groupby(range(len(rows)), key=lambda k: rows[k][0])]
    best = sorted(
        (max(section, key=lambda k: central[k]) for section in sections), key=lambda k: -central[k]
    )
    chosen = best[:MAX_SENTENCES]
    if len(sections) < 2:
        chosen = _diverse(matrix, central, 3)
    return [rows[k][1] for k in sorted(chosen)]


def about(sentences: Sequence[ScoredSentence]) -> list[Sentence]:
    """Return the sentences on the topic asked, best document only, in its order."""
    top = sentences[0]
    near = [
        s
        for s in sentences
        if s.hit.passage.document_id == top.hit.passage.document_id
        and s.fused >= 0.6 * top.fused
        and s.covered >= 0.5 * top.covered
        and s.cosine >= top.cosine - 0.03
    ]
    return sorted((s.sentence for s in near[:_TOPIC_SENTENCES]), key=lambda s: s.start)


def topic(asked: Asked) -> str:
    """Return what a summary is asked of, "" for the whole document.

    The words of the request itself ("概括一下…的情况", "summarise the article") are left out.
    """
    kept = [w for w in asked.words if w.text not in _REQUEST and _says_something(w)]
    parts = [
        ("" if k and kept[k - 1].end == word.start else " ") + word.text
        for k, word in enumerate(kept)
    ]
    return "".join(parts).strip()


def _says_something(word: Word) -> bool:
    return word.text.isalnum() and (word.tag == "eng" or not word.tag.startswith(_FUNCTIONS))


_FUNCTIONS = ("u", "p", "c", "d", "r", "y", "e", "o", "w", "x", "m", "q", "f")
_REQUEST = frozenset(
    """
    文章 文 本文 全文 文中 这篇 篇 报道 新闻 文档 材料 资料 内容 主要 主要内容 讲
    讲述 讲讲 讲了 说 说说 说明 写 谈 谈谈 聊 聊聊 介绍 概括 概述 描述 总结 摘要 归纳
    梳理 整理 提炼 大意 主旨 中心 中心思想 思想 简要 简单 简短 简明 简述 简洁 用 几句
    几句话 一句 一句话 两句 两句话 三句 三句话 句 句话 话 请 请问 麻烦 帮 帮忙 帮我 我 你 给 做
    做了 做些 有 是 能 可以 想 知道 了解 看看 关于 事 事情 情况 方面 做法 成果 成效 成绩
    进展 发展 现状 经过 过程 特点 总体 大概 通篇 整体 要点 核心 重点 部分 块 一块 篇文章
    summary summarize summarise summed sum up article document text news story about main
    idea point points topic please give me tell you can could of the a an in on what is
    are this that for brief briefly short describe explain overview and to us
    """.split()
)


def _sections(passages: Sequence[Passage]) -> Iterator[int]:
    """Yield the number of the section of each passage.

    A section begins where its heading stands in the text; the columns of a table, which stand
    behind the heading of its rows, begin none.
    """
    number, heading = 0, ""
    for passage in passages:
        if passage.heading != heading and passage.heading in passage.text:
            number, heading = number + 1, passage.heading
        yield number


def _diverse(matrix: NDArray[np.float32], central: NDArray[np.float32], count: int) -> list[int]:
    """Choose by maximal marginal relevance.

    Source: Carbonell and Goldstein, "The use of MMR", SIGIR 1998, with lambda 0.5.
    """
    chosen = [int(np.argmax(central))]
    while len(chosen) < min(count, len(central)):
        novelty = central - (matrix @ matrix[chosen].T).max(axis=1)
        novelty[chosen] = -np.inf
        chosen.append(int(np.argmax(novelty)))
    return chosen
