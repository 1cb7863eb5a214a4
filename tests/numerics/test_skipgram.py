"""The compiled pass against the same written down in plain Python, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fuserec.numerics.skipgram import train_pass

MASK = (1 << 64) - 1


class Drawn:
    """SplitMix64 in Python's whole numbers."""

    def __init__(self, state):
        self.state = state

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, n):
        return (self.next() >> 33) % n


def plain_pass(texts, order, parts, table, outputs, keep, noise, window, negatives, first, last, cbow, seed):
    """One pass as the docstring says it: gradients of the logistic loss, word by word."""
    drawn = Drawn(seed)
    done, total = 0, sum(len(text) for text in texts)
    for which in order:
        text = texts[which]
        kept = [w for w in text if keep[w] >= 1 or (drawn.next() >> 11) * 2.0**-53 < keep[w]]
        rate = first + (last - first) * done / total
        done += len(text)
        for at, middle in enumerate(kept):
            width = 1 + drawn.below(window)
            around = [kept[n] for n in range(max(0, at - width), min(len(kept), at + width + 1)) if n != at]
            if not around:
                continue
            said, wanted = (around, [middle]) if cbow else ([middle], around)
            rows = [row for word in said for row in parts[word]]
            h = table[rows].mean(axis=0)
            change = np.zeros_like(h)
            for word in wanted:
                pairs = [(word, 1.0)]
                for _ in range(negatives):
                    other = noise[drawn.below(len(noise))]
                    if other != word:
                        pairs.append((other, 0.0))
                for other, label in pairs:
                    g = rate * (label - 1.0 / (1.0 + math.exp(-h @ outputs[other])))
                    change += g * outputs[other]
                    outputs[other] += g * h
            for row in rows:
                table[row] += change


@pytest.mark.parametrize("cbow", [False, True])
@pytest.mark.parametrize("subwords", [False, True])
def test_a_pass_is_the_same_written_in_plain_python(cbow, subwords):
    rng = np.random.default_rng(3)
    texts = [rng.integers(7, size=n).tolist() for n in (5, 1, 0, 9, 2, 6)]
    parts = [[w, 7 + w % 3, 7 + w % 2] if subwords else [w] for w in range(7)]
    table, outputs = rng.normal(size=(10, 4)), rng.normal(size=(7, 4))
    keep = np.array([1.0, 0.4, 1.0, 0.7, 1.0, 0.2, 1.0])
    noise, order = np.array([0, 1, 1, 2, 3, 4, 5, 6, 6], np.int32), np.array([3, 0, 5, 2, 4, 1])
    fast = table.astype(np.float32), outputs.astype(np.float32)
    train_pass(
        np.concatenate(texts).astype(np.int32),
        np.concatenate([[0], np.cumsum([len(t) for t in texts])]).astype(np.int64),
        order,
        np.concatenate(parts).astype(np.int32),
        np.concatenate([[0], np.cumsum([len(p) for p in parts])]).astype(np.int64),
        *fast,
        keep,
        noise,
        3,
        2,
        0.3,
        0.1,
        cbow,
        np.array([99], np.uint64),
    )
    before = table.copy()
    plain_pass(texts, order, parts, table, outputs, keep, noise, 3, 2, 0.3, 0.1, cbow, 99)
    assert np.abs(table - before).max() > 0.05
    np.testing.assert_allclose(fast[0], table, atol=2e-5)
    np.testing.assert_allclose(fast[1], outputs, atol=2e-5)
