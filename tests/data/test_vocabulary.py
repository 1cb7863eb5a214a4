from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.data.vocabulary import Vocabulary
from fuserec.errors import ModelFormatError

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), unique=True, max_size=30)


@given(IDS)
@settings(max_examples=60, deadline=None)
def test_ids_to_indices_and_back(ids):
    vocabulary = Vocabulary.from_ids(ids)
    assert len(vocabulary) == len(ids)
    assert vocabulary.ids() == ids
    assert vocabulary.indices(ids).tolist() == list(range(len(ids)))
    assert vocabulary.indices(ids).dtype == np.int32


@given(IDS, IDS)
@settings(max_examples=60, deadline=None)
def test_extension_appends_only_what_is_new(old, new):
    vocabulary = Vocabulary.from_ids(old)
    extended = vocabulary.extended(new)
    added = [i for i in new if i not in old]
    assert extended.ids() == old + added
    assert vocabulary.ids() == old
    np.testing.assert_array_equal(extended.hashes, Vocabulary.from_ids(old + added).hashes)
    assert extended.indices(new).min(initial=0) >= 0


@given(IDS)
@settings(max_examples=30, deadline=None)
def test_state_round_trip(ids):
    arrays = Vocabulary.from_ids(ids).state("items")
    again = Vocabulary.from_state(arrays, "items")
    assert again.ids() == ids
    assert again.indices(ids).tolist() == list(range(len(ids)))


def test_unknown_ids_are_minus_one():
    vocabulary = Vocabulary.from_ids(["a", "b", "ä", "a" * 10_000])
    assert vocabulary.index("c") == -1
    assert vocabulary.indices(["b", "nobody", "ä", "a" * 10_000, ""]).tolist() == [1, -1, 2, 3, -1]
    assert Vocabulary.from_ids([]).index("a") == -1


def test_equal_hashes_are_told_apart_by_the_id():
    plain = Vocabulary.from_ids(["x", "y", "z"])
    same = plain.hashes.copy()
    same[:] = plain.hashes[0]
    clashing = Vocabulary(plain.data, plain.offsets, same)
    assert clashing.index("x") == 0
    from fuserec.numerics import hashing

    assert np.uint64(hashing.hash_text("x")) == same[0]
    assert clashing.index("y") == -1  # its hash is not the stored one; nothing is taken for something else


@pytest.mark.parametrize("index", [-1, 2])
def test_an_index_outside_is_refused(index):
    with pytest.raises(IndexError, match=r"outside 0\.\.1"):
        Vocabulary.from_ids(["a", "b"])[index]


@pytest.mark.parametrize("part", ["data", "offsets", "hashes"])
def test_damaged_ids_are_named(part):
    arrays = Vocabulary.from_ids(["one", "two"]).state("users")
    arrays[f"users.{part}"] = arrays[f"users.{part}"][:-1]
    with pytest.raises(ModelFormatError, match="the ids named 'users' are damaged"):
        Vocabulary.from_state(arrays, "users")
