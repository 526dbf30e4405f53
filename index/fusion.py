"""Fusion: one ranking from the dense and the lexical candidates of a question.

It stands outside of any store, so that all stores rank alike.
"""

from __future__ import annotations

from collections.abc import Mapping

CANDIDATES = 50
"""How many candidates of each list are fused. Source: measured on CMRC."""


def fuse(
    dense: Mapping[int, float], lexical: Mapping[int, float], *, dense_weight: float = 0.5
) -> list[tuple[int, float]]:
    """Return all candidates as (key, score in [0, 1]), best first.

    `score = w * scaled(dense) + (1 - w) * scaled(lexical)`, 0 for a list that lacks the key.
    Equal scores stand in the order of their cosines, then of their keys.

    Source: Bruch et al. 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
    """
    near, worded = scaled(dense), scaled(lexical)
    scores = {
        key: dense_weight * near.get(key, 0.0) + (1 - dense_weight) * worded.get(key, 0.0)
        for key in {**near, **worded}
    }
    return sorted(scores.items(), key=lambda item: (-item[1], -dense.get(item[0], -1.0), item[0]))


def scaled(scores: Mapping[int, float]) -> dict[int, float]:
    """Return the scores of one list as `(score - min) / (max - min)`, or 1 where all are equal."""
    if not scores:
        return {}
    low, high = min(scores.values()), max(scores.values())
    if high == low:
        return dict.fromkeys(scores, 1.0)
    return {key: (score - low) / (high - low) for key, score in scores.items()}
