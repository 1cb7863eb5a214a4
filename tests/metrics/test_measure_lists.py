from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

from fuserec.errors import DataError, RequestError
from fuserec.metrics import DEFINITIONS, lists, name_and_k
from fuserec.metrics.lists import measure_lists

LISTS = {"ann": ["a", "b", "c"], "bob": ["c", "d"], "eve": ["a"]}
TRUTH = {"ann": ["b", "x"], "bob": ["c"], "dan": ["a"]}
HISTORY = {"ann": ["d", "a2"], "bob": ["a"], "dan": ["b", "a"]}
CATEGORIES = {"a": ["drama"], "b": ["drama", "crime"], "c": ["crime"], "d": ["war"]}


def test_docstring_examples() -> None:
    result = doctest.testmod(lists)
    assert result.attempted >= 5
    assert result.failed == 0


def test_a_case_worked_by_hand() -> None:
    found = measure_lists(LISTS, TRUTH, ks=(2,), history=HISTORY, categories=CATEGORIES)
    assert found.users == ["ann", "bob", "dan"]
    # ann finds b of two on place 2, bob finds c on place 1, dan has no list.
    assert found.columns["recall@2"].tolist() == [0.5, 1.0, 0.0]
    assert found.columns["precision@2"].tolist() == [0.5, 0.5, 0.0]
    assert found.columns["mrr@2"].tolist() == [0.5, 1.0, 0.0]
    ideal = 1 + 1 / math.log2(3)
    np.testing.assert_allclose(found.columns["ndcg@2"], [1 / math.log2(3) / ideal, 1, 0])
    assert found.columns["user_coverage@2"].tolist() == [1.0, 1.0, 0.0]
    # Of the catalogue a, b, c, d, x and a2 the first two places show a, b, c, d.
    assert found.means["coverage@2"] == pytest.approx(4 / 6)
    # Of three users two know a, one b, nobody c.
    assert found.columns["novelty@2"][0] == pytest.approx((math.log2(3 / 2) + math.log2(3)) / 2)
    assert found.columns["s_recall@2"].tolist()[:2] == [pytest.approx(2 / 3), pytest.approx(2 / 3)]


def test_ids_and_arrays_give_the_same_figures() -> None:
    rng = np.random.default_rng(0)
    table = np.argsort(rng.random((40, 12)), axis=1)[:, :6].astype(np.int64)
    table[rng.random(40) < 0.3, 4:] = -1
    truth = [rng.choice(12, rng.integers(1, 4), replace=False) for _ in range(40)]
    history = [rng.choice(12, rng.integers(0, 5), replace=False) for _ in range(40)]
    ragged = [
        (np.concatenate(([0], np.cumsum([len(row) for row in rows]))), np.concatenate(rows))
        for rows in (truth, history)
    ]
    kinds = [[f"k{item % 3}"] for item in range(12)]
    vectors = rng.normal(size=(12, 3))
    one = measure_lists(
        table,
        ragged[0],
        (2, 5),
        history=ragged[1],
        catalogue=12,
        categories=np.eye(3)[np.arange(12) % 3],
        vectors=vectors,
    )
    names = [f"i{item}" for item in range(12)]
    users = [f"u{user}" for user in range(40)]
    two = measure_lists(
        {u: [names[i] for i in row if i >= 0] for u, row in zip(users, table, strict=True)},
        {u: [names[i] for i in row] for u, row in zip(users, truth, strict=True)},
        (2, 5),
        history={u: [names[i] for i in row] for u, row in zip(users, history, strict=True)},
        catalogue=names,
        categories=dict(zip(names, kinds, strict=True)),
        vectors=vectors,
        threads=2,
    )
    assert one.means.keys() == two.means.keys()
    assert len(one.means) > 40
    for name, column in one.columns.items():
        np.testing.assert_allclose(column, two.columns[name], atol=1e-12, err_msg=name)
        about = DEFINITIONS[name_and_k(name)[0]]
        assert about.low <= one.means[name] <= about.high + 1e-12


def test_grades_come_with_the_truth() -> None:
    found = measure_lists({"u": ["a", "b"]}, {"u": {"b": 2, "a": 1}}, ks=(2,))
    assert found.means["linear_ndcg@2"] == pytest.approx((1 + 2 / math.log2(3)) / (2 + 1 / math.log2(3)))
    assert found.means["ndcg@2"] == pytest.approx(1)


def test_probabilities_come_with_arrays() -> None:
    truth = (np.array([0, 1]), np.array([1]))
    found = measure_lists(np.array([[1, 0]]), truth, ks=(2,), probabilities=[[0.5, 0.2]])
    assert found.means["brier@2"] == pytest.approx((0.25 + 0.04) / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: measure_lists({"u": ["a", "a"]}, {"u": ["b"]}), "twice"),
        (lambda: measure_lists({"u": ["a"]}, {"u": ["b"]}, catalogue=["a"]), "'b' is not in the catalogue"),
        (lambda: measure_lists({"u": ["a"]}, (np.array([0, 1]), np.array([0]))), "mappings too"),
        (lambda: measure_lists({"u": ["a"]}, {"u": ["b"]}, grades=[1]), "go with arrays"),
        (lambda: measure_lists({"u": ["a"], "v": []}, {"u": {"b": 1}, "v": ["a"]}), "every user"),
        (lambda: measure_lists(np.array([[0.5]]), {}), "int"),
        (lambda: measure_lists(np.array([[0]]), {}), "indptr, items"),
        (lambda: measure_lists(np.array([[0]]), (np.array([0, 2]), np.array([0]))), "has to rise"),
        (lambda: measure_lists(np.array([[5]]), (np.array([0, 1]), np.array([0])), catalogue=3), "0 to 2"),
        (lambda: measure_lists({"u": ["a"]}, {"u": ["b"]}, vectors=np.eye(3)), "3 rows"),
    ],
)
def test_bad_input_is_refused(call, message: str) -> None:
    with pytest.raises(DataError, match=message):
        call()


def test_a_bad_k_is_refused() -> None:
    with pytest.raises(RequestError, match="at least 1"):
        measure_lists({"u": ["a"]}, {"u": ["a"]}, ks=(0,))
