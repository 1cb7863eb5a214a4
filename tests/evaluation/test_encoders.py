"""The comparison of text encoders: what is chosen for each of them on validation."""

from __future__ import annotations

import numpy as np

from fuserec import RunOptions, sample
from fuserec.data.splits import SplitConfig, split
from fuserec.encoders.text import TextConfig, item_text
from fuserec.evaluation import encoders

RUN = RunOptions(threads=1)


def test_whitening_and_recency_are_chosen_together(monkeypatch):
    """The best pair may have neither the best whitening at some recency nor the other way round."""
    data = sample()
    texts = item_text(data.item_table, None)
    bench = encoders._Bench(data, split(data, SplitConfig(), 0), texts, TextConfig(), (10,), RUN)
    pairs = [(exponent, recency) for exponent in encoders.EXPONENTS for recency in encoders.RECENCIES]
    figures = dict.fromkeys(pairs, 0.1) | {(0.35, 0.6): 0.4, (0.35, 0.7): 0.2, (None, 0.7): 0.3}
    exponents = {}

    def judged(self, queries, features, scorer):
        place = exponents.setdefault(id(features), len(exponents))
        return figures[encoders.EXPONENTS[place], scorer.config.recency]

    monkeypatch.setattr(encoders._Bench, "_on", judged)
    raw = np.random.default_rng(0).normal(size=(data.n_items, 16)).astype(np.float32)
    exponent, features, scorer = bench._chosen(raw, encoder=None)
    assert (exponent, scorer.config.recency) == (0.35, 0.6)
    assert exponents[id(features)] == 1
