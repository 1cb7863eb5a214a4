"""Parts whose scores are written on paper, and fusions of them whose learnt numbers are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fuserec.data.query import QueryBatch
from fuserec.data.splits import Holdout
from fuserec.fusion import fusion_class
from fuserec.fusion.calibration import Calibration
from fuserec.fusion.cohorts import QUERY_COHORTS, item_cohorts
from fuserec.fusion.config import FusionConfig
from fuserec.fusion.learning import Learnt
from fuserec.fusion.search import BlendWeights
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores
from fuserec.settings import Settings
from fuserec.testing.planted import dataset_of


class Paper(Scorer):
    """Scores by user row; NaN where it abstains on an item."""

    name: ClassVar[str] = "paper"
    Config = Settings
    capabilities: ClassVar[Capabilities] = Capabilities(evidence="exact")

    def __init__(self, values, queries=None):
        super().__init__()
        self.values = np.array(values, np.float32)
        self.queries = np.ones(len(self.values), bool) if queries is None else np.array(queries)
        self._fitted = True

    def _fit(self, train, features, run):
        pass

    def score(self, q, items=None):
        values, hears = self.values[q.users], self.queries[q.users]
        if items is not None:
            values = np.take_along_axis(values, np.broadcast_to(items, (len(q), items.shape[-1])), 1)
        return Scores(np.nan_to_num(values), ~np.isnan(values), hears)

    def evidence(self, q, items):
        values = self.score(q, items).values
        return [[[Evidence("paper", "item", 0, float(v), "exact")] for v in row] for row in values]

    def state(self):
        return {}, {}

    def _restore(self, arrays, meta):
        pass


class Reader(Paper):
    """One that reads words."""

    capabilities: ClassVar[Capabilities] = Capabilities(answers=frozenset({"text"}), evidence="exact")


def asked(n=1, lengths=None, item=0):
    """Return the queries of the users 0 to n - 1, with histories of one item repeated."""
    lengths = lengths or [0] * n
    return QueryBatch.of_histories([[item] * length for length in lengths], np.arange(n))


def form(kind, parts, merits=None, constants=None, counts=None, **settings):
    """Return a fusion whose parts are called p0, p1, ..., the same for all query cohorts."""
    n, rows = len(parts), len(QUERY_COHORTS)
    n_items = parts[0].values.shape[1]
    config = FusionConfig.parse({kind: settings} if settings else {}, "test")
    made = fusion_class(kind)(config, {f"p{i}": part for i, part in enumerate(parts)})
    weights = BlendWeights(
        np.full((rows, n), 1.0 / n), np.tile(np.array(constants or [1.0] * n, float), (rows, 1)), np.zeros(3)
    )
    made._learnt = Learnt(weights, Calibration(np.zeros(1), np.zeros(1)), np.zeros(n), {})
    made._merits = np.tile(np.array(merits or [1.0] * n, float), (rows, 1))
    made._cohorts = item_cohorts(np.array(counts or [9] * n_items))
    made._ties, made._threads, made._fitted = np.arange(n_items, dtype=np.uint64), 1, True
    return made


def scores(fused, q=None):
    """Return the scores of one query."""
    found = fused.score(asked() if q is None else q)
    return np.where(found.answered, found.values, np.nan)[0].tolist()


def sums(fused, q):
    """Return the sum of the rows of every item, and the score: they have to agree where it is answered."""
    found = fused.score(q)
    items = np.tile(np.arange(found.values.shape[1]), (len(q), 1))
    told = np.array([[sum(r.contribution for r in cell) for cell in row] for row in fused.evidence(q, items)])
    return told[found.answered], found.values[found.answered]


def held_out(histories, targets, n_items):
    """Return queries of users with given histories, of one target each."""
    train = dataset_of(histories, n_items)
    n = len(histories)
    return Holdout(
        train,
        QueryBatch.of_histories(histories, np.arange(n)),
        np.arange(n + 1, dtype=np.int64),
        np.array(targets, np.int32),
        np.full(n, np.nan, np.float32),
    )
