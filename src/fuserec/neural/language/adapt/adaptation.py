"""Adapting a text encoder to a catalogue: prepare, train, merge, measure what is kept, write a folder."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.data.splits import split as split_data
from fuserec.encoders import convert
from fuserec.encoders.kept import Probe
from fuserec.encoders.sentence import located
from fuserec.encoders.text import item_text
from fuserec.encoders.tuned import Seen, seen_by
from fuserec.errors import ConfigError, DataError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import device_of, fast_type, lowered, training
from fuserec.neural.language.adapt.continual import Periods, ReplayTask
from fuserec.neural.language.adapt.examples import examples_of, held_apart, labelled
from fuserec.neural.language.adapt.folder import new_folder, write_folder
from fuserec.neural.language.adapt.forward import unit_vectors
from fuserec.neural.language.adapt.tasks import PairsTask, WordsTask
from fuserec.neural.language.augmentation import Augmentation, augmentation_of
from fuserec.neural.language.backbone import open_backbone
from fuserec.neural.language.tuning import merged, sizes, tune
from fuserec.neural.language.tuning_config import MERGED
from fuserec.neural.training import Plan, train

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.encoders.text import TextConfig
    from fuserec.neural.language.adapt_config import AdaptConfig
    from fuserec.neural.language.backbone import Backbone
    from fuserec.neural.training import Progress
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

NAME = "encoder"


@dataclass(frozen=True)
class Adapted:
    """An encoder after its training.

    Parameters
    ----------
    backbone : Backbone
        Merged, ready to encode.
    facts : dict
        Of ``fuserec-tuning.json``: base, method, data, split, figures.
    prompt : str
        The base's own default prompt.
    """

    backbone: Backbone
    facts: dict[str, Any]
    prompt: str = ""

    def save(self, out: Path) -> Path:
        """Write a new sentence-transformers folder.

        Raises
        ------
        ConfigError
            Where it exists, or where the method leaves parts that no such folder holds.
        """
        require_merged(self.facts["config"]["tuning"]["method"])
        with new_folder(out) as staging:
            write_folder(self.backbone, staging, self.facts, self.prompt)
        return out


def require_merged(method: str) -> None:
    """Refuse a method of tuning whose result cannot be written as an encoder's folder.

    Raises
    ------
    ConfigError
        For adapters and prompts.
    """
    if method not in MERGED:
        raise ConfigError(
            f"tuning = {method}: its parts cannot be merged into an encoder's folder; choose one of "
            f"{', '.join(MERGED[:-1])}"
        )


@dataclass(frozen=True)
class Ground:
    """What may be learnt from, and how it is described."""

    train: Dataset
    texts: list[str]
    seen: Seen


def adapt(
    data: Dataset,
    config: AdaptConfig,
    run: RunOptions,
    *,
    base: str = "minilm",
    split: SplitConfig | None = None,
) -> Adapted:
    """Adapt a text encoder to a catalogue.

    Parameters
    ----------
    data : Dataset
    config : AdaptConfig
    run : RunOptions
        With ``checkpoints`` a stopped training goes on where it was.
    base : str
        ``minilm``, a folder, or a name on the model hub.
    split : SplitConfig, optional
        Only what an evaluation by this split and the seed of ``run`` learns from is seen; None sees all rows.

    Raises
    ------
    ConfigError
        Where the method does not suit the model, the loss is no longer a number, or the device is not there or too
        small.
    DataError
        Where there is nothing to learn from.
    WeightsError
        Where the base cannot be read.
    """
    device_of(run)  # refused before a model is fetched and data are read
    ground = ground_of(data, config.text, run, split)
    folder = located(base, config.revision, run)
    prompt = convert.default_prompt(folder)
    seed = int(run.rng(NAME).integers(2**31))
    with training(seed, run, NAME, lowered(config, "batch_size", "max_length")) as device:
        backbone = open_backbone(base, run, revision=config.revision, pooling=config.pooling).to(device)
        fast = fast_type(backbone.device)
        probe = Probe.of(ground.train, ground.texts, run.rng("similarity"))
        before = probe.cosines(lambda texts: _encoded(backbone, texts, fast))
        facts: dict[str, Any] = {
            "base": {
                "name": Path(base).name,
                "content_hash": convert.weights_hash(folder),
                "pooling": backbone.pooling,
            },
            "config": config.model_dump(mode="json"),
            "seed": run.seed,
        }
        facts["seen"] = [asdict(each) for each in (*seen_by(folder), ground.seen)]
        began = time.perf_counter()
        count, at = trained(backbone, ground, config, run, seed, key=facts)
        figures: dict[str, Any] = {"seconds": round(time.perf_counter() - began, 1), **count, **told(at)}
        kept = probe.figures(before, probe.cosines(lambda texts: _encoded(backbone, texts, fast)))
    facts["figures"] = figures | {"kept": {name: round(value, 4) for name, value in kept.items()}}
    return Adapted(backbone, facts, prompt)


def _encoded(backbone: Backbone, texts: Any, fast: torch.dtype) -> np.ndarray:
    """Return vectors of a probe's texts."""
    return unit_vectors(backbone, texts, backbone.max_length, fast)


def ground_of(data: Dataset, text: TextConfig, run: RunOptions, split: SplitConfig | None) -> Ground:
    """Return the part of the data that may be seen, and its items' texts (all items': text is no answer)."""
    texts = item_text(data.item_table, text)
    if not any(texts):
        raise DataError(
            f"{data.info.name}: no item has text, so there is nothing for a language model to read"
        )
    train_on = data
    how: dict[str, Any] = {"protocol": "none"}
    if split is not None:
        train_on = split_data(data, split, run.seed).train
        how = {**split.model_dump(mode="json"), "seed": run.seed}
    return Ground(train_on, texts, Seen(data.info.name, data.fingerprint, train_on.fingerprint, how))


def trained(
    backbone: Backbone, ground: Ground, config: AdaptConfig, run: RunOptions, seed: int, key: dict[str, Any]
) -> tuple[dict[str, Any], Progress]:
    """Train a backbone in place and merge it; return counts of parameters and examples, and how it went."""
    fast = fast_type(backbone.device)
    make = _pairs_task if config.objective == "pairs" else _words_task
    made, count, varied = make(backbone, ground, config, run, seed, fast)
    before = made.figures() if isinstance(made, ReplayTask) else {}
    ours, every = sizes(backbone.model)
    plan = Plan(
        NAME, config.epochs, config.rate, config.regularization, config.patience, warmup=0.1, clip=1.0
    )
    name = "" if run.checkpoints is None else key_of(**key)
    at = train(made, plan, run, Checkpoint(run.checkpoints, NAME, name))
    merged(backbone).eval()
    if isinstance(made, ReplayTask):
        count["continual"] = made.report(before, made.figures(), run)
    rewritten = {"augmentation": dict(varied.facts)} if varied is not None and varied.facts else {}
    return {"parameters_trained": ours, "parameters": every, **count, **rewritten}, at


Made = tuple[PairsTask | WordsTask, dict[str, Any], Augmentation | None]
"""A task, how many examples an epoch has, and how their texts are varied."""


def _pairs_task(
    backbone: Backbone, ground: Ground, config: AdaptConfig, run: RunOptions, seed: int, fast: torch.dtype
) -> Made:
    """Return the task of pairs; the backbone is prepared for training."""
    readable = np.array([bool(text) for text in ground.texts])
    examples = examples_of(ground.train, readable, config.max_history)
    if config.continual.newest is not None:
        periods = Periods.of(ground.train, examples, config.continual, config.held_out, run)
        examples = periods.examples
        learnt = int(periods.new.sum()) + periods.replayed(config.continual.replay)
    elif config.labels is not None:
        examples, held = labelled(examples, config.labels, ground.train, run)
        learnt = len(examples)
    else:
        examples, held = held_apart(examples, config.held_out, ground.train, run)
        learnt = len(examples)
    each = min(learnt, config.max_pairs or learnt)
    varied = _augmentation(backbone, [ground.texts[i] for i in examples.targets], config, run)
    tune(backbone, config.tuning, _steps(each, config))
    if config.continual.newest is not None:
        return (
            ReplayTask(backbone, periods, ground.texts, config, seed, fast, varied),
            {"pairs": each},
            varied,
        )
    made = PairsTask(backbone, examples, held, ground.texts, config, seed, fast, augmentation=varied)
    return made, {"pairs": each}, varied


def _words_task(
    backbone: Backbone, ground: Ground, config: AdaptConfig, run: RunOptions, seed: int, fast: torch.dtype
) -> Made:
    """Return the task of words; the backbone is prepared for training."""
    texts = list(dict.fromkeys(text for text in ground.texts if text))
    order = run.rng("held-out texts").permutation(len(texts))
    apart = min(config.held_out, len(texts) // 5)
    held, kept = ([texts[i] for i in part] for part in np.split(order, [apart]))
    varied = _augmentation(backbone, kept, config, run)
    kept = kept if varied is None else varied.extended(kept, run.rng("augmentation"))
    tune(backbone, config.tuning, _steps(len(kept), config))
    return WordsTask(backbone, kept, held, config, seed, fast), {"texts": len(kept)}, varied


def _augmentation(
    backbone: Backbone, texts: list[str], config: AdaptConfig, run: RunOptions
) -> Augmentation | None:
    """Return how training texts are varied."""
    return augmentation_of(config.augmentation, texts, [], lambda some: backbone.encode(some, run), run)


def told(at: Progress) -> dict[str, Any]:
    """Return how a training went."""
    return {
        "epochs": at.epoch,
        "steps": at.step,
        "losses": [round(loss, 5) for loss in at.losses],
        "held_out": [round(figure, 5) for figure in at.figures],
    }


def _steps(examples: int, config: AdaptConfig) -> int:
    """Return how many steps a training takes."""
    return max(1, examples // config.batch_size) * config.epochs
