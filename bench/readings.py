"""What results say, read out of the records: figures of models, paired differences, what is best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.configurations import ALONE, BUDGET, DEFAULT, WITH
from bench.records import Record

FUSED = "fused"
PRIMARY = "ndcg@10"


@dataclass(frozen=True)
class Gap:
    """A paired difference of NDCG@10, first less second."""

    first: str
    second: str
    difference: float
    low: float
    high: float
    p: float
    users: int

    def words(self) -> str:
        """Return the figures in words."""
        p = "p ≤ 0.001" if self.p <= 0.001 else f"p = {self.p:.3f}"
        return f"{self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}], {p}, {self.users:,} users"


@dataclass(frozen=True)
class Row:
    """A model on one dataset and protocol, with the result that it stands in."""

    model: str
    figures: dict[str, Any]
    record: Record

    def value(self, metric: str) -> float | None:
        """Return a figure."""
        found = self.figures["metrics"].get(metric)
        return None if found is None else found["value"]

    @property
    def in_default(self) -> bool:
        """Whether it is the default or one of its parts."""
        return self.record.configuration == DEFAULT

    @property
    def scorer(self) -> str:
        """Name of the scorer, ``fused`` for the fusion."""
        return self.record.scorers.get(self.model, self.model)

    def weights(self) -> tuple[float, float] | None:
        """Return the least and the largest weight over the cohorts, None where the fusion tells none."""
        found = [row[self.model] for row in self.record.results["weights"].values() if self.model in row]
        return (min(found), max(found)) if found else None


class Board:
    """All results of one dataset and protocol.

    Parameters
    ----------
    dataset, split : str
    found : iterable of Record
        Results of any dataset; the others are left aside.
    """

    def __init__(self, dataset: str, split: str, found: Iterable[Record]) -> None:
        self.dataset, self.split = dataset, split
        self._records = {r.configuration: r for r in found if (r.dataset, r.split) == (dataset, split)}

    @property
    def default(self) -> Record | None:
        """The result of the default."""
        return self._records.get(DEFAULT)

    @property
    def budget(self) -> Record | None:
        """The result of the default within a budget."""
        return self._records.get(BUDGET)

    @property
    def additions(self) -> dict[str, Gap]:
        """What adding a part to the default changes, by part."""
        found: dict[str, Gap] = {}
        for name, record in self._records.items():
            if name.startswith(WITH):
                gap = _gap(record, name, DEFAULT)
                found |= {name.removeprefix(WITH): gap} if gap is not None else {}
        return found

    def rows(self) -> list[Row]:
        """Return every model: the fusion, then parts and scorers alone, the best first."""
        rows = []
        for name, record in self._records.items():
            if name == DEFAULT or name.startswith(ALONE):
                rows += [Row(model, figures, record) for model, figures in record.models.items()]
        return sorted(rows, key=lambda row: (row.model != FUSED, -(row.value(PRIMARY) or 0.0), row.model))

    def row(self, model: str) -> Row | None:
        """Return one model."""
        return next((row for row in self.rows() if row.model == model), None)

    def best_of(self, scorer: str) -> Row | None:
        """Return the best of the models that one scorer stands behind."""
        return next((row for row in self.rows() if row.scorer == scorer), None)

    def best_part(self) -> Row | None:
        """Return the best part of the default."""
        return next((row for row in self.rows() if row.in_default and row.model != FUSED), None)

    def lead(self) -> Gap | None:
        """Return the fusion less its best part."""
        part = self.best_part()
        return None if part is None or self.default is None else _gap(self.default, FUSED, part.model)

    def above(self) -> list[Gap]:
        """Return the parts that are significantly above the fusion: the interval of the difference is above 0."""
        if self.default is None:
            return []
        gaps = [_gap(self.default, part, FUSED) for part in self.default.models if part != FUSED]
        return [gap for gap in gaps if gap is not None and gap.low > 0]

    def loss(self) -> float | None:
        """Return the share of the unlimited NDCG@10 that the budget loses; below 0 where it gains."""
        whole, short = (None if r is None else _value(r) for r in (self.default, self.budget))
        return None if whole is None or short is None or whole == 0 else 1.0 - short / whole


def _value(record: Record) -> float | None:
    """Return the NDCG@10 of the fusion of a result."""
    return None if FUSED not in record.models else record.models[FUSED]["metrics"][PRIMARY]["value"]


def _gap(record: Record, first: str, second: str) -> Gap | None:
    """Return first less second where the result compared them, in either direction."""
    for compared in record.results["comparisons"]:
        if compared["metric"] != record.results["primary"]:
            continue
        for model, reference, sign in ((first, second, 1.0), (second, first, -1.0)):
            if compared["reference"] == reference and model in compared["models"]:
                return _made(first, second, compared["models"][model], sign)
    return None


def _made(first: str, second: str, d: dict[str, Any], sign: float) -> Gap | None:
    """Return the gap, turned around where the sign says so; None where no user has both values."""
    if any(d[key] is None for key in ("difference", "low", "high", "p")):
        return None
    low, high = sorted((sign * d["low"], sign * d["high"]))
    return Gap(first, second, sign * d["difference"], low, high, d["p"], d["users"])
