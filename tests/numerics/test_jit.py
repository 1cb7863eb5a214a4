from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from fuserec.numerics import topk
from fuserec.numerics.jit import folder_stamp, kernel
from fuserec.numerics.parallel import over_ranges, ranges


@kernel(reassociate=True)
def _sum(values):
    total = np.float32(0)
    for j in range(len(values)):
        total += values[j]
    return total


@kernel(fuse=True)
def _fused(a, b, c):
    return a * b + c


@kernel(inline=True)
def _twice(x):
    return 2 * x


@kernel
def _four_times(x):
    return _twice(_twice(x))


def test_compiled_functions_compute_what_is_written():
    assert _sum(np.arange(100, dtype=np.float32)) == 4950
    assert _four_times(3) == 12


def test_reordered_sums_keep_nan_and_infinity():
    assert np.isnan(_sum(np.array([1, np.nan] * 40, np.float32)))
    assert _sum(np.array([1, np.inf] * 40, np.float32)) == np.inf


def test_cached_code_expires_with_any_source_of_the_folder(tmp_path):
    (tmp_path / "a.py").write_text("x = 1")
    before = folder_stamp(tmp_path)
    folder_stamp.cache_clear()
    assert folder_stamp(tmp_path) == before
    (tmp_path / "a.py").write_text("x = 2")
    os.utime(tmp_path / "a.py", ns=(1, 1))
    folder_stamp.cache_clear()
    assert folder_stamp(tmp_path) != before
    names = {name for name, _, _ in topk._top_rows._cache._cache_file._source_stamp[1]}
    assert {"topk.py", "selection.py"} <= names


def test_ranges_cover_all_rows_once():
    for n in (0, 1, 5, 100):
        for parts in (1, 3, 7, 200):
            pieces = ranges(n, parts)
            assert [i for lo, hi in pieces for i in range(lo, hi)] == list(range(n))
            assert all(hi > lo for lo, hi in pieces)


def test_over_ranges_uses_threads_and_raises_the_first_error():
    seen = set()
    barrier = threading.Barrier(2, timeout=30)

    def work(lo, hi):
        barrier.wait()
        seen.add(threading.get_ident())

    over_ranges(work, 2, threads=2, pieces_per_thread=1)
    assert len(seen) == 2

    def fail(lo, hi):
        raise KeyError(lo)

    with pytest.raises(KeyError):
        over_ranges(fail, 10, threads=2)
