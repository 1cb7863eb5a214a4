"""FuseRec's side of the training benchmark: the sequence scorer at the sizes of the peer."""

from __future__ import annotations

import numpy as np
import polars as pl
import protocol as p
import training_clock as clock

from fuserec.data.dataset import Dataset, Interactions
from fuserec.data.vocabulary import Vocabulary
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.run import RunOptions
from fuserec.scorers import create

RUN = RunOptions()
ROWS = clock.histories(p.argument())
CONFIG = {
    "architecture": "transformer",
    "item_vectors": "ids",
    "embedding_dim": clock.DIM,
    "blocks": clock.BLOCKS,
    "heads": clock.HEADS,
    "max_length": clock.LENGTH,
    "dropout": clock.DROPOUT,
    "id_dropout": 0.0,
    "loss": "softmax",
    "batch_size": clock.BATCH * clock.LENGTH,  # it counts positions, the peer counts histories
    "learning_rate": clock.RATE,
    "epochs": 1,
    "patience": 0,
    "held_out": 0,
}


def dataset() -> Dataset:
    """Return the histories as a Dataset, the items under the same numbers."""
    items, codes = np.unique(ROWS, return_inverse=True)
    users = np.repeat(np.arange(ROWS.shape[0]), ROWS.shape[1])
    nan = np.full(ROWS.size, np.nan)
    rows = Interactions(
        users.astype(np.int32),
        codes.ravel().astype(np.int32),
        np.ones(ROWS.size, np.float32),
        nan.astype(np.float32),
        nan,
        np.zeros(ROWS.size, np.uint8),
    )
    return Dataset(
        Vocabulary.from_ids([f"u{i}" for i in range(ROWS.shape[0])]),
        Vocabulary.from_ids([f"i{i}" for i in items]),
        rows,
        pl.DataFrame({"title": [""] * items.size}),
        pl.DataFrame({"text": [""] * ROWS.shape[0]}),
        pl.DataFrame(schema={"head": pl.String, "relation": pl.String, "tail": pl.String}),
    )


DATA = dataset()
FEATURES = ItemFeatures.build(DATA, FeatureConfig(use_sentence="never"), RUN)


def train() -> dict[str, float]:
    """Train one epoch over the histories, one step a batch; return what :func:`training_clock.told` says.

    Whoever changes the scorer keeps this: the whole of ``ROWS`` once, ``BATCH`` histories of ``LENGTH`` steps in each
    batch, softmax over the catalogue, nothing held out.
    """
    with clock.ticking() as ticks:
        create("sequence", CONFIG).fit(DATA, FEATURES, RUN)
    return clock.told(ticks, ROWS.shape[0] // clock.BATCH)


if __name__ == "__main__":
    p.serve({"train": train})
