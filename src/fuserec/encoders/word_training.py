"""Word vectors trained on a catalogue's own text: Word2Vec, fastText and GloVe."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from fuserec.encoders.base import Vectors
from fuserec.encoders.lexical import tokenize
from fuserec.encoders.word_config import FastTextConfig, GloveConfig, Word2VecConfig
from fuserec.encoders.words import Words, packed
from fuserec.errors import DataError
from fuserec.numerics.hashing import hash_rows, normal_rows, reseed
from fuserec.run import RunOptions

_START = 0.3
"""Standard deviation of the first vectors, times their length: that of numbers spread evenly over ±0.5."""

_NOISE = 1 << 20
"""Entries of the table that negatives are drawn from; the rarest word has one at least."""

LAST_RATE = 1e-3
"""The learning rate falls to this share of itself."""


def train_words(
    texts: Sequence[str], config: Word2VecConfig, runs: tuple[int, int], run: RunOptions
) -> tuple[Words, Vectors]:
    """Train vectors of words, and of their character n-grams where the configuration is fastText's.

    One thread whatever ``run.threads`` says, so that equal texts, configuration and seed give equal bits.

    Parameters
    ----------
    texts : sequence of str
        Of all items.
    config : Word2VecConfig or FastTextConfig
    runs : (int, int)
        Shortest and longest run taken from scripts without spaces.
    run : RunOptions
        Seed, progress, cancellation.

    Returns
    -------
    words : Words
    table : float32 (words.n_rows, embedding_dim)

    Raises
    ------
    DataError
        Where no two words stand beside each other.
    """
    tokens = [tokenize(text, runs) for text in texts]
    if isinstance(config, FastTextConfig):
        words = Words.of(tokens, runs, config.min_count, config.char_ngrams, config.max_ngrams)
    else:
        words = Words.of(tokens, runs, config.min_count)
    flat, indptr = _numbered(tokens, words, config.min_count)
    reading = words.reading(words.terms)
    table = _start(words, config.embedding_dim, run.seed)
    outputs = np.zeros((len(words.terms), config.embedding_dim), np.float32)
    _train(config, flat, indptr, reading.indices, reading.indptr.astype(np.int64), table, outputs, words, run)
    return words, table


def _train(
    config: Word2VecConfig,
    flat: NDArray[np.int32],
    indptr: NDArray[np.int64],
    rows: NDArray[np.int32],
    row_ptr: NDArray[np.int64],
    table: Vectors,
    outputs: Vectors,
    words: Words,
    run: RunOptions,
) -> None:
    """Run all passes, in place."""
    from fuserec.numerics.skipgram import train_pass

    rng = run.rng("word vectors")
    keep, noise = _keep(words, config.subsample), _noise(words, config.negative_popularity)
    state = rng.integers(2**63, size=1, dtype=np.uint64)
    rates = config.learning_rate * np.linspace(1.0, LAST_RATE, config.epochs + 1)
    for epoch in range(config.epochs):
        run.check()
        order = rng.permutation(indptr.size - 1)
        train_pass(
            flat,
            indptr,
            order,
            rows,
            row_ptr,
            table,
            outputs,
            keep,
            noise,
            config.window,
            config.negatives,
            float(rates[epoch]),
            float(rates[epoch + 1]),
            config.architecture == "cbow",
            state,
        )
        run.progress("training word vectors", epoch + 1, config.epochs)


def train_glove(
    texts: Sequence[str], config: GloveConfig, runs: tuple[int, int], run: RunOptions
) -> tuple[Words, Vectors]:
    """Train GloVe; a word's vector is the sum of both that it has, as in the paper.

    Parameters, results and errors as of :func:`train_words`.
    """
    from fuserec.numerics.glove import glove_pass

    tokens = [tokenize(text, runs) for text in texts]
    words = Words.of(tokens, runs, config.min_count)
    pairs = together(*_numbered(tokens, words, config.min_count), len(words.terms), config.window)
    rng, dim = run.rng("word vectors"), config.embedding_dim
    vectors, contexts = (_start(words, dim + 1, seed) for seed in (run.seed, run.seed + 1))
    vector_squares, context_squares = np.ones_like(vectors), np.ones_like(contexts)
    for epoch in range(config.epochs):
        run.check()
        order = rng.permutation(pairs.nnz)
        glove_pass(
            pairs.row,
            pairs.col,
            pairs.data,
            order,
            vectors,
            contexts,
            vector_squares,
            context_squares,
            config.x_max,
            config.weight_power,
            config.learning_rate,
        )
        run.progress("training word vectors", epoch + 1, config.epochs)
    return words, np.ascontiguousarray(vectors[:, :dim] + contexts[:, :dim])


def together(
    flat: NDArray[np.int32], indptr: NDArray[np.int64], n_words: int, window: int
) -> sparse.coo_matrix:
    """Return COO float32 (n_words, n_words): how often words stand in each other's windows, n words apart as 1/n."""
    text_of = np.repeat(np.arange(indptr.size - 1), np.diff(indptr))
    inside = [np.flatnonzero(text_of[apart:] == text_of[:-apart]) for apart in range(1, window + 1)]
    before = np.concatenate(inside)
    after = np.concatenate([at + apart for apart, at in enumerate(inside, 1)])
    shares = np.concatenate([np.full(at.size, 1.0 / apart, np.float32) for apart, at in enumerate(inside, 1)])
    total = sparse.csr_matrix((shares, (flat[before], flat[after])), shape=(n_words, n_words))
    return sparse.coo_matrix(total + total.T)


def _numbered(
    tokens: Sequence[Sequence[str]], words: Words, min_count: int
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the rows of all words that have one, text after text, and where each text begins.

    Raises
    ------
    DataError
        Where no two of them stand beside each other.
    """
    known = [[row for word in cut if (row := words.index(word)) >= 0] for cut in tokens]
    indptr = np.concatenate([[0], np.cumsum([len(cut) for cut in known], dtype=np.int64)]).astype(np.int64)
    if not (np.diff(indptr) > 1).any():
        raise DataError(
            f"the items' texts hold no two words, of {min_count} occurrences or more, beside each other: "
            "there is nothing to train word vectors on; lower min_count, or choose another encoder"
        )
    return np.array([row for cut in known for row in cut], dtype=np.int32), indptr


def _start(words: Words, dim: int, seed: int) -> Vectors:
    """Return where vectors begin: each from a hash of its word, so that its place in the list says nothing."""
    hashes = np.concatenate([hash_rows(*packed(names)) for names in (words.terms, words.ngrams)])
    return np.ascontiguousarray(normal_rows(reseed(hashes, seed), dim) * np.float32(_START / dim))


def _keep(words: Words, subsample: float) -> NDArray[np.float64]:
    """Return the probability that an occurrence is read: √(t/f) + t/f, as the published program has it."""
    share = words.counts / max(1, words.total)
    if not subsample:
        return np.ones(share.size)
    return np.asarray(np.minimum(1.0, np.sqrt(subsample / share) + subsample / share))


def _noise(words: Words, popularity: float) -> NDArray[np.int32]:
    """Return what negatives are drawn from: every word, in proportion to count^popularity."""
    weights = words.counts.astype(np.float64) ** popularity
    share = np.maximum(1, np.round(weights / weights.sum() * _NOISE)).astype(np.int64)
    return np.repeat(np.arange(share.size, dtype=np.int32), share)
