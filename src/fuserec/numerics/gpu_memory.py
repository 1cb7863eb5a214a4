"""Whether an error says that a GPU has no memory left."""

from __future__ import annotations

_FULL = ("CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED", "CUDA error: out of memory")
"""How libraries on the GPU say it; PyTorch itself has an error of its own."""


def is_full(fault: Exception) -> bool:
    """Return whether a GPU has run out of memory."""
    return type(fault).__name__ == "OutOfMemoryError" or any(sign in str(fault) for sign in _FULL)
