from __future__ import annotations

import gzip
import lzma
import struct
import sys
from importlib import import_module

import numpy as np
import pytest

from fuserec.data import packed
from fuserec.encoders import word_files
from fuserec.encoders.word_config import GloveConfig
from fuserec.encoders.word_files import read_words
from fuserec.errors import DataError
from fuserec.run import RunOptions

RUN = RunOptions(threads=1)
RUNS = (1, 2)
TEXTS = ["Red shoes", "the red boat", "été 三体"]
VECTORS = {
    "the": [0.1, -0.25, 3.0],
    "red": [1.5, 2.0, -1e-3],
    "shoes": [4.0, 5.0, 6.0],
    "zebra": [7.0, 8.0, 9.0],
    "boat": [-1.0, 0.0, 1.0],
    "été": [0.5, 0.5, 0.5],
    "三体": [9.0, 9.0, 9.5],
}


def as_text(vectors=VECTORS, header=False, end=""):
    lines = [f"{len(vectors)} 3"] if header else []
    lines += [" ".join([word, *map(repr, values)]) + end for word, values in vectors.items()]
    return ("\n".join(lines) + "\n").encode()


def as_binary(vectors=VECTORS, newline=True):
    rows = [w.encode() + b" " + struct.pack("<3f", *v) + b"\n" * newline for w, v in vectors.items()]
    return f"{len(vectors)} 3\n".encode() + b"".join(rows)


def zstd(data):
    return import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd").compress(
        data
    )


def read(folder, data, name="vectors.txt", texts=TEXTS, **options):
    path = folder / name
    path.write_bytes(data)
    return read_words(GloveConfig(**options), path, texts, RUNS, RUN)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, zstd])
@pytest.mark.parametrize(
    "data",
    [as_text(), as_text(header=True), as_text(header=True, end=" "), as_binary(), as_binary(newline=False)],
    ids=["glove", "word2vec", "fasttext .vec", "binary", "binary without line ends"],
)
def test_vectors_are_read_exactly(tmp_path, data, pack):
    words, table = read(tmp_path, pack(data))
    assert set(words.terms) == ({*VECTORS} - {"été"}) | {"ete"}
    for word, values in VECTORS.items():
        row = words.index("ete" if word == "été" else word)  # folded as texts are
        np.testing.assert_array_equal(table[row], np.array(values, np.float32))
    assert words.total == sum(len(cut) for cut in words.cut(TEXTS))
    assert words.counts[words.index("red")] == 2
    assert words.counts[words.index("zebra")] == 0


def test_of_words_that_no_item_holds_the_first_are_kept(tmp_path):
    more = {**{f"word{i}x": [i, i, i] for i in range(5)}, **VECTORS}
    assert {"word0x", "word1x"} < set(read(tmp_path, as_text(more), query_words=2)[0].terms)
    assert "word2x" not in read(tmp_path, as_text(more), query_words=2)[0].terms
    assert "zebra" not in read(tmp_path, as_text(more), query_words=0)[0].terms


def test_the_first_of_words_that_fold_alike_counts(tmp_path):
    data = as_text({"Red": [1.0, 1.0, 1.0], "red": [2.0, 2.0, 2.0], "RED": [3.0, 3.0, 3.0]})
    words, table = read(tmp_path, data)
    assert words.terms == ("red",)
    assert table.tolist() == [[1.0, 1.0, 1.0]]


def test_words_that_are_no_utf8_or_hold_spaces_do_not_stop_it(tmp_path):
    data = as_text() + b"\xff\xfe 1 2 3\n. . . 0.1 0.2 0.3\n"
    assert len(read(tmp_path, data)[0].terms) == len(VECTORS)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (as_text() + b"short 1.0 2.0\n", r"word 8: has 2 numbers, the first line tells of 3"),
        (as_text() + b"\n", r"word 8: has 0 numbers"),
        (as_text().replace(b"1.5", b"nan"), r"word 2: .*not a finite number"),
        (as_text().replace(b"1.5", b"1e99"), r"word 2: .*not a finite number"),
        (as_text().replace(b"1.5", b"abc"), r"word 2: could not convert"),
        (as_text(header=True)[:-40], r"holds 5 words and says 7: it is cut short"),
        (as_text(header=True) + b"more 1 2 3\n", r"holds 8 words and says 7"),
        (as_binary()[:-9], r"is cut short at word 7 of 7"),
        (as_binary()[:-19], r"is cut short at word 7 of 7"),
        (as_binary() + b"x" * 20, r"goes on after the 7 words"),
        (as_binary({**VECTORS, "red": [1.0, float("nan"), 0.0]}), r"word 2: .*not a finite number"),
        (
            b"99999999999999 300\n" + b"a " + b"\0" * 1200,
            r"says 99,999,999,999,999 words of 300 numbers; allowed are",
        ),
        (b"10 1000000000000\n" + b"a " + b"\0" * 1200, r"says 10 words of 1,000,000,000,000 numbers"),
        (b"3 0\na\nb\nc\n", r"of 0 numbers"),
        (b"2 3\n" + b"x" * 10_000, r"longer than 4,096 bytes"),
        (b"", r"begins with an empty line"),
        (b"word " + b"1 " * (1 << 20), r"line 1: is longer than a mebibyte"),
        (b"the " + b"1 " * 5000 + b"\n", r"of 5,000 numbers"),
        (as_text({"zebra": [1.0, 2.0, 3.0]}), r"holds none of the \d+ words of the catalogue"),
        (gzip.compress(as_text() * 100)[:-30], r"damaged or cut short"),
        (lzma.compress(as_text() * 100)[:-30], r"damaged or cut short|cut short"),
        (zstd(as_text() * 100)[:-5], r"damaged or cut short|cut short"),
    ],
)
def test_a_damaged_or_absurd_file_is_one_clear_line(tmp_path, data, told):
    with pytest.raises(DataError, match=told) as caught:
        read(tmp_path, data)
    assert "vectors.txt" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_format_can_be_named(tmp_path):
    with pytest.raises(DataError, match="a binary file has"):
        read(tmp_path, as_text(), format="binary")
    assert len(read(tmp_path, as_binary(), format="binary")[0].terms) == len(VECTORS)


def test_a_bomb_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(packed, "MOST_UNPACKED", 1000)
    monkeypatch.setattr(packed, "MOST_RATIO", 2)
    with pytest.raises(DataError, match="unpacks to more than"):
        read(tmp_path, gzip.compress(as_text() + b"zeros 0 0 0\n" * 100_000))


def test_progress_and_cancellation(tmp_path, monkeypatch):
    monkeypatch.setattr(word_files, "_EVERY", 2)
    path, told = tmp_path / "v.txt", []
    path.write_bytes(as_binary())
    run = RunOptions(progress=lambda label, done, total: told.append((done, total)))
    read_words(GloveConfig(), path, TEXTS, RUNS, run)
    assert told == [(2, 7), (4, 7), (6, 7)]


def test_without_a_file(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_words(GloveConfig(), tmp_path / "nothing.txt", TEXTS, RUNS, RUN)
    with pytest.raises(DataError, match="is a folder"):
        read_words(GloveConfig(), tmp_path, TEXTS, RUNS, RUN)
