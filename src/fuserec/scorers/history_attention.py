"""Attention over the history: how much each thing taken says for what is like it, learnt from what was taken next."""

from __future__ import annotations

import time
from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import expit

from fuserec.neural import require
from fuserec.neural.attention.config import HistoryAttentionConfig
from fuserec.numerics.similar import row_products
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Capabilities, Evidence, Scores, chosen, known
from fuserec.scorers.history import HistoryScorer, compact_map
from fuserec.settings import Settings

if TYPE_CHECKING:
    from scipy import sparse

    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.attention.fitted import FittedAttention
    from fuserec.neural.text_basis import TextBasis
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 2
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: comparing all items, judging and the end take some too."""


class HistoryAttention(HistoryScorer):
    """score(u, j) = Σ_{i in history} x_i w S(i, j), the logit of ŷ = σ(b + score); x_i = weight × recency^steps.

    S(i, j) is how alike two items are: by who took both (shrunk cosine), by words, by language-model vectors; each kind
    has weights of its own. w is learnt from what people took next beside items drawn that they did not take.

    ``attention = "global"``: w = w_i, a number an item (and kind of similarity); the score is linear in the history and
    its evidence exact. ``bilinear`` and ``mlp``: w = exp f(i, j) / (Σ_i |x_i| exp f(i, j))^smoothing, a number for the
    item and the candidate (He et al. 2018, "NAIS: neural attentive item similarity model for recommendation", eq. 7),
    over the events that are like the candidate at all; evidence shares the score out with the denominator held.

    Somebody's own history is taken out of S while they are learnt from, as otherwise S(i, j) says that they took both.
    Abstains on items that nobody has taken and that no text is known of, and where nothing known was taken or said.
    """

    name: ClassVar[str] = "history_attention"
    Config = HistoryAttentionConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}), update="folded", evidence="exact", trained=True
    )
    tunable: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "recency": (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.35)
    }
    config: HistoryAttentionConfig
    _model: FittedAttention
    _basis: TextBasis | None
    _contents: dict[str, np.ndarray | sparse.csr_matrix]

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        own = self.capabilities
        if self.config.similarity == "cooccurrence":  # words say nothing for who took what
            own = replace(own, answers=frozenset({"history"}))
        if self.config.attention != "global" or self.config.score == "probability":
            own = replace(own, evidence="attributed")
        vars(self)["capabilities"] = own

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer history_attention")
        from fuserec.neural.attention.fit import fit_attention

        self._threads = run.threads
        fitted, self._basis = fit_attention(self.config, train, features, run)
        self._take(fitted)
        self._attach(features)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer history_attention")
        from fuserec.neural.attention.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    def _take(self, fitted: FittedAttention) -> None:
        """Keep the fitted model."""
        self.__dict__.pop("_speaks_cache", None)
        self._model, self._map = fitted, compact_map(fitted.numerators)

    def _attach(self, features: ItemFeatures) -> None:
        """Keep what words of queries are compared with, and which items are known."""
        from fuserec.neural.attention.likeness import speaking

        given: dict[str, np.ndarray | sparse.csr_matrix | None] = {
            "words": features.lexical,
            "sentence": features.sentence,
        }
        kinds = self._model.like.channels
        self._contents = {name: rows for name, rows in given.items() if name in kinds and rows is not None}
        n_items = self._model.like.n_items
        self._items = (self._model.like.people > 0) | speaking(self._contents, n_items)

    def inputs(self, q: QueryBatch) -> np.ndarray:
        """Return float32 (n_events,): weight × recency^steps of the events that are read."""
        from fuserec.neural.semantic.examples import Reading, strengths

        reading = Reading("earlier", self.config.recency, 0.0, self.config.max_length)
        return strengths(q.weights, q.steps, q.rows, reading)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return the logit without b, or the probability, of the catalogue or the candidates."""
        self.require_fitted()
        values, answers, heard = self._map.apply(self._x(q), self._threads), self._answers(q), self._said(q)
        below = self._model.divisors(self._x(q), self._threads)
        if below is not None:
            values /= below
        if heard is not None:
            values += heard
            answers |= self._spoke(q)
        if self.config.score == "probability":
            values = expit(values + np.float32(self._model.bias))
        return Scores(chosen(values, items), known(self._items, items), answers)

    def _answers(self, q: QueryBatch) -> np.ndarray:
        """Return bool (n,): queries with an event among those that are read that says something."""
        heard = self._speaks[q.items] & (q.weights != 0) & (q.steps < self.config.max_length)
        return np.bincount(q.rows[heard], minlength=len(q)) > 0

    def _said(self, q: QueryBatch) -> np.ndarray | None:
        """Return float32 (n, n_items): what the words of queries add, with the weight that all items share."""
        config, text, fitted = self.config, q.text, self._model
        if text is None or not self._contents or not config.text_weight:
            return None
        out = np.zeros((len(q), self._items.size), np.float32)
        for name, rows in self._contents.items():
            asked = text.lexical if name == "words" else text.sentence
            if asked is None:
                continue
            cosine = row_products(asked, rows) * text.present[:, None]
            alike = np.where(cosine >= max(config.min_similarity, 1e-6), cosine, np.float32(0.0))
            weight = config.text_weight * fitted.shared[fitted.like.channels.index(name)]
            out += np.power(alike, np.float32(config.content_sharpness)) * np.float32(weight)
        return out

    def _spoke(self, q: QueryBatch) -> np.ndarray:
        """Return bool (n,): queries with words of which anything is known."""
        spoke = np.zeros(len(q), dtype=bool)
        if q.text is None or not self.config.text_weight:
            return spoke
        if "words" in self._contents:
            spoke |= np.diff(q.text.lexical.indptr) > 0
        if "sentence" in self._contents and q.text.sentence is not None:
            spoke |= q.text.sentence.any(axis=1)
        return np.asarray(spoke & q.text.present)

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return a row for each history item and one for the words.

        Of the logit with global w they are exact. An attention is shared out with its denominator held. A probability
        is shared out as its logit is, between σ(b), the row ``bias``, and σ(b + score).
        """
        if self.capabilities.evidence == "exact":
            rows, said = super().evidence(q, items), self._said(q)
            if said is None:
                return rows
            for query in np.flatnonzero(self._spoke(q)):
                for cell, part in zip(rows[query], said[query, items[query]].tolist(), strict=True):
                    if part:
                        cell.append(Evidence(self.name, "text", None, part, "exact"))
            return rows
        return self._shared_out(q, items)

    def _shared_out(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return attributed rows."""
        self.require_fitted()
        strength, said, scores = self.inputs(q), self._said(q), self.score(q, items).values
        below = self._model.divisors(self._x(q), self._threads)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            span = slice(int(q.indptr[query]), int(q.indptr[query + 1]))
            cells = strength[span, None].astype(np.float64) * self._map.cells(q.items[span], items[query])
            if below is not None:
                cells /= below[query, items[query]]
            told = np.zeros((1, items.shape[1])) if said is None else said[query, items[query]][None, :]
            names: list[int | None] = [*q.items[span].tolist(), None]
            parts = np.concatenate([cells, told])
            found.append(
                [
                    self._cell(names, parts[:, column], float(scores[query, column]))
                    for column in range(items.shape[1])
                ]
            )
        return found

    def _cell(self, names: list[int | None], parts: np.ndarray, score: float) -> list[Evidence]:
        """Return the rows of one score; ``names`` are history items, None for the words."""
        sources: list[Source] = []
        if self.config.score == "probability":
            bias, total = self._model.bias, float(parts.sum())
            none = float(expit(bias))
            slope = none * (1.0 - none) if abs(total) < 1e-9 else (float(expit(bias + total)) - none) / total
            parts = parts * slope
            sources.append(("bias", None, none))
        sums: dict[int | None, float] = {}
        for name, part in zip(names, parts.tolist(), strict=True):
            sums[name] = sums.get(name, 0.0) + part
        sources += [("text" if name is None else "item", name, part) for name, part in sums.items()]
        return attributed(self.name, sources, score)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with similarities counted anew; what events weigh stays as it was learnt."""
        self.require_fitted()
        from fuserec.neural.attention.likeness import likeness, taken_by
        from fuserec.neural.semantic.fitted import told_by

        other, old, config = copy(self), self._model.like.n_items, self.config
        other._threads = run.threads
        rows, shape = train.interactions, (train.n_users, train.n_items)
        taken = taken_by(rows.user, rows.item, rows.weight, shape)
        now = (("words", features.lexical), ("sentence", features.sentence))
        contents = {name: told for name, told in now if name in self._contents and told is not None}
        like = likeness(config, taken, contents, train.items.hashes, run)
        text = np.zeros((features.n_items - old, 0), np.float32)
        if self._basis is not None:
            text = told_by(self._basis, features.lexical, features.sentence)[old:]
        other._take(self._model.extended(like, text))
        other._attach(features)
        return other

    def state(self) -> State:
        """Return S, the weights, and how f reads texts."""
        arrays, meta = self._model.state()
        return (arrays if self._basis is None else {**arrays, **self._basis.arrays()}), meta

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.attention.fitted import FittedAttention
        from fuserec.neural.text_basis import TextBasis

        self._basis = TextBasis.from_arrays(arrays)
        self._take(FittedAttention.from_state(arrays, meta))
