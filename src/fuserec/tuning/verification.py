"""Looking again before a configuration is given away: parts are refitted, and the fusion of all has to gain too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fuserec.fusion import fusion_of
from fuserec.tuning.ground import Ground, quiet

if TYPE_CHECKING:
    from fuserec.fusion.config import FusionConfig
    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

NOISE = 1e-6
"""A refit that falls short by less is equal: sums of float32 in another order."""


@dataclass(frozen=True)
class Candidate:
    """A part as it was and as it was found to be better, both unfitted, with the value of the first."""

    before: Scorer
    after: Scorer
    value: float


@dataclass(frozen=True)
class Verified:
    """Which changes stay, and why the others do not.

    Parameters
    ----------
    values : dict
        Part to its value after a refit, of the changes that stay.
    remarks : dict
        Part to the reason, of those that do not.
    fused : (float, float)
        The objective of the fusion on validation, before and after.
    """

    values: dict[str, float]
    remarks: dict[str, str]
    fused: tuple[float, float]


def verify(
    parts: Mapping[str, Scorer],
    candidates: Mapping[str, Candidate],
    config: FusionConfig,
    ground: Ground,
    run: RunOptions,
) -> Verified:
    """Refit what was found, and keep the changes with which the fusion is on validation no worse than before.

    All of them where the fusion of all is; else those, the largest gain first, that it is no worse with.

    Parameters
    ----------
    parts : mapping
        All unfitted parts of the fusion, as they were.
    candidates : mapping
        Those that were found to be better otherwise.
    """
    fitted: dict[str, Scorer] = {}
    for done, (name, part) in enumerate(parts.items()):
        run.progress("verifying: the parts as they were", done, len(parts))
        fitted[name] = ground.fit(part, quiet(run))
    values: dict[str, float] = {}
    remarks: dict[str, str] = {}
    better: dict[str, Scorer] = {}
    for done, (name, candidate) in enumerate(candidates.items()):
        run.progress("verifying: the parts as found", done, len(candidates))
        again = ground.fit(candidate.after, quiet(run))
        value = ground.value(again, quiet(run))
        if value < candidate.value - NOISE:
            remarks[name] = f"a refit reached {value:.4f} only"
            continue
        values[name], better[name] = value, again
    before = _fused(fitted, config, ground, run)
    gains = sorted(better, key=lambda name: candidates[name].value - values[name])
    after, kept = _joined(fitted, better, gains, before, config, ground, run)
    for name in set(better) - set(kept):
        remarks[name] = f"{values.pop(name):.4f} alone, but the fusion of all lost by it"
    return Verified(values, remarks, (before, after))


def _joined(
    fitted: dict[str, Scorer],
    better: Mapping[str, Scorer],
    order: list[str],
    before: float,
    config: FusionConfig,
    ground: Ground,
    run: RunOptions,
) -> tuple[float, list[str]]:
    """Return the value of the fusion with the changes that stay, and their names."""
    if not better:
        return before, []
    whole = _fused({**fitted, **better}, config, ground, run)
    if whole >= before:
        return whole, order
    if len(order) == 1:
        return before, []
    best, kept = before, list[str]()
    for name in order:
        chosen = {one: better[one] for one in (*kept, name)}
        value = _fused({**fitted, **chosen}, config, ground, run)
        if value >= best:
            best, kept = value, [*kept, name]
    return best, kept


def _fused(parts: Mapping[str, Scorer], config: FusionConfig, ground: Ground, run: RunOptions) -> float:
    """Return the objective of a fusion of fitted parts, learnt and measured on validation."""
    run.progress("verifying: the fusion", 0, 0)
    return ground.value(fusion_of(config, parts).taught(ground.held, quiet(run), ground.features), quiet(run))
