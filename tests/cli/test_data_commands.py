"""``fuserec data import``, ``check`` and ``info``: what bad files lead to included."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

EVENTS = "user_id,item_id,rating,timestamp\n" + "".join(
    f"u{user},i{item},{1 + (user + item) % 5},{1_700_000_000 + user * 10 + item}\n"
    for user in range(6)
    for item in range(6)
    if (user + item) % 6
)


def folder_with(tmp_path: Path, events: bytes | str, name: str = "interactions.csv") -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / name).write_bytes(events if isinstance(events, bytes) else events.encode("utf-8"))
    return folder


def test_import_check_and_info(cli, tmp_path: Path) -> None:
    source = tmp_path / "sequences.txt.gz"
    source.write_bytes(gzip.compress(b"ann 1 2 3\nbob 2 3\ncyd 3 1 2\n"))
    items = tmp_path / "items.jsonl"
    titles = {1: "One &amp; only", 2: "Two", 3: "Three"}
    items.write_text(
        "".join(json.dumps({"id": i, "title": t}) + "\n" for i, t in titles.items()), encoding="utf-8"
    )
    dest = tmp_path / "imported"
    report = cli("data", "import", source, dest, "--format", "sequences", "--items", items, "--json").json
    assert report["totals"]["users"] == 3
    assert report["totals"]["interactions"] == 8
    assert report["mended"] >= 1
    checked = cli("data", "check", dest)
    assert checked.status == 0
    assert "interactions" in checked.out
    found = cli("data", "info", dest, "--json").json
    assert found["totals"]["items"] == 3
    assert "title" in found["columns"]["items"]
    shown = cli("data", "info", dest)
    assert "One & only" in shown.out
    assert shown.err.startswith("read in ")
    assert cli("data", "info", dest, "--quiet").err == ""


def test_import_leaves_other_files_alone(cli, tmp_path: Path) -> None:
    source = folder_with(tmp_path, EVENTS)
    dest = tmp_path / "letters"
    dest.mkdir()
    (dest / "letter.txt").write_text("dear", encoding="utf-8")
    assert "holds files that are not a dataset's (letter.txt)" in cli("data", "import", source, dest).fault
    assert [path.name for path in dest.iterdir()] == ["letter.txt"]


def test_k_core(cli, tmp_path: Path) -> None:
    source = folder_with(tmp_path, EVENTS + "u9,i0,5,1700000900\n")
    report = cli("data", "import", source, tmp_path / "core", "--k-core", 3, "--json").json
    assert report["totals"]["users"] == 6
    assert "k_core" in cli("data", "import", source, tmp_path / "core", "--k-core", -1).fault


@pytest.mark.parametrize(
    ("events", "said"),
    [
        (None, "no such file or folder"),
        ("", "the file is empty"),
        ("user_id,item_id\n", "no interaction is left"),
        ("user_id,item,rating\nu1,i1,3\n", "no column 'item_id'; did you mean 'item'?"),
        (bytes(range(256)) * 40, ""),
        (b"\x7fELF\x02\x01\x01" + bytes(2000), ""),
    ],
)
def test_files_that_cannot_be_used(cli, tmp_path: Path, events: bytes | str | None, said: str) -> None:
    folder = tmp_path / "nowhere" if events is None else folder_with(tmp_path, events)
    before = sorted(tmp_path.rglob("*"))
    for command in (["data", "check", folder], ["data", "import", folder, tmp_path / "out"]):
        assert said in cli(*command).fault
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_interactions_and_an_unknown_format(cli, tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("1\t2\t3\t4\n", encoding="utf-8")
    assert "no interactions.*" in cli("data", "check", tmp_path).fault
    assert "did you mean 'movielens'?" in cli("data", "check", tmp_path, "--format", "movielense").fault


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("u1,i1,NaN,1700000100\nu2,i2,inf,1700000200\nu3,i4,-inf,1700000300\n", "rating"),
        ("u0,i1,2,1700000001\nu0,i1,2,1700000001\n", "duplicate"),
    ],
)
def test_rows_that_are_counted(cli, tmp_path: Path, rows: str, reason: str) -> None:
    folder = folder_with(tmp_path, EVENTS + rows)
    report = cli("data", "check", folder, "--json").json
    found = [f for f in report["findings"] if reason in f["reason"].lower()]
    assert found
    assert found[0]["count"] >= 1
    assert found[0]["example"]


def test_an_old_encoding_is_read_and_said(cli, tmp_path: Path) -> None:
    events = EVENTS.replace("u3", "Renée").encode("latin-1")
    report = cli("data", "check", folder_with(tmp_path, events), "--json").json
    assert report["totals"]["users"] == 6
    assert any("latin" in f["reason"].lower() or "1252" in f["reason"] for f in report["findings"])
