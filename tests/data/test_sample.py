"""The bundled sample: complete, true to its marks, reproducible, and with the signal that it claims."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from fuserec.data import sample
from fuserec.data.weights import KINDS

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "make_sample.py"
FILES = ("dataset.toml", "interactions.csv", "items.jsonl", "links.csv", "users.csv")


@pytest.fixture(scope="module")
def works() -> list[dict]:
    text = (sample.path() / "items.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def ids(works) -> set[str]:
    return {work["item_id"] for work in works}


@pytest.fixture(scope="module")
def events() -> pl.DataFrame:
    return pl.read_csv(sample.path() / "interactions.csv")


def test_folder_holds_the_files_and_is_small():
    assert tuple(sorted(path.name for path in sample.path().iterdir())) == FILES
    assert sum(path.stat().st_size for path in sample.path().iterdir()) < 1_500_000


def test_marked_as_simulated():
    told = tomllib.loads((sample.path() / "dataset.toml").read_text(encoding="utf-8"))
    assert told["simulated"] is True
    assert told["licence"].startswith("CC0-1.0")
    assert told["name"] == "FuseRec sample"
    assert "simulated" in told["note"]


def test_works_are_complete_and_distinct(works, ids):
    assert len(works) >= 300
    assert len(ids) == len(works)
    for work in works:
        assert work["title"]
        assert work["title_en"]
        assert work["creators"]
        assert work["brand"] == work["creators"][0]
        assert len(work["categories"]) >= 2
        assert len(work["tags"]) >= 2
        assert 1500 < work["year"] <= 2024


def test_descriptions_are_one_own_sentence_each(works):
    texts = [work["description"] for work in works]
    assert len(set(texts)) == len(texts)
    assert all(8 <= len(text.split()) <= 40 for text in texts)
    assert all(text == text.strip() and text.endswith(".") for text in texts)


def test_chinese_works_carry_both_titles(works):
    chinese = [work for work in works if any("\u4e00" <= letter <= "\u9fff" for letter in work["title"])]
    assert len(chinese) >= 25
    assert all(work["title"].endswith(f"({work['title_en']})") for work in chinese)


def test_all_media_are_there(works):
    media = {work["categories"][0] for work in works}
    assert media == {"Book", "Non-fiction book", "Film", "TV series", "Album", "Game"}


def test_links_refer_to_works(works, ids):
    links = pl.read_csv(sample.path() / "links.csv")
    assert links.columns == ["head", "relation", "tail"]
    assert links.is_duplicated().sum() == 0
    assert set(links["relation"]) == {"created_by", "has_genre", "adapted_from", "same_series", "set_in"}
    assert set(links["head"]) == ids
    between = links.filter(pl.col("relation").is_in(["adapted_from", "same_series"]))
    assert set(between["tail"]) <= ids
    assert (between["head"] != between["tail"]).all()
    years = {work["item_id"]: work["year"] for work in works}
    for head, relation, tail in between.iter_rows():
        earlier, later = (tail, head) if relation == "adapted_from" else (head, tail)
        assert years[earlier] <= years[later]


def test_no_name_plays_two_parts_in_the_graph(ids):
    links = pl.read_csv(sample.path() / "links.csv")
    named = links.filter(~pl.col("tail").is_in(list(ids)))
    parts = named.group_by("tail").agg(pl.col("relation").n_unique())
    assert parts.filter(pl.col("relation") > 1)["tail"].to_list() == []


def test_interactions_refer_to_works_and_users(events, ids):
    users = pl.read_csv(sample.path() / "users.csv")
    assert users.columns == ["user_id", "text", "tags"]
    assert users["user_id"].n_unique() == users.height == 600
    assert 0.5 < users["text"].is_not_null().mean() < 0.7
    assert events.columns == ["user_id", "item_id", "rating", "timestamp", "kind", "value", "text"]
    assert set(events["user_id"]) == set(users["user_id"])
    assert set(events["item_id"].drop_nulls()) <= ids
    assert 10_000 < events.height < 14_000
    assert events["item_id"].n_unique() > 0.95 * len(ids)


def test_kinds_ratings_values_and_times(events):
    assert set(events["kind"]) <= set(KINDS)
    searches = events.filter(pl.col("kind") == "search")
    assert 200 < searches.height < 400
    assert searches["text"].is_not_null().all()
    assert searches["item_id"].is_null().all()
    deeds = events.filter(pl.col("kind") != "search")
    assert deeds["item_id"].is_not_null().all()
    assert deeds["text"].is_null().all()
    rated = events.filter(pl.col("rating").is_not_null())
    assert set(rated["kind"]) == {"rating"}
    assert set(rated["rating"]) == {1, 2, 3, 4, 5}
    timed = events.filter(pl.col("value").is_not_null())
    assert set(timed["kind"]) == {"read", "watch", "listen"}
    assert timed["value"].min() >= 60
    assert events["timestamp"].dtype == pl.Int64
    assert events["timestamp"].is_sorted()
    assert events["timestamp"].min() >= 1_704_067_200
    assert events["timestamp"].max() < 1_704_067_200 + 731 * 86_400


def test_a_reader_meets_a_work_once_and_one_thing_at_a_time(events):
    deeds = events.filter(pl.col("item_id").is_not_null())
    assert deeds.select("user_id", "item_id").is_duplicated().sum() == 0
    assert events.select("user_id", "timestamp").is_duplicated().sum() == 0


def test_the_script_makes_the_same_bytes_again(tmp_path):
    subprocess.run([sys.executable, str(SCRIPT), "--out", str(tmp_path)], check=True, timeout=120)
    assert tuple(sorted(path.name for path in tmp_path.iterdir())) == FILES
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (sample.path() / name).read_bytes(), name


@pytest.fixture(scope="module")
def likeness(works) -> np.ndarray:
    """Cosine of TF-IDF over sentence and tags, made without the generator's own code."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [work["description"] + " " + " ".join(work["tags"]) for work in works]
    matrix = TfidfVectorizer(stop_words="english").fit_transform(texts)
    return (matrix @ matrix.T).toarray()


@pytest.fixture(scope="module")
def histories(works, events) -> list[list[int]]:
    index = {work["item_id"]: row for row, work in enumerate(works)}
    deeds = events.filter(pl.col("item_id").is_not_null())
    return [
        [index[item] for item in group["item_id"]]
        for _, group in deeds.group_by("user_id", maintain_order=True)
    ]


def test_what_one_reader_chose_is_alike_in_text(likeness, histories):
    chance = likeness[np.triu_indices(len(likeness), 1)].mean()
    pairs = [likeness[a, b] for items in histories for place, a in enumerate(items) for b in items[:place]]
    steps = [likeness[a, b] for items in histories for a, b in pairwise(items)]
    assert np.mean(pairs) > 2.0 * chance
    assert np.mean(steps) > 1.5 * np.mean(pairs)


def test_readers_drift(likeness, histories):
    long = [items for items in histories if len(items) >= 20]
    within = [likeness[np.ix_(items[:7], items[:7])].sum() / 42 - 7 / 42 for items in long]
    across = [likeness[np.ix_(items[:7], items[-7:])].mean() for items in long]
    assert np.mean(within) > 1.3 * np.mean(across)


def test_others_behaviour_foretells_the_last_choice(works, histories):
    seen = np.zeros((len(histories), len(works)))
    for row, items in enumerate(histories):
        seen[row, items[:-1]] = 1.0
    fame = seen.sum(axis=0)
    together = seen.T @ seen / np.sqrt(np.outer(fame + 1.0, fame + 1.0))
    np.fill_diagonal(together, 0.0)

    def recall(scores: np.ndarray) -> float:
        scores = np.where(seen > 0, -np.inf, scores)
        hits = [(row > row[items[-1]]).sum() < 10 for row, items in zip(scores, histories, strict=True)]
        return float(np.mean(hits))

    by_fame = recall(np.broadcast_to(fame, seen.shape))
    assert by_fame > 1.5 * 10 / len(works)
    assert recall(seen @ together) > 2.0 * by_fame


def test_searches_speak_of_the_work_chosen_next(works, events):
    words = {
        work["item_id"]: set((work["description"] + " " + " ".join(work["tags"])).lower().split())
        for work in works
    }
    hits = []
    for _, group in events.group_by("user_id", maintain_order=True):
        rows = group.select("text", "item_id").rows()
        hits += [
            bool(set(text.split()) & words[item]) for (text, _), (_, item) in pairwise(rows) if text and item
        ]
    assert len(hits) > 200
    assert np.mean(hits) > 0.9
