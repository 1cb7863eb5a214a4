from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.dataset import SECONDS_PER_DAY, Interactions, Searches
from fuserec.errors import DataError
from fuserec.testing import dataset_of, small_dataset

nan = float("nan")


def rows(user, item, time):
    n = len(user)
    one = np.ones(n, np.float32)
    return Interactions(
        np.array(user, np.int32),
        np.array(item, np.int32),
        one,
        one * 3,
        np.array(time, float),
        np.zeros(n, np.uint8),
    )


@given(st.lists(st.tuples(st.integers(0, 200_000), st.sampled_from([0.0, 1.0, 2.5, nan])), max_size=40))
@settings(max_examples=80, deadline=None)
def test_ordered_by_user_then_time_then_row(events):
    given_rows = rows([e[0] for e in events], range(len(events)), [e[1] for e in events])
    expected = sorted(range(len(events)), key=lambda i: (events[i][0], np.nan_to_num(events[i][1]), i))
    assert given_rows.ordered().item.tolist() == expected


def test_order_of_rows_counts_where_times_are_equal():
    data = replace(dataset_of([[0, 1, 2]]), interactions=rows([0, 0, 0], [2, 1, 0], [5.0, 5.0, 1.0]))
    assert data.interactions.item.tolist() == [0, 2, 1]


def test_take_and_concatenate_keep_columns_together():
    table = rows([0, 1, 2], [4, 5, 6], [7.0, 8.0, 9.0])
    both = Interactions.concatenate([table.take(np.array([2])), table.take(np.array([True, False, False]))])
    assert (both.user.tolist(), both.item.tolist(), both.time.tolist()) == ([2, 0], [6, 4], [9.0, 7.0])
    assert both.part.tolist() == [0, 0]


def test_counts_and_offsets():
    data = dataset_of([[0, 1, 1], [], [1]], 4)
    assert data.indptr.tolist() == [0, 3, 3, 4]
    assert data.item_counts.tolist() == [1, 3, 0, 0]
    assert (data.n_users, data.n_items, data.n_interactions) == (3, 4, 4)
    assert repr(data) == "Dataset('paper': 3 users, 4 items, 4 interactions)"


def test_matrices_by_hand():
    data = dataset_of(
        [[0, 1, 0], [2, 2]], 3, weights=[[0.7, -0.4, 0.6], [-0.8, -0.9]], ratings=[[4, 2, 5], [1, nan]]
    )
    assert data.matrix("one").toarray().tolist() == [[1, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(data.matrix("weight").toarray(), [[1, -0.4, 0], [0, 0, -1]])
    positive = data.matrix("positive")
    np.testing.assert_allclose(positive.toarray(), [[1, 0, 0], [0, 0, 0]])
    assert positive.nnz == 1  # dislikes leave no stored zero
    assert data.matrix("rating").toarray().tolist() == [[5, 2, 0], [0, 0, 1]]  # the newest rating of a pair
    assert data.matrix("one").dtype == np.float32
    np.testing.assert_allclose(data.interactions.weight, [0.7, -0.4, 0.6, -0.8, -0.9])


def test_time_and_ratings_are_told():
    timed = dataset_of([[0, 1]], ratings=[[3, nan]])
    assert timed.has_time
    assert not timed.has_ratings  # half is not most
    assert dataset_of([[0, 1]], ratings=[[3, 4]]).has_ratings
    assert not dataset_of([[]], 1).has_time
    partly = dataset_of([[0, 1]], days=[[0, nan]])
    assert not partly.has_time
    with pytest.raises(DataError, match="half-lives needs a time for every interaction: 1 of 2 have none"):
        partly.require_time("half-lives")


def test_queries_hold_histories_and_ages():
    data = dataset_of([[0, 1], [], [2]], 3, days=[[0, 4], [], [7]])
    q = data.queries()
    assert q.items.tolist() == [0, 1, 2]
    assert q.indptr.tolist() == [0, 2, 2, 3]
    assert q.ages.tolist() == [4, 0, 0]
    assert q.at[[0, 2]].tolist() == [4 * SECONDS_PER_DAY, 7 * SECONDS_PER_DAY]
    assert np.isnan(q.at[1])
    later = data.queries(np.array([2, 0]), np.array([8, 2]) * SECONDS_PER_DAY)
    assert later.items.tolist() == [2, 0, 1]
    assert later.ages.tolist() == [1, 2, 0]  # what comes later has no negative age
    assert later.users.tolist() == [2, 0]


def test_with_rows_keeps_ids_and_tables():
    data = small_dataset()
    fewer = data.with_rows(data.interactions.item < 5)
    assert fewer.n_items == data.n_items
    assert set(fewer.interactions.item.tolist()) <= set(range(5))
    assert fewer.n_interactions == int((data.interactions.item < 5).sum())


def test_without_user_leaves_nothing_of_them():
    data = small_dataset()
    user = 8
    less = data.without_user(user)
    assert less.n_users == data.n_users - 1
    assert less.items.ids() == data.items.ids()
    assert "user 8" not in less.users.ids()
    assert less.users[8] == "user 9"
    assert less.user_table["text"].to_list() == [
        t for u, t in enumerate(data.user_table["text"]) if u != user
    ]
    assert less.n_interactions == data.n_interactions - int(np.diff(data.indptr)[user])
    assert len(less.searches.text) == len(data.searches.text) - int((data.searches.user == user).sum())
    for other in (0, 7, 9, 59):
        mine, theirs = less.queries(np.array([other - (other > user)])), data.queries(np.array([other]))
        np.testing.assert_array_equal(mine.items, theirs.items)
    assert data.n_users == 60


def test_extended_keeps_indices_and_newer_rows_count():
    old = dataset_of([[0, 1], [1]], 2, titles=["a", "b"], days=[[0, 2], [1]])
    new = dataset_of([[1, 2], [0]], 3, titles=["A", None, "c"], days=[[1, 3], [9]])
    new = replace(
        new,
        users=type(new.users).from_ids(["u1", "u5"]),
        searches=Searches(np.array([1], np.int32), np.array([4.0]), ("soup",)),
    )
    both = old.extended(new)
    assert both.users.ids() == ["u0", "u1", "u5"]
    assert both.items.ids() == ["i0", "i1", "i2"]
    assert both.item_table["title"].to_list() == ["A", "b", "c"]  # what is missing erases nothing
    assert both.interactions.user.tolist() == [0, 0, 1, 1, 1, 2]
    assert both.interactions.item.tolist() == [0, 1, 1, 1, 2, 0]
    assert both.interactions.time.tolist() == [d * SECONDS_PER_DAY for d in (0, 2, 1, 1, 3, 9)]
    assert (both.searches.user.tolist(), both.searches.text) == ([2], ("soup",))
    assert old.n_interactions == 3


def test_tables_have_to_fit_the_ids():
    data = dataset_of([[0, 1]])
    with pytest.raises(DataError, match="one row an id"):
        replace(data, item_table=pl.DataFrame({"title": ["only one"]}))


def test_fingerprint_changes_with_everything_and_only_then():
    data = small_dataset()
    assert data.fingerprint == small_dataset().fingerprint
    assert len(data.fingerprint) == 16
    others = [
        small_dataset(1),
        data.with_rows(np.arange(data.n_interactions - 1)),
        data.without_user(59),
        replace(data, item_table=data.item_table.with_columns(price=pl.lit(1.0))),
        replace(data, user_table=data.user_table.with_columns(text=pl.lit("x"))),
        replace(data, searches=Searches.none()),
        replace(data, interactions=replace(data.interactions, rating=data.interactions.rating + 1)),
    ]
    assert len({data.fingerprint, *(d.fingerprint for d in others)}) == 1 + len(others)


def test_small_dataset_has_all_that_trips_scorers_up():
    data = small_dataset()
    counts, lengths = data.item_counts, np.diff(data.indptr)
    assert (counts == 0).sum() == 4
    assert sorted(set(lengths.tolist()))[:3] == [0, 1, 2]
    assert (data.interactions.weight < 0).any()
    assert np.isnan(data.interactions.rating).any()
    assert data.has_ratings
    assert data.has_time
    assert data.matrix("one").nnz < data.n_interactions  # repeats


def test_an_event_of_a_known_item_erases_nothing_of_it():
    """An update names items and users without saying anything of them: their texts stay."""
    from fuserec.additions import additions
    from fuserec.testing import small_dataset

    data = small_dataset()
    item, user = 5, 58
    events = [{"user_id": data.users[user], "item_id": data.items[item]}]
    grown = data.extended(additions(events, None, None, data.info))
    assert grown.n_interactions == data.n_interactions + 1
    assert grown.item_table.equals(data.item_table)
    assert grown.user_table["text"].fill_null("").equals(data.user_table["text"].fill_null(""))
    assert grown.user_table["text"][user]
    more = [{"item_id": data.items[item], "title": "", "categories": [], "year": 1990}]
    told = data.extended(additions(None, more, None, data.info)).item_table
    assert told["title"][item] == data.item_table["title"][item]
    assert told["categories"][item].to_list() == data.item_table["categories"][item].to_list()
    assert told["year"][item] == 1990
    mended = data.extended(
        additions(None, [{"item_id": data.items[item], "title": "Mended"}], None, data.info)
    )
    assert mended.item_table["title"][item] == "Mended"


def test_columns_named_like_patterns_are_columns():
    from fuserec.data.tables import merged_table

    old = pl.DataFrame({"title": ["a", "b"], "^.*$": ["x", "y"], "*": [1, 2], "#": [3, 4]})
    new = pl.DataFrame({"title": ["", "c"], "^.*$": ["z", ""], "*": [None, 9], "#": [5, 6]})
    both = merged_table(old, new, np.array([1, 2]), 3)
    assert both.columns == old.columns
    assert both["title"].to_list() == ["a", "b", "c"]
    assert both["^.*$"].to_list() == ["x", "z", ""]
    assert both["*"].to_list() == [1, 2, 9]
    assert both["#"].to_list() == [3, 5, 6]
