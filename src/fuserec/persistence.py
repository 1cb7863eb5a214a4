"""A model as a folder: ``model.json`` and safetensors with content-hashed names; ``model.json`` is the only commit.

Nothing is executed when a model is read: arrays and JSON, no pickle. What a new ``model.json`` no longer names is
collected after it has taken its place, so that an interrupted save leaves the old model whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from pydantic import ValidationError

from fuserec import __version__
from fuserec.alone import alone
from fuserec.config import RecommenderConfig
from fuserec.control.kept import kept_from_state, kept_state
from fuserec.data.dataset_state import anonymous, dataset_from_state, dataset_state
from fuserec.encoders.features import ItemFeatures
from fuserec.encoders.sentence import SentenceEncoder
from fuserec.errors import DataError, ModelFormatError
from fuserec.fitted import Fitted
from fuserec.fusion import fusion_of
from fuserec.recommender import Recommender
from fuserec.run import RunOptions
from fuserec.scorers import scorer_class

if TYPE_CHECKING:
    from fuserec.encoders.choice import TextEncoder
    from fuserec.types import Meta, State

FORMAT = 1
MODEL = "model.json"
ENCODER = "encoder-"
"""What the name of a bundled language model's folder begins with."""

RERANK = "rerank."
"""What the name of a reranker's state begins with."""

CONTROLS = "controls"
"""The component that holds the dials of users; absent where nobody has set any."""

MAX_JSON_MB = 64
ATTEMPTS = 5
"""How often a model is read anew that another process replaces meanwhile."""

_OURS = re.compile(r".+-[0-9a-f]{32}\.safetensors|\..+\.tmp", re.DOTALL)
"""Names of the files of a model beside ``model.json``, and of unfinished ones."""


def save(
    model: Recommender, folder: Path | str, *, histories: bool = True, bundle_encoder: bool = False
) -> None:
    """Write a model folder; one that stands there stays whole until the new one is complete.

    Parameters
    ----------
    model : Recommender
    folder : path
        New, empty, or a model folder.
    histories : bool
        Without them known users get the cold answer, and the model can be passed on.
    bundle_encoder : bool
        Take the language model's weights along.

    Raises
    ------
    DataError
        Where the folder holds something else, or cannot be written (no space, no permission).
    """
    folder, fitted = Path(folder), model.fitted
    check_destination(folder)
    fingerprint = fitted.dataset.fingerprint
    if not histories:
        fitted = replace(fitted, dataset=anonymous(fitted.dataset), histories=False, kept={})
    with _writing(folder):
        written = {name: _write(folder, name, state) for name, state in _components(fitted).items()}
        bundled = _bundled(folder, fitted.features.sentence_encoder, bundle_encoder)
        head = {
            "format": FORMAT,
            "fuserec": __version__,
            "config": model.config.model_dump(mode="json"),
            "seed": fitted.seed,
            "facts": fitted.facts,
            "pending": list(fitted.pending),
            "histories": fitted.histories,
            "bundled_encoder": bundled,
            "dataset": {"fingerprint": fingerprint, **asdict(fitted.dataset.info)},
            "parts": {
                name: {"scorer": part.name, "config": part.config.model_dump(mode="json")}
                for name, part in fitted.fused.parts.items()
            },
            "components": written,
        }
        _replace(folder / MODEL, json.dumps(head, ensure_ascii=False, indent=1).encode("utf-8"))
        _collect(folder, _named(head))


def check_destination(folder: Path) -> None:
    """Refuse a place that holds anything but a model, before any work is done for it.

    Raises
    ------
    DataError
        For a file, or a folder with something else in it.
    """
    if not folder.exists():
        return
    if folder.is_dir() and all(
        _is_ours(path) for path in folder.iterdir()
    ):  # nothing, or a save that was killed
        return
    try:
        _head(folder)  # another program's model.json is not ours to replace
    except ModelFormatError:
        raise DataError(f"{folder}: is not empty and not a model folder; name a new folder") from None


def _bundled(folder: Path, encoder: TextEncoder | None, wanted: bool) -> str | None:
    """Return the folder inside the model that holds the language model, copied there if wanted; None without.

    One that the model folder holds already is kept: a model that was passed on with its encoder stays whole
    when it is updated.
    """
    if not isinstance(encoder, SentenceEncoder):  # any other lies in the model anyway
        return None
    digest = hashlib.blake2b(encoder.fingerprint.encode("utf-8"), digest_size=8).hexdigest()
    name = f"{ENCODER}{digest}"
    if not (folder / name).is_dir():
        if not wanted:
            return None
        encoder.bundle(folder / name, RunOptions())
    return name


def load(folder: Path | str) -> Recommender:
    """Read a model folder.

    Raises
    ------
    ModelFormatError
        Where it is not a model of ours, is damaged, or was written by a later format.
    """
    folder = Path(folder)
    head, states = _whole(folder)
    try:
        config = RecommenderConfig.parse(head["config"], f"{folder}/{MODEL} [config]")
        dataset = dataset_from_state(states["dataset"], head["dataset"])
        features = ItemFeatures.from_state(*states["features"])
        if head["bundled_encoder"] and features.sentence_encoder is not None:
            own = folder / _inside(folder, head["bundled_encoder"])
            encoder = SentenceEncoder.from_state({}, states["features"][1]["sentence"], folder=own)
            features = replace(features, sentence_encoder=encoder)
        parts = {}
        for name, entry in head["parts"].items():
            cls = scorer_class(entry["scorer"])
            settings = cls.Config.parse(entry["config"], f"{folder}/{MODEL} [parts.{name}]")
            parts[name] = cls.from_state(settings, *states[f"part.{name}"], features)
        fused = fusion_of(config.fusion, parts).restored(*states["fusion"], features)
        ours = {name.removeprefix(RERANK): own for name, own in states.items() if name.startswith(RERANK)}
        chain = config.rerank.chain().restored(ours, features)
        facts, pending = dict(head["facts"]), tuple(head["pending"])
        histories = bool(head["histories"])
        kept = kept_from_state(states[CONTROLS]) if CONTROLS in states else {}
        fitted = Fitted(
            dataset,
            features,
            fused,
            int(head["seed"]),
            facts,
            pending,
            histories,
            chain,
            config.control,
            kept,
        )
    except (*_DAMAGE, ValidationError, pl.exceptions.PolarsError) as e:
        raise _damaged(folder, e) from None
    return Recommender.of(config, fitted)


_DAMAGE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError)
"""What reading a folder raises whose JSON is not as we write it."""


def _damaged(folder: Path, fault: Exception) -> ModelFormatError:
    """Return the error for a model that cannot be put together."""
    return ModelFormatError(
        f"{folder}: the model is damaged ({type(fault).__name__}: {fault}); fit or copy it again"
    )


def _whole(folder: Path) -> tuple[Meta, dict[str, State]]:
    """Return ``model.json`` and all that it names, of one save: a save meanwhile collects the older files."""
    head = _head(folder)
    for _ in range(ATTEMPTS - 1):
        try:
            return head, _states(folder, head)
        except ModelFormatError:
            later = _head(folder)
            if later == head:
                raise
            head = later
    return head, _states(folder, head)


def _states(folder: Path, head: Meta) -> dict[str, State]:
    """Read every component."""
    try:
        return {name: _read(folder, entry) for name, entry in head["components"].items()}
    except _DAMAGE as fault:
        raise _damaged(folder, fault) from None


def _components(fitted: Fitted) -> dict[str, State]:
    """Return the state of everything that is written, by name."""
    kept = {CONTROLS: kept_state(fitted.kept)} if fitted.kept else {}
    return {
        **kept,
        "dataset": dataset_state(fitted.dataset),
        "features": fitted.features.state(),
        "fusion": fitted.fused.state(),
        **{f"part.{name}": part.state() for name, part in fitted.fused.parts.items()},
        **{f"{RERANK}{name}": state for name, state in fitted.chain.states().items()},
    }


def _write(folder: Path, name: str, state: State) -> dict[str, Any]:
    """Write one component; equal content has an equal name and is not written twice."""
    from safetensors.numpy import save as to_bytes

    arrays, meta = state
    data = to_bytes({key: np.ascontiguousarray(value) for key, value in arrays.items()})
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    file = f"{name}-{digest}.safetensors"
    if not _holds(folder / file, data):
        _replace(folder / file, data)
    return {"file": file, "blake2b": digest, "meta": meta}


def _holds(path: Path, data: bytes) -> bool:
    """Return whether a file has this content already: one damaged since has the right name only."""
    return path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data


def _read(folder: Path, entry: Meta) -> State:
    """Read one component and check that it is the one that ``model.json`` names."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    file = _inside(folder, entry["file"])
    try:
        data = (folder / file).read_bytes()
    except OSError as error:
        raise ModelFormatError(
            f"{folder}: {file} cannot be read ({error.strerror}); copy the whole folder again"
        ) from None
    if hashlib.blake2b(data, digest_size=16).hexdigest() != entry["blake2b"]:
        raise ModelFormatError(
            f"{folder}: {file} is damaged (its content hash differs); copy or fit the model again"
        )
    try:
        return from_bytes(data), entry["meta"]
    except SafetensorError as error:
        raise ModelFormatError(
            f"{folder}: {file} is not safetensors ({error}); copy or fit the model again"
        ) from None


def _inside(folder: Path, name: Any) -> str:
    """Return the name of a file of the model folder, or refuse one that leads out of it."""
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise ModelFormatError(
            f"{folder}: {MODEL} names a file outside of the folder ({name!r}); do not trust it"
        )
    return name


def _head(folder: Path) -> Meta:
    """Read ``model.json``."""
    path = folder / MODEL
    if not path.is_file():
        raise ModelFormatError(
            f"{folder}: not a FuseRec model (no {MODEL}); `fuserec fit DIR --out MODEL` makes one"
        )
    try:
        if path.stat().st_size > MAX_JSON_MB * 2**20:
            raise ModelFormatError(f"{path}: larger than {MAX_JSON_MB} MB: not written by FuseRec")
        head = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFormatError(
            f"{path}: cannot be read as JSON ({error}); copy or fit the model again"
        ) from None
    if not isinstance(head, dict) or not isinstance(head.get("format"), int):
        raise ModelFormatError(f"{path}: not written by FuseRec (no format number)")
    if head["format"] > FORMAT:
        raise ModelFormatError(
            f"{path}: format {head['format']} is newer than this release reads ({FORMAT}): update FuseRec"
        )
    return head


def _replace(path: Path, data: bytes) -> None:
    """Write beside, then rename."""
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Hold the folder alone and turn a failure of the disk into one line.

    Each save collects what its own ``model.json`` does not name, so that two at once would take each other's files
    away. Whatever stops a save, its unfinished files are removed.
    """
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder), contextlib.ExitStack() as stopped:
            stopped.callback(_collect_unfinished, folder, made=made)
            yield
            stopped.pop_all()
    except OSError as error:
        raise DataError(
            f"{folder}: the model could not be written ({error.strerror or error}); "
            "free space or choose another folder (a model that was there is unchanged)"
        ) from None


def _collect_unfinished(folder: Path, *, made: bool) -> None:
    """Remove what an unfinished save left, keeping what a standing ``model.json`` names."""
    with contextlib.suppress(OSError, ModelFormatError, KeyError, TypeError):
        _collect(folder, _named(_head(folder)) if (folder / MODEL).is_file() else set())
        if made:
            folder.rmdir()


def _named(head: Meta) -> set[str]:
    """Return the names of everything that belongs to a model."""
    return {str(entry["file"]) for entry in head["components"].values()} | {str(head["bundled_encoder"])}


def _collect(folder: Path, kept: set[str]) -> None:
    """Remove our own files that nothing names."""
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if _is_ours(path) and path.is_dir():
            shutil.rmtree(path)
        elif _is_ours(path):
            path.unlink(missing_ok=True)


def _is_ours(path: Path) -> bool:
    """Return whether a save wrote this file or folder, by its name."""
    if path.is_dir() and not path.is_symlink():
        return path.name.startswith(ENCODER)
    return _OURS.fullmatch(path.name) is not None
