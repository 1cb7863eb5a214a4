"""The figures by length of history: whom they are of, what they count, and that the script runs."""

from __future__ import annotations

import numpy as np
import pytest
from bench.short_histories import ASKED, GIVEN, Strangers, apart, gains, main

from fuserec.run import RunOptions
from fuserec.scorers import create
from fuserec.testing import small_features
from fuserec.testing.planted import dataset_of


def people(n_users=40, n_items=30, length=18):
    rng = np.random.default_rng(0)
    return [rng.permutation(n_items)[:length].tolist() for _ in range(n_users)]


def test_strangers_are_not_in_training_and_are_asked_for_what_came_later():
    rows = people()
    data = dataset_of([*rows, [1, 2]])
    train, found = apart(data, np.random.default_rng(1))
    left = set(np.unique(train.interactions.user).tolist())
    out = sorted(set(range(41)) - left)
    assert len(out) == 8  # a fifth
    whole = [np.concatenate([a, b]).tolist() for a, b in zip(found.given, found.asked, strict=True)]
    assert whole == [rows[user][: GIVEN + ASKED] for user in out if user < 40]


def test_a_gain_is_that_of_each_item_for_itself():
    data = dataset_of([[u % 4] for u in range(10)] + [[j] for j in range(4, 30)])  # 0 and 1 are taken most
    run = RunOptions(threads=1)
    popular = create("popularity").fit(data, small_features(data, run), run)
    given, asked = np.arange(10, 15)[None, :], np.array([[0, *range(20, 29)]])
    found = gains(popular, Strangers(given, asked), 0)
    first = 1 / np.log2(
        1 + 1.5
    )  # 0 and 1 share the first two places; what is tied behind is beyond the tenth
    assert found == pytest.approx([first / ASKED])


def test_it_runs_and_prints_a_line_for_each_length(tmp_path, capsys):
    lines = [
        f"u{u},i{item},{1_500_000_000 + t}" for u, row in enumerate(people()) for t, item in enumerate(row)
    ]
    (tmp_path / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp", *lines]) + "\n")
    pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
    assert (
        main([str(tmp_path), "--format", "folder", "--scorer", "popularity", "--scorer", "meta_learned"]) == 0
    )
    printed = capsys.readouterr().out.splitlines()
    assert printed[1].split()[:4] == ["events", "popularity", "meta_learned", "unadapted"]
    assert [int(line.split()[0]) for line in printed[2:]] == list(range(GIVEN + 1))
    assert printed[2].endswith("+0.0000 [+0.0000, +0.0000]")  # without events there is nothing to adapt to
