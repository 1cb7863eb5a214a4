from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score, normalized_mutual_info_score

from fuserec.errors import DataError, RequestError
from fuserec.metrics import information, information_null, masses
from fuserec.metrics.information import mutual_information, personalisation
from fuserec.metrics.information_null import permutation_null
from fuserec.metrics.masses import distributions, labels, pooled

LN2 = math.log(2)


@st.composite
def users(draw):
    """Users with two variables each: a label, or a list of several codes."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, n_x, n_y = (int(rng.integers(1, high)) for high in (12, 5, 5))
    sides = []
    for size, plain in ((n_x, draw(st.booleans())), (n_y, draw(st.booleans()))):
        counts = np.eye(size)[rng.integers(0, size, n)] if plain else rng.integers(0, 3, (n, size))
        sides.append(distributions(counts))
    return sides


def brute(x, y):
    """The definition, cell by cell and user by user: plug-in, corrected value, and the terms of its influence."""
    a, b = x.toarray(), y.toarray()
    both = (a.sum(axis=1) > 0) & (b.sum(axis=1) > 0)
    a, b = a[both], b[both]
    n, plug_in, excess = len(a), 0.0, 0.0
    influence = np.zeros(n)

    def spread(mass):  # variance over users over the mean
        return np.var(mass) / np.mean(mass) if np.mean(mass) > 0 else 0.0

    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            mass = a[:, i] * b[:, j]
            p = mass.mean() if n else 0
            excess += spread(mass) if n else 0
            if p > 0:
                log = math.log2(p / (a[:, i].mean() * b[:, j].mean()))
                plug_in += p * log
                influence += mass * log
    if n:
        excess -= sum(spread(a[:, i]) for i in range(a.shape[1]))
        excess -= sum(spread(b[:, j]) for j in range(b.shape[1]))
    return n, plug_in, plug_in - excess / (2 * n * LN2) if n else math.nan, influence


@pytest.mark.parametrize(("module", "examples"), [(information, 6), (information_null, 3), (masses, 3)])
def test_docstring_examples(module, examples):
    result = doctest.testmod(module)
    assert result.attempted == examples
    assert result.failed == 0


@given(users())
def test_equals_the_brute_force_oracle(drawn):
    x, y = drawn
    n, plug_in, value, influence = brute(x, y)
    found = mutual_information(x, y)
    assert found.users == n
    if n == 0:
        assert math.isnan(found.value)
        return
    np.testing.assert_allclose(found.plug_in, plug_in, atol=1e-12)
    np.testing.assert_allclose(found.value, value, atol=1e-12)
    assert found.high >= found.value + 1.95 * np.std(influence) / math.sqrt(n) - 1e-12
    assert found.low <= max(0.0, found.value) <= found.high
    swapped = mutual_information(y, x)
    np.testing.assert_allclose([swapped.value, swapped.high], [found.value, found.high], atol=1e-9)


@given(users(), st.integers(0, 99))
def test_every_way_to_sum_cells_is_the_estimator(drawn, seed):
    x, y = drawn
    a, b = masses.together(x, y)
    if not a.shape[0]:
        return
    order = np.random.default_rng(seed).permutation(a.shape[0])
    expected = mutual_information(a, b[order]).value
    for cells in (2**22, 0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(information_null, "MOST_CELLS", cells)
            np.testing.assert_allclose(information_null._Estimator(a, b).value(order), expected, atol=1e-9)


def test_labels_agree_with_scikit_learn_and_the_classical_correction():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.integers(0, 6, 40), rng.integers(0, 4, 40)
        found = mutual_information(labels(x), labels(y))
        np.testing.assert_allclose(found.plug_in, mutual_info_score(x, y) / LN2, atol=1e-12)
        cells = len(set(zip(x, y, strict=True))) - len(set(x)) - len(set(y)) + 1
        np.testing.assert_allclose(found.value, found.plug_in - cells / (2 * 40 * LN2), atol=1e-12)
        plain = found.plug_in / ((found.x_entropy + found.y_entropy) / 2)
        assert (
            abs(plain - normalized_mutual_info_score(x, y)) < 0.1
        )  # the entropies are corrected, theirs are not


def test_information_of_a_copy_is_the_entropy():
    x = np.random.default_rng(0).integers(0, 4, 400)
    found = mutual_information(labels(x), labels(x))
    np.testing.assert_allclose([found.value, found.normalised], [found.x_entropy, 1.0], atol=1e-9)


def test_personalisation():
    same = personalisation(distributions(np.tile([1, 1, 1, 0], (50, 1))))
    assert (same.plug_in, same.value) == (pytest.approx(0, abs=1e-12), pytest.approx(0, abs=1e-12))
    apart = personalisation(distributions(np.kron(np.eye(8), np.ones((1, 5)))))
    assert apart.plug_in == pytest.approx(3)  # eight lists without a common item: log2 8
    rng = np.random.default_rng(0)
    lists = np.argsort(rng.random((30, 12)), axis=1)[:, :4]
    counts = np.zeros((30, 12))
    np.put_along_axis(counts, lists, 1, axis=1)
    exposure = counts.sum(axis=0) / counts.sum()
    expected = -sum(p * math.log2(p) for p in exposure if p > 0) - math.log2(4)
    found = personalisation(distributions(counts))
    assert found.plug_in == pytest.approx(expected)
    # It is the information that the list gives on the user.
    assert found.plug_in == pytest.approx(
        mutual_information(labels(np.arange(30)), distributions(counts)).plug_in
    )


def test_personalisation_of_a_sample_is_that_of_the_population():
    """Lists of 500 users drawn from a known mixture: the correction takes out what a sample cannot see."""
    rng = np.random.default_rng(5)
    exposure = rng.dirichlet(np.full(150, 1.0))
    truth = -float(np.sum(exposure * np.log2(exposure)))
    found = [personalisation(labels(rng.choice(150, 500, p=exposure), 150)) for _ in range(100)]
    plain = np.mean([one.plug_in for one in found]) - truth
    corrected = np.mean([one.value for one in found]) - truth
    assert plain < -0.15
    assert abs(corrected) < 0.06


def test_pooling_only_loses_information():
    rng = np.random.default_rng(0)
    group = rng.integers(0, 2, 400)
    item = np.where(rng.random(400) < 0.5, group * 3 + rng.integers(0, 3, 400), 6 + rng.integers(0, 400, 400))
    few = mutual_information(pooled(labels(item), 25), labels(group))
    all_of_it = mutual_information(labels(item), labels(group))
    assert few.plug_in < all_of_it.plug_in
    noise = labels(rng.integers(0, 400, 400))
    assert mutual_information(noise, labels(group)).value > 0.1  # what rare codes pretend
    assert abs(mutual_information(pooled(noise, 25), labels(group)).value) < 1e-9


def test_empty_rows_take_no_part_and_bad_input_is_refused():
    x, y = labels([0, 1, 0, 1]), labels([0, 1, 0, 1])
    with_empty = sp.vstack([x, sp.csr_array((3, 2))]), sp.vstack([y, labels([0, 1, 0])])
    assert mutual_information(*with_empty).value == mutual_information(x, y).value
    assert math.isnan(mutual_information(sp.csr_array((0, 2)), sp.csr_array((0, 3))).value)
    assert math.isnan(permutation_null(sp.csr_array((2, 2)), y[:2], rng=np.random.default_rng(0)).p)
    assert math.isnan(personalisation(sp.csr_array((2, 2))).value)
    with pytest.raises(DataError, match="same users"):
        mutual_information(x, y[:3])
    with pytest.raises(DataError, match="leave out users"):
        labels([0, -1])
    with pytest.raises(RequestError, match="at least 1 permutation"):
        permutation_null(x, y, rng=np.random.default_rng(0), n_permutations=0)
