"""Follow-up questions made complete from the turns before them, and others left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.follow_up import Turn, readings
from rag.pointers import pointer_in
from rag.question import analyse


def turns(*contents: str) -> list[Turn]:
    """Return what the user and the assistant said in turn, the user first."""
    return [Turn("assistant" if n % 2 else "user", content) for n, content in enumerate(contents)]


HOSPITAL = turns("市人民医院和哪家医院合作？", "上海东方肝胆医院")
TOWN = turns("教育小镇是哪家集团投资的？", "江苏港利集团")
PISTONS = turns("陶铝新材料一期产业园能生产多少只活塞？", "50万只")
SECOND = turns("比赛第二名是谁？", "张伟")
JOINED = turns("合肥是哪一年加入协调会的？", "2010年")
BUILDER = turns("哪家公司承建了地铁三号线？", "中铁四局")
EXPORTS = turns("合肥市上半年出口额是多少？", "560亿元")
HEAD = turns("市第三中学的校长是谁？", "李红梅")
LEAGUE = turns("哪些城市一起成立了联盟？", "合肥、杭州、南京")
AIRPORT = turns("新机场有几条跑道？", "两条")
NOVEL = turns("《红楼梦》的作者是谁？", "曹雪芹")


@pytest.mark.parametrize(
    ("history", "question", "resolved"),
    [
        (HOSPITAL, "那市中医医院呢？", "市中医医院和哪家医院合作？"),
        (HOSPITAL, "皖北康复医院呢", "皖北康复医院和哪家医院合作？"),
        (turns("市人民醫院和哪家醫院合作？"), "市中醫醫院呢？", "市中醫醫院和哪家醫院合作？"),
        (SECOND, "第三名呢？", "比赛第三名是谁？"),
        (turns("比赛的第二名是谁？"), "第三名呢？", "比赛的第三名是谁？"),
        (JOINED, "马鞍山呢？", "马鞍山是哪一年加入协调会的？"),
        (JOINED, "那安徽呢？", "安徽是哪一年加入协调会的？"),
        (NOVEL, "《西游记》呢？", "《西游记》的作者是谁？"),
        (PISTONS, "零部件呢？", "陶铝新材料一期产业园能生产多少只零部件？"),
        (PISTONS, "二期呢？", "陶铝新材料二期产业园能生产多少只活塞？"),
        (
            turns("科技部把陶铝新材料列进了哪个规划？", "“十三五”专项规划"),
            "那工信部呢？",
            "工信部把陶铝新材料列进了哪个规划？",
        ),
        (turns("A公司去年投资了多少？", "3亿元"), "B公司呢", "B公司去年投资了多少？"),
        (BUILDER, "四号线呢？", "哪家公司承建了地铁四号线？"),
        (EXPORTS, "全省呢？", "全省上半年出口额是多少？"),
        (EXPORTS, "进口额呢？", "合肥市上半年进口额是多少？"),
        (EXPORTS, "下半年呢？", "合肥市下半年出口额是多少？"),
        (EXPORTS, "芜湖那边呢？", "芜湖上半年出口额是多少？"),
        (turns("本县小麦产量增长多少？", "5%"), "玉米呢？", "本县玉米产量增长多少？"),
        (turns("全县小麦产量增长多少？", "5%"), "玉米呢？", "全县玉米产量增长多少？"),
        (turns("厂房开工了多少个？", "8个"), "完工的呢", "厂房完工了多少个？"),
        (turns("平台开通多少项服务？", "23项"), "查询类的呢", "平台开通多少项查询类的服务？"),
        (turns("A公司的董事长是谁？", "王强"), "B集团的呢？", "B集团的董事长是谁？"),
        (HEAD, "副校长呢？", "市第三中学的副校长是谁？"),
        (AIRPORT, "老机场呢？", "老机场有几条跑道？"),
        (turns("市图书馆周几闭馆？", "周一"), "博物馆呢", "博物馆周几闭馆？"),
        (turns("水厂现在供水多少吨？", "10万吨"), "二期建成后呢", "水厂二期建成后供水多少吨？"),
        (turns("第四版手册有多少页？", "80页"), "第五版？", "第五版手册有多少页？"),
        (turns("社区有几个快递站点？", "6个"), "老年食堂呢？", "社区有几个老年食堂？"),
        (turns("镇上有多少家上市公司？", "3家"), "专卖店呢", "镇上有多少家专卖店？"),
    ],
)
def test_a_like_thing_takes_the_place_of_the_other(
    history: list[Turn], question: str, resolved: str
) -> None:
    assert readings(question, history)[0] == resolved


@pytest.mark.parametrize(
    ("history", "question", "resolved"),
    [
        (TOWN, "那总投资呢？", "江苏港利集团的总投资是多少？"),
        (TOWN, "那麼總投資呢？", "江苏港利集团的總投資是多少？"),
        (turns("教育小镇在哪里？", "淮北"), "总投资呢？", "教育小镇的总投资是多少？"),
        (turns("教育小镇在哪里？", "淮北"), "开工时间呢", "教育小镇的开工时间是什么时候？"),
        (turns("谁投资了教育小镇？"), "地址呢？", "教育小镇的地址在哪里？"),
        (turns("A公司去年投资了多少？", "3亿元"), "那总额呢？", "A公司的总额是多少？"),
        (turns("滨海大桥什么时候通车？", "6月"), "那全长呢？", "滨海大桥的全长是多少？"),
        (BUILDER, "注册资本呢？", "中铁四局的注册资本是多少？"),
        (HEAD, "地址呢？", "市第三中学的地址在哪里？"),
        (HEAD, "年龄呢？", "李红梅的年龄是多少？"),
        (AIRPORT, "航站楼面积？", "新机场的航站楼面积是多少？"),
    ],
)
def test_an_attribute_is_asked_of_the_subject(
    history: list[Turn], question: str, resolved: str
) -> None:
    assert readings(question, history)[0] == resolved


@pytest.mark.parametrize(
    ("history", "question", "resolved"),
    [
        (HOSPITAL, "它有多少张床位？", "上海东方肝胆医院有多少张床位？"),
        (TOWN, "它的目标产值？", "江苏港利集团的目标产值？"),
        (TOWN, "其总投资多少", "江苏港利集团总投资多少"),
        (TOWN, "这个小镇在哪里？", "教育小镇在哪里？"),
        (TOWN, "該集團的董事長是誰？", "江苏港利集团的董事長是誰？"),
        (TOWN, "该集团的董事长是谁？", "江苏港利集团的董事长是谁？"),
        (SECOND, "他是哪里人？", "张伟是哪里人？"),
        (NOVEL, "他是哪一年出生的？", "曹雪芹是哪一年出生的？"),
        (turns("哪个海关获批成立？", "淮北海关"), "它创新了什么？", "淮北海关创新了什么？"),
        (turns("王浩伟是哪所大学的教授？", "上海交大"), "他多大了？", "王浩伟多大了？"),
        (turns("基地在哪里？", "“梧桐树”"), "那里入驻了几家？", "“梧桐树”入驻了几家？"),
        (turns("教育小镇在哪里？"), "那个小镇总投资多少？", "教育小镇总投资多少？"),
        (turns("滨海大桥什么时候通车？", "6月"), "它是谁建的？", "滨海大桥是谁建的？"),
        (HEAD, "她哪年上任的？", "李红梅哪年上任的？"),
        (HEAD, "那里有多少学生？", "市第三中学有多少学生？"),
        (turns("比赛在哪里举行？", "黄山市"), "当地有多少人参加？", "黄山市有多少人参加？"),
        (
            turns("谁主动投案？", "肖凡", "什么职务？", "县医院药学部副主任"),
            "她哪年出生？",
            "肖凡哪年出生？",
        ),
        (
            turns("王强在哪家医院工作？", "市人民医院"),
            "这家医院哪年建的？",
            "市人民医院哪年建的？",
        ),
        (
            turns("哪两家公司中标？", "甲公司、乙公司"),
            "它们各出多少钱？",
            "甲公司、乙公司各出多少钱？",
        ),
        (EXPORTS, "它的面积呢？", "合肥市的面积是多少？"),
    ],
)
def test_a_pronoun_becomes_what_it_stands_for(
    history: list[Turn], question: str, resolved: str
) -> None:
    assert readings(question, history)[0] == resolved


@pytest.mark.parametrize(
    ("history", "question", "kept"),
    [
        (HOSPITAL, "什么时候开始的？", "市人民医院"),
        (HOSPITAL, "为什么？", "市人民医院"),
        (TOWN, "占地多少亩？", "教育小镇"),
        (turns("年底哪条城际铁路开工？"), "叫什么名字？", "城际铁路"),
        (turns("年底哪条城际铁路开工？"), "叫甚麼？", "城际铁路"),
        (TOWN, "什么时候建成？", "教育小镇"),
        (turns("教育小镇占地多少亩？", "文档中没有说明。"), "那投资方是谁？", "教育小镇"),
        (turns("淮北开设了什么大讲堂？", "绿金淮北大讲堂"), "都请谁来讲？", "大讲堂"),
    ],
)
def test_a_bare_question_is_told_what_it_is_about(
    history: list[Turn], question: str, kept: str
) -> None:
    resolved = readings(question, history)[0]
    assert kept in resolved
    assert resolved.endswith(question.removeprefix("那"))
    assert analyse(resolved).kind in (analyse(question).kind, "thing")


@pytest.mark.parametrize(
    ("history", "question", "resolved"),
    [
        (LEAGUE, "这个联盟叫什么？", "合肥、杭州、南京一起成立了联盟，这个联盟叫什么？"),
        (BUILDER, "什么时候？", "中铁四局承建了地铁三号线，什么时候？"),
        (BUILDER, "多少钱？", "中铁四局承建了地铁三号线，多少钱？"),
        (EXPORTS, "为什么？", "合肥市上半年出口额是560亿元，为什么？"),
        (turns("评审会在哪个区开的？", "江北区"), "谁主持？", "评审会在江北区开的，谁主持？"),
        (AIRPORT, "造价多少？", "新机场有两条跑道，造价多少？"),
        (turns("李明去过南极吗？", "去过"), "哪一年？", "李明去过南极，哪一年？"),
        (turns("王强和谁搭档？", "未找到"), "什么时候？", "王强和搭档，什么时候？"),
        (
            turns("A公司和B公司共建了什么项目？", "水厂"),
            "两家各投了多少？",
            "A公司和B公司共建了水厂，两家各投了多少？",
        ),
    ],
)
def test_the_reply_stands_in_the_gap_of_what_was_asked(
    history: list[Turn], question: str, resolved: str
) -> None:
    assert readings(question, history)[0] == resolved


@pytest.mark.parametrize(
    ("history", "question", "resolved"),
    [
        (HOSPITAL, "皖北康复医院呢，有多少张床位？", "皖北康复医院有多少张床位？"),
        (TOWN, "顺便问下，徐州签了什么协议？", "徐州签了什么协议？"),
        (TOWN, "对了，县医院有多少张床位？", "县医院有多少张床位？"),
        (TOWN, "5200元的那位是谁？", "5200元的那位是谁？"),
        (TOWN, "最后问一下，这篇报道的记者叫什么？", "这篇报道的记者叫什么？"),
    ],
)
def test_a_question_that_names_its_own_subject_is_asked_alone_first(
    history: list[Turn], question: str, resolved: str
) -> None:
    assert readings(question, history)[0] == resolved


def test_a_chain_of_follow_ups_goes_back_to_the_subject() -> None:
    history = turns(
        "市人民医院和哪家医院合作？", "上海东方肝胆医院", "皖北康复医院呢？", "华山医院"
    )
    assert readings("市中医医院呢？", history)[0] == "市中医医院和哪家医院合作？"
    history = turns("教育小镇在哪里？", "淮北", "总投资呢？", "约100亿元")
    assert "教育小镇" in readings("它占地多少亩？", history)[0]


@pytest.mark.parametrize("question", ["还有呢？", "那呢？", "呢？", "……呢"])
def test_a_question_that_names_nothing_asks_again(question: str) -> None:
    assert readings(question, HOSPITAL)[0] == HOSPITAL[0].content


@pytest.mark.parametrize(
    "question",
    [
        "徐州签了什么协议？",
        "和教育小镇同时落地的是什么？",
        "长三角产业创新城市联盟是哪些城市发起的？",
        "其实验室的面积是多少平方米？",
        "“三区联创”里有哪几个区？",
        "这篇文章讲了什么？",
        "你好",
        "谢谢",
        "你能做什么？",
        "你叫什么名字？",
        "How much is the planned total investment?",
        "",
        "？",
    ],
)
def test_a_complete_question_stays_as_it_is(question: str) -> None:
    assert readings(question, TOWN)[0] == question


@pytest.mark.parametrize(
    "lead",
    [
        "换个话题，",
        "算了，换一个问题：",
        "先不聊这个，",
        "题外话，",
        "说点别的，",
        "咱聊点别的，",
        "不聊小镇了，",
        "跳过这个，",
        "这事先放着，",
    ],
)
def test_a_change_of_topic_leaves_the_earlier_one_behind(lead: str) -> None:
    assert readings(f"{lead}这篇文章是哪天发布的？", TOWN) == ("这篇文章是哪天发布的？",)


@pytest.mark.parametrize(
    ("history", "question", "meant"),
    [
        (turns("曼城分在哪个组？", "A组"), "那热刺呢？", "热刺分在哪个组？"),
        (
            turns("座谈会是谁召开的？", "省高级人民法院"),
            "它的院长是谁？",
            "省高级人民法院的院长是谁？",
        ),
        (TOWN, "它占地多少亩？", "教育小镇占地多少亩？"),
        (TOWN, "合同期限是几年？", "教育小镇是江苏港利集团投资的，合同期限是几年？"),
    ],
)
def test_what_words_cannot_tell_has_several_readings(
    history: list[Turn], question: str, meant: str
) -> None:
    found = readings(question, history)
    assert meant in found
    assert len(found) == len(set(found)) > 1


@pytest.mark.parametrize(
    "history",
    [
        [],
        [Turn("assistant", "您好，我是问据。")],
        [Turn("user", "  "), Turn("assistant", "问题是空的。")],
        turns("谢谢", "不客气"),
    ],
)
def test_without_an_earlier_question_nothing_is_added(history: list[Turn]) -> None:
    for question in ("那总投资呢？", "它在哪里？", "What about it?", "为什么？"):
        assert readings(question, history)[0] == question


def test_english_pronouns_bring_the_question_before() -> None:
    history = turns("Who invests in the education town?", "江苏港利集团")
    about = "(Who invests in the education town?)"
    assert readings("How much is it?", history)[0] == f"How much is it? {about}"
    assert readings("What about the hospital?", history)[0] == f"What about the hospital? {about}"
    assert readings("When did Hefei join?", history)[0] == "When did Hefei join?"


def test_english_after_chinese_brings_it_too() -> None:
    assert readings("How big is it?", TOWN)[0] == "How big is it? (教育小镇是哪家集团投资的？)"


SAID = st.one_of(
    st.text(max_size=30),
    st.text(
        alphabet="那这它他其该里个家第二三名呢？的《》“”教育小镇医院谁多少哪、，。 it?What",
        max_size=16,
    ),
)


@given(SAID, st.lists(st.builds(Turn, st.sampled_from(["user", "assistant"]), SAID), max_size=5))
def test_any_conversation_resolves_to_a_question(question: str, history: list[Turn]) -> None:
    found = readings(question, history)
    assert found
    assert all(reading.strip() for reading in found) or not question.strip()


@given(SAID)
def test_without_history_any_question_is_unchanged(question: str) -> None:
    assert readings(question, [])[0] == question


@pytest.mark.parametrize(
    "question", ["青石县的情况？", "青石县的公交车有多少辆？", "红枫合作社的公交车数量？"]
)
def test_a_question_that_names_whose_attribute_it_asks_has_no_other_reading(question: str) -> None:
    history = [Turn("user", "白石公司的总经理是谁？"), Turn("assistant", "张三")]
    assert readings(question, history) == (question,)


@pytest.mark.parametrize(
    "question",
    [
        "其他费用有哪些？",
        "其它费用有哪些？",
        "他人代办需要什么材料？",
        "请其他人代办需要什么材料？",
        "吉他班收费多少？",
        "维他奶多少钱一瓶？",
        "土耳其的人口是多少？",
        "游客应该带什么证件？",
        "彼此的关系如何？",
        "因此关闭了哪些场馆？",
        "孩子本该几岁入学？",
    ],
)
def test_a_word_that_holds_a_pronoun_is_none(question: str) -> None:
    assert pointer_in(question) is None
    history = turns("青石县文化馆在哪里？", "建设路12号")
    assert question in readings(question, history)


@pytest.mark.parametrize(
    ("question", "resolved"),
    [
        ("那曲市有多少人口？", "那曲市有多少人口？"),
        ("那拉提草原的面积多大？", "那拉提草原的面积多大？"),
        ("好未来公司投资多少？", "好未来公司投资多少？"),
        ("好的，芜湖市有多少人口？", "芜湖市有多少人口？"),
        ("那芜湖市有多少人口？", "芜湖市有多少人口？"),
        ("那停车费呢", "公园的停车费是多少？"),
        ("票价呢？", "公园的票价是多少？"),
    ],
)
def test_a_lead_is_taken_away_only_where_it_is_a_word(question: str, resolved: str) -> None:
    assert resolved in readings(question, turns("公园几点开门？", "8点"))


def test_what_was_said_ends_in_no_comma() -> None:
    turns = [
        Turn("user", "教育小镇总投资多少，是哪个集团投的？"),
        Turn("assistant", "约100亿元；港利集团"),
    ]
    assert not any("，，" in reading for reading in readings("今天怎么样？", turns))
