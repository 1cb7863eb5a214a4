"""Generative retrieval: the next item is not looked up but spelt, digit by digit, as its semantic id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from fuserec.errors import ConfigError
from fuserec.neural import require
from fuserec.neural.generative.config import GenerativeConfig
from fuserec.scorers.base import Capabilities
from fuserec.scorers.ordered import OrderedScorer
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.generative.fitted import FittedGenerative
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 6
"""With fewer passes it is no use to begin."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""


class Generative(OrderedScorer):
    """score(q, j) = p(id of j | history)^sharpness where the beam comes to j, 0 for all others with an id.

    p(c_1 … c_L | history) = Π_l p(c_l | history, c_<l), each a softmax over the digits that some item's id goes on
    with: over all ids it sums to one. Rajput et al. 2023 ("Recommender systems with generative retrieval"), with ids by
    residual k-means, a causal transformer that reads one vector an item instead of one a digit, a small gated decoder a
    digit, and all positions of a history trained at once. A softmax along a tree of items is that of Morin and Bengio
    2005 ("Hierarchical probabilistic neural network language model"); here the tree comes from what items are, so that
    an item nobody has taken has a place in it, and one that comes later gets one by its text.

    What the beam leaves out is judged to be less probable than what it keeps: 0, no abstention, which in a fusion would
    leave the word to the other parts. It abstains on items without a code (neither text nor interactions) and where
    there is nothing to read. The words of a query are read as if they were an item's, before the history. Events of
    negative weight are neither read nor predicted.
    """

    name: ClassVar[str] = "generative"
    Config = GenerativeConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}),
        needs=frozenset({"order"}),
        update="refit",
        evidence="attributed",
        trained=True,
    )
    config: GenerativeConfig
    _model: FittedGenerative

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        shape = self.config
        if shape.embedding_dim % shape.heads:
            raise ConfigError(
                f"generative: heads = {shape.heads} has to divide embedding_dim = {shape.embedding_dim}"
            )

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer generative")
        from fuserec.neural.generative.fit import fit_generative

        self._model = fit_generative(self.config, train, features, run)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the epochs that the time allows; a few steps are timed."""
        require("the scorer generative")
        from fuserec.neural.generative.fit import epoch_time

        config, limit = self.config, time.monotonic() + seconds
        each = epoch_time(config, train, features, run)
        epochs = min(config.epochs, int(SAFE * (limit - time.monotonic()) / max(each, 1e-9)))
        if epochs < min(FEWEST_EPOCHS, config.epochs):
            return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of about {each:.1f} s"
        sized = type(self)(config.model_copy(update={"epochs": epochs}))
        return sized, f"{epochs} epochs of about {each:.1f} s"

    @property
    def facts(self) -> dict[str, Any]:
        """How many codes there are, and the share that collided before they were told apart."""
        self.require_fitted()
        return self._model.ids.facts

    def _values(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, n_items): scores of the whole catalogue after each history; 0 after an empty one."""
        out = np.zeros((indptr.size - 1, self._model.known.size), np.float32)
        filled = np.flatnonzero(np.diff(indptr) > 0)
        starts = np.concatenate([[0], np.cumsum(np.diff(indptr)[filled])]).astype(np.int64)
        ends = self._model.ends(starts, events, words)  # empty histories hold no events: nothing is skipped
        rows, items, logs = self._model.beam(ends, self.config.beam)
        out[filled[rows], items] = np.exp(logs * np.float32(self.config.sharpness))
        return out

    def state(self) -> State:
        """Return ids, vectors and weights."""
        return self._model.state()

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        from fuserec.neural.generative.fitted import FittedGenerative

        self._model = FittedGenerative.from_state(self.config, arrays, meta)
