"""Averaged: several copies of a scorer that differ by their seed alone, and the mean of what they say."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, EvidenceMethod, Scorer, Scores
from fuserec.scorers.wrapped import Wrapper, WrapperConfig

if TYPE_CHECKING:
    from fuserec.data.query import QueryBatch
    from fuserec.run import RunOptions


class AveragedConfig(WrapperConfig):
    """Hyperparameters of an average over seeds."""

    of: str = Field(default="als", description="The scorer that is fitted several times.")
    seeds: int = Field(
        default=3,
        ge=1,
        le=100,
        description="How many copies; fit time grows with them.",
        json_schema_extra={"tune": False},
    )


class Averaged(Wrapper):
    """score = mean over the copies that answer, each fitted with a seed of its own.

    Copies of one scorer on the same data have the same scale, so that a plain mean is right. What is chance in a
    single fit averages out (Hansen and Salamon 1990, "Neural network ensembles"): worth it for scorers that start from
    random numbers, a waste for those that count.
    """

    name: ClassVar[str] = "averaged"
    Config = AveragedConfig
    capabilities: ClassVar[Capabilities] = Capabilities(update="folded", evidence="attributed")
    config: AveragedConfig

    def _blank(self) -> dict[str, Scorer]:
        return {str(copy): self.config.inner() for copy in range(self.config.seeds)}

    def _run_of(self, name: str, run: RunOptions) -> RunOptions:
        """Return the options with the seed of a copy: the first has the seed given."""
        if name == "0":
            return run
        drawn = np.random.SeedSequence([run.seed, zlib.crc32(b"averaged"), int(name)]).generate_state(1)[0]
        return run.with_seed(int(drawn))

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the mean of the copies that answer; abstains where none does."""
        self.require_fitted()
        found = [one.score(q, items) for one in self._inner.values()]
        first = found[0]
        total = np.zeros(first.values.shape, np.float64)
        if all(
            np.array_equal(one.items, first.items) and np.array_equal(one.queries, first.queries)
            for one in found
        ):
            for one in found:
                total += one.values
            return Scores((total / len(found)).astype(np.float32), first.items, first.queries)
        answering = np.zeros(total.shape, np.int64)
        for one in found:
            total += np.where(one.answered, one.values, 0.0)
            answering += one.answered
        values = (total / np.maximum(answering, 1)).astype(np.float32)
        return Scores(values, answering > 0, np.any([one.queries for one in found], axis=0))

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return the mean of the ratings that the copies predict."""
        if not self._inner["0"].can_predict:
            return self._inner["0"].predict(q, items)  # which says why not
        return np.asarray(
            np.mean([one.predict(q, items) for one in self._inner.values()], axis=0), np.float32
        )

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return the rows of the copies that answer, divided by their number; rows from one source are one."""
        self.require_fitted()
        answered = [one.score(q, items).answered for one in self._inner.values()]
        rows = [one.evidence(q, items) for one in self._inner.values()]
        return [
            [
                self._merged(
                    [rows[c][query][column] for c, heard in enumerate(answered) if heard[query, column]]
                )
                for column in range(items.shape[1])
            ]
            for query in range(len(q))
        ]

    def _merged(self, cells: list[list[Evidence]]) -> list[Evidence]:
        """Return the mean of the rows that copies give for one score."""
        sums: dict[tuple[EvidenceKind, int | str | None], float] = {}
        methods: dict[tuple[EvidenceKind, int | str | None], EvidenceMethod] = {}
        for row in (row for cell in cells for row in cell):
            source = (row.kind, row.key)
            sums[source] = sums.get(source, 0.0) + row.contribution / len(cells)
            if methods.setdefault(source, row.method) == "exact":
                methods[source] = row.method  # what is exact in one copy only is exact in none
        return [
            Evidence(self.name, kind, key, value, methods[kind, key])
            for (kind, key), value in sums.items()
            if value
        ]
