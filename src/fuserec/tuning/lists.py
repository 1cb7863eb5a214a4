"""Tuning of the lists that are shown: any objective of metrics, with limits, or a front of several aims."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.config import RecommenderConfig, create_parts, default_parts
from fuserec.control.controls import ACTING, Controls
from fuserec.data.splits import SplitConfig
from fuserec.errors import ConfigError, nearest
from fuserec.evaluation.audit import AuditConfig
from fuserec.fusion.config import FusionConfig
from fuserec.rerank import RERANKERS
from fuserec.run import CancelledError, RunOptions
from fuserec.tracked import parameters
from fuserec.tracking.session import tracked
from fuserec.tuning.formula import Formula
from fuserec.tuning.ground import Ground
from fuserec.tuning.list_ground import ListGround, Setting
from fuserec.tuning.list_result import ListTuneResult, Point
from fuserec.tuning.list_search import Found, ListSearch, best_first, front
from fuserec.tuning.objective import Objective
from fuserec.tuning.space import Range, Space, space_of
from fuserec.tuning.storage import open_study, storage
from fuserec.tuning.trials import Limits, positive

if TYPE_CHECKING:
    import optuna

    from fuserec.data.dataset import Dataset
    from fuserec.rerank.config import RerankConfig

TRIALS = 60
"""Trials where neither a number nor a time is given."""

STUDY = "lists"
"""The name of the study in its file."""

TRIED = ("mmr", "popularity")
"""Rerankers that are tried where the configuration has none."""

CHECKED = 8
"""How many of the best trials are looked at again on the other half, at most."""

NUMBERS = ("diversity", "novelty", "freshness", "new_share")
"""Dials that can be searched."""


def tune_lists(
    dataset: Dataset,
    config: RecommenderConfig | None = None,
    space: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    objective: str = "ndcg@10 + 0.1*ild@10",
    split: SplitConfig | None = None,
    trials: int | None = None,
    seconds: float | None = None,
    study: Path | str | None = None,
    queries: int = 10_000,
    audit: AuditConfig | None = None,
    run: RunOptions | None = None,
) -> ListTuneResult:
    """Search how lists are made of scores: strengths of rerankers, dials of the operator, the form of the fusion.

    Parts are fitted and validation is scored once; each trial orders the best items anew. Half of the validation
    queries is searched on, the other half checks what was found; the test part of the split is never seen.

    Parameters
    ----------
    dataset : Dataset
    config : RecommenderConfig, optional
        Where to start. Without a reranker, :data:`TRIED` are tried from strength 0 on.
    space : mapping, optional
        Ranges by reranker, ``control`` and ``fusion``, e.g. ``{"mmr": {"strength": [0, 0.6]}, "control": {"novelty":
        [0, 0.5]}, "fusion": {"kind": {"choices": ["blend", "mixed"]}}}``; goes before ``config.tune``. Without it the
        strengths are searched from 0 to 1.
    objective : str
        See :mod:`fuserec.tuning.formula`.
    split, seconds, study, run
        As in :func:`fuserec.tuning.tune.tune`.
    trials : int, optional
        Those that the study holds already included; 60 where no time is given either.
    queries : int
        Validation queries, of both halves together.
    audit : AuditConfig, optional
        What is flagged, who is protected, and the other settings of metrics beside accuracy. Groups of users are those
        that the objective names, as in ``group_worst:gender@10``.

    Raises
    ------
    ConfigError
        For an objective that cannot be read or measured, an unknown name or range, or a study of other data.
    DataError
        Where nothing can be held out.
    MissingExtraError
        Where Optuna is not installed.
    """
    config, run, split = config or RecommenderConfig(), run or RunOptions(), split or SplitConfig()
    positive(trials=trials, seconds=seconds, queries=queries)
    formula = Formula.parse(objective)
    tables = config.parts or default_parts(dataset)
    config = config.model_copy(update={"parts": dict(tables)})
    axes = _Axes.of(config, {**config.tune, **(space or {})}, set(tables))
    path = None if study is None else Path(study)
    told = {**parameters(config, dataset, run), "tune": {"objective": objective, "split": split.model_dump()}}
    named, asked = f"tune-{dataset.info.name}", audit or AuditConfig()
    with storage(path) as kept, tracked(config.tracking, named, told, run) as following:
        ground = Ground.prepare(dataset, config.features, split, Objective(), queries, following)
        data = f"{dataset.info.name} {dataset.fingerprint}"
        where = {"dataset": data, "split": split.model_dump(), "seed": run.seed}
        lists = _ground(dataset, ground, config, axes, formula.metrics, asked, following)
        alike = where | _told(config, formula, axes, ground, asked)
        opened = open_study(kept, STUDY, alike, path, goals=len(formula.aims))
        search = _search(config, axes, lists, opened, formula, following)
        deadline = None if seconds is None else time.monotonic() + seconds
        stopped = _stopped(search, Limits(trials or (TRIALS if seconds is None else None), deadline))
        return _Outcome(config, formula, axes, lists, search, where, path, stopped).result()


def _told(
    config: RecommenderConfig, formula: Formula, axes: _Axes, ground: Ground, audit: AuditConfig
) -> dict[str, Any]:
    """Return what has to be alike, beside data and split, for a study to be gone on with."""
    asked = audit.model_dump(mode="json", exclude_defaults=True)
    return ({"audit": asked} if asked else {}) | {
        "objective": str(formula),
        "queries": len(ground.held),
        "configuration": config.model_dump(mode="json", exclude={"tune", "tracking"}),
        "space": axes.as_json(),
    }


def _ground(
    dataset: Dataset,
    ground: Ground,
    config: RecommenderConfig,
    axes: _Axes,
    metrics: tuple[str, ...],
    audit: AuditConfig,
    run: RunOptions,
) -> ListGround:
    """Return where lists are judged: all parts that can take the catalogue, and every reranker that may act."""
    parts = {
        name: part
        for name, part in create_parts(config.parts).items()
        if part.capabilities.max_items is None or dataset.n_items <= part.capabilities.max_items
    }
    chain = axes.chain_config(config).chain()
    return ListGround(ground, config, chain, parts, metrics, run, audit, dataset)


def _search(
    config: RecommenderConfig,
    axes: _Axes,
    lists: ListGround,
    opened: optuna.Study,
    formula: Formula,
    run: RunOptions,
) -> ListSearch:
    """Return the search on the first half of the queries."""

    def figures(values: Mapping[str, Any]) -> dict[str, float]:
        return lists.figures(axes.setting(config, values), 0)

    return ListSearch(axes.space, axes.start, opened, formula, figures, run)


def _stopped(search: ListSearch, limits: Limits) -> bool:
    """Search, and return whether somebody stopped it; what was found until then counts."""
    try:
        search.go_on(limits)
    except (KeyboardInterrupt, CancelledError):
        if not search.found:
            raise
        return True
    return False


@dataclass(frozen=True)
class _Axes:
    """What is searched.

    Parameters
    ----------
    space : Space
        By dotted names: a reranker, ``control`` or ``fusion``, and its key.
    start : dict
        The present value of each.
    added : tuple of str
        Rerankers that the configuration does not have: at strength 0 they are left out.
    """

    space: Space
    start: dict[str, Any]
    added: tuple[str, ...]

    @classmethod
    def of(cls, config: RecommenderConfig, given: Mapping[str, Mapping[str, Any]], parts: set[str]) -> _Axes:
        """Return the axes of a configuration and of the ranges that were given."""
        own = config.rerank.tables
        asked = [name for name in given if name in RERANKERS and name not in own]
        added = tuple(asked or ([] if own or "control" in given else [n for n in TRIED if n in RERANKERS]))
        axes = cls({}, {}, added)
        chain = axes.chain_config(config).chain()
        known = [*chain.rerankers, "control", "fusion"]
        for name in given:
            if name not in known and name not in parts:
                hint = nearest(name, [*RERANKERS, *known])
                raise ConfigError(f"[tune.{name}]: no reranker or part{hint} (known: {', '.join(known)})")
        for name, reranker in chain.rerankers.items():
            table = dict.fromkeys(type(reranker.config).model_fields, False) | {"strength": [0.0, 1.0]}
            axes._add(name, reranker.config, {**table, **given.get(name, {})})
        dials = dict(given.get("control", {}))
        for key in dials:
            if key in ACTING and key not in NUMBERS:
                raise ConfigError(f"[tune.control] {key}: can be searched are {', '.join(NUMBERS)}")
        axes._add("control", config.control, {**dict.fromkeys(Controls.model_fields, False), **dials})
        forms = dict(given.get("fusion", {}))
        if set(forms) & set(FusionConfig.model_fields) - {"kind"}:
            raise ConfigError(f"[tune.fusion] {', '.join(forms)}: of the fusion, kind can be searched")
        axes._add("fusion", config.fusion, {**dict.fromkeys(FusionConfig.model_fields, False), **forms})
        if set(forms) - {"kind"}:
            raise ConfigError(
                f"[tune.fusion] {min(set(forms) - {'kind'})}: of the fusion, kind can be searched"
            )
        if not axes.space:
            raise ConfigError(
                "tune: nothing to search in the lists: name ranges in [tune.RERANKER] or [tune.control]"
            )
        return axes

    def _add(self, name: str, base: Any, table: Mapping[str, Any]) -> None:
        """Add the axes of one table."""
        for key, axis in space_of(base, table, f"[tune.{name}]").items():
            self.space[f"{name}.{key}"] = axis
            self.start[f"{name}.{key}"] = getattr(base, key)

    def chain_config(self, config: RecommenderConfig) -> RerankConfig:
        """Return ``[rerank]`` with the added rerankers, at strength 0."""
        rerank = config.rerank
        for name in self.added:
            rerank = rerank.with_table(name, {"strength": 0.0})
        return rerank

    def setting(self, config: RecommenderConfig, values: Mapping[str, Any]) -> Setting:
        """Return how lists are made with these values of the axes."""
        strengths: dict[str, dict[str, Any]] = {}
        dials: dict[str, Any] = {}
        for dotted, value in values.items():
            name, key = dotted.rsplit(".", 1)
            if name == "control":
                dials[key] = value
            elif name != "fusion":
                strengths.setdefault(name, {})[key] = value
        controls = config.control
        if dials:
            controls = Controls.parse({**controls.model_dump(exclude_unset=True), **dials}, "[control]")
        return Setting(values.get("fusion.kind", config.fusion.kind), strengths, controls)

    def configured(self, config: RecommenderConfig, values: Mapping[str, Any]) -> RecommenderConfig:
        """Return the configuration with these values; an added reranker at strength 0 is left out of it."""
        whole = {**self.start, **values}
        setting = self.setting(config, whole)
        rerank = config.rerank
        for name, changes in setting.strengths.items():
            if name in self.added and not changes.get("strength"):
                continue
            for key, value in changes.items():
                if name in self.added or value != self.start[f"{name}.{key}"]:
                    rerank = rerank.with_table(name, {**rerank.tables.get(name, {}), key: value})
        fusion = config.fusion.model_copy(update={"kind": setting.fusion})
        return config.model_copy(update={"rerank": rerank, "control": setting.controls, "fusion": fusion})

    def as_json(self) -> dict[str, Any]:
        """Return the axes as JSON has them."""
        return {
            key: [axis.low, axis.high] if isinstance(axis, Range) else {"choices": list(axis.values)}
            for key, axis in self.space.items()
        }


@dataclass(frozen=True)
class _Outcome:
    """From trials to points."""

    config: RecommenderConfig
    formula: Formula
    axes: _Axes
    lists: ListGround
    search: ListSearch
    grounds: dict[str, Any]
    path: Path | None
    stopped: bool

    def result(self) -> ListTuneResult:
        """Check on the other half, and choose."""
        found = self.search.found
        start = self._point(next(trial for trial in found if not trial.values))
        remark = ""
        if len(self.formula.aims) > 1:
            points = tuple(self._point(trial) for trial in front(found))
        else:
            point, remark = self._chosen(found, start)
            points = (point,)
        if not remark and not all(point.holds for point in points):
            remark = "no trial meets all limits: what breaks them least is shown"
        return ListTuneResult(
            start,
            points,
            str(self.formula),
            tuple(map(str, self.formula.aims)),
            tuple(map(str, self.formula.limits)),
            tuple(self.axes.space),
            len(found),
            len(self.lists.ground.held),
            self.grounds,
            None if self.path is None else str(self.path),
            remark,
            self.stopped,
        )

    def _chosen(self, found: list[Found], start: Point) -> tuple[Point, str]:
        """Return the best trial that is no worse than the start on the other half either."""
        ordered = best_first(found)
        for trial in ordered[:CHECKED]:
            point = self._point(trial)
            if not trial.values:
                return point, ""
            if self._no_worse(point, start):
                return point, ""
        return (
            start,
            f"none of the best {min(CHECKED, len(ordered))} trials held on the half that checks: nothing changed",
        )

    def _no_worse(self, point: Point, start: Point) -> bool:
        """Return whether a point is as good as the start on the half that checks: limits first, then the aim."""
        broken, before = (
            sum(max(0.0, one) for one in self.formula.excesses(p.check_figures)) for p in (point, start)
        )
        return broken < before or (broken == before and point.check[0] >= start.check[0])

    def _point(self, trial: Found) -> Point:
        """Return a trial with its figures on the other half."""
        whole = {**self.axes.start, **trial.values}
        checked = self.lists.figures(self.axes.setting(self.config, whole), 1)
        return Point(
            self.axes.configured(self.config, trial.values),
            trial.values,
            trial.aims,
            tuple(self.formula.values(checked)),
            trial.figures,
            checked,
            trial.holds,
            self.formula.holds(checked),
        )
