"""K-means: centroids that vectors lie near, from seeds that are spread out (Lloyd 1982; Arthur, Vassilvitskii 2007)."""

from __future__ import annotations

import numpy as np

from fuserec.numerics.arrays import Floats, Offsets

ROWS_PER_CENTROID = 100
"""Centroids are learnt from at most so many vectors each, drawn at random; more hardly move them."""

_SAME = 1e-6
"""Squared distances below this share of the squared lengths are rounding."""

_CHUNK = 2**22
"""Distances held at a time."""


def nearest_centroids(vectors: Floats, centroids: Floats) -> Offsets:
    """Return int64 (n,): the nearest centroid of each vector by Euclidean distance; the first among equals.

    Parameters
    ----------
    vectors : float32 (n, d)
    centroids : float32 (k, d)
    """
    half = 0.5 * np.square(centroids).sum(axis=1)
    found = np.empty(len(vectors), np.int64)
    step = max(1, _CHUNK // max(1, len(centroids)))
    for lo in range(0, len(vectors), step):
        found[lo : lo + step] = np.argmin(half - vectors[lo : lo + step] @ centroids.T, axis=1)
    return found


def kmeans(vectors: Floats, k: int, rng: np.random.Generator, iterations: int = 25) -> Floats:
    """Return float32 (≤ k, d): centroids; fewer where there are fewer distinct vectors.

    Parameters
    ----------
    vectors : float32 (n, d)
        At least one.
    k : int
    rng : Generator
        Draws the sample and the seeds.
    iterations : int
        At most; it ends where nothing moves.
    """
    if len(vectors) > ROWS_PER_CENTROID * k:
        vectors = vectors[np.sort(rng.permutation(len(vectors))[: ROWS_PER_CENTROID * k])]
    centroids = _seeds(vectors, k, rng)
    own = np.full(len(vectors), -1, np.int64)
    for _ in range(iterations):
        before, own = own, nearest_centroids(vectors, centroids)
        if np.array_equal(before, own):
            break
        centroids = _means(vectors, own, centroids)
    return centroids


def _seeds(vectors: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Return the first centroids: each drawn in proportion to its squared distance from those before it."""
    chosen = [int(rng.integers(len(vectors)))]
    lengths = np.square(vectors).sum(axis=1, dtype=np.float64)
    far = np.full(len(vectors), np.inf)
    while True:
        both = lengths + lengths[chosen[-1]]
        gap = both - 2.0 * (vectors @ vectors[chosen[-1]])
        far = np.minimum(far, np.where(gap > _SAME * both, gap, 0.0))
        far[chosen[-1]] = 0.0
        total = np.cumsum(far)
        if len(chosen) == k or total[-1] <= 1e-12:
            return vectors[chosen].copy()
        chosen.append(int(np.searchsorted(total, rng.random() * total[-1], side="right")))


def _means(vectors: Floats, own: Offsets, centroids: Floats) -> Floats:
    """Return the mean of each centroid's vectors; one that has none moves to the vector that is worst served."""
    counts = np.bincount(own, minlength=len(centroids))
    order = np.argsort(own, kind="stable")
    taken = np.flatnonzero(counts)
    starts = (np.cumsum(counts) - counts)[taken]
    out = centroids.copy()
    sums = np.add.reduceat(vectors[order].astype(np.float64), starts, axis=0)
    out[taken] = sums / counts[taken, None]
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        gaps = np.square(vectors - out[own]).sum(axis=1)
        worst = np.argsort(-gaps, kind="stable")[: empty.size]
        out[empty[: worst.size]] = vectors[worst]
    return out
