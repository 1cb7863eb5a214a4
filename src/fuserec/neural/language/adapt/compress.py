"""A tuned encoder made small: int8, fewer layers, pruned maps, a student taught by it or by a scorer of pairs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fuserec.encoders import convert
from fuserec.encoders.sentence import located
from fuserec.encoders.tuned import Seen, read_tuning, seen_by, write_tuning
from fuserec.errors import ConfigError
from fuserec.neural.checkpoints import Checkpoint, key_of
from fuserec.neural.device import fast_type, lowered, training
from fuserec.neural.language.adapt.adaptation import Ground, ground_of, told
from fuserec.neural.language.adapt.examples import Examples, examples_of, history_texts
from fuserec.neural.language.adapt.folder import megabytes, new_folder, write_folder
from fuserec.neural.language.adapt.forward import unit_vectors
from fuserec.neural.language.adapt.students import PairLesson, ScoresTask, Sparse, VectorsTask
from fuserec.neural.language.adapt_config import CompressConfig
from fuserec.neural.language.backbone import open_backbone
from fuserec.neural.language.tuning import blocks_of, sizes
from fuserec.neural.training import Plan, train

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.data.splits import SplitConfig
    from fuserec.neural.language.backbone import Backbone
    from fuserec.neural.training import Task
    from fuserec.run import RunOptions

PairScores = Callable[[Sequence[str], Sequence[str]], np.ndarray]
"""A teacher of pairs: texts of people, texts of items, float (n,); a cross-encoder for example."""

NAME = "student"


def compress(
    model: str,
    out: Path,
    config: CompressConfig,
    run: RunOptions,
    *,
    data: Dataset | None = None,
    split: SplitConfig | None = None,
    student: str | None = None,
    scores: PairScores | None = None,
    taught_on: Sequence[Seen] = (),
) -> dict[str, Any]:
    """Write a smaller form of an encoder as a new folder.

    Parameters
    ----------
    model : str
        The teacher: a folder, ``minilm``, or a name on the hub.
    out : Path
    config : CompressConfig
    run : RunOptions
    data : Dataset, optional
        Whose texts and histories are taught on; not needed with ``epochs = 0`` or ``int8``.
    split : SplitConfig, optional
        Only its training part is seen.
    student : str, optional
        A smaller model that learns instead of what is left of the teacher.
    scores : callable, optional
        Another teacher: scores of (texts of people, texts of items), which replace the vectors of ``model``.
        :meth:`fuserec.scorers.language_pair.LanguagePair.of_texts` is one.
    taught_on : sequence of Seen
        What that teacher has learnt from, for whoever evaluates with its pupil.

    Returns
    -------
    dict
        What ``fuserec-tuning.json`` of the new folder says.

    Raises
    ------
    ConfigError
        Where the form does not suit the model, or data are missing.
    """
    quantized = config.form == "int8" and student is None
    _require_lessons(config, quantized, data is not None, student, scores)
    folder = located(model, None, run)
    if quantized:
        return _quantized(folder, out)
    pupil = folder if student is None else located(student, None, run)
    facts, prompt = dict(read_tuning(folder) or _facts_of(model, folder)), convert.default_prompt(pupil)
    began = time.perf_counter()
    seed = int(run.rng(NAME).integers(2**31))
    with training(seed, run, NAME, lowered(config, "batch_size", "max_length")) as device:
        teacher = open_backbone(model, run).to(device)
        learner = open_backbone(student or model, run).to(device)
        step, zeros = _cut(learner, config, student)
        if config.epochs and data is not None:
            ground = ground_of(data, config.text, run, split)
            key: dict[str, Any] = {"facts": facts, "config": config.model_dump(mode="json"), "step": step}
            key |= {"data": ground.seen.train, "seed": run.seed, "teacher": convert.weights_hash(folder)}
            key |= {"student": convert.weights_hash(pupil) if student else ""}
            step |= _taught(learner, teacher, ground, config, run, scores, zeros, key)
            seen = [*seen_by(folder), *seen_by(pupil), *taught_on, ground.seen]
            facts["seen"] = _joined([asdict(each) for each in seen])
    step |= {"parameters": sizes(learner.model)[1], "seconds": round(time.perf_counter() - began, 1)}
    step |= {} if zeros is None else zeros.sizes()
    facts["compression"] = [*facts.get("compression", []), step]
    with new_folder(out) as staging:
        write_folder(learner, staging, facts, prompt)
    return facts


def _require_lessons(
    config: CompressConfig, quantized: bool, data: bool, student: str | None, scores: PairScores | None
) -> None:
    """Refuse a teacher or a student that has no lessons, and lessons without data."""
    if scores is not None and quantized:
        raise ConfigError(
            "compress: form = int8 teaches nothing: name a student, choose form = layers or pruned, or leave the "
            "teacher of pairs out"
        )
    if scores is not None and not config.epochs:
        raise ConfigError(
            "compress: epochs = 0 teaches nothing: set epochs to 1 or more, or leave the teacher of pairs out"
        )
    if student is not None and not config.epochs:
        raise ConfigError("compress: a student learns nothing with epochs = 0: set epochs to 1 or more")
    if config.epochs and not data and not quantized:
        without = "" if student or scores else ", or set epochs = 0 (--epochs 0)"
        raise ConfigError(f"compress: teaching needs a dataset: name one (--data DIR){without}")


def _facts_of(model: str, folder: Path) -> dict[str, Any]:
    """Return facts of a model that was not tuned."""
    return {"base": {"name": Path(model).name, "content_hash": convert.weights_hash(folder)}, "seen": []}


def _joined(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was seen, each once."""
    return [each for at, each in enumerate(seen) if each not in seen[:at]]


def _quantized(folder: Path, out: Path) -> dict[str, Any]:
    """Write the CTranslate2 form with weights of one byte."""
    reason = convert.why_not_native(folder)
    if reason is not None:
        raise ConfigError(
            f"compress: {folder.name} cannot be made int8: {reason}; choose form = layers or pruned"
        )
    facts = dict(read_tuning(folder) or _facts_of(str(folder), folder))
    with new_folder(out) as staging:
        convert.convert(folder, staging, "int8", convert.read_facts(folder))
        step = {"form": "int8", "megabytes": round(megabytes(staging), 2)}
        facts["compression"] = [*facts.get("compression", []), step]
        write_tuning(staging, {key: value for key, value in facts.items() if key != "format"})
    return facts


def _cut(
    learner: Backbone, config: CompressConfig, student: str | None
) -> tuple[dict[str, Any], Sparse | None]:
    """Take away layers or weights, in place, and say what."""
    if student is not None:
        return {"form": "student", "student": Path(student).name}, None
    if config.form == "pruned":
        return {"form": "pruned", "share": config.share}, Sparse.pruned(learner.model, config.share)
    kept = keep_layers(learner, config.layers, config.which)
    return {"form": "layers", "kept": kept}, None


def keep_layers(backbone: Backbone, count: int | None, which: Literal["spread", "first"]) -> list[int]:
    """Take layers out of a backbone, in place, and return which stay; the first one always does.

    Sanh and others 2019, "DistilBERT" (every second layer); Sajjad and others 2023, "On the effect of dropping layers
    of pre-trained transformer models" (the last ones go first).

    Raises
    ------
    ConfigError
        Where there are no more layers than are to stay.
    """
    blocks, config = blocks_of(backbone.model), backbone.model.config
    n = len(blocks)
    wanted = max(1, n // 2) if count is None else count
    if wanted >= n:
        raise ConfigError(f"compress: layers = {wanted}: this model has {n}; name fewer")
    spread = np.round(np.linspace(0, n - 1, wanted)).astype(int).tolist()
    kept: list[int] = list(range(wanted)) if which == "first" or wanted == 1 else spread
    for at in reversed(range(n)):
        if at not in kept:
            del blocks[at]
    for at, block in enumerate(blocks):
        for module in block.modules():
            if hasattr(module, "layer_idx"):  # where a decoder would keep what it read
                module.layer_idx = at  # type: ignore[assignment]
    config.num_hidden_layers = wanted  # type: ignore[union-attr]
    kinds = getattr(config, "layer_types", None)
    if kinds:
        config.layer_types = [kinds[at] for at in kept]  # type: ignore[union-attr]
    return kept


def _taught(
    learner: Backbone,
    teacher: Backbone,
    ground: Ground,
    config: CompressConfig,
    run: RunOptions,
    scores: PairScores | None,
    zeros: Sparse | None,
    key: dict[str, Any],
) -> dict[str, Any]:
    """Teach what is left, in place, and say how it went."""
    seed = int(run.rng(NAME).integers(2**31))
    fast = fast_type(learner.device)
    task: Task
    for parameter in learner.parameters():
        parameter.requires_grad_(True)
    if scores is not None:
        lesson = scored_lesson(ground, config, run, scores)
        # any callable may teach: what it said names it better than a name would
        key = key | {"scores": hashlib.sha256(lesson.scores.tobytes()).hexdigest()}
        task = ScoresTask(learner, lesson, config, seed, fast, zeros)
        by = "scores of pairs"
    else:
        texts = _texts(ground, config, run)
        teacher.eval()
        run.progress("reading with the teacher", 0, 0)
        wanted = unit_vectors(teacher, texts, config.history_length, fast)
        task = VectorsTask(learner, texts, wanted, config, seed, fast, zeros)
        by = "vectors"
    plan = Plan(NAME, config.epochs, config.learning_rate, config.regularization, warmup=0.1, clip=1.0)
    name = "" if run.checkpoints is None else key_of(**key)
    at = train(task, plan, run, Checkpoint(run.checkpoints, NAME, name))
    if zeros is not None:
        zeros.settle()
    return {"taught_by": by, **told(at)}


def _texts(ground: Ground, config: CompressConfig, run: RunOptions) -> list[str]:
    """Return catalogue texts, filled up with histories: each distinct one once, in random order."""
    texts = list(dict.fromkeys(text for text in ground.texts if text))
    rng = run.rng("texts to teach on")
    order = rng.permutation(len(texts))[: config.texts]
    found = [texts[i] for i in order]
    room = min(config.texts - len(found), len(found))
    if room > 0 and ground.train.n_interactions:
        readable = np.array([bool(text) for text in ground.texts])
        examples = examples_of(ground.train, readable, config.max_history)
        found += history_texts(examples, ground.texts, rng.permutation(len(examples))[:room])
    return [found[i] for i in rng.permutation(len(found))]


def scored_lesson(ground: Ground, config: CompressConfig, run: RunOptions, scores: PairScores) -> PairLesson:
    """Ask a teacher of pairs: of each drawn history its next item and some others, by their scores.

    Hofstätter and others 2020, "Improving efficient neural ranking models with cross-architecture knowledge
    distillation".
    """
    readable = np.array([bool(text) for text in ground.texts])
    examples = examples_of(ground.train, readable, config.max_history)
    rng = run.rng("pairs to teach on")
    most = max(1, config.texts // (config.candidates + 1))
    examples = examples.take(np.sort(rng.permutation(len(examples))[:most]))
    others = _others(examples, np.flatnonzero(readable), config.candidates, rng)
    items = np.hstack([examples.targets[:, None], others])
    asked = history_texts(examples, ground.texts)
    left = [text for text in asked for _ in range(items.shape[1])]
    right = [ground.texts[item] for item in items.ravel()]
    run.progress("asking the teacher", 0, 0)
    told_scores = np.asarray(scores(left, right), dtype=np.float32)
    if told_scores.shape != (len(left),) or not np.isfinite(told_scores).all():
        raise ConfigError(
            f"compress: the teacher gave scores of shape {told_scores.shape} for {len(left):,} pairs, or some that are "
            "no numbers: it has to return one finite number a pair"
        )
    return PairLesson(
        asked, [[ground.texts[i] for i in row] for row in items], told_scores.reshape(items.shape)
    )


def _others(examples: Examples, readable: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return int (n, count): items drawn evenly, none of them the target (moved on by one where it is)."""
    place = rng.integers(readable.size, size=(len(examples), count))
    same = readable[place] == examples.targets[:, None]
    found: np.ndarray = readable[np.where(same, (place + 1) % readable.size, place)]
    return found
