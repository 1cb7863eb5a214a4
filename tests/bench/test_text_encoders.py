"""The table of content by encoder, made on the bundled sample."""

from __future__ import annotations

import numpy as np

from bench import text_encoders
from fuserec import RunOptions, sample
from fuserec.data.splits import SplitConfig
from fuserec.encoders.word_config import GloveConfig
from fuserec.encoders.word_files import read_words
from fuserec.encoders.words import Words

RUN = RunOptions(threads=1)


def test_a_file_in_the_format_of_glove_is_read_back_exactly(tmp_path):
    words = Words(("boat", "三体"), np.array([2, 1]), 3)
    table = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    path = text_encoders.write_glove(tmp_path / "glove.txt", words, table)
    again, found = read_words(GloveConfig(), path, ["boat 三体"], (1, 2), RUN)
    assert again.terms == words.terms
    np.testing.assert_array_equal(found, table)


def test_encoders_are_measured_and_stand_in_the_table():
    data = sample()
    names = ("tf-idf", "word2vec", "glove file")
    rows = {name: text_encoders.measured(name, data, SplitConfig(), RUN) for name in names}
    assert rows["glove file"]["facts"]["kind"] == "glove"
    assert "vectors alone" not in rows["tf-idf"]
    ours = [rows[name]["vectors alone"]["ndcg@10"]["value"] for name in names[1:]]
    assert ours[0] != ours[1]
    told = text_encoders.section({"beauty-last-out": rows})
    assert "### Amazon Beauty, last-out" in told
    lines = [
        line for line in told.splitlines() if line.startswith(("| tf-idf", "| word2vec", "| glove file"))
    ]
    assert len(lines) == 3
    assert lines[0].count("–") == 2  # no vectors, so none alone, and nothing without one


def test_an_unknown_encoder_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["bench", "--data", str(tmp_path), "--encoders", "word3vec"])
    assert text_encoders.main() == 1
    assert "word3vec" in capsys.readouterr().err
