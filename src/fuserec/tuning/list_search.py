"""Tuning of lists: the strengths of rerankers, the operator's dials and the form of the fusion, for any objective.

Bergstra et al. 2011 (TPE), with limits as in Gardner et al. 2014, "Bayesian optimization with inequality constraints",
by what Optuna makes of both; several aims give the trials that no other one is better than in all (Pareto 1906).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fuserec.tuning.space import Choices, Space
from fuserec.tuning.trials import AT_RANDOM

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import optuna

    from fuserec.run import RunOptions
    from fuserec.tuning.formula import Formula
    from fuserec.tuning.trials import Limits

EXCESS = "excess"
"""User attribute of a trial: by how much each limit is broken."""


@dataclass(frozen=True)
class Found:
    """A trial that was measured.

    Parameters
    ----------
    values : dict
        What differs from the start, by the names of the axes.
    figures : dict
        Metric to its value.
    aims : tuple of float
    excess : tuple of float
        By how much each limit is broken: 0 or less where it holds.
    number : int
    """

    values: dict[str, Any]
    figures: dict[str, float]
    aims: tuple[float, ...]
    excess: tuple[float, ...]
    number: int

    @property
    def holds(self) -> bool:
        """Whether all limits hold."""
        return all(one <= 0 for one in self.excess)

    @property
    def broken(self) -> float:
        """By how much limits are broken in all."""
        return sum(max(0.0, one) for one in self.excess)


class ListSearch:
    """The trials of one search over lists.

    Parameters
    ----------
    space : Space
        Axes by dotted names, such as ``mmr.strength``.
    start : dict
        The present value of each axis.
    study : optuna.Study
    formula : Formula
    measure : callable
        From the values of all axes to the figures.
    run : RunOptions
    """

    def __init__(
        self,
        space: Space,
        start: Mapping[str, Any],
        study: optuna.Study,
        formula: Formula,
        measure: Callable[[Mapping[str, Any]], dict[str, float]],
        run: RunOptions,
    ) -> None:
        self.space, self.start, self.study = space, dict(start), study
        self._formula, self._measure, self._run = formula, measure, run

    @property
    def found(self) -> list[Found]:
        """All trials that were measured, in their order, each set of values once."""
        seen: dict[str, Found] = {}
        for t in self.study.get_trials(deepcopy=False):
            if t.state.name == "COMPLETE":
                own = t.user_attrs
                trial = Found(own["changes"], own["figures"], tuple(t.values), tuple(own[EXCESS]), t.number)
                seen.setdefault(repr(sorted(trial.values.items())), trial)
        return list(seen.values())

    def go_on(self, limits: Limits) -> None:
        """Try values until the limits; the present ones are measured first."""
        while True:
            done = len([t for t in self.study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"])
            if done and limits.reached(done):
                return
            self._run.progress("tuning lists", done, limits.trials or 0)
            self._run.check()
            self._trial(done)

    def _trial(self, done: int) -> None:
        """Run one trial; the first is the start."""
        import optuna

        seed = zlib.crc32(f"{self._run.seed} lists {done}".encode())
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=AT_RANDOM)
        if not done and all(axis.holds(self.start[name]) for name, axis in self.space.items()):
            self.study.enqueue_trial(self.start, skip_if_exists=True)
        trial = self.study.ask()
        end, aims = optuna.trial.TrialState.FAIL, None
        try:
            values = {name: axis.nice(self._suggested(trial, name)) for name, axis in self.space.items()}
            values = values if done else self.start  # outside of its ranges too, the start is the first
            figures = self._measure(values)
            trial.set_user_attr("changes", {n: v for n, v in values.items() if v != self.start[n]})
            trial.set_user_attr("figures", figures)
            excesses = self._formula.excesses(figures)
            trial.set_user_attr(EXCESS, excesses)
            for limit, excess in zip(self._formula.limits, excesses, strict=True):
                trial.set_constraint(str(limit), excess)
            aims, end = self._formula.values(figures), optuna.trial.TrialState.COMPLETE
        finally:  # interrupted or not, the study knows how each trial ended
            self.study.tell(trial, aims, state=end)
        self._run.track("tune.lists", done, figures)

    def _suggested(self, trial: optuna.Trial, name: str) -> Any:
        """Return the sampler's value of an axis."""
        axis = self.space[name]
        if isinstance(axis, Choices):
            return trial.suggest_categorical(name, axis.values)
        if axis.whole:
            return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
        return trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def best_first(found: Sequence[Found]) -> list[Found]:
    """Return trials of one aim, the best first: limits that hold, then the aim, then the fewest changes.

    Where no trial meets the limits, the one that breaks them least comes first.
    """
    return sorted(found, key=lambda t: (t.broken, -t.aims[0], len(t.values), t.number))


def front(found: Sequence[Found]) -> list[Found]:
    """Return the trials that no other one beats in all aims, ordered by the first aim, the highest first.

    Among those that meet the limits; where none does, among those that break them least.
    """
    least = min(trial.broken for trial in found)
    able = [trial for trial in found if trial.broken <= least]
    kept = [t for t in able if not any(_beats(other, t) for other in able)]
    return sorted(kept, key=lambda t: (*(-aim for aim in t.aims), t.number))


def _beats(one: Found, other: Found) -> bool:
    """Return whether a trial is as good in all aims and better in one; of equals the earlier one beats."""
    if one.aims == other.aims:
        return one.number < other.number
    return all(a >= b for a, b in zip(one.aims, other.aims, strict=True))
