"""Where a long training keeps what it needs to go on after a stop."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from fuserec.errors import RequestError

_NAME = re.compile(r"\.?.+-[0-9a-f]{16}\.safetensors(\.\d+\.tmp)?")

Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        help="Folder for checkpoints of trainings: a stopped command, called again, goes on from them. "
        "It is removed at the end.",
    ),
]


@contextmanager
def checkpoints(folder: Path | None) -> Iterator[Path | None]:
    """Give a folder of checkpoints; what lies there is removed once all has gone well.

    Raises
    ------
    RequestError
        Where it is something else than a folder of checkpoints.
    """
    if folder is None:
        yield None
        return
    if folder.exists() and not (folder.is_dir() and all(map(_is_checkpoint, folder.iterdir()))):
        raise RequestError(f"--checkpoints {folder}: holds something else; name a new folder")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _is_checkpoint(path: Path) -> bool:
    """Return whether a file is a checkpoint, whole or unfinished, by its name: the folder is removed in the end."""
    return _NAME.fullmatch(path.name) is not None and not path.is_dir()
