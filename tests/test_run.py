from __future__ import annotations

import time

import numpy as np
import pytest

from fuserec.errors import FuseRecError
from fuserec.run import CancelledError, DeadlineExceededError, RunOptions


def test_equal_seed_and_name_give_equal_numbers():
    one, two = RunOptions(seed=3), RunOptions(seed=3, threads=7)
    np.testing.assert_array_equal(one.rng("als").random(9), two.rng("als").random(9))


def test_components_and_seeds_draw_other_numbers():
    drawn = [RunOptions(seed=s).rng(name).random(4).tolist() for s in (0, 1) for name in ("als", "split")]
    assert len({tuple(d) for d in drawn}) == 4


def test_asking_again_starts_anew():
    run = RunOptions()
    run.rng("a").random(5)
    np.testing.assert_array_equal(run.rng("a").random(3), RunOptions().rng("a").random(3))


def test_with_seed_changes_nothing_else():
    run = RunOptions(seed=1, threads=3, memory_mb=9)
    assert run.with_seed(2) == RunOptions(
        seed=2, threads=3, memory_mb=9, progress=run.progress, cancel=run.cancel
    )
    assert run.seed == 1


def test_check_stops_on_a_passed_deadline():
    RunOptions(deadline=time.monotonic() + 60).check()
    RunOptions().check()
    with pytest.raises(DeadlineExceededError, match="raise the budget"):
        RunOptions(deadline=time.monotonic() - 1).check()


def test_check_stops_when_cancelled():
    with pytest.raises(CancelledError, match="cancelled"):
        RunOptions(cancel=lambda: True).check()
    assert issubclass(CancelledError, FuseRecError)


def test_threads_are_the_cores_that_may_be_used():
    assert RunOptions().threads >= 1
