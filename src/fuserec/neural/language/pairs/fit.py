"""Fitting a language model to pairs."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.encoders import convert
from fuserec.encoders.base import WeightsError
from fuserec.encoders.sentence import located
from fuserec.errors import DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, seed_generators, training
from fuserec.neural.language.augmentation import augmentation_of
from fuserec.neural.language.augmentation_config import AugmentationConfig
from fuserec.neural.language.backbone import Backbone, open_backbone
from fuserec.neural.language.heads import head_class
from fuserec.neural.language.heads.base import Labels
from fuserec.neural.language.pairs.examples import PairSource, held_apart, labelled
from fuserec.neural.language.pairs.fitted import FittedPair, NumericHead
from fuserec.neural.language.pairs.model import PairModel, joint_of
from fuserec.neural.language.pairs.reader import Kept, Reader
from fuserec.neural.language.pairs.self_training import PseudoPairs, self_trained
from fuserec.neural.language.pairs.task import Pairing, PairTask, accuracy, best_threshold
from fuserec.neural.language.pairs.text import Descriptions
from fuserec.neural.language.tuning import merged, sizes, tune
from fuserec.neural.language.tuning_config import MERGED
from fuserec.neural.pacing import seconds_per_epoch
from fuserec.neural.training import Plan, train
from fuserec.numerics.hashing import reseed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.neural.language.augmentation import Augmentation
    from fuserec.neural.language.pairs.config import LanguagePairConfig
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "language_pair"


def fit_pairs(
    config: LanguagePairConfig,
    data: Dataset,
    features: ItemFeatures,
    run: RunOptions,
    offsets: np.ndarray | None,
) -> FittedPair:
    """Train the language model and its heads, and read the catalogue with it.

    Parameters
    ----------
    config, data, features, run
    offsets : float32 (n_events,), optional
        What ids alone say of the rating of each event.

    Raises
    ------
    DataError
        Where there is nothing to learn from.
    ConfigError
        Where the loss is no longer a number, the device is not there, or its memory is too small.
    WeightsError
        Where the language model cannot be read.
    """
    with training(_seed(run), run, NAME, _lower(config)):
        task = prepared(config, data, features, run, offsets)
        key = "" if run.checkpoints is None else _key(config, data, features, run)
        trained, every = sizes(task.model)
        log.info("%s: %s of %s weights are trained", NAME, f"{trained:,}", f"{every:,}")
        _train(task, config, run, key)

        def successor(turn: int, pseudo: PseudoPairs) -> PairTask:
            seed_generators(device_of(run), _seed(run))
            other = prepared(config, data, features, run, offsets, pseudo)
            _train(other, config, run, f"{key}-{turn}")
            return other

        task, rounds = self_trained(task, config.self_training, successor, run.rng(f"{NAME} unlabelled"))
        return _kept(config, task, run, rounds)


def _train(task: PairTask, config: LanguagePairConfig, run: RunOptions, key: str) -> None:
    """Train a model in place."""
    rates = {"heads.": config.head_rate}
    plan = Plan(
        NAME, config.epochs, config.learning_rate, config.regularization, config.patience, rates=rates
    )
    train(task, plan, run, Checkpoint(run.checkpoints, NAME, key))


def seconds_per_event(
    config: LanguagePairConfig,
    data: Dataset,
    features: ItemFeatures,
    run: RunOptions,
    offsets: np.ndarray | None,
) -> tuple[float, int]:
    """Return how long an event takes, from a few steps of a model that is thrown away, and the events of an epoch."""
    config = config.model_copy(update={"augmentation": AugmentationConfig()})  # nobody is asked for that
    with training(_seed(run), run, NAME, _lower(config)):
        task = prepared(config, data, features, run, offsets)
        return seconds_per_epoch(task) / task.events, task.events


def _lower(config: LanguagePairConfig) -> str:
    """Return what to lower where a GPU is too small."""
    return f"{lowered(config, 'batch_size', 'user_length', 'item_length')}, or tune last_layers"


def _seed(run: RunOptions) -> int:
    """Return the seed of everything that PyTorch draws."""
    return int(run.rng(NAME).integers(2**31))


def prepared(
    config: LanguagePairConfig,
    data: Dataset,
    features: ItemFeatures,
    run: RunOptions,
    offsets: np.ndarray | None,
    pseudo: PseudoPairs | None = None,
) -> PairTask:
    """Return the untrained model and what it is to learn from."""
    labels = {name: head_class(name).labels(data) for name in config.heads}
    if offsets is not None and "rating" in labels:
        told = labels["rating"]
        labels["rating"] = Labels(told.values, told.known, offsets, told.names)
    backbone = opened(config, run)
    described = Descriptions.of(
        data, features.config.text, lambda texts: _counts(backbone, texts), config.user_length, config.user
    )
    if not described.known.any():
        raise DataError(
            f"{NAME}: no item of {data.info.name!r} has a text: there is nothing to read, leave this part out"
        )
    source = PairSource(data, described, labels, config.negative_popularity, config.negatives_near)
    hashes = reseed(data.users.hashes, run.seed)
    hidden = None
    if config.labels is None:
        apart, held = held_apart(source, config.held_out, hashes)
    else:
        apart, held, hidden = labelled(source, config.labels, hashes)
    if not source.at.size:
        raise DataError(
            f"{NAME}: nobody of {data.info.name!r} has an event that comes after a liking or after words, of items "
            "with a text: there is nothing to learn from, leave this part out"
        )
    varied = _augmentation(config, source, apart, backbone, run)
    events = min(config.examples or apart.size, apart.size)
    tune(backbone, config.tuning, max(1, config.epochs * -(-events // config.batch_size)))
    device = device_of(run)
    model = PairModel(backbone, labels, config).to(device)
    model.fast = fast_type(device)
    plan = Pairing(
        config.heads,
        config.main,
        config.loss,
        config.negatives,
        config.examples,
        config.batch_size,
        _seed(run),
        config.adversarial,
    )
    return PairTask(model, source, apart, held, plan, varied, hidden, pseudo)


def _augmentation(
    config: LanguagePairConfig, source: PairSource, apart: np.ndarray, backbone: Backbone, run: RunOptions
) -> Augmentation | None:
    """Return how texts are varied: those of the items that training events name, and what their people said."""
    if config.augmentation.kind == "none":
        return None
    items = [source.described.texts[i] for i in source.data.interactions.item[apart]]
    people = list(dict.fromkeys(source.words(apart)))
    return augmentation_of(config.augmentation, items, people, lambda texts: backbone.encode(texts, run), run)


def opened(config: LanguagePairConfig, run: RunOptions) -> Backbone:
    """Return the pretrained language model."""
    longest = (
        config.user_length + config.item_length
        if config.form == "cross"
        else max(config.user_length, config.item_length)
    )
    backbone = open_backbone(
        config.model, run, revision=config.revision, pooling=config.pooling, max_length=longest
    )
    if getattr(backbone.tokenizer, "backend_tokenizer", None) is None:
        raise WeightsError(
            f"{NAME}: the tokenizer of {config.model!r} is not one that can be kept (no tokenizer.json): save it as a "
            "fast tokenizer, or name another model"
        )
    return backbone


def _counts(backbone: Backbone, texts: Sequence[str]) -> np.ndarray:
    """Return int64 (n,): tokens of each text, without what opens and closes it."""
    told = backbone.tokenizer(
        [t.encode("utf-8", "replace").decode() for t in texts], add_special_tokens=False
    )
    return np.array([len(ids) for ids in told["input_ids"]], dtype=np.int64)


def _kept(
    config: LanguagePairConfig, task: PairTask, run: RunOptions, rounds: list[dict[str, Any]]
) -> FittedPair:
    """Return what is needed to answer: the merged model, the heads, and the vectors of items."""
    logits, wanted = task.outputs() if task.plan.main != "rating" else (np.empty(0), np.empty(0))
    threshold = best_threshold(logits, wanted)
    facts: dict[str, Any] = {"cases": int(logits.size)}
    if logits.size:
        facts["accuracy"] = round(accuracy(logits, wanted, threshold), 4)
    if config.labels is not None:
        facts["labels"] = int(task.train.size + task.held.size)
    if task.augmentation is not None and task.augmentation.facts:
        facts["augmentation"] = dict(task.augmentation.facts)
    if rounds:
        facts["self_training"] = rounds
    model = task.pairs.to("cpu")
    kept = kept_model(model.backbone, config)
    reader = Reader(kept, config.compute_type, config.batch_tokens, run.threads)
    if reader.why_torch:
        log.info("%s: answers need PyTorch, because %s", NAME, reader.why_torch)
    heads = {name: NumericHead.of(model.head(name), task.source.labels[name].names) for name in config.heads}
    fitted = FittedPair(config, reader, heads, task.source.described, threshold, facts)
    return fitted if config.form == "cross" else fitted.with_vectors(run)


def kept_model(backbone: Backbone, config: LanguagePairConfig) -> Kept:
    """Return a tuned backbone as arrays and JSON, low-rank updates merged into its weights."""
    joint, plain = joint_of(backbone), config.tuning.method in MERGED
    backbone = merged(backbone)
    inner = backbone.model
    own = inner if plain else getattr(inner, "base_model", inner)
    while type(own).__module__.split(".")[0] == "peft":
        own = own.base_model
    settings: Any = inner.config
    told = json.loads(settings.to_json_string(use_diff=False))
    told.pop("_name_or_path", None)  # where the model once lay is nobody's business
    return Kept(
        {name: value.detach().float().numpy().copy() for name, value in inner.state_dict().items()},
        told,
        type(own).__name__,
        backbone.tokenizer.backend_tokenizer.to_str(),
        backbone.family,
        backbone.pooling,
        backbone.dim,
        backbone.max_length,
        backbone._blank,
        joint,
        any(backbone.tokens(["a"], [joint + "b"])[0][1]),
        None if plain else config.tuning,
    )


def _key(config: LanguagePairConfig, data: Dataset, features: ItemFeatures, run: RunOptions) -> str:
    """Return what tells this training from any other; what acts on answers alone is left out."""
    answers = {"candidates", "compute_type"}
    return key_of(
        data=data.fingerprint,
        text=features.config.text.model_dump(mode="json"),
        config=config.model_dump(mode="json", exclude=answers),
        seed=run.seed,
        weights=convert.weights_hash(located(config.model, config.revision, run)),
    )
