"""One thread and a fixed seed for every test: sums in one order only, so that bits can be compared."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # importlib mode adds no folder: `small_training` lies here


@pytest.fixture(autouse=True)
def one_thread():
    """Give PyTorch one thread and a seeded generator; both are put back afterwards."""
    torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    torch.set_num_threads(threads)
