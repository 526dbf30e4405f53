"""Numerals: the value of a number in Arabic or Chinese figures, or in both."""

from __future__ import annotations

import re

CHINESE_DIGITS = {
    **dict(zip("〇一二三四五六七八九", range(10), strict=True)),
    **dict(zip("零壹贰叁肆伍陆柒捌玖", range(10), strict=True)),
    "两": 2,
}
_TENS = {"十": 10, "百": 100, "千": 1000, "拾": 10, "佰": 100, "仟": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8, "兆": 10**12}
_ENGLISH_SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_ENGLISH_WORDS = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen twenty".split()
    )
} | {
    word: value
    for value, word in zip(
        range(30, 100, 10), "thirty forty fifty sixty seventy eighty ninety".split(), strict=True
    )
}

_FIGURES = r"(?:(?<!\d)\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_CHINESE = rf"[{''.join(CHINESE_DIGITS)}{''.join(_TENS)}点{''.join(_MYRIADS)}]"
NUMERAL = rf"(?:{_FIGURES}(?:[{''.join(_TENS)}{''.join(_MYRIADS)}]+(?:\d+[千百万]+)*)?|{_CHINESE}+)"
"""A number in folded text, with its 万 and 亿 but without what qualifies it."""

_SCALE = "|".join(_ENGLISH_SCALES)
_WORD = "|".join(_ENGLISH_WORDS)
ENGLISH_NUMERAL = rf"(?:{_FIGURES}(?: (?:{_SCALE}))*|\b(?:{_WORD})(?:[- ](?:{_WORD}|{_SCALE}))*\b)"

_PART = re.compile(rf"{_FIGURES}|.", re.DOTALL)
_SCALES = {**_TENS, "万": 10**4}
_SHORTENED = re.compile("([百千佰仟万])([一二三四五六七八九壹贰叁肆伍陆柒捌玖])$")
_SPELLED = re.compile(rf"[{''.join(CHINESE_DIGITS)}]{{2,}}")


def value(numeral: str) -> float | None:
    """Return the value of a folded numeral such as "1.2亿" or "一百八十", None if it is none.

    The digits of a run without 十, 百 or 千 are read one by one: 二〇一九 is 2019. A last digit
    right behind 百, 千 or 万 counts tenths of that: 三万五 is 35,000.
    """
    whole, _, decimals = numeral.partition("点")
    if decimals:
        return _with_decimals(whole, decimals)
    if _SPELLED.fullmatch(numeral):
        return float("".join(str(CHINESE_DIGITS[digit]) for digit in numeral))
    if shortened := _SHORTENED.search(numeral):
        scale = _SCALES[shortened[1]]
        rounded = value(numeral[:-1])
        return None if rounded is None else rounded + CHINESE_DIGITS[shortened[2]] * scale / 10
    total, section, figure = 0.0, 0.0, None
    for part in _PART.findall(numeral):
        if part[0].isascii() and part[0].isdigit():
            figure = float(part.replace(",", ""))
        elif part in CHINESE_DIGITS:
            figure = CHINESE_DIGITS[part] + (0.0 if not figure else figure * 10)
        elif part in _TENS:
            section += (1 if figure is None else figure) * _TENS[part]
            figure = None
        elif part in _MYRIADS:
            section += figure or 0.0
            if part == "万":
                total += (section or 1.0) * 10**4
            else:  # "万亿" multiplies what stands before it
                total = (total + section or 1.0) * _MYRIADS[part]
            section, figure = 0.0, None
        else:
            return None
    return total + section + (figure or 0.0)


def _with_decimals(whole: str, decimals: str) -> float | None:
    """Read "三点五" and "三点五亿"."""
    digits = decimals.rstrip("".join(_MYRIADS))
    before = value(whole) if whole else 0.0
    if before is None or not digits or any(d not in CHINESE_DIGITS for d in digits):
        return None
    scale = value("1" + decimals[len(digits) :]) if len(digits) < len(decimals) else 1.0
    figure = float(f"{int(before)}.{''.join(str(CHINESE_DIGITS[d]) for d in digits)}")
    return figure * (scale or 1.0)


def english_value(numeral: str) -> float:
    """Return the value of an English numeral such as "10 billion", "twenty-one" or "500,000"."""
    total, current = 0.0, 0.0
    for part in re.split(r"[- ]", numeral):
        if part in _ENGLISH_SCALES:
            scale = _ENGLISH_SCALES[part]
            current = (current or 1.0) * scale
            if scale > 100:
                total, current = total + current, 0.0
        else:
            current += _ENGLISH_WORDS.get(part, 0.0) or float(part.replace(",", "") or 0)
    return total + current
