from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fuserec.numerics.orders import competing_ranks, interleaved

SCORES = hnp.arrays(np.float32, (3, 9), elements=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 2.0]))
MASKS = hnp.arrays(bool, (3, 9))


@settings(max_examples=60, deadline=None)
@given(SCORES, MASKS, MASKS)
def test_ranks_equal_counting_who_is_above(values, known, counted):
    found = competing_ranks(values, known, counted, threads=2)
    for r, j in np.ndindex(values.shape):
        if not known[r, j]:
            assert np.isinf(found[r, j])
            continue
        rivals = [i for i in range(9) if i != j and known[r, i] and counted[r, i]]
        above = sum(values[r, i] > values[r, j] for i in rivals)
        equal = sum(values[r, i] == values[r, j] for i in rivals)
        assert found[r, j] == 1 + above + equal / 2


def test_rounding_does_not_part_a_tie():
    values = np.array([[1.0, 0.1 + 0.2, 0.3, 0.0]], np.float32)
    values[0, 1] = np.nextafter(np.float32(0.3), np.float32(1))
    everyone = np.ones((1, 4), bool)
    assert competing_ranks(values, everyone, everyone).tolist() == [[1.0, 2.5, 2.5, 4.0]]


def mixed(lists, turns=None, known=None, last=(), first=None, ties=None):
    values = np.array(lists, np.float32)[:, None, :]
    n_parts, _, m = values.shape
    seen = np.zeros((1, m), bool)
    seen[0, list(last)] = True
    place, source = interleaved(
        values,
        np.ones(values.shape, bool) if known is None else np.array(known)[:, None, :],
        np.arange(n_parts)[None, :] if first is None else np.array([first]),
        np.ones((1, n_parts)) if turns is None else np.array([turns], float),
        seen,
        np.arange(m, dtype=np.uint64) if ties is None else np.array(ties, np.uint64),
    )
    return place[0].tolist(), source[0].tolist()


def test_turns_go_round_without_repeats():
    # lists: 0 1 2 3 4 and 4 0 3 2 1
    place, source = mixed([[5, 4, 3, 2, 1], [4, 1, 2, 3, 5]])
    assert [place.index(i) for i in range(1, 6)] == [0, 4, 1, 3, 2]
    assert source == [0, 0, 0, 1, 1]


def test_the_order_of_the_parts_says_who_begins():
    place, _ = mixed([[5, 4, 3, 2, 1], [4, 1, 2, 3, 5]], first=[1, 0])
    assert [place.index(i) for i in range(1, 6)] == [4, 0, 3, 1, 2]


def test_a_larger_share_has_more_turns():
    place, source = mixed([[8, 7, 6, 5, 4, 3, 2, 1], [1, 2, 3, 4, 5, 6, 7, 8]], turns=[3.0, 1.0])
    assert [source[place.index(i)] for i in range(1, 5)].count(0) == 3
    assert sorted(place) == list(range(1, 9))


def test_what_comes_last_takes_no_turn():
    place, _ = mixed([[5, 4, 3, 2, 1], [1, 2, 3, 4, 5]], last=[0, 4])
    assert sorted([place[0], place[4]]) == [4, 5]
    assert place[1] == 1


def test_what_a_part_puts_last_all_alike_is_no_choice_of_its_own():
    place, source = mixed([[9, 0, 0, 0, 0], [1, 2, 3, 4, 5]])
    assert [place.index(i) for i in range(1, 6)] == [0, 4, 3, 2, 1]
    assert source[1:] == [1, 1, 1, 1]


def test_ties_are_settled_by_the_hash_and_unknown_items_have_no_place():
    place, source = mixed([[1, 2, 2, 2, 0]], known=[[True, True, True, True, False]], ties=[4, 3, 1, 2, 0])
    assert place == [4, 3, 1, 2, 0]
    assert source[4] == -1


@settings(max_examples=60, deadline=None)
@given(SCORES, MASKS, MASKS.map(lambda m: m[:1]), st.permutations(range(9)))
def test_every_known_item_has_one_place(values, known, last, ties):
    place, source = interleaved(
        values[:, None, :],
        known[:, None, :],
        np.arange(3)[None, :],
        np.ones((1, 3)),
        last,
        np.array(ties, np.uint64),
    )
    somebody = known.any(axis=0)
    assert sorted(place[0][somebody]) == list(range(1, somebody.sum() + 1))
    assert (place[0][~somebody] == 0).all()
    assert ((source[0] >= 0) == somebody).all()
    late, early = somebody & last[0], somebody & ~last[0]
    if late.any() and early.any():
        assert place[0][late].min() > place[0][early].max()
