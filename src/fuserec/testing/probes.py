"""Scorers that try an evaluation rather than data: one that knows nothing has to come out as chance."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from pydantic import Field

from fuserec.scorers import create
from fuserec.scorers.base import Capabilities, Scorer, Scores, chosen
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class ShuffledConfig(Settings):
    """Whose scores are shuffled."""

    of: str = Field(default="popularity", description="The scorer.")


class Shuffled(Scorer):
    """The scores of another scorer, dealt to the items anew for every query: any metric above chance is a fault.

    An item is ranked at random among all that are not in the history, so that recall@k is k over their number and AUC
    is a half, whatever the data and the other scorer.
    """

    name: ClassVar[str] = "shuffled"
    Config = ShuffledConfig
    capabilities: ClassVar[Capabilities] = Capabilities(answers=frozenset({"history", "text", "anyone"}))
    config: ShuffledConfig

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._inner = create(self.config.of).fit(train, features, run)
        self._seed = run.seed

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the other scorer's scores in an order that hangs on the history and the moment of a query alone."""
        self.require_fitted()
        visible = self._inner.score(q)
        values = np.where(visible.answered, visible.values, visible.values.min(initial=0.0) - 1.0)
        for row in range(len(q)):
            told = q.items[q.indptr[row] : q.indptr[row + 1]].tobytes() + q.at[row : row + 1].tobytes()
            rng = np.random.default_rng([self._seed, zlib.crc32(told), int(q.users[row]) + 1])
            values[row] = rng.permutation(values[row])
        every = np.ones(values.shape[1] if items is None else items.shape[-1], dtype=bool)
        return Scores(
            np.ascontiguousarray(chosen(values.astype(np.float32), items)), every, np.ones(len(q), dtype=bool)
        )

    def state(self) -> State:
        """Return nothing: a probe is not kept."""
        return {}, {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        """Take nothing back."""
