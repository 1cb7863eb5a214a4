"""One pass of a factorization machine against double sums and numerical gradients."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec.numerics.factorization import Factors, Rows, Steps, one_pass

D = 3


def made(seed: int = 0, users: int = 3, events: int = 5, n_items: int = 6) -> tuple[Rows, Factors]:
    """Small examples with all kinds of features, two candidates a row but none in the first row of a user."""
    rng = np.random.default_rng(seed)
    n = users * events
    counts = np.where(np.arange(n) % events == 0, 1, 2)
    asked = np.concatenate([[0], np.cumsum(counts)])
    rows = Rows(
        np.arange(users + 1) * events,
        rng.integers(0, n_items, n).astype(np.int32),
        rng.normal(size=(n, 2)).astype(np.float32),
        asked.astype(np.int64),
        rng.integers(0, n_items, asked[-1]).astype(np.int32),
        rng.integers(0, 2, asked[-1]).astype(np.float32),
        np.arange(n + 1) * 2,
        np.tile(np.array([0, 1], np.int32), n),
        rng.normal(size=2 * n).astype(np.float32),
        np.arange(n_items + 1),
        np.full(n_items, 2, np.int32) + np.arange(n_items, dtype=np.int32) % 2,
        rng.normal(size=n_items).astype(np.float32),
        rng.normal(size=(asked[-1], 2)).astype(np.float32),
        4,
    )

    def draw(*shape: int) -> np.ndarray:
        return 0.3 * rng.normal(size=shape)

    factors = Factors(
        draw(1), draw(n_items), draw(n_items, D), draw(6), draw(6, D), draw(2, n_items), draw(2, n_items, D)
    )
    return rows, factors


def features(
    rows: Rows, at: Factors, user: int, row: int, example: int
) -> list[tuple[float, float, np.ndarray]]:
    """Return (x, w, v) of every feature of an example, as the docstring says."""
    first = int(rows.indptr[user])
    found = []
    for j in range(first, row):
        for table in range(rows.inputs.shape[1]):
            x = float(rows.inputs[j, table]) / np.sqrt(row - first)
            item = rows.items[j]
            found.append((x, at.event_weight[table, item], at.event[table, item]))
    for p in range(rows.query_indptr[row], rows.query_indptr[row + 1]):
        place = rows.query_index[p]
        found.append((float(rows.query_value[p]), at.feature_weight[place], at.feature[place]))
    item = rows.candidates[example]
    found.append((1.0, at.item_weight[item], at.item[item]))
    for p in range(rows.item_indptr[item], rows.item_indptr[item + 1]):
        place = rows.item_index[p]
        found.append((float(rows.item_value[p]), at.feature_weight[place], at.feature[place]))
    for p in range(rows.numbers.shape[1]):
        place = rows.first_number + p
        found.append((float(rows.numbers[example, p]), at.feature_weight[place], at.feature[place]))
    return found


def plain_loss(rows: Rows, at: Factors, logistic: bool) -> float:
    """Return the sum of the losses by the double sum over pairs (Rendle 2010, eq. 1)."""
    total = 0.0
    for user in range(rows.indptr.size - 1):
        for row in range(rows.indptr[user], rows.indptr[user + 1]):
            for example in range(rows.asked[row], rows.asked[row + 1]):
                found = features(rows, at, user, row, example)
                y = at.offset[0] + sum(x * w for x, w, _ in found)
                for a in range(len(found)):
                    for b in range(a + 1, len(found)):
                        y += found[a][0] * found[b][0] * (found[a][2] @ found[b][2])
                label = rows.labels[example]
                if logistic:
                    total += -np.log(1 / (1 + np.exp(-y if label else y)))
                else:
                    total += 0.5 * (y - label) ** 2
    return total


def copied(at: Factors) -> Factors:
    return Factors(*(each.copy() for each in at))


def unmoved(at: Factors) -> Factors:
    """Squared gradients so large that no step moves anything, but small enough to be read back from."""
    return Factors(*(np.full_like(each, 1e16) for each in at))


@pytest.mark.parametrize("logistic", [False, True])
def test_the_loss_is_that_of_the_double_sum(logistic):
    rows, at = made()
    steps = Steps(0.0, 0.0, 0.0, 0.0, logistic)
    found = one_pass(np.arange(3), rows, copied(at), unmoved(at), steps)
    assert found == pytest.approx(plain_loss(rows, at, logistic), rel=1e-6)


@pytest.mark.parametrize("logistic", [False, True])
@pytest.mark.parametrize("name", Factors._fields)
def test_a_pass_moves_along_the_gradient(name, logistic):
    rows, at = made(1)
    rate, huge = 1.0, 1e12
    moved = copied(at)
    squares = Factors(*(np.full_like(each, huge) for each in at))
    one_pass(np.arange(3), rows, moved, squares, Steps(rate, 0.0, 0.0, 0.0, logistic))
    step = (getattr(at, name) - getattr(moved, name)) * np.sqrt(huge) / rate
    wanted = np.zeros_like(getattr(at, name))
    for place in np.ndindex(*wanted.shape):
        either = []
        for sign in (1, -1):
            other = copied(at)
            getattr(other, name)[place] += sign * 1e-5
            either.append(plain_loss(rows, other, logistic))
        wanted[place] = (either[0] - either[1]) / 2e-5
    np.testing.assert_allclose(step, wanted, rtol=2e-3, atol=2e-4)
