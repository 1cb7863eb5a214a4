"""Where installed models and cached vectors lie; a home directory that cannot be written is survived."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_STAGING = ".staging-"
_STALE_S = 24 * 3600


def preferred_root() -> Path:
    """Return the configured cache folder: ``$FUSEREC_CACHE``, else the user's cache folder."""
    configured = os.environ.get("FUSEREC_CACHE", "")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("fuserec"))


def temporary_root() -> Path:
    """Return the folder used where the preferred one cannot be written; each user has one of their own."""
    user = os.getuid() if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    return Path(tempfile.gettempdir()) / f"fuserec-{user}"


def is_writable(folder: Path) -> bool:
    """Return whether files can really be made in a folder (mode bits say too little); makes it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def cache_root() -> Path:
    """Return a folder that can be written, falling back to a private temporary one with a single warning.

    Raises
    ------
    OSError
        Not even the temporary folder can be written, or it belongs to another user.
    """
    preferred = preferred_root()
    if is_writable(preferred):
        return preferred
    fallback = temporary_root()
    fallback.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not is_private(fallback):
        raise PermissionError(
            f"{fallback} belongs to another user: set FUSEREC_CACHE to a folder you can write"
        )
    _say_once(preferred, fallback)
    return fallback


def reading_roots() -> list[Path]:
    """Return the folders in which an installed model may lie, best first; none is created."""
    fallback = temporary_root()
    return [preferred_root(), *([fallback] if fallback.is_dir() and is_private(fallback) else [])]


def is_private(folder: Path) -> bool:
    """Return whether a folder in a shared place is this user's own and no link: what lies there is loaded."""
    if not hasattr(os, "getuid"):
        return not folder.is_symlink()
    info = folder.lstat()
    return not folder.is_symlink() and info.st_uid == os.getuid() and not info.st_mode & 0o022


@cache
def _say_once(preferred: Path, fallback: Path) -> None:
    warnings.warn(
        f"{preferred} cannot be written: models are kept in {fallback} for now; "
        "set FUSEREC_CACHE to a lasting folder",
        UserWarning,
        stacklevel=3,
    )


@contextmanager
def published(final: Path) -> Iterator[Path]:
    """Give an empty folder to fill, renamed to ``final`` at the end, so that nobody ever sees it half filled.

    On an error the folder is removed. If another process publishes the same first, its folder stands. Folders
    that a killed process left behind a day ago are removed too.

    Parameters
    ----------
    final : Path
        Where the filled folder is to be; its parent is made.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for old in final.parent.glob(f"{_STAGING}*"):
        if time.time() - old.lstat().st_mtime > _STALE_S:
            shutil.rmtree(old, ignore_errors=True)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=final.parent))
    try:
        yield staging
        try:
            os.replace(staging, final)
        except OSError:
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)
