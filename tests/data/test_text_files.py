"""Encodings, delimited text and JSON Lines: what is mended or dropped is counted, the rest stays."""

from __future__ import annotations

import codecs
import csv
import io
import json
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.data.check import Findings
from fuserec.data.delimited import infer_types, read_delimited
from fuserec.data.encoding import to_utf8
from fuserec.data.json_lines import read_json_lines
from fuserec.data.table_files import read_table
from fuserec.errors import DataError


def counts(findings: Findings) -> dict[str, int]:
    return {f.reason: f.count for f in findings.sorted()}


class TestEncoding:
    def test_utf8_is_left_alone(self):
        findings = Findings()
        assert to_utf8("naïve 电影\n".encode(), "f", findings) == "naïve 电影\n".encode()
        assert not findings.sorted()

    @pytest.mark.parametrize("name", ["utf-8-sig", "utf-16", "utf-32"])
    def test_a_marked_file_is_decoded_and_counted(self, name):
        findings = Findings()
        assert to_utf8("é,电\n".encode(name), "f", findings) == "é,电\n".encode()
        assert sum(f.count for f in findings.sorted() if f.level == "mended") == 1

    def test_latin_1_lines_are_mended_one_by_one(self):
        findings = Findings()
        data = "id,title\n1,café\n".encode("latin-1") + "2,naïve 电影\n3,plain\n".encode()
        assert to_utf8(data, "f", findings).decode() == "id,title\n1,café\n2,naïve 电影\n3,plain\n"
        assert counts(findings) == {"not UTF-8, read as latin-1 (Windows-1252)": 1}
        assert "line 2" in findings.sorted()[0].example

    def test_windows_quotes_are_no_control_characters(self):
        assert to_utf8(b"1,\x93so\x94\n", "f", Findings()).decode() == "1,“so”\n"

    @pytest.mark.parametrize("data", [b"a,b\n\0\1\2", bytes(range(1, 256)) * 9, codecs.BOM_UTF16_LE + b"odd"])
    def test_a_binary_file_is_refused(self, data):
        with pytest.raises(DataError, match=r"not a text file|is not; save it as UTF-8"):
            to_utf8(data, "f.csv", Findings())

    def test_ends_of_lines_of_all_systems(self):
        assert to_utf8(b"a\r\nb\rc\n", "f", Findings()) == b"a\nb\nc\n"


class TestDelimited:
    def test_ids_stay_strings(self):
        table = read_delimited(b"user_id,item_id\n007,1e5\n", ",", "f", Findings(), quoted=True)
        assert table.rows() == [("007", "1e5")]

    @pytest.mark.parametrize("quoted", [True, False])
    def test_ragged_rows_are_dropped_and_counted_with_their_line(self, quoted):
        findings = Findings()
        data = b"a,b,c\n1,2,3\n4,5\n6,7,8,9\n\n,,\n"
        table = read_delimited(data, ",", "f.csv", findings, quoted=quoted)
        assert table.rows() == [("1", "2", "3"), ("", "", "")]
        assert counts(findings) == {"ragged row (not 3 fields)": 2}
        assert findings.sorted()[0].example == "line 3: 4,5"

    @pytest.mark.parametrize("data", [b"1,2,3\n4,5\n6,7,8,9\n", b"1,2,3\n4,5\n6,7,8,\n", b"1,2\n3\n,4,5,6"])
    def test_surplus_and_missing_fields_do_not_make_up_for_each_other(self, data):
        findings = Findings()
        table = read_delimited(data, ",", "f.csv", findings, header=("a", "b", "c"))
        assert sum(counts(findings).values()) + table.height == 3
        assert table.height == data.count(b"1,2,3")

    def test_ragged_rows_among_quotes(self):
        findings = Findings()
        data = b'a,b,c\n"x, y",2,""\n4,5\n"mul\nti","say ""so""",\n6,7,8,9\n'
        table = read_delimited(data, ",", "f.csv", findings, quoted=True)
        assert table.rows() == [("x, y", "2", ""), ("mul\nti", 'say "so"', "")]
        assert counts(findings) == {"ragged row (not 3 fields)": 2}

    def test_a_lone_quote_does_not_swallow_the_rest_of_the_file(self):
        findings = Findings()
        table = read_delimited(b'id,size\n1,12"\n2,13\n3,14\n', ",", "f", findings, quoted=True)
        assert table.rows() == [("1", '12"'), ("2", "13"), ("3", "14")]
        assert findings.sorted()[0].example == 'line 2: 1,12"'

    def test_separators_of_several_letters(self):
        table = read_delimited(b"1::Toy Story: a::b\n", "::", "f", Findings(), header=("i", "t", "g"))
        assert table.rows() == [("1", "Toy Story: a", "b")]

    def test_a_header_that_repeats_a_name(self):
        with pytest.raises(DataError, match="'a' stands twice"):
            read_delimited(b"a,b,a\n1,2,3\n", ",", "f", Findings())

    @given(
        st.lists(
            st.tuples(
                *[st.text(st.characters(codec="utf-8", exclude_characters="\0\r\x1f"), max_size=8)] * 3
            ),
            max_size=12,
        )
    )
    def test_what_the_csv_module_writes_comes_back(self, rows):
        rows = [row for row in rows if any(cell.strip() for cell in row)]  # a blank line is no row
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([("a", "b", "c"), *rows])
        table = read_delimited(text.getvalue().encode(), ",", "f", Findings(), quoted=True)
        assert table.rows() == rows

    def test_numbers_are_numbers_and_post_codes_are_not(self):
        table = pl.DataFrame(
            {"year": ["1999", ""], "zip": ["01234", "55555"], "price": ["1.5", "2"], "w": ["1", "x"]}
        )
        typed = infer_types(table, keep=())
        assert typed.dtypes == [pl.Int64, pl.String, pl.Float64, pl.String]
        assert typed["year"].to_list() == [1999, None]
        assert infer_types(table, keep=("year",))["year"].dtype == pl.String


class TestJsonLines:
    def test_mixed_ids_become_text(self):
        table = read_json_lines(b'{"item_id": 1}\n{"item_id": "b"}\n', "f", Findings())
        assert table["item_id"].to_list() == ["1", "b"]

    def test_nested_lists_are_flattened_and_objects_kept_as_text(self):
        line = {"categories": [["A", "B"], ["A", "C"]], "details": {"x": 1}}
        table = read_json_lines(json.dumps(line).encode(), "f", Findings())
        assert table["categories"].to_list() == [["A", "B", "C"]]
        assert json.loads(table["details"][0]) == {"x": 1}

    def test_bad_lines_are_dropped_and_counted(self):
        findings = Findings()
        table = read_json_lines(b'{"a": 1}\n{"a": \n[1]\n{"a": 2}\n', "f.jsonl", findings)
        assert table["a"].to_list() == [1, 2]
        assert counts(findings) == {"line that is not a JSON object": 2}
        assert findings.sorted()[0].example.startswith("line 2:")

    def test_an_array_of_objects(self):
        assert read_json_lines(b'[{"a": "x"}, {"a": "y"}]', "f", Findings())["a"].to_list() == ["x", "y"]

    @pytest.mark.parametrize("data", [b"no json\nat all\n", b"[1, 2]", b"[{", b'{"a": ' + b"[" * 100_000])
    def test_a_file_without_objects_is_refused(self, data):
        with pytest.raises(DataError):
            read_json_lines(data, "f.json", Findings())

    def test_half_a_surrogate_pair_and_huge_numbers_are_text(self):
        table = read_json_lines(
            b'{"a": "\\ud800x", "n": 123456789012345678901234567890}\nbad\n', "f", Findings()
        )
        assert table["a"][0].endswith("x")
        assert table["n"].to_list() == ["123456789012345678901234567890"]


def test_a_mark_alone_is_an_empty_file(tmp_path):
    path = tmp_path / "interactions.csv"
    path.write_bytes(b"\xef\xbb\xbf")
    with pytest.raises(DataError, match="the file is empty"):
        read_table(path, Findings())


def test_a_cell_longer_than_the_csv_module_takes_by_default(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text('item_id,description,note\na,"' + "word, " * 50_000 + '",\nb,short,x\n')
    assert read_table(path, Findings())["description"].str.len_chars().max() == 300_000


def test_a_header_longer_than_the_csv_module_takes_by_default(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text('item_id,"' + "x" * 200_000 + '"\na,b\n')
    assert read_table(path, Findings()).height == 1


def test_objects_in_objects_without_end_are_read_in_a_moment(tmp_path):
    path = tmp_path / "items.jsonl"
    deep = '{"a":' * 300 + "1" + "}" * 300
    path.write_text(f'{{"item_id": "a", "x": {deep}}}\n{{"item_id": "b", "x": null}}\n')
    started = time.perf_counter()
    assert read_table(path, Findings())["item_id"].to_list() == ["a", "b"]
    assert time.perf_counter() - started < 5


def test_parquet_that_makes_polars_panic_is_one_line(tmp_path, monkeypatch):
    def panics(*_: object) -> None:
        raise pl.exceptions.PanicException("assertion failed")

    monkeypatch.setattr(pl, "read_parquet", panics)
    path = tmp_path / "items.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_table(path, Findings())
