from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.numerics.hashing import hash_rows, hash_text, reseed

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def packed(texts):
    encoded = [t.encode() for t in texts]
    offsets = np.concatenate([[0], np.cumsum([len(e) for e in encoded])]).astype(np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8), offsets


@given(st.lists(TEXT, max_size=20))
@settings(max_examples=60, deadline=None)
def test_the_kernel_equals_plain_python(texts):
    assert hash_rows(*packed(texts)).tolist() == [hash_text(t) for t in texts]


@pytest.mark.parametrize(
    ("text", "fnv"), [("", 0xCBF29CE484222325), ("a", 0xAF63DC4C8601EC8C), ("foobar", 0x85944171F73967E8)]
)
def test_is_fnv_1a_finished_by_splitmix(text, fnv):
    """The published values of FNV-1a, 64 bits, mixed as SplitMix64 finishes."""
    mask, value = 2**64 - 1, fnv
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    assert hash_text(text) == value ^ (value >> 31)


@given(st.lists(TEXT, unique=True, max_size=20), st.integers(0, 2**70))
@settings(max_examples=40, deadline=None)
def test_seeds_give_other_orders_but_stay_the_same(texts, seed):
    hashes = hash_rows(*packed(texts))
    again = reseed(hashes, seed)
    assert again.dtype == np.uint64
    np.testing.assert_array_equal(again, reseed(hashes, seed))
    assert len(np.unique(again)) == len(texts)


def test_every_bit_is_used():
    hashes = hash_rows(*packed([f"item {i}" for i in range(4000)]))
    for values in (hashes, reseed(hashes, 1)):
        for bit in range(64):
            assert abs(float(((values >> np.uint64(bit)) & np.uint64(1)).mean()) - 0.5) < 0.05
    assert abs(np.corrcoef(np.argsort(hashes), np.argsort(reseed(hashes, 1)))[0, 1]) < 0.1
