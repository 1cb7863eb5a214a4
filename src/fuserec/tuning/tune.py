"""Tuning a configuration: every part searched on its own, what was found verified together."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig, create_parts, default_parts
from fuserec.data.splits import SplitConfig
from fuserec.errors import ConfigError, nearest
from fuserec.rerank import RERANKERS
from fuserec.run import CancelledError, RunOptions
from fuserec.tracked import parameters
from fuserec.tracking.session import tracked
from fuserec.tuning.ground import Ground
from fuserec.tuning.objective import Objective
from fuserec.tuning.result import PartResult, TuneResult
from fuserec.tuning.space import Range, space_of
from fuserec.tuning.storage import open_study, storage
from fuserec.tuning.trials import Limits, Search, positive, reached
from fuserec.tuning.verification import Candidate, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

    import optuna

    from fuserec.data.dataset import Dataset
    from fuserec.scorers.base import Scorer

log = logging.getLogger("fuserec")

ON_LISTS = frozenset({*RERANKERS, "control", "fusion"})
"""Tables of ranges that a tuning of lists reads."""

TRIALS = 25
"""Trials of each part where neither a number nor a time is given."""


def tune(
    dataset: Dataset,
    config: RecommenderConfig | None = None,
    space: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    parts: Sequence[str] = (),
    objective: str = "ndcg@10",
    split: SplitConfig | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    study: Path | str | None = None,
    queries: int = 10_000,
    verified: bool = True,
    run: RunOptions | None = None,
) -> TuneResult:
    """Search better hyperparameters of the parts on validation.

    The test part of the split is taken away first: an evaluation with the same split and seed is as honest for the
    result as for the configuration that it started from.

    Parameters
    ----------
    dataset : Dataset
    config : RecommenderConfig, optional
        Where to start; without parts, or without a configuration, the data choose them.
    space : mapping, optional
        Part to hyperparameter to ``[low, high]``, ``{"choices": [...]}`` or False (left as it is); goes before
        ``config.tune``, and that before what the declarations imply.
    parts : sequence of str
        Only these; by default all but those that predict ratings, which a ranking says nothing of.
    objective : str
        A ranking metric, maximised.
    split : SplitConfig, optional
        ``last-out`` by default.
    trials : int, optional
        Of each part, those that the study holds already included; 25 where no time is given either.
    seconds : float, optional
        Time for the search, shared out among the parts; measuring the present configuration and verifying what was
        found come on top.
    study : path, optional
        An SQLite file that keeps the trials, to go on later; without one they are kept in memory.
    queries : int
        Validation queries that trials are measured on, drawn at random.
    verified : bool
        Refit what was found, and keep what the fusion does not lose by.
    run : RunOptions, optional
        Equal seeds give equal trials, interrupted in between or not.

    Raises
    ------
    ConfigError
        For an unknown part or hyperparameter, a range that is not allowed, or a study of other data.
    DataError
        Where nothing can be held out.
    MissingExtraError
        Where Optuna is not installed.
    """
    config, run, split = config or RecommenderConfig(), run or RunOptions(), split or SplitConfig()
    positive(trials=trials, seconds=seconds, queries=queries)
    goal, tables = Objective.parse(objective), config.parts or default_parts(dataset)
    plan = _Plan(dataset, config, tables, create_parts(tables), goal, split, queries, run)
    chosen = plan.chosen(parts)
    spaces = {**config.tune, **{name: dict(table) for name, table in (space or {}).items()}}
    plan.check(spaces)
    path = None if study is None else Path(study)
    told = {**parameters(config, dataset, run), "tune": {"objective": objective, "split": split.model_dump()}}
    named, wanted = f"tune-{dataset.info.name}", _Time(trials, seconds)
    with storage(path) as kept, tracked(config.tracking, named, told, run) as following:
        plan = replace(plan, run=following)
        return plan.result(plan.searches(chosen, spaces, kept, path), wanted, verified, path)


def _track(result: TuneResult, run: RunOptions) -> None:
    """Tell trackers what every part gained."""
    for name, part in result.parts.items():
        values = {"before": part.before, "after": part.after}
        run.track("tune", 0, {f"{key}/{name}": value for key, value in values.items() if value is not None})


@dataclass(frozen=True)
class _Time:
    """How much is wanted of each part."""

    trials: int | None
    seconds: float | None

    def limits(self, started: float, parts_left: int) -> Limits:
        """Return the limits of the next part: an equal share of the time that is left."""
        if self.seconds is None:
            return Limits(self.trials or TRIALS, None)
        now = time.monotonic()
        return Limits(self.trials, now + max(0.0, started + self.seconds - now) / parts_left)


@dataclass(frozen=True)
class _Plan:
    """One tuning: what it starts from and on what it is judged."""

    dataset: Dataset
    config: RecommenderConfig
    tables: Mapping[str, Mapping[str, Any]]
    bases: dict[str, Scorer]
    objective: Objective
    split: SplitConfig
    queries: int
    run: RunOptions

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Return the parts to tune, in the order of the configuration."""
        for name in names:
            if name not in self.bases:
                known = ", ".join(self.bases)
                raise ConfigError(
                    f"tune: unknown part {name!r}{nearest(name, self.bases)} (the configuration has: {known})"
                )
        ranking = [n for n, part in self.bases.items() if "rating" not in part.capabilities.needs]
        return [name for name in self.bases if name in (names or ranking)]

    def check(self, spaces: Mapping[str, Mapping[str, Any]]) -> None:
        """Refuse a table of ranges of a part that is none."""
        for name, table in spaces.items():
            if name in ON_LISTS and name not in self.bases:  # of a tuning of lists
                continue
            if name not in self.bases:
                known = ", ".join(self.bases)
                raise ConfigError(
                    f"[tune.{name}]: no such part{nearest(name, self.bases)} (the configuration has: {known})"
                )
            space_of(self.bases[name].config, table, f"[tune.{name}]")

    def fits(self, name: str) -> bool:
        """Return whether a part can take the catalogue."""
        limit = self.bases[name].capabilities.max_items
        return limit is None or self.dataset.n_items <= limit

    def searches(
        self,
        chosen: Sequence[str],
        spaces: Mapping[str, Mapping[str, Any]],
        kept: optuna.storages.BaseStorage,
        path: Path | None,
    ) -> tuple[Ground, dict[str, Search]]:
        """Prepare the ground, and open the studies of all parts before any work is done for one of them."""
        ground = Ground.prepare(
            self.dataset, self.config.features, self.split, self.objective, self.queries, self.run
        )
        encoder = ground.features.sentence_encoder
        shared = {
            "dataset": f"{self.dataset.info.name} {self.dataset.fingerprint}",
            "split": self.split.model_dump(),
            "seed": self.run.seed,
            "objective": str(self.objective),
            "queries": len(ground.held),
            "features": self.config.features.model_dump(mode="json"),
            "encoder": encoder.fingerprint if encoder else "lexical",
        }
        found: dict[str, Search] = {}
        for name in chosen:
            base = self.bases[name]
            space = space_of(base.config, spaces.get(name, {}), f"[tune.{name}]")
            if not space or not self.fits(name):
                continue
            grounds = {
                **shared,
                "scorer": base.name,
                "configuration": base.config.model_dump(mode="json"),
                "space": {
                    key: [axis.low, axis.high] if isinstance(axis, Range) else {"choices": list(axis.values)}
                    for key, axis in space.items()
                },
            }
            study = open_study(kept, name, grounds, path)
            found[name] = Search(name, base, space, study, ground, self.run)
        if not found:
            raise ConfigError(
                f"tune: nothing to search in {', '.join(chosen) or 'no part'}: name ranges in [tune.PART]"
            )
        return ground, found

    def result(
        self, opened: tuple[Ground, dict[str, Search]], wanted: _Time, verified: bool, path: Path | None
    ) -> TuneResult:
        """Search part by part, verify, and put together what was found."""
        ground, searches = opened
        stopped = False
        started = time.monotonic()
        fused: tuple[float, float] | None = None
        remarks: dict[str, str] = {}
        values: dict[str, float] = {}
        try:
            for place, search in enumerate(searches.values()):
                search.go_on(wanted.limits(started, len(searches) - place))
            if verified:
                checked = self._verified(ground, searches)
                fused, remarks, values = checked.fused, checked.remarks, checked.values
        except (KeyboardInterrupt, CancelledError):
            if not any(search.default for search in searches.values()):
                raise
            stopped = True
        parts = dict(self._parts(searches, remarks, values))
        tables = {
            name: {**table, **(parts[name].changes if name in parts else {})}
            for name, table in self.tables.items()
        }
        result = TuneResult(
            self.config.model_copy(update={"parts": tables}),
            parts,
            str(self.objective),
            fused,
            len(ground.held),
            {
                "dataset": f"{self.dataset.info.name} {self.dataset.fingerprint}",
                "split": self.split.model_dump(),
                "seed": self.run.seed,
            },
            None if path is None else str(path),
            stopped,
        )
        _track(result, self.run)
        return result

    def _verified(self, ground: Ground, searches: Mapping[str, Search]) -> Any:
        """Verify the changes of all parts."""
        candidates = {}
        for name, search in searches.items():
            best, default = search.best, search.default
            if best is not None and default is not None and best.user_attrs["values"]:
                after = search.configured(best.user_attrs["values"])
                candidates[name] = Candidate(search.base, after, reached(default))
        able = {name: part for name, part in self.bases.items() if self.fits(name)}
        return verify(able, candidates, self.config.fusion, ground, self.run)

    def _parts(
        self, searches: Mapping[str, Search], remarks: Mapping[str, str], values: Mapping[str, float]
    ) -> Iterator[tuple[str, PartResult]]:
        """Yield what was found for each part."""
        for name, search in searches.items():
            best, default, ended = search.best, search.default, search.finished()
            if best is None or default is None:
                yield name, PartResult(remark="not reached")
                continue
            undone = name in remarks
            yield (
                name,
                PartResult(
                    before=reached(default),
                    after=reached(default) if undone else values.get(name, reached(best)),
                    changes={} if undone else dict(best.user_attrs["values"]),
                    trials=len(ended),
                    pruned=sum(t.state.name == "PRUNED" for t in ended),
                    faulty=sum("fault" in t.user_attrs for t in ended),
                    importance=search.importance(),
                    remark=remarks.get(name, ""),
                ),
            )
