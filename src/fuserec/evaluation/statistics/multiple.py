"""Many comparisons at once: the correction that keeps the chance of any false alarm at the level stated."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fuserec.evaluation.statistics.values import FloatArray


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjust p-values for their number: float64 (n,), NaN where there is none.

    Holm's step-down method (Holm 1979, A simple sequentially rejective multiple test procedure): rejecting what is at
    most 0.05 after it leaves a chance of at most 5 % of any false rejection, however the tests depend on each other.

    Parameters
    ----------
    p_values : float (n,)
        NaN for a comparison that was not tested: it does not count.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03, 0.005]).tolist()
    [0.03, 0.06, 0.06, 0.02]
    """
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(order.size, 0, -1)), 1)
    return adjusted
