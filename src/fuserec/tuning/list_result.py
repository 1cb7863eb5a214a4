"""What a tuning of lists found: one configuration, or a front of them to choose from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.errors import RequestError
from fuserec.tuning.result import write_config

if TYPE_CHECKING:
    from fuserec.config import RecommenderConfig

BALANCED = "balanced"
"""Stands for the point of a front that is nearest to the best of all aims."""


@dataclass(frozen=True)
class Point:
    """One way to make lists, and what it is worth.

    Parameters
    ----------
    config : RecommenderConfig
    changes : dict
        What differs from the start.
    aims, check : tuple of float
        Every aim on the half of the validation queries that was searched on, and on the other one.
    figures, check_figures : dict
        Metric to its value, likewise.
    holds, check_holds : bool
        Whether the limits hold, likewise.
    """

    config: RecommenderConfig
    changes: dict[str, Any]
    aims: tuple[float, ...]
    check: tuple[float, ...]
    figures: dict[str, float]
    check_figures: dict[str, float]
    holds: bool
    check_holds: bool

    def as_json(self) -> dict[str, Any]:
        """Return the point as JSON has it."""
        own = {key: value for key, value in vars(self).items() if key != "config"}
        return {**own, "config": self.config.model_dump(mode="json", exclude_defaults=True)}


@dataclass(frozen=True)
class ListTuneResult:
    """What a tuning of lists found.

    Parameters
    ----------
    start : Point
        The present configuration.
    points : tuple of Point
        The chosen one, or with several aims the front, the highest first aim first.
    objective : str
    aims : tuple of str
    limits : tuple of str
    searched : tuple of str
        The axes, by dotted names.
    trials, queries : int
        Trials that were measured, and validation queries of both halves.
    grounds : dict
        Dataset, split and seed.
    study : str or None
    remark : str
        Why nothing changed, or what does not hold.
    interrupted : bool
        Whether the search was stopped from outside: this is the best so far.
    """

    start: Point
    points: tuple[Point, ...]
    objective: str
    aims: tuple[str, ...]
    limits: tuple[str, ...]
    searched: tuple[str, ...]
    trials: int
    queries: int
    grounds: dict[str, Any]
    study: str | None
    remark: str = ""
    interrupted: bool = False

    def pick(self, which: str | int = 1) -> Point:
        """Return a point by its number, from 1, or the balanced one.

        Raises
        ------
        RequestError
            Where there is no such point.
        """
        if which == BALANCED:
            return min(self.points, key=self._distance)
        text = str(which)
        if not text.isdecimal() or not 1 <= int(text) <= len(self.points):
            raise RequestError(
                f"pick {which!r}: write a number from 1 to {len(self.points)}, or {BALANCED} for the point that is "
                "nearest to the best of all aims"
            )
        return self.points[int(text) - 1]

    def _distance(self, point: Point) -> float:
        """Return how far a point is from the best of every aim, each scaled to its range over the front."""
        total = 0.0
        for place, aim in enumerate(point.aims):
            own = [other.aims[place] for other in self.points]
            total += ((max(own) - aim) / ((max(own) - min(own)) or 1.0)) ** 2
        return total

    def save(self, path: Path | str, which: str | int = 1) -> None:
        """Write the configuration of a point as TOML, with what it is worth in its comments."""
        point = self.pick(which)
        write_config(path, point.config, self.lines(point))

    def lines(self, point: Point) -> list[str]:
        """Return in words where a point comes from."""
        split = self.grounds["split"]
        lines = [
            "Found by `fuserec tune`; `fuserec fit DIR --config THIS --out MODEL` fits with it.",
            f"Objective: {self.objective}",
            f"Dataset {self.grounds['dataset']}, split {split['protocol']}, seed {self.grounds['seed']}: "
            f"{self.queries:,} validation queries, half searched on, half to check; nothing saw the test part.",
            f"Study: {self.study or 'not kept'}. {self.trials} trials of {', '.join(self.searched)}.",
        ]
        if self.interrupted:
            lines.append("Interrupted: this is the best so far.")
        for name, before, after in zip(self.aims, self.start.check, point.check, strict=True):
            lines.append(f"  {name}: {before:.4f} -> {after:.4f} on the half that checks")
        lines += [f"  {limit}: {'holds' if point.check_holds else 'does not hold'}" for limit in self.limits]
        return [*lines, self.remark] if self.remark else lines

    def as_json(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        own = {key: value for key, value in vars(self).items() if key not in ("start", "points", "grounds")}
        return {
            **self.grounds,
            **own,
            "start": self.start.as_json(),
            "points": [point.as_json() for point in self.points],
        }


def changed(values: Mapping[str, Any]) -> str:
    """Return changes in words."""
    return ", ".join(f"{key} = {value}" for key, value in values.items()) or "nothing"
