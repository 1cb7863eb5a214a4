"""A model as a folder: what is saved is what is loaded, and nothing that stops a save harms what stood there."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from fuserec import Recommender, RunOptions
from fuserec.answers import Answer
from fuserec.config import RecommenderConfig
from fuserec.errors import DataError, ModelFormatError, RequestError
from fuserec.persistence import check_destination, load, save
from fuserec.testing.small import small_dataset


@pytest.fixture(scope="module")
def model() -> Recommender:
    config = RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "fusion": {"tune": False},
            "parts": {
                "popularity": {},
                "item_knn": {},
                "knn2": {"scorer": "item_knn", "shrinkage": 3.0},
                "content": {},
            },
        },
        "the test's configuration",
    )
    return Recommender(config).fit(small_dataset(), RunOptions(threads=2))


def assert_same(one: Answer, other: Answer) -> None:
    """Equal answers, but for the last bit that a matrix product's memory decides."""
    assert [item.item_id for item in one.items] == [item.item_id for item in other.items]
    assert [item.reason for item in one.items] == [item.reason for item in other.items]
    for mine, theirs in zip(one.items, other.items, strict=True):
        assert mine.score == pytest.approx(theirs.score, rel=1e-5, abs=1e-6)
        assert mine.probability == pytest.approx(theirs.probability, rel=1e-4, abs=1e-6)
        assert [row.source for row in mine.evidence[:3]] == [row.source for row in theirs.evidence[:3]]
    assert (one.query, one.known, one.note) == (other.query, other.known, other.note)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_is_loaded_answers_as_what_was_saved(sample_model: Recommender, saved_sample: Path) -> None:
    loaded = Recommender.load(saved_sample)
    queries: list[dict] = [
        {"user": "reader-0204"},
        {"history": ["dune", "solaris"]},
        {"text": "a quiet novel about memory"},
        {"user": "reader-0020", "text": "war", "history": ["kid-a"]},
        {},
    ]
    for query in queries:
        assert_same(*(m.recommend(k=20, explain=True, **query) for m in (sample_model, loaded)))
    assert_same(loaded.search("desert planet"), sample_model.search("desert planet"))
    assert loaded.config == sample_model.config
    assert loaded.info() == sample_model.info()
    assert loaded.fitted.dataset.fingerprint == sample_model.fitted.dataset.fingerprint


def test_saving_again_changes_nothing(model: Recommender, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    save(load(folder), folder)
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before


def test_an_update_replaces_and_collects(model: Recommender, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    grown = load(folder).update(items=[{"item_id": "new", "title": "a new work"}])
    save(grown, folder)
    head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    assert names(folder) == {entry["file"] for entry in head["components"].values()} | {"model.json"}
    assert load(folder).fitted.dataset.items.index("new") >= 0


def test_there_is_no_pickle_and_no_training_data_is_needed(saved_sample: Path) -> None:
    assert {path.suffix for path in saved_sample.iterdir()} == {".json", ".safetensors"}
    for path in saved_sample.glob("*.safetensors"):
        assert b"\x80\x04\x95" not in path.read_bytes()[:64]


def test_without_histories_nothing_of_any_user_is_left(model: Recommender, tmp_path: Path) -> None:
    folder = tmp_path / "public"
    save(model, folder, histories=False)
    public = load(folder)
    user = model.fitted.dataset.users[5]
    assert public.recommend(user=user).known is False
    assert public.fitted.dataset.n_interactions == 0
    assert not public.fitted.dataset.searches.text
    item = model.fitted.dataset.items[0]
    one, other = (m.recommend(history=[item], k=5).to_json() for m in (model, public))
    assert one == other
    for name in names(folder):
        assert user.encode() not in (folder / name).read_bytes()
    with pytest.raises(RequestError, match="saved without histories"):
        public.update(items=[{"item_id": "new", "title": "a new work"}])
    save(public, folder)
    with pytest.raises(RequestError, match="saved without histories"):
        load(folder).update(items=[{"item_id": "new", "title": "a new work"}])


def test_a_bundled_encoder_goes_along_and_stays(
    sample_model: Recommender, tmp_path: Path, minilm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    save(sample_model, folder, bundle_encoder=True)
    assert sum(path.is_dir() for path in folder.iterdir()) == 1
    wanted = sample_model.recommend(text="a quiet novel about memory", k=5)
    # From here on the machine has no language model of its own.
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.setattr(
        "fuserec.encoders.minilm.install", lambda *given, **named: pytest.fail("weights were sought")
    )
    passed_on = load(folder)
    assert_same(passed_on.recommend(text="a quiet novel about memory", k=5), wanted)
    save(passed_on.update(items=[{"item_id": "red-mars", "title": "Red Mars"}]), folder)
    found = load(folder).recommend(text="the first colony on Mars", k=1)
    assert found.items[0].item_id == "red-mars"


class Disk:
    """A disk that is full after some writes of files."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, fault: BaseException) -> None:
        self.writes = 0
        real = os.fsync

        def fsync(number: int) -> None:
            self.writes += 1
            if self.writes > room:
                raise fault
            real(number)

        monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("room", [0, 1, 3, 6])
@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_stops_a_save_the_old_model_stands(
    model: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, fault: BaseException
) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    before = {name: (folder / name).read_bytes() for name in names(folder)}
    rows = [{"user_id": "new", "item_id": "new", "kind": "like"}]
    grown = load(folder).update(interactions=rows, items=[{"item_id": "new", "title": "a new work"}])
    with monkeypatch.context() as patch:
        disk = Disk(patch, room, fault)
        with pytest.raises(DataError if isinstance(fault, OSError) else type(fault)):
            save(grown, folder)
        with pytest.raises(DataError if isinstance(fault, OSError) else type(fault)):
            save(grown, tmp_path / "fresh")
    assert disk.writes > room
    assert {name: (folder / name).read_bytes() for name in names(folder)} == before
    assert not (tmp_path / "fresh").exists()
    save(grown, folder)
    assert load(folder).fitted.dataset.users.index("new") >= 0


def test_foreign_places_are_refused_and_untouched(model: Recommender, tmp_path: Path) -> None:
    folder, file = tmp_path / "letters", tmp_path / "file"
    folder.mkdir()
    (folder / "letter.txt").write_text("dear", encoding="utf-8")
    file.write_text("x", encoding="utf-8")
    for place in (folder, file):
        with pytest.raises(DataError, match="is not empty and not a model folder"):
            save(model, place)
    assert names(folder) == {"letter.txt"}
    with pytest.raises(DataError, match="could not be written"):
        save(model, file / "below")
    (tmp_path / "empty").mkdir()
    check_destination(tmp_path / "empty")
    check_destination(tmp_path / "new")


@pytest.mark.parametrize(
    "key", ["config", "seed", "facts", "pending", "parts", "components", "dataset", "bundled_encoder"]
)
def test_a_model_json_with_a_hole(model: Recommender, tmp_path: Path, key: str) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    del head[key]
    (folder / "model.json").write_text(json.dumps(head), encoding="utf-8")
    with pytest.raises(ModelFormatError, match="is damaged"):
        load(folder)


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "", "..", 7])
def test_no_file_outside_of_the_folder_is_read(model: Recommender, tmp_path: Path, name: object) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    head = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    head["components"]["fusion"]["file"] = name
    (folder / "model.json").write_text(json.dumps(head), encoding="utf-8")
    with pytest.raises(ModelFormatError, match="outside of the folder"):
        load(folder)


def test_any_flipped_byte_is_noticed(model: Recommender, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    save(model, folder)
    rng = np.random.default_rng(0)
    for path in sorted(folder.glob("*.safetensors")):
        whole = path.read_bytes()
        for place in rng.integers(0, len(whole), size=5):
            data = bytearray(whole)
            data[int(place)] ^= 0x10
            path.write_bytes(bytes(data))
            with pytest.raises(ModelFormatError, match="is damaged"):
                load(folder)
        path.write_bytes(whole)
    load(folder)
