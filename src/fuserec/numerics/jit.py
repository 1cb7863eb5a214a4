"""One way to compile a kernel: no global lock, cached on disk where the disk can be written.

Kernels are never numba-parallel: its thread pool may not be entered from two threads at once. They work on a
range of rows instead, and :func:`fuserec.numerics.parallel.over_ranges` spreads the ranges over threads.
"""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast, overload

F = TypeVar("F", bound=Callable[..., Any])

_ROOM = 64 * 2**20
"""Bytes that have to be free where compiled code is kept."""

_FUSE = {"contract"}
# NaN, infinities and division keep their meaning.
_REASSOCIATE = {"contract", "reassoc", "nsz"}


def _cache_is_possible() -> bool:
    """Return whether compiled code can be kept: beside the source, in the user's or a temporary folder."""
    here = Path(__file__).parent
    if "NUMBA_CACHE_DIR" in os.environ or (os.access(here, os.W_OK) and _has_room(here)):
        return True
    import platformdirs

    for folder in (Path(platformdirs.user_cache_dir("fuserec")) / "kernels", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK) and _has_room(folder):
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            return True
    return False


def _has_room(folder: Path) -> bool:
    """Return whether a disk can take compiled code: on a full one the compiler's own writing would stop the work."""
    return shutil.disk_usage(folder).free > _ROOM


@functools.cache
def folder_stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return names, times and sizes of the sources of a folder: what its compiled code was made from."""
    stats = ((file.name, file.stat()) for file in sorted(folder.glob("*.py")))
    return tuple((name, stat.st_mtime_ns, stat.st_size) for name, stat in stats)


def _watch_folder(compiled: Any) -> None:
    """Let cached code expire with any kernel of this folder: kernels are merged into each other across files.

    The compiler itself looks only at the file in which a kernel is written.
    """
    kept = getattr(getattr(compiled, "_cache", None), "_cache_file", None)
    if kept is not None:
        kept._source_stamp = (kept._source_stamp, folder_stamp(Path(__file__).parent))


@overload
def kernel(function: F) -> F: ...


@overload
def kernel(*, reassociate: bool = False, fuse: bool = False, inline: bool = False) -> Callable[[F], F]: ...


def kernel(
    function: F | None = None, *, reassociate: bool = False, fuse: bool = False, inline: bool = False
) -> F | Callable[[F], F]:
    """Compile a function to machine code that releases the global lock.

    Parameters
    ----------
    function : callable, optional
        Present when used as a bare ``@kernel``.
    reassociate : bool
        Sums may be reordered and products fused into them, which lets an inner product use vector
        instructions. Not for kernels that test for negative zero.
    fuse : bool
        Products are fused into sums in the order that is written: equal results whatever the loop.
    inline : bool
        The function is merged into the kernels that call it, and has no cache entry of its own.
    """
    import numba

    flags = _REASSOCIATE if reassociate else _FUSE if fuse else False

    def compile_it(plain: F) -> F:
        compiled: Any = numba.njit(
            nogil=True,
            cache=_cache_is_possible() and not inline,
            error_model="numpy",
            fastmath=flags,
            forceinline=inline,
        )(plain)
        _watch_folder(compiled)
        return cast("F", compiled)

    return compile_it if function is None else compile_it(function)
