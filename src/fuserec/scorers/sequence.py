"""Sequence models: what comes next after this history, read in its order by a transformer, a GRU or a CNN."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from fuserec.errors import ConfigError
from fuserec.neural import require
from fuserec.neural.sequence.config import SequenceConfig
from fuserec.neural.sequence.fitted import FittedSequence
from fuserec.scorers.base import Capabilities
from fuserec.scorers.ordered import OrderedScorer
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State

FEWEST_EPOCHS = 6
"""With fewer passes a smaller model learns more."""

SAFE = 0.85
"""Share of a given time that is planned with: judging and the end take some too."""

CHUNK = 512
"""Histories read at a time."""


class Sequence(OrderedScorer):
    """score(q, j) = p(j | history)^sharpness, p = softmax of h(history)·v_j over the items with training interactions.

    Kang, McAuley 2018 ("Self-attentive sequential recommendation"); Sun et al. 2019 ("BERT4Rec"); Hidasi et al. 2016
    ("Session-based recommendations with recurrent neural networks"); Yuan et al. 2019 ("A simple convolutional
    generative network for next item recommendation"). Trained with a softmax over the whole catalogue, as Klenitskiy
    and Vasilev 2023 ("Turning dross into gold loss") found best. An item without training interactions is read and
    scored through its text; without text it abstains. The words of a query are read as if they were an item's, before
    the history. Events of negative weight are neither read nor predicted.
    """

    name: ClassVar[str] = "sequence"
    Config = SequenceConfig
    capabilities: ClassVar[Capabilities] = Capabilities(
        answers=frozenset({"history", "text"}),
        needs=frozenset({"order"}),
        update="refit",
        evidence="attributed",
        trained=True,
    )
    config: SequenceConfig
    _model: FittedSequence

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        shape = self.config
        if shape.item_vectors in ("ids", "initialised"):  # ids alone can neither read words nor new items
            vars(self)["capabilities"] = replace(self.capabilities, answers=frozenset({"history"}))
        attends = shape.architecture in ("transformer", "masked")
        if attends and shape.embedding_dim % shape.heads:
            raise ConfigError(
                f"sequence: heads = {shape.heads} has to divide embedding_dim = {shape.embedding_dim}"
            )

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        require("the scorer sequence")
        from fuserec.neural.sequence.fit import fit_sequence

        self._model = fit_sequence(self.config, train, features, run)

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the scorer with the vectors and epochs that the time allows; a few steps of each size are timed."""
        require("the scorer sequence")
        from fuserec.neural.sequence.fit import seconds_per_epoch

        config, limit = self.config, time.monotonic() + seconds
        for dim in [config.embedding_dim >> halvings for halvings in range(3)]:
            if dim < 2 * config.heads or time.monotonic() > limit:
                break
            if dim % config.heads:
                continue
            sized = config.model_copy(update={"embedding_dim": dim})
            each = seconds_per_epoch(sized, train, features, run)
            epochs = int(SAFE * (limit - time.monotonic()) / each)
            if epochs >= min(FEWEST_EPOCHS, config.epochs):
                epochs = min(epochs, config.epochs)
                said = f"{epochs} epochs of about {each:.1f} s with vectors of {dim}"
                return type(self)(sized.model_copy(update={"epochs": epochs})), said
        return None, f"{seconds:.0f} s are too little for {FEWEST_EPOCHS} epochs of any size"

    def _values(self, indptr: np.ndarray, events: np.ndarray, words: np.ndarray) -> np.ndarray:
        """Return float32 (n, n_items): scores of the whole catalogue after each history; 0 after an empty one."""
        model, n = self._model, indptr.size - 1
        out = np.zeros((n, model.known.size), np.float32)
        filled = np.flatnonzero(np.diff(indptr) > 0)
        for lo in range(0, filled.size, CHUNK):
            rows = filled[lo : lo + CHUNK]
            counts = np.diff(indptr)[rows]
            starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            source = np.arange(int(starts[-1])) + np.repeat(indptr[rows] - starts[:-1], counts)
            ends = model.ends(starts, events[source], words)
            out[rows] = model.probabilities(ends, self.config.sharpness)
        return out

    def state(self) -> State:
        """Return the vectors, the body's weights, and how text becomes vectors."""
        arrays, meta = self._model.state()
        return arrays, {**meta, "item_vectors": self._model.config.item_vectors}

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        own = self.config.model_copy(update={"item_vectors": meta["item_vectors"]})
        self._model = FittedSequence.from_state(own, arrays)
