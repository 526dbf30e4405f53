"""Subquestions: what one question asks is told apart, and every part is answered and cited."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import pytest
from asking import Finds, document, letter_library
from hypothesis import given
from hypothesis import strategies as st

from index.library import DiskLibrary
from rag.answer import MAX_QUESTION_CHARS, Answer, Chatbot
from rag.follow_up import Turn
from rag.prompt import Message
from rag.reader import Span
from rag.sentences import ScoredSentence
from rag.settings import Settings
from rag.spans import Probe
from rag.subquestions import subquestions

LAKE = "青湖公园位于云州市南郊。公园由远山园林公司承建，总投资2.6亿元，占地480亩。"
HILL = "白石书院于1986年成立，现有教师72人。"
BROOK = "清溪书院于1993年成立，现有教师45人。清溪书院的院长是林知远。"


def parts(question: str) -> list[str]:
    """Return the subquestions without their closing marks."""
    return [part.rstrip("？?") for part in subquestions(question)]


# --- telling them apart -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("青湖公园在哪里，总投资多少？", ["青湖公园在哪里", "青湖公园的总投资多少"]),
        ("青湖公园在哪里？总投资又是多少？", ["青湖公园在哪里", "青湖公园的总投资又是多少"]),
        ("青湖公園在哪裡，總投資多少？", ["青湖公園在哪裡", "青湖公園的總投資多少"]),
        ("庙会在哪里办、来了多少人？", ["庙会在哪里办", "庙会，来了多少人"]),
        ("庙会什么时候、在哪里举行？", ["庙会什么时候举行", "庙会，在哪里举行"]),
        ("庙会是哪天以及由谁举办的？", ["庙会是哪天举办的", "庙会，由谁举办的"]),
        (
            "云州市2023年产值多少，同比增长多少？",
            ["云州市2023年产值多少", "云州市2023年产值，同比增长多少"],
        ),
        (
            "云州市2023年产值多少，出口额多少？",
            ["云州市2023年产值多少", "云州市2023年的出口额多少"],
        ),
        ("书院的院长是谁？教务长又是谁？", ["书院的院长是谁", "书院的教务长又是谁"]),
        ("庙会为什么延期？延到哪天？", ["庙会为什么延期", "庙会，延到哪天"]),
        (
            "云州市2024年净利润是多少？为什么下降？",
            ["云州市2024年净利润是多少", "云州市2024年净利润，为什么下降"],
        ),
        ("云州市产值多少，海州市人口多少？", ["云州市产值多少", "海州市人口多少"]),
        ("云州市的产值是多少？海州市呢？", ["云州市的产值是多少", "海州市的产值是多少"]),
        (
            "白石书院在哪里？院长是谁？教师多少人？哪年成立？",
            ["白石书院在哪里", "白石书院的院长是谁", "白石书院的教师多少人", "白石书院，哪年成立"],
        ),
        ("停车收费吗？多少钱一小时？", ["停车收费吗", "停车收费，多少钱一小时"]),
        ("护照几天能办好，多少钱？", ["护照几天能办好", "护照，多少钱"]),
        ("办护照要几天，收费多少？", ["办护照要几天", "办护照的收费多少"]),
        ("周日开门吗，几点关门？", ["周日开门吗", "周日开门，几点关门"]),
        ("费用多少？可以刷卡吗？", ["费用多少", "可以刷卡吗"]),
        ("可以带宠物吗？可以吸烟吗？", ["可以带宠物吗", "可以吸烟吗"]),
        ("是否需要预约？怎么预约？", ["是否需要预约", "需要预约，怎么预约"]),
        ("青湖公园周日开门吗？几点关门？", ["青湖公园周日开门吗", "青湖公园，几点关门"]),
        ("1.费用多少？2.时间多长？", ["费用多少", "时间多长"]),
        ("一、费用多少？二、在哪里办？", ["费用多少", "在哪里办"]),
        ("需要多少钱和多长时间？", ["需要多少钱", "需要多长时间"]),
        ("谁负责，电话多少", ["谁负责", "负责，电话多少"]),
        (
            "When and where is the meeting?",
            ["When is the meeting", "where is the meeting? (When is the meeting?)"],
        ),
        (
            "When was the school founded, and how many teachers does it have?",
            [
                "When was the school founded",
                "how many teachers does it have? (When was the school founded?)",
            ],
        ),
    ],
)
def test_several_questions_are_told_apart(question: str, expected: list[str]) -> None:
    assert [part.rstrip("？?") for part in subquestions(question)] == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            "白石书院和清溪书院各是哪一年成立的？",
            ["白石书院是哪一年成立的", "清溪书院是哪一年成立的"],
        ),
        (
            "白石書院與清溪書院分別有多少教師？",
            ["白石書院有多少教師", "清溪書院有多少教師"],
        ),
        (
            "白石书院和清溪书院哪家的教师更多？",
            ["白石书院有多少教师", "清溪书院有多少教师"],
        ),
        (
            "云州和海州上半年的产值分别是多少？",
            ["云州上半年的产值是多少", "海州上半年的产值是多少"],
        ),
        ("云州、海州两市产值各增长多少？", ["云州产值增长多少", "海州产值增长多少"]),
        (
            "云州上半年玉米产值和大豆产值分别增长多少？",
            ["云州上半年玉米产值增长多少", "云州上半年大豆产值增长多少"],
        ),
        ("青湖公园的面积和总投资是多少？", ["青湖公园的面积是多少", "青湖公园的总投资是多少"]),
        ("庙会的时间和地点是什么？", ["庙会的时间是什么时候", "庙会的地点在哪里"]),
        ("报名时间和报名地点", ["报名时间是什么时候", "报名地点在哪里"]),
        (
            "庙会的时间、地点和费用？",
            ["庙会的时间是什么时候", "庙会的地点在哪里", "庙会的费用是多少"],
        ),
        ("甲公司、乙公司和丙公司的营收各是多少？", [f"{x}公司的营收是多少" for x in "甲乙丙"]),
        ("甲公司和乙公司哪家的营收更高？", ["甲公司营收是多少", "乙公司营收是多少"]),
        ("甲公司和乙公司谁成立得更早？", ["甲公司什么时候成立", "乙公司什么时候成立"]),
    ],
)
def test_one_question_of_several_things_is_asked_of_each(
    question: str, expected: list[str]
) -> None:
    assert parts(question) == expected


@pytest.mark.parametrize(
    "question",
    [
        "人力资源和社会保障局在哪里？",
        "工业和信息化部、财政部联合印发了什么文件？",
        "在座谈会上，他提出了什么要求？",
        "近几年许多大型企业落户，总投资多少？",
        "未来几天，记者团去哪里采访？",
        "谁和谁一起揭牌？",
        "张三和李四在哪里见面？",
        "各部门和各地区要做什么？",
        "书院分别在哪几处开课？",
        "甲公司和乙公司分别获奖，乙公司得的是什么奖？",
        "总投资和面积分别是多少，后者呢？",
        "为什么要办庙会，想达到什么目的？",
        "公园有多大，建好了吗？",
        "庙会在哪里办，我记得有很多人去",
        "这篇文章讲了什么，有哪些要点？",
        "可以问一下吗，停车费多少？",
        "总投资是10亿元，对吗？",
        "公园总投资多少？你知道吗？",
        "如果没有身份证，怎么办？",
        "Where is the town, and why?",
        "",
    ],
)
def test_what_asks_one_thing_stays_as_it_is(question: str) -> None:
    assert subquestions(question) == (question,)


@given(st.text(alphabet="青湖公园在哪里多少和与、，？分别各是谁几呢更高的 \n“”a?", max_size=40))
def test_any_text_has_questions_and_none_is_blank(text: str) -> None:
    found = subquestions(text)
    assert found == (text,) or (len(found) > 1 and all(part.strip("？ ") for part in found))


def test_the_longest_questions_take_no_long() -> None:
    started = time.perf_counter()
    for text in ("谁，", "和", "甲、", "多少", "园在哪"):
        subquestions(text * (MAX_QUESTION_CHARS // len(text)))
    assert time.perf_counter() - started < 30


# --- answering them -----------------------------------------------------------------------


class Knows:
    """A reader that knows what stands in the sentences on each word; of all else it is unsure."""

    name = "spans"

    def __init__(self, **known: str) -> None:
        self.known = known
        self.questions: list[str] = []

    def read(self, probe: Probe, sentences: Sequence[ScoredSentence]) -> list[Span]:
        self.questions.append(probe.asked.text)
        found = [words for word, words in self.known.items() if word in probe.asked.text]
        spans = [span for words in found for span in Finds(words).read(probe, sentences)]
        return spans and [Span(s.sentence, s.start, s.end, 9.0, 90.0) for s in spans]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DiskLibrary]:
    documents = (
        document(LAKE, "公园.txt"),
        document(HILL, "白石.txt"),
        document(BROOK, "清溪.txt"),
    )
    with letter_library(tmp_path_factory.mktemp("库"), *documents) as opened:
        yield opened


@pytest.fixture(scope="module")
def real(library: DiskLibrary) -> Chatbot:
    """A chatbot with the reader that ships."""
    return Chatbot(library)


def quoted(answer: Answer) -> list[tuple[str, str]]:
    """Return each claim with the document that it is cited from."""
    return [(claim.text, claim.citations[0].document_id) for claim in answer.claims]


def test_two_parts_of_one_document(library: DiskLibrary) -> None:
    reader = Knows(哪里="云州市南郊", 投资="2.6亿元")
    answer = Chatbot(library, reader=reader).ask("青湖公园在哪里，总投资多少？")
    assert answer.text == "云州市南郊；2.6亿元"
    assert quoted(answer) == [("云州市南郊", "公园.txt"), ("2.6亿元", "公园.txt")]
    assert [citation.number for citation in answer.citations] == [1, 2]
    assert (answer.refused, answer.notices) == (False, ())
    assert answer.resolved_question == answer.question
    assert [hit.rank for hit in answer.hits] == list(range(1, len(answer.hits) + 1))


def test_a_part_that_is_not_found_is_named(library: DiskLibrary) -> None:
    answer = Chatbot(library, reader=Knows(哪里="云州市南郊")).ask("青湖公园在哪里，门票多少钱？")
    assert answer.text == "云州市南郊"
    (notice,) = answer.notices
    assert "青湖公园的门票多少钱" in notice
    english = Chatbot(library, reader=Knows(哪里="云州市南郊"), settings=Settings(lang="en"))
    (notice,) = english.ask("青湖公园在哪里，门票多少钱？").notices
    assert notice.startswith("One part")


def test_no_part_found_is_a_refusal(library: DiskLibrary) -> None:
    answer = Chatbot(library, reader=Knows(), settings=Settings(threshold=1)).ask(
        "青湖公园几点开门，门票多少钱？"
    )
    assert answer.refused
    assert (answer.text, answer.claims, answer.notices) == ("", (), ())
    assert answer.resolved_question == "青湖公园几点开门，门票多少钱？"
    assert answer.hits


def test_the_confidence_is_that_of_the_least_sure_part(library: DiskLibrary) -> None:
    made = Chatbot(library, reader=Finds("云州市南郊"), settings=Settings(threshold=0))
    single = [made.ask(q).confidence for q in ("青湖公园在哪里？", "青湖公园的总投资多少？")]
    assert single[0] != single[1]
    assert made.ask("青湖公园在哪里，总投资多少？").confidence == pytest.approx(min(single))


def test_what_one_sentence_says_of_all_is_told_in_its_words(library: DiskLibrary) -> None:
    reader = Knows(投资="总投资2.6亿元，占地480亩", 占地="480亩")
    answer = Chatbot(library, reader=reader).ask("青湖公园总投资多少，占地多少？")
    assert answer.text == "总投资2.6亿元，占地480亩"
    assert len(answer.citations) == 1


def test_the_same_answer_of_two_documents_is_told_twice(tmp_path: Path) -> None:
    with letter_library(
        tmp_path, document("甲县产值增长5%。", "甲.txt"), document("乙县产值增长5%。", "乙.txt")
    ) as library:
        answer = Chatbot(library).ask("甲县和乙县的产值分别增长多少？")
    assert answer.text == "5%；5%"
    assert quoted(answer) == [("5%", "甲.txt"), ("5%", "乙.txt")]


def test_three_parts_are_answered_and_the_others_named(library: DiskLibrary) -> None:
    reader = Knows(哪里="云州市南郊", 承建="远山园林公司", 投资="2.6亿元", 占地="480亩")
    answer = Chatbot(library, reader=reader).ask(
        "青湖公园在哪里？由谁承建？总投资多少？占地多少亩？"
    )
    assert answer.text == "云州市南郊；远山园林公司；2.6亿元"
    (notice,) = answer.notices
    assert "占地多少亩" in notice


class Echo:
    """A model that keeps what it is asked and says one sentence."""

    name = "echo"

    def __init__(self) -> None:
        self.asked = ""

    def stream(
        self, messages: Sequence[Message], stop: Sequence[str] = ()
    ) -> Generator[str, None, str]:
        self.asked = str(messages)
        yield "青湖公园占地480亩，清溪书院的院长是林知远。"
        return "stop"


def test_a_model_is_given_what_was_found_for_every_part(library: DiskLibrary) -> None:
    model = Echo()
    reader = Knows(公园="480亩", 院长="林知远")
    settings = Settings(top_k=1)
    question = "青湖公园占地多少亩？清溪书院的院长是谁？"
    *_, answer = Chatbot(library, reader=reader, model=model, settings=settings).stream(question)
    assert LAKE in model.asked
    assert BROOK in model.asked
    assert question in model.asked
    assert answer.mode == "llm"


def test_only_as_many_readings_as_parts(library: DiskLibrary) -> None:
    reader = Knows(成立="1986年", 院长="林知远")
    Chatbot(library, reader=reader).ask("白石书院哪年成立？清溪书院院长是谁？")
    assert reader.questions == ["白石书院哪年成立?", "清溪书院院长是谁?"]


def test_a_single_question_is_read_once_as_it_stands(library: DiskLibrary) -> None:
    reader = Knows(投资="2.6亿元")
    answer = Chatbot(library, reader=reader).ask("青湖公园总投资多少？")
    assert (answer.text, reader.questions) == ("2.6亿元", ["青湖公园总投资多少?"])


@pytest.mark.parametrize(
    ("question", "text", "documents"),
    [
        ("白石书院和清溪书院各是哪一年成立的？", "1986年；1993年", ["白石.txt", "清溪.txt"]),
        ("白石書院與清溪書院分別有多少教師？", "72人；45人", ["白石.txt", "清溪.txt"]),
        ("白石书院和清溪书院哪家的教师更多？", "72人；45人", ["白石.txt", "清溪.txt"]),
        ("清溪书院哪年成立？院长是谁？", "1993年；林知远", ["清溪.txt", "清溪.txt"]),
        ("白石书院有多少教师，青湖公园占地多少亩？", "72人；480亩", ["白石.txt", "公园.txt"]),
    ],
)
def test_real_parts_are_answered_and_cited(
    real: Chatbot, question: str, text: str, documents: list[str]
) -> None:
    answer = real.ask(question)
    assert answer.text == text
    assert [document_id for _, document_id in quoted(answer)] == documents
    for citation in answer.citations:
        source = real.library.document(citation.document_id).text
        assert source[citation.start : citation.end] == citation.quote


def test_a_follow_up_in_two_parts(real: Chatbot) -> None:
    history = [Turn("user", "清溪书院的院长是谁？"), Turn("assistant", "林知远")]
    answer = real.ask("清溪书院哪年成立，有多少教师？", history)
    assert answer.text == "1993年；45人"


def test_a_follow_up_goes_on_with_the_subject_of_two_parts(real: Chatbot) -> None:
    history = [
        Turn("user", "清溪书院哪年成立，院长是谁？"),
        Turn("assistant", "1993年；林知远"),
    ]
    assert real.ask("有多少教师？", history).text == "45人"
