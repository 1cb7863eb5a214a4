"""Fitting a joint model to a dataset."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, training
from fuserec.neural.joint.config import HEADS
from fuserec.neural.joint.fitted import FittedJoint, Ratings
from fuserec.neural.joint.losses import ascending
from fuserec.neural.joint.model import JointModel, Shape, Tower
from fuserec.neural.joint.pairs import Histories, impression_pairs, interaction_pairs, kept_apart
from fuserec.neural.joint.task import JointTask, Material
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.semantic.examples import words_before
from fuserec.neural.semantic.fitted import told_by
from fuserec.neural.sequence.config import START
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import normal_rows, reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.joint.config import JointConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "joint"

MOST_LEVELS = 20
"""Ratings with more levels are no levels but numbers."""


def fit_joint(config: JointConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> FittedJoint:
    """Train all losses together.

    Raises
    ------
    DataError
        Where there is nothing to learn from, or ratings are asked for that the data do not have.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "negatives")):
        task, basis = prepared(config, data, features, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return kept(task, basis)


def epoch_time(config: JointConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> float:
    """Return how long an epoch would take, from a few steps of a model that is thrown away."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "negatives")):
        return seconds_per_epoch(prepared(config, data, features, run)[0])


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def prepared(
    config: JointConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[JointTask, TextBasis | None]:
    """Return an untrained model and what it is to learn from, and how text is read."""
    basis = TextBasis.fit(features, config.embedding_dim, config.reads, run.rng(f"{NAME} text"))
    text = np.zeros((features.n_items, 0), np.float32)
    if basis is not None:
        text = told_by(basis, features.lexical, features.sentence)
    elif config.lambda_content > 0:
        log.warning("%s: the items have too little text, the content loss is left out", NAME)
    heads = {**config.lambdas, "content": config.lambda_content if basis is not None else 0.0}
    if not any(heads.values()):
        raise DataError(
            f"{NAME}: the content loss alone is asked for, and the items have too little text: set lambda_deep or "
            "lambda_feedback above 0, or leave this part out"
        )
    material = _material(config, data, features, basis, run)
    device = device_of(run)
    shape = Shape(
        heads,
        config.hidden if config.head == "mlp" else 0,
        config.weights == "learnt",
        config.weight_limit,
        material.ratings.size if config.likelihood == "ordinal" else 0,
        config.id_dropout,
        _seed(run),
    )
    model = JointModel(torch.from_numpy(text), _start(material, data, config, run), shape).to(device)
    return JointTask(model, material, config, _seed(run), fast_type(device)), basis


def _material(
    config: JointConfig, data: Dataset, features: ItemFeatures, basis: TextBasis | None, run: RunOptions
) -> Material:
    """Return the pairs, what is held out of them, and the ratings' scale."""
    words, rows = words_before(data, features, run)
    said = np.zeros((0, 0), np.float32)
    if words is not None and basis is not None:
        said = told_by(basis, words.lexical, words.sentence)
        rows = np.where((rows >= 0) & np.asarray(said.any(axis=1))[np.maximum(rows, 0)], rows, -1)
    else:
        rows = np.full(rows.size, -1, np.int64)
    table = data.interactions
    hidden = np.zeros(len(table), dtype=bool)
    histories = Histories(table.item.astype(np.int64), table.weight, rows, hidden)
    pairs, shown = interaction_pairs(data, rows, config.context), impression_pairs(data, rows)
    if not (pairs.place > pairs.lo).any() and not (rows >= 0).any():
        raise DataError(
            f"{NAME}: nobody has two events, or words before one: there is nothing to learn from, leave this part out"
        )
    order = reseed(data.users.hashes, run.seed)
    pairs, shown, held, histories = kept_apart(pairs, shown, histories, data, config.held_out, order)
    ratings = pairs.rating[np.isfinite(pairs.rating)]
    levels = _levels(config, ratings)
    unit = float(ratings.std()) if ratings.size else 1.0
    centre = float(ratings.mean()) if ratings.size else 0.0
    return Material(pairs, shown, held, histories, said, levels, centre, unit if unit > 0 else 1.0)


def _levels(config: JointConfig, ratings: np.ndarray) -> np.ndarray:
    """Return float32: the ratings that there are, where a likelihood of ratings asks for them.

    Raises
    ------
    DataError
        Where there are none, or too many to be levels.
    """
    if config.likelihood == "bernoulli" or config.deep_loss == "next_item" or config.lambda_deep == 0:
        return np.empty(0, np.float32)
    levels = np.unique(ratings)
    if levels.size < 2:
        raise DataError(
            f"{NAME}: likelihood = {config.likelihood!r} needs ratings, of which the data have {levels.size} different "
            'ones: set likelihood = "bernoulli"'
        )
    if config.likelihood == "ordinal" and levels.size > MOST_LEVELS:
        raise DataError(
            f"{NAME}: likelihood = 'ordinal' takes at most {MOST_LEVELS} levels, the ratings have {levels.size}: "
            'set likelihood = "gaussian"'
        )
    return levels.astype(np.float32)


def _start(material: Material, data: Dataset, config: JointConfig, run: RunOptions) -> torch.Tensor:
    """Return where ids begin: small, and zero for items that are never judged."""
    start = START * normal_rows(reseed(data.items.hashes, run.seed), config.embedding_dim)
    judged = np.zeros(data.n_items, dtype=bool)
    judged[material.pairs.item], judged[material.shown.item] = True, True
    start[~judged] = 0.0
    return torch.from_numpy(start)


@torch.inference_mode()
def kept(task: JointTask, basis: TextBasis | None) -> FittedJoint:
    """Return what is needed to answer; an item that no user held in training is read through its text alone."""
    model, text = task.model, task.text
    d = model.constant.numel()
    described, ids = model.items()
    weights = np.array([model.balance.weights().get(head, 0.0) for head in HEADS])
    offsets = np.zeros(3, np.float32)
    state, absent = np.eye(d, dtype=np.float32), np.zeros((0, 0), np.float32)
    if "deep" in model.heads:
        offsets[1] = float(model.offset_deep)
    if "feedback" in model.heads:
        offsets[2], state = float(model.offset_feedback), _array(model.state)
    trained = np.zeros(text.shape[0], dtype=bool)
    trained[task.trained] = True
    by_text = _array(model.by_text)
    told = np.asarray(text.any(axis=1))
    ratings, config = task.material.ratings, task.config
    thresholds = np.empty(0, np.float32)
    if ratings.size and config.likelihood == "ordinal":
        thresholds = _array(ascending(model.steps))
    kind = config.likelihood if ratings.size else ""
    return FittedJoint(
        read=(_array(model.by_item_table) + text @ by_text).astype(np.float32),
        constant=_array(model.constant),
        described=_array(described),
        ids=np.zeros((text.shape[0], d), np.float32) if ids is None else _array(ids),
        known=told if ids is None else told | trained,
        trained=trained & told if ids is None else trained,
        words=_array(model.by_words),
        unread=by_text,
        features=_array(model.features),
        common=_array(model.common),
        state=state,
        weights=weights / weights.sum(),
        offsets=offsets,
        tower_u=_tower(model.tower_u, absent),
        tower_j=_tower(model.tower_j, absent),
        ratings=Ratings(kind, ratings, thresholds, task.material.centre, task.material.unit),
        basis=basis,
    )


def _array(tensor: torch.Tensor) -> np.ndarray:
    """Return a copy of a tensor."""
    return np.array(tensor.detach().float().cpu().numpy())


def _tower(tower: Tower | None, absent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrices of a tower, empty ones for none."""
    if tower is None:
        return absent, absent, absent
    return _array(tower.first), _array(tower.bias), _array(tower.second)


def _key(config: JointConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other; what acts on queries alone is left out."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json", exclude={"recency", "score", "sharpness"}),
        seed=run.seed,
    )
