from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.neural.generative.trie import Trie, beam_search

CODES = np.array([[1, 0, 0], [0, 2, 0], [1, 0, 1], [-1, -1, -1], [0, 1, 0], [1, 3, 0]])
"""Items 4 and 1 under 0; items 0 and 2 under 1-0, item 5 under 1-3; item 3 has no code."""


def of_table(trie, table):
    """A step that reads logits from float (n, n_nodes) a level, and remembers what it was asked."""
    asked = []

    def step(level, queries, nodes, owner, children):
        asked.append((level, queries.size))
        return table[level][queries[owner], children].astype(np.float32)

    return step, asked


def brute_force(codes, trie, table, row):
    """The probability of each item's id, digit by digit among those that some item goes on with."""
    found = {}
    for item in np.flatnonzero((codes >= 0).all(axis=1)):
        log = 0.0
        for level in range(codes.shape[1]):
            alike = (codes[:, :level] == codes[item, :level]).all(axis=1) & (codes >= 0).all(axis=1)
            nodes = {}
            for other in np.flatnonzero(alike):
                nodes[codes[other, level]] = trie.paths[list(trie.leaves).index(other), level]
            logits = {digit: float(table[level][row, node]) for digit, node in nodes.items()}
            log += logits[codes[item, level]] - np.log(sum(np.exp(v) for v in logits.values()))
        found[int(item)] = log
    return found


class TestTrie:
    trie = Trie.of(CODES)

    def test_by_hand(self):
        assert [edges.tolist() for edges in self.trie.edges] == [[0, 2], [0, 2, 4], [0, 1, 2, 4, 5]]
        assert [digits.tolist() for digits in self.trie.digits] == [[0, 1], [1, 2, 0, 3], [0, 0, 0, 1, 0]]
        assert self.trie.leaves.tolist() == [4, 1, 0, 2, 5]
        assert self.trie.paths.tolist() == [[0, 0, 0], [0, 1, 1], [1, 2, 2], [1, 2, 3], [1, 3, 4]]

    def test_where_nodes_are_in_a_trie_that_grew(self):
        grown = Trie.of(np.concatenate([CODES, [[0, 0, 0], [1, 0, 2]]]))
        assert [place.tolist() for place in self.trie.moved(grown)] == [[0, 1], [1, 2, 3, 4], [1, 2, 3, 4, 6]]

    def test_a_catalogue_without_codes(self):
        trie = Trie.of(np.full((3, 2), -1))
        rows, items, logs = beam_search(trie, 2, 5, lambda *_: np.empty(0, np.float32))
        assert rows.size == items.size == logs.size == 0


@settings(max_examples=40, deadline=None)
@given(
    n_items=st.integers(1, 25), levels=st.integers(1, 4), width=st.integers(1, 30), seed=st.integers(0, 999)
)
def test_only_ids_of_the_catalogue_with_their_probabilities(n_items, levels, width, seed):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, size=(n_items, levels))
    codes = codes[np.sort(np.unique(codes, axis=0, return_index=True)[1])]
    codes[rng.random(len(codes)) < 0.2] = -1
    trie, n = Trie.of(codes), 3
    table = [3 * rng.normal(size=(n, digits.size)) for digits in trie.digits]
    step, _ = of_table(trie, table)
    rows, items, logs = beam_search(trie, n, width, step)
    coded = set(np.flatnonzero((codes >= 0).all(axis=1)).tolist())
    assert (np.diff(rows) >= 0).all()
    for row in range(n):
        mine = dict(zip(items[rows == row].tolist(), logs[rows == row].tolist(), strict=True))
        assert len(mine) == (rows == row).sum()  # no id twice
        assert mine.keys() <= coded
        wanted = brute_force(codes, trie, table, row)
        for item, log in mine.items():
            assert log == pytest.approx(wanted[item], abs=1e-4)
        if width >= n_items:  # nothing is lost: brute force over all ids
            assert mine.keys() == coded
            assert sum(np.exp(list(mine.values()))) == pytest.approx(1.0 if coded else 0.0, abs=1e-4)
        else:
            assert len(mine) <= width


def test_a_narrow_beam_misses_what_begins_badly():
    """By hand: 0 begins with .6 but is split in two halves, 1 begins with .4 and leads to one item alone."""
    codes = np.array([[0, 0], [0, 1], [1, 0]])
    trie = Trie.of(codes)
    table = [np.log([[0.6, 0.4]]), np.zeros((1, 3))]
    step, asked = of_table(trie, table)
    _, items, logs = beam_search(trie, 1, 1, step)
    assert items.tolist() == [0, 1]  # equally probable: neither is dropped for its place
    np.testing.assert_allclose(np.exp(logs), [0.3, 0.3], rtol=1e-5)
    asked.clear()
    _, items, logs = beam_search(trie, 1, 2, step)
    assert items.tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.exp(logs), [0.3, 0.3, 0.4], rtol=1e-5)
    assert asked == [(0, 1), (1, 1)]  # where there is one way only, nobody is asked


def test_a_wider_beam_never_knows_less():
    rng = np.random.default_rng(0)
    codes = np.unique(rng.integers(0, 6, size=(120, 3)), axis=0)
    trie = Trie.of(codes)
    table = [2 * rng.normal(size=(5, digits.size)) for digits in trie.digits]
    step, _ = of_table(trie, table)
    total = []
    for width in (2, 8, 32, 200):
        rows, _, logs = beam_search(trie, 5, width, step)
        total.append(np.bincount(rows, np.exp(logs)))
    assert (np.diff(np.stack(total), axis=0) >= -1e-6).all()
    np.testing.assert_allclose(total[-1], 1.0, rtol=1e-5)
    assert (total[0] < 0.9).all()
