"""Neural networks: item vectors, architectures, losses, and the one training loop. Needs the extra ``deep`` (PyTorch).

Nothing here is imported before a neural part is fitted or loaded; :func:`require` says what to install.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from fuserec.errors import MissingExtraError


def available() -> bool:
    """Return whether PyTorch is installed."""
    return find_spec("torch") is not None


def require(who: str) -> None:
    """Raise MissingExtraError where PyTorch is not installed.

    Parameters
    ----------
    who : str
        What needs it, as it is named in the error.
    """
    if not available():
        raise MissingExtraError(who, "deep")
    # Read when PyTorch is loaded: threads that spin while they wait for one another make a training several times
    # slower as soon as anything else runs on the machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
