"""How alike items are, by who took them and by what they are: few values an item, each told apart by its origin.

A similarity made of the very histories that a model is then taught with holds the answer: that somebody took i and j
is one of the reasons why S(i, j) is above zero. :meth:`Similarities.without` takes one person's own share out again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from fuserec.numerics.arrays import Ints, Offsets
from fuserec.numerics.jit import kernel
from fuserec.numerics.neighbours import neighbours
from fuserec.numerics.similar import Kept, dense_neighbours, sparse_neighbours
from fuserec.run import RunOptions


@dataclass(frozen=True)
class Similarities:
    """S(i, j) of each candidate j and the few items i most like it, in one or more channels.

    Parameters
    ----------
    indptr : int64 (n_items + 1,)
        Candidate ``j`` has the entries ``indptr[j]:indptr[j + 1]``; an item is never its own neighbour.
    sources : int32 (nnz,)
        i of each entry, ascending within a candidate.
    values : float32 (nnz, n_channels)
        Zero where i and j are alike in another channel only.
    shared : int32 (nnz,)
        People who took both; zero in entries that are no co-occurrence.
    people : int64 (n_items,)
        People who took each item.
    shrinkage : float
        Co-occurrence is c / √(n_i n_j) × c / (c + shrinkage), c the people who took both.
    channels : tuple of str
        ``cooccurrence`` first where there is one, then kinds of content.
    """

    indptr: np.ndarray
    sources: np.ndarray
    values: np.ndarray
    shared: np.ndarray
    people: np.ndarray
    shrinkage: float
    channels: tuple[str, ...]

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return self.people.size

    @property
    def targets(self) -> np.ndarray:
        """int64 (nnz,): j of each entry."""
        return np.repeat(np.arange(self.n_items), np.diff(self.indptr))

    def find(self, starts: np.ndarray, events: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return int64 (n_events, m): the entry of each event and each candidate of its row, -1 where there is none.

        Parameters
        ----------
        starts : int64 (n + 1,)
            Row ``r`` holds the events ``starts[r]:starts[r + 1]``.
        events : int64 (n_events,)
            Items.
        candidates : int64 (n, m)
        """
        out = np.empty((events.size, candidates.shape[1]), np.int64)
        _find(starts, events.astype(np.int32), candidates.astype(np.int32), self.indptr, self.sources, out)
        return out

    def without(
        self, entries: np.ndarray, targets: np.ndarray, source_taken: np.ndarray, both_taken: np.ndarray
    ) -> np.ndarray:
        """Return float32 (n, n_channels): entries as they would be had one person never taken anything.

        Parameters
        ----------
        entries : int64 (n,)
        targets : int64 (n,)
            j of each.
        source_taken, both_taken : bool (n,)
            Whether that person is among those who took i; i and j.
        """
        values: np.ndarray = self.values[entries]
        if "cooccurrence" not in self.channels:
            return values
        shared = (self.shared[entries] - both_taken).astype(np.float64)
        ours = (self.people[self.sources[entries]] - source_taken).astype(np.float64)
        theirs = (self.people[targets] - both_taken).astype(np.float64)
        found = _shrunk(np.where(self.shared[entries] > 0, shared, 0.0), ours, theirs, self.shrinkage)
        values[:, self.channels.index("cooccurrence")] = found
        return values

    def map_of(self, values: np.ndarray) -> sparse.csr_matrix:
        """Return CSR float32 (n_items, n_items), a row an item i: one value an entry."""
        parts = (values.astype(np.float32), self.sources, self.indptr)
        by_target = sparse.csr_matrix(parts, shape=(self.n_items, self.n_items))
        by_source: sparse.csr_matrix = by_target.T.tocsr()
        return by_source


def similarities(
    taken: sparse.csr_matrix | None,
    contents: Mapping[str, np.ndarray | sparse.csr_matrix],
    kept: Kept,
    shrinkage: float,
    ties: np.ndarray,
    run: RunOptions,
) -> Similarities:
    """Return the items most like each item.

    Parameters
    ----------
    taken : CSR (n_users, n_items) or None
        Who took what; every stored entry counts as one. None leaves co-occurrence out.
    contents : mapping of float32 (n_items, dim), dense or CSR
        What items are, by the name of each kind: rows of unit length, or zero.
    kept : Kept
        ``n_neighbors`` holds for each channel; ``min_similarity`` and ``sharpness`` for content.
    shrinkage : float
    ties : uint64 (n_items,)
    run : RunOptions
    """
    channels: dict[str, sparse.csr_matrix] = {}
    people = np.zeros(ties.size, np.int64)
    if taken is not None:
        ones = sparse.csr_matrix((np.ones(taken.nnz, np.float32), taken.indices, taken.indptr), taken.shape)
        columns = ones.T.tocsr()
        people = np.diff(columns.indptr).astype(np.int64)
        channels["cooccurrence"] = neighbours(
            columns, kept.n_neighbors, kind="cosine", ties=ties, shrinkage=shrinkage, threads=run.threads
        )
    for name, rows in contents.items():
        channels[name] = (
            dense_neighbours(rows, kept, ties, run)
            if isinstance(rows, np.ndarray)
            else sparse_neighbours(rows, "cosine", kept, ties, run)
        )
    return _joined(channels, people, shrinkage)


def _joined(channels: dict[str, sparse.csr_matrix], people: np.ndarray, shrinkage: float) -> Similarities:
    """Return the entries that any channel has."""
    n = people.size
    keys = []
    for matrix in channels.values():
        rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
        keys.append(rows * n + matrix.indices)
    every = np.unique(np.concatenate(keys))
    values = np.zeros((every.size, len(channels)), np.float32)
    for column, (key, matrix) in enumerate(zip(keys, channels.values(), strict=True)):
        values[np.searchsorted(every, key), column] = matrix.data
    targets, sources = np.divmod(every, n)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(targets, minlength=n))]).astype(np.int64)
    shared = np.zeros(every.size, np.int32)
    names = tuple(channels)
    if "cooccurrence" in channels:
        column = names.index("cooccurrence")
        shared = _counts(values[:, column], people[sources], people[targets], shrinkage)
        values[:, column] = _shrunk(
            shared.astype(np.float64), people[sources].astype(float), people[targets].astype(float), shrinkage
        )
    return Similarities(indptr, sources.astype(np.int32), values, shared, people, shrinkage, names)


def _shrunk(shared: np.ndarray, ours: np.ndarray, theirs: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return float64 (n,): c / √(n_i n_j) × c / (c + shrinkage), zero where c is."""
    some = (shared > 0) & (ours > 0) & (theirs > 0)
    c = np.where(some, shared, 1.0)
    cosine = c / np.sqrt(np.where(some, ours * theirs, 1.0))
    return np.asarray(np.where(some, cosine * c / (c + shrinkage), 0.0))


def _counts(similarity: np.ndarray, ours: np.ndarray, theirs: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return int32 (n,): c of a shrunk cosine s, the positive root of c² = s √(n_i n_j) (c + shrinkage)."""
    product = similarity.astype(np.float64) * np.sqrt(ours.astype(np.float64) * theirs)
    root = (product + np.sqrt(product * product + 4.0 * product * shrinkage)) / 2.0
    return np.asarray(np.rint(root), dtype=np.int32)


@kernel
def _find(
    starts: Offsets, events: Ints, candidates: Ints, indptr: Offsets, sources: Ints, out: Offsets
) -> None:
    """Look every (event, candidate) up by halving the candidate's entries."""
    for row in range(len(starts) - 1):
        for column in range(candidates.shape[1]):
            first, end = indptr[candidates[row, column]], indptr[candidates[row, column] + 1]
            for event in range(starts[row], starts[row + 1]):
                lo, hi, item = first, end, events[event]
                while lo < hi:
                    middle = (lo + hi) // 2
                    if sources[middle] < item:
                        lo = middle + 1
                    else:
                        hi = middle
                out[event, column] = lo if lo < end and sources[lo] == item else -1
