"""Leaks that are planted are named, each by its own check, and clean data raise none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.dataset import Interactions
from fuserec.data.splits import SplitConfig, split
from fuserec.evaluation.leakage import CHECKS, leaks
from fuserec.testing import dataset_of, small_dataset

PROTOCOLS = ("last-out", "temporal", "random", "users", "cold-users", "cold-items")


def found(data, held):
    return {leak.check: leak for leak in leaks(data, held)}


def grown(n_users=80, n_items=60, seed=0, days=True):
    """People with histories of eight items at moments of their own."""
    rng = np.random.default_rng(seed)
    histories = [rng.choice(n_items, 8, replace=False).tolist() for _ in range(n_users)]
    times = [np.sort(rng.random(8) * 100).tolist() for _ in range(n_users)]
    ratings = [rng.integers(1, 6, 8).astype(float).tolist() for _ in range(n_users)]
    return dataset_of(histories, n_items, days=times if days else None, ratings=ratings)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("make", [small_dataset, grown])
def test_our_own_splits_leak_nothing(protocol, make):
    data = make()
    held = split(data, SplitConfig(protocol=protocol, share=0.2), 1)
    assert {leak.check for leak in leaks(data, held)} <= {"future-of-others"}


def test_a_target_in_its_own_history():
    data = grown()
    held = split(data, SplitConfig())
    q = held.test.queries
    ends = q.indptr[1:] - 1
    items = q.items.copy()
    items[ends[:5]] = held.test.items[:5]
    wrong = replace(held, test=replace(held.test, queries=replace(q, items=items)))
    leak = found(data, wrong)["target-in-history"]
    assert (leak.level, leak.count) == ("leak", 5)
    assert f"user 'u0', item 'i{held.test.items[0]}'" in leak.message


def test_an_event_that_was_written_twice_is_in_training_too():
    """The same event under another time, in a split that goes by rows alone."""
    data = grown()
    held = split(data, SplitConfig())
    again = data.interactions.take(held.test.hidden[:7])
    again = replace(again, time=again.time - 86_400 * 200)
    twice = replace(data, interactions=Interactions.concatenate([held.train.interactions, again]))
    wrong = replace(
        held, validation=replace(held.validation, train=twice), test=replace(held.test, train=twice)
    )
    leak = found(data, wrong)["target-in-training"]
    assert (leak.level, leak.count) == ("leak", 7)


def test_validation_that_has_the_test_in_it():
    data = grown()
    held = split(data, SplitConfig())
    wrong = replace(held, validation=replace(held.test, train=held.train))
    assert found(data, wrong)["test-in-validation"].count == len(held.test)


def test_impressions_that_show_the_target():
    data = grown()
    held = split(data, SplitConfig())
    users = [data.users[int(u)] for u in held.test.queries.users[:4]]
    table = pl.DataFrame(
        {
            "request_id": ["r"] * 4,
            "user_id": users,
            "item_id": [data.items[int(i)] for i in held.test.items[:4]],
            "position": [1.0] * 4,
            "propensity": [0.5] * 4,
            "reward": [1.0] * 4,
            "timestamp": [0.0] * 4,
        },
        schema=data.impressions.schema,
    )
    wrong = replace(held, test=replace(held.test, train=replace(held.test.train, impressions=table)))
    assert found(data, wrong)["target-in-impressions"].count == 4
    ours = replace(data, impressions=table)  # the split itself takes them out
    assert "target-in-impressions" not in found(ours, split(ours, SplitConfig()))


def test_rows_after_the_cut():
    data = grown()
    held = split(data, SplitConfig(protocol="temporal", share=0.2))
    late = data.interactions.take(held.test.hidden[:3])
    train = replace(
        held.test.train, interactions=Interactions.concatenate([held.test.train.interactions, late])
    )
    leak = found(data, replace(held, test=replace(held.test, train=train)))["after-the-cut"]
    assert leak.count == 3


def test_a_protocol_that_is_not_by_time_knows_the_future_of_others():
    data = grown()
    random = SplitConfig(protocol="random", share=0.2)
    assert found(data, split(data, random))["future-of-others"].level == "known"
    assert "future-of-others" not in found(data, split(data, SplitConfig(protocol="temporal")))


@pytest.mark.parametrize("days", [True, False])
def test_one_person_under_two_ids(days):
    data = grown()
    rows = data.interactions
    twins = rows.take(rows.user < 10)
    joined = Interactions.concatenate([rows, replace(twins, user=(twins.user + 80).astype(np.int32))])
    if not days:
        joined = replace(joined, time=np.full(len(joined), np.nan))
    copied = replace(dataset_of([[0]] * 90, 60), interactions=joined)
    held = split(copied, SplitConfig(protocol="users", share=0.5), 0)
    asked = set(held.test.queries.users.tolist())
    apart = [user for user in range(10) if len(asked & {user, user + 80}) == 1]
    assert apart  # the other of the two is learnt from
    leak = found(copied, held)["same-person"]
    assert (leak.count, leak.level) == (len(apart), "leak" if days else "suspect")


def test_crowds_at_one_moment_are_no_twins():
    """Times that are days alone: many take the same item on the same day, and are not the same person."""
    rng = np.random.default_rng(0)
    histories = [rng.choice(12, 6, replace=False).tolist() for _ in range(200)]
    data = dataset_of(histories, 12, days=[[0, 1, 2, 3, 4, 5]] * 200)
    held = split(data, SplitConfig(protocol="users", share=0.3), 0)
    assert "same-person" not in found(data, held)


def test_one_thing_under_two_ids():
    data = grown()
    held = split(data, SplitConfig())
    q = held.test.queries
    titles = data.item_table["title"].to_list()
    for row in range(4):  # the target has the title of the first item of its history
        titles[int(held.test.items[row])] = titles[int(q.items[q.indptr[row]])] = (
            f"one and the same thing {row}"
        )
    named = replace(data, item_table=data.item_table.with_columns(pl.Series("title", titles)))
    leak = found(named, split(named, SplitConfig()))["same-item"]
    assert leak.level == "suspect"
    assert leak.count >= 2


@pytest.mark.parametrize(
    ("side", "what"),
    [("items", "number of interactions"), ("items", "mean rating"), ("users", "moment of the newest event")],
)
@pytest.mark.parametrize("form", ["as it is", "rounded", "as text", "by rank"])
def test_a_column_computed_from_all_rows(side, what, form):
    from fuserec.evaluation.leakage.columns import _aggregates

    data = grown(n_users=400)
    held = split(data, SplitConfig(protocol="temporal", share=0.3))
    size = data.n_items if side == "items" else data.n_users
    for source, caught in ((data, True), (held.test.train, False)):
        values = _aggregates(source, side.removesuffix("s"), size)[what]
        scale = np.nanstd(values)
        made = {
            "as it is": values,
            "rounded": np.round(values / (0.02 * scale)) * 0.02 * scale,
            "as text": values,
            "by rank": np.exp(2 * (values - np.nanmean(values)) / scale),
        }[form]
        column = pl.Series("feature", made).fill_nan(None)
        column = column.cast(pl.String) if form == "as text" else column
        table = "item_table" if side == "items" else "user_table"
        wider = replace(data, **{table: getattr(data, table).with_columns(column)})
        told = found(wider, split(wider, held.config))
        assert ("column-of-the-future" in told) == caught
        if caught:
            assert f"column 'feature' of {side} is the {what}" in told["column-of-the-future"].message


def test_columns_that_say_something_else_are_left_alone():
    data = grown(n_users=400)
    rng = np.random.default_rng(1)
    held = split(data, SplitConfig(protocol="temporal", share=0.3))
    known = held.test.train.item_counts
    table = data.item_table.with_columns(
        pl.Series("price", rng.random(data.n_items)),
        pl.Series("constant", np.ones(data.n_items)),
        pl.Series("near", known + rng.normal(0, 3, data.n_items)),  # popular before, measured elsewhere
        pl.Series("words", [f"w{i}" for i in range(data.n_items)]),
    )
    assert "column-of-the-future" not in found(replace(data, item_table=table), held)


def test_a_circumstance_that_is_the_answer():
    data = grown()
    rows = data.interactions
    context = pl.DataFrame(
        {
            "genre": [f"g{i % 7}" for i in rows.item.tolist()],
            "device": [
                f"d{(i * 7 + u) % 3}" for u, i in zip(rows.user.tolist(), rows.item.tolist(), strict=True)
            ],
            "country": [f"c{u % 4}" for u in rows.user.tolist()],
            "shop": ["here"] * len(rows),
        }
    )
    told = replace(data, interactions=replace(rows, context=context))
    found_ = [leak for leak in leaks(told, split(told, SplitConfig())) if leak.check == "answer-in-context"]
    assert len(found_) == 1
    assert "column 'genre' of interactions" in found_[0].message


def test_a_profile_that_names_the_target():
    data = grown()
    held = split(data, SplitConfig())
    rng = np.random.default_rng(0)
    profiles = [f"I like item {rng.integers(60)}." for _ in range(data.n_users)]
    honest = replace(data, user_table=pl.DataFrame({"text": profiles}))
    assert "answer-in-words" not in found(honest, held)
    for row, user in enumerate(held.test.queries.users[:20].tolist()):
        profiles[user] = f"Bought lately: Item {held.test.items[row]}."
    leak = found(replace(data, user_table=pl.DataFrame({"text": profiles})), held)["answer-in-words"]
    assert leak.level == "suspect"
    assert leak.count >= 20


def test_the_worst_comes_first():
    data = grown()
    held = split(data, SplitConfig())
    q = held.test.queries
    items = q.items.copy()
    items[q.indptr[1:] - 1] = held.test.items
    levels = [
        leak.level
        for leak in leaks(data, replace(held, test=replace(held.test, queries=replace(q, items=items))))
    ]
    assert levels == sorted(levels, key=("leak", "suspect", "known").index)
    assert levels[0] == "leak"
    assert set(CHECKS) >= {"target-in-history", "future-of-others"}
