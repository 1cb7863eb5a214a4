"""Neural collaborative filtering: products of vectors and a small network over them, a user made of their history."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import expit

from fuserec.errors import NotFittedError
from fuserec.neural import require
from fuserec.neural.collaborative.config import NeuralCFConfig
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores, known
from fuserec.scorers.ratings import Baseline, RatedHistories, rating_matrix, rating_scale
from fuserec.settings import Settings

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.collaborative.fitted import FittedNCF
    from fuserec.neural.collaborative.task import Rated
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 4
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""


class NeuralCF(Scorer):
    """score(u, j) = σ(b_j + p·q_j + h·(p ⊙ q_j) + network(u, m_j, p·q_j)), or the logit of it.

    He et al. 2017 ("Neural collaborative filtering": NeuMF joins the weighted product and the network), with what
    Rendle et al. 2020 ("Neural collaborative filtering vs. matrix factorization revisited") found: a network hardly
    learns a product, so the plain product is a term of its own and an input of the network (``form = "dot"`` is that
    term alone). There is no table of users: [p, u] = Σ x_i r_i / (Σ recency^steps)^normalization + z·W, over the items
    of the history (Kabbur et al. 2013, "FISM") and the words. Vectors of items are an id's plus a map of their text.

    ``loss = "mse"`` learns ratings instead: μ + b_j + b_u + logit, x_i the ratings' deviations from the baseline; b_u
    and the history are made without the rating in question. It predicts, and its score is the prediction, not cut.

    The whole catalogue is scored exactly: the network's first layer is linear in user, item and product, so that what
    is left for a pair is one small layer. Evidence is what the score loses without an event, and a residual.
    """

    name: ClassVar[str] = "neural_cf"
    Config = NeuralCFConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), update="refit", evidence="attributed", trained=True
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {"recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)}
    config: NeuralCFConfig
    _model: FittedNCF
    _baseline: Baseline | None = None

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        if self.config.loss == "mse":  # ratings say nothing of words, nor of items that nobody has rated
            vars(self)["capabilities"] = Capabilities(
                needs=frozenset({"rating"}),
                update="refit",
                evidence="attributed",
                predicts=True,
                trained=True,
            )

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer neural_cf")
        from fuserec.neural.collaborative.fit import fit_ncf

        self._baseline, rated = self._ratings(train)
        self._model = fit_ncf(self.config, train, features, rated, run)
        if rated is not None:
            given = np.bincount(rated.items, minlength=train.n_items) > 0
            self._model = replace(self._model, known=given)

    def _ratings(self, train: Dataset) -> tuple[Baseline | None, Rated | None]:
        """Return the baseline of ratings and the ratings above it, where they are what is learnt."""
        if self.config.loss != "mse":
            return None, None
        from fuserec.neural.collaborative.task import Rated

        matrix: sparse.csr_matrix = rating_matrix(train, self.name)
        baseline = Baseline.fit(matrix, self.config.damping, rating_scale(train, matrix.data))
        above = matrix.data - np.float32(baseline.mean) - baseline.item_bias[matrix.indices]
        rated = Rated(
            matrix.indptr.astype(np.int64),
            matrix.indices.astype(np.int64),
            above.astype(np.float32),
            self.config.damping,
        )
        return baseline, rated

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer neural_cf")
        from fuserec.neural.collaborative.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, self._ratings(train)[1], run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    def _inputs(self, q: QueryBatch) -> tuple[sparse.csr_matrix, np.ndarray]:
        """Return CSR (n, n_items) of how strongly each item of the histories is heard, and bool (n,): who is heard."""
        from fuserec.neural.semantic.examples import Reading, strengths

        config, n_items = self.config, self._model.bias.size
        if self._baseline is not None:
            rated = RatedHistories.of(q, self._model.known)
            divisor = np.power(np.maximum(rated.counts, 1), config.normalization)[rated.rows]
            return rated.csr(self._baseline.residuals(rated) / divisor, n_items), rated.counts > 0
        reading = Reading("earlier", config.recency, config.normalization, config.max_length)
        x = q.csr(strengths(q.weights, q.steps, q.rows, reading), n_items)
        speaks = self._model.known[q.items] & (q.weights != 0) & (q.steps < config.max_length)
        return x, np.bincount(q.rows[speaks], minlength=len(q)) > 0

    def _users(self, q: QueryBatch) -> tuple[sparse.csr_matrix, np.ndarray, np.ndarray]:
        """Return what is heard of the histories, what the words say (n, d + e), and bool (n,): who is answered."""
        self.require_fitted()
        x, heard = self._inputs(q)
        if self._baseline is not None:  # ratings are learnt without words
            return x, np.zeros((len(q), self._model.read.shape[1]), np.float32), heard
        said, spoke = self._model.said(q.text, len(q))
        return x, said, heard | spoke

    def _values(self, logits: np.ndarray) -> np.ndarray:
        """Return the scores of logits."""
        if self._baseline is not None or self.config.score == "logit":
            return logits
        return np.asarray(expit(logits), np.float32)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return probabilities, logits or uncut ratings of the catalogue or the candidates."""
        x, said, answers = self._users(q)
        logits = self._model.logits(np.asarray(x @ self._model.read + said, np.float32), items)
        if self._baseline is not None:
            logits += self._expected(q, items)
        return Scores(self._values(logits), known(self._model.known, items), answers)

    def _expected(self, q: QueryBatch, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): μ + b_j + b_u."""
        if self._baseline is None:
            raise NotFittedError("scorer 'neural_cf' learnt no ratings: set loss = \"mse\" to predict them")
        rated = RatedHistories.of(q, self._model.known)
        every = np.arange(self._model.bias.size) if items is None else items
        return self._baseline.expected(rated, np.broadcast_to(every, (len(q), every.shape[-1])))

    @property
    def can_predict(self) -> bool:
        """Whether ratings are what was learnt."""
        return self._baseline is not None

    def predict(self, q: QueryBatch, items: np.ndarray) -> np.ndarray:
        """Return float32 (n, m): predicted ratings of candidates a query (n, m), cut to the scale.

        Raises
        ------
        NotFittedError
            Where ratings are not what was learnt.
        """
        self.require_fitted()
        expected = self._expected(q, items)
        x, said, heard = self._users(q)
        logits = self._model.logits(np.asarray(x @ self._model.read + said, np.float32), items)
        sure = heard[:, None] & self._model.known[items]
        if self._baseline is None:
            return expected
        return self._baseline.clipped(expected + np.where(sure, logits, np.float32(0.0)))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return what the scores lose when an item of the history, or the words, are left out, and a residual.

        Where ratings are learnt the baseline is a row of its own; deviations are left out, not what they deviate from.
        """
        scores, (x, said, _) = self.score(q, items).values, self._users(q)
        base = self._expected(q, items) if self._baseline is not None else np.zeros(items.shape, np.float32)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            history = slice(int(x.indptr[query]), int(x.indptr[query + 1]))
            told = x.data[history, None] * self._model.read[x.indices[history]]
            parts = np.vstack([told, said[query]])
            without = (parts.sum(axis=0) - parts).astype(np.float32)
            left = self._values(self._model.logits(without, items[query]) + base[query])
            lost = (scores[query] - left).T.tolist()
            found.append(
                [
                    self._cell(x.indices[history].tolist(), *cell)
                    for cell in zip(lost, base[query].tolist(), scores[query].tolist(), strict=True)
                ]
            )
        return found

    def _cell(self, history: list[int], lost: list[float], base: float, score: float) -> list[Evidence]:
        """Return the rows of one score."""
        sources: list[Source] = [("bias", None, base)] if self._baseline is not None else []
        sources += [("item", item, part) for item, part in zip(history, lost[:-1], strict=True)]
        return attributed(self.name, [*sources, ("text", None, lost[-1])], score)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        self.require_fitted()
        other = copy(self)
        other._model = self._model.extended(features)
        if self._baseline is not None:
            more = other._model.bias.size - self._baseline.item_bias.size
            state, meta = self._baseline.state()
            grown = {name: np.pad(array, (0, more)) for name, array in state.items()}
            other._baseline = Baseline.from_state(grown, meta)
            other._model = replace(other._model, known=np.pad(self._model.known, (0, more)))
        return other

    def state(self) -> State:
        """Return the vectors of items, the head, how text becomes vectors, and the baseline of ratings."""
        arrays = self._model.state()
        if self._baseline is None:
            return arrays, {}
        biases, meta = self._baseline.state()
        return {**arrays, **biases}, {"baseline": meta}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.collaborative.fitted import FittedNCF

        self._model = FittedNCF.from_state(arrays)
        self._baseline = Baseline.from_state(arrays, meta["baseline"]) if "baseline" in meta else None
