"""Shift test: how far accuracy falls where the test lies away from what was learnt, in time or in another category.

In time: a model that has learnt until a moment is asked about later and later windows, beside one that is fitted anew
before each of them. In categories: a model that knows nothing of a category, and one that does, are asked what people
who never touched it take there. Both times the two answer the same questions with the same histories, so that their
paired difference is what the distance costs, and not that the questions are harder.

Time: two fits a point. Memory: that of one evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from fuserec.config import RecommenderConfig
from fuserec.data.splits import Holdout, Split, SplitConfig, hold_out
from fuserec.data.splits.categories import category_column, largest, members, newcomers, without_items
from fuserec.data.splits.windows import Window, windows
from fuserec.errors import DataError, RequestError, nearest
from fuserec.evaluation import provenance
from fuserec.evaluation.candidates import EVERYTHING, Candidates
from fuserec.evaluation.contenders import FUSED, Choice, assemble, entries
from fuserec.evaluation.folds import labelled, noted
from fuserec.evaluation.kept import KeptRounds
from fuserec.evaluation.leakage.notes import told
from fuserec.evaluation.measure import Cost
from fuserec.evaluation.ranking_pass import ranking_pass
from fuserec.evaluation.replay import Replay, Replaying, day_of
from fuserec.evaluation.rounds import Pool, Round
from fuserec.evaluation.series import MEASURED, Shift, columns_of, points_of, round_of_models
from fuserec.evaluation.statistics import Difference
from fuserec.evaluation.textless import resolved
from fuserec.evaluation.yardstick import FloatArray, Yardstick, deciding
from fuserec.metrics import name_and_k

if TYPE_CHECKING:
    import numpy as np

    from fuserec.data.dataset import Dataset
    from fuserec.run import RunOptions

SECONDS_PER_DAY = 86_400.0
Along = Literal["time", "categories"]
ALONG: tuple[Along, ...] = get_args(Along)

STALE, FRESH = "left as it was", "fitted anew"
AWAY, KNOWN = "category unknown", "category known"


@dataclass(frozen=True)
class ShiftPlan:
    """Along what the test moves away.

    Parameters
    ----------
    along : {"time", "categories"}
    windows : int
        time: how many, with equally many interactions each.
    share : float or None
        time: the newest share of the interactions that windows are cut of (0.5 unless given); categories: the share of
        those who come to a category from elsewhere that is asked (0.2 unless given).
    column : str or None
        categories: the column of the items; ``categories``, else ``tags``.
    only : tuple of str
        categories: these alone; the ``most`` largest unless given.
    most : int
    """

    along: Along
    windows: int = 4
    share: float | None = None
    column: str | None = None
    only: tuple[str, ...] = ()
    most: int = 4

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share < 1:
            raise RequestError(f"shift: share {self.share:g}: has to lie between 0 and 1")
        if not 2 <= self.windows <= 1000:
            raise RequestError(f"shift: {self.windows} windows: name 2 to 1000")

    @classmethod
    def parse(cls, text: str, share: float | None = None) -> Self:
        """Read ``time``, ``time:6``, ``categories``, ``categories:COLUMN`` or ``categories:COLUMN=VALUE,VALUE``.

        Raises
        ------
        RequestError
            For anything else.
        """
        along, colon, rest = text.partition(":")
        usage = "name time, time:WINDOWS, categories, categories:COLUMN or categories:COLUMN=VALUE,VALUE"
        if along == "time" and (not colon or (rest.isdecimal() and len(rest) < 6)):
            return cls("time", int(rest) if colon else 4, share)
        if along == "categories" and bool(rest) == bool(colon):
            column, equals, values = rest.partition("=")
            only = tuple(dict.fromkeys(v.strip() for v in values.split(",") if v.strip()))
            if bool(only) == bool(equals) and bool(column) == bool(colon):
                return cls("categories", share=share, column=column or None, only=only)
        raise RequestError(f"shift: {text!r}{nearest(along, ALONG)}: {usage}")


def shift(
    dataset: Dataset,
    config: RecommenderConfig | None = None,
    *,
    plan: ShiftPlan,
    ks: Sequence[int] = (10,),
    run: RunOptions,
    candidates: Candidates = EVERYTHING,
) -> Shift:
    """Measure how far accuracy falls away from what was learnt.

    Parameters
    ----------
    dataset : Dataset
        With times for ``time``; with a column of the items for ``categories``.
    config : RecommenderConfig, optional
        None chooses the parts by the data.
    plan : ShiftPlan
    ks : sequence of int
    run : RunOptions
        With ``checkpoints`` points that are done are kept there, and a stopped call goes on after them.
    candidates : Candidates

    Returns
    -------
    Shift
        A point a window or category; ``difference`` is the model that is away less the one that knows, on the same
        questions, and ``overall`` that of all points, over people with all that they were asked.

    Raises
    ------
    DataError
        Where rows have no time, items have no such column, or nobody is there to be asked.
    """
    cuts, primary = deciding(ks)
    config = config or RecommenderConfig()
    told([candidates.warning])
    measured_by = (cuts, primary, candidates)
    points: _Time | _Categories
    if plan.along == "time":
        points = _Time.of(dataset, config, plan, measured_by)
    else:
        points = _Categories.of(dataset, config, plan, measured_by)
    kept = KeptRounds(
        run.checkpoints,
        curve=[plan.along, plan.windows, plan.share, plan.column],
        data=dataset.fingerprint,
        config=config.model_dump(mode="json"),
        points=points.names,
        seed=run.seed,
        cuts=cuts,
        candidates=str(candidates),
    )
    rounds = []
    for number, name in enumerate(points.names):
        run.check()
        run.progress("shift test", number, len(points.names))
        one = kept.load(number)
        if one is None:
            one = points.at(number, replace(run, progress=labelled(run, name)))
            kept.save(number, one)
        rounds.append(one)
    run.progress("shift test", len(points.names), len(points.names))
    return _result(dataset, config, plan, points, rounds, measured_by, run)


def _result(
    dataset: Dataset,
    config: RecommenderConfig,
    plan: ShiftPlan,
    points: _Time | _Categories,
    rounds: Sequence[Round],
    measured_by: tuple[tuple[int, ...], str, Candidates],
    run: RunOptions,
) -> Shift:
    """Return the points with their statistics."""
    cuts, primary, candidates = measured_by
    notes: dict[str, list[str]] = {}
    for one in rounds:
        for note in one.about["notes"]:
            notes.setdefault(note, []).append(one.name)
    return Shift(
        kind=f"shift-{plan.along}",
        dataset=provenance.dataset_facts(dataset),
        split={"kind": f"shift-{plan.along}", **points.facts, "seed": run.seed},
        models=points.models,
        points=points_of(rounds, points.models, primary, run, steps=False),
        primary=primary,
        overall=_overall(dataset, rounds, points.models, primary, run),
        notes=[
            *([candidates.warning] if candidates.sampled else []),
            *points.notes,
            *noted(notes, len(rounds)),
        ],
        configuration={
            "seed": run.seed,
            "k": list(cuts),
            **config.model_dump(mode="json", exclude={"tune", "tracking"}),
        },
        environment=provenance.environment(run),
        made=provenance.today(),
    )


def _overall(
    dataset: Dataset, rounds: Sequence[Round], models: tuple[str, str], primary: str, run: RunOptions
) -> Difference:
    """Return the difference over the questions of all points, over people."""
    pool = Pool(dataset.n_users, primary, run)
    for one in rounds:
        pool.add(one)
    return pool.comparisons([models[1]])[0].models[models[0]]


@dataclass(frozen=True)
class _Time:
    """Windows of time, farther and farther from training."""

    replaying: Replaying
    spans: list[Window]
    primary: str
    names: list[str]
    facts: dict[str, Any]
    models: tuple[str, str] = (STALE, FRESH)
    notes: tuple[str, ...] = (
        f"Both models know everything until the first window; “{STALE}” stays so, “{FRESH}” is fitted on all that came "
        "before each window. Both are given the same histories, which grow.",
    )

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        config: RecommenderConfig,
        plan: ShiftPlan,
        measured_by: tuple[tuple[int, ...], str, Candidates],
    ) -> _Time:
        """Cut the windows."""
        cuts, primary, candidates = measured_by
        share = 0.5 if plan.share is None else plan.share
        spans = windows(dataset, plan.windows, share)
        replayed = Replay(plan.windows, share, ("nothing", "refit"))
        facts = {
            "windows": len(spans),
            "share": share,
            "from": day_of(spans[0].start),
            "to": day_of(spans[-1].end),
        }
        names = [f"{day_of(span.start)} to {day_of(span.end)}" for span in spans]
        work = Replaying(dataset, config, replayed, cuts, primary, candidates)
        return cls(work, spans, primary, names, facts)

    def at(self, number: int, run: RunOptions) -> Round:
        """Measure one window."""
        one = self.replaying.window(number, self.spans, run)
        k = name_and_k(self.primary)[1]
        wanted = [f"{name}@{k}" for name in MEASURED]
        by = {"nothing": STALE, "refit": FRESH}
        columns = {by[w]: {m: t[m] for m in wanted if m in t} for w, t in one.columns.items()}
        seconds = {by[way]: Cost(cost["fit_s"] or 0.0, cost["peak_mb"]) for way, cost in one.costs.items()}
        first = int((self.replaying.dataset.interactions.time < self.spans[0].start).sum())
        middle = (self.spans[number].start + self.spans[number].end) / 2
        return round_of_models(
            self.names[number],
            columns,
            seconds,
            one.users,
            at=round((middle - self.spans[0].start) / SECONDS_PER_DAY, 3),
            targets=one.about["targets"],
            train=one.about["train"],
            known={STALE: first, FRESH: one.about["train"]},
            notes=one.about["notes"],
        )


@dataclass(frozen=True)
class _Categories:
    """Categories, each held out in its turn."""

    dataset: Dataset
    config: RecommenderConfig
    items: Mapping[str, np.ndarray]
    share: float
    measured_by: tuple[tuple[int, ...], str, Candidates]
    names: list[str]
    facts: dict[str, Any]
    models: tuple[str, str] = (AWAY, KNOWN)
    notes: tuple[str, ...] = (
        "Those who are asked never touched the category: all before their first item of it is given, their items of it "
        f"are to be found among the whole catalogue. “{KNOWN}” has learnt from the others who did; “{AWAY}” from no "
        "interaction with any item of it.",
    )

    @classmethod
    def of(
        cls,
        dataset: Dataset,
        config: RecommenderConfig,
        plan: ShiftPlan,
        measured_by: tuple[tuple[int, ...], str, Candidates],
    ) -> _Categories:
        """Choose the categories."""
        column = category_column(dataset, plan.column)
        items = members(dataset, column)
        for name in plan.only:
            if name not in items:
                raise DataError(f"shift: no item has {name!r} in {column}{nearest(name, items)}")
        names = list(plan.only) or largest(dataset, items, plan.most)
        if not names:
            raise DataError(
                f"shift: no category of {column} has interactions, but at most half of them: name another column"
            )
        share = 0.2 if plan.share is None else plan.share
        facts = {"column": column, "share": share}
        config = resolved(config, dataset)
        return cls(dataset, config, items, share, measured_by, names, facts)

    def at(self, number: int, run: RunOptions) -> Round:
        """Measure one category, unknown and known."""
        name = self.names[number]
        try:
            known = newcomers(self.dataset, self.items[name], self.share, run.rng(f"shift {name}"))
        except DataError as error:
            raise DataError(f"{error} ({name!r}): name other ones, categories:COLUMN=VALUE,VALUE") from None
        away = without_items(known, self.items[name])
        columns: dict[str, dict[str, FloatArray]] = {}
        costs: dict[str, Cost] = {}
        for model, held in ((AWAY, away), (KNOWN, known)):
            inner = replace(run, progress=labelled(run, model))
            columns[model], costs[model] = self._measured(held, inner)
        return round_of_models(
            name,
            columns,
            costs,
            known.queries.users,
            at=None,
            targets=int(known.items.size),
            train=known.train.n_interactions,
            known={AWAY: away.train.n_interactions, KNOWN: known.train.n_interactions},
            notes=[],
        )

    def _measured(self, test: Holdout, run: RunOptions) -> tuple[dict[str, FloatArray], Cost]:
        """Fit on what a test leaves, its validation held out within, and measure the fusion."""
        cuts, primary, candidates = self.measured_by
        inside = SplitConfig(protocol="last-out")
        held = Split(inside, hold_out(test.train, inside, run.seed, "validation"), test)
        found = entries(self.dataset, self.config)
        line_up = assemble(self.dataset, found, Choice.of((FUSED,), found), held, run)
        outcome = ranking_pass(line_up, max(cuts), run, candidates)[FUSED]
        yardstick = Yardstick.of(held, cuts, line_up.grounds[0].features, run)
        return columns_of(outcome, yardstick, primary), line_up.fusions[FUSED].cost
