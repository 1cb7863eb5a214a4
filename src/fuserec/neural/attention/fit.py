"""Fitting an attention over the history to a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.attention.likeness import NAME, Content, contents_of, likeness, taken_by
from fuserec.neural.attention.model import AttentionPlan, AttentionTask, HistoryAttentionModel
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, lowered, training
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
    from fuserec.neural.attention.config import HistoryAttentionConfig
    from fuserec.neural.attention.fitted import FittedAttention
    from fuserec.numerics.item_similarity import Similarities
    from fuserec.run import RunOptions

SPREAD = 0.1
"""Standard deviation of the numbers that vectors in f start from."""


def fit_attention(
    config: HistoryAttentionConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[FittedAttention, TextBasis | None]:
    """Learn what each event of a history weighs.

    Raises
    ------
    DataError
        Where nobody has two events, or items are to be compared by texts that they do not have.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    contents = contents_of(config, features)
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        task, basis = prepared(config, data, features, contents, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, 0.0, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        rows, shape = data.interactions, (data.n_users, data.n_items)
        taken = taken_by(rows.user, rows.item, rows.weight, shape)
        return task.model.kept(likeness(config, taken, contents, data.items.hashes, run)), basis


def epoch_time(
    config: HistoryAttentionConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> float:
    """Return how many seconds an epoch would take."""
    contents = contents_of(config, features)
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        return seconds_per_epoch(prepared(config, data, features, contents, run)[0])


def prepared(
    config: HistoryAttentionConfig,
    data: Dataset,
    features: ItemFeatures,
    contents: Content,
    run: RunOptions,
) -> tuple[AttentionTask, TextBasis | None]:
    """Return an untrained model and what it is to learn from, and how f reads text.

    What is held out is no part of the similarities either: that somebody took two things is what S is made of.
    """
    nothing = np.full(data.n_interactions, -1, np.int64)
    reading = Reading(config.context, config.decay, 0.0, config.max_length)
    examples = examples_of(data, nothing, np.ones(data.n_items, dtype=bool), reading)
    if not len(examples):
        raise DataError(f"{NAME}: nobody has two events: there is nothing to learn from, leave this part out")
    examples, held = held_apart(examples, config.held_out, reseed(data.users.hashes, run.seed))
    users = np.repeat(np.arange(examples.indptr.size - 1), np.diff(examples.indptr))
    taken = taken_by(users, examples.items, examples.weights, (data.n_users, data.n_items))
    like = likeness(config, taken, contents, data.items.hashes, run)
    counts = np.bincount(examples.items[examples.weights > 0], minlength=data.n_items)
    basis, text = None, np.zeros((data.n_items, 0), np.float32)
    if config.attention != "global" and contents:
        basis = TextBasis.fit(features, config.text_dim, config.reads, run.rng(f"{NAME} text"))
    if basis is not None:
        text = told_by(basis, features.lexical, features.sentence)
    model = HistoryAttentionModel(
        config.attention,
        data.n_items,
        len(like.channels),
        start=_start(config, counts, data, run),
        text=torch.from_numpy(text),
        hidden=config.hidden,
        smoothing=config.smoothing,
        scale=_scale(like),
    ).to(device_of(run))
    # One in 1 + negatives is right: a bias that small steps have to bring there costs epochs.
    torch.nn.init.constant_(model.bias, -float(np.log(config.negatives)))
    negatives = Negatives.of(counts, config.negative_popularity, users, examples.items)
    plan = AttentionPlan(
        reading, config.loss, config.negatives, config.regularization, config.batch_size, _seed(run)
    )
    return AttentionTask(model, like, examples, held, negatives, plan), basis


def _scale(like: Similarities) -> torch.Tensor:
    """Return float32 (n_channels,): one over the root mean square of the similarities above zero, a channel."""
    some = np.maximum((like.values > 0).sum(axis=0), 1)
    size = np.sqrt(np.square(like.values, dtype=np.float64).sum(axis=0) / some)
    return torch.from_numpy(np.where(size > 0, 1.0 / np.maximum(size, 1e-12), 1.0).astype(np.float32))


def _start(
    config: HistoryAttentionConfig, counts: np.ndarray, data: Dataset, run: RunOptions
) -> torch.Tensor | None:
    """Return where vectors in f begin: small, and zero for items that nobody has taken."""
    if config.attention == "global":
        return None
    start = SPREAD * normal_rows(reseed(data.items.hashes, run.seed), 2 * config.embedding_dim)
    start[counts == 0] = 0.0
    return torch.from_numpy(start.astype(np.float32))


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def _key(config: HistoryAttentionConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other; what acts on queries alone is left out."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json", exclude={"recency", "text_weight", "score"}),
        seed=run.seed,
    )
