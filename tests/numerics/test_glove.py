from __future__ import annotations

import numpy as np

from fuserec.numerics.glove import glove_pass


def test_a_pass_is_the_same_written_in_plain_numpy():
    rng = np.random.default_rng(1)
    first, second = np.array([0, 1, 2, 0], np.int32), np.array([1, 0, 1, 2], np.int32)
    counts, order = np.array([4.0, 0.5, 30.0, 7.0], np.float32), np.array([2, 0, 3, 1])
    w, v = rng.normal(size=(2, 3, 5))
    ws, vs = np.ones((2, 3, 5))
    fast = [a.astype(np.float32) for a in (w, v, ws, vs)]
    loss = glove_pass(first, second, counts, order, *fast, 10.0, 0.75, 0.1)
    wanted = 0.0
    for at in order:
        i, j, x = first[at], second[at], float(counts[at])
        apart = w[i, :4] @ v[j, :4] + w[i, 4] + v[j, 4] - np.log(x)
        f = min(1.0, (x / 10.0) ** 0.75)
        wanted += f * apart**2
        gw, gv = f * apart * np.append(v[j, :4], 1.0), f * apart * np.append(w[i, :4], 1.0)
        ws[i] += gw**2
        vs[j] += gv**2
        w[i] -= 0.1 * gw / np.sqrt(ws[i])
        v[j] -= 0.1 * gv / np.sqrt(vs[j])
    np.testing.assert_allclose(loss, wanted / 4, rtol=1e-5)
    for found, plain in zip(fast, (w, v, ws, vs), strict=True):
        np.testing.assert_allclose(found, plain, atol=1e-5)


def test_the_logarithm_of_counts_is_learnt():
    rng = np.random.default_rng(0)
    counts = np.exp(rng.normal(size=(6, 6))).astype(np.float32)
    first, second = (index.ravel().astype(np.int32) for index in np.indices((6, 6)))
    parts = [(rng.normal(size=(6, 9)) * 0.1).astype(np.float32) for _ in range(2)]
    squares = [np.ones((6, 9), np.float32) for _ in range(2)]
    losses = [
        glove_pass(first, second, counts.ravel(), rng.permutation(36), *parts, *squares, 1.0, 0.75, 0.1)
        for _ in range(400)
    ]
    assert losses[-1] < losses[0] / 1000
    told = parts[0][:, :8] @ parts[1][:, :8].T + parts[0][:, 8:] + parts[1][:, 8]
    np.testing.assert_allclose(told, np.log(counts), atol=0.1)
