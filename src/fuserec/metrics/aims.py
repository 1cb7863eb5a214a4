"""The measure that a reranker serves: each declares its own, in :mod:`fuserec.rerank`."""

from __future__ import annotations

from fuserec.metrics.definitions import INFINITE, Definition

DEFINITIONS: dict[str, Definition] = {
    "aim": Definition(
        "Aim",
        "What the reranker of a curve of cost serves, first {k} places; the notes say what that is.",
        "neither",
        -INFINITE,
        INFINITE,
        "beyond",
    ),
}
"""What it means."""
