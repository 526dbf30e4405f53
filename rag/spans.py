"""Candidate answer spans of a sentence and the features that a scorer weighs them by."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from index.fold import Folded, fold
from rag.coordination import Group, coordinations
from rag.measures import DATE, DURATION
from rag.question import KINDS, Asked, Kind
from rag.tokens import (
    AND,
    CLOSING,
    COPULA,
    OPENING,
    STRONG_END,
    TAG_INDEX,
    TAGS,
    Token,
    tokenise,
)

MAX_TOKENS = 12
"""The longest candidate that need not begin or end at a clause border, in tokens."""

MAX_CHARS = 80
"""The longest candidate of whole clauses, in characters."""

_ORGANISATION = re.compile(
    r"(?:公司|集团|医院|大学|学院|学校|中学|小学|研究院|研究所|委员会|银行|协会|学会|中心|局|厅|部|院|所|社|委|办|会|队|厂|党|政府|机构|组织|联盟|基金会|报|台|站|馆|店)$"
)
_PLACE = re.compile(
    r"(?:省|市|县|区|镇|乡|村|街|路|州|国|岛|山|河|湖|海|江|港|湾|洲|城|站|寺|庙|园|馆|楼|桥|宫|院|里|内|上|地区|附近)$"
)
_STOP = frozenset(
    """
    的 了 是 在 和 与 及 或 也 都 就 还 又 被 把 将 对 从 到 由 于 以 之 而 所 其 这
    那 此 该 吗 呢 吧 啊 呀 有 为 中 上 下 里 年 月 日 个 请问 问 一下 请 告诉 我 你
    知道 什么 多少 哪 谁 怎么 如何 the a an of in on at to is are was were did does
    do has have by for and with what which who how when where why it its
    """.split()
)


_MEASURES = {"number": "Q", "date": "T"}
_DAYS_OR_YEARS = re.compile(r"近?\d{1,3} ?[年日天]")
_MONEY = ("钱", "块钱", "块")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A sentence made ready: folded, cut into tokens, its candidate spans listed.

    `candidates` is `(n, 2) int32`: first and last token (inclusive) of each candidate.
    `groups` are the coordinations in it, each a tuple of (first, last) tokens of its items.
    """

    source: str
    folded: Folded
    tokens: tuple[Token, ...]
    candidates: NDArray[np.int32]
    groups: tuple[Group, ...]
    clause: NDArray[np.int32]

    def offsets(self, first: int, last: int) -> tuple[int, int]:
        """Return where tokens `first` to `last` stand in `source`, half-open."""
        return self.folded.span(self.tokens[first].start, self.tokens[last].end)


@lru_cache(maxsize=20_000)
def parse(sentence: str) -> Parsed:
    """Cut a sentence into tokens and list its candidate spans."""
    folded = fold(sentence)
    tokens = tuple(tokenise(sentence, folded))
    clause = _clauses(tokens)
    groups = coordinations(tokens)
    return Parsed(sentence, folded, tokens, _candidates(tokens, clause, groups), groups, clause)


def _clauses(tokens: Sequence[Token]) -> NDArray[np.int32]:
    """Number the clauses that commas and stops part, one number a token."""
    numbers = np.zeros(len(tokens), dtype=np.int32)
    current = 0
    for position, token in enumerate(tokens):
        numbers[position] = current
        if token.text in STRONG_END:
            current += 1
    return numbers


def _candidates(
    tokens: Sequence[Token],
    clause: NDArray[np.int32],
    groups: Sequence[Group],
) -> NDArray[np.int32]:
    """List the token runs that could stand as an answer."""
    spans: set[tuple[int, int]] = set()
    for first in range(len(tokens)):
        if not _may_start(tokens[first]):
            continue
        for last in range(first, min(len(tokens), first + MAX_TOKENS)):
            if clause[last] != clause[first]:
                break
            if _may_end(tokens[last]) and _balanced(tokens, first, last):
                spans.add((first, last))
    spans |= _whole_clauses(tokens, clause)
    for group in groups:
        spans.add((group[0][0], group[-1][1]))
    return np.array(sorted(spans), dtype=np.int32).reshape(-1, 2)


def _may_start(token: Token) -> bool:
    return token.tag not in ("u", "c") and (token.tag != "x" or token.text in OPENING)


def _may_end(token: Token) -> bool:
    return (token.tag not in ("u", "c", "p") or token.text == "等") and (
        token.tag != "x" or token.text in CLOSING
    )


def _balanced(tokens: Sequence[Token], first: int, last: int) -> bool:
    depth = 0
    for token in tokens[first : last + 1]:
        if token.text in OPENING and token.text not in CLOSING:
            depth += 1
        elif token.text in CLOSING and token.text not in OPENING:
            depth -= 1
            if depth < 0:
                return False
    return depth == 0


def _whole_clauses(tokens: Sequence[Token], clause: NDArray[np.int32]) -> set[tuple[int, int]]:
    """List runs of whole clauses up to MAX_CHARS, and the tails of one clause."""
    spans: set[tuple[int, int]] = set()
    if not len(tokens):
        return spans
    borders = [0, *[k + 1 for k in range(len(tokens)) if tokens[k].text in STRONG_END]]
    ends = [k - 1 for k in range(len(tokens)) if tokens[k].text in STRONG_END]
    ends.append(len(tokens) - 1)
    for start in borders:
        for end in ends:
            if end >= start and tokens[end].end - tokens[start].start <= MAX_CHARS:
                first, last = start, end
                while last > first and not _may_end(tokens[last]):
                    last -= 1
                if (_may_end(tokens[last]) and tokens[first].tag != "x") or tokens[
                    first
                ].text in OPENING:
                    spans.add((first, last))
    for end in ends:
        for start in range(max(0, end - 3 * MAX_TOKENS), end + 1):
            if (
                clause[start] == clause[end]
                and _may_start(tokens[start])
                and _may_end(tokens[end])
                and tokens[end].end - tokens[start].start <= MAX_CHARS
                and _balanced(tokens, start, end)
            ):
                spans.add((start, end))
    return spans


# --- features -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Probe:
    """A question made ready for matching against many sentences.

    `terms` are its content words with their weights; `pairs` its character bigrams;
    `singles` its one-character words and ASCII words.
    """

    asked: Asked
    terms: tuple[tuple[str, float], ...]
    pairs: frozenset[str]
    singles: frozenset[str]
    before: str
    after: str


def probe(asked: Asked, weigh: Callable[[str], float]) -> Probe:
    """Make a question ready; `weigh` gives a word's weight (its rarity), 0 for none."""
    content = [
        word.text
        for word in asked.words
        if not (asked.gap_start < word.end and word.start < asked.gap_end)
        and word.text not in _STOP
        and any(character.isalnum() for character in word.text)
    ]
    terms = tuple((word, weigh(word)) for word in dict.fromkeys(content))
    shown = asked.text[: asked.gap_start] + "\n" + asked.text[asked.gap_end :]
    pairs = frozenset(
        shown[k : k + 2]
        for k in range(len(shown) - 1)
        if shown[k].isalnum() and shown[k + 1].isalnum()
    )
    singles = frozenset(w for w in content if len(w) == 1 or w.isascii())
    return Probe(asked, terms, pairs, singles, _bare(asked.before), _bare(asked.after))


def _bare(text: str) -> str:
    return re.sub(r"[^\w%]", "", text)


def matched_characters(probe: Probe, parsed: Parsed) -> NDArray[np.bool_]:
    """Mark the characters of the folded sentence that the question says too."""
    text = parsed.folded.text
    marks = np.zeros(len(text), dtype=bool)
    for k in range(len(text) - 1):
        if text[k : k + 2] in probe.pairs:
            marks[k : k + 2] = True
    for token in parsed.tokens:
        if token.text in probe.singles:
            marks[token.start : token.end] = True
    return marks


def coverage(probe: Probe, text: str) -> NDArray[np.float64]:
    """Return for each term of the question the share of it that folded `text` says, `(t,)`.

    A term counts whole when it stands in the text, else by its character bigrams.
    """
    return np.array([_share(term, text) for term, _ in probe.terms], dtype=np.float64)


def covered(probe: Probe, text: str) -> float:
    """Return the share of the question's terms, by weight, that folded `text` says, in [0, 1]."""
    weights = np.array([weight for _, weight in probe.terms])
    return float(coverage(probe, text) @ weights / (weights.sum() or 1.0))


def _share(term: str, text: str) -> float:
    if term in text:
        return 1.0
    if len(term) < 3 or term.isascii():
        return 0.0
    pairs = [term[k : k + 2] for k in range(len(term) - 1)]
    return sum(pair in text for pair in pairs) / len(pairs)


def type_fit(asked: Asked, text: str, tag: str) -> tuple[float, float, float]:
    """Return how far a span's wording fits the kind, the unit and the focus, each in [0, 1]."""
    kind = asked.kind
    fits = {
        "number": tag == "Q" or bool(re.search(r"\d|[一二三四五六七八九十百千万亿两]", text)),
        "date": tag == "T" or bool(DATE.search(text)),
        "duration": bool(DURATION.search(text)),
        "person": tag == "nr",
        "place": tag == "ns" or bool(_PLACE.search(text)),
        "organisation": tag == "nt" or bool(_ORGANISATION.search(text)),
        "list": "," in text or "和" in text,
    }
    units = {asked.unit.lstrip("个"), *(("日",) if asked.unit == "天" else ())}
    unit = float(bool(asked.unit) and any(each in text for each in units))
    focus = 0.0
    if asked.focus:
        if text.endswith(asked.focus):
            focus = 1.0
        elif text.endswith(asked.focus[-1]):
            focus = 0.5
    return float(fits.get(kind, False)), unit, focus


def expectation(asked: Asked, parsed: Parsed) -> NDArray[np.float64]:
    """Return how far each candidate is of the kind asked for, as log-odds to add, `(n,)`.

    "多少" wants a quantity and "什么时候" a time, in the unit that was named; "谁" a name,
    "哪家医院" something that ends in 医院. The weights were chosen on `training/tuning` and
    CMRC's development half.
    """
    return np.array([_expected(asked, parsed, a, b) for a, b in parsed.candidates.tolist()])


def _expected(asked: Asked, parsed: Parsed, first: int, last: int) -> float:
    tokens = parsed.tokens[first : last + 1]
    text = parsed.folded.text[tokens[0].start : tokens[-1].end]
    _, unit, focus = type_fit(asked, text, tokens[-1].tag)
    odds = float(focus == 1.0)
    if asked.kind in ("number", "date", "duration"):
        fits = [_measures(asked.kind, token) for token in tokens]
        odds -= 4.0 * (not any(fits))
        odds += 3.0 * (fits == [True])
    if asked.unit and asked.unit not in _MONEY:
        odds -= 2.0 * (not unit)
    if asked.kind == "person":
        odds -= 2.0 * (tokens[-1].tag != "nr")
    return odds


def _measures(kind: Kind, token: Token) -> bool:
    """Tell a token of the kind asked for; 10年 and 20日 may be how long something takes."""
    if kind == "duration":
        return bool(DURATION.search(token.text) or _DAYS_OR_YEARS.fullmatch(token.text))
    return token.tag == _MEASURES[kind]


def features(
    probe: Probe,
    parsed: Parsed,
    weigh: Callable[[str], float],
    sentence: Sequence[float],
) -> NDArray[np.float32]:
    """Return one row of features a candidate, `(n, FEATURES) float32`.

    `sentence` are the sentence's own scores, the same for all its candidates, `SENTENCE_SCORES`
    of them.
    """
    spans = parsed.candidates
    if not len(spans):
        return np.zeros((0, FEATURES), dtype=np.float32)
    first, last = spans[:, 0], spans[:, 1]
    marks = matched_characters(probe, parsed)
    by_token = _token_arrays(probe, parsed, marks, weigh)
    rows = np.concatenate(
        [
            by_token.left[first],
            by_token.right[last],
            _span_features(probe, parsed, by_token, marks),
            np.broadcast_to(np.asarray(sentence, dtype=np.float32), (len(spans), SENTENCE_SCORES)),
            np.broadcast_to(_question_features(probe), (len(spans), _QUESTION_FEATURES)),
        ],
        axis=1,
    )
    return rows.astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True)
class _TokenArrays:
    left: NDArray[np.float32]
    right: NDArray[np.float32]
    weight: NDArray[np.float64]
    matched: NDArray[np.float64]


_BORDERS = 7
_LEFT = len(TAGS) * 2 + _BORDERS + 4
_RIGHT = len(TAGS) * 2 + _BORDERS + 4
_SPAN = 34
SENTENCE_SCORES = 6
_QUESTION_FEATURES = len(KINDS) + 4
FEATURES = _LEFT + _RIGHT + _SPAN + SENTENCE_SCORES + _QUESTION_FEATURES


def _question_features(probe: Probe) -> NDArray[np.float32]:
    asked = probe.asked
    kind = [float(asked.kind == name) for name in KINDS]
    rest = [
        float(bool(asked.unit)),
        float(bool(asked.focus)),
        float(asked.gap_start == 0),
        float(asked.chinese),
    ]
    return np.array(kind + rest, dtype=np.float32)


def _token_arrays(
    probe: Probe, parsed: Parsed, marks: NDArray[np.bool_], weigh: Callable[[str], float]
) -> _TokenArrays:
    tokens = parsed.tokens
    count = len(tokens)
    weight = np.array([_token_weight(t, weigh) for t in tokens])
    matched = weight * np.array([marks[t.start : t.end].mean() for t in tokens])
    near_left = _distances(matched > 0.3 * np.maximum(weight, 0.1))
    near_right = _distances((matched > 0.3 * np.maximum(weight, 0.1))[::-1])[::-1]
    decayed = _decay(matched)
    decayed_back = _decay(matched[::-1])[::-1]
    left = np.zeros((count, _LEFT), dtype=np.float32)
    right = np.zeros((count, _RIGHT), dtype=np.float32)
    text = parsed.folded.text
    for k, token in enumerate(tokens):
        before = tokens[k - 1] if k else None
        behind = tokens[k + 1] if k + 1 < count else None
        left[k, TAG_INDEX[token.tag]] = 1
        right[k, TAG_INDEX[token.tag]] = 1
        _border(left[k, len(TAGS) :], before)
        _border(right[k, len(TAGS) :], behind)
        start = len(TAGS) * 2 + _BORDERS
        left[k, start:] = (
            near_left[k - 1] if k else 1.0,
            decayed[k - 1] if k else 0.0,
            min(
                _common_suffix(_bare(text[max(0, token.start - 12) : token.start]), probe.before), 6
            )
            / 6,
            min(_common_suffix(_bare(text[max(0, token.start - 12) : token.start]), probe.after), 6)
            / 6,
        )
        right[k, start:] = (
            near_right[k + 1] if behind else 1.0,
            decayed_back[k + 1] if behind else 0.0,
            min(_common_prefix(_bare(text[token.end : token.end + 12]), probe.after), 6) / 6,
            min(_common_prefix(_bare(text[token.end : token.end + 12]), probe.before), 6) / 6,
        )
    return _TokenArrays(left, right, weight, matched)


def _token_weight(token: Token, weigh: Callable[[str], float]) -> float:
    if token.tag == "x" or token.text in _STOP:
        return 0.0
    return weigh(token.text)


def _border(row: NDArray[np.float32], token: Token | None) -> None:
    """Describe the token beyond a candidate's edge."""
    if token is None:
        row[len(TAGS)] = 1
        return
    row[TAG_INDEX[token.tag]] = 1
    row[len(TAGS) + 1] = token.text in STRONG_END
    row[len(TAGS) + 2] = token.text == "、"
    row[len(TAGS) + 3] = token.text in COPULA
    row[len(TAGS) + 4] = token.text == "的"
    row[len(TAGS) + 5] = token.text in OPENING or token.text in CLOSING
    row[len(TAGS) + 6] = token.text in AND


def _distances(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return for each place how far back the nearest hit is, in tenths, at most 1."""
    distance = 10
    out = np.ones(len(hits))
    for k, hit in enumerate(hits):
        distance = 0 if hit else min(distance + 1, 10)
        out[k] = distance / 10
    return out


def _decay(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running sum of `values`, losing a fifth at each step."""
    total = 0.0
    out = np.zeros(len(values))
    for k, value in enumerate(values):
        total = 0.8 * total + value
        out[k] = total / 5
    return out


def _common_suffix(a: str, b: str) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count


def _common_prefix(a: str, b: str) -> int:
    count = 0
    while count < min(len(a), len(b)) and a[count] == b[count]:
        count += 1
    return count


def _span_features(
    probe: Probe, parsed: Parsed, arrays: _TokenArrays, marks: NDArray[np.bool_]
) -> NDArray[np.float32]:
    tokens, spans = parsed.tokens, parsed.candidates
    first, last = spans[:, 0], spans[:, 1]
    text = parsed.folded.text
    starts = np.array([t.start for t in tokens])
    ends = np.array([t.end for t in tokens])
    length = ends[last] - starts[first]
    marked = np.concatenate([[0], np.cumsum(marks)])
    overlap = (marked[ends[last]] - marked[starts[first]]) / length
    weight = np.concatenate([[0.0], np.cumsum(arrays.weight)])
    matched = np.concatenate([[0.0], np.cumsum(arrays.matched)])
    inside_weight = weight[last + 1] - weight[first]
    inside_matched = matched[last + 1] - matched[first]
    clause_matched = np.bincount(parsed.clause, arrays.matched)
    own_clause = clause_matched[parsed.clause[first]] - inside_matched
    total_terms = sum(w for _, w in probe.terms) + 1e-6
    counts = {
        tag: np.concatenate([[0], np.cumsum([t.tag == tag for t in tokens])])
        for tag in ("v", "Q", "T", "nr", "ns", "u", "p", "d")
    }
    inside = {tag: np.minimum(c[last + 1] - c[first], 3) / 3 for tag, c in counts.items()}
    fits = np.array([_fit(probe, tokens, text, a, b) for a, b in spans], dtype=np.float32)
    marks_of = {
        "、": [t.text == "、" for t in tokens],
        "clause": [t.text in STRONG_END for t in tokens],
    }
    sums = {name: np.concatenate([[0], np.cumsum(flags)]) for name, flags in marks_of.items()}
    inner = {name: (c[last + 1] - c[first]) > 0 for name, c in sums.items()}
    whole = {(group[0][0], group[-1][1]) for group in parsed.groups}
    items = {item for group in parsed.groups for item in group}
    columns = [
        np.log1p(length) / 4,
        length <= 2,
        (length > 2) & (length <= 4),
        (length > 4) & (length <= 8),
        (length > 8) & (length <= 14),
        (length > 14) & (length <= 24),
        length > 24,
        first == last,
        np.minimum(last - first, 12) / 12,
        overlap,
        overlap > 0.99,
        inside_matched / total_terms,
        inside_weight / 20,
        own_clause / total_terms,
        (arrays.matched.sum() - inside_matched) / total_terms,
        *inside.values(),
        [tuple(span) in whole for span in spans.tolist()],
        [tuple(span) in items for span in spans.tolist()],
        inner["、"],
        inner["clause"],
        [tokens[a].text in OPENING and tokens[b].text in CLOSING for a, b in spans],
        [a > 0 and tokens[a - 1].text in OPENING for a, _ in spans],
    ]
    return np.concatenate([np.array(columns, dtype=np.float32).T, fits], axis=1)


def _fit(probe: Probe, tokens: Sequence[Token], text: str, a: int, b: int) -> tuple[float, ...]:
    asked = probe.asked
    span = text[tokens[a].start : tokens[b].end]
    tag = tokens[a].tag if a == b else tokens[b].tag if tokens[b].tag.startswith("n") else ""
    kind, unit, focus = type_fit(asked, span, tag)
    exact = float(a == b and tokens[a].tag in "QT")
    behind = text[tokens[b].end : tokens[b].end + 6]
    return (
        kind,
        unit,
        focus,
        kind * exact,
        float(bool(asked.focus) and behind.startswith(asked.focus)),
    )
