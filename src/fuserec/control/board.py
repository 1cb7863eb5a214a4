"""A board of dials, resolved for a catalogue: what pulls at each item, what is forbidden, what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fuserec.control.controls import Controls
from fuserec.control.items import Items
from fuserec.control.shown import Showings
from fuserec.control.topics import forbidden, topics

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.numerics.diverse import Space
    from fuserec.run import RunOptions

Kind = Literal["more", "less", "novelty", "freshness", "fatigue"]

FULL = 1e3
"""Weight of a dial at 1: relevance only settles what is equal by it."""

NARROW = 0.1
"""Differences within a pool below this share of what the catalogue has are not blown up to the full range."""


@dataclass(frozen=True)
class Pull:
    """One dial that adds to or takes from the worth of items.

    Parameters
    ----------
    kind : str
    topic : str
        What is wanted more or less of, else empty.
    weight : float
        Of its effect beside relevance; negative where it takes away.
    effect : float32 (n_items,)
        0 to 1.
    stretched : bool
        Whether the effect is stretched to the range that it has within a pool: where it is a matter of degree.
    """

    kind: Kind
    topic: str
    weight: float
    effect: np.ndarray
    stretched: bool

    def on(self, items: np.ndarray, there: np.ndarray) -> np.ndarray:
        """Return float64 (n, m): what the dial adds to each item of a pool."""
        effect = np.where(there, self.effect[items], 0).astype(np.float64)
        if self.stretched:
            low = np.where(there, effect, np.inf).min(axis=1, keepdims=True, initial=1)
            high = effect.max(axis=1, keepdims=True, initial=0)
            effect = (effect - low) / np.maximum(high - low, NARROW)
        return self.weight * effect


@dataclass(frozen=True)
class Board:
    """Dials as a list is made by them.

    Parameters
    ----------
    controls : Controls
    catalogue : Items
    pulls : tuple of Pull
    spread : float
        Weight of the distance from what stands above.
    hidden : bool (n_items,) or None
        What never comes.
    new : bool (n_items,) or None
        The items that a share of the places is kept for.
    """

    controls: Controls
    catalogue: Items
    pulls: tuple[Pull, ...]
    spread: float
    hidden: np.ndarray | None
    new: np.ndarray | None

    @classmethod
    def of(
        cls,
        controls: Controls,
        catalogue: Items,
        run: RunOptions,
        shown: Showings | None = None,
        at: float = float("nan"),
    ) -> Board:
        """Resolve dials.

        Parameters
        ----------
        controls : Controls
        catalogue : Items
        run : RunOptions
        shown : Showings, optional
            What was shown to who asks.
        at : float
            The moment of the request in unix seconds; NaN where nobody knows.

        Raises
        ------
        RequestError
            For a topic or column that is not there, or a dial that needs times where there are none.
        """
        pulls = _topic_pulls(controls, catalogue, run)
        if controls.novelty:
            pulls.append(Pull("novelty", "", weight(controls.novelty), catalogue.rarity, True))
        if controls.freshness:
            fresh = catalogue.freshness(controls.time_column)
            pulls.append(Pull("freshness", "", weight(controls.freshness), fresh, True))
        n_items = catalogue.dataset.n_items
        if controls.fatigue and shown is not None and shown.items.size:
            tired = shown.tiredness(at, controls.fatigue_days, n_items)
            pulls.append(Pull("fatigue", "", -weight(controls.fatigue), tired, False))
        hidden = forbidden(controls.never, catalogue.dataset) if controls.never else None
        if controls.max_shown is not None and shown is not None and shown.items.size:
            capped = shown.counts(at, controls.shown_days, n_items) >= controls.max_shown
            hidden = capped if hidden is None else hidden | capped
        new = None
        if controls.new_share:
            new = catalogue.new(controls.new_days, controls.new_interactions, controls.time_column, at)
        return cls(controls, catalogue, tuple(pulls), weight(controls.diversity), hidden, new)

    @property
    def wanted(self) -> np.ndarray:
        """Bool (n_items,): what more is wanted of or places are kept for, and may stand below the best by score."""
        out = np.zeros(self.catalogue.dataset.n_items, dtype=bool)
        for pull in self.pulls:
            if pull.kind == "more":
                out |= pull.effect >= 0.5
        return out if self.new is None else out | self.new

    @classmethod
    def standing(
        cls, controls: Controls, dataset: Dataset, features: ItemFeatures, run: RunOptions, at: float
    ) -> Board | None:
        """Return the operator's dials for lists of many queries, None where none is off 0.

        What was shown to each of them is not known here: ``fatigue`` and ``max_shown`` do not act.
        """
        if not controls.active:
            return None
        board = cls.of(controls, Items(dataset, features), run, at=at)
        return None if board.idle else board

    @property
    def space(self) -> Space:
        """Vectors of the items, as the kernel of lists reads them."""
        return self.catalogue.space

    @property
    def idle(self) -> bool:
        """Whether a list stays as it is."""
        return not self.pulls and self.spread == 0 and self.hidden is None and self.new is None


def newest(moments: np.ndarray) -> float:
    """Return the newest of moments (n,), at which the age of items is counted; NaN without any."""
    known = moments[np.isfinite(moments)]
    return float(known.max()) if known.size else float("nan")


def weight(strength: float) -> float:
    """Return what an effect counts beside relevance: s / (1 - s), so that at 0.5 both count alike."""
    return FULL if strength >= FULL / (1 + FULL) else strength / (1 - strength)


def _topic_pulls(controls: Controls, catalogue: Items, run: RunOptions) -> list[Pull]:
    """Return what topics pull."""
    asked: list[tuple[Kind, str, float]] = [
        *(("more", text, strength) for text, strength in controls.more.items() if strength),
        *(("less", text, strength) for text, strength in controls.less.items() if strength),
    ]
    found = topics([text for _, text, _ in asked], catalogue.dataset, catalogue.features, run)
    return [
        Pull(kind, text, weight(strength) * (1 if kind == "more" else -1), topic.fit, False)
        for (kind, text, strength), topic in zip(asked, found, strict=True)
    ]
