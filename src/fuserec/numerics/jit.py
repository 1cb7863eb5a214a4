"""One way to compile a kernel: no global lock, cached on disk where the disk can be written.

Kernels are never numba-parallel: its thread pool may not be entered from two threads at once. They work on a
range of rows instead, and :func:`fuserec.numerics.parallel.over_ranges` spreads the ranges over Python threads.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, overload

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be taken in another order and products fused; NaN, infinities and division keep their meaning.
_REASSOCIATE = {"reassoc", "contract", "nsz"}


def _cache_is_possible() -> bool:
    """Return whether compiled code can be kept on disk, falling back to the user cache and the temporary folder."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return True
    import platformdirs

    for folder in (Path(platformdirs.user_cache_dir("fuserec")) / "kernels", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            return True
    return False


@overload
def kernel(function: F) -> F: ...


@overload
def kernel(*, reassociate: bool = False, inline: bool = False) -> Callable[[F], F]: ...


def kernel(
    function: F | None = None, *, reassociate: bool = False, inline: bool = False
) -> F | Callable[[F], F]:
    """Compile a function to machine code that releases the global lock.

    Parameters
    ----------
    function : callable, optional
        Present when used as a bare ``@kernel``.
    reassociate : bool
        Sums may be reordered and products fused, which is what lets a dot product use vector instructions. Not for
        kernels that test for negative zero.
    inline : bool
        Leave the function open to being merged into the kernels that call it; it gets no cache entry of its own.
    """
    import numba

    def compile_it(plain: F) -> F:
        compiled: F = numba.njit(
            nogil=True,
            cache=_cache_is_possible() and not inline,
            error_model="numpy",
            fastmath=_REASSOCIATE if reassociate else False,
            forceinline=inline,
        )(plain)
        return compiled

    return compile_it if function is None else compile_it(function)
