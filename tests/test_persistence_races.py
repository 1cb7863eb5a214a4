"""Model folders that change while they are read, are damaged and saved again, or belong to another program."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from fuserec import persistence
from fuserec.config import RecommenderConfig
from fuserec.errors import DataError, ModelFormatError
from fuserec.recommender import Recommender
from fuserec.run import RunOptions
from fuserec.testing import small_dataset

RUN = RunOptions(threads=1)


@pytest.fixture(scope="module")
def fitted() -> Recommender:
    values = {"features": {"use_sentence": "never"}, "parts": {"popularity": {}, "content": {}}}
    return Recommender(RecommenderConfig.parse(values, "test")).fit(small_dataset(), RUN)


@pytest.fixture(scope="module")
def grown(fitted) -> Recommender:
    model = Recommender.of(fitted.config, fitted.fitted)
    return model.update(items=[{"item_id": "new", "title": "new words"}], run=RUN)


def test_a_reader_that_a_save_overtakes_reads_the_new_model(fitted, grown, tmp_path, monkeypatch):
    fitted.save(tmp_path / "m")
    read, saved = persistence._read, []

    def overtaken(folder, entry):
        if not saved:
            saved.append(True)
            grown.save(folder)  # collects the file that is about to be read
        return read(folder, entry)

    monkeypatch.setattr(persistence, "_read", overtaken)
    assert Recommender.load(tmp_path / "m").fitted.dataset.items.index("new") >= 0


def test_a_missing_file_is_still_an_error(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    next((tmp_path / "m").glob("features-*")).unlink()
    with pytest.raises(ModelFormatError, match="cannot be read"):
        Recommender.load(tmp_path / "m")


def test_saving_again_mends_a_damaged_file(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    file = next((tmp_path / "m").glob("features-*"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ModelFormatError, match="damaged"):
        Recommender.load(tmp_path / "m")
    fitted.save(tmp_path / "m")
    assert Recommender.load(tmp_path / "m").fitted.dataset.n_items == fitted.fitted.dataset.n_items


def test_another_programs_model_json_is_left_alone(fitted, tmp_path: Path):
    (tmp_path / "model.json").write_text(json.dumps({"modelTopology": {}}), encoding="utf-8")
    (tmp_path / "weights.safetensors").write_bytes(b"theirs")
    with pytest.raises(DataError, match="not a model folder"):
        fitted.save(tmp_path)
    assert (tmp_path / "weights.safetensors").read_bytes() == b"theirs"


def test_many_threads_save_and_load_one_folder(fitted, grown, tmp_path):
    fitted.save(tmp_path / "m")
    faults: list[Exception] = []

    def work(model):
        try:
            for _ in range(4):
                model.save(tmp_path / "m")
                Recommender.load(tmp_path / "m")
        except Exception as fault:  # noqa: BLE001 - any is a failure of the test
            faults.append(fault)

    threads = [threading.Thread(target=work, args=(model,)) for model in (fitted, grown, fitted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
