"""Plain and packed files are the same to a reader; damage is one clear line."""

from __future__ import annotations

import gzip
import lzma

import pytest
from backports import zstd

from fuserec.data.packed import find, logical_name, read_bytes
from fuserec.errors import DataError

TEXT = b"user_id,item_id\n1,a\n2,b\n"
PACK = {
    "": lambda data: data,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": zstd.compress,
}


@pytest.mark.parametrize("suffix", PACK)
def test_content_and_name_are_those_of_the_plain_file(tmp_path, suffix):
    path = tmp_path / f"interactions.csv{suffix}"
    path.write_bytes(PACK[suffix](TEXT))
    assert read_bytes(path) == TEXT
    assert logical_name(path) == "interactions.csv"
    assert find(tmp_path, "other.csv", "interactions.csv") == path


def test_zstandard_frames_without_a_length_are_read_to_the_end(tmp_path):
    import io

    packed, stream = io.BytesIO(), zstd.ZstdCompressor()
    for _ in range(1000):
        packed.write(stream.compress(TEXT))
    packed.write(stream.flush())
    path = tmp_path / "a.csv.zst"
    path.write_bytes(packed.getvalue() + zstd.compress(b"tail"))
    assert read_bytes(path) == TEXT * 1000 + b"tail"


def test_the_content_decides_not_the_suffix(tmp_path):
    path = tmp_path / "a.csv.gz"  # a browser that unpacked on the way
    path.write_bytes(TEXT)
    assert read_bytes(path) == TEXT


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_packed_file_cut_short_is_an_error_of_one_line(tmp_path, suffix):
    path = tmp_path / f"a.csv{suffix}"
    path.write_bytes(PACK[suffix](TEXT * 1000)[:-9])
    with pytest.raises(DataError, match="damaged or cut short") as caught:
        read_bytes(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b" \n\n"])
def test_an_empty_file_is_named(tmp_path, content):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.csv: the file is empty"):
        read_bytes(path)


def test_a_missing_file_names_its_nearest_neighbour(tmp_path):
    (tmp_path / "interactions.csv").write_bytes(TEXT)
    with pytest.raises(DataError, match=r"no such file or folder; did you mean 'interactions\.csv'"):
        read_bytes(tmp_path / "interaction.csv")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_bytes(tmp_path)


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst"])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, suffix, monkeypatch):
    from fuserec.data import packed

    monkeypatch.setattr(packed, "MOST_UNPACKED", 10_000)
    pack = {".gz": gzip.compress, ".xz": lzma.compress, ".zst": zstd.compress}[suffix]
    path = tmp_path / f"interactions.csv{suffix}"
    path.write_bytes(pack(b"u,i\n" * 250_000))
    with pytest.raises(DataError, match="unpack to more than"):
        read_bytes(path)
