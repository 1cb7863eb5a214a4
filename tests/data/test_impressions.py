"""Impressions travel with the data: cleaned, kept, split without a leak, forgotten, stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from fuserec.data.dataset import Dataset
from fuserec.data.dataset_state import anonymous, dataset_from_state, dataset_state
from fuserec.data.folder_writer import write_folder
from fuserec.data.frames import from_frames
from fuserec.data.impressions import Impressions, not_held_out
from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, split
from fuserec.errors import DataError

DAY = 86_400.0
START = 1.6e9


def interactions(rows):
    return pl.DataFrame(
        {
            "user_id": [user for user, _, _ in rows],
            "item_id": [item for _, item, _ in rows],
            "timestamp": [START + day * DAY for _, _, day in rows],
        }
    )


def impressions(rows):
    return pl.DataFrame(
        {
            "request_id": [f"r{place}" for place in range(len(rows))],
            "user_id": [user for user, *_ in rows],
            "item_id": [item for _, item, *_ in rows],
            "position": [0] * len(rows),
            "propensity": [p for *_, p, _ in rows],
            "reward": [reward for *_, reward in rows],
            "timestamp": [None if day is None else START + day * DAY for _, _, day, *_ in rows],
        },
        schema_overrides={"propensity": pl.Float64, "reward": pl.Float64, "timestamp": pl.Float64},
    )


TAKEN = [
    (user, item, day)
    for user, items in (("ann", "abcd"), ("bob", "bcda"), ("cat", "dabc"))
    for day, item in enumerate(items)
]
SHOWN = [
    ("ann", "b", 0.5, 0.5, 1.0),  # of validation and test nothing
    ("ann", "d", 0.6, 0.5, 0.0),  # the very pair that the test asks for
    ("ann", "a", 2.5, 0.25, 0.0),  # after the validation event
    ("ann", "a", None, 0.25, 0.0),  # nobody knows when
    ("guest", "c", 1.0, 1.0, 1.0),
    ("bob", "nowhere", 0.5, 0.5, 1.0),
]


def data(rows=SHOWN):
    return Dataset.from_frames(interactions(TAKEN), impressions=impressions(rows))


def test_columns_are_codes_and_numbers():
    found = Impressions.of(data())
    assert found.user.tolist() == [0, 0, 0, 0, -1]
    assert found.item.tolist() == [1, 3, 0, 0, 2]
    assert found.propensity.tolist() == [0.5, 0.5, 0.25, 0.25, 1.0]
    assert found.reward.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    np.testing.assert_array_equal(found.time - START, np.array([0.5, 0.6, 2.5, np.nan, 1.0]) * DAY)
    assert len(Impressions.of(data([]))) == 0


def test_what_cannot_be_is_left_empty_and_counted():
    rows = [("ann", "b", 0.5, p, 1.0) for p in (0.0, 1.5, -1.0, 1.0, None)]
    dataset, report = from_frames(interactions(TAKEN), impressions=impressions([*rows, SHOWN[-1]]))
    np.testing.assert_array_equal(Impressions.of(dataset).propensity, [np.nan] * 3 + [1.0, np.nan])
    assert report.count("propensity that cannot be") == 3
    assert report.count("impression of an unknown item") == 1


def test_a_column_that_is_missing_is_named():
    with pytest.raises(DataError, match=r"impressions: no column 'request_id'"):
        Dataset.from_frames(interactions(TAKEN), impressions=impressions(SHOWN).drop("request_id"))


def test_no_split_learns_from_what_was_shown_of_its_answers():
    whole = data()
    train = split(whole, SplitConfig()).train  # ann: c is validation, d test
    kept = train.impressions
    assert kept.select("user_id", "item_id").rows() == [("ann", "b"), ("guest", "c"), ("bob", "nowhere")]
    assert whole.impressions.height == len(SHOWN)


def test_after_the_moment_of_a_temporal_split_nothing_is_known():
    rows = [(f"u{u}", i, 10 * u + d) for u in range(10) for d, i in enumerate("abcd")]
    shown = [("guest", "a", day, 0.5, 1.0) for day in (1.0, 60.0, 95.0, None)]
    whole = Dataset.from_frames(interactions(rows), impressions=impressions(shown))
    train = split(whole, SplitConfig(protocol="temporal", share=0.2)).train
    assert ((train.impressions["timestamp"] - START) / DAY).to_list() == [1.0]


def test_of_cold_items_and_of_users_held_out_nothing_is_left():
    whole = data([("guest", "a", 0.5, 0.5, 1.0), ("guest", "b", 0.5, 0.5, 1.0), ("ann", "b", -5.0, 0.5, 1.0)])
    rows = whole.interactions
    cold = not_held_out(whole, rows.item != 0)
    assert cold.impressions["item_id"].to_list() == ["b", "b"]
    assert not_held_out(whole, rows.user != 0).impressions["user_id"].to_list() == ["guest", "guest"]


def test_they_are_stored_and_found_again(tmp_path):
    whole = data()
    again, _ = read(write_folder(whole, tmp_path / "folder"))
    assert again.impressions.equals(whole.impressions)
    state = dataset_state(whole)
    restored = dataset_from_state(state, {"name": "frames"})
    assert restored.impressions.equals(whole.impressions)
    old = {name: array for name, array in state[0].items() if name != "impressions"}
    assert dataset_from_state((old, state[1]), {"name": "frames"}).impressions.height == 0
    assert anonymous(whole).impressions.height == 0
    assert "impressions" not in dataset_state(data([]))[0]


def test_who_is_forgotten_was_never_shown_anything():
    left = data().without_user(0)
    assert left.impressions["user_id"].to_list() == ["guest", "bob"]


def test_an_update_adds_its_own():
    grown = data().extended(data([("cat", "a", 9.0, 0.1, 0.0)]))
    assert grown.impressions.height == len(SHOWN) + 1
    assert Impressions.of(grown).item[-1] == 0


def test_another_propensity_is_another_dataset():
    whole = data()
    other = replace(whole, impressions=whole.impressions.with_columns(pl.lit(0.5).alias("propensity")))
    assert other.fingerprint != whole.fingerprint
    assert data([]).fingerprint == Dataset.from_frames(interactions(TAKEN)).fingerprint
