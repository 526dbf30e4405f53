"""Questions taken apart: the kind, the gap, the focus, the unit, in many natural wordings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.question import KINDS, Kind, analyse

WORDINGS: dict[Kind, str] = {
    "number": """教育小镇计划总投资是多少？|教育小镇总投资|一共引进了多少高层次人才？|入驻了几家医院
        |收费清单精简了百分之几？|精简了几成|楼有多高？|項目總投資是多少？|這裡有幾家醫院？|多少錢
        |得了第几名|提出了几点意见？|几号楼停水？|近几年投了多少钱
        |How many people joined?|how much was invested|What percentage was cut?""",
    "date": """合肥是哪一年加入的？|什么时候开通？|甚麼時候開通？|何时开工|几月几日发布|多会儿开工
        |啥时候开工|发布时间|文章发布日期|哪天獲批的？|图书馆几点开门？|星期几闭馆|几点钟开会
        |When did it open?|In which year did it join?""",
    "duration": """开车要多久？|需要几个工作日？|多长时间能到|得花多少天|要幾個小時？|耗時多久
        |How long does it take?|How many working days does it take?""",
    "person": """这是谁提出的？|誰是校長？|哪位教授的团队？|校长是什么人|何人所写
        |Who is the mayor?|Whose team is it?""",
    "place": """协议在哪里签的？|总部在哪儿|哪座城市最先加入|在什么地方举行|哪個地方|总部所在地
        |啥地方|Where is the headquarters?|Which city joined first?""",
    "organisation": """与哪家医院合作？|稿源是哪个单位？|和哪所大学合作|哪家公司夺冠
        |哪個部門批准的？
        |什么机构发布的|Which company won?|Which hospital works with it?""",
    "thing": """王浩伟是什么职务|列入了什么目录|搞了个啥项目|夺冠的是哪个项目|又叫甚麼|是何种材料
        |列入了哪一份目錄？|教育小镇|What did they build?""",
    "list": """有哪些企业落户？|分别与哪些医院合作？|是哪三个城市|都有谁|有哪几个区|列举主导产业
        |甲、乙、丙分别是谁|包括哪些產業？|采取了哪些措施|Which companies are there?
        |List the cities.""",
    "yes-no": """郑徐高铁淮北联络线开通了吗？|淮北海关获批成立了没有|是否开工|落地了么|有没有合作
        |是不是具有自主知识产权？|開通了嗎？|能不能办结算|批下来没
        |Is it open?|Did it open in 2019?""",
    "why": """为什么要重视交通？|为何重视交通|為什麼要重視交通？|为啥这么快|这是什么原因
        |合作深化的缘由何在？为何？|怎么会这样|Why does it matter?""",
    "how": """怎么吸引人才？|如何加强互动|怎樣推動？|咋弄的|咋样推动通关|通过什么办法强化
        |采取了什么措施|How did it attract talents?""",
    "summary": """这篇文章讲了什么？|這篇文章講了什麼|總結一下全文|概括一下医疗合作|主要内容
        |介绍一下联盟|用三句话总结|文章大意是啥|Summarize the article|What is the article about?""",
    "meta": """你好|您好！|在吗|谢谢|你是谁|你能做什么？|你能回答什么问题|我可以问你哪些问题？
        |hello|hi there|help|What can you do?""",
}


@pytest.mark.parametrize(
    ("kind", "question"),
    [(kind, q.strip()) for kind, said in WORDINGS.items() for q in said.split("|")],
)
def test_the_kind_is_known_by_many_wordings(kind: Kind, question: str) -> None:
    assert analyse(question).kind == kind


def test_every_kind_is_held() -> None:
    assert set(WORDINGS) == set(KINDS)


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("你好，教育小镇总投资多少？", "number"),  # a greeting in front is none
        ("他为什么说有哪些企业不重要？", "why"),
        ("谁提出了什么观点", "person"),
        ("要不要几乎无关紧要", "thing"),  # 几乎 asks for nothing
        ("没什么差不多的了吧", "thing"),
        ("那么多会议，谁主持？", "person"),
    ],
)
def test_words_that_only_look_like_another_kind(question: str, kind: Kind) -> None:
    assert analyse(question).kind == kind


@pytest.mark.parametrize(
    ("question", "gap", "before"),
    [
        ("教育小镇计划总投资是多少？", "多少", "教育小镇计划总投资是"),
        ("合肥是哪一年加入的？", "哪一年", "合肥是"),
        ("開車要幾個小時？", "几个小时", "开车要"),
        ("谁提出的？", "谁", ""),
        ("甚麼時候開通", "什么时候", ""),
        ("How many people joined?", "how many", ""),
        ("郑徐高铁开通了吗？", "", "郑徐高铁开通了吗"),
        ("教育小镇总投资", "", "教育小镇总投资"),
    ],
)
def test_the_gap_is_the_question_word(question: str, gap: str, before: str) -> None:
    asked = analyse(question)
    assert asked.text[asked.gap_start : asked.gap_end] == gap
    assert asked.before == before


@pytest.mark.parametrize(
    ("question", "focus", "unit"),
    [
        ("引进了哪位教授？", "教授", ""),
        ("合作的是哪家医院？", "医院", ""),
        ("列入了什么目录", "目录", ""),
        ("占地多少亩？", "", "亩"),
        ("入驻了几家医院", "医院", "家"),
        ("吸引了多少名学生", "学生", "名"),
        ("總長多少公里", "", "公里"),
        ("要幾個小時？", "小时", "个小时"),
        ("这家医院的院长是什么？", "院长", ""),
    ],
)
def test_the_noun_and_the_measure_asked_for(question: str, focus: str, unit: str) -> None:
    asked = analyse(question)
    assert asked.unit == unit
    assert asked.focus == focus


@pytest.mark.parametrize(
    ("question", "several"),
    [
        ("有哪些企业落户？", True),
        ("甲和乙分别在哪里？", True),
        ("Where are they respectively?", True),
        ("哪家企业落户？", False),
    ],
)
def test_several_things_are_asked_for(question: str, several: bool) -> None:
    assert analyse(question).several is several


@pytest.mark.parametrize("ending", ["", "？", "?", "呢？", "。", "  ", "？？？", "！"])
def test_the_closing_mark_changes_nothing(ending: str) -> None:
    asked = analyse("教育小镇总投资是多少" + ending)
    assert (asked.kind, asked.after) == ("number", "")


def test_only_text_with_han_characters_is_chinese() -> None:
    assert analyse("总投资？").chinese
    assert analyse("What is 总投资?").chinese
    assert not analyse("What is the investment? 😀 １００").chinese


@given(st.text())
def test_any_text_is_taken_apart(text: str) -> None:
    asked = analyse(text)
    assert asked.kind in KINDS
    assert 0 <= asked.gap_start <= asked.gap_end <= len(asked.text)
    assert asked.text.startswith(asked.before)
    assert asked.after in asked.text


@given(st.text(alphabet="什么多少几谁哪里个家吗呢怎为何时分别讲了你好？， abwhoHOW\n", max_size=30))
def test_any_mix_of_question_words_is_taken_apart(text: str) -> None:
    asked = analyse(text)
    assert asked.kind in KINDS
    assert 0 <= asked.gap_start <= asked.gap_end <= len(asked.text)
    assert all(asked.text[word.start : word.end] == word.text for word in asked.words)


@pytest.mark.parametrize(
    ("kind", "asked", "others"),
    [
        (
            "meta",
            """好的，谢谢|好的谢谢您|嗯，知道了|好，明白了|不用了，谢谢|ok thanks|谢谢
        |谢谢你的帮助|thank you|Thanks a lot|辛苦了|辛苦你了
        |感谢您的解答|哦哦，好的|哈哈哈|好吧|没事了|ok, thank you|感谢""",
            """谢谢，停车费是多少|谢谢，联系电话是多少|感谢，什么时候开门|辛苦费怎么发
        |感谢信发给了多少家单位|谢谢，有停车场吗|谢谢，开放时间|好的，停车费多少
        |thanks, how much is it|感谢信的内容|好未来公司投资多少
        |可以刷卡吗|可以吗""",
        ),
        (
            "summary",
            """总结一下这篇文章|帮我整理要点|这篇文章讲了什么|把文章梳理一下|能不能帮我总结一下
        |请你把这篇报道的重点归纳一下|医疗合作方面帮我梳理一下|用三句话总结|概括一下医疗合作
        |介绍一下联盟|用一句话概括全文|帮我总结这篇文章好吗|你能总结这篇文章吗|全文总结
        |文章摘要|说说教育小镇|总结这篇文章讲了什么|这篇文章主要写了些什么内容|文章都说了什么
        |可以帮我概括一下吗|请简要介绍淮北|對全文進行概括|總結一下全文|说说这篇文章讲了什么
        |请用两句话概括一下教育小镇项目|把这篇文章的主要内容整理成三点""",
            """档案整理需要带身份证吗|档案整理收费吗|会议纪要整理好了吗|年终总结会开了吗
        |旧房整理补贴标准|旧房整理要交押金吗|说说几号停水|通知里主要说了什么时间停水？
        |成都报名写什么材料|整理档案收费吗|概括成了哪六个字|总结会开了吗|整理费多少
        |会议总结写了多少字""",
        ),
    ],
)
def test_small_talk_and_requests_for_a_summary_are_told_from_questions(
    kind: Kind, asked: str, others: str
) -> None:
    assert {q for q in asked.split("|") if analyse(q.strip()).kind != kind} == set()
    assert {q for q in others.split("|") if analyse(q.strip()).kind == kind} == set()


@pytest.mark.parametrize(
    ("questions", "of_the_moment"),
    [
        (
            """今天几号|今天星期几|现在几点了|明天是几月几号|今天天气怎么样|外面几度|明天会下雨吗
        |今天多少度|今天是星期几呀|现在是几点钟""",
            True,
        ),
        (
            """周六几点开门？|周末开放到几点|今天办事大厅几点关门？|今天几点下班|明天几点停水
        |本周五几点开会？|最近的星期几开放|明天几号楼停水|今天限行尾号是多少号""",
            False,
        ),
    ],
)
def test_the_clock_where_one_is_is_told_from_opening_hours(
    questions: str, of_the_moment: bool
) -> None:
    for question in questions.split("|"):
        assert analyse(question.strip()).of_the_moment is of_the_moment, question
