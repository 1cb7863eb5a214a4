"""The conversions that the benchmark makes itself come out with the published counts, and with text."""

from __future__ import annotations

import lzma

import numpy as np
import pytest

from bench import configurations, datasets
from fuserec.encoders.text import item_text


def test_keywords_lose_the_marks_of_their_pieces(tmp_path):
    path = tmp_path / "item_keywords.txt.xz"
    with lzma.open(path, "wt", encoding="utf-8") as file:
        file.write("B1 |▁rack|fenders|▁grand\nB2 |▁boat\n")
    assert list(datasets.keywords(path)) == [("B1", "rack fenders grand"), ("B2", "boat")]


@pytest.mark.realdata
@pytest.mark.parametrize("key", ["sports", "anime", "lastfm"])
def test_a_conversion_has_the_published_counts_and_every_item_its_text(realdata, key):
    dataset = datasets.load(key, realdata)  # raises where the counts are others
    assert all(item_text(dataset.item_table))
    assert len(dataset.item_counts) == datasets.DATASETS[key].counts[1]


@pytest.mark.realdata
def test_anime_has_ratings_where_they_were_given(realdata):
    dataset = datasets.load("anime", realdata)
    rated = np.isfinite(dataset.interactions.rating)
    assert int(rated.sum()) == 419_943
    assert dataset.has_ratings
    assert dataset.interactions.rating[rated].max() == 10


@pytest.mark.realdata
def test_other_counts_than_the_published_are_refused(realdata, monkeypatch):
    source = datasets.DATASETS["lastfm"]
    other = datasets.Source(source.title, source.folder, source.open, (1, 2, 3), source.splits)
    monkeypatch.setitem(datasets.DATASETS, "lastfm", other)
    with pytest.raises(ValueError, match="other data"):
        datasets.load("lastfm", realdata)


@pytest.mark.realdata
def test_only_scorers_that_the_data_can_serve_are_run(realdata):
    plays, films = (datasets.load(key, realdata) for key in ("lastfm", "ml-100k"))
    assert configurations.why_not("svd", plays) == "the data have no rating"
    assert configurations.why_not("svd", films) is None
    assert configurations.why_not("ease", plays) == "it takes at most 15,000 items"
    names = configurations.candidates(films)
    assert not configurations.ON_REQUEST & set(names)
    assert "user_knn" in names
    assert not {"popularity", "svd"} & set(names)  # parts of its default
    assert not any(configurations.wraps(name) for name in names if name not in configurations.VARIANTS)
    assert configurations.expanded(["default", "5m", "alone"], films, first=False) == ["default"]
