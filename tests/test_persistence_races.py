"""Model folders that change while they are read, are damaged and saved again, or belong to another program."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from fuserec import persistence
from fuserec.config import RecommenderConfig
from fuserec.errors import DataError, FuseRecError, ModelFormatError
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


@pytest.mark.parametrize(
    "text",
    ['{"format": ' + "9" * 5000 + "}", "[" * 100_000, '{"a":' * 100_000],
    ids=["digits", "lists", "objects"],
)
def test_a_model_json_that_json_itself_stumbles_over(fitted, tmp_path, text):
    fitted.save(tmp_path / "m")
    (tmp_path / "m" / "model.json").write_text(text)
    with pytest.raises(ModelFormatError, match="cannot be read as JSON"):
        Recommender.load(tmp_path / "m")


@pytest.mark.parametrize(
    ("key", "value"), [("weights", 5), ("weights", {"zz": 1}), ("weight_unit", "x"), ("simulated", {})]
)
def test_what_the_model_says_of_its_data_is_checked(fitted, tmp_path, key, value):
    fitted.save(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    head = json.loads(path.read_text())
    head["dataset"][key] = value
    path.write_text(json.dumps(head))
    with pytest.raises(FuseRecError):
        Recommender.load(tmp_path / "m")


def test_a_seed_that_is_no_number(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    path = tmp_path / "m" / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "seed": float("inf")}))
    with pytest.raises(ModelFormatError, match="damaged"):
        Recommender.load(tmp_path / "m")


def test_what_a_killed_first_save_left_is_no_obstacle(fitted, tmp_path):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / f"dataset-{'0' * 32}.safetensors").write_bytes(b"half")
    (folder / ".model.json.tmp").write_bytes(b"half")
    fitted.save(folder)
    Recommender.load(folder)
    assert not (folder / f"dataset-{'0' * 32}.safetensors").exists()


def test_a_file_of_somebody_else_in_a_model_folder_stays(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    (tmp_path / "m" / "mine.safetensors").write_bytes(b"keep")
    fitted.save(tmp_path / "m")
    assert (tmp_path / "m" / "mine.safetensors").read_bytes() == b"keep"


def test_a_save_waits_for_another_process(fitted, tmp_path):
    fitted.save(tmp_path / "m")
    hold = "import sys; from pathlib import Path; from fuserec.alone import alone\n"
    hold += "with alone(Path(sys.argv[1])):\n    print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path / "m")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    other.stdout.readline()
    done = threading.Event()
    saving = threading.Thread(target=lambda: (fitted.save(tmp_path / "m"), done.set()))
    saving.start()
    assert not done.wait(0.5)
    other.communicate()
    assert done.wait(30)
    saving.join()
