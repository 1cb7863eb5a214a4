"""A figure with its interval, and a difference with all that says whether it is one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; None where there is no value, or no interval (one user, a set metric).

    Attributes
    ----------
    value, low, high : float or None
        The figure on the data as they are, and the ends of its interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A difference between two models; paired on the same users where ``above`` is given.

    Attributes
    ----------
    difference, low, high : float or None
        First less second, and its interval; None where no user has both values.
    p : float or None
        Two-sided p-value of "no difference": paired permutation (sign flips).
    users : int
        Users with both values.
    p_bootstrap : float or None
        The same of the paired bootstrap, at least 1 / (n_resamples + 1).
    p_holm : float or None
        ``p`` after Holm's correction over all comparisons of the table it stands in.
    effect : float or None
        Cohen's d_z: the mean difference in units of its standard deviation over users.
    above, below : float or None
        Shares of users for whom the first model's value is above, and below, that of the second; for the rest both
        are equal.
    detectable : float or None
        The smallest true difference that this many users would have shown at p < 0.05 four times in five.
    """

    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    users: int
    p_bootstrap: float | None = None
    p_holm: float | None = None
    effect: float | None = None
    above: float | None = None
    below: float | None = None
    detectable: float | None = None

    def turned(self) -> Difference:
        """Return second less first."""

        def negative(value: float | None) -> float | None:
            return None if value is None else -value

        return Difference(
            negative(self.difference),
            negative(self.high),
            negative(self.low),
            self.p,
            self.users,
            self.p_bootstrap,
            self.p_holm,
            negative(self.effect),
            self.below,
            self.above,
            self.detectable,
        )
