from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from fuserec.encoders.recent import RecentVectors
from fuserec.run import RunOptions

RUN = RunOptions(threads=1)


class Lengths:
    """An encoder whose vector is the length of the text, and that notes what it was asked for."""

    def __init__(self):
        self.asked = []

    def encode(self, texts, run):
        self.asked += texts
        return np.array([[len(t), 1.0] for t in texts], np.float32).reshape(len(texts), 2)


def test_a_text_is_encoded_once():
    encoder, recent = Lengths(), RecentVectors()
    np.testing.assert_array_equal(recent.encode(encoder, ["aa", "b", "aa"], RUN), [[2, 1], [1, 1], [2, 1]])
    np.testing.assert_array_equal(recent.encode(encoder, ["b", "ccc"], RUN), [[1, 1], [3, 1]])
    assert encoder.asked == ["aa", "b", "ccc"]
    assert recent.encode(encoder, [], RUN).shape == (0, 2)


def test_the_text_unused_for_longest_goes_first():
    encoder, recent = Lengths(), RecentVectors(limit=2)
    for text in ("a", "b", "a", "c", "a", "b"):
        recent.encode(encoder, [text], RUN)
    assert encoder.asked == ["a", "b", "c", "b"]
    recent.encode(encoder, ["d", "e", "f"], RUN)  # more than is kept
    assert recent.encode(encoder, ["f", "e"], RUN)[:, 0].tolist() == [1, 1]
    assert encoder.asked == ["a", "b", "c", "b", "d", "e", "f"]


def test_what_a_caller_does_to_a_vector_stays_with_the_caller():
    encoder, recent = Lengths(), RecentVectors()
    recent.encode(encoder, ["a"], RUN)[:] = 9
    assert recent.encode(encoder, ["a"], RUN).tolist() == [[1, 1]]


def test_many_threads():
    encoder, recent = Lengths(), RecentVectors(limit=5)
    texts = ["x" * (n % 11 + 1) for n in range(400)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda t: recent.encode(encoder, [t], RUN)[0, 0], texts))
    assert found == [len(t) for t in texts]
