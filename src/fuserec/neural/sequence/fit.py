"""Fitting a sequence model to the histories of a dataset."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.errors import DataError
from fuserec.neural.architectures import body
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, training, wait
from fuserec.neural.items import Items, ItemVectors, items_of
from fuserec.neural.sequence.config import START, SequenceConfig
from fuserec.neural.sequence.fitted import FittedSequence
from fuserec.neural.sequence.model import SequenceModel
from fuserec.neural.sequence.next_item import LossPlan, NextItem
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.neural.windows import Histories
from fuserec.numerics.hashing import normal_rows, reseed

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions

NAME = "sequence"

TRIAL_STEPS = 4
"""Steps that are timed to tell how long an epoch takes."""


@dataclass(frozen=True)
class Prepared:
    """An untrained model and all that it is trained with.

    Parameters
    ----------
    model : SequenceModel
    task : NextItem
    basis : TextBasis or None
        How text is read.
    trained, known : bool (n_items,)
        Items with training interactions; items that will have a vector.
    """

    model: SequenceModel
    task: NextItem
    basis: TextBasis | None
    trained: np.ndarray
    known: np.ndarray


def fit_sequence(
    config: SequenceConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> FittedSequence:
    """Train on the histories of a dataset.

    Raises
    ------
    DataError
        Where no history holds two events to learn an order from.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        ready = _prepared(config, data, features, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(ready.task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return _kept(config, ready)


def seconds_per_epoch(
    config: SequenceConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> float:
    """Return how long an epoch would take, from a few steps of a model that is thrown away."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")) as device:
        ready = _prepared(config, data, features, run)
        batches = ready.task.batches(0)
        sizes = np.array([batch.inputs.size for batch in batches])
        optimizer = torch.optim.AdamW(ready.model.parameters(), fused=True)
        ready.model.train()
        spent, done = 0.0, 0
        for step, batch in enumerate(batches[: TRIAL_STEPS + 1]):
            began = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            ready.task.loss(batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            wait(device)
            if step or len(batches) == 1:  # the first one also loads and allocates
                spent, done = spent + time.perf_counter() - began, done + int(sizes[step])
        return spent * float(sizes.sum()) / max(1, done)


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def _key(config: SequenceConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json"),
        seed=run.seed,
    )


def _prepared(config: SequenceConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> Prepared:
    """Return the untrained model and its task."""
    everything = histories_of(data, NAME)
    counts = np.bincount(everything.items, minlength=data.n_items)
    trained = np.flatnonzero(counts)
    histories, held = keep_some(everything, config.held_out, reseed(data.users.hashes, run.seed))
    basis = None
    if config.item_vectors != "ids":
        basis = TextBasis.fit(features, config.text_dim, config.reads, run.rng(f"{NAME} text"))
    start = START * normal_rows(reseed(data.items.hashes, run.seed), config.embedding_dim)
    start[counts == 0] = 0.0
    text, known = None, counts > 0
    if basis is not None:
        told, heard = basis(features)
        text = torch.from_numpy(told)
    items = items_of(kind_of(config, basis), text, torch.from_numpy(start), config.id_dropout)
    if basis is not None and items.reads_text:
        known = known | heard
    device = device_of(run)
    model = untrained(config, items).to(device)
    model.spread(device)
    task = NextItem(
        model,
        histories,
        held,
        trained,
        counts[trained].astype(np.float64),
        LossPlan(
            config.loss, config.negatives, config.calibration, config.negative_popularity, config.mask_share
        ),
        length=config.max_length,
        batch_size=config.batch_size,
        seed=_seed(run),
        dtype=fast_type(device),
    )
    return Prepared(model, task, basis, counts > 0, known)


def _kept(config: SequenceConfig, ready: Prepared) -> FittedSequence:
    """Return what is needed to answer: the vectors of all items, the body, and how text becomes a vector."""
    with torch.inference_mode():
        vectors = ready.model.items().float().cpu().numpy().copy()
    own = config.model_copy(update={"item_vectors": kind_of(config, ready.basis)})
    weights = {
        name: tensor.float().cpu().numpy()
        for name, tensor in ready.model.state_dict().items()
        if not name.endswith("table")
    }
    return FittedSequence(own, weights, vectors, ready.trained, ready.known, ready.basis)


def kind_of(config: SequenceConfig, basis: TextBasis | None) -> ItemVectors:
    """Return which item vectors are meant where the configuration leaves it open."""
    if basis is None:
        return "ids"
    return "sum" if config.item_vectors == "auto" else config.item_vectors


def untrained(config: SequenceConfig, items: Items) -> SequenceModel:
    """Return the model of a configuration with items and an untrained body."""
    masked = config.architecture == "masked"
    length = config.max_length + masked
    inner = body(
        config.architecture, config.embedding_dim, config.blocks, config.heads, length, config.dropout
    )
    return SequenceModel(items, inner, config.embedding_dim, masked=masked)


def histories_of(data: Dataset, name: str) -> Histories:
    """Return what people took, without what they disliked."""
    rows = data.interactions
    liked = rows.weight > 0
    counts = np.bincount(rows.user[liked], minlength=data.n_users)
    if not (counts > 1).any():
        raise DataError(
            f"{name}: no history holds two events, there is no order to learn: leave this part out"
        )
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Histories(indptr, rows.item[liked].astype(np.int64))


def keep_some(
    histories: Histories, most: int, order: np.ndarray
) -> tuple[Histories, tuple[Histories, np.ndarray] | None]:
    """Return the histories without the last event of a few, and those few with that event as what is asked.

    Which ones is a matter of the users' hashes. An item that nothing else would teach stays in training.
    """
    lengths = histories.lengths
    able = np.flatnonzero(lengths > 2)
    count = min(most, able.size // 10)
    if count == 0:
        return histories, None
    chosen = np.sort(able[np.argsort(order[able], kind="stable")[:count]])
    targets = histories.items[histories.indptr[chosen + 1] - 1]
    taken, asked_for = np.bincount(histories.items), np.bincount(targets)
    taught = taken[targets] > asked_for[targets]
    chosen, targets = chosen[taught], targets[taught]
    if not chosen.size:
        return histories, None
    kept = np.ones(histories.items.size, dtype=bool)
    kept[histories.indptr[chosen + 1] - 1] = False
    lengths = lengths.copy()
    lengths[chosen] -= 1
    rest = Histories(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64), histories.items[kept])
    asked = [rest.items[rest.indptr[u] : rest.indptr[u + 1]] for u in chosen]
    indptr = np.concatenate([[0], np.cumsum([a.size for a in asked])]).astype(np.int64)
    return rest, (Histories(indptr, np.concatenate(asked)), targets)
