"""The dataset folder: formats, packings, dataset.toml, clear errors, and writing it back."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuserec.data.cleaning import CleaningOptions
from fuserec.data.dataset import Dataset
from fuserec.data.folder_writer import write_folder
from fuserec.data.readers import import_folder, read, read_cleaned
from fuserec.errors import ConfigError, DataError, FuseRecError

T = 1_000_000_000

ROWS = pl.DataFrame(
    {
        "user_id": ["007", "007", "b", "b", "c"],
        "item_id": ["x", "y,1", "x", "z", "y,1"],
        "rating": [5.0, 1.0, 4.0, 2.0, 3.0],
        "timestamp": [T + 3, T + 1, T, T + 9, T],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": ["x", "y,1", "z"],
        "title": ["X", 'say "y"', "Zed\u200b"],
        "tags": [["a", "b"], [], ["c"]],
        "year": [1, 2, None],
    }
)
USERS = pl.DataFrame({"user_id": ["c", "b", "007"], "text": ["reads", "", "spies"]})
LINKS = pl.DataFrame({"head": ["x"], "relation": ["by"], "tail": ["someone"]})

PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


def text_of(table: pl.DataFrame, separator: str) -> bytes:
    flat = table.with_columns(
        pl.col(name).list.join("|") for name, kind in table.schema.items() if isinstance(kind, pl.List)
    )
    return flat.write_csv(separator=separator).encode()


def parquet_of(table: pl.DataFrame) -> bytes:
    import io

    out = io.BytesIO()
    table.write_parquet(out)
    return out.getvalue()


WRITE = {
    "csv": lambda table: text_of(table, ","),
    "tsv": lambda table: text_of(table, "\t"),
    "jsonl": lambda table: table.write_ndjson().encode(),
    "parquet": parquet_of,
}


@pytest.fixture
def folder(tmp_path):
    def make(files: dict[str, bytes | str]):
        place = tmp_path / "data"
        place.mkdir(exist_ok=True)
        for name, content in files.items():
            (place / name).write_bytes(
                content if isinstance(content, bytes) else textwrap.dedent(content).encode()
            )
        return place

    return make


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("extension", WRITE)
def test_every_format_and_packing_gives_the_same_dataset(folder, extension, packing):
    tables = {"interactions": ROWS, "items": ITEMS, "users": USERS, "links": LINKS}
    place = folder(
        {f"{n}.{extension}{packing}": PACK[packing](WRITE[extension](t)) for n, t in tables.items()}
    )
    data, report = read(place)
    assert data.users.ids() == ["c", "b", "007"]
    assert data.items.ids() == ["x", "y,1", "z"]
    assert data.item_table["title"].to_list() == ["X", 'say "y"', "Zed"]
    assert data.item_table["tags"].to_list() == [["a", "b"], [], ["c"]]
    assert data.item_table["year"].to_list() == [1, 2, None]
    assert data.user_table["text"].to_list() == ["reads", "", "spies"]
    assert data.links.rows() == [("x", "by", "someone")]
    rows = data.interactions
    assert data.users.ids(rows.user) == ["c", "b", "b", "007", "007"]
    assert rows.time.tolist() == [T, T, T + 9, T + 1, T + 3]
    assert rows.rating.tolist() == [3.0, 4.0, 2.0, 1.0, 5.0]
    assert data.info.rating_scale == (1.0, 5.0)
    assert report.count("control characters") == 1


def test_the_file_of_interactions_may_be_given_itself(folder):
    place = folder({"mine.csv": WRITE["csv"](ROWS), "items.jsonl": WRITE["jsonl"](ITEMS)})
    assert read(place / "mine.csv")[0].items.ids() == ["x", "y,1", "z"]


def test_items_may_be_given_from_elsewhere(folder, tmp_path):
    place = folder({"interactions.csv": WRITE["csv"](ROWS)})
    other = tmp_path / "catalogue.jsonl.gz"
    other.write_bytes(gzip.compress(WRITE["jsonl"](ITEMS)))
    assert read(place, items=other)[0].item_table["title"].to_list() == ["X", 'say "y"', "Zed"]


def test_impressions_are_checked_counted_and_kept_in_the_folder(folder, tmp_path):
    place = folder(
        {
            "interactions.csv": WRITE["csv"](ROWS),
            "impressions.csv": "request_id,user_id,item_id,position,reward\nr1,b,x,0,1\n,b,x,1,0\n",
        }
    )
    report = import_folder(place, tmp_path / "out")
    assert report.totals["impressions"] == 1
    assert report.count("impression with an empty id") == 1
    assert (tmp_path / "out" / "impressions.csv").read_text().splitlines()[1] == "r1,b,x,0,1"


class TestToml:
    def test_it_names_roles_weights_and_scale(self, folder):
        place = folder(
            {
                "interactions.csv": "reader,book,stars,kind\nu,x,9,\nu,y,11,\nv,x,,like\n",
                "dataset.toml": """
                    name = "Books"
                    licence = "CC0"
                    note = "made up"
                    simulated = true
                    rating_scale = [1, 10]
                    [weights]
                    like = 0.5
                    [columns.interactions]
                    user_id = "reader"
                    item_id = "book"
                    rating = "stars"
                    """,
            }
        )
        data, report = read(place)
        assert (data.info.name, data.info.licence, data.info.note, data.info.simulated) == (
            "Books",
            "CC0",
            "made up",
            True,
        )
        assert data.info.weights["like"] == 0.5
        assert data.info.rating_scale == (1.0, 10.0)
        assert report.count("rating outside the declared scale") == 1
        assert report.totals["simulated"] is True
        assert data.items.ids() == ["x"]

    @pytest.mark.parametrize(
        ("toml", "message"),
        [
            ("nmae = 'x'", "unknown key 'nmae'; did you mean 'name'"),
            ("[weights]\nlikes = 1.0", "unknown kind 'likes'; did you mean 'like'"),
            ("[weights]\nlike = nan", "should be a finite number"),
            ("rating_scale = [5, 1]", "expected \\[lowest, highest\\]"),
            ("[columns.interaction]\na = 'b'", "unknown table; did you mean 'interactions'"),
            ("[columns.interactions]\nuser = 'b'", "unknown role 'user'; did you mean 'user_id'"),
            ("name = ", "not valid TOML"),
            ("name = 3", "name = 3"),
        ],
    )
    def test_faults_are_named(self, folder, toml, message):
        place = folder({"interactions.csv": WRITE["csv"](ROWS), "dataset.toml": toml})
        with pytest.raises(ConfigError, match=message) as caught:
            read(place)
        assert "\n" not in str(caught.value)

    def test_a_role_for_a_column_that_is_not_there(self, folder):
        toml = "[columns.interactions]\nrating = 'stars'"
        place = folder({"interactions.csv": "user_id,item_id,star\nu,x,3\n", "dataset.toml": toml})
        with pytest.raises(
            DataError, match=r"no column 'stars' .*did you mean 'star'.*columns: user_id, item_id, star"
        ):
            read(place)


BAD = [
    ({}, r"no interactions\.\* .*it is empty"),
    ({"ratings.csv": b"user_id,item_id\n1,2\n"}, r"no interactions\.\* .*it holds ratings\.csv.*--format"),
    ({"interactions.csv": b""}, "the file is empty"),
    ({"interactions.csv": b"user_id,item_id\n"}, "no interaction is left: the file holds none"),
    ({"interactions.csv": b"user_id,item_id\n,\n"}, "no interaction is left .*empty user id: 1"),
    ({"interactions.csv": b"\x7fELF\0\0\0\1"}, "not a text file"),
    (
        {"interactions.csv": b"userid,item_id\n1,2\n"},
        "no column 'user_id'; did you mean 'userid'.*columns: userid, item_id",
    ),
    (
        {"interactions.csv": b"user_id,movie\n1,2\n"},
        r"no column 'item_id'.*\[columns\.interactions\] item_id",
    ),
    ({"interactions.csv": b"user_id,item_id,user_id\n1,2,3\n"}, "'user_id' stands twice"),
    ({"interactions.parquet": b"user_id,item_id\n1,2\n"}, "not a readable Parquet file"),
    ({"interactions.csv.gz": b"\x1f\x8bnonsense"}, "damaged or cut short"),
    (
        {"interactions.csv": b"user_id,item_id\n1,2\n", "interactions.tsv": b"user_id\titem_id\n"},
        "several files hold",
    ),
    (
        {"interactions.csv": b"user_id,item_id\n1,2\n", "items.csv": b"id,title\n2,x\n"},
        "no column 'item_id'; did you",
    ),
    (
        {"interactions.csv": b"user_id,item_id\n1,2\n", "items.csv": b"item_id,title\n9,x\n"},
        "does not list: 1",
    ),
    ({"interactions.jsonl": b"nothing\n"}, "no line is a JSON object"),
]


@pytest.mark.parametrize(("files", "message"), BAD, ids=[message[:30] for _, message in BAD])
def test_bad_folders_are_one_clear_line(folder, files, message):
    with pytest.raises(DataError, match=message) as caught:
        read(folder(files))
    assert "\n" not in str(caught.value)


def test_a_missing_source_an_archive_and_an_unknown_format(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "nowhere")
    (tmp_path / "ml.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match="unpack it"):
        read(tmp_path / "ml.zip")
    with pytest.raises(ConfigError, match="unknown format 'movielense'; did you mean 'movielens'"):
        read(tmp_path, "movielense")


def test_a_csv_with_semicolons_is_read_and_noted(folder):
    data, report = read(folder({"interactions.csv": "user_id;item_id\nu;x\nv;y\n"}))
    assert data.n_interactions == 2
    assert report.count("separated by semicolons") == 1


def test_ids_of_ten_thousand_letters_are_dropped_and_counted(folder):
    long = "x" * 10_000
    data, report = read(folder({"interactions.csv": f"user_id,item_id\nu,{long}\n{long},a\nv,b\n"}))
    assert data.n_interactions == 1
    assert report.count("more than 1,024 bytes") == 2


def test_options_are_validated():
    with pytest.raises(ConfigError, match="k_core = -1"):
        CleaningOptions.parse({"k_core": -1}, "options")


class TestWriting:
    def test_what_is_written_reads_back_the_same_without_findings(self, folder, tmp_path):
        place = folder(
            {
                "interactions.csv": "user_id,item_id,rating,timestamp,kind,value,text\n"
                f'"u,1",x,4.5,{T}.25,rating,,"said ""so"""\n'
                f"v,y,,{T + 1},watch,90,\nv,,,{T + 2},,,red shoes\nu 2,x,,{T + 3},hide,,\n",
                "items.jsonl": WRITE["jsonl"](ITEMS).replace(b"y,1", b"y"),
                "users.csv": "user_id,text,age\nw,alone,7\nv,,\n",
                "links.csv": WRITE["csv"](LINKS),
                "dataset.toml": 'name = "A \\"b\\" é"\nnote = "n"\nsimulated = true\n'
                "[weights]\nwatch = 0.25\n",
            }
        )
        data, _ = read(place)
        first = import_folder(place, tmp_path / "one")
        again, report = read(tmp_path / "one")
        assert first.totals == report.totals
        assert again.fingerprint == data.fingerprint
        assert again.info == data.info
        assert again.searches.text == ("red shoes",)
        assert not [f for f in report.findings if f.level != "noted"]
        assert read_cleaned(tmp_path / "one")[0].events["text"].to_list()[0] == 'said "so"'

    def test_a_dataset_in_memory_is_written_with_its_durations(self, folder, tmp_path):
        place = folder(
            {"interactions.csv": f"user_id,item_id,kind,value,timestamp\nu,x,watch,90,{T}\nu,y,listen,,{T}\n"}
        )
        data, _ = read(place)
        write_folder(data, tmp_path / "out")
        again, _ = read(tmp_path / "out")
        assert again.interactions.weight == pytest.approx(data.interactions.weight, rel=1e-6)
        assert read_cleaned(tmp_path / "out")[0].events["seconds"][0] == pytest.approx(90, rel=1e-5)

    def test_writing_leaves_the_dataset_as_it_was(self, folder, tmp_path):
        data, _ = read(folder({"interactions.csv": WRITE["csv"](ROWS), "items.jsonl": WRITE["jsonl"](ITEMS)}))
        before = data.item_table.columns
        write_folder(data, tmp_path / "out")
        assert data.item_table.columns == before

    def test_repeated_events_without_times_survive(self, tmp_path, folder):
        place = folder(
            {"interactions.csv": "user_id,item_id\nu,a\nu,b\nu,a\n", "dataset.toml": "repeats = true\n"}
        )
        data, _ = read(place)
        write_folder(data, tmp_path / "out")
        again, _ = read(tmp_path / "out")
        assert again.interactions.item.tolist() == [0, 1, 0]

    def test_users_without_interactions_keep_their_place(self, tmp_path, folder):
        place = folder({"interactions.csv": "user_id,item_id\nv,a\nu,b\n", "users.csv": "user_id\nq\nu\nv\n"})
        data, _ = read(place)
        write_folder(data, tmp_path / "out")
        assert read(tmp_path / "out")[0].users.ids() == ["q", "u", "v"]

    @pytest.mark.parametrize(
        "files", [["notes.txt"], ["interactions.csv", "thesis.docx"], ["sub/interactions.csv"]]
    )
    def test_a_folder_of_other_files_is_refused_and_untouched(self, folder, tmp_path, files):
        place = folder({"interactions.csv": WRITE["csv"](ROWS)})
        dest = tmp_path / "mine"
        for name in files:
            (dest / name).parent.mkdir(parents=True, exist_ok=True)
            (dest / name).write_text("keep me")
        with pytest.raises(DataError, match="holds files that are not a dataset's"):
            import_folder(place, dest)
        assert sorted(str(p.relative_to(dest)) for p in dest.rglob("*") if p.is_file()) == sorted(files)
        assert all((dest / name).read_text() == "keep me" for name in files)

    def test_an_older_dataset_folder_is_replaced(self, folder, tmp_path):
        place = folder({"interactions.csv": WRITE["csv"](ROWS)})
        dest = tmp_path / "mine"
        dest.mkdir()
        (dest / "items.parquet").write_bytes(parquet_of(ITEMS))
        import_folder(place, dest)
        assert not (dest / "items.parquet").exists()
        assert read(dest)[0].n_interactions == 5
        assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "mine"]

    def test_a_source_that_cannot_be_read_changes_nothing(self, folder, tmp_path):
        dest = tmp_path / "mine"
        import_folder(folder({"interactions.csv": WRITE["csv"](ROWS)}), dest)
        before = {p.name: p.read_bytes() for p in dest.iterdir()}
        with pytest.raises(DataError):
            import_folder(folder({"interactions.csv": b"user_id,item_id\n"}), dest)
        assert {p.name: p.read_bytes() for p in dest.iterdir()} == before

    def test_a_move_that_fails_puts_the_old_folder_back(self, folder, tmp_path, monkeypatch):
        dest = tmp_path / "mine"
        source = folder({"interactions.csv": WRITE["csv"](ROWS)})
        import_folder(source, dest)
        before = {p.name: p.read_bytes() for p in dest.iterdir()}
        rename = Path.rename

        def failing(path, target):
            if path.suffix == ".partial":
                raise OSError(28, "No space left on device")
            return rename(path, target)

        monkeypatch.setattr(Path, "rename", failing)
        with pytest.raises(DataError, match="No space left on device"):
            import_folder(source, dest)
        assert {p.name: p.read_bytes() for p in dest.iterdir()} == before
        assert sorted(p.name for p in tmp_path.iterdir()) == ["data", "mine"]

    def test_a_full_disk_leaves_nothing_half_written(self, folder, tmp_path):
        place = folder({"interactions.csv": text_of(pl.concat([ROWS] * 1), ",")})
        rows = "\n".join(f"user{i},item{i % 50},{i % 5 + 1}" for i in range(50_000))
        (place / "interactions.csv").write_text("user_id,item_id,rating\n" + rows + "\n")
        script = textwrap.dedent(
            f"""
            import resource, signal
            from fuserec.data.readers import import_folder
            from fuserec.errors import DataError
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
            try:
                import_folder({str(place)!r}, {str(tmp_path / "out")!r})
            except DataError as error:
                print("ERROR", error)
            """
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("ERROR")
        assert "cannot be written" in done.stdout
        assert [p.name for p in tmp_path.iterdir()] == ["data"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=120)
    | st.text(max_size=120).map(lambda text: text.encode("utf-8", "replace"))
    | st.lists(
        st.sampled_from(["user_id", "item_id", ",", "\n", '"', "1", "x", "\x00", "é", " ", "rating"]),
        max_size=40,
    ).map(lambda parts: "".join(parts).encode()),
    extension=st.sampled_from(["csv", "tsv", "jsonl", "parquet"]),
    header=st.booleans(),
)
def test_whatever_a_file_holds_there_is_a_dataset_or_one_clear_line(tmp_path, content, extension, header):
    separator = b"\t" if extension == "tsv" else b","
    start = (
        separator.join([b"user_id", b"item_id", b"rating", b"timestamp", b"text"]) + b"\n" if header else b""
    )
    path = tmp_path / f"interactions.{extension}"
    path.write_bytes(start + content)
    result, message = None, ""
    try:
        result = read(path)
    except FuseRecError as error:
        message = str(error)
    if result is None:
        assert message
        assert "\n" not in message
        return
    data, report = result
    assert data.n_interactions == report.totals["interactions"] > 0
    assert data.interactions.weight.dtype == np.float32
    json.dumps(report.to_json(), allow_nan=False)


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.tuples(NAMES, NAMES, st.one_of(st.none(), st.integers(1, 5)), st.integers(T, T + 3)),
        min_size=1,
        max_size=15,
    )
)
def test_import_is_idempotent_for_any_ids(tmp_path, rows):
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
    path = tmp_path / "in" / "interactions.parquet"
    path.parent.mkdir(exist_ok=True)
    frame.write_parquet(path)
    try:
        data: Dataset = read(path)[0]
    except DataError:
        return
    write_folder(data, tmp_path / "a")
    again, report = read(tmp_path / "a")
    assert report.dropped == report.mended == 0
    assert again.users.ids() == data.users.ids()
    assert again.items.ids() == data.items.ids()
    np.testing.assert_array_equal(again.interactions.item, data.interactions.item)
    np.testing.assert_array_equal(again.interactions.weight, data.interactions.weight)


def test_columns_named_like_patterns_and_names_that_are_no_text(tmp_path):
    place = tmp_path / os.fsdecode(b"bad\xff")
    place.mkdir()
    (place / "interactions.csv").write_text("user_id,item_id\nu,a\nu,b\n")
    (place / "items.csv").write_text("item_id,^.*$,*\nb,x,1\na,y,2\n")
    data, _ = read(place)
    assert data.info.name == "bad?"
    assert data.item_table["^.*$"].to_list() == ["x", "y"]
    write_folder(data, tmp_path / os.fsdecode(b"out\xff"))
    assert read(tmp_path / os.fsdecode(b"out\xff"))[0].items.ids() == data.items.ids()


def test_a_toml_without_end_is_one_line(tmp_path):
    (tmp_path / "interactions.csv").write_text("user_id,item_id\nu,a\n")
    (tmp_path / "dataset.toml").write_text("x = " + "[" * 5000)
    with pytest.raises(FuseRecError, match="nested too deeply"):
        read(tmp_path)
