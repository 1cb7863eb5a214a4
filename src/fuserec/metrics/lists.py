"""Measuring plain lists, whoever made them: no model, no dataset, no configuration.

>>> from fuserec.metrics.lists import measure_lists
>>> found = measure_lists(
...     {"ann": ["dune", "emma"], "bob": ["emma", "hamlet"]},
...     {"ann": ["emma"], "bob": ["dune"]},
...     ks=(2,),
...     history={"ann": ["hamlet"], "bob": ["ulysses"]},
... )
>>> found.means["recall@2"], found.means["coverage@2"]
(0.5, 0.75)
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from fuserec.errors import DataError, RequestError
from fuserec.metrics.families import Columns, Known, Lists, Ragged, list_columns
from fuserec.metrics.graded import GRADED
from fuserec.metrics.ranking import AT_K
from fuserec.metrics.shown import FloatArray, Space
from fuserec.metrics.targets import target_ranks
from fuserec.numerics.lists import first_repeat, lengths_of, target_places

Ids = Mapping[Any, Iterable[Any]]


@dataclass(frozen=True)
class ListMeasures:
    """What lists are worth.

    Attributes
    ----------
    columns : dict of float64 (n_users,)
        By ``name@k``: one value a user, in the order of ``users``; NaN where a user has none. Give them to
        :func:`fuserec.evaluation.statistics.intervals`, or compare two models by
        :func:`~fuserec.evaluation.statistics.paired_differences`.
    whole : dict of float
        Figures that are no mean over users.
    users : list
        Who is measured: everybody with a truth.
    """

    columns: Columns
    whole: dict[str, float]
    users: Sequence[Any]

    @cached_property
    def means(self) -> dict[str, float]:
        """Every figure by its name: the mean over the users who have a value, NaN where nobody has."""
        found = {name: float(np.nanmean(c)) if (c == c).any() else np.nan for name, c in self.columns.items()}
        return found | self.whole


def measure_lists(
    lists: Ids | npt.NDArray[np.integer],
    truth: Ids | Ragged,
    ks: Sequence[int] = (5, 10, 20),
    *,
    history: Ids | Ragged | None = None,
    catalogue: int | Sequence[Hashable] | None = None,
    categories: Mapping[Any, Iterable[Any]] | Any = None,
    vectors: Any = None,
    grades: npt.ArrayLike | None = None,
    probabilities: npt.ArrayLike | None = None,
    threads: int = 1,
) -> ListMeasures:
    """Return every metric that lists, and what is known beside them, allow.

    Lists, truth and history are either mappings from a user to item ids (any hashable ones), or arrays of item numbers
    whose row i is user i. Truth alone gives accuracy and exposure; ``history`` adds novelty, popularity and
    serendipity, ``categories`` their diversity and calibration, ``vectors`` distances. A truth that is in no list
    counts as not found, and so does everything for a user without a list.

    Parameters
    ----------
    lists : mapping of item ids, or int (n_users, width) padded with -1
        Best first. Users without truth are left out of a mapping.
    truth : mapping of item ids, or ragged (indptr (n_users + 1,), items)
        What each user went on to choose; a mapping's value may be a mapping from item to grade.
    ks : sequence of int
        Where lists are cut; beyond the end of the lists a metric sees no more.
    history : as ``truth``, optional
        What each user had before, for novelty too: the popularity of items is counted here.
    catalogue : int or sequence of ids, optional
        All items; those that are named anywhere, or up to the highest number, where it is not given.
    categories : mapping of categories by item, or (n_items, n_categories), optional
        An array or scipy sparse has its rows in the order of the catalogue.
    vectors : float (n_items, dim), optional
        An array or scipy sparse, rows in the order of the catalogue.
    grades : float (n_targets,), optional
        With a ragged truth: how much each target was liked, from 0 up.
    probabilities : float (n_users, width), optional
        With lists as an array: the predicted chance that each shown item is taken.
    threads : int

    Raises
    ------
    DataError
        Where shapes disagree, an item is outside of the catalogue, or a list names an item twice.
    RequestError
        For a k below 1.

    Examples
    --------
    Two users, lists of two; the first finds its item on place 1.

    >>> lists = np.array([[3, 1], [0, 2]])
    >>> found = measure_lists(lists, (np.array([0, 1, 2]), np.array([3, 1])), ks=(1, 2), catalogue=4)
    >>> found.means["ndcg@2"], found.columns["hit_rate@1"].tolist()
    (0.5, [1.0, 0.0])
    """
    if not ks or min(ks) < 1:
        raise RequestError(f"measure_lists: k has to be whole numbers of at least 1, got {tuple(ks)}")
    if isinstance(lists, Mapping):
        plain = grades is None and probabilities is None
        given = _numbered(lists, *_mappings(truth, history, plain), catalogue, categories)
    else:
        given = _arrays(lists, truth, history, catalogue, grades)
        given.categories = categories
    shown = Lists(given.items, given.counts, None if probabilities is None else np.asarray(probabilities))
    _no_repeats(given)
    columns, whole = list_columns(shown, ks, _known(given, vectors), threads)
    return ListMeasures(accuracy(given, ks) | columns, whole, given.users)


def _mappings(truth: Ids | Ragged, history: Ids | Ragged | None, plain: bool) -> tuple[Ids, Ids | None]:
    """Return truth and history of lists that are a mapping, or refuse other forms, and arrays beside them."""
    if not isinstance(truth, Mapping) or not (history is None or isinstance(history, Mapping)):
        raise DataError("measure_lists: where lists are a mapping, truth and history have to be mappings too")
    if not plain:
        raise DataError(
            "measure_lists: grades and probabilities go with arrays; or give truth as {user: {item: grade}}"
        )
    return truth, history


@dataclass
class _Given:
    """What was given, as arrays."""

    items: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int64]
    truth: Ragged
    history: Ragged | None
    n_items: int
    users: Sequence[Any]
    grades: FloatArray | None = None
    categories: Any = None


def accuracy(given: _Given, ks: Sequence[int]) -> Columns:
    """Return the ranking metrics of lists (n_users,), by ``name@k``."""
    starts, wanted = given.truth
    places = np.empty(len(wanted))
    target_places(given.items, given.counts, starts, wanted, places)
    ranked = target_ranks(starts, places, max(given.n_items, given.items.shape[1]), gain=given.grades)
    metrics = AT_K if given.grades is None else AT_K | GRADED
    return {f"{name}@{k}": metric(ranked, k) for k in ks for name, metric in metrics.items()}


def _known(given: _Given, vectors: Any) -> Known:
    """Return what metrics over lists may ask."""
    import scipy.sparse as sp

    facts: dict[str, Any] = {"targets": given.truth, "seen": given.history, "categories": given.categories}
    for name, table in (("vectors", vectors), ("categories", given.categories)):
        rows = given.n_items if table is None else np.shape(table)[0]
        if rows != given.n_items:
            raise DataError(
                f"measure_lists: {name} have {rows} rows, the catalogue has {given.n_items} items"
            )
    if given.history is not None:
        starts, events = given.history
        shape = (len(given.items), given.n_items)
        met = sp.csr_array((np.ones(len(events), np.float32), events, starts), shape=shape)
        met.sum_duplicates()
        met.data[:] = 1
        facts["item_users"] = np.bincount(met.indices, minlength=given.n_items)
        facts["n_users"] = max(1, int(np.count_nonzero(np.diff(met.indptr))))
        facts["users_space"] = Space.of(met.T.tocsr())
    return Known(given.n_items, space=None if vectors is None else Space.of(vectors), **facts)


def _arrays(lists: Any, truth: Any, history: Any, catalogue: Any, grades: npt.ArrayLike | None) -> _Given:
    """Check arrays of item numbers."""
    table = np.asarray(lists)
    if table.ndim != 2 or not np.issubdtype(table.dtype, np.integer):
        raise DataError(
            f"measure_lists: lists have to be a mapping or int (n_users, width), got {table.shape}"
        )
    if not (catalogue is None or isinstance(catalogue, int | np.integer)):
        raise DataError("measure_lists: where lists are an array, the catalogue is the number of items")
    table = np.ascontiguousarray(table, np.int32)
    counts = np.empty(len(table), np.int64)
    lengths_of(table, counts)
    rows = {
        name: _ragged(name, pairs, len(table))
        for name, pairs in (("truth", truth), ("history", history))
        if pairs is not None
    }
    highest = max([int(table.max(initial=-1)), *(int(items.max(initial=-1)) for _, items in rows.values())])
    n_items = highest + 1 if catalogue is None else int(catalogue)
    if highest >= n_items or min(int(items.min(initial=0)) for _, items in rows.values()) < 0:
        raise DataError(f"measure_lists: items have to be 0 to {n_items - 1}, the highest is {highest}")
    gains = None if grades is None else np.asarray(grades, np.float64)
    return _Given(table, counts, rows["truth"], rows.get("history"), n_items, range(len(table)), gains)


def _ragged(name: str, pairs: Any, n: int) -> Ragged:
    """Check ragged items of n users."""
    if not (isinstance(pairs, tuple) and len(pairs) == 2):
        raise DataError(f"measure_lists: beside lists as an array, {name} has to be (indptr, items)")
    starts, items = np.asarray(pairs[0], np.int64), np.asarray(pairs[1], np.int32)
    if len(starts) != n + 1 or starts[0] != 0 or starts[-1] != len(items) or (np.diff(starts) < 0).any():
        raise DataError(
            f"measure_lists: indptr of {name} has to rise from 0 to {len(items)} in {n + 1} steps"
        )
    return starts, items


def _numbered(lists: Ids, truth: Ids, history: Ids | None, catalogue: Any, categories: Any) -> _Given:
    """Give items numbers in the order in which they are met, or in that of the catalogue."""
    users = list(truth)
    number: dict[Any, int] = {} if catalogue is None else {item: at for at, item in enumerate(catalogue)}
    fixed = catalogue is not None

    def rows(source: Ids) -> tuple[Ragged, list[Any]]:
        found = [list(source.get(user, ())) for user in users]
        flat = [item for row in found for item in row]
        if fixed and (missing := next((item for item in flat if item not in number), None)) is not None:
            raise DataError(f"measure_lists: item {missing!r} is not in the catalogue")
        items = np.array([number.setdefault(item, len(number)) for item in flat], np.int32)
        return (np.concatenate(([0], np.cumsum([len(row) for row in found]))).astype(np.int64), items), flat

    (starts, items), _ = rows(lists)
    wanted, _ = rows(truth)
    seen = None if history is None else rows(history)[0]
    counts = np.diff(starts)
    table = np.full((len(users), max(1, int(counts.max(initial=0)))), -1, np.int32)
    table[np.arange(table.shape[1]) < counts[:, None]] = items
    graded = [isinstance(truth[user], Mapping) for user in users]
    grades = None
    if any(graded):
        if not all(graded):
            raise DataError("measure_lists: give every user of the truth grades, or none")
        grades = np.array([grade for user in users for grade in truth[user].values()], np.float64)  # type: ignore[attr-defined]
    if isinstance(categories, Mapping):
        categories = _incidence(categories, number)
    return _Given(table, counts, wanted, seen, len(number), users, grades, categories)


def _incidence(categories: Mapping[Any, Iterable[Any]], number: Mapping[Any, int]) -> Any:
    """Return CSR (n_items, n_categories) of the categories of the items that have a number."""
    import scipy.sparse as sp

    names: dict[Any, int] = {}
    pairs = [
        (number[item], names.setdefault(name, len(names)))
        for item, own in categories.items()
        if item in number
        for name in own
    ]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    shape = (len(number), max(1, len(names)))
    return sp.csr_array((np.ones(len(pairs), np.float32), (rows, columns)), shape=shape)


def _no_repeats(given: _Given) -> None:
    """Refuse a list that names an item twice: every figure of it would be wrong."""
    twice = first_repeat(given.items, given.counts, given.n_items)
    if twice >= 0:
        raise DataError(f"measure_lists: the list of user {given.users[twice]!r} names an item twice")
