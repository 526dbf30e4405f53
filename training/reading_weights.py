"""Choose what counts beside the transformer's evidence: `python -m training.reading_weights`.

The questions of `training/tuning` that the reader was not trained on, each asked of its own
article and of all articles together; one weight after another takes the value at which the
first spans overlap most with the references (mean character F1), until none changes. Prints
the weights for `rag.trained_reader.Weights`, and what the shipped ones reach. The fixed
question set takes no part.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from rag.metrics import character_f1, contains_reference
from rag.sentences import ScoredSentence
from rag.spans import Probe
from rag.trained_reader import TrainedReader, Weights
from training.calibration import BEYOND_FACTS, HELD_OUT_GROUPS, Pool, scored_for
from training.cases import Case, Embeddings, hits_of, tuning_cases

GRID = {
    "candidate": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "sentence": (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0),
    "passage": (0.0, 1.0, 2.0, 4.0, 6.0, 8.0, 12.0),
    "margin": (-1.0, 0.0, 0.5, 1.0, 2.0, 4.0, 100.0),
}

Asked = tuple[Case, Probe, list[ScoredSentence]]


def remembering(work: Callable[..., Any], key: Callable[..., object]) -> Callable[..., Any]:
    """Return `work` that does the same thing once only."""
    kept: dict[object, Any] = {}

    def remembered(*arguments: Any) -> Any:
        at = key(*arguments)
        if at not in kept:
            kept[at] = work(*arguments)
        return kept[at]

    return remembered


def reader_that_remembers() -> TrainedReader:
    """Return a reader that runs its models once a question, whatever its weights are later."""
    reader = TrainedReader()
    transformer = reader._transformer
    transformer._logits = lru_cache(None)(transformer._run)
    reader._scorer.candidates = remembering(
        reader._scorer.candidates, lambda probe, sentence: (id(probe), id(sentence))
    )
    return reader


def figures(reader: TrainedReader, asked: Sequence[Asked], weights: Weights) -> tuple[float, float]:
    """Return the mean character F1 of the first spans, and how many contain a reference."""
    reader.weights = weights
    found = [(reader.read(probe, sentences)[0].text, case) for case, probe, sentences in asked]
    return (
        float(np.mean([character_f1(text, case.answers) for text, case in found])),
        float(np.mean([contains_reference(text, case.answers) for text, case in found])),
    )


def best_weights(f1: Callable[[Weights], float], start: Weights) -> Weights:
    """Return the weights that no change of a single one betters."""
    best = start
    while True:
        before = best
        for name, values in GRID.items():
            best = max((best._replace(**{name: value}) for value in values), key=f1)
        if best == before:
            return best


def main() -> None:
    """Choose the weights and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embeddings", type=Path, default=Path("../cache/embeddings.pickle"))
    parser.add_argument("--questions", type=int, default=300)
    arguments = parser.parse_args()
    embeddings = Embeddings(arguments.embeddings)
    cases = [
        case
        for case in tuning_cases()
        if case.group in HELD_OUT_GROUPS
        and case.answerable
        and case.kind not in BEYOND_FACTS
        and not case.history
    ]
    cases = random.Random(0).sample(cases, min(arguments.questions, len(cases)))
    pool = Pool.of((case.text for case in cases), embeddings)
    asked = [
        (case, *scored_for(case.question, case.history, hits, embeddings))
        for case in cases
        for hits in (hits_of(case.text), pool.nearest(embeddings.of_question(case.question)))
    ]
    embeddings.save()
    reader = reader_that_remembers()
    shipped = Weights()

    @cache
    def f1(weights: Weights) -> float:
        return figures(reader, asked, weights)[0]

    for name, weights in (("shipped", shipped), ("best", best_weights(f1, shipped))):
        overlap, contained = figures(reader, asked, weights)
        print(f"{name}: F1 {overlap:.3f}, contained {contained:.3f}, {weights}")


if __name__ == "__main__":
    main()
