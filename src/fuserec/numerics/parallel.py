"""Spreading ranges of rows over threads; every kernel below it releases the global lock."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def ranges(n: int, parts: int) -> list[tuple[int, int]]:
    """Cut ``range(n)`` into at most ``parts`` contiguous, nearly equal, non-empty pieces."""
    parts = max(1, min(parts, n))
    edges = [n * p // parts for p in range(parts + 1)]
    return [(lo, hi) for lo, hi in pairwise(edges) if hi > lo]


def over_ranges(work: Callable[[int, int], object], n: int, threads: int, pieces_per_thread: int = 4) -> None:
    """Call ``work(lo, hi)`` over all of ``range(n)`` on ``threads`` threads and wait; the first error is raised."""
    pieces = ranges(n, threads * pieces_per_thread) if threads > 1 else ranges(n, 1)
    if len(pieces) <= 1:
        for lo, hi in pieces:
            work(lo, hi)
        return
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, lo, hi) for lo, hi in pieces]:
            done.result()
