"""The file of a study: one Optuna study a part, each with what it was made on, so that no other data continue it."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuserec.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    import optuna

GROUNDS = "fuserec"
"""User attribute of a study: what its values depend on."""

_SQLITE = b"SQLite format 3\x00"


@contextmanager
def storage(path: Path | None) -> Iterator[optuna.storages.BaseStorage]:
    """Open the file of a study, or make it; without a path it is kept in memory.

    Optuna's own log is silent meanwhile: what matters of it is said by the results.

    Raises
    ------
    MissingExtraError
        Where Optuna is not installed.
    ConfigError
        Where the file is not one, or cannot be written.
    """
    if find_spec("optuna") is None:
        raise MissingExtraError("tuning", "tune")
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        if path is None:
            yield optuna.storages.InMemoryStorage()
            return
        kept = _file(path)
        try:
            yield kept
        finally:
            kept.engine.dispose()
    except optuna.exceptions.StorageInternalError as error:
        raise ConfigError(f"study {path}: cannot be written ({_first_line(error)})") from None
    finally:
        optuna.logging.set_verbosity(verbosity)


def _file(path: Path) -> optuna.storages.RDBStorage:
    """Return the storage of a file."""
    import optuna
    from sqlalchemy import event
    from sqlalchemy.exc import SQLAlchemyError

    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(f"study {path}: name a file in a folder that exists")
    if path.exists() and not os.access(path, os.W_OK):
        raise ConfigError(f"study {path}: may not be written")
    if path.exists() and path.stat().st_size and path.open("rb").read(len(_SQLITE)) != _SQLITE:
        raise ConfigError(f"study {path}: is not the file of a study (SQLite); name another one")
    try:
        kept = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}")
    except (SQLAlchemyError, optuna.exceptions.OptunaError, RuntimeError) as error:
        raise ConfigError(f"study {path}: cannot be opened ({_first_line(error)})") from None
    event.listen(kept.engine, "connect", _ahead)
    kept.engine.dispose()  # the connections so far were made without
    return kept


def _ahead(connection: Any, record: Any) -> None:
    """Write ahead: a trial is a dozen commits, and none of them has to wait for the disk to survive a kill."""
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")


def _first_line(error: Exception) -> str:
    """Return the first line of what a database says."""
    return str(error).strip().partition("\n")[0]


def open_study(
    kept: optuna.storages.BaseStorage,
    part: str,
    grounds: Mapping[str, Any],
    path: Path | None,
    goals: int = 1,
) -> optuna.Study:
    """Return the study of a part, a new one or the one that the file holds.

    Parameters
    ----------
    kept : optuna.storages.BaseStorage
    part : str
    grounds : mapping
        What its values depend on, as JSON: by the words that the error calls it.
    path : Path or None
        Of the file, for the error.
    goals : int
        How many values each trial has, all of them raised.

    Raises
    ------
    ConfigError
        Where the study was made on other grounds: on another dataset, for example.
    """
    import optuna

    study = optuna.create_study(
        storage=kept,
        study_name=part,
        directions=["maximize"] * goals,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
    )
    now = json.loads(json.dumps(grounds))
    before = study.user_attrs.get(GROUNDS)
    if before is None and study.trials:
        raise ConfigError(f"study {path}: its study {part!r} is not one of fuserec; name another file")
    if before is None:
        study.set_user_attr(GROUNDS, now)
        return study
    for what, value in now.items():
        if before.get(what) != value:
            there, here = map(_shown, _differing(before.get(what), value))
            raise ConfigError(
                f"study {path}: part {part!r} was tuned with another {what} ({there} there, {here} here); "
                "name another file, or go on with what it was made on"
            )
    return study


def _differing(there: Any, here: Any) -> tuple[Any, Any]:
    """Return two values without what they have in common."""
    if not isinstance(there, dict) or not isinstance(here, dict):
        return there, here
    pairs = {
        key: _differing(there.get(key), here.get(key))
        for key in (*there, *here)
        if there.get(key) != here.get(key)
    }
    return {key: pair[0] for key, pair in pairs.items()}, {key: pair[1] for key, pair in pairs.items()}


def _shown(value: Any) -> str:
    """Return a value in an error's line."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:119]}…"
