"""Pure metric functions over ranks, ratings and lists, and what each metric means.

A new metric is: one function in the file of its family, one line in that file's table where it has one, one
:class:`Definition` below, and a test against a hand-computed case and an independent implementation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fuserec.errors import RequestError, nearest


@dataclass(frozen=True)
class Definition:
    """What a metric measures, in words for a reader of the report.

    Attributes
    ----------
    title : str
        How tables name it, without its k.
    meaning : str
        One sentence; ``{k}`` stands for the cut.
    better : {"higher", "lower", "neither"}
        Direction; ``neither`` where more is a matter of taste.
    low, high : float
        Range of its values.
    family : {"accuracy", "rating", "beyond"}
        Where tables put it.
    """

    title: str
    meaning: str
    better: Literal["higher", "lower", "neither"]
    low: float
    high: float
    family: Literal["accuracy", "rating", "beyond"]


_INFINITE = float("inf")

DEFINITIONS: dict[str, Definition] = {
    "ndcg": Definition(
        "NDCG",
        "How near to the top the right items stand within the first {k}; lower places count less.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "recall": Definition(
        "Recall", "Share of a user's right items that are within the first {k}.", "higher", 0, 1, "accuracy"
    ),
    "hit_rate": Definition(
        "Hit rate",
        "Share of users with at least one right item within the first {k}.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "precision": Definition(
        "Precision", "Share of the first {k} places taken by right items.", "higher", 0, 1, "accuracy"
    ),
    "mrr": Definition(
        "MRR",
        "One over the place of the first right item (0 beyond the first {k}), averaged over users.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "map": Definition(
        "MAP",
        "Precision at the place of each right item within the first {k}, averaged over all right items.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "auc": Definition(
        "AUC",
        "Chance that a right item is ranked above any other item of the catalogue; 0.5 is chance.",
        "higher",
        0,
        1,
        "accuracy",
    ),
    "rmse": Definition(
        "RMSE",
        "Root of the mean squared error of predicted ratings, on the ratings' own scale.",
        "lower",
        0,
        _INFINITE,
        "rating",
    ),
    "mae": Definition(
        "MAE",
        "Mean absolute error of predicted ratings, on the ratings' own scale.",
        "lower",
        0,
        _INFINITE,
        "rating",
    ),
    "coverage": Definition(
        "Coverage",
        "Share of the catalogue that appears within the first {k} of at least one list.",
        "higher",
        0,
        1,
        "beyond",
    ),
    "ild": Definition(
        "Diversity",
        "Mean distance (1 - cosine of their vectors) between the items of one list, first {k}.",
        "neither",
        0,
        2,
        "beyond",
    ),
    "novelty": Definition(
        "Novelty",
        "How rare the shown items are, first {k}: -log2 of the share of users who know the item, in bits.",
        "neither",
        0,
        _INFINITE,
        "beyond",
    ),
}
"""Every metric by the name that results carry before the ``@``, in the order of tables."""


def name_and_k(metric: str) -> tuple[str, int | None]:
    """Split a result's name into metric and k.

    Raises
    ------
    RequestError
        If the part after ``@`` is not a whole number of at least 1.

    Examples
    --------
    >>> name_and_k("recall@10"), name_and_k("auc")
    (('recall', 10), ('auc', None))
    """
    name, mark, cut = metric.partition("@")
    if not mark:
        return name, None
    if not (cut.isascii() and cut.isdigit() and int(cut) >= 1):
        raise RequestError(f"metric {metric!r}: after @ stands a whole number of at least 1, as in {name}@10")
    return name, int(cut)


def definition(metric: str) -> Definition:
    """Return what a result's name such as ``ndcg@10`` means.

    Raises
    ------
    RequestError
        If there is no such metric.
    """
    name, _ = name_and_k(metric)
    if name not in DEFINITIONS:
        known = ", ".join(DEFINITIONS)
        raise RequestError(f"unknown metric {name!r}{nearest(name, DEFINITIONS)}; known are {known}")
    return DEFINITIONS[name]
