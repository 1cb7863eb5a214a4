"""Points of one curve: the same two models measured again and again, on less data or farther from it.

At each point two models answer the same questions, so that their difference is paired; the p-values of these
differences are corrected over all points (Holm).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fuserec.errors import DataError
from fuserec.evaluation.figures import accuracy, span_of
from fuserec.evaluation.results import SERIES, DatasetFacts, first_fault, read_text, write_text
from fuserec.evaluation.rounds import Round
from fuserec.evaluation.statistics import Difference, Estimate, holm, intervals, paired_differences
from fuserec.metrics import name_and_k

if TYPE_CHECKING:
    from fuserec.evaluation.measure import Cost
    from fuserec.evaluation.ranking_pass import Outcome
    from fuserec.evaluation.yardstick import FloatArray, Yardstick
    from fuserec.run import RunOptions

MEASURED = ("ndcg", "recall", "hit_rate", "mrr")
"""What is kept of each point, at the cut that decides."""


class Point(BaseModel):
    """One point.

    Attributes
    ----------
    name : str
        Such as ``5 %``, a window with its first and last day, or a category.
    at : float or None
        Where it stands: the share of the training data, or days since training; None for a category.
    users, targets : int
        Queries, and what they had to find.
    train : dict of int
        Interactions that each model was fitted on.
    models : dict of dict of Estimate
        Metrics at the deciding cut, by model; a model that could not be fitted is not there.
    difference : Difference or None
        First model less second, deciding metric, the same questions; p corrected over all points.
    steps : dict of Difference
        By model, this point less the one before, the same questions; for curves whose questions stay.
    seconds : dict
        What fitting took, by model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    at: float | None = None
    users: int
    targets: int
    train: dict[str, int]
    models: dict[str, dict[str, Estimate]]
    difference: Difference | None = None
    steps: dict[str, Difference] = Field(default_factory=dict)
    seconds: dict[str, float | None] = Field(default_factory=dict)

    def value(self, model: str, metric: str) -> float | None:
        """Return a model's figure; None where it has none."""
        found = self.models.get(model, {}).get(metric)
        return None if found is None else found.value


class Series(BaseModel):
    """A curve of points.

    Attributes
    ----------
    kind : str
        ``learning-curve``, ``shift-time`` or ``shift-categories``.
    models : tuple of str
        One or two; differences are of the first less the second.
    overall : Difference or None
        The difference over all points, where these are different questions: over people with all that they were asked.
    split : dict
        What was held out, and how the points were made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    dataset: DatasetFacts
    split: dict[str, Any]
    models: tuple[str, ...]
    points: list[Point]
    primary: str = "ndcg@10"
    level: float = 0.95
    overall: Difference | None = None
    notes: list[str] = Field(default_factory=list)
    configuration: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    made: str = ""

    def to_json(self) -> str:
        """Return the JSON text."""
        return self.model_dump_json(indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "a curve") -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        DataError
            If the text is not JSON of this form; the message names the first wrong place.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise DataError(
                f"{where}: {first_fault(error)}; write it with `fuserec evaluate --learning-curve --json` or `--shift`"
            ) from None


class LearningCurve(Series):
    """Accuracy against the share of the training data."""


class Shift(Series):
    """Accuracy where the test lies away from training, beside a model that knows what lies there."""


def write_series(found: Series, path: str | os.PathLike[str]) -> None:
    """Write a curve as JSON; the file is whole or not there.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    write_text(path, found.to_json())


def holds_series(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a curve, whole or not; False where it cannot be read."""
    try:
        found = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and str(found.get("kind")) in SERIES


def read_series(path: str | os.PathLike[str]) -> Series:
    """Read a curve from a JSON file.

    Raises
    ------
    DataError
        If the file cannot be read or is not of this form.
    """
    return Series.from_json(read_text(path, "a curve"), str(path))


def columns_of(outcome: Outcome, yardstick: Yardstick, primary: str) -> dict[str, FloatArray]:
    """Return what is kept of one model: values per query (n,) at the deciding cut."""
    k = name_and_k(primary)[1]
    found = accuracy(outcome, yardstick)
    wanted = [f"{name}@{k}" for name in MEASURED]
    return {name: found[name] for name in wanted if name in found}


def round_of_models(
    name: str,
    columns: Mapping[str, Mapping[str, FloatArray]],
    costs: Mapping[str, Cost],
    users: np.ndarray,
    **about: Any,
) -> Round:
    """Return one point before its statistics, as it is kept on disk.

    Parameters
    ----------
    name : str
    columns : dict of dict of float64 (n,)
        By model and metric.
    costs : dict of Cost
    users : int (n,)
        Who each query asks about.
    **about
        ``at``, ``targets``, ``train`` (the most interactions that a model knows), ``known`` (those of each model), and
        ``notes``.
    """
    return Round(
        name,
        users.astype(np.int64),
        {model: dict(table) for model, table in columns.items()},
        {model: {} for model in columns},
        {m: {"fit_s": c.seconds, "score_s": None, "peak_mb": c.peak_mb} for m, c in costs.items()},
        about,
    )


def points_of(
    rounds: Sequence[Round], models: Sequence[str], primary: str, run: RunOptions, *, steps: bool
) -> list[Point]:
    """Return the points with intervals and paired differences, corrected over all of them.

    Parameters
    ----------
    rounds : sequence of Round
        Of :func:`round_of_models`, in their order.
    models : sequence of str
        The first two are compared.
    primary : str
    run : RunOptions
    steps : bool
        Compare each point with the one before, too: the questions have to be the same.
    """
    found = []
    for at, one in enumerate(rounds):
        earlier = rounds[at - 1] if steps and at else None
        found.append(_point(one, models, primary, earlier, run))
    gaps = _corrected([point.difference for point in found])
    names = list(dict.fromkeys(name for point in found for name in point.steps))
    moves = {name: _corrected([point.steps.get(name) for point in found]) for name in names}
    return [
        point.model_copy(
            update={
                "difference": gaps[at],
                "steps": {name: gap for name, row in moves.items() if (gap := row[at]) is not None},
            }
        )
        for at, point in enumerate(found)
    ]


def _point(one: Round, models: Sequence[str], primary: str, earlier: Round | None, run: RunOptions) -> Point:
    """Return one point, its p-values as they are."""
    table = {(model, name): column for model, own in one.columns.items() for name, column in own.items()}
    spans = {key: span for key in table if (span := span_of(key[1])) is not None}
    estimates = intervals(table, rng=run.rng("bootstrap"), within=spans)
    figures: dict[str, dict[str, Estimate]] = {model: {} for model in one.columns}
    for (model, name), estimate in estimates.items():
        figures[model][name] = estimate
    there = [model for model in models if model in one.columns]
    gap = _gap(one.columns[there[0]], one.columns[there[1]], primary, run) if len(there) > 1 else None
    moved = {}
    if earlier is not None:
        moved = {
            model: _gap(one.columns[model], earlier.columns[model], primary, run)
            for model in there
            if model in earlier.columns
        }
    return Point(
        name=one.name,
        at=one.about["at"],
        users=one.queries,
        targets=one.about["targets"],
        train=one.about["known"],
        models=figures,
        difference=gap,
        steps=moved,
        seconds={model: cost["fit_s"] for model, cost in one.costs.items()},
    )


def _gap(
    a: Mapping[str, FloatArray], b: Mapping[str, FloatArray], metric: str, run: RunOptions
) -> Difference:
    """Return first less second on the same questions."""
    return paired_differences({"a": a[metric]}, b[metric], rng=run.rng("bootstrap"), within=span_of(metric))[
        "a"
    ]


def _corrected(gaps: Sequence[Difference | None]) -> list[Difference | None]:
    """Return the differences with Holm's correction over all of them."""
    tested = [at for at, gap in enumerate(gaps) if gap is not None and gap.p is not None]
    adjusted = (
        holm([gap.p for gap in gaps if gap is not None and gap.p is not None]).tolist() if tested else []
    )
    found = list(gaps)
    for at, p in zip(tested, adjusted, strict=True):
        gap = gaps[at]
        found[at] = None if gap is None else replace(gap, p_holm=p)
    return found
