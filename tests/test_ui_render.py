"""The page's Markdown: nothing in a document or a question is read as markup."""

from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import unquote

import pytest
from answers import ANSWER, REFUSAL, TEXT
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag.citations import Claim
from ui.render import answer_markdown, citation_link, escape

_MARKDOWN = MarkdownIt("gfm-like", {"linkify": False, "html": True})
_HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)> ![](http://e.example/i.png) "
    '[x](javascript:alert(1)) <style>*{display:none}</style> {{value}} ``` ~~~ "quoted" \n\n# 标题'
    " $$x^2$$ http://e.example www.e.example a@e.example \u202e"
)


def html(markdown: str) -> str:
    return _MARKDOWN.render(markdown)


def text_of(page: str) -> str:
    """Return what a browser would show of a page without markup."""
    tags_gone = re.sub(r"<[^>]*>", "", page)
    named = {"amp": "&", "lt": "<", "gt": ">", "quot": '"'}
    return re.sub(r"&(\w+);", lambda entity: named[entity.group(1)], tags_gone)


@given(st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zs", "Zl", "Zp"))))
def test_escaped_text_is_read_as_itself(text: str) -> None:
    assert text_of(html(f"。{escape(text)}。")) == f"<p>。{text}。</p>\n".replace(
        "<p>", ""
    ).replace("</p>", "")


@given(st.text())
def test_escaped_text_is_one_line_without_punctuation_of_its_own(text: str) -> None:
    left = re.sub(r"&#\d+;", "", escape(text))
    assert not re.search(r"[!-/:-@\[-`{-~\n\r\x00-\x1f\x85\u2028\u202e\ud800-\udfff]", left)


def test_a_hostile_text_makes_no_tag_and_no_link() -> None:
    page = html(escape(_HOSTILE))
    assert re.findall(r"<[^>]*>", page) == ["<p>", "</p>"]


def test_an_answer_links_each_claim_to_its_quote() -> None:
    page = html(answer_markdown(ANSWER))
    assert "<strong>约100亿元</strong>" in page
    link = re.search(r'<a href="#cite=([^"]+):(\d+)-(\d+)" title="来源：([^"]+)">1</a>', page)
    assert link
    assert unquote(link.group(1)) == "报道.txt"
    assert TEXT[int(link.group(2)) : int(link.group(3))] == ANSWER.citations[0].quote
    assert link.group(4) == "一篇[b]报道[/b]"


def test_the_source_is_marked_inside_its_passage() -> None:
    page = html(answer_markdown(ANSWER))
    assert "简介。<mark>总投资约100亿元的小镇。</mark></details>" in page
    assert "可信度：高" in page


def test_a_quote_whose_passage_is_not_among_the_hits_stands_alone() -> None:
    page = html(answer_markdown(replace(ANSWER, hits=())))
    assert "</summary><mark>总投资约100亿元的小镇。</mark></details>" in page


@pytest.mark.parametrize("document_id", ["a b.txt", 'q".txt', "a)b(.txt", "百分%.txt", "a\nb"])
def test_any_document_id_makes_one_link(document_id: str) -> None:
    citation = replace(ANSWER.citations[0], document_id=document_id)
    page = html(citation_link(citation))
    link = re.fullmatch(r'<p><a href="#cite=([^":]+):4-17" title="[^"]+">1</a></p>\n', page)
    assert link
    assert unquote(link.group(1)) == document_id


def test_the_items_of_a_list_are_joined_as_in_the_answer() -> None:
    citation = ANSWER.citations
    claims = tuple(Claim(item, citation, supported=True) for item in ("甲", "乙"))
    page = html(answer_markdown(replace(ANSWER, text="甲、乙", claims=claims)))
    assert re.search(r"<strong>甲</strong> <a [^>]*>1</a>、<strong>乙</strong>", page)


def test_an_answer_without_claims_keeps_its_lines() -> None:
    page = html(answer_markdown(replace(ANSWER, text="您好\n- 例子", claims=(), citations=())))
    assert "您好<br>- 例子" in page
    assert "可信度" not in page


def test_an_unsupported_claim_is_marked() -> None:
    claim = Claim("约900亿元", ANSWER.citations, supported=False, problems=("原文没有数字 900",))
    page = html(answer_markdown(replace(ANSWER, claims=(claim,))))
    assert "⚠ 原文没有支持这一句：约900亿元 原文没有数字 900" in page


def test_a_refusal_looks_different_and_shows_the_nearest_passage() -> None:
    page = html(answer_markdown(REFUSAL))
    assert "<strong>没有找到答案</strong>" in page
    assert "文档里没有说到这一点。" in page
    assert "<details open><summary>最接近的原文</summary>简介。 总投资约100亿元的小镇。" in page
    assert "#cite=" not in page


def test_nothing_of_an_answer_is_read_as_markup() -> None:
    citation = replace(ANSWER.citations[0], title=_HOSTILE, quote=_HOSTILE, document_id=_HOSTILE)
    claim = Claim(_HOSTILE, (citation,), supported=False, problems=(_HOSTILE,))
    passage = replace(ANSWER.hits[0].passage, text=_HOSTILE)
    hits = (replace(ANSWER.hits[0], passage=passage),)
    answer = replace(
        ANSWER, resolved_question=_HOSTILE, claims=(claim,), citations=(citation,), hits=hits
    )
    refusal = replace(REFUSAL, refusal_reason=_HOSTILE, resolved_question=_HOSTILE, hits=hits)
    page = html(answer_markdown(answer)) + html(answer_markdown(refusal))
    tags = {re.split(r"[ />]", tag)[0].strip("<") for tag in re.findall(r"<[a-z][^>]*>", page)}
    assert tags == {"p", "strong", "a", "details", "summary", "mark"}
    assert {link.split(":")[0] for link in re.findall(r'href="([^"]*)"', page)} == {
        "#cite=" + citation_link(citation).split("#cite=")[1].split(":")[0]
    }
