"""Confidence: a calibrated probability from signals that say what they are named after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources

import numpy as np
import pytest
from asking import FEES, TOWN, asked, scored, span
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from rag.confidence import SIGNALS, Calibration, calibration, confidence, signals
from rag.reader import Reader, Span
from rag.sentences import ScoredSentence
from rag.span_scorer import SpanScorer
from rag.trained_reader import TrainedReader

READERS = (SpanScorer.name, TrainedReader.name)
ANY_SIGNALS = arrays.arrays(np.float64, len(SIGNALS), elements=st.floats(-1e6, 1e6))


@pytest.mark.parametrize("reader", READERS)
def test_each_reader_has_a_weight_for_each_signal_in_their_order(reader: str) -> None:
    stored = json.loads((resources.files("rag") / "confidence.json").read_text("utf-8"))
    assert tuple(stored[reader]["weights"]) == SIGNALS
    made = calibration(reader)
    assert len(made.weights) == len(SIGNALS)
    assert np.isfinite([*made.weights, made.bias]).all()
    assert 0 < made.threshold < 1


@pytest.mark.parametrize("reader", READERS)
@given(values=ANY_SIGNALS)
def test_a_confidence_is_a_probability(reader: str, values: np.ndarray) -> None:
    assert 0 < confidence(calibration(reader), values) < 1


@given(ANY_SIGNALS, st.integers(0, len(SIGNALS) - 1), st.floats(0, 100))
def test_more_of_what_speaks_for_it_is_never_less_sure(
    values: np.ndarray, k: int, more: float
) -> None:
    made = calibration("spans")
    raised = values.copy()
    raised[k] += np.sign(made.weights[k]) * more
    assert confidence(made, raised) >= confidence(made, values)


def test_it_is_the_logistic_function() -> None:
    made = Calibration((1.0,) * len(SIGNALS), -1.0, 0.5)
    values = np.zeros(len(SIGNALS))
    assert confidence(made, values) == pytest.approx(1 / (1 + np.e))
    values[:3] = 1
    assert confidence(made, values) == pytest.approx(1 / (1 + np.exp(-2)))


def named(values: np.ndarray) -> dict[str, float]:
    return dict(zip(SIGNALS, values.tolist(), strict=True))


def read(question: str, *texts: str) -> dict[str, float]:
    made, sentences = asked(question), scored(question, *texts)
    return named(signals(made, SpanScorer().read(made, sentences), sentences))


def test_signals_are_one_number_each() -> None:
    made, sentences = asked("教育小镇总投资多少？"), scored("教育小镇总投资多少？", TOWN, FEES)
    spans = SpanScorer().read(made, sentences)
    for found in (spans, spans[:1], ()):
        values = signals(made, found, sentences)
        assert values.shape == (len(SIGNALS),)
        assert np.isfinite(values).all()


@given(st.text(max_size=30))
def test_any_question_has_finite_signals(question: str) -> None:
    made, sentences = asked(question), scored(question, TOWN, FEES)
    assert np.isfinite(signals(made, SpanScorer().read(made, sentences), sentences)).all()


def test_what_is_asked_is_marked() -> None:
    more = "asks for more than a fact"
    assert read("教育小镇总投资多少？", TOWN, FEES)[more] == 0
    assert read("教育小镇落地了吗？", TOWN, FEES)[more] == 1
    assert read("为什么要建教育小镇？", TOWN, FEES)[more] == 1
    assert read("教育小镇总投资多少？", TOWN)["in English"] == 0
    assert read("How much is invested?", TOWN)["in English"] == 1


def test_what_the_passage_lacks_is_seen() -> None:
    there, gone = read("教育小镇总投资多少？", TOWN), read("红烧肉总热量多少？", TOWN)
    assert there["covered nearby"] > gone["covered nearby"]
    assert read("2015年总投资多少？", TOWN)["numbers absent"] > there["numbers absent"]


def of_span(question: str, *found: Span) -> dict[str, float]:
    sentences: Sequence[ScoredSentence] = [s.sentence for s in found]
    return named(signals(asked(question), found, sentences))


def test_a_rival_lowers_the_share_of_the_best() -> None:
    best = span(TOWN, "约100亿元", score=5)
    close = of_span("多少？", best, span(FEES, "56%", score=4))
    far = of_span("多少？", best, span(FEES, "56%", score=-4))
    assert close["span probability"] < far["span probability"]
    assert close["evidence"] == far["evidence"] > 0


def test_readers_are_named_as_their_calibration() -> None:
    reader: Reader = SpanScorer()
    assert calibration(reader.name) == calibration("spans")
    with pytest.raises(KeyError):
        calibration("nobody")
