"""Whitening: what it is by definition, and the cases in which it must do less."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuserec.encoders.whitening import Whitening, WhiteningConfig, relaxed_exponent
from fuserec.errors import DataError, ModelFormatError


def crowded(n: int, dim: int, seed: int = 0) -> np.ndarray:
    """Return unit rows in a narrow cone with a decaying spectrum, as language models give them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, dim)) / np.arange(1, dim + 1) + 2.0
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


FULL = WhiteningConfig(exponent=1, shrinkage=0)


@pytest.mark.parametrize("dim", [None, 16, 5])
def test_full_whitening_gives_the_identity_as_covariance(dim) -> None:
    x = crowded(4000, 16)
    fitted = Whitening.fit(x, FULL.model_copy(update={"dim": dim}))
    moved = (x.astype(np.float64) - fitted.mean) @ fitted.matrix
    np.testing.assert_allclose(np.cov(moved.T, bias=True), np.eye(dim or 16), atol=2e-3)
    assert fitted.apply(x).shape == (4000, dim or 16)
    np.testing.assert_allclose(np.linalg.norm(fitted.apply(x), axis=1), 1, rtol=1e-5)


def test_zca_is_symmetric_and_gives_the_same_cosines_as_pca() -> None:
    x = crowded(500, 12)
    zca, pca = Whitening.fit(x, FULL), Whitening.fit(x, FULL.model_copy(update={"dim": 12}))
    np.testing.assert_allclose(zca.matrix, zca.matrix.T, atol=1e-3)
    np.testing.assert_allclose(zca.apply(x) @ zca.apply(x).T, pca.apply(x) @ pca.apply(x).T, atol=1e-4)


def test_no_exponent_only_centres() -> None:
    x = crowded(300, 8)
    centred = x - x.mean(axis=0)
    expected = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(Whitening.fit(x, WhiteningConfig(exponent=0)).apply(x), expected, atol=1e-4)
    uncentred = Whitening.fit(x, WhiteningConfig(exponent=0, center=False))
    np.testing.assert_allclose(uncentred.apply(x), x, atol=1e-5)


def test_it_spreads_a_cone() -> None:
    x = crowded(5000, 16)
    y = Whitening.fit(x).apply(x)
    assert (x @ x[0]).mean() > 0.5
    assert abs((y @ y[0]).mean()) < 0.05


def test_few_texts_keep_their_likeness() -> None:
    """Fully whitened, 40 texts in 100 dimensions would all be equally unlike; not so by default."""
    rng = np.random.default_rng(0)
    topics = rng.normal(size=(4, 100))
    x = np.repeat(topics, 10, axis=0) + 0.7 * rng.normal(size=(40, 100))
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    topic = np.repeat(np.arange(4), 10)

    def gap(config: WhiteningConfig | None) -> float:
        y = Whitening.fit(x, config).apply(x)
        likeness = y @ y.T
        same = (topic[:, None] == topic) & ~np.eye(40, dtype=bool)
        return float(likeness[same].mean() - likeness[topic[:, None] != topic].mean())

    assert gap(WhiteningConfig(exponent=1, shrinkage=1e-6)) < 0.1
    assert gap(None) > 0.5


@pytest.mark.parametrize("n", [1, 2, 3, 30])
def test_fewer_rows_than_dimensions(n: int) -> None:
    x = crowded(n, 64)
    for config in (None, FULL, FULL.model_copy(update={"dim": 50})):
        y = Whitening.fit(x, config).apply(np.concatenate([x, crowded(5, 64, seed=9)]))
        assert np.isfinite(y).all()
        assert np.abs(y).max() <= 1.0001


@pytest.mark.parametrize("n", [1, 5])
def test_texts_that_do_not_differ_stay_as_they_are(n: int) -> None:
    x = np.repeat(crowded(1, 8), n, axis=0)
    np.testing.assert_allclose(Whitening.fit(x).apply(x), x, atol=1e-6)


def test_rows_without_text_are_left_out_and_stay_zero() -> None:
    x = crowded(50, 8)
    with_gaps = np.concatenate([np.zeros((30, 8), np.float32), x])
    plain, gappy = Whitening.fit(x), Whitening.fit(with_gaps)
    np.testing.assert_array_equal(plain.matrix, gappy.matrix)
    np.testing.assert_array_equal(plain.mean, gappy.mean)
    moved = gappy.apply(with_gaps)
    assert not moved[:30].any()
    assert moved[30:].any(axis=1).all()
    empty = Whitening.fit(np.zeros((4, 8), np.float32))
    assert not empty.apply(np.zeros((4, 8), np.float32)).any()
    assert Whitening.fit(np.zeros((0, 8), np.float32)).apply(x).shape == (50, 8)


def test_values_that_are_not_finite_are_refused() -> None:
    x = crowded(5, 4)
    x[2, 1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        Whitening.fit(x)


@settings(max_examples=40)
@given(
    st.integers(0, 40),
    st.integers(1, 20),
    st.floats(0, 1) | st.none(),
    st.floats(0, 1),
    st.integers(1, 30) | st.none(),
)
def test_always_finite_and_at_most_unit(
    n: int, dim: int, exponent: float | None, shrinkage: float, kept: int | None
) -> None:
    x = crowded(n, dim, seed=n)
    fitted = Whitening.fit(x, WhiteningConfig(exponent=exponent, shrinkage=shrinkage, dim=kept))
    y = fitted.apply(x)
    assert y.shape == (n, min(kept or dim, dim)) == (n, fitted.dim)
    assert np.isfinite(y).all()
    assert y.dtype == np.float32
    lengths = np.linalg.norm(y, axis=1)
    assert ((np.abs(lengths - 1) < 1e-4) | (lengths == 0)).all()


def test_the_default_exponent_grows_with_the_texts() -> None:
    grown = [relaxed_exponent(n, 384) for n in (0, 100, 1000, 12_000, 10**7)]
    assert grown == sorted(grown)
    assert grown[0] == 0
    assert 0.74 < grown[-1] <= 0.75


def test_state() -> None:
    x = crowded(100, 8)
    fitted = Whitening.fit(x)
    arrays, info = fitted.state()
    again = Whitening.from_state(arrays, json.loads(json.dumps(info)))
    np.testing.assert_array_equal(again.apply(x), fitted.apply(x))
    with pytest.raises(ModelFormatError, match="damaged"):
        Whitening.from_state({"mean": arrays["mean"][:-1], "matrix": arrays["matrix"]}, info)
    with pytest.raises(ModelFormatError, match="damaged"):
        Whitening.from_state({"mean": arrays["mean"]}, info)
