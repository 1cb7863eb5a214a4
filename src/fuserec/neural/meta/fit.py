"""Fitting a meta-learned scorer to a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, lowered, training
from fuserec.neural.meta.model import MetaModel, MetaPlan, MetaTask
from fuserec.neural.negatives import Negatives
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.semantic.examples import Reading, examples_of, held_apart
from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import normal_rows, reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.meta.config import MetaLearnedConfig
    from fuserec.neural.meta.fitted import FittedMeta
    from fuserec.run import RunOptions

NAME = "meta_learned"

SPREAD = 0.1
"""Standard deviation of the numbers that vectors of items start from."""


def fit_meta(config: MetaLearnedConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> FittedMeta:
    """Train on what people took after a few events.

    Raises
    ------
    DataError
        Where nobody has two events.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        task, basis = prepared(config, data, features, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, 0.0, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return task.model.kept(task.background, config.local_steps, config.local_rate, basis)


def epoch_time(config: MetaLearnedConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> float:
    """Return how many seconds an epoch would take."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        return seconds_per_epoch(prepared(config, data, features, run)[0])


def prepared(
    config: MetaLearnedConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[MetaTask, TextBasis | None]:
    """Return an untrained model and what it is to learn from, and how text is read."""
    basis, text = None, np.zeros((data.n_items, 0), np.float32)
    if config.reads != "nothing":
        basis = TextBasis.fit(features, config.text_dim, config.reads, run.rng(f"{NAME} text"))
    if basis is not None:
        text = told_by(basis, features.lexical, features.sentence)
    nothing = np.full(data.n_interactions, -1, np.int64)
    reading = Reading("earlier", 1.0, 0.0, config.max_length)
    examples = examples_of(data, nothing, np.ones(data.n_items, dtype=bool), reading)
    if not len(examples):
        raise DataError(f"{NAME}: nobody has two events: there is nothing to learn from, leave this part out")
    examples, held = held_apart(examples, config.held_out, reseed(data.users.hashes, run.seed))
    users = np.repeat(np.arange(examples.indptr.size - 1), np.diff(examples.indptr))
    counts = np.bincount(examples.items[examples.weights > 0], minlength=data.n_items)
    negatives = Negatives.of(counts, config.negative_popularity, users, examples.items)
    start = SPREAD * normal_rows(reseed(data.items.hashes, run.seed), config.embedding_dim)
    start[counts == 0] = 0.0
    model = MetaModel(
        torch.from_numpy(start.astype(np.float32)),
        torch.from_numpy(counts > 0),
        torch.from_numpy(text),
        config.hidden,
        config.id_dropout,
    ).to(device_of(run))
    # One in 1 + negatives is right: a bias that small steps have to bring there costs epochs.
    torch.nn.init.constant_(model.base, -float(np.log(config.negatives)))
    plan = MetaPlan(
        config.max_length,
        config.local_steps,
        config.local_rate,
        config.first_order,
        config.negatives,
        config.regularization,
        config.batch_size,
        _seed(run),
    )
    background = _background(config, counts, data, run)
    return MetaTask(model, examples, held, negatives, background, plan), basis


def _background(config: MetaLearnedConfig, counts: np.ndarray, data: Dataset, run: RunOptions) -> np.ndarray:
    """Return int64 (b,): items drawn once, without repeats, in proportion to count^negative_popularity.

    Which ones depends on their ids (Efraimidis, Spirakis 2006, "Weighted random sampling with a reservoir").
    """
    able = np.flatnonzero(counts)
    hashes = reseed(reseed(data.items.hashes, run.seed), 1)[able]
    uniform = ((hashes >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    keys = np.log(uniform) / np.power(counts[able].astype(np.float64), config.negative_popularity)
    return np.sort(able[np.argsort(-keys, kind="stable")[: config.background]]).astype(np.int64)


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def _key(config: MetaLearnedConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json"),
        seed=run.seed,
    )
