"""Columns as features: kinds, frequent values, what is missing or was never seen, intervals of numbers."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from fuserec.encoders.columns import ColumnEncoder

CELLS = {
    "age": pl.Series([10, 20, 30, 40, None, 20]),
    "zip": pl.Series(["55105", " 94043", "", "10001", "2139", "60615"]),
    "gender": pl.Series(["F", "M", "F", None, "M", "other"]),
    "tags": pl.Series([["a", "b"], ["a"], [], None, ["b", "b"], ["c"]]),
    "member": pl.Series([True, False, None, True, True, False]),
    "same": pl.Series([1.0] * 6),
    "rare": pl.Series(list("uvwxyz")),
}


def learnt(**changes) -> ColumnEncoder:
    return ColumnEncoder.learn(CELLS, **{"least": 2, "most": 10, **changes})


def test_kinds_and_frequent_values():
    found = {column.name: column for column in learnt().columns}
    assert set(found) == {"age", "zip", "gender", "tags", "member"}  # one value or rare ones only say nothing
    assert found["age"].kind == found["zip"].kind == "number"
    assert found["gender"].values == ("F", "M")
    assert found["tags"].values == ("a", "b")  # a value twice in a cell counts once
    assert found["member"].values == ("true", "false")
    assert learnt(most=1).spans["gender"] == (0, 1)


def test_a_number_may_be_a_name():
    named = ColumnEncoder.learn({"shop": pl.Series([1, 1, 2, 2])}, 2, 10, ["shop"])
    assert named.indicator_names == [("shop", "1"), ("shop", "2")]
    assert named.encode_contexts([{"shop": 2.0}, {"shop": "1"}], 2).indicators.toarray().tolist() == [
        [0, 1],
        [1, 0],
    ]


def test_rows_as_features():
    encoder = learnt()
    found = encoder.encode(CELLS, 6)
    np.testing.assert_array_equal(found.numbers[:, 0], np.array([10, 20, 30, 40, np.nan, 20], np.float32))
    assert found.numbers[1, 1] == 94043.0
    assert np.isnan(found.numbers[2, 1])
    names = [f"{column}={value}" for column, value in encoder.indicator_names]
    assert [names[i] for i in found.indicators[0].indices] == ["gender=F", "tags=a", "tags=b", "member=true"]
    assert found.indicators[3].nnz == 1  # member alone
    assert found.indicators[4, names.index("tags=b")] == 1.0


def test_contexts_give_what_tables_give():
    encoder = learnt()
    table = encoder.encode(CELLS, 6)
    rows = [{name: column[row] for name, column in CELLS.items()} for row in range(6)]
    contexts = [{k: v.to_list() if isinstance(v, pl.Series) else v for k, v in row.items()} for row in rows]
    found = encoder.encode_contexts(contexts, 6)
    np.testing.assert_array_equal(found.numbers, table.numbers)
    np.testing.assert_array_equal(found.indicators.toarray(), table.indicators.toarray())


def test_missing_and_unseen_values_say_nothing():
    encoder = learnt()
    contexts = [
        {},
        {"gender": "X", "tags": ["zzz"], "age": "old", "unknown": 1},
        {"age": [1], "zip": 10**400},
    ]
    found = encoder.encode_contexts(contexts, 3)
    assert found.indicators.nnz == 0
    assert np.isnan(found.numbers).all()
    nothing = encoder.encode_contexts((), 4)
    assert nothing.numbers.shape == (4, 2)
    assert nothing.indicators.shape == (4, len(encoder.indicator_names))


def test_numbers_fall_into_intervals():
    encoder = ColumnEncoder.learn({"few": pl.Series([1, 2, 2, 3]), "many": pl.Series(np.arange(100.0))}, 1, 5)
    few, many = encoder.columns
    assert few.edges == (1.5, 2.5)
    assert len(many.edges) == 9
    bins = encoder.bins(np.array([[2, 0], [np.nan, 99], [7, np.nan]], np.float32)).toarray()
    assert bins.sum(axis=1).tolist() == [2, 1, 1]
    assert bins[0, 1] == bins[0, 3] == bins[1, 12] == bins[2, 2] == 1
    assert encoder.bin_names[:3] == [("few", "< 1.5"), ("few", "1.5 to 2.5"), ("few", ">= 2.5")]


def test_state_is_json_and_all_there_is():
    encoder = learnt()
    again = ColumnEncoder.from_state(json.loads(json.dumps(encoder.state())))
    assert again == encoder
