"""Semantic softmax: what somebody has taken and said, mapped by two matrices to where items stand by their meaning."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fuserec.neural import require
from fuserec.neural.semantic.config import SemanticSoftmaxConfig
from fuserec.scorers.attribution import attributed
from fuserec.scorers.base import Capabilities, Evidence, EvidenceKind, Scores, known
from fuserec.scorers.history import HistoryScorer
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.semantic.fitted import FittedTowers
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 4
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""


class SemanticSoftmax(HistoryScorer):
    """score(q, j) = p(j | x, z)^sharpness, p = softmax of the logits y_j·f(x, z), f = x W1 + z W2, over trained items.

    x is the history, as a weighted multi-hot or as the mean of its text vectors; z the text vector of what the person
    says; y_j the item's text vector: principal components of language-model vectors and TF-IDF, whitened, of unit
    length (times d^1/4). W1 and W2 maximise Σ w_i log p(y_i | x, z), w_i the weight of the interaction, x made without
    the item that is predicted. A linear two-tower model; as a softmax over user text and history and item semantics it
    is the form of Covington, Adams, Sargin 2016 ("Deep neural networks for YouTube recommendations") without hidden
    layers, with fixed item vectors.

    Both scores rank alike alone. Beside other parts the probability does better: it lets the best items of a query
    stand out, where a logit says nearly as much for the hundredth as for the tenth. Its evidence is what the score
    loses without an event (attributed). The logit is linear in the weights of the history, so that its evidence is
    exact. It may be negative: the item fits worse than the mean of the catalogue, where all of the whitened y cancel
    out. A fusion bears that: it divides by the mean absolute tenth best score, and adds.

    Items without interactions have y by their text (they never stood in a denominator) and are read through it in a
    history. Abstains on items without y and where nothing that it knows was taken or said.
    """

    name: ClassVar[str] = "semantic_softmax"
    Config = SemanticSoftmaxConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), update="refit", evidence="attributed", trained=True
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.65, 0.6, 0.5, 0.35)
    }
    config: SemanticSoftmaxConfig
    _map: FittedTowers

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        if self.config.score == "logit":  # linear in the history
            vars(self)["capabilities"] = replace(self.capabilities, evidence="exact")

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer semantic_softmax")
        from fuserec.neural.semantic.fit import fit_semantic

        self._take(fit_semantic(self.config, train, features, run))

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer semantic_softmax")
        from fuserec.neural.semantic.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    def _take(self, towers: FittedTowers) -> None:
        """Keep the fitted model."""
        self._map, self._items = towers, towers.known

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return weight × recency^steps of each event, over (Σ recency^steps)^normalization of its query."""
        from fuserec.neural.semantic.examples import Reading, strengths

        config = self.config
        power = 1.0 if config.history == "content" else config.normalization
        reading = Reading("earlier", config.recency, power, config.max_length)
        return strengths(q.weights, q.steps, q.rows, reading)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return p^sharpness, or the logit, of the catalogue or the candidates."""
        self.require_fitted()
        said, spoke = self._map.said(q.text, len(q))
        x = q.csr(self.inputs(q), self._items.size)
        f = np.asarray(x @ self._map.read + said, np.float32)
        return Scores(self._values(f, items), known(self._items, items), self._answers(q) | spoke)

    def _values(self, f: np.ndarray, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (n, m): the scores of f (n, d) for the catalogue or the candidates."""
        from fuserec.numerics.ridge import factor_products

        if self.config.score == "logit":
            return factor_products(f, self._map.targets, items)
        return self._map.probabilities(f, items, self.config.sharpness)

    def _answers(self, q: QueryBatch) -> np.ndarray:
        """Return bool (n,): queries with an event among those that are read that says something."""
        heard = self._speaks[q.items] & (q.weights != 0) & (q.steps < self.config.max_length)
        return np.bincount(q.rows[heard], minlength=len(q)) > 0

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for each history item and one for the words of the query.

        Of a logit they are exact; of a probability they are what it loses without, and a residual is the rest.
        """
        if self.config.score == "probability":
            return self._lost(q, items)
        rows = super().evidence(q, items)
        said, spoke = self._map.said(q.text, len(q))
        for query in np.flatnonzero(spoke):
            told = self._map.targets[items[query]].astype(np.float64) @ said[query]
            for cell, part in zip(rows[query], told.tolist(), strict=True):
                if part:
                    cell.append(Evidence(self.name, "text", None, part, "exact"))
        return rows

    def _lost(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return what the scores lose when an item of the history, or the words, are left out."""
        scores = self.score(q, items).values
        said, _ = self._map.said(q.text, len(q))
        x = q.csr(self.inputs(q), self._items.size)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            history = slice(int(x.indptr[query]), int(x.indptr[query + 1]))
            parts = np.vstack([x.data[history, None] * self._map.read[x.indices[history]], said[query]])
            without = self._values(parts.sum(axis=0) - parts, items[query])
            sources: list[tuple[EvidenceKind, int | None]] = [("item", int(i)) for i in x.indices[history]]
            lost = (scores[query] - without).T.tolist()
            found.append(
                [
                    attributed(
                        self.name,
                        ((*of, part) for of, part in zip([*sources, ("text", None)], cell, strict=True)),
                        score,
                    )
                    for cell, score in zip(lost, scores[query].tolist(), strict=True)
                ]
            )
        return found

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        self.require_fitted()
        other = copy(self)
        other._take(self._map.extended(features))
        return other

    def state(self) -> State:
        """Return the vectors of items, as read and as compared with, the matrices, and how text becomes vectors."""
        return self._map.state(), {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.semantic.fitted import FittedTowers

        self._take(FittedTowers.from_state(arrays))
