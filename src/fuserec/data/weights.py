"""One signed weight per interaction, computed once: kind of behaviour times rating rule."""

from __future__ import annotations

import numpy as np

from fuserec.errors import ConfigError, nearest

KINDS: tuple[str, ...] = (
    "interaction",
    "view",
    "click",
    "like",
    "save",
    "share",
    "comment",
    "search",
    "cart",
    "purchase",
    "rating",
    "dislike",
    "hide",
    "watch",
    "listen",
    "read",
)
"""All kinds of behaviour; the position is the code stored with a row. ``interaction`` is a row without a kind."""

TIMED = ("watch", "listen", "read")
"""Kinds whose ``value`` is a duration in seconds."""

DEFAULT_WEIGHTS: dict[str, float] = {
    "interaction": 1.0,
    "view": 0.3,
    "click": 0.4,
    "like": 1.0,
    "save": 0.8,
    "share": 0.9,
    "comment": 0.6,
    "search": 0.0,  # a search is a text event: it speaks through its words
    "cart": 0.7,
    "purchase": 1.0,
    "rating": 1.0,
    "dislike": -1.0,
    "hide": -0.6,
    "watch": 0.8,
    "listen": 0.8,
    "read": 0.8,
}

NEUTRAL_SHARE = 0.3
"""Ratings below this share of the scale count against an item: of five stars, one and two."""

HALF_SECONDS = 60.0
"""A duration that earns half of the weight of its kind; twice as long earns two thirds, and so on."""


def kind_weights(overrides: dict[str, float]) -> dict[str, float]:
    """Return the weight of every kind, with a dataset's own values in place of the defaults."""
    for kind in overrides:
        if kind not in DEFAULT_WEIGHTS:
            raise ConfigError(
                f"dataset.toml [weights]: unknown kind {kind!r}{nearest(kind, KINDS)} (known: {', '.join(KINDS)})"
            )
    return {**DEFAULT_WEIGHTS, **overrides}


def strongest(kinds: np.ndarray, weights: dict[str, float]) -> float:
    """Return the largest absolute weight among the kinds that occur (codes uint8); 1 where there is none."""
    return max((abs(weights[KINDS[int(code)]]) for code in np.unique(kinds)), default=0.0) or 1.0


def signed_weights(
    kinds: np.ndarray,
    ratings: np.ndarray,
    seconds: np.ndarray,
    scale: tuple[float, float] | None,
    weights: dict[str, float],
    unit: float | None = None,
) -> np.ndarray:
    """Return float32 (n,): the signed weight of each interaction, in [-1, 1] relative to the strongest kind.

    Parameters
    ----------
    kinds : uint8 (n,)
        Codes of :data:`KINDS`.
    ratings : float32 (n,)
        Ratings in the scale, NaN where there is none.
    seconds : float32 (n,)
        Durations, NaN where there is none.
    scale : (low, high) or None
        The rating scale of the dataset.
    weights : dict
        Weight of each kind.
    unit : float, optional
        What the weights are divided by; that of the strongest kind present where it is not given.
    """
    table = np.array([weights[kind] for kind in KINDS], dtype=np.float32)
    out = table[kinds] / np.float32(unit or strongest(kinds, weights))
    if scale is not None and scale[1] > scale[0]:
        neutral = scale[0] + NEUTRAL_SHARE * (scale[1] - scale[0])
        rated = np.isfinite(ratings)
        out[rated] *= ((ratings[rated] - neutral) / (scale[1] - neutral)).astype(np.float32)
    timed = np.array([kind in TIMED for kind in KINDS])[kinds] & np.isfinite(seconds)
    out[timed] *= (seconds[timed] / (seconds[timed] + HALF_SECONDS)).astype(np.float32)
    result: np.ndarray = out.astype(np.float32)
    return result
