"""The search of one part's hyperparameters: the default first, then what the sampler proposes, then simpler ones.

Bergstra et al. 2011, "Algorithms for hyper-parameter optimization" (TPE); trials that are below the median of the
others at the same look are pruned (Golovin et al. 2017, "Google Vizier", median stopping rule). Each trial draws from a
generator of its own, seeded by its place, so that a study that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from fuserec.errors import ConfigError, FuseRecError
from fuserec.run import CancelledError, DeadlineExceededError
from fuserec.tuning.ground import Ground, quiet
from fuserec.tuning.space import Choices, Space

if TYPE_CHECKING:
    import optuna

    from fuserec.run import RunOptions
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

Kind = Literal["default", "search", "simpler"]

AT_RANDOM = 8
"""Trials, the default among them, before the sampler learns from those that were."""

FEWEST = 8
"""Trials below which nothing is said of importance."""

FIGURE = "figure"
"""What a training calls the figure that it watches, where it is not the objective itself; higher is better."""

LOOK = 1_000_000
"""The first look of a measuring as a step of a trial: the epochs of a training come before it."""


def positive(**given: float | None) -> None:
    """Refuse a number of trials, seconds or queries that is not above 0."""
    for name, value in given.items():
        if value is not None and not value > 0:
            raise ConfigError(f"tune: {name} = {value}: has to be above 0")


@dataclass(frozen=True)
class Limits:
    """When a search ends: after so many trials, counted from the first of the study, or at a moment."""

    trials: int | None
    deadline: float | None

    @property
    def late(self) -> bool:
        """Whether the moment has come."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def reached(self, done: int) -> bool:
        """Return whether it is over after so many trials."""
        return self.late or (self.trials is not None and done >= self.trials)


class Search:
    """The trials of one part.

    Parameters
    ----------
    name : str
        Of the part.
    base : Scorer
        Unfitted, with the present configuration.
    space : Space
    study : optuna.Study
    ground : Ground
    run : RunOptions
    """

    def __init__(
        self, name: str, base: Scorer, space: Space, study: optuna.Study, ground: Ground, run: RunOptions
    ) -> None:
        self.name, self.base, self.space, self.study = name, base, space, study
        self._ground, self._run = ground, run

    def configured(self, values: Mapping[str, Any]) -> Scorer:
        """Return the unfitted part with other values."""
        config = type(self.base.config).parse({**self.base.config.model_dump(), **values}, self.name)
        return type(self.base)(config)

    def finished(self, *kinds: Kind) -> list[optuna.trial.FrozenTrial]:
        """Return the trials that came to an end, faulty ones included, of some kinds or of all."""
        ended = [
            t
            for t in self.study.get_trials(deepcopy=False)
            if "fault" in t.user_attrs or t.state.name in ("COMPLETE", "PRUNED")
        ]
        return [t for t in ended if not kinds or t.user_attrs.get("kind") in kinds]

    @property
    def complete(self) -> list[optuna.trial.FrozenTrial]:
        """The trials that were measured wholly."""
        return [t for t in self.study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]

    @property
    def default(self) -> optuna.trial.FrozenTrial | None:
        """The trial of the present configuration."""
        return next((t for t in self.complete if t.user_attrs["kind"] == "default"), None)

    @property
    def best(self) -> optuna.trial.FrozenTrial | None:
        """The trial with the highest value; of equals the one that changes least, then the earliest."""
        return max(
            self.complete,
            key=lambda t: (reached(t), -len(t.user_attrs["values"]), -t.number),
            default=None,
        )

    def go_on(self, limits: Limits) -> None:
        """Try configurations until the limits; the present one is measured first, in any case."""
        if self.default is None:
            self._trial("default", {}, None)
        while not limits.reached(done := len(self.finished("default", "search"))):
            self._run.progress(f"tuning {self.name}", done, limits.trials or 0)
            if not self._trial("search", None, limits.deadline):
                return
        done = len(self.finished("default", "search"))
        if self.study.user_attrs.get("simplified") != done and self._simplify(limits):
            self.study.set_user_attr("simplified", done)

    def _simplify(self, limits: Limits) -> bool:
        """Take back each change of the best trial without which it is as good, one after the other.

        Returns False where the time ran out before all were looked at.
        """
        found = self.best
        for field in [] if found is None else list(found.user_attrs["values"]):
            assert found is not None
            if limits.late:
                return False
            values = {k: v for k, v in found.user_attrs["values"].items() if k != field}
            self._run.progress(f"simplifying {self.name}", 0, 0)
            if self._known(values) is None and not self._trial("simpler", values, limits.deadline):
                return False
            simpler = self._known(values)
            if (
                simpler is not None
                and simpler.state.name == "COMPLETE"
                and reached(simpler) >= reached(found)
            ):
                found = simpler
        return True

    def _known(self, values: Mapping[str, Any]) -> optuna.trial.FrozenTrial | None:
        """Return the trial that changed exactly these values, if there was one."""
        return next((t for t in self.finished() if t.user_attrs.get("values") == values), None)

    def _trial(self, kind: Kind, changes: Mapping[str, Any] | None, deadline: float | None) -> bool:
        """Run one trial, of given changes or of what the sampler proposes.

        Returns False where the time ran out in the middle: such a trial does not count.
        """
        import optuna

        place = len(self.finished())
        trial = self._asked(changes)
        end, value = optuna.trial.TrialState.FAIL, None
        try:
            values = self._proposed(trial) if changes is None else dict(changes)
            trial.set_user_attr("kind", kind)
            trial.set_user_attr("values", values)
            value = self._measured(trial, self.configured(values), deadline)
            end = optuna.trial.TrialState.COMPLETE
        except optuna.TrialPruned:
            end = optuna.trial.TrialState.PRUNED
        except DeadlineExceededError:
            return False
        except FuseRecError as error:
            if kind == "default" or isinstance(error, CancelledError):
                raise
            log.info("a trial of %s failed: %s", self.name, error)
            trial.set_user_attr("fault", str(error)[:500])
        finally:  # interrupted or not, the study knows how each trial ended
            self.study.tell(trial, value, state=end)
        if value is not None:
            self._run.track(f"tune.{self.name}", place, {str(self._ground.objective): value})
        return True

    def _asked(self, changes: Mapping[str, Any] | None) -> optuna.Trial:
        """Return the next trial of the study, with given changes as its parameters where the ranges hold them."""
        import optuna

        seed = zlib.crc32(f"{self._run.seed} {self.name} {len(self.finished())}".encode())
        self.study.sampler = optuna.samplers.TPESampler(
            seed=seed, n_startup_trials=AT_RANDOM, constant_liar=False
        )
        if changes is None:
            return self.study.ask()
        values = {name: changes.get(name, getattr(self.base.config, name)) for name in self.space}
        within = all(axis.holds(values[name]) for name, axis in self.space.items())
        if within:
            self.study.enqueue_trial(values, skip_if_exists=True)
        trial = self.study.ask()
        if within:
            self._suggested(trial)
        return trial

    def _suggested(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return a value for each axis."""
        found: dict[str, Any] = {}
        for name, axis in self.space.items():
            if isinstance(axis, Choices):
                found[name] = trial.suggest_categorical(name, axis.values)
            elif axis.whole:
                found[name] = trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
            else:
                found[name] = trial.suggest_float(name, axis.low, axis.high, log=axis.log)
        return found

    def _proposed(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return what the sampler changes of the present configuration."""
        values = {name: self.space[name].nice(value) for name, value in self._suggested(trial).items()}
        return {name: value for name, value in values.items() if value != getattr(self.base.config, name)}

    def _measured(self, trial: optuna.Trial, part: Scorer, deadline: float | None) -> float:
        """Fit and measure; a trial that falls behind the others on the way is pruned."""
        import optuna

        ground, last, until = self._ground, -1, len(self._ground.looks) - 1

        def report(step: int, value: float, may_prune: bool = True) -> None:
            nonlocal last
            if step <= last:  # a training that starts again, on other seeds for example
                return
            last = step
            trial.report(value, step)
            if may_prune and trial.should_prune():
                raise optuna.TrialPruned

        def follow(component: str, step: int, metrics: Mapping[str, float]) -> None:
            figure = metrics.get(str(ground.objective), metrics.get(FIGURE))
            if figure is not None and step < LOOK:
                report(step, float(figure))

        run = replace(quiet(self._run), deadline=deadline, track=follow)
        return ground.value(
            ground.fit(part, run), run, lambda look, value: report(LOOK + look, value, look < until)
        )

    def importance(self) -> dict[str, float]:
        """Return the share of what sets good trials apart that each hyperparameter has, the largest first.

        Watanabe, Bansal, Hutter 2023, "PED-ANOVA". Empty where there are too few trials, or all are equal.
        """
        import optuna

        complete = [t for t in self.complete if t.params]
        if len(complete) < FEWEST or len({t.value for t in complete}) < 2 or len(self.space) < 2:
            return {}
        found = optuna.importance.get_param_importances(
            self.study,
            evaluator=optuna.importance.PedAnovaImportanceEvaluator(),
            params=[name for name in self.space if all(name in t.params for t in self.complete)],
        )
        return {name: round(float(share), 4) for name, share in found.items()}


def reached(trial: optuna.trial.FrozenTrial) -> float:
    """Return the value of a trial that was measured wholly."""
    assert trial.value is not None
    return trial.value
