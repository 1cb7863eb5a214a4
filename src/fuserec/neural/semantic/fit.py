"""Fitting a semantic softmax to a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, training
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.semantic.examples import Examples, Reading, examples_of, held_apart, words_before
from fuserec.neural.semantic.fitted import FittedTowers, told_by
from fuserec.neural.semantic.model import SemanticTask, TowerPlan, Towers
from fuserec.neural.sequence.config import START
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import normal_rows, reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.semantic.config import SemanticSoftmaxConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "semantic_softmax"


def fit_semantic(
    config: SemanticSoftmaxConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> FittedTowers:
    """Train the towers on what people took.

    Raises
    ------
    DataError
        Where nobody has two events, nor words before one.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "embedding_dim")):
        task, basis = prepared(config, data, features, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return kept(task, basis)


def reading_of(config: SemanticSoftmaxConfig) -> Reading:
    """Return how x is made of events in training."""
    power = 1.0 if config.history == "content" else config.normalization
    return Reading(config.context, config.decay, power, config.max_length)


def epoch_time(
    config: SemanticSoftmaxConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> float:
    """Return how long an epoch would take, from a few steps of towers that are thrown away."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "embedding_dim")):
        return seconds_per_epoch(prepared(config, data, features, run)[0])


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def prepared(
    config: SemanticSoftmaxConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[SemanticTask, TextBasis | None]:
    """Return untrained towers and what they are to learn from, and how text is read."""
    basis = TextBasis.fit(features, config.embedding_dim, config.reads, run.rng(f"{NAME} text"))
    text = _texts(features, basis)
    semantic, by_id = config.targets != "ids" and basis is not None, config.targets != "text" or basis is None
    if basis is None:
        log.warning("%s: the items have too little text, ids and histories alone are learnt", NAME)
    allowed = np.ones(data.n_items, dtype=bool) if by_id else np.asarray(text.any(axis=1))
    words, rows = words_before(data, features, run)
    said = np.zeros((0, text.shape[1]), np.float32)
    if words is not None and basis is not None:
        said = told_by(basis, words.lexical, words.sentence)
        rows = np.where((rows >= 0) & np.asarray(said.any(axis=1))[np.maximum(rows, 0)], rows, -1)
    else:
        rows = np.full(rows.size, -1, np.int64)
    reading = reading_of(config)
    examples = examples_of(data, rows, allowed, reading)
    if not len(examples):
        raise DataError(
            f"{NAME}: nobody has two events, or words before one: there is nothing to learn from, leave this part out"
        )
    examples, held = held_apart(examples, config.held_out, reseed(data.users.hashes, run.seed))
    history = config.history if basis is not None else "items"
    device = device_of(run)
    model = Towers(
        torch.from_numpy(text),
        _start(examples, data, text.shape[1] if semantic else config.embedding_dim, run) if by_id else None,
        semantic=semantic,
        history=history,
        hidden=config.id_dropout,
    ).to(device)
    plan = TowerPlan(
        reading,
        config.loss,
        config.negatives,
        config.negative_popularity,
        config.dropout,
        config.as_words,
        config.batch_size,
        _seed(run),
    )
    return SemanticTask(model, examples, held, said, plan, fast_type(device)), basis


def _start(examples: Examples, data: Dataset, dim: int, run: RunOptions) -> torch.Tensor:
    """Return where trainable y begin: small, and zero for items that are never predicted."""
    start = START * normal_rows(reseed(data.items.hashes, run.seed), dim)
    start[np.bincount(examples.targets, minlength=data.n_items) == 0] = 0.0
    return torch.from_numpy(start)


def _texts(features: ItemFeatures, basis: TextBasis | None) -> np.ndarray:
    """Return float32 (n_items, k): what the items' texts say, of unit length; k is 0 without any."""
    if basis is None:
        return np.zeros((features.n_items, 0), np.float32)
    return told_by(basis, features.lexical, features.sentence)


@torch.inference_mode()
def kept(task: SemanticTask, basis: TextBasis | None) -> FittedTowers:
    """Return what is needed to answer.

    An item that no x held in training is read through its text, as words are where x is items alone.
    """
    model = task.model
    targets = model.targets().float().cpu().numpy().copy()
    text, words = task.text, model.by_words.cpu().numpy().copy()
    unread = words if model.by_text is None else model.by_text.cpu().numpy().copy()
    read = np.zeros_like(targets) if model.by_item is None else model.by_item.cpu().numpy().copy()
    told = text @ unread
    read = (
        np.where(np.asarray(read.any(axis=1))[:, None], read, told) if model.by_text is None else read + told
    )
    trained = np.zeros(targets.shape[0], dtype=bool)
    trained[task.trained] = True
    known = trained | text.any(axis=1) if model.scale else trained
    return FittedTowers(
        np.ascontiguousarray(read, np.float32),
        targets,
        known,
        trained,
        words,
        unread,
        basis,
        bool(model.scale),
    )


def _key(config: SemanticSoftmaxConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other; what acts on queries alone is left out."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json", exclude={"recency"}),
        seed=run.seed,
    )
