"""What every worker does: load the data, then time one task a line of standard input; one line of JSON an answer.

A worker stays alive, so that compiled code and caches are warm, and two workers can be asked in turns.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import scipy.sparse as sp

REGULARIZATION = 0.05
FACTORS, ITERATIONS, TOP, NEIGHBOURS, EASE_LAMBDA = 64, 15, 100, 100, 500.0
CONFIDENCE = 2.0
"""Confidence of an observed pair; an unobserved one has 1. The same number for everybody."""


def matrix(path: str) -> sp.csr_matrix:
    """Return CSR float32 (n_users, n_items) of the pairs in an .npz file, ones."""
    z = np.load(path)
    shape = (int(z["u"].max()) + 1, int(z["i"].max()) + 1)
    X = sp.csr_matrix((np.ones(z["u"].size, np.float32), (z["u"], z["i"])), shape=shape)
    X.sort_indices()
    return X


def objective(X: sp.csr_matrix, U: np.ndarray, V: np.ndarray) -> float:
    """Return Σ c (p − u·v)² + λ(‖U‖² + ‖V‖²): what both sides minimise, computed by neither of them."""
    U, V = U.astype(np.float64), V.astype(np.float64)
    rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    s = np.concatenate(
        [
            np.einsum("ij,ij->i", U[rows[k : k + 10**5]], V[X.indices[k : k + 10**5]])
            for k in range(0, X.nnz, 10**5)
        ]
    )
    whole = float(((U.T @ U) * (V.T @ V)).sum())
    return (
        whole
        + float((CONFIDENCE * (1 - s) ** 2 - s * s).sum())
        + REGULARIZATION * float((U**2).sum() + (V**2).sum())
    )


def peak_mb() -> float:
    """Return the peak of the resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def serve(tasks: Mapping[str, Callable[[], dict[str, float] | None]]) -> None:
    """Answer tasks until standard input ends."""
    print(json.dumps({"ready": True, "pid": os.getpid()}), flush=True)
    for line in sys.stdin:
        name = line.strip()
        before, cpu, start = peak_mb(), time.process_time(), time.perf_counter()
        extra = tasks[name]() or {}
        seconds, used = time.perf_counter() - start, time.process_time() - cpu
        answer = {"seconds": seconds, "cpu": used, "peak_mb": peak_mb(), "above_mb": peak_mb() - before}
        print(json.dumps({**answer, **extra}), flush=True)


def argument() -> str:
    """Return the path given on the command line."""
    return str(Path(sys.argv[1]))
