"""Fitting neural collaborative filtering to a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.collaborative.model import NeuralCFModel
from fuserec.neural.collaborative.task import NCFPlan, Rated, RatedTask, TakenTask
from fuserec.neural.device import device_of, lowered, training
from fuserec.neural.negatives import Negatives
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.semantic.examples import Reading, examples_of, held_apart, words_before
from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import normal_rows, reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.collaborative.config import NeuralCFConfig
    from fuserec.neural.collaborative.fitted import FittedNCF
    from fuserec.run import RunOptions

NAME = "neural_cf"

SPREAD = 0.1
"""Standard deviation of the numbers that vectors of items start from."""

SPREAD_NETWORK = 0.5
"""The same of those that the network reads: where they are small beside its biases, it takes epochs to see them."""

EVERYTHING = 1_000_000
"""Events of a history that are read where there is no limit."""


def fit_ncf(
    config: NeuralCFConfig, data: Dataset, features: ItemFeatures, rated: Rated | None, run: RunOptions
) -> FittedNCF:
    """Train on what people took, or on ``rated`` where that is given.

    Raises
    ------
    DataError
        Where nobody has two events, nor words before one.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "negatives")):
        task, basis = prepared(config, data, features, rated, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, 0.0, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return task.model.kept(basis)


def epoch_time(
    config: NeuralCFConfig, data: Dataset, features: ItemFeatures, rated: Rated | None, run: RunOptions
) -> float:
    """Return how many seconds an epoch would take."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "negatives")):
        return seconds_per_epoch(prepared(config, data, features, rated, run)[0])


def prepared(
    config: NeuralCFConfig, data: Dataset, features: ItemFeatures, rated: Rated | None, run: RunOptions
) -> tuple[TakenTask | RatedTask, TextBasis | None]:
    """Return an untrained model and what it is to learn from, and how text is read."""
    basis, text = None, np.zeros((data.n_items, 0), np.float32)
    if config.reads != "nothing":
        basis = TextBasis.fit(features, config.text_dim, config.reads, run.rng(f"{NAME} text"))
    if basis is not None:
        text = told_by(basis, features.lexical, features.sentence)
    if rated is not None:
        counts = np.bincount(rated.items, minlength=data.n_items)
        model = _model(config, counts, text, data, run)
        reading = Reading("others", 1.0, config.normalization, EVERYTHING)
        return RatedTask(model, rated, _plan(config, reading, run)), basis
    return _of_taken(config, data, features, text, basis, run), basis


def _of_taken(
    config: NeuralCFConfig,
    data: Dataset,
    features: ItemFeatures,
    text: np.ndarray,
    basis: TextBasis | None,
    run: RunOptions,
) -> TakenTask:
    """Return an untrained model, and what was taken."""
    words, rows = words_before(data, features, run) if basis is not None else (None, None)
    said = np.zeros((0, text.shape[1]), np.float32)
    if words is not None and basis is not None and rows is not None:
        said = told_by(basis, words.lexical, words.sentence)
        rows = np.where((rows >= 0) & np.asarray(said.any(axis=1))[np.maximum(rows, 0)], rows, -1)
    else:
        rows = np.full(data.n_interactions, -1, np.int64)
    reading = Reading(config.context, config.decay, config.normalization, config.max_length)
    examples = examples_of(data, rows, np.ones(data.n_items, dtype=bool), reading)
    if not len(examples):
        raise DataError(
            f"{NAME}: nobody has two events, or words before one: there is nothing to learn from, leave this part out"
        )
    examples, held = held_apart(examples, config.held_out, reseed(data.users.hashes, run.seed))
    users = np.repeat(np.arange(examples.indptr.size - 1), np.diff(examples.indptr))
    counts = np.bincount(examples.items[examples.weights > 0], minlength=data.n_items)
    negatives = Negatives.of(counts, config.negative_popularity, users, examples.items)
    model = _model(config, counts, text, data, run)
    # One in 1 + negatives is right: a bias that small steps have to bring there costs epochs.
    torch.nn.init.constant_(model.base, -float(np.log(config.negatives)))
    return TakenTask(model, examples, held, said, negatives, _plan(config, reading, run), basis)


def _plan(config: NeuralCFConfig, reading: Reading, run: RunOptions) -> NCFPlan:
    """Return how it is taught."""
    return NCFPlan(
        reading, config.negatives, config.regularization, config.as_words, config.batch_size, _seed(run)
    )


def _model(
    config: NeuralCFConfig, counts: np.ndarray, text: np.ndarray, data: Dataset, run: RunOptions
) -> NeuralCFModel:
    """Return an untrained model; a row of its tables depends on the id of the item and the seed alone."""
    width = {"neumf": config.embedding_dim + config.mlp_dim, "mlp": 2 * config.mlp_dim}
    columns = width.get(config.form, config.embedding_dim)
    read = np.full(columns, SPREAD)
    if config.form in width:
        read[-config.mlp_dim :] = SPREAD_NETWORK
    start = np.tile(read, 2) * normal_rows(reseed(data.items.hashes, run.seed), 2 * columns)
    start[counts == 0] = 0.0
    model = NeuralCFModel(
        torch.from_numpy(start.astype(np.float32)),
        torch.from_numpy(counts > 0),
        torch.from_numpy(text),
        config.form,
        config.mlp_dim,
        config.hidden,
        config.id_dropout,
    )
    return model.to(device_of(run))


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def _key(config: NeuralCFConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other; what acts on queries alone is left out."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json", exclude={"recency", "score"}),
        seed=run.seed,
    )
