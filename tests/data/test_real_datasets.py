"""The development datasets come out with their published figures, and a million rows are read fast enough."""

from __future__ import annotations

import time

import numpy as np
import polars as pl
import pytest

from fuserec.data.readers import import_folder, read


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("path", "format_", "users", "items", "interactions"),
    [
        ("amazon-beauty", "sequences", 22_363, 12_101, 198_502),
        ("amazon-beauty/user_sequence_asin.txt.xz", "sequences", 22_363, 12_101, 198_502),
        ("amazon-video-games", "sequences", 15_264, 7_676, 147_861),
        ("ml-1m", "sequences", 6_040, 3_883, 1_000_209),
        ("ml-100k", "movielens", 943, 1_682, 100_000),
        ("ml-100k/u1.base.xz", "movielens", 943, 1_682, 80_000),
        ("ml-100k/u1.test.xz", "movielens", 943, 1_682, 20_000),
        ("goodbooks-sample", "goodbooks", 2_672, 10_000, 298_176),
    ],
)
def test_published_figures(realdata, path, format_, users, items, interactions):
    data, report = read(realdata / path, format_)
    assert (data.n_users, data.n_items, data.n_interactions) == (users, items, interactions)
    assert report.dropped == 0
    assert report.count("impossible") == 0  # no outlier thresholds touch what people really did
    assert report.totals["items_without_text"] == 0


@pytest.mark.realdata
def test_beauty_becomes_a_folder_that_reads_back_equal(realdata, tmp_path):
    report = import_folder(realdata / "amazon-beauty", tmp_path / "beauty", "sequences")
    totals = report.totals
    assert (totals["users"], totals["items"], totals["interactions"]) == (22_363, 12_101, 198_502)
    assert report.count("HTML entities") > 1_000
    again, second = read(tmp_path / "beauty")
    assert again.fingerprint == read(realdata / "amazon-beauty", "sequences")[0].fingerprint
    assert not second.findings
    assert not any("&amp;" in title for title in again.item_table["title"])


@pytest.mark.realdata
def test_ml_1m_holds_the_films_nobody_rated_too(realdata):
    _, report = read(realdata / "ml-1m", "sequences")
    assert report.totals["items"] - report.totals["items_without_interactions"] == 3_706
    assert report.totals["users_without_interactions"] == 0


def test_a_million_rows_are_read_checked_and_indexed_in_under_two_seconds_of_cpu(tmp_path):
    rng = np.random.default_rng(5)
    n = 1_000_000
    pl.DataFrame(
        {
            "user_id": rng.integers(0, 50_000, n),
            "item_id": rng.integers(0, 20_000, n),
            "rating": rng.integers(1, 6, n),
            "timestamp": rng.integers(1_000_000_000, 1_600_000_000, n),
        }
    ).write_csv(tmp_path / "interactions.csv")
    read(tmp_path)  # compiles the hash once
    started = time.process_time()
    data, report = read(tmp_path)
    taken = time.process_time() - started
    assert data.n_interactions == n - report.dropped
    assert report.totals["users"] == 50_000
    # CPU of all threads together, so that a busy machine does not decide; alone, the clock shows less.
    assert taken < 2.0
