from __future__ import annotations

import time

import numpy as np
import pytest

from fuserec.evaluation.measure import Meter


def test_the_meter_sees_memory_and_time() -> None:
    with Meter() as meter:
        block = np.ones(8 * 2**20)  # 64 MiB
        time.sleep(0.05)
        del block
    assert meter.cost.seconds >= 0.05
    if meter.cost.peak_mb is None:
        pytest.skip("the system does not tell how much memory is resident")
    assert 50 < meter.cost.peak_mb < 200
