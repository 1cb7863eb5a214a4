"""Folds, cold users, the next target alone, and the rows that a split hides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.splits import SplitConfig, hold_out, split, splits
from fuserec.data.splits.base import FOLDED
from fuserec.errors import ConfigError, DataError
from fuserec.testing import dataset_of, small_dataset

EVERY = (*FOLDED, "last-out", "temporal")


def histories(held):
    q = held.queries
    return {int(u): q.items[q.indptr[i] : q.indptr[i + 1]].tolist() for i, u in enumerate(q.users)}


def targets(held):
    return {
        int(u): held.items[held.indptr[i] : held.indptr[i + 1]].tolist()
        for i, u in enumerate(held.queries.users)
    }


def test_cold_users_by_hand():
    data = dataset_of([[0, 1, 2, 1, 3], [1, 2], [0, 3]])
    config = SplitConfig(protocol="cold-users", share=0.34)
    held = hold_out(data, config, 0, "test")
    (user,) = held.queries.users.tolist()
    stored = data.interactions.item[data.interactions.user == user]
    assert histories(held) == {user: []}  # nothing that they did is given
    assert targets(held) == {user: list(dict.fromkeys(stored.tolist()))}
    assert user not in held.train.interactions.user
    assert held.train.n_interactions == data.n_interactions - stored.size


@pytest.mark.parametrize("n", [1, 3])
def test_the_first_events_of_cold_users_are_given_on_request(n):
    data = small_dataset()
    config = SplitConfig(protocol="cold-users", share=0.3, given_events=n, targets="next")
    held = hold_out(data, config, 0, "test")
    assert len(held) > 5
    for user, history in histories(held).items():
        stored = data.interactions.item[data.indptr[user] : data.indptr[user + 1]].tolist()
        assert history == stored[:n]
        assert targets(held)[user] == [next(i for i in stored[n:] if i not in stored[:n])]
    assert not np.isin(held.train.interactions.user, held.queries.users).any()


def test_more_given_events_than_anybody_has():
    with pytest.raises(DataError, match="split cold-users: nobody has more than the 9 events that are given"):
        split(dataset_of([[0, 1, 2]] * 5), SplitConfig(protocol="cold-users", given_events=9))


def test_the_next_target_by_hand():
    days = [[0, 1, 8, 9, 9.5], [2, 3], [8, 9]]
    data = dataset_of([[0, 1, 1, 2, 3], [1, 2], [3, 4]], days=days)
    config = SplitConfig(protocol="temporal", share=0.5, targets="next")
    held = hold_out(data, config, 0, "test")
    assert targets(held) == {0: [2], 2: [3]}  # item 1 is in the history of user 0: not new
    every = hold_out(data, config.model_copy(update={"targets": "all"}), 0, "test")
    assert targets(every) == {0: [2, 3], 2: [3, 4]}
    assert histories(every) == histories(held)


@pytest.mark.parametrize("protocol", [name for name in EVERY if name != "random"])
def test_the_next_is_the_first_of_all(protocol):
    data = small_dataset()
    config = SplitConfig(protocol=protocol, share=0.3)
    every = hold_out(data, config, 2, "test")
    following = hold_out(data, config.model_copy(update={"targets": "next"}), 2, "test")
    assert targets(following) == {user: items[:1] for user, items in targets(every).items()}


@pytest.mark.parametrize("protocol", FOLDED)
@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_out_everything_once(protocol, folds):
    data = small_dataset()
    config = SplitConfig(protocol=protocol, folds=folds)
    kept = [
        np.bincount(s.test.train.interactions.user, minlength=data.n_users) for s in splits(data, config, 1)
    ]
    lengths = np.diff(data.indptr)
    out = np.array([lengths - one for one in kept])  # rows of each user that a fold takes out of training
    can = lengths > (0 if protocol in ("cold-users", "cold-items") else 1)
    np.testing.assert_array_equal(out.sum(axis=0), np.where(can, lengths, 0))
    sizes = out.sum(axis=1)
    assert sizes.max() < 2 * sizes.min()
    if protocol == "random":  # each fold has its share of everybody
        assert np.all(out.max(axis=0) - out.min(axis=0) <= 1)


def test_every_random_pair_is_a_target_once_over_the_folds():
    rng = np.random.default_rng(0)
    data = dataset_of([rng.permutation(30)[: 2 + user % 9].tolist() for user in range(40)], 30)
    pairs = [
        (user, item)
        for part in splits(data, SplitConfig(protocol="random", folds=4), 0)
        for user, items in targets(part.test).items()
        for item in items
    ]
    rows = data.interactions
    assert sorted(pairs) == sorted(zip(rows.user.tolist(), rows.item.tolist(), strict=True))


def test_folds_share_one_dealing_and_seeds_do_not():
    data, config = small_dataset(), SplitConfig(protocol="users", folds=3)
    one, again, other = (split(data, config, seed, fold=1) for seed in (0, 0, 9))
    np.testing.assert_array_equal(one.test.queries.users, again.test.queries.users)
    assert targets(one.test) != targets(other.test)
    first, second = split(data, config, 0, 0), split(data, config, 0, 1)
    assert not set(first.test.queries.users.tolist()) & set(second.test.queries.users.tolist())


@given(
    st.lists(st.lists(st.integers(0, 6), max_size=7), min_size=2, max_size=8),
    st.sampled_from(EVERY),
    st.integers(0, 4),
)
@settings(max_examples=120, deadline=None)
def test_hidden_rows_are_neither_learnt_from_nor_given(histories_, protocol, seed):
    data = dataset_of(histories_, 7)
    try:
        held = hold_out(data, SplitConfig(protocol=protocol, share=0.4), seed, "test")
    except DataError:
        return
    rows = data.interactions.take(held.hidden)
    n = data.n_interactions - held.train.n_interactions
    given_only = n - held.hidden.size
    assert given_only >= 0
    if protocol not in ("users",):
        assert protocol == "cold-items" or given_only == 0
    hidden = set(zip(rows.user.tolist(), rows.item.tolist(), strict=True))
    for user, items in targets(held).items():
        assert {(user, item) for item in items} <= hidden


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"protocol": "temporal", "folds": 3},
            "temporal has no folds; folds go with random, users, cold-users and",
        ),
        ({"protocol": "random", "folds": 3, "share": 0.2}, "3 folds hold out 1/3 each: leave share out"),
        ({"protocol": "random", "targets": "next"}, "random has no next target"),
        ({"protocol": "users", "folds": 0}, "folds = 0"),
        ({"protocol": "cold-users", "given_events": -1}, "given_events = -1"),
        ({"protocol": "temporal", "targets": "nxt"}, "did you mean 'next'"),
        ({"protocol": "cold-user"}, "did you mean 'cold-users'"),
    ],
)
def test_what_does_not_go_together_is_said_in_one_line(values, said):
    with pytest.raises(ConfigError) as caught:
        SplitConfig.parse(values, "--split")
    assert str(caught.value).startswith("--split: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
