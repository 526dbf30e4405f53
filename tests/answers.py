"""An answer and a refusal made in code, for tests of how they are shown."""

from __future__ import annotations

from index.library import Hit
from index.passages import Passage
from rag.answer import Answer
from rag.citations import Citation, Claim

TEXT = "简介。\n总投资约100亿元的小镇。"
DOCUMENT = "报道.txt"

_CITATION = Citation(
    number=1,
    document_id=DOCUMENT,
    title="一篇[b]报道[/b]",
    source="/文档/报道.txt",
    start=4,
    end=17,
    quote=TEXT[4:17],
    page=None,
)
_HIT = Hit(
    passage=Passage(f"{DOCUMENT}#0-17", DOCUMENT, 0, 17, "", TEXT),
    score=1.0,
    rank=1,
    dense_score=0.9,
    lexical_score=3.0,
)

ANSWER = Answer(
    question="总投资多少？",
    resolved_question="总投资多少？",
    text="约100亿元",
    claims=(Claim("约100亿元", (_CITATION,), supported=True),),
    citations=(_CITATION,),
    hits=(_HIT,),
    confidence=0.91,
    refused=False,
    refusal_reason="",
    missing_terms=(),
    notices=(),
    mode="extract",
    model="test",
    timings_ms={"total": 1.0},
)
REFUSAL = Answer(
    question="占地多少亩？",
    resolved_question="占地多少亩？",
    text="",
    claims=(),
    citations=(),
    hits=(_HIT,),
    confidence=0.1,
    refused=True,
    refusal_reason="文档里没有说到这一点。",
    missing_terms=("占地", "亩"),
    notices=(),
    mode="extract",
    model="test",
    timings_ms={"total": 1.0},
)
