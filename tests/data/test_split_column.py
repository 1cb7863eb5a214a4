"""The column ``split`` of interactions carries a predefined split through reading, writing and holding out."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuserec.data.folder_writer import write_folder
from fuserec.data.readers import read
from fuserec.data.splits import SplitConfig, split
from fuserec.errors import DataError

ROWS = """user_id,item_id,timestamp,split
a,x,1000000000,train
a,y,1000000001,validation
a,z,1000000002,test
b,x,1000000000,
b,z,1000000001,train
b,y,1000000005,TEST
"""


def folder(where: Path, rows: str) -> Path:
    where.mkdir()
    (where / "interactions.csv").write_text(rows, encoding="utf-8")
    return where


def test_predefined_split_follows_the_files(tmp_path):
    dataset, _ = read(folder(tmp_path / "in", ROWS))
    parts = split(dataset, SplitConfig(protocol="predefined"))
    assert [dataset.items[int(i)] for i in parts.test.items] == ["z", "y"]
    assert [dataset.items[int(i)] for i in parts.validation.items] == ["y"]
    assert parts.train.n_interactions == 3
    assert parts.test.queries.lengths.tolist() == [2, 2]  # the test query's history holds the validation item


def test_the_column_survives_writing_and_reading(tmp_path):
    dataset, _ = read(folder(tmp_path / "in", ROWS))
    again, _ = read(write_folder(dataset, tmp_path / "out"))
    assert again.interactions.part.tolist() == dataset.interactions.part.tolist() == [0, 1, 2, 0, 0, 2]


def test_unknown_part_is_dropped_and_counted(tmp_path):
    dataset, report = read(folder(tmp_path / "in", ROWS.replace(",TEST", ",tset")))
    assert dataset.n_interactions == 5
    assert any(
        "tset" in finding.reason and "did you mean 'test'" in finding.reason for finding in report.findings
    )


def test_without_the_column_predefined_says_what_to_do(tmp_path):
    dataset, _ = read(folder(tmp_path / "in", ROWS.replace("split", "other")))
    with pytest.raises(DataError, match="add a column `split`"):
        split(dataset, SplitConfig(protocol="predefined"))
