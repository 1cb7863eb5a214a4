"""Meta-learned: a head that a step or two make a person's own, for people of whom a few events are known."""

from __future__ import annotations

import time
from copy import copy
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from scipy.special import expit

from fuserec.neural import require
from fuserec.neural.meta.config import MetaLearnedConfig
from fuserec.scorers.attribution import Source, attributed
from fuserec.scorers.base import Capabilities, Evidence, Scorer, Scores, known

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.query import QueryBatch
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.meta.fitted import FittedMeta, LocalHead
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 4
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""


class MetaLearned(Scorer):
    """score(u, j) = σ(b_j + t_u·v_j + a_u·ReLU(W_u v_j + c_u)); the head (t, W, c, a) is adapted in the call.

    Lee et al. 2019 ("MeLU: meta-learned user preference estimator for cold-start recommendation"), a form of Finn,
    Abbeel, Levine 2017 ("Model-agnostic meta-learning for fast adaptation of deep networks"): training brings the head
    to where a few gradient steps on somebody's few events make it theirs, and the vectors v of items to where that
    helps. Here events are what was taken, not ratings: a local step raises the likelihood of the newest ``max_length``
    events (dislikes lower it) beside a background of items equal for all. Words are an event whose vector is a map of
    their text. Without events or words the head is the one that all share, which suits people in general.

    Evidence is what the score loses when an event is left out of the adaptation, beside what anybody gets, and a
    residual.
    """

    name: ClassVar[str] = "meta_learned"
    Config = MetaLearnedConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text", "anyone"}), update="refit", evidence="attributed", trained=True
    )
    config: MetaLearnedConfig
    _model: FittedMeta

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer meta_learned")
        from fuserec.neural.meta.fit import fit_meta

        self._model = fit_meta(self.config, train, features, run)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer meta_learned")
        from fuserec.neural.meta.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    def _events(self, q: QueryBatch, query: int) -> tuple[np.ndarray, np.ndarray]:
        """Return items and weights of the events of a query that are read and known."""
        lo, hi = int(q.indptr[query]), int(q.indptr[query + 1])
        span = slice(max(lo, hi - self.config.max_length), hi)
        heard = self._model.known[q.items[span]]
        return q.items[span][heard].astype(np.int64), q.weights[span][heard]

    def _said(self, q: QueryBatch) -> np.ndarray | None:
        """Return float32 (n, k): what the words of queries say, of unit length or zero; None where nothing is read."""
        if q.text is None or self._model.basis is None:
            return None
        from fuserec.neural.semantic.fitted import told_by

        told = told_by(self._model.basis, q.text.lexical, q.text.sentence)
        return np.asarray(told * q.text.present[:, None], np.float32)

    def _scores(self, head: LocalHead, items: np.ndarray | None) -> np.ndarray:
        """Return float32 (m,): probabilities of the catalogue or of items (m,)."""
        return np.asarray(expit(self._model.logits(head, items)), np.float32)

    def score(self, q: QueryBatch, items: np.ndarray | None = None) -> Scores:
        """Return probabilities of the catalogue or the candidates; everybody is answered."""
        self.require_fitted()
        width = self._model.bias.size if items is None else items.shape[-1]
        values, said = np.empty((len(q), width), np.float32), self._said(q)
        for query in range(len(q)):
            head = self._model.adapted(*self._events(q, query), None if said is None else said[query])
            own = items[query] if items is not None and items.ndim == 2 else items
            values[query] = self._scores(head, own)
        return Scores(values, known(self._model.known, items), np.ones(len(q), dtype=bool))

    def evidence(self, q: QueryBatch, items: np.ndarray) -> list[list[list[Evidence]]]:
        """Return what anybody gets, what the score loses without each event or the words, and a residual."""
        scores, said = self.score(q, items).values, self._said(q)
        found: list[list[list[Evidence]]] = []
        for query in range(len(q)):
            history, weights = self._events(q, query)
            words = None if said is None else said[query]
            names = np.unique(history[weights != 0]).tolist()
            anybody = self._scores(self._model.head, items[query])
            lost = [anybody]
            for name in names:
                kept = history != name
                without = self._model.adapted(history[kept], weights[kept], words)
                lost.append(scores[query] - self._scores(without, items[query]))
            if words is not None and words.any():
                without = self._model.adapted(history, weights)
                lost.append(scores[query] - self._scores(without, items[query]))
            cells = np.stack(lost).T.tolist()
            found.append(
                [
                    self._cell(names, parts, score)
                    for parts, score in zip(cells, scores[query].tolist(), strict=True)
                ]
            )
        return found

    def _cell(self, names: list[int], parts: list[float], score: float) -> list[Evidence]:
        """Return the rows of one score: of anybody, of each item, and of the words where there are some."""
        sources: list[Source] = [("popularity", None, parts[0])]
        sources += [("item", name, part) for name, part in zip(names, parts[1:], strict=False)]
        sources += [("text", None, part) for part in parts[1 + len(names) :]]
        return attributed(self.name, sources, score)

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with items added since, known by their text; what it has learnt stays as it is."""
        self.require_fitted()
        other = copy(self)
        other._model = self._model.extended(features)
        return other

    def state(self) -> State:
        """Return the vectors of items, the shared head, the background, and how text becomes vectors."""
        return self._model.state(), {}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.meta.fitted import FittedMeta

        self._model = FittedMeta.from_state(arrays, self.config.local_steps, self.config.local_rate)
