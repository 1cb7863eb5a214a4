"""One pass of GloVe over the pairs of words that occur together. One thread: equal input gives equal bits."""

from __future__ import annotations

import numpy as np

from fuserec.numerics.jit import kernel


@kernel(reassociate=True)
def glove_pass(
    first: np.ndarray,
    second: np.ndarray,
    counts: np.ndarray,
    order: np.ndarray,
    vectors: np.ndarray,
    contexts: np.ndarray,
    vector_squares: np.ndarray,
    context_squares: np.ndarray,
    x_max: float,
    power: float,
    rate: float,
) -> float:
    """Train one pass, in place; return the mean loss.

    Loss: f(X) (w·v + b + c − log X)², f(X) = min(1, (X / x_max)^power) (Pennington, Socher, Manning 2014, "GloVe",
    equations 8 and 9), by AdaGrad (Duchi, Hazan, Singer 2011), each number with a rate of its own.

    Parameters
    ----------
    first, second : int32 (n,)
        Pairs of words.
    counts : float32 (n,)
        X, above 0.
    order : int64 (n,)
        In which order pairs are taken.
    vectors, contexts : float32 (n_words, dim + 1)
        w and v; the last column is the bias b, or c.
    vector_squares, context_squares : float32 (n_words, dim + 1)
        Sums of squared gradients, above 0 from the beginning.
    x_max, power, rate : float
    """
    dim = vectors.shape[1] - 1
    loss = 0.0
    for pair in order:
        w, v = vectors[first[pair]], contexts[second[pair]]
        ws, vs = vector_squares[first[pair]], context_squares[second[pair]]
        apart = w[dim] + v[dim] - np.log(counts[pair])
        for d in range(dim):
            apart += w[d] * v[d]
        weight = min(1.0, (counts[pair] / x_max) ** power)
        loss += weight * apart * apart
        g = np.float32(weight * apart)
        for d in range(dim):
            gw, gv = g * v[d], g * w[d]
            ws[d] += gw * gw
            vs[d] += gv * gv
            w[d] -= np.float32(rate) * gw / np.sqrt(ws[d])
            v[d] -= np.float32(rate) * gv / np.sqrt(vs[d])
        ws[dim] += g * g
        vs[dim] += g * g
        w[dim] -= np.float32(rate) * g / np.sqrt(ws[dim])
        v[dim] -= np.float32(rate) * g / np.sqrt(vs[dim])
    return loss / max(1, order.size)
