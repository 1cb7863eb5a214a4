"""What lists tell: mutual information in bits, corrected for finite samples, with an interval and a null.

The unit of observation is one user. A user's values are a distribution over the codes of a variable: a group has its
whole mass on one code, a list of k items 1/k on each. So one formula serves plain labels and lists, and what is
estimated over n users is ``p(x, y) = mean of a_u(x) b_u(y)``. Items of one list are not independent observations;
counting them as such would call everything significant.

- *Correction* (Miller 1955, Note on the bias of information estimates; Madow 1948; for clusters the same expansion with
  the observed variance): the plug-in entropy is too low by about ``sum of s²(c) / p(c) / (2 n ln 2)`` over the cells c
  seen, s² the variance of a cell's mass over users. With one label a user that is (cells - 1) / (2 n ln 2), the
  classical Miller-Madow term.
- *Interval*: delta method. The plug-in is a mean of ``sum a_u b_u log2(p(x, y) / (p(x) p(y)))`` over users to first
  order, whose variance is observed; near independence that vanishes and the second order, of chi-square form, counts
  as well (Roulston 1999, Estimating the errors on measured entropy and mutual information).
- *Null*: the same estimator with the users of one variable permuted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fuserec.metrics.definitions import INFINITE, Definition
from fuserec.metrics.masses import entropy, filled, marginal, together, trace

FloatArray = npt.NDArray[np.float64]
Z95 = 1.959963984540054
"""Half width of a normal 95 % interval in standard errors."""


@dataclass(frozen=True)
class Information:
    """An amount of information with what can be said of its sampling error.

    Attributes
    ----------
    value : float
        Corrected estimate in bits; below 0 by chance where there is nothing.
    low, high : float
        Its 95 % interval, within what is possible (at least 0).
    plug_in : float
        Without the correction.
    users : int
        Users it is made of.
    x_entropy, y_entropy : float
        Of the two variables, corrected.
    """

    value: float
    low: float
    high: float
    plug_in: float
    users: int
    x_entropy: float
    y_entropy: float

    @property
    def normalised(self) -> float:
        """Return the value over the mean of the two entropies, 0 to 1; NaN where neither variable varies.

        Source: Strehl, Ghosh (2002), Cluster ensembles, with the arithmetic mean that scikit-learn uses.
        """
        mean = (self.x_entropy + self.y_entropy) / 2
        return float(np.clip(self.value / mean, 0, 1)) if mean > 0 else float("nan")


def mutual_information(x: Any, y: Any) -> Information:
    """Return I(X; Y) = sum of p(x, y) log2(p(x, y) / (p(x) p(y))) in bits, corrected, with its interval.

    Range 0 to min(H(X), H(Y)), before noise; 0 means that one says nothing of the other. Memory is that of the cells
    that occur, not of codes × codes. Source: Cover, Thomas (2006), Elements of information theory, section 2.3.

    Parameters
    ----------
    x, y : (n_users, n_codes), sparse or not
        One distribution a user and variable, made by :func:`fuserec.metrics.masses.labels` or ``distributions``. Users
        whose row is empty in either are left out.

    Examples
    --------
    Four users, two groups, and each group sees its own item: one bit. The correction adds (2 - 2 - 2 + 1) cells over
    2 · 4 · ln 2, taken with the sign of an entropy that is too low: 1 + 0.18034.

    >>> from fuserec.metrics.masses import labels
    >>> found = mutual_information(labels([0, 0, 1, 1]), labels([1, 1, 0, 0]))
    >>> found.plug_in, round(found.value, 5)
    (1.0, 1.18034)
    """
    a, b = together(x, y)
    n = a.shape[0]
    if n == 0:
        nothing = float("nan")
        return Information(nothing, nothing, nothing, nothing, 0, nothing, nothing)
    joint = _joint(a, b)
    px, py = marginal(a), marginal(b)
    rows = np.repeat(np.arange(joint.shape[0]), np.diff(joint.indptr))
    logs = np.log2(joint.data / (px[rows] * py[joint.indices]))
    plug_in = float(np.sum(joint.data * logs))
    trace_x, trace_y = trace(a.power(2), px), trace(b.power(2), py)
    excess = _joint_trace(a, b, joint) - trace_x - trace_y
    unit = 2 * n * np.log(2)
    influence = np.asarray(
        (a @ sp.csr_array((logs, joint.indices, joint.indptr), joint.shape)).multiply(b).sum(axis=1)
    )
    cells = max(1, int(np.count_nonzero(px) - 1) * int(np.count_nonzero(py) - 1))
    variance = float(np.var(influence)) / n + 2 * excess**2 / cells / unit**2
    value, half = plug_in - excess / unit, Z95 * float(np.sqrt(variance))
    return Information(
        float(value),
        max(0.0, value - half),
        max(0.0, value + half),
        plug_in,
        n,
        float(entropy(px) + trace_x / unit),
        float(entropy(py) + trace_y / unit),
    )


def personalisation(x: Any) -> Information:
    """Return H(exposure) - mean H(list): how many bits the lists differ by, which is I(user; item shown).

    With lists of k different items, H(exposure) - log2 k: 0 where everybody sees the same list, log2(n_users) where no
    item is shown twice. Permuting users changes nothing in it, so it has no null, and lists drawn at random are as
    "personal" as fitting ones: read it beside the information between history and list. The correction is that of
    H(exposure) over users. Source: the entropy of aggregate exposure (Adomavicius, Kwon 2012, Improving aggregate
    recommendation diversity), less the entropy of a list.

    Parameters
    ----------
    x : (n_users, n_items), sparse or not
        Each list as a distribution.

    Examples
    --------
    Two lists of two items that share one: exposure 1/4, 1/2, 1/4 is 1.5 bits, a list has 1 bit. The correction adds
    the variance over users of each cell (1/16, 0, 1/16) over its mean, 1/2, over 2 · 2 · ln 2: 0.18034.

    >>> from fuserec.metrics.masses import distributions
    >>> found = personalisation(distributions([[1, 1, 0], [0, 1, 1]]))
    >>> found.plug_in, round(found.value, 5)
    (0.5, 0.68034)
    """
    a = filled(sp.csr_array(x, dtype=np.float64))
    n = a.shape[0]
    if n == 0:
        nothing = float("nan")
        return Information(nothing, nothing, nothing, nothing, 0, nothing, nothing)
    px = marginal(a)
    logs = np.zeros_like(px)
    np.log2(px, out=logs, where=px > 0)
    rows = np.repeat(np.arange(n), np.diff(a.indptr))
    own = np.bincount(rows, weights=a.data * np.log2(a.data), minlength=n)
    influence = own - a @ logs
    unit, excess = 2 * n * np.log(2), trace(a.power(2), px)
    plug_in = float(influence.mean())
    value = plug_in + excess / unit
    half = Z95 * float(np.sqrt(np.var(influence) / n))
    seen = entropy(px) + excess / unit
    return Information(
        float(value),
        max(0.0, value - half),
        float(value + half),
        plug_in,
        n,
        float(seen),
        float(np.log2(n)),
    )


def _joint(a: Any, b: Any) -> Any:
    """Return p(x, y) of the cells that occur: CSR (n_x, n_y)."""
    joint = (a.T.tocsr() @ b).tocsr()
    joint.data /= a.shape[0]
    joint.sort_indices()
    return joint


def _joint_trace(a: Any, b: Any, joint: Any) -> float:
    """Return the same over the cells of both variables."""
    squares = a.power(2).T.tocsr() @ b.power(2)
    squares.sort_indices()
    total = float(np.sum(squares.data / joint.data))
    return total / int(a.shape[0]) - 1


DEFINITIONS: dict[str, Definition] = {
    "personalisation": Definition(
        "Personalisation",
        "How much lists differ between users, first {k}: entropy of exposure less that of one list, in bits; 0 is one "
        "list for all.",
        "neither",
        0,
        INFINITE,
        "information",
    ),
    "history_information": Definition(
        "History in list",
        "Share of information (0 to 1) that the categories of a history and of the first {k} shown have in common.",
        "neither",
        0,
        1,
        "information",
    ),
    "history_information_null": Definition(
        "History in list, by chance",
        "The same with lists dealt out to other users: its mean and central 95 %, first {k}.",
        "neither",
        -INFINITE,
        1,
        "information",
    ),
    "history_information_p": Definition(
        "History in list, p",
        "Chance of as much common information where lists are dealt out at random, first {k}.",
        "neither",
        0,
        1,
        "information",
    ),
    "group_information": Definition(
        "Group in list",
        "How much an item shown within the first {k} tells of the user's group, in bits; 0 is nothing. Items shown to "
        "few count together.",
        "neither",
        0,
        INFINITE,
        "information",
    ),
    "group_information_null": Definition(
        "Group in list, by chance",
        "The same with groups dealt out to other users: its mean and central 95 %, first {k}.",
        "neither",
        -INFINITE,
        INFINITE,
        "information",
    ),
    "group_information_p": Definition(
        "Group in list, p",
        "Chance of as much information on the group where groups are dealt out at random, first {k}.",
        "neither",
        0,
        1,
        "information",
    ),
}
"""What each of them means."""
