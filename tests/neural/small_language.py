"""What tests of language models share: words, tiny models, and people who move between groups of texts."""

from __future__ import annotations

import numpy as np

from fuserec.run import RunOptions
from fuserec.testing.planted import dataset_of

RUN = RunOptions(seed=3, threads=1)

GROUPS = 6
WORDS = [f"{kind}{at}" for kind in ("red", "blue", "oak", "sea") for at in range(GROUPS)] + [
    f"w{at}" for at in range(20)
]


def titles(n_items=36):
    """Return titles: the group of an item shows in one word, and in another one for every second item."""
    kinds = (("red", "blue"), ("oak", "sea"))
    return [
        f"{kinds[i % 2][0]}{i // 2 % GROUPS} {kinds[i % 2][1]}{i // 2 % GROUPS} w{i % 20}"
        for i in range(n_items)
    ]


def groups(n_items=36):
    """Return int (n_items,): the group of each item."""
    return np.arange(n_items) // 2 % GROUPS


def readers(n_users=80, n_items=36, length=5, seed=0):
    """Return people who keep to a group of items, whose titles share no word between odd and even ones."""
    rng = np.random.default_rng(seed)
    of = groups(n_items)
    histories = []
    for user in range(n_users):
        own = np.flatnonzero(of == user % GROUPS)
        histories.append(rng.permutation(own)[:length].tolist())
    return dataset_of(histories, n_items, titles=titles(n_items))


class Calls:
    """Says True from its n-th call on: a caller who cancels in the middle."""

    def __init__(self, n):
        self.n, self.made = n, 0

    def __call__(self):
        self.made += 1
        return self.made >= self.n
