"""Pure metric functions over ranks, ratings and lists, and what each metric means.

A new metric is: one function in the file of its family, one line in that file's table where it has one, one
:class:`Definition` in that file's ``DEFINITIONS``, and a test against a hand-computed case and an independent
implementation.
"""

from __future__ import annotations

from dataclasses import replace

from fuserec.errors import RequestError, nearest
from fuserec.metrics import (
    aims,
    beyond,
    calibration,
    concentration,
    debiased,
    diversity,
    ethics,
    fairness,
    graded,
    information,
    outcomes,
    probability,
    ranking,
    rating,
    serendipity,
    stability,
    text,
)
from fuserec.metrics.definitions import Definition

__all__ = ["DEFINITIONS", "Definition", "base_name", "definition", "name_and_k"]

DEFINITIONS: dict[str, Definition] = (
    ranking.DEFINITIONS
    | graded.DEFINITIONS
    | debiased.DEFINITIONS
    | rating.DEFINITIONS
    | probability.DEFINITIONS
    | beyond.DEFINITIONS
    | diversity.DEFINITIONS
    | serendipity.DEFINITIONS
    | concentration.DEFINITIONS
    | calibration.DEFINITIONS
    | outcomes.DEFINITIONS
    | fairness.DEFINITIONS
    | information.DEFINITIONS
    | ethics.DEFINITIONS
    | stability.DEFINITIONS
    | text.DEFINITIONS
    | aims.DEFINITIONS
)
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


def base_name(metric: str) -> str:
    """Return the name that a metric is defined under: without its k, and without the column that it is measured by.

    Examples
    --------
    >>> base_name("group_gap:gender@10")
    'group_gap'
    """
    return name_and_k(metric)[0].partition(":")[0]


def definition(metric: str) -> Definition:
    """Return what a result's name such as ``ndcg@10`` or ``group_gap:gender@10`` means.

    Raises
    ------
    RequestError
        If there is no such metric.
    """
    name, _, column = name_and_k(metric)[0].partition(":")
    if name not in DEFINITIONS:
        known = ", ".join(DEFINITIONS)
        raise RequestError(f"unknown metric {name!r}{nearest(name, DEFINITIONS)}; known are {known}")
    found = DEFINITIONS[name]
    return replace(found, title=f"{found.title} ({column})") if column else found
