"""The page's answers: nothing in a document or a question is read as markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape
from urllib.parse import unquote

import pytest
from answers import ANSWER, DOCUMENT, REFUSAL, TEXT
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag.citations import Claim
from ui.render import answer_html, citation_link, escape, source_address

_LINK = (
    r'<a class="wj-cite" href="#cite=([^":]+):(\d+)-(\d+):[0-9a-f]{8}" title="来源：([^"]+)">1</a>'
)
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
    page = html(answer_html(ANSWER))
    assert '<strong class="wj-claim">约100亿元</strong>' in page
    link = re.search(_LINK, page)
    assert link
    assert unquote(link.group(1)) == "报道.txt"
    assert TEXT[int(link.group(2)) : int(link.group(3))] == ANSWER.citations[0].quote
    assert unescape(link.group(4)) == "一篇[b]报道[/b]"


def test_the_words_of_the_answer_are_marked_in_its_quote() -> None:
    page = html(answer_html(ANSWER))
    assert "<blockquote>总投资<mark>约100亿元</mark>的小镇。</blockquote>" in page
    assert "可信度：高" in page


def test_the_trace_lists_what_was_retrieved_with_its_scores() -> None:
    page = html(answer_html(ANSWER))
    assert "<td>1.00</td><td>0.90</td><td>3.00</td>" in page
    assert source_address(DOCUMENT, 0, 17, TEXT) in page


def test_notices_are_shown() -> None:
    page = html(answer_html(replace(ANSWER, notices=("资料库是临时的",))))
    assert '<p class="wj-notice">资料库是临时的</p>' in page


def test_the_address_of_a_source_tells_when_its_text_has_changed() -> None:
    one, other = (source_address("a", 0, 1, text) for text in ("甲", "乙"))
    assert one.split(":")[:2] == other.split(":")[:2]
    assert one != other


@pytest.mark.parametrize("document_id", ["a b.txt", 'q".txt', "a)b(.txt", "百分%.txt", "a\nb"])
def test_any_document_id_makes_one_link(document_id: str) -> None:
    citation = replace(ANSWER.citations[0], document_id=document_id)
    page = html(citation_link(citation))
    link = re.fullmatch(f"<p>{_LINK}</p>\n", page)
    assert link
    assert unquote(link.group(1)) == document_id


def test_the_items_of_a_list_are_joined_as_in_the_answer_and_share_their_link() -> None:
    citation = ANSWER.citations
    claims = tuple(Claim(item, citation, supported=True) for item in ("甲", "乙"))
    page = html(answer_html(replace(ANSWER, text="甲、乙", claims=claims)))
    assert re.search(
        r">甲</strong>、<strong class=\"wj-claim\">乙</strong><a [^>]*>1</a></p>", page
    )


def test_an_answer_without_claims_keeps_its_lines() -> None:
    page = html(answer_html(replace(ANSWER, text="您好\n- 例子", claims=(), citations=())))
    assert "您好<br>&#45; 例子" in page
    assert "可信度" not in page


def test_an_unsupported_claim_is_marked_with_its_reason() -> None:
    claim = Claim("约900亿元", ANSWER.citations, supported=False, problems=("原文没有数字 900",))
    page = html(answer_html(replace(ANSWER, text=claim.text, claims=(claim,))))
    assert '<strong class="wj-claim wj-unsupported">约900亿元</strong>' in page
    assert "<li>原文没有支持这一句：约900亿元 原文没有数字 900</li>" in page


def test_a_refusal_looks_different_and_opens_the_nearest_passage() -> None:
    page = html(answer_html(REFUSAL))
    assert page.startswith('<div class="wj-answer wj-refused">')
    assert "没有找到答案" in page
    assert "文档里没有说到这一点。" in page
    assert "<blockquote>简介。 总投资约100亿元的小镇。</blockquote>" in page
    assert f'href="{source_address(DOCUMENT, 0, 17, TEXT)}">在原文中查看</a>' in page
    assert "wj-cite" not in page


def test_a_completed_question_can_be_changed() -> None:
    page = html(answer_html(replace(ANSWER, resolved_question="小镇总投资多少?")))
    link = re.search(r'理解为：小镇总投资多少&#63; <a href="#ask=([^"]+)"', page)
    assert link
    assert unquote(link.group(1)) == "小镇总投资多少?"


def test_nothing_of_an_answer_is_read_as_markup() -> None:
    citation = replace(ANSWER.citations[0], title=_HOSTILE, quote=_HOSTILE, document_id=_HOSTILE)
    claim = Claim(_HOSTILE, (citation,), supported=False, problems=(_HOSTILE,))
    passage = replace(ANSWER.hits[0].passage, text=_HOSTILE)
    hits = (replace(ANSWER.hits[0], passage=passage),)
    answer = replace(
        ANSWER, resolved_question=_HOSTILE, claims=(claim,), citations=(citation,), hits=hits
    )
    refusal = replace(REFUSAL, refusal_reason=_HOSTILE, resolved_question=_HOSTILE, hits=hits)
    page = html(answer_html(answer)) + html(answer_html(refusal))
    tags = {re.split(r"[ />]", tag)[0].strip("<") for tag in re.findall(r"<[a-z][^>]*>", page)}
    ours = "div p strong a details summary mark ul li figure figcaption blockquote span table"
    assert tags <= {*ours.split(), "thead", "tbody", "tr", "th", "td"}
    links = re.findall(r'href="([^"]*)"', page)
    assert {re.split("[=:]", link)[0] for link in links} == {"#cite", "#ask", "#copy"}
