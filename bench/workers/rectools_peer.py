"""RecTools' side of the training benchmark: SASRec with softmax over the catalogue (run in its own environment)."""

from __future__ import annotations

import logging
import os
import warnings

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import numpy as np
import pandas as pd
import protocol as p
import torch
import training_clock as clock
from pytorch_lightning import Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel

torch.set_num_threads(len(os.sched_getaffinity(0)))
ROWS = clock.histories(p.argument())


def dataset() -> Dataset:
    """Return the histories as RecTools takes them; a step is a second."""
    users, steps = np.divmod(np.arange(ROWS.size), ROWS.shape[1])
    when = pd.to_datetime(steps, unit="s")
    table = {Columns.User: users, Columns.Item: ROWS.ravel(), Columns.Weight: 1.0, Columns.Datetime: when}
    return Dataset.construct(pd.DataFrame(table))


DATA = dataset()


def trainer() -> Trainer:
    """Return the trainer of one epoch, without logs, bars and checkpoints."""
    return Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def train() -> dict[str, float]:
    """Train one epoch; RecTools fills its batches up from a shuffled order of its own."""
    torch.manual_seed(0)
    model = SASRecModel(
        n_factors=clock.DIM,
        n_blocks=clock.BLOCKS,
        n_heads=clock.HEADS,
        session_max_len=clock.LENGTH,
        dropout_rate=clock.DROPOUT,
        batch_size=clock.BATCH,
        lr=clock.RATE,
        loss="softmax",
        epochs=1,
        dataloader_num_workers=0,
        verbose=0,
        get_trainer_func=trainer,
    )
    with clock.ticking() as ticks:
        model.fit(DATA)
    return clock.told(ticks, ROWS.shape[0] // clock.BATCH)


if __name__ == "__main__":
    p.serve({"train": train})
