"""Metrics: what an evaluation computes, as pure functions, each with its formula and source.

Three groups: how one answer compares with its references, where the evidence stands in a
ranking, and statistics over many questions. A statistic takes `weights (b, n)`, how often
each of the n questions counts in each of b samples, and returns one value a sample `(b,)`,
NaN where it is undefined: `ones(n)` gives the estimate itself, `resamples(n)` the bootstrap.

It reads no files and asks no questions: that is `rag.evaluate`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from difflib import SequenceMatcher
from math import comb, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from index.fold import fold

Floats = NDArray[np.float64]


class Span(NamedTuple):
    """Code points `[start, end)` of a document's text."""

    document_id: str
    start: int
    end: int

    def covers(self, other: Span) -> bool:
        """Say whether `other` lies wholly inside."""
        return (
            self.document_id == other.document_id
            and self.start <= other.start
            and other.end <= self.end
        )

    def overlaps(self, other: Span) -> bool:
        """Say whether the two share a character."""
        return (
            self.document_id == other.document_id
            and self.start < other.end
            and other.start < self.end
        )


Evidence = tuple[Span, ...]
"""The places where one piece of evidence stands; any one of them will do."""


# One answer against its references

_IDEOGRAPH = r"\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(rf"[{_IDEOGRAPH}]|[^\W_{_IDEOGRAPH}]+(?:\.\d+)?|[^\w\s]")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_STOPS = re.compile("[、。]")  # folded, they would pass for the comma or point of a number
_MEANINGFUL_PUNCTUATION = "%‰#"
_SILENT_SYMBOLS = "^~`+="


def segment(text: str) -> list[str]:
    """Return the tokens that answers are compared by.

    A Chinese character is a token, and so is an English word, a number with its decimals or
    a symbol such as %. Punctuation is dropped, width, case and Traditional forms are folded:
    "约3.5万，GDP" and "約３.５萬 gdp" both give 约 3.5 万 gdp.

    Source: `mixed_segmentation(rm_punc=True)` of CMRC 2018's evaluation script. It differs
    where ASCII punctuation, full-width or Traditional characters stand in an answer, which
    the script compares literally; over the development sets of CMRC and DRCD the mean F1 of
    the two agrees within 0.002.
    """
    bare = _THOUSANDS.sub("", fold(_STOPS.sub(" ", text)).text)
    return _TOKEN.findall("".join(" " if _is_silent(bare, i) else c for i, c in enumerate(bare)))


def _is_silent(text: str, at: int) -> bool:
    char = text[at]
    if char == "." and text[at - 1 : at].isdecimal() and text[at + 1 : at + 2].isdecimal():
        return False
    is_punctuation = unicodedata.category(char).startswith("P")
    return (is_punctuation and char not in _MEANINGFUL_PUNCTUATION) or char in _SILENT_SYMBOLS


def exact_match(answer: str, references: Sequence[str]) -> float:
    """Return 1.0 if the answer has the tokens of a reference and no others, else 0.0.

    Source: `calc_em_score` of CMRC 2018's evaluation script, over `segment`.
    """
    tokens = segment(answer)
    return float(any(tokens == segment(reference) for reference in references))


def character_f1(answer: str, references: Sequence[str]) -> float:
    """Return the best F1 of the answer over its references, by longest common substring.

    F1 = 2PR / (P + R) = 2·l / (|a| + |r|), with l the length of the longest common
    substring of the tokens a of the answer and r of a reference, P = l/|a|, R = l/|r|.

    Source: `calc_f1_score` of CMRC 2018's evaluation script (Cui et al., EMNLP-IJCNLP 2019),
    which names its substring `find_lcs`, over `segment`.
    """
    tokens = segment(answer)
    return max((_substring_f1(tokens, segment(reference)) for reference in references), default=0.0)


def _substring_f1(a: list[str], b: list[str]) -> float:
    shared = SequenceMatcher(None, a, b, autojunk=False).find_longest_match().size
    return 2 * shared / (len(a) + len(b)) if shared else 0.0


def contains_reference(answer: str, references: Sequence[str]) -> float:
    """Return 1.0 if the tokens of a reference stand in the answer in one run, else 0.0.

    By whole tokens: the reference "15" is not in "2015年".
    """
    tokens = segment(answer)
    return float(any(_is_run(segment(reference), tokens) for reference in references))


def _is_run(part: list[str], whole: list[str]) -> bool:
    size = len(part)
    return size > 0 and any(whole[at : at + size] == part for at in range(len(whole) - size + 1))


def length_ratio(answer: str, references: Sequence[str]) -> float:
    """Return |answer| / |gold| in tokens, gold being the reference of the best F1.

    The shortest of equally good references counts. A long answer contains everything: this
    figure belongs beside `contains_reference`. NaN where no reference has a token.
    """
    tokens = segment(answer)
    golds = [gold for gold in map(segment, references) if gold]
    if not golds:
        return float("nan")
    best = max(golds, key=lambda gold: (_substring_f1(tokens, gold), -len(gold)))
    return len(tokens) / len(best)


# Evidence in a ranking


def evidence_ranks(passages: Sequence[Span], evidence: Sequence[Evidence]) -> list[int | None]:
    """Return for each piece of evidence the rank, from 1, of the first passage to cover it."""
    return [
        next((rank for rank, p in enumerate(passages, 1) if any(p.covers(s) for s in places)), None)
        for places in evidence
    ]


def document_rank(passages: Sequence[Span], documents: Collection[str]) -> int | None:
    """Return the rank, from 1, of the first passage of a right document."""
    return next((r for r, p in enumerate(passages, 1) if p.document_id in documents), None)


def recall_at(k: int, ranks: Sequence[int | None]) -> float:
    """Return the share of `ranks` that are at most k.

    Recall@k = |{e : rank(e) ≤ k}| / |E| over the evidence strings E of one question, none
    of which counts unless it lies wholly inside one passage.
    """
    return sum(rank is not None and rank <= k for rank in ranks) / len(ranks)


def reciprocal_rank_at(k: int, ranks: Sequence[int | None]) -> float:
    """Return 1 / (the best of `ranks`) if it is at most k, else 0.0.

    Its mean over questions is MRR@k.

    Source: Voorhees, "The TREC-8 Question Answering Track Report", 1999.
    """
    best = min((rank for rank in ranks if rank is not None), default=None)
    return 1 / best if best is not None and best <= k else 0.0


def random_recall_at(k: int, relevant: int, total: int) -> float:
    """Return the Recall@k to expect when `total` passages stand in random order.

    1 − C(N−m, k) / C(N, k), with m of the N passages covering the evidence: the chance that
    the first k hold at least one of them (the hypergeometric distribution).
    """
    return 1 - comb(total - relevant, k) / comb(total, k) if k < total else float(relevant > 0)


# Citations


def citation_precision(citations: Sequence[Span], evidence: Sequence[Evidence]) -> float:
    """Return the share of citations that overlap an evidence span; 0.0 where none is given.

    An answer that cites nothing has not shown its evidence, so it scores nothing.
    """
    places = [span for alternatives in evidence for span in alternatives]
    right = sum(any(citation.overlaps(span) for span in places) for citation in citations)
    return right / len(citations) if citations else 0.0


def citation_recall(citations: Sequence[Span], evidence: Sequence[Evidence]) -> float:
    """Return the share of the pieces of evidence that a citation overlaps."""
    found = sum(
        any(citation.overlaps(span) for citation in citations for span in places)
        for places in evidence
    )
    return found / len(evidence)


# Statistics over questions


def mean(values: Floats, weights: Floats) -> Floats:
    """Return the weighted means `(b,)` of `values (n,)`; NaN values are left out."""
    known = ~np.isnan(values)
    return _divide(weights @ np.where(known, values, 0.0), weights @ known.astype(np.float64))


def percentile(q: float, values: Floats, weights: Floats) -> Floats:
    """Return the weighted quantiles `(b,)` of `values (n,)` at q in [0, 1]; NaN are left out.

    The smallest value v with F(v) ≥ q, F being the empirical distribution, so always a
    value that occurred.

    Source: definition 1 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", 1996.
    """
    order = np.argsort(values)[: int((~np.isnan(values)).sum())]
    if not order.size:
        return np.full(len(weights), np.nan)
    mass = np.cumsum(weights[:, order], axis=1)
    # The tolerance keeps q·total from passing a step by a rounding error.
    at = np.argmax(mass >= q * mass[:, -1:] - 1e-9, axis=1)
    return np.where(mass[:, -1] > 0, values[order][at], np.nan)


def f1(chosen: NDArray[np.bool_], right: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the F1 `(b,)` of choosing the `chosen (n,)` where the `right (n,)` were to find.

    2·|C ∩ R| / (|C| + |R|), the harmonic mean of precision |C ∩ R| / |C| and recall
    |C ∩ R| / |R|; 0 where nothing is chosen, NaN where nothing is right either.

    Source: van Rijsbergen, "Information Retrieval", 1979, with β = 1.
    """
    return _divide(2 * (weights @ (chosen & right)), weights @ (1.0 * chosen + right))


def auroc(scores: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Return the areas `(b,)` under the ROC curve of `scores (n,)` for `positive (n,)`.

    P(s⁺ > s⁻) + ½·P(s⁺ = s⁻) for a random positive s⁺ and negative s⁻; NaN without both.

    Source: Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982.
    """
    if not scores.size:
        return np.full(len(weights), np.nan)
    order = np.argsort(scores)
    ordered = scores[order]
    ties = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    mass, is_positive = weights[:, order], positive[order]
    positives = np.add.reduceat(mass * is_positive, ties, axis=1)
    negatives = np.add.reduceat(mass * ~is_positive, ties, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    area = (positives * (below + negatives / 2)).sum(axis=1)
    return _divide(area, positives.sum(axis=1) * negatives.sum(axis=1))


def bin_of(confidence: Floats, bins: int) -> NDArray[np.int64]:
    """Return which of `bins` of equal width over [0, 1] each `confidence (n,)` falls into."""
    return np.minimum((confidence * bins).astype(np.int64), bins - 1)


def calibration_error(
    confidence: Floats, correct: Floats, weights: Floats, *, bins: int = 10
) -> Floats:
    """Return the expected calibration errors `(b,)` of `confidence (n,)` in [0, 1].

    ECE = Σ_m |B_m|/n · |accuracy(B_m) − confidence(B_m)| over `bins` of equal width, B_m
    being the answers whose confidence falls into bin m and `correct (n,)` 1 or 0 for each.

    Source: Naeini, Cooper and Hauskrecht, "Obtaining Well Calibrated Probabilities Using
    Bayesian Binning", AAAI 2015.
    """
    gaps = (correct - confidence)[:, None] * (bin_of(confidence, bins)[:, None] == np.arange(bins))
    return _divide(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))


def resamples(n: int, *, count: int = 1000, seed: int = 0) -> Floats:
    """Return weights `(count, n)`: how often each of n questions is drawn, n drawn a sample.

    Source: Efron, "Bootstrap Methods: Another Look at the Jackknife", 1979.
    """
    if n == 0:
        return np.zeros((count, 0))
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=count)
    return drawn.astype(np.float64)


def interval(values: Floats) -> tuple[float, float] | None:
    """Return the 2.5th and 97.5th percentile of a statistic's `values (b,)` over resamples.

    Samples in which the statistic is undefined are left out; None where it always is.
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return None
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def score_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95% interval of a mean of `count` scores in [0, 1], for small groups too.

    The Wilson interval. No scores in [0, 1] vary more than zeros and ones of the same mean do,
    so that it is wide enough for all; and where all are alike, of which a bootstrap makes an
    interval of no width, it is still as wide as their number allows.

    Source: Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927.
    """
    z = 1.959964
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    return max(0.0, centre - half), min(1.0, centre + half)


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    undefined = np.full(np.shape(denominator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)
