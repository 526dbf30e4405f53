"""Numbers and dates read as values, however they are written."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as some

from index.fold import fold
from rag.amounts import amounts
from rag.dates import dates
from rag.numerals import english_value, value

PUBLISHED = date(2019, 10, 29)


def only(text: str) -> tuple[float, str, str]:
    (found,) = amounts(fold(text).text)
    return found.number, found.dimension, found.bound


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("一百八十", 180),
        ("二〇一九", 2019),
        ("1.2亿", 1.2e8),
        ("三点五亿", 3.5e8),
        ("3万5千", 35_000),
        ("两千三百万", 2.3e7),
        ("1.2万亿", 1.2e12),
        ("100,000", 100_000),
        ("十", 10),
        ("一百零八", 108),
        ("一百五十", 150),
        ("两百五", 250),
        ("一千二", 1200),
        ("三万五", 35_000),
        ("一万二千五", 12_500),
        ("三万零五", 30_005),
    ],
)
def test_a_numeral_has_one_value(written: str, number: float) -> None:
    assert value(written) == pytest.approx(number)


@given(some.integers(1, 99_999_999))
def test_the_value_of_arabic_figures_is_theirs(number: int) -> None:
    assert value(str(number)) == value(f"{number:,}") == number


def test_english_numerals() -> None:
    assert english_value("10 billion") == 10e9
    assert english_value("two hundred thousand") == 200_000
    assert english_value("twenty-one") == 21


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("56%", "百分之五十六"),
        ("3个工作日以内", "三个工作日内"),
        ("200多亿元", "超过二百亿元"),
        ("1.2万人", "12,000名"),
        ("两成", "20%"),
        ("五公里", "5000米"),
        ("三个半小时", "3.5小时"),
        ("至少30家", "30家以上"),
        ("约100亿元", "100亿元左右"),
        ("零下5度", "-5°C"),
        ("10 亿元", "十亿元"),
        ("about 10 billion yuan", "约一百亿元"),
        ("within 3 working days", "不到3个工作日"),
    ],
)
def test_one_amount_in_two_writings(one: str, other: str) -> None:
    assert only(one.replace(" 亿", "亿")) == pytest.approx(only(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("3个工作日", "3天"),
        ("100亿元", "100亿美元"),
        ("100亿元", "100万元"),
        ("56%", "56个百分点"),
        ("超过100亿元", "不足100亿元"),
        ("5000吨", "5000公斤"),
    ],
)
def test_two_amounts_of_one_figure(one: str, other: str) -> None:
    assert only(one) != only(other)


def test_what_counts_nothing_is_no_amount() -> None:
    for text in (
        "三亚和六安",
        "三国演义",
        "一直统一",
        "一家医院",
        "十分重要",
        "5G和A380",
        "COVID-19",
    ):
        assert amounts(fold(text).text) == [], text


def test_a_range_has_two_amounts_of_one_unit() -> None:
    low, high = amounts("15至20厘米")
    assert (low.number, low.dimension, high.number) == (pytest.approx(0.15), "米", 0.2)


@pytest.mark.parametrize(
    ("text", "year", "month", "day"),
    [
        ("2019年10月15日", 2019, 10, 15),
        ("今年十月十五日", 2019, 10, 15),
        ("二〇一九年", 2019, None, None),
        ("去年", 2018, None, None),
        ("昨日", 2019, 10, 28),
        ("2019-10-29", 2019, 10, 29),
        ("民國七十一年7月1日", 1982, 7, 1),
        ("10月15日", None, 10, 15),
        ("公元前221年", -221, None, None),
        ("on October 15, 2019", 2019, 10, 15),
        ("15 October 2019", 2019, 10, 15),
    ],
)
def test_a_date_in_any_writing(
    text: str, year: int | None, month: int | None, day: int | None
) -> None:
    (found,) = dates(fold(text).text, PUBLISHED)
    assert (found.year, found.month, found.day) == (year, month, day)


def test_parts_and_spans_of_dates() -> None:
    (half,) = dates("去年上半年", PUBLISHED)
    assert (half.year, half.part) == (2018, "上半年")
    (decade,) = dates("20世纪80年代", PUBLISHED)
    assert decade.decade == 1980
    (century,) = dates("19世纪末", PUBLISHED)
    assert (century.century, century.part) == (19, "底")
    (clock,) = dates("下午2时30分", PUBLISHED)
    assert clock.minute == 14 * 60 + 30
    assert dates("三个月", PUBLISHED) == dates("比去年同期", PUBLISHED) == []


def test_relative_dates_without_a_day_of_publication_are_unknown() -> None:
    assert dates("今年10月15日")[0].year is None
    assert dates("昨日") == []
