from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.dataset import SECONDS_PER_DAY
from fuserec.data.splits import SplitConfig, hold_out, split
from fuserec.errors import ConfigError, DataError
from fuserec.testing import dataset_of, small_dataset

PROTOCOLS = ("last-out", "temporal", "random", "users", "cold-users", "cold-items")
nan = float("nan")


def histories(q):
    return {int(u): q.items[q.indptr[i] : q.indptr[i + 1]].tolist() for i, u in enumerate(q.users)}


def targets(held):
    return {
        int(u): held.items[held.indptr[i] : held.indptr[i + 1]].tolist()
        for i, u in enumerate(held.queries.users)
    }


def left(dataset):
    return histories(dataset.queries(np.flatnonzero(np.diff(dataset.indptr))))


def test_last_out_by_hand():
    data = dataset_of([[0, 1, 2, 3], [4, 5, 6], [7, 8], [9], []], 10)
    parts = split(data, SplitConfig(protocol="last-out"))
    assert targets(parts.test) == {0: [3], 1: [6]}  # of two events nothing could be learnt without the last
    assert histories(parts.test.queries) == {0: [0, 1, 2], 1: [4, 5]}  # the validation item is in the history
    assert targets(parts.validation) == {0: [2], 1: [5], 2: [8]}
    assert histories(parts.validation.queries) == {0: [0, 1], 1: [4], 2: [7]}
    assert left(parts.train) == {0: [0, 1], 1: [4], 2: [7], 3: [9]}
    assert left(parts.test.train) == {0: [0, 1, 2], 1: [4, 5], 2: [7, 8], 3: [9]}


def test_moments_are_those_of_the_targets():
    data = dataset_of([[0, 1, 2]], days=[[0, 3, 10]])
    held = hold_out(data, SplitConfig(), 0, "test")
    assert held.queries.at.tolist() == [10 * SECONDS_PER_DAY]
    assert held.queries.ages.tolist() == [10, 7]


def test_last_out_holds_out_the_last_item_that_was_new_and_all_after_it():
    data = dataset_of([[0, 1, 2, 0, 2], [0, 1, 0, 1], [0, 1, 2]])
    held = hold_out(data, SplitConfig(), 0, "test")
    assert targets(held) == {0: [2], 2: [2]}  # of two items alone nobody is asked about
    assert histories(held.queries) == {0: [0, 1], 2: [0, 1]}
    assert left(held.train) == {0: [0, 1], 1: [0, 1, 0, 1], 2: [0, 1]}
    assert held.repeats == 0


def test_repeats_are_no_targets_and_are_counted():
    days = [[0, 1, 9, 9], [0, 1, 9]]
    data = dataset_of([[0, 1, 0, 2], [0, 1, 2]], days=days)
    held = hold_out(data, SplitConfig(protocol="temporal", share=0.4), 0, "test")
    assert targets(held) == {0: [2], 1: [2]}
    assert held.repeats == 1


def test_temporal_cuts_at_one_moment_for_all():
    days = [[0, 1, 9], [2, 3], [8, 9]]
    data = dataset_of([[0, 1, 2], [1, 2], [3, 4]], days=days)
    held = hold_out(data, SplitConfig(protocol="temporal", share=0.4), 0, "test")
    assert targets(held) == {0: [2], 2: [3, 4]}
    assert histories(held.queries) == {0: [0, 1], 2: []}  # somebody who only came later has no history
    assert left(held.train) == {0: [0, 1], 1: [1, 2]}


def test_temporal_needs_times():
    with pytest.raises(
        DataError, match="split temporal needs a time for every interaction: 1 of 3 have none"
    ):
        hold_out(dataset_of([[0, 1, 2]], days=[[0, nan, 2]]), SplitConfig(protocol="temporal"), 0, "test")


def test_temporal_of_one_moment_leaves_nothing_to_learn_from():
    data = dataset_of([[0, 1, 2], [1, 2, 3]], days=[[5, 5, 5], [5, 5, 5]])
    with pytest.raises(DataError, match="split temporal: nothing can be held out"):
        hold_out(data, SplitConfig(protocol="temporal"), 0, "test")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.95])
def test_random_holds_out_a_share_of_each_user_never_all(share):
    data = small_dataset()
    held = hold_out(data, SplitConfig(protocol="random", share=share), 0, "test")
    lengths = np.diff(data.indptr)
    gone = lengths - np.diff(held.train.indptr)
    several = lengths >= 2
    expected = np.clip(np.round(share * lengths[several]), 1, lengths[several] - 1)
    np.testing.assert_array_equal(gone[several], expected)
    assert not gone[~several].any()


def test_users_are_wholly_out_of_training_and_part_of_them_is_given():
    data = small_dataset()
    held = hold_out(data, SplitConfig(protocol="users", share=0.2, given=0.5), 0, "test")
    chosen = held.queries.users
    lengths = np.diff(data.indptr)
    assert chosen.size == round(0.2 * int((lengths >= 2).sum()))
    assert not np.isin(held.train.interactions.user, chosen).any()
    for user, history in histories(held.queries).items():
        stored = data.interactions.item[data.indptr[user] : data.indptr[user + 1]].tolist()
        n_given = lengths[user] - np.clip(np.round(0.5 * lengths[user]), 1, lengths[user] - 1)
        assert history == stored[: int(n_given)]
        assert history
        assert set(targets(held)[user]) == set(stored[int(n_given) :]) - set(history)


def test_cold_items_are_wholly_out_of_training_and_histories_end_before_them():
    data = small_dataset()
    held = hold_out(data, SplitConfig(protocol="cold-items", share=0.15), 0, "test")
    cold = np.setdiff1d(np.flatnonzero(data.item_counts), held.train.interactions.item)
    assert cold.size == round(0.15 * int((data.item_counts > 0).sum()))
    assert set(held.items.tolist()) <= set(cold.tolist())
    for user, history in histories(held.queries).items():
        stored = data.interactions.item[data.indptr[user] : data.indptr[user + 1]]
        first = int(np.flatnonzero(np.isin(stored, cold))[0])
        assert history == stored[:first].tolist()
        assert history


def predefined(parts):
    data = dataset_of([[0, 1, 2, 3], [4, 5, 6]])
    return replace(data, interactions=replace(data.interactions, part=np.array(parts, np.uint8)))


def test_predefined_is_what_the_files_say():
    parts = split(predefined([0, 0, 1, 2, 0, 2, 2]), SplitConfig(protocol="predefined"))
    assert targets(parts.test) == {0: [3], 1: [5, 6]}
    assert histories(parts.test.queries) == {0: [0, 1, 2], 1: [4]}
    assert targets(parts.validation) == {0: [2]}
    assert left(parts.train) == {0: [0, 1], 1: [4]}


def test_predefined_without_validation_takes_the_last_of_training():
    parts = split(predefined([0, 0, 0, 2, 0, 0, 2]), SplitConfig(protocol="predefined"))
    assert targets(parts.validation) == {0: [2], 1: [5]}


def test_predefined_without_test_says_what_to_add():
    with pytest.raises(DataError, match=r"no interaction is marked as test; add a column `split`"):
        split(predefined([0] * 7), SplitConfig(protocol="predefined"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_leaks(protocol, seed):
    """No target is in its history or in what is learnt from; test targets are nowhere near validation."""
    data = small_dataset()
    parts = split(data, SplitConfig(protocol=protocol, share=0.2), seed)
    pairs = {}
    for name, held in (("validation", parts.validation), ("test", parts.test)):
        rows = held.train.interactions
        learnt = set(zip(rows.user.tolist(), rows.item.tolist(), strict=True))
        found = pairs[name] = set(
            zip(held.queries.users[held.rows].tolist(), held.items.tolist(), strict=True)
        )
        assert found
        assert len(found) == held.items.size  # no target twice
        assert not found & learnt
        for user, history in histories(held.queries).items():
            assert not set(history) & set(targets(held)[user])
        assert np.all(np.diff(held.indptr) > 0)
    assert not pairs["test"] & pairs["validation"]
    assert parts.train.n_interactions < parts.test.train.n_interactions < data.n_interactions


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_equal_seed_equal_split(protocol):
    data, config = small_dataset(), SplitConfig(protocol=protocol, share=0.2)
    one, two, other = (split(data, config, seed) for seed in (0, 0, 5))
    np.testing.assert_array_equal(one.test.items, two.test.items)
    np.testing.assert_array_equal(one.validation.items, two.validation.items)
    if protocol in ("random", "users", "cold-users", "cold-items"):
        assert targets(one.test) != targets(other.test)


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=6),
    st.sampled_from(PROTOCOLS),
    st.floats(0.01, 0.99),
    st.floats(0.01, 0.99),
)
@settings(max_examples=150, deadline=None)
def test_any_data_is_split_or_refused_in_one_clear_line(histories_, protocol, share, given_share):
    data = dataset_of(histories_, 6)
    config = SplitConfig(protocol=protocol, share=share, given=given_share)
    try:
        parts = split(data, config, 3)
    except DataError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "\n" not in refused
        assert protocol in refused
        return
    for held in (parts.validation, parts.test):
        assert held.train.n_interactions > 0
        assert held.items.size > 0
        assert held.indptr[-1] == held.items.size == held.ratings.size
        for user, wanted in targets(held).items():
            assert not set(wanted) & set(histories(held.queries)[user])


def test_take_keeps_targets_with_their_queries():
    held = hold_out(small_dataset(), SplitConfig(protocol="random", share=0.3), 0, "test")
    some = held.take(np.array([4, 0, 4]))
    for position, row in enumerate((4, 0, 4)):
        mine, theirs = (slice(h.indptr[i], h.indptr[i + 1]) for h, i in ((some, position), (held, row)))
        np.testing.assert_array_equal(some.items[mine], held.items[theirs])
        np.testing.assert_array_equal(some.ratings[mine], held.ratings[theirs])
        assert some.queries.users[position] == held.queries.users[row]


def test_too_little_data_says_what_is_needed():
    with pytest.raises(
        DataError, match=r"split last-out: nothing can be held out for test .* at least 3 interactions"
    ):
        split(dataset_of([[0], [1, 2]]), SplitConfig())


def test_an_unknown_protocol_is_named():
    with pytest.raises(ConfigError, match="protocol = 'lastout'"):
        SplitConfig.parse({"protocol": "lastout"}, "[split]")
    with pytest.raises(ConfigError, match="unknown protocol 'lastout'; did you mean 'last-out'"):
        hold_out(small_dataset(), SplitConfig().model_copy(update={"protocol": "lastout"}), 0, "test")
