"""``fuserec update``, ``forget`` and ``info``: a model in its folder, whatever stops a save."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fuserec.recommender import Recommender


def content(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


@pytest.fixture
def model(cli, small: Path, quick: Path, tmp_path: Path) -> Path:
    assert cli("fit", small, "--out", tmp_path / "model", "-c", quick, "--quiet").status == 0
    return tmp_path / "model"


def test_update_with_a_new_item_and_new_events(cli, own_sample: Path, tmp_path: Path) -> None:
    items, events = tmp_path / "items.csv", tmp_path / "events.csv"
    items.write_text("item_id,title\nred-mars,Red Mars\n", encoding="utf-8")
    events.write_text(
        "user_id,item_id,kind\nreader-new,dune,like\nreader-new,red-mars,like\n", encoding="utf-8"
    )
    only_items = cli("update", own_sample, "--items", items, "--json").json
    assert only_items["model"]["dataset"]["items"] == 407
    found = cli("recommend", own_sample, "--text", "the first colony on Mars", "--json").json["items"]
    assert found[0]["item_id"] == "red-mars"
    done = cli("update", own_sample, "--interactions", events)
    assert done.status == 0, done.err
    answer = cli("recommend", own_sample, "--user", "reader-new", "--json").json
    assert answer["known"] is True
    assert not {"dune", "red-mars"} & {item["item_id"] for item in answer["items"]}
    assert cli("info", own_sample, "--json").json["updates"] == 2


def test_update_refuses_and_changes_nothing(cli, model: Path, tmp_path: Path) -> None:
    before = content(model)
    wrong = tmp_path / "events.csv"
    wrong.write_text("user,item_id\nu1,map-1\n", encoding="utf-8")
    assert (
        f"{wrong}: no column 'user_id'; did you mean 'user'?"
        in cli("update", model, "--interactions", wrong).fault
    )
    wrong.write_text("user_id,thing\nu1,map-1\n", encoding="utf-8")
    assert "no column 'item_id'" in cli("update", model, "--interactions", wrong).fault
    assert "no such file" in cli("update", model, "--interactions", tmp_path / "none.csv").fault
    wrong.write_bytes(b"")
    assert "the file is empty" in cli("update", model, "--items", wrong).fault
    assert "not a FuseRec model" in cli("update", tmp_path, "--items", wrong).fault
    nothing = cli("update", model)
    assert nothing.status == 2
    assert "name at least one of" in nothing.err
    assert content(model) == before


def test_forget(cli, model: Path) -> None:
    assert "'nobody' is not known to this model" in cli("forget", model, "--user", "nobody").fault
    later = cli("forget", model, "--user", "u3", "--defer", "--json").json
    assert set(later["pending"]) == set(later["parts"])
    now = cli("forget", model, "--user", "u4", "--json").json
    assert now["pending"] == []
    assert now["dataset"]["users"] == 28
    assert cli("recommend", model, "--user", "u4", "--json").json["known"] is False
    users = Recommender.load(model).fitted.dataset.users.ids()
    assert not {"u3", "u4"} & set(users)
    assert cli("info", model).status == 0


def with_small_files(kilobytes: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command whose files may not grow beyond a size: what a full disk does to a write."""
    command = " ".join(f"'{argument}'" for argument in (sys.executable, "-m", "fuserec", *arguments))
    script = f"trap '' XFSZ; ulimit -f {kilobytes}; exec {command}"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=300,
        env=environment,
    )


def assert_one_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.returncode == 1, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def test_a_full_disk_in_an_update_leaves_the_old_model(cli, own_sample: Path, tmp_path: Path) -> None:
    before = content(own_sample)
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\nred-mars,Red Mars\n", encoding="utf-8")
    spare = shutil.copytree(own_sample, tmp_path / "spare")
    assert cli("update", spare, "--items", items).status == 0  # compiled code is on disk from here on
    said = assert_one_line(with_small_files(40, "update", own_sample, "--items", items))
    assert "a model that was there is unchanged" in said
    assert content(own_sample) == before
    assert Recommender.load(own_sample).fitted.dataset.n_items == 406


def test_a_full_disk_in_a_fit_leaves_nothing(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    assert cli("fit", small, "--out", tmp_path / "spare", "-c", quick).status == 0
    said = assert_one_line(with_small_files(2, "fit", small, "--out", tmp_path / "model", "-c", quick))
    assert "could not be written" in said
    assert not (tmp_path / "model").exists()


def test_a_small_file_system(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        said = cli("fit", small, "--out", disk / "model", "-c", quick).fault
        assert "No space left" in said
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)
