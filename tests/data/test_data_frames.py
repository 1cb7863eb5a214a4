"""Frames of pandas, polars and pyarrow give the same dataset as the files they would be."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fuserec.data.cleaning import CleaningOptions
from fuserec.data.dataset import Dataset, DatasetInfo
from fuserec.data.frames import from_frames
from fuserec.errors import DataError

T = 1_000_000_000
ROWS = {
    "user_id": ["u", "u", "v"],
    "item_id": ["a", "b", "a"],
    "rating": [5.0, 3.0, 1.0],
    "timestamp": [T + 2, T + 1, T],
}
ITEMS = {"item_id": ["a", "b"], "title": ["A", "B"], "tags": [["x", "y"], []], "year": [1990, 1991]}
FRAMES = {
    "pandas": pd.DataFrame,
    "pandas-arrow": lambda table: pa.table(table).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "lazy": lambda table: pl.DataFrame(table).lazy(),
    "pyarrow": pa.table,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_every_kind_of_frame_gives_the_same_dataset(kind):
    data = Dataset.from_frames(FRAMES[kind](ROWS), FRAMES[kind](ITEMS), name="mine")
    assert data.info.name == "mine"
    assert data.users.ids() == ["u", "v"]
    assert data.items.ids(data.interactions.item) == ["b", "a", "a"]
    assert data.interactions.rating.tolist() == [3.0, 5.0, 1.0]
    assert data.item_table.to_dict(as_series=False) == {
        "title": ["A", "B"],
        "tags": [["x", "y"], []],
        "year": [1990, 1991],
    }


def test_pandas_works_where_pyarrow_is_not_installed():
    script = """
import subprocess
import sys
sys.modules["pyarrow"] = None
import pandas as pd
from fuserec.data.dataset import Dataset
rows = pd.DataFrame({"user_id": ["u", "v"], "item_id": pd.Series(["a", "b"], dtype="category")})
items = pd.DataFrame({"item_id": ["a", "b"], "title": ["A", None], "tags": [["x"], []], "year": [1, 2]})
data = Dataset.from_frames(rows, items)
print(data.users.ids(), data.item_table.to_dicts())
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    table = [{"title": "A", "tags": ["x"], "year": 1}, {"title": "", "tags": [], "year": 2}]
    assert done.stdout.strip() == f"['u', 'v'] {table}"


def test_missing_values_and_moments_of_pandas():
    frame = pd.DataFrame(
        {
            "user_id": [1, 2, None],
            "item_id": pd.Series(["a", "b", "c"], dtype="category"),
            "rating": pd.Series([4, None, 5], dtype="Int64"),
            "timestamp": pd.to_datetime(["2001-09-09 01:46:40", "2001-09-09 01:46:41", None], utc=True),
        }
    )
    data, report = from_frames(frame)
    assert data.users.ids() == ["1"]
    assert data.interactions.time.tolist() == [T]
    assert report.count("empty user id") == 1
    assert report.count("rating missing") == 1


def test_cells_of_numpy_and_python():
    items = pd.DataFrame(
        {"item_id": ["a", "b"], "tags": [np.array(["x"]), ("y", "z")], "title": ["A", np.str_("B")]}
    )
    table = Dataset.from_frames(pd.DataFrame(ROWS), items).item_table
    assert table["tags"].to_list() == [["x"], ["y", "z"]]
    assert table["title"].to_list() == ["A", "B"]


def test_the_caller_s_frames_stay_as_they_were():
    frame, items = pl.DataFrame(ROWS), pl.DataFrame(ITEMS)
    before = frame.clone(), items.clone()
    from_frames(frame, items)
    assert frame.equals(before[0])
    assert items.equals(before[1])


def test_an_update_of_items_alone_and_of_events_with_items_known_elsewhere():
    data, _ = from_frames(None, pl.DataFrame(ITEMS), options=CleaningOptions(allow_empty=True))
    assert (data.n_items, data.n_users, data.n_interactions) == (2, 0, 0)
    new = {"user_id": ["u"], "item_id": ["old"]}
    data, _ = from_frames(
        pl.DataFrame(new), pl.DataFrame(ITEMS), options=CleaningOptions(unknown_items="keep")
    )
    assert data.items.ids() == ["a", "b", "old"]


def test_scale_and_weights_come_with_info():
    info = DatasetInfo(name="x", rating_scale=(1.0, 10.0))
    assert from_frames(pl.DataFrame(ROWS), info=info)[0].info.rating_scale == (1.0, 10.0)


def test_searches_need_no_items():
    data = Dataset.from_frames(
        pl.DataFrame({"user_id": ["u", "u"], "item_id": ["a", None], "text": [None, "tea"]})
    )
    assert data.searches.text == ("tea",)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ([("u", "a")], "interactions: a list came; give a pandas, polars or pyarrow frame"),
        (
            pl.DataFrame({"user": ["u"], "item_id": ["a"]}),
            "no column 'user_id'; did you mean 'user'.*columns: user, item_id",
        ),
        (pl.DataFrame({"user_id": ["u"], "item": ["a"]}), "no column 'item_id'; did you mean 'item'"),
        (pl.DataFrame({"user_id": ["u"], "item_id": [["a"]]}), "item_id holds lists or objects"),
        (
            pl.DataFrame({"user_id": ["u"], "item_id": ["a"], "rating": [[1]]}),
            "rating holds lists or objects",
        ),
        (pl.DataFrame({"user_id": [1.5], "item_id": ["a"]}), "user_id holds fractions"),
        (pl.DataFrame({"user_id": [], "item_id": []}), "no interaction is left"),
        (None, "no interaction is left"),
    ],
)
def test_what_is_no_dataset_is_one_clear_line(frame, message):
    with pytest.raises(DataError, match=message) as caught:
        from_frames(frame)
    assert "\n" not in str(caught.value)
