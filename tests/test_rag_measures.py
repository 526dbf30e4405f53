"""Measures: quantities and dates kept whole, with what qualifies them and their units."""

from __future__ import annotations

from datetime import date

import pytest
from asking import measures
from hypothesis import given
from hypothesis import strategies as st

from index.fold import fold
from rag.measures import DATE, DURATION, QUANTITY


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("教育小镇总投资约100亿元。", ["约100亿元"]),
        ("企业开办时间压缩至3个工作日以内，效能提升。", ["3个工作日以内"]),
        ("引进高层次人才180余人。", ["180余人"]),
        ("收费清单同比精简56%,效能提升。", ["56%"]),
        ("具备50万只活塞、26万套零部件和5000吨材料的产能", ["50万只", "26万套", "5000吨"]),
        ("同比下降百分之五十六。", ["百分之五十六"]),
        ("三个小时内到达核心城市。", ["三个小时内"]),
        ("年销售收入200多亿元。", ["200多亿元"]),
        ("吸引100多个创新团队、70多家风投机构。", ["100多个", "70多家"]),
        ("超过1.5万名学生参加", ["超过1.5万名"]),
        ("增长3.5个百分点", ["3.5个百分点"]),
        ("比赛第三名是三万五千人选出的", ["第三名", "三万五千人"]),
        ("约占三分之二", ["三分之二"]),
        ("每队5－10人，每人10至20元", ["5－10人", "10至20元"]),
        ("共１００亿元", ["１００亿元"]),
        ("用了两三天", ["两三天"]),
        ("等了一年半", ["一年半"]),
        ("超過1,234,567元", ["超過1,234,567元"]),
        ("几十万人，数百名，几亿元", ["几十万人", "数百名", "几亿元"]),
        ("六十岁以上的有九成以上", ["六十岁以上", "九成以上"]),
        ("$500即500美元", ["$500", "500美元"]),
        ("覆盖1600 万家庭，1.5亿股民", ["1600 万家庭", "1.5亿股民"]),
        ("每次一个半小时，全程1小时30分钟", ["一个半小时", "1小时30分钟"]),
        ("停车5元/小时，水价2.85元/立方米", ["5元/小时", "2.85元/立方米"]),
        ("投入1万2千元、1亿2000万元", ["1万2千元", "1亿2000万元"]),
        ("占地15000㎡，长120km，装机300MW", ["15000㎡", "120km", "300MW"]),
        ("20日内答复，5个工作日内办结", ["20日内", "5个工作日内"]),
        ("充值50、100、200元，月票1,200元", ["50", "100", "200元", "1,200元"]),
        ("八部门抽检35批次，5号线旁有3家企业", ["八部门", "35批次", "5号线", "3家"]),
    ],
)
def test_a_quantity_keeps_its_qualifier_and_unit(sentence: str, expected: list[str]) -> None:
    assert measures(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("发布时间:2019-10-29 15:28:46", ["2019-10-29 15:28:46"]),
        ("于10月15日加入", ["10月15日"]),
        ("今年10月15日我省加入。", ["今年10月15日"]),
        ("2010年，合肥加入。", ["2010年"]),
        ("1998年至2003年担任校长", ["1998年至2003年"]),
        ("公元前221年统一", ["公元前221年"]),
        ("二〇一九年十月", ["二〇一九年十月"]),
        ("民国38年", ["民国38年"]),
        ("十九世纪末，21世纪20年代", ["十九世纪末", "21世纪20年代"]),
        ("2019年10月29日上午9时", ["2019年10月29日上午9时"]),
        ("上午9点30分开始，下午三点半结束", ["上午9点30分", "下午三点半"]),
        ("2019/10/29和15:28", ["2019/10/29", "15:28"]),
        (
            "每周一至周五上午9:00开放，星期三下午2点半闭馆",
            ["每周一至周五上午9:00", "星期三下午2点半"],
        ),
    ],
)
def test_a_time_is_one_piece(sentence: str, expected: list[str]) -> None:
    assert measures(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("气温零下15摄氏度，最低-20℃，最高-5～3℃", ["零下15摄氏度", "-20℃", "-5～3℃"]),
        ("利润增长-3.5%", ["-3.5%"]),
        ("京沪—5公里", ["5公里"]),
    ],
)
def test_a_sign_belongs_to_a_degree_or_share(sentence: str, expected: list[str]) -> None:
    assert measures(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("约 100 亿元，共 180 余人", ["约 100 亿元", "180 余人"]),
        ("2019 年 10 月 15 日加入", ["2019 年 10 月 15 日"]),
        ("3 个工作日以内", ["3 个工作日以内"]),
        ("长约　3,500　公里", ["约　3,500　公里"]),
        ("编号100 的房间", ["100"]),
    ],
)
def test_blanks_around_digits_part_nothing(sentence: str, expected: list[str]) -> None:
    assert measures(sentence) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("总数为100,其中男生60人", ["100", "60人"]),
        ("甲、乙、丙为1、2、3。", ["1", "2", "3"]),
        ("在12、34人之间", ["12", "34人"]),
    ],
)
def test_a_comma_behind_a_number_is_not_part_of_it(sentence: str, expected: list[str]) -> None:
    assert measures(sentence) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "COVID19疫情",
        "5G网络",
        "A4纸",
        "汽车零部件、零售和零件",
        "十三五规划",
        "没有数字",
    ],
)
def test_what_only_looks_like_a_quantity(sentence: str) -> None:
    assert measures(sentence) == []


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("约三个小时", True),
        ("3个工作日以内", True),
        ("将近 30 年", True),
        ("等了两天半", True),
        ("100亿元", False),
        ("2010年底", False),
        ("三天后", False),
    ],
)
def test_durations_are_quantities_of_time(text: str, lasts: bool) -> None:
    assert bool(DURATION.search(text)) is lasts


@given(
    st.sampled_from(["", "约", "近", "超过", "逾", "不足"]),
    st.one_of(
        st.integers(1, 10**12).map(str),
        st.integers(1000, 10**9).map("{:,}".format),
        st.floats(0.01, 9999).map("{:.2f}".format),
        st.sampled_from("三 十二 三百 五十六 两千 九万五千".split()),
    ),
    st.sampled_from(["", "多", "余"]),
    st.sampled_from("亿元 万吨 个工作日 平方公里 人 家 万套 只 亩 倍 岁 个小时".split()),
    st.sampled_from(["", "以上", "以内", "左右"]),
)
def test_any_quantity_is_matched_whole(
    about: str, number: str, more: str, unit: str, bound: str
) -> None:
    quantity = about + number + more + unit + bound
    found = QUANTITY.search(f"共计是{quantity}。")
    assert found
    assert found.group() == quantity


@given(st.dates(), st.sampled_from(["{y}年{m}月{d}日", "{m}月{d}日", "{y}-{m}-{d}", "{y}年{m}月"]))
def test_any_date_is_matched_whole(day: date, form: str) -> None:
    said = form.format(y=f"{day.year:04}", m=day.month, d=day.day)
    found = DATE.search(f"他于{said}到达")
    assert found
    assert found.group() == said


@given(st.text(alphabet="0123456789,.一二三百万亿年月日约近第个元%-~至 半几零", max_size=60))
def test_no_run_of_numbers_matches_as_nothing(text: str) -> None:
    folded = fold(text).text
    for pattern in (QUANTITY, DATE):
        assert all(found.group().strip() for found in pattern.finditer(folded))
