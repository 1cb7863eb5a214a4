"""One pass of skip-gram or CBOW with negative sampling: the inner loop of Word2Vec and of fastText.

A word is read as the mean of some rows of a table: its own row (Word2Vec), or its own and those of its character
n-grams (fastText). One thread, and random numbers of its own, so that equal input gives equal bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fuserec.numerics.jit import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_UNIT = 2.0**-53


@kernel(inline=True)
def _drawn(state: np.ndarray) -> Any:
    """Return the next number of SplitMix64 (Steele et al. 2014); ``state`` is uint64 (1,)."""
    state[0] += _STEP
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel(inline=True)
def _below(state: np.ndarray, n: int) -> Any:
    """Return a whole number in [0, n)."""
    return np.int64(_drawn(state) >> np.uint64(33)) % n


@kernel(reassociate=True, inline=True)
def _read(table: np.ndarray, rows: np.ndarray, lo: int, hi: int, hidden: np.ndarray) -> None:
    """Add the rows ``rows[lo:hi]`` of the table to ``hidden``."""
    for r in range(lo, hi):
        row = table[rows[r]]
        for d in range(hidden.size):
            hidden[d] += row[d]


@kernel(reassociate=True, inline=True)
def _written(table: np.ndarray, rows: np.ndarray, lo: int, hi: int, change: np.ndarray) -> None:
    """Add ``change`` to the rows ``rows[lo:hi]`` of the table."""
    for r in range(lo, hi):
        row = table[rows[r]]
        for d in range(change.size):
            row[d] += change[d]


@kernel(reassociate=True, inline=True)
def _judged(hidden: np.ndarray, out: np.ndarray, label: float, rate: float, change: np.ndarray) -> None:
    """Take a step of the logistic loss of one pair: ``out`` at once, what is owed to the input is added up."""
    score = np.float32(0.0)
    for d in range(hidden.size):
        score += hidden[d] * out[d]
    g = np.float32((label - 1.0 / (1.0 + np.exp(-score))) * rate)
    for d in range(hidden.size):
        change[d] += g * out[d]
        out[d] += g * hidden[d]


@kernel(inline=True)
def _predicted(
    word: int,
    hidden: np.ndarray,
    outputs: np.ndarray,
    noise: np.ndarray,
    negatives: int,
    rate: float,
    change: np.ndarray,
    state: np.ndarray,
) -> None:
    """Tell one word from some that are drawn."""
    _judged(hidden, outputs[word], 1.0, rate, change)
    for _ in range(negatives):
        other = noise[_below(state, noise.size)]
        if other != word:
            _judged(hidden, outputs[other], 0.0, rate, change)


@kernel(inline=True)
def _sampled(
    words: np.ndarray, lo: int, hi: int, keep: np.ndarray, kept: np.ndarray, state: np.ndarray
) -> int:
    """Fill ``kept`` with the words of a text that are trained on this time; return how many."""
    n = 0
    for at in range(lo, hi):
        word = words[at]
        if keep[word] >= 1.0 or np.float64(_drawn(state) >> np.uint64(11)) * _UNIT < keep[word]:
            kept[n] = word
            n += 1
    return n


@kernel(inline=True)
def _heard(
    kept: np.ndarray,
    at: int,
    left: int,
    right: int,
    cbow: bool,
    rows: np.ndarray,
    row_ptr: np.ndarray,
    table: np.ndarray,
    hidden: np.ndarray,
) -> int:
    """Add up what is predicted from: the word in the middle, or (CBOW) those around it; return how many rows."""
    parts = 0
    for near in range(left, right):
        if (near != at) == cbow:
            first, last = row_ptr[kept[near]], row_ptr[kept[near] + 1]
            _read(table, rows, first, last, hidden)
            parts += last - first
    return parts


@kernel
def _longest(indptr: np.ndarray) -> int:
    """Return the length of the longest text."""
    longest = 0
    for t in range(indptr.size - 1):
        longest = max(longest, indptr[t + 1] - indptr[t])
    return longest


@kernel
def train_pass(
    words: np.ndarray,
    indptr: np.ndarray,
    order: np.ndarray,
    rows: np.ndarray,
    row_ptr: np.ndarray,
    table: np.ndarray,
    outputs: np.ndarray,
    keep: np.ndarray,
    noise: np.ndarray,
    window: int,
    negatives: int,
    first_rate: float,
    last_rate: float,
    cbow: bool,
    state: np.ndarray,
) -> None:
    """Train one pass over all texts, in place.

    Loss: −log σ(h·o_w) − Σ log σ(−h·o_n) over ``negatives`` words n (Mikolov, Sutskever, Chen, Corrado, Dean 2013,
    "Distributed representations of words and phrases", eq. 4). Skip-gram: h is the word in the middle, w each word
    around it; its change is made once, after all of them. CBOW: h is the mean of the words around, w the one in the
    middle. h is a mean over rows of the table (Bojanowski, Grave, Joulin, Mikolov 2017, "Enriching word vectors with
    subword information"), and each of them takes the whole change.

    Parameters
    ----------
    words : int32 (n_tokens,)
        All texts one after the other; ``words[indptr[t]:indptr[t+1]]`` is a text, no window leaves it.
    order : int64 (n_texts,)
        In which order texts are read.
    rows, row_ptr : int32, int64 (n_words + 1,)
        ``rows[row_ptr[w]:row_ptr[w+1]]`` of the table are what a word is read by.
    table, outputs : float32 (n_rows, dim), (n_words, dim)
        Trained in place.
    keep : float64 (n_words,)
        Probability that an occurrence is read.
    noise : int32 (any,)
        Negatives are drawn from it.
    window : int
        Words to either side at most; each time a width from 1 to it is drawn.
    first_rate, last_rate : float
        Learning rate, linear between them.
    state : uint64 (1,)
        Of the random numbers.
    """
    dim = table.shape[1]
    hidden, change = np.zeros(dim, np.float32), np.zeros(dim, np.float32)
    kept = np.empty(_longest(indptr), np.int32)
    done, total = 0, max(1, words.size)
    for text in order:
        lo, hi = indptr[text], indptr[text + 1]
        n = _sampled(words, lo, hi, keep, kept, state)
        rate = first_rate + (last_rate - first_rate) * (done / total)
        done += hi - lo
        for at in range(n):
            width = 1 + _below(state, window)
            left, right = max(0, at - width), min(n, at + width + 1)
            if right - left < 2:
                continue
            hidden[:], change[:] = 0.0, 0.0
            parts = _heard(kept, at, left, right, cbow, rows, row_ptr, table, hidden)
            hidden /= np.float32(max(1, parts))
            for near in range(left, right):
                if (near != at) != cbow:
                    _predicted(kept[near], hidden, outputs, noise, negatives, rate, change, state)
            for near in range(left, right):
                if (near != at) == cbow:
                    _written(table, rows, row_ptr[kept[near]], row_ptr[kept[near] + 1], change)
