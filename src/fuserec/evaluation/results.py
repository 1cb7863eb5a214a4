"""What an evaluation found, as typed data, and the JSON file that scripts read."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from fuserec.errors import DataError
from fuserec.evaluation.compared import RunComparison
from fuserec.evaluation.queries import Queries
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.metrics import definition, name_and_k

THIS_RUN = "this run"
"""What an evaluation calls itself beside an earlier one."""

WITHOUT_RERANK = "-without-rerank"
"""What the name of a fusion's lists in the order of scores ends with, where it has rerankers."""


class _Part(BaseModel):
    """Base of the parts of a result: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DatasetFacts(_Part):
    """Which data were evaluated on."""

    users: int
    items: int
    interactions: int
    fingerprint: str
    name: str = ""
    simulated: bool = False


class Segment(_Part):
    """Figures over some of the users; in JSON the metrics stand beside ``users``."""

    users: int
    metrics: dict[str, Estimate]

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Accept the flat form of JSON."""
        if not isinstance(given, Mapping) or "metrics" in given:
            return given
        return {
            "users": given.get("users"),
            "metrics": {name: value for name, value in given.items() if name != "users"},
        }

    @model_serializer
    def _flatten(self) -> dict[str, Any]:
        """Write the flat form of JSON."""
        return {**{name: _estimate(value) for name, value in self.metrics.items()}, "users": self.users}


class Curve(_Part):
    """Points of a plot, from left to right.

    Attributes
    ----------
    x, y : list of float
        The points.
    low, high : list of float
        The ends of the interval of each y; empty where there is none.
    n : list of int
        How many things each point stands for; empty where that says nothing.
    """

    x: list[float]
    y: list[float]
    low: list[float] = Field(default_factory=list)
    high: list[float] = Field(default_factory=list)
    n: list[int] = Field(default_factory=list)

    @model_validator(mode="after")
    def _equally_long(self) -> Self:
        """Refuse points of which a part is missing."""
        if len(self.y) != len(self.x) or any(
            len(part) not in (0, len(self.x)) for part in (self.low, self.high, self.n)
        ):
            raise ValueError("the lists of a curve have to be equally long")
        return self


class ModelResult(_Part):
    """One model's figures: over all users, by segment, and what it cost; ``curves`` are what plots are made of."""

    metrics: dict[str, Estimate]
    segments: dict[str, Segment] = Field(default_factory=dict)
    fit_s: float | None = None
    score_s: float | None = None
    peak_mb: float | None = None
    users: int
    curves: dict[str, Curve] = Field(default_factory=dict)


class RoundResult(_Part):
    """One fold or window of an evaluation that has several.

    Attributes
    ----------
    name : str
        Such as ``fold 2``, or a window with its first and last day.
    users, targets : int
        Queries, and what they had to find.
    train : int
        Interactions that models knew.
    models : dict of dict of Estimate
        Metrics at the deciding cut, by model, with intervals over the users of the round.
    seconds : dict
        What fitting or updating took, by model.
    """

    name: str
    users: int
    targets: int
    train: int
    models: dict[str, dict[str, Estimate]]
    seconds: dict[str, float | None] = Field(default_factory=dict)


class Comparison(_Part):
    """Paired differences (model less reference) of one metric."""

    metric: str
    reference: str
    models: dict[str, Difference]


class SampleItem(_Part):
    """One place of a shown list; ``reasons`` has the reason by language, where it was given in several."""

    item_id: str
    title: str = ""
    reason: str = ""
    hit: bool = False
    reasons: dict[str, str] = Field(default_factory=dict)


class SampleUser(_Part):
    """One user as an example: the history, what came next, and what each model showed.

    ``why`` says why this one is shown: ``gain``, ``loss``, ``cold``, ``short``, ``typical``, or nothing.
    """

    user_id: str
    history: list[str]
    targets: list[str]
    lists: dict[str, list[SampleItem]]
    why: str = ""


class EvaluationResults(_Part):
    """Everything that one evaluation found.

    Attributes
    ----------
    dataset : DatasetFacts
        Which data.
    split : dict
        How they were split: ``kind`` and its settings, and what else a reader has to know.
    models : dict of ModelResult
        By name, in the order of the tables; ``fused`` is the product, the others are its parts.
    primary : str
        The metric that decides, such as ``ndcg@10``.
    level : float
        Confidence of the intervals.
    comparisons : list of Comparison
        Paired differences between models.
    further : list of Comparison
        The same of the other metrics that have a value per query, from the leading model; without resamples.
    rounds : list of RoundResult
        The folds or windows, where there are several; ``models`` has their pooled figures.
    weights : dict of dict
        Fusion weights by query cohort and part, for display.
    sample : list of SampleUser
        A few users with their lists.
    curves : dict of Curve
        What people themselves did, as the models' curves of the same name show what these do.
    made : str
        The day it was measured, such as ``2026-03-31``.
    configuration, environment : dict
        What it takes to run it again: settings and seed; versions and machine.
    notes : list of str
        What a reader has to be told, such as a part left out for its size.
    queries : Queries or None
        Values per test query, for later comparisons; None in files of earlier versions, and where they are too many.
    baseline : RunComparison or None
        This run beside an earlier one, where it was asked for.
    """

    dataset: DatasetFacts
    split: dict[str, Any]
    models: dict[str, ModelResult]
    primary: str = "ndcg@10"
    level: float = 0.95
    comparisons: list[Comparison] = Field(default_factory=list)
    further: list[Comparison] = Field(default_factory=list)
    rounds: list[RoundResult] = Field(default_factory=list)
    weights: dict[str, dict[str, float]] = Field(default_factory=dict)
    sample: list[SampleUser] = Field(default_factory=list)
    configuration: dict[str, Any] = Field(default_factory=dict)
    environment: dict[str, str] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    queries: Queries | None = None
    baseline: RunComparison | None = None
    curves: dict[str, Curve] = Field(default_factory=dict)
    made: str = ""

    @classmethod
    def from_json(cls, text: str, where: str = "evaluation results") -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        DataError
            If the text is not JSON of this form; the message names the first wrong place.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            if other := kind_of(text):
                raise DataError(
                    f"{where}: is the result of {other}, and not of a whole evaluation: only what `fuserec evaluate "
                    "--json` writes without --shift, --learning-curve and --dial can be compared; `fuserec report` "
                    "makes the report of a curve"
                ) from None
            told = first_fault(error)
            raise DataError(f"{where}: {told}; write it with `fuserec evaluate --json`") from None

    def to_json(self) -> str:
        """Return the JSON text; a number that is not finite becomes null."""
        return self.model_dump_json(indent=1) + "\n"

    def cuts(self) -> list[int]:
        """Return the values of k that any metric has, ascending."""
        found = {name_and_k(name)[1] for model in self.models.values() for name in model.metrics}
        return sorted(k for k in found if k is not None)

    def best(self, metric: str) -> str | None:
        """Return the model with the best value of a metric; None if more is not better, or nobody has it."""
        better = definition(metric).better
        found = {name: model.metrics.get(metric) for name, model in self.models.items()}
        values = {name: it.value for name, it in found.items() if it is not None and it.value is not None}
        if not values or better == "neither":
            return None
        return max(values, key=lambda name: values[name] if better == "higher" else -values[name])


def first_fault(error: ValidationError) -> str:
    """Return the first wrong place of a file, and what is wrong there."""
    first = error.errors()[0]
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    """Return the JSON form of an estimate."""
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def write_json(results: EvaluationResults, path: str | os.PathLike[str]) -> None:
    """Write results as JSON; the file is whole or not there.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    write_text(path, results.to_json())


def read_json(path: str | os.PathLike[str]) -> EvaluationResults:
    """Read results from a JSON file.

    Raises
    ------
    DataError
        If the file cannot be read or is not of this form.
    """
    return EvaluationResults.from_json(read_text(path, "evaluation results"), str(path))


def read_text(path: str | os.PathLike[str], what: str) -> str:
    """Read a text file.

    Raises
    ------
    DataError
        If it cannot be read; in plain words.
    """
    try:
        return Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise DataError(
            f"{path}: there is no such file: name one that `fuserec evaluate --json` wrote"
        ) from None
    except IsADirectoryError:
        raise DataError(f"{path}: is a folder: name the JSON file of {what} in it") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: cannot be read as {what}: it is not a text file") from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read as {what}: {(error.strerror or str(error)).lower()}"
        ) from None


SERIES = {
    "learning-curve": "a learning curve (--learning-curve)",
    "shift-time": "a shift test (--shift)",
    "shift-categories": "a shift test (--shift)",
}
"""What a file of a curve is the result of, by its kind."""


def kind_of(text: str) -> str:
    """Return what else than an evaluation a JSON text is the result of; nothing where it is none that is known."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    kind = found.get("kind")
    if isinstance(kind, str) and kind in SERIES:
        return SERIES[kind]
    return "`fuserec compare`" if {"runs", "pairs"} <= found.keys() else ""


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file beside its place and move it there, so that it is whole or not there.

    Raises
    ------
    DataError
        If the folder is missing, not writable or full; nothing is left behind.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
            with target.open("w", encoding="utf-8") as stream:
                stream.write(text)
            return
        with beside.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise DataError(
            f"{target}: cannot be written ({error.strerror or error}); choose a folder with room in it"
        ) from None
