"""Runs and models side by side: who is better, by how much, for which users, and how sure that is.

Runs with the same test queries are compared on each query. Others, and files of versions that kept no values per
query, are compared by their intervals, and a remark says so. p-values are corrected (Holm) over all figures of the
comparison, those of segments apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from fuserec.errors import RequestError, nearest
from fuserec.evaluation import wording
from fuserec.evaluation.compared import Change, ModelPair, RunComparison, RunFacts, UserChange
from fuserec.evaluation.figures import span_of
from fuserec.evaluation.queries import Queries
from fuserec.evaluation.results import DatasetFacts, EvaluationResults
from fuserec.evaluation.sides import RMSE, Side, alike, keeps_groups, paired_on, queries_of, resamples
from fuserec.evaluation.statistics import holm, paired_difference, unpaired_difference
from fuserec.fusion.cohorts import HISTORY, ITEM_COHORTS, SHORT, TAIL

NAMED = 3
"""Users named on either side, where ids are known."""

FEW_METRICS = 6
"""So many metrics are named in an error; more of them are in the report."""

UNPAIRED = (
    "Compared by their intervals, as if different people had been asked: values per query are missing, or the test "
    "queries differ. A paired comparison of the same queries sees smaller differences."
)

FloatArray = npt.NDArray[np.float64]

EVERY = "full"
"""The candidates of a run that does not name them: the whole catalogue."""


def compare(
    runs: Mapping[str, EvaluationResults],
    *,
    models: Sequence[str] = (),
    metrics: Sequence[str] = (),
    reference: str | None = None,
) -> RunComparison:
    """Put runs or models side by side.

    Parameters
    ----------
    runs : mapping of EvaluationResults
        By name. Of one run, its models are compared with ``reference``; of several, each model is compared with the
        one of the same name in the first run, else with the reference there.
    models : sequence of str
        Models to compare; by default all of a single run, and of several the leading one of each with all that every
        run has.
    metrics : sequence of str
        By default the one that decides, and those kept by query, as far as all have them.
    reference : str, optional
        A model of the first run; by default its leading one.

    Raises
    ------
    RequestError
        For an unknown model or metric, and for runs that measure different things: other data, another protocol.
    """
    first_name, first = next(iter(runs.items()))
    remarks = [
        remark
        for name, run in runs.items()
        if name != first_name
        for remark in _fit(first_name, first, name, run)
    ]
    base = _reference(first_name, first, reference)
    pairs = _pairs(runs, models, base)
    if not pairs:
        raise RequestError(
            "compare: there is nothing to compare: name a second file, or one with several models"
        )
    wanted = _metrics(pairs, metrics, wording.primary_of(first))
    made = [_pair(model, other, wanted, len(runs) > 1) for model, other in pairs]
    if any(not pair.paired for pair in made):
        remarks.append(UNPAIRED)
    return RunComparison(
        runs={name: _facts(run, alike(first, run)) for name, run in runs.items()},
        primary=wanted[0],
        level=first.level,
        pairs=_judged(made),
        remarks=list(dict.fromkeys(remarks)),
    )


def _fit(first_name: str, first: EvaluationResults, name: str, run: EvaluationResults) -> list[str]:
    """Return in what a run differs from the first, or refuse it where nothing can be compared."""
    refuse_other_question(
        first_name, first, name, run.dataset, run.split.get("kind"), str(run.split.get("candidates", EVERY))
    )
    a, b = first.dataset, run.dataset
    found = []
    if a.fingerprint != b.fingerprint:
        found.append(
            f"The data of {name} are not those of {first_name} ({b.items:,} items and {b.interactions:,} interactions "
            f"against {a.items:,} and {a.interactions:,}): what differs may come from them."
        )
    changed = [key for key in {**first.split, **run.split} if first.split.get(key) != run.split.get(key)]
    if changed:
        told = ", ".join(f"{key} {first.split.get(key)} and {run.split.get(key)}" for key in changed)
        found.append(f"{first_name} and {name} were split differently: {told}.")
    if first.queries and run.queries and not alike(first, run):
        found.append(f"The test queries of {name} are not those of {first_name}.")
    return found


def refuse_other_question(
    first_name: str,
    first: EvaluationResults,
    name: str,
    data: DatasetFacts,
    kind: object,
    candidates: str = EVERY,
) -> None:
    """Refuse to compare a run with one of other data or another protocol.

    Parameters
    ----------
    first_name, name : str
        What the runs are called.
    first : EvaluationResults
    data : DatasetFacts
        Of the other run.
    kind : str
        Protocol of its split.
    candidates : str
        What its targets were ranked among.

    Raises
    ------
    RequestError
    """
    if first.split.get("kind") != kind:
        raise RequestError(
            f"compare: {first_name} is measured by the split {first.split.get('kind')}, {name} by {kind}: other "
            "questions have other answers; evaluate both with the same --split"
        )
    among = str(first.split.get("candidates", EVERY))
    if among != candidates:
        raise RequestError(
            f"compare: targets of {first_name} were ranked among {among} candidates, those of {name} among "
            f"{candidates}: their figures are not comparable; evaluate both with the same --candidates"
        )
    if first.dataset.fingerprint != data.fingerprint and first.dataset.name != data.name:
        raise RequestError(
            f"compare: {first_name} is of {first.dataset.name or 'one dataset'}, {name} of "
            f"{data.name or 'another'}: figures of different data cannot be compared"
        )


def _facts(run: EvaluationResults, paired: bool) -> RunFacts:
    """Return which run it is."""
    users = max((model.users for model in run.models.values()), default=0)
    about = run.dataset
    return RunFacts(
        dataset=about.name, fingerprint=about.fingerprint, users=users, split=run.split, paired=paired
    )


def _reference(name: str, run: EvaluationResults, asked: str | None) -> Side:
    """Return what is compared with where no model of the same name is there."""
    chosen = asked or wording.leading(run) or next(iter(run.models), None)
    if chosen is None:
        raise RequestError(f"compare: {name} holds no model")
    if chosen not in run.models:
        raise RequestError(
            f"compare: {name} has no model {chosen!r}{nearest(chosen, run.models)} (known: {', '.join(run.models)})"
        )
    return Side(name, chosen, run)


def _pairs(
    runs: Mapping[str, EvaluationResults], models: Sequence[str], base: Side
) -> list[tuple[Side, Side]]:
    """Return which model is compared with which."""
    known = dict.fromkeys(model for run in runs.values() for model in run.models)
    for model in models:
        if model not in known:
            raise RequestError(
                f"compare: no run has a model {model!r}{nearest(model, known)} (known: {', '.join(known)})"
            )
    if len(runs) == 1:
        chosen = [model for model in models or known if model != base.model]
        return [(Side(base.run, model, base.results), base) for model in chosen]
    shared = [model for model in known if all(model in run.models for run in runs.values())]
    found = []
    for name, run in runs.items():
        if name == base.run:
            continue
        leading = wording.leading(run)
        default = dict.fromkeys([*([leading] if leading else []), *shared])
        for model in models or default:
            if model in run.models:
                other = replace(base, model=model) if model in base.results.models else base
                found.append((Side(name, model, run), other))
    return found


def _metrics(pairs: list[tuple[Side, Side]], asked: Sequence[str], primary: str) -> list[str]:
    """Return the metrics to compare, the one that decides first."""
    sides = [side for pair in pairs for side in pair]
    everywhere = [
        metric
        for metric in sides[0].results.models[sides[0].model].metrics
        if all(side.figure(metric).value is not None for side in sides)
    ]
    if asked:
        for metric in asked:
            if metric not in everywhere:
                raise RequestError(f"compare: not every model has {metric!r}{_near(metric, everywhere)}")
        return list(dict.fromkeys(asked))
    kept = [] if sides[0].results.queries is None else sides[0].results.queries.values.get(sides[0].model, {})
    worst = [metric for metric in everywhere if all(keeps_groups(side, metric) for side in sides)]
    found = [metric for metric in dict.fromkeys([primary, *kept, *worst, RMSE]) if metric in everywhere]
    if not found:
        raise RequestError("compare: the models have no metric in common; name others with --model")
    return found


def _near(metric: str, known: Sequence[str]) -> str:
    """Say which metrics could be meant, and where all stand."""
    if len(known) <= FEW_METRICS:
        return f"{nearest(metric, known)} (all have: {', '.join(known) or 'nothing'})"
    close = get_close_matches(metric, known, n=3, cutoff=0.5)
    meant = f"; did you mean {', '.join(map(repr, close))}?" if close else ":"
    return f"{meant} the section `All metrics` of the report (`fuserec report`) names what each model has"


def _pair(model: Side, other: Side, metrics: Sequence[str], several: bool) -> ModelPair:
    """Compare two models."""
    paired, found_paired = alike(model.results, other.results), False
    changes = []
    for metric in metrics:
        gap = paired_on(model, other, metric) if paired else None
        found_paired = found_paired or gap is not None
        if gap is None:
            users = min(side.results.models[side.model].users for side in (model, other))
            level = model.results.level
            gap = unpaired_difference(model.figure(metric), other.figure(metric), users, level)
        before, after = other.figure(metric).value, model.figure(metric).value
        changes.append(Change(metric=metric, before=before, after=after, difference=gap, verdict=""))
    made = ModelPair(
        model=f"{model.run}:{model.model}" if several else model.model,
        reference=f"{other.run}:{other.model}" if several else other.model,
        paired=found_paired,
        changes=changes,
    )
    return _with_users(made, model, other, metrics[0]) if paired else made


def _with_users(pair: ModelPair, model: Side, other: Side, metric: str) -> ModelPair:
    """Add for which users the deciding metric changed."""
    a, b = queries_of(model), queries_of(other)
    after, before = a.column(model.model, metric), b.column(other.model, metric)
    if after is None or before is None:
        return pair
    segments = []
    for name, inside in _segments(a).items():
        ours, theirs = after[inside], before[inside]
        level = model.results.level
        gap = paired_difference(ours, theirs, rng=resamples(), within=span_of(metric), level=level)
        if gap.difference is None:
            continue
        both = ~np.isnan(ours - theirs)
        old, new = float(theirs[both].mean()), float(ours[both].mean())
        segments.append(
            Change(metric=metric, segment=name, before=old, after=new, difference=gap, verdict="")
        )
    gained, lost = _named(a, b, before, after, metric)
    return pair.model_copy(update={"segments": segments, "gained": gained, "lost": lost})


def _segments(queries: Queries) -> dict[str, npt.NDArray[np.bool_]]:
    """Return the queries of each segment, bool (n,): by history length, and by the rarest target."""
    lengths, counts = queries.lengths(), queries.counts()
    history = (lengths > 0).astype(int) + (lengths > SHORT)
    target = (counts > 0).astype(int) + (counts > TAIL)
    found = {f"query:{name}": history == code for code, name in enumerate(HISTORY)}
    found |= {f"target:{name}": target == code for code, name in enumerate(ITEM_COHORTS)}
    return {name: inside for name, inside in found.items() if inside.any()}


def _named(
    a: Queries, b: Queries, before: FloatArray, after: FloatArray, metric: str
) -> tuple[list[UserChange], list[UserChange]]:
    """Return the users who gained and who lost most, where either file knows them."""
    ids = a.ids() or b.ids()
    if ids is None:
        return [], []
    better = np.nan_to_num(after - before) * (-1 if wording.lower_is_better(metric) else 1)
    lengths, counts = a.lengths(), a.counts()

    def made(rows: npt.NDArray[np.int64]) -> list[UserChange]:
        return [
            UserChange(
                user=ids[row],
                before=float(before[row]),
                after=float(after[row]),
                history=int(lengths[row]),
                target_interactions=int(counts[row]),
            )
            for row in rows.tolist()
        ]

    order = np.argsort(-better, kind="stable")
    gained = order[:NAMED][better[order[:NAMED]] > 0]
    last = order[::-1][:NAMED]
    return made(gained), made(last[better[last] < 0])


def _judged(pairs: list[ModelPair]) -> list[ModelPair]:
    """Correct the p-values over all figures, those of segments apart, and say each in words."""
    return [
        pair.model_copy(update={"changes": changes, "segments": segments})
        for pair, changes, segments in zip(
            pairs,
            _corrected([pair.changes for pair in pairs]),
            _corrected([pair.segments for pair in pairs]),
            strict=True,
        )
    ]


def _corrected(tables: list[list[Change]]) -> list[list[Change]]:
    """Return the changes with corrected p-values and verdicts."""
    p = [np.nan if (p := change.difference.p) is None else p for table in tables for change in table]
    adjusted = iter(holm(p).tolist())
    found = []
    for table in tables:
        row = []
        for change in table:
            own = next(adjusted)
            gap = replace(change.difference, p_holm=None if np.isnan(own) else own)
            said = wording.verdict(change.metric, gap)
            row.append(change.model_copy(update={"difference": gap, "verdict": said}))
        found.append(row)
    return found
