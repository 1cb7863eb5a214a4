"""The trie of a catalogue's ids, and the beam search that only walks along its branches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

Step = Callable[[int, np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""``step(level, queries (m,), nodes (m,), owner (e,), children (e,))``: float32 (e,), the logits of branches.

``owner`` says which of the m prefixes each of the e branches leaves from.
"""


@dataclass(frozen=True)
class Trie:
    """All ids of a catalogue as a tree; the nodes of a depth are in the order of their prefixes.

    Parameters
    ----------
    edges : tuple of int64 (n_nodes + 1,)
        For each level: the children of node ``v`` are the nodes ``edges[v]:edges[v + 1]`` one deeper.
    digits : tuple of int64 (n_children,)
        For each level: the digit that leads to each of those nodes.
    leaves : int64 (n_coded,)
        The item of each leaf.
    """

    edges: tuple[np.ndarray, ...]
    digits: tuple[np.ndarray, ...]
    leaves: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray) -> Trie:
        """Build from codes int (n_items, levels), no two alike; an item with a negative digit has none."""
        items = np.flatnonzero((codes >= 0).all(axis=1))
        items = items[np.lexsort(codes[items].T[::-1])]
        rows = codes[items].astype(np.int64)
        edges, digits = [], []
        above = np.zeros(items.size, np.int64)
        n_above = 1 if items.size else 0
        for level in range(codes.shape[1]):
            column = rows[:, level]
            fresh = np.ones(items.size, dtype=bool)
            fresh[1:] = (above[1:] != above[:-1]) | (column[1:] != column[:-1])
            counts = np.bincount(above[fresh], minlength=n_above)
            edges.append(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
            digits.append(column[fresh])
            above, n_above = np.cumsum(fresh) - 1, int(fresh.sum())
        return cls(tuple(edges), tuple(digits), items)

    @property
    def depth(self) -> int:
        """Digits of an id."""
        return len(self.digits)

    @cached_property
    def paths(self) -> np.ndarray:
        """int64 (n_coded, depth): the nodes that lead to each leaf, its own the last."""
        found = np.empty((self.leaves.size, self.depth), np.int64)
        nodes = np.arange(self.leaves.size)
        for level in reversed(range(self.depth)):
            found[:, level] = nodes
            nodes = np.searchsorted(self.edges[level], nodes, side="right") - 1
        return found

    def moved(self, grown: Trie) -> list[np.ndarray]:
        """Return int64 (n_children,) a level: where the nodes are in a trie that has these ids and more."""
        place = np.full(int(grown.leaves.max(initial=-1)) + 1, -1, np.int64)
        place[grown.leaves] = np.arange(grown.leaves.size)
        there = grown.paths[place[self.leaves]]
        found = []
        for level, digits in enumerate(self.digits):
            where = np.empty(digits.size, np.int64)
            where[self.paths[:, level]] = there[:, level]
            found.append(where)
        return found


def beam_search(trie: Trie, n: int, width: int, step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the most probable ids after each of ``n`` queries, by keeping the ``width`` best prefixes of every length.

    Sutskever, Vinyals, Le 2014, "Sequence to sequence learning with neural networks", section 3.2; constrained to the
    ids that there are: each digit is drawn among those that some item goes on with. With a width of at least the
    number of items nothing is lost, and the probabilities sum to one.

    Parameters
    ----------
    trie : Trie
    n : int
    width : int
        More prefixes are kept where the last ones are equally probable.
    step : callable
        Gives the logits of branches; see :data:`Step`. It is not asked where there is only one.

    Returns
    -------
    rows : int64 (m,)
        Ascending.
    items : int64 (m,)
    logs : float32 (m,)
        Logarithms of their probabilities.
    """
    rows, nodes = np.arange(n), np.zeros(n, np.int64)
    logs = np.zeros(n, np.float32)
    if not trie.leaves.size:
        return rows[:0], nodes[:0], logs[:0]
    for level in range(trie.depth):
        first = trie.edges[level][nodes]
        counts = trie.edges[level][nodes + 1] - first
        starts = np.cumsum(counts) - counts
        owner = np.repeat(np.arange(nodes.size), counts)
        children = np.arange(owner.size) + np.repeat(first - starts, counts)
        logs = logs[owner]
        forks = counts > 1
        if forks.any():
            among = forks[owner]
            place = np.cumsum(forks) - 1
            logits = step(level, rows[forks], nodes[forks], place[owner[among]], children[among])
            logs[among] += _log_softmax(logits, counts[forks])
        rows, nodes = rows[owner], children
        kept = _best(rows, logs, n, width)
        rows, nodes, logs = rows[kept], nodes[kept], logs[kept]
    return rows, trie.leaves[nodes], logs


def _log_softmax(logits: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return float32 (e,): log-softmax within runs of ``counts`` numbers."""
    starts = np.cumsum(counts) - counts
    shifted = logits - np.repeat(np.maximum.reduceat(logits, starts), counts)
    total = np.add.reduceat(np.exp(shifted), starts)
    out: np.ndarray = shifted - np.repeat(np.log(total), counts)
    return out


def _best(rows: np.ndarray, logs: np.ndarray, n: int, width: int) -> np.ndarray:
    """Return bool (m,): the ``width`` largest of each row, and what equals the last of them."""
    counts = np.bincount(rows, minlength=n)
    most = int(counts.max(initial=0))
    if most <= width:
        return np.ones(rows.size, dtype=bool)
    table = np.full((n, most), -np.inf, np.float32)
    table[rows, np.arange(rows.size) - np.repeat(np.cumsum(counts) - counts, counts)] = logs
    least = np.partition(table, most - width, axis=1)[:, most - width]
    kept: np.ndarray = logs >= least[rows]
    return kept
