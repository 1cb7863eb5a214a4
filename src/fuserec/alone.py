"""One writer of a folder at a time: among the threads of this process, and among processes."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger("fuserec")

_WRITING = threading.RLock()
_HELD: set[str] = set()
"""Folders that this process holds; their holder may ask again."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder until the end, where there is one; another writer waits.

    The lock is one of the system's (``flock``) on the folder itself: it leaves no file and ends with the process,
    however that ends. Where the system has none, only the threads of this process wait for one another.
    """
    with _WRITING:
        name = os.path.realpath(folder)
        if name in _HELD or not folder.is_dir():
            yield
            return
        descriptor = _locked(folder)
        _HELD.add(name)
        try:
            yield
        finally:
            _HELD.discard(name)
            if descriptor is not None:
                os.close(descriptor)


def _locked(folder: Path) -> int | None:
    """Return a descriptor that holds the lock, None where the system has no such lock."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    while True:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("%s: another process is writing there; waiting for it", folder)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            os.close(descriptor)
            return None
        if os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            return descriptor
        os.close(descriptor)  # who held it before removed the folder
