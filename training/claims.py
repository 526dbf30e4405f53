"""Claims with their evidence from DRCD and CMRC: a sentence kept, or one fact of it changed.

    python -m training.claims --drcd FILE --cmrc FILE >> seeds/claims.jsonl

Each line is a claim, the sentence that it is to be judged by and the paragraph around it.
Half of the claims are kept: shortened to the clause with the answer, or told in the words of the
question. In the others one number, date, name, unit or negation is changed. The claims from the
seed article in the same file are written by hand.
"""

from __future__ import annotations

import argparse
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from index.fold import fold
from index.passages import split_sentences
from rag.exchange import Exchange
from rag.measures import DATE, QUANTITY
from rag.naming import sort_of
from training.cases import Case, squad_cases

EACH = 50
"""Claims of each file."""

_CHANGES = ("number", "date", "name", "unit", "negation")
_DIGITS = "零一二三四五六七八九"
_UNITS = (
    ("公里", "米", "厘米"),
    ("公尺", "公分"),
    ("平方公里", "平方米", "公顷", "亩"),
    ("万", "亿", "千", "萬", "億"),
    ("个月", "個月", "天", "周", "年"),
    ("小时", "分钟", "秒", "小時", "分鐘"),
    ("美元", "日元", "欧元", "人民币", "歐元", "日圓"),
    ("吨", "公斤", "克", "噸"),
    ("岁", "歲", "周年"),
)
_NEGATIONS = (
    ("不是", "是"),
    ("没有", "有"),
    ("沒有", "有"),
    ("不能", "能"),
    ("不会", "会"),
    ("不會", "會"),
    ("未能", "能够"),
    ("并未", "曾"),
    ("並未", "曾"),
)


@dataclass(frozen=True, slots=True)
class _Sample:
    case: Case
    sentence: str
    answer: str
    source: str


def main() -> None:
    """Print the claims of both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--drcd", type=Path, required=True)
    parser.add_argument("--cmrc", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=4)
    asked = parser.parse_args()
    for source, path in (("drcd", asked.drcd), ("cmrc", asked.cmrc)):
        for number, claim in enumerate(_claims(source, path, random.Random(asked.seed)), 1):
            print(json.dumps({"id": f"{source}{number:03}"} | claim, ensure_ascii=False))


def _claims(source: str, path: Path, chance: random.Random) -> Iterator[dict[str, Any]]:
    samples = list(_samples(source, path))
    chance.shuffle(samples)
    names = _names(samples)
    ways = cycle([way for change in _CHANGES for way in (change, "kept")])
    wanted = list(islice(ways, EACH))
    for sample in samples:
        change = next(iter(wanted), None)
        if change is None:
            return
        claim = (
            _kept(sample, chance) if change == "kept" else _changed(change, sample, names, chance)
        )
        if claim and claim != sample.sentence and len(claim) > 10:
            wanted.pop(0)
            yield {
                "claim": claim,
                "evidence": [sample.sentence],
                "context": sample.case.text,
                "supported": change == "kept",
                "change": change,
                "source": sample.source,
            }


def _samples(source: str, path: Path) -> Iterator[_Sample]:
    """Yield one sample of each paragraph: its first question with an answer in one sentence."""
    seen: set[str] = set()
    for case in squad_cases(path):
        if case.text in seen or not case.gold:
            continue
        start, end = case.gold[0]
        for sentence in split_sentences(case.text):
            if sentence.start <= start and end <= sentence.end and 15 < len(sentence.text) < 120:
                seen.add(case.text)
                yield _Sample(case, sentence.text, case.text[start:end], source)


def _names(samples: Sequence[_Sample]) -> dict[str, list[str]]:
    """Return the answers that are names, by what they name."""
    found: dict[str, list[str]] = {"person": [], "place": [], "organisation": []}
    for sample in samples:
        if sort_of(sample.answer) in found and 2 <= len(sample.answer) <= 12:
            found[sort_of(sample.answer)].append(sample.answer)
    return found


def _kept(sample: _Sample, chance: random.Random) -> str | None:
    """Return the sentence cut to the clauses around the answer, or what the question says of it."""
    if chance.random() < 0.4 and len(sample.answer) < 15:
        statement = Exchange.of(sample.case.question, sample.answer).statement
        return statement + "。" if sample.answer in statement else None
    clauses = re.split(r"(?<=[，；])", sample.sentence)
    near = [n for n, clause in enumerate(clauses) if sample.answer in clause]
    if not near or len(clauses) < 2:
        return None
    kept = clauses[max(0, near[0] - 1) : near[0] + 1]
    return "".join(kept).rstrip("，；。") + "。"


def _changed(
    change: str, sample: _Sample, names: dict[str, list[str]], chance: random.Random
) -> str | None:
    change_of: dict[str, Callable[[], str | None]] = {
        "number": lambda: _other_number(sample, chance),
        "date": lambda: _other_date(sample, chance),
        "name": lambda: _other_name(sample, names, chance),
        "unit": lambda: _other_unit(sample, chance),
        "negation": lambda: _negated(sample, chance),
    }
    return change_of[change]()


def _other_number(sample: _Sample, chance: random.Random) -> str | None:
    text = sample.sentence
    folded = fold(text)
    dates = [found.span() for found in DATE.finditer(folded.text)]
    spots = [
        found
        for found in QUANTITY.finditer(folded.text)
        if not any(a < found.end() and found.start() < b for a, b in dates)
        and re.search(r"\d|[二三四五六七八九]", found.group())
    ]
    if not spots:
        return None
    start, end = folded.span(*chance.choice(spots).span())
    return _digit_changed(text, start, end, chance)


def _other_date(sample: _Sample, chance: random.Random) -> str | None:
    folded = fold(sample.sentence)
    spots = [f for f in DATE.finditer(folded.text) if re.search(r"\d", f.group())]
    if not spots:
        return None
    start, end = folded.span(*chance.choice(spots).span())
    return _digit_changed(sample.sentence, start, end, chance)


def _digit_changed(text: str, start: int, end: int, chance: random.Random) -> str | None:
    """Change the last digit of a stretch, so that its number is nowhere else in the text."""
    places = [k for k in range(start, end) if text[k].isdigit() or text[k] in _DIGITS[2:]]
    if not places:
        return None
    place = places[-1] if len(places) > 1 else places[0]
    digits = _DIGITS[2:] if text[place] in _DIGITS else "123456789"
    other = chance.choice([d for d in digits if d != text[place]])
    changed = text[:place] + other + text[place + 1 :]
    return changed if changed[start:end] not in text else None


def _other_name(sample: _Sample, names: dict[str, list[str]], chance: random.Random) -> str | None:
    others = [
        name
        for name in names.get(sort_of(sample.answer), [])
        if name not in sample.case.text and not any(c in sample.sentence for c in (name[:2],))
    ]
    if not others or len(sample.answer) < 2:
        return None
    return sample.sentence.replace(sample.answer, chance.choice(others))


def _other_unit(sample: _Sample, chance: random.Random) -> str | None:
    for units in _UNITS:
        for unit in units:
            # "1987年" is a date, and no measure.
            number = r"(?<!\d\d\d)" if unit == "年" else ""
            measured = rf"(?<=[\d一二三四五六七八九十百]){number}{unit}"
            found = re.search(measured, sample.sentence)
            if found and (others := [u for u in units if unit not in u and u not in unit]):
                start, end = found.span()
                return sample.sentence[:start] + chance.choice(others) + sample.sentence[end:]
    return None


def _negated(sample: _Sample, chance: random.Random) -> str | None:
    """Take a negation away, or put one in."""
    ways = list(_NEGATIONS)
    chance.shuffle(ways)
    for negative, positive in ways:
        if negative in sample.sentence:
            return sample.sentence.replace(negative, positive, 1)
    for negative, positive in (
        ("并不是", "是"),
        ("没有被", "被"),
        ("不会", "会"),
        ("不能", "可以"),
    ):
        found = re.search(
            rf"(?<=\w)(?<![不論论就但只还還或也都总總]){positive}(?=\w\w)", sample.sentence
        )
        if found:
            return sample.sentence[: found.start()] + negative + sample.sentence[found.end() :]
    return None


if __name__ == "__main__":
    main()
