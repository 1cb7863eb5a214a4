"""Fitting semantic ids, and a generator of them, to the histories of a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from fuserec.encoders.codes import SemanticIds, codebook_size
from fuserec.errors import DataError
from fuserec.neural.architectures import body
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, training
from fuserec.neural.generative.fitted import FittedGenerative
from fuserec.neural.generative.model import Branches, CodedItems, Decoder, Generator, node_counts
from fuserec.neural.generative.task import NextId
from fuserec.neural.generative.trie import Trie
from fuserec.neural.items import Ids, Items, Sum, Text
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.sequence.config import START
from fuserec.neural.sequence.fit import histories_of, keep_some
from fuserec.neural.sequence.model import SequenceModel
from fuserec.neural.text_basis import TextBasis
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import normal_rows, reseed
from fuserec.numerics.linear_map import leading_directions

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.generative.config import GenerativeConfig
    from fuserec.run import RunOptions

NAME = "generative"


@dataclass(frozen=True)
class Prepared:
    """An untrained generator and all that it is trained with.

    Parameters
    ----------
    config : GenerativeConfig
    model : Generator
    ids : SemanticIds
    basis : TextBasis or None
        How text beside the digits is read.
    """

    config: GenerativeConfig
    model: Generator
    ids: SemanticIds
    basis: TextBasis | None

    @torch.inference_mode()
    def kept(self) -> FittedGenerative:
        """Return the model as it answers."""
        reader = self.model.reader
        training_now = reader.training
        vectors = reader.eval().items().float().cpu().numpy() * self.ids.coded[:, None]
        reader.train(training_now)
        weights = {
            short: tensor.float().cpu().numpy().copy()
            for name, tensor in self.model.state_dict().items()
            if (short := _short(name))
        }
        return FittedGenerative(self.config, weights, vectors.astype(np.float32), self.ids, self.basis)


def fit_generative(
    config: GenerativeConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> FittedGenerative:
    """Make ids and train on the histories of a dataset.

    Raises
    ------
    DataError
        Where no history holds two events to learn an order from, or items have nothing to make ids of.
    ConfigError
        Where the loss is no longer a number, or the device is not there.
    """
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        ready, task = prepared(config, data, features, run)
        plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, config.patience)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))
        return ready.kept()


def epoch_time(config: GenerativeConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> float:
    """Return how long an epoch would take, from a few steps of a generator that is thrown away."""
    with training(_seed(run), run, NAME, lowered(config, "batch_size", "max_length")):
        return seconds_per_epoch(prepared(config, data, features, run)[1])


def _short(name: str) -> str:
    """Return what a weight is called in the fitted model; nothing for what is in its vectors already."""
    for long, short in (
        ("reader.body.", "body."),
        ("reader.items.digits.", "digits."),
        ("reader.items.beside.text.map.", "text.map."),
        ("reader.items.beside.map.", "text.map."),
        ("decoder.", "decoder."),
    ):
        if name.startswith(long):
            return short + name.removeprefix(long)
    return ""


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def _key(config: GenerativeConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other."""
    return key_of(
        data=data.fingerprint,
        features=features.config.model_dump(mode="json"),
        encoder=None if features.sentence_encoder is None else features.sentence_encoder.fingerprint,
        config=config.model_dump(mode="json", exclude={"beam", "sharpness"}),
        seed=run.seed,
    )


def ids_of(config: GenerativeConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> SemanticIds:
    """Return the semantic ids of a catalogue, from text and from who took what."""
    return SemanticIds.fit(
        features.lexical,
        features.sentence,
        config.levels,
        codebook_size(data.n_items, config.codebook_size),
        run.rng(f"{NAME} codes"),
        behaviour_vectors(data, config.behaviour_dim, run.rng(f"{NAME} behaviour")),
        config.behaviour_share,
    )


def behaviour_vectors(data: Dataset, dim: int, rng: np.random.Generator) -> np.ndarray:
    """Return float32 (n_items, ≤ dim): right singular vectors, times singular values, of who took what.

    Each interaction counts 1 / √(items of its user · users of its item), so that neither heavy users nor popular items
    make up the leading directions.
    """
    taken = data.matrix().maximum(0).sign().tocsr().astype(np.float32)
    per_user = np.maximum(np.diff(taken.indptr), 1)
    per_item = np.maximum(np.bincount(taken.indices, minlength=taken.shape[1]), 1)
    taken.data /= np.sqrt(np.repeat(per_user, np.diff(taken.indptr)) * per_item[taken.indices])
    found = leading_directions(taken, dim, rng)
    return np.asarray(found * np.linalg.norm(taken @ found, axis=0), np.float32)


def prepared(
    config: GenerativeConfig, data: Dataset, features: ItemFeatures, run: RunOptions
) -> tuple[Prepared, NextId]:
    """Return the untrained generator and its task."""
    everything = histories_of(data, NAME)
    counts = np.bincount(everything.items, minlength=data.n_items)
    histories, held = keep_some(everything, config.held_out, reseed(data.users.hashes, run.seed))
    ids = ids_of(config, data, features, run)
    if not ids.coded.any():
        raise DataError(
            f"{NAME}: items have neither text nor a share of behaviour to make ids of: give them titles, or set "
            "behaviour_share above 0"
        )
    trie = Trie.of(ids.digits)
    basis = None
    if config.beside in ("text", "both"):
        basis = TextBasis.fit(features, config.text_dim, "sentence", run.rng(f"{NAME} text"))
    device = device_of(run)
    items = CodedItems(
        torch.from_numpy(ids.digits.astype(np.int64)),
        ids.sizes,
        _beside(config, data, features, run, counts, basis),
        config.embedding_dim,
    )
    inner = body(
        "transformer", config.embedding_dim, config.blocks, config.heads, config.max_length, config.dropout
    )
    starts = [np.log1p(found) for found in node_counts(trie, counts)]
    decoder = Decoder(config.embedding_dim, ids.sizes, starts, config.own_dim, config.dropout)
    model = Generator(SequenceModel(items, inner, config.embedding_dim, masked=False), decoder).to(device)
    ready = Prepared(config, model, ids, basis)
    task = NextId(
        model,
        Branches.of(trie, counts, device),
        ids.digits,
        histories,
        held,
        ready.kept,
        length=config.max_length,
        batch_size=config.batch_size,
        seed=_seed(run),
        smoothing=config.label_smoothing,
        dtype=fast_type(device),
    )
    return ready, task


def _beside(
    config: GenerativeConfig,
    data: Dataset,
    features: ItemFeatures,
    run: RunOptions,
    counts: np.ndarray,
    basis: TextBasis | None,
) -> Items | None:
    """Return what items are read by beside their digits."""
    start = None
    if config.beside in ("ids", "both"):
        start = torch.from_numpy(
            START * normal_rows(reseed(data.items.hashes, run.seed), config.embedding_dim)
        )
        start[torch.from_numpy(counts == 0)] = 0.0
    if basis is None:
        return None if start is None else Ids(start)
    text = Text(torch.from_numpy(basis(features)[0]), config.embedding_dim)
    return text if start is None else Sum(text, start, 0.0)
