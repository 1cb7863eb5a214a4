"""What scores mean: evidence that sums and is exact, order, whose rows are read, and a plain recomputation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fuserec.data.query import QueryBatch
from fuserec.scorers.base import Evidence
from fuserec.testing.form import odd_queries, require_same
from fuserec.testing.planted import ring_dataset
from fuserec.testing.subject import Subject, require, require_close

SUM_TOLERANCE = 1e-4
EXACT_TOLERANCE = 2e-5


def evidence_sums_to_the_score(subject: Subject) -> None:
    """For every query and candidate |Σ rows − score| ≤ 1e-4·max(1, |score|), and rows name the query's own items."""
    candidates = np.array([0, 3, *subject.cold[:1], *subject.cold[-1:], 17])
    for q in (subject.queries, subject.rich, *odd_queries(subject).values()):
        items = np.tile(candidates, (len(q), 1))
        scores, found = subject.fitted.score(q, items), subject.fitted.evidence(q, items)
        require(
            [len(rows) for rows in found] == [items.shape[1]] * len(q),
            "evidence for every query and candidate",
        )
        for row in range(len(q)):
            history = set(q.items[q.indptr[row] : q.indptr[row + 1]].tolist())
            for column in np.flatnonzero(scores.answered[row]):
                _require_cell(subject, found[row][column], float(scores.values[row, column]), history)


def _require_cell(subject: Subject, rows: list[Evidence], score: float, history: set[int]) -> None:
    """Check the rows of one score."""
    total = sum(row.contribution for row in rows)
    require(
        abs(total - score) <= SUM_TOLERANCE * max(1.0, abs(score)),
        f"evidence sums to {total}, the score is {score}",
    )
    names = {subject.fitted.name, *getattr(subject.fitted, "parts", ())}
    for row in rows:
        require(row.scorer in names, f"evidence names {row.scorer!r}, which is none of {sorted(names)}")
        require(
            row.kind != "item" or row.key in history, f"evidence names item {row.key!r}, not of this history"
        )
    if subject.scorer.capabilities.evidence == "exact" and not hasattr(subject.fitted, "parts"):
        require(all(row.method == "exact" for row in rows), "an exact scorer has exact rows only")


def exact_evidence_is_exact(subject: Subject) -> None:
    """Where rows say ``exact``, setting one history weight to zero changes the score by exactly that item's row."""
    capabilities = subject.scorer.capabilities
    if capabilities.evidence != "exact" or "history" not in capabilities.answers:
        return
    q, fitted, checked = subject.rich, subject.fitted, 0
    unseen = np.setdiff1d(subject.warm, q.items)[:8]
    items = np.tile(unseen, (len(q), 1))
    scores, found = fitted.score(q, items).values.astype(np.float64), fitted.evidence(q, items)
    for place in range(int(q.lengths[0])):
        weights = q.weights.copy()
        weights[q.indptr[:-1] + place] = 0.0
        change = scores - fitted.score(q.with_weights(weights), items).values
        for row, column in np.ndindex(*items.shape):
            cell, key = found[row][column], int(q.items[q.indptr[row] + place])
            if any(part.method != "exact" for part in cell):
                continue  # a fusion of other parts: theirs are attributions
            told = sum(part.contribution for part in cell if part.kind == "item" and part.key == key)
            limit = EXACT_TOLERANCE * max(1.0, float(abs(scores[row, column])))
            require(
                abs(change[row, column] - told) <= limit,
                f"without item {key} the score changes by {change[row, column]}, its row says {told}",
            )
            checked += bool(told)
    require(checked > 0 or hasattr(fitted, "parts"), "no history item has a row of evidence")


def equals_its_definition(subject: Subject) -> None:
    """Scores equal a slow, plain computation of what the docstring says, where there is one."""
    if subject.oracle is None:
        return
    for q in (subject.queries, subject.rich):
        found = subject.fitted.score(q)
        wanted = subject.oracle(subject.fitted, subject.dataset, subject.features, q)
        answered = found.answered
        require_close(found.values[answered], wanted[answered], "its definition", rtol=1e-4)


def users_are_only_left_out(subject: Subject) -> None:
    """Who asks changes nothing, unless queries are compared with stored users: then that row alone is left out."""
    if hasattr(subject.fitted, "parts"):
        return  # its parts keep this promise
    anonymous = replace(subject.queries, users=np.full(len(subject.queries), -1, np.int32))
    named, unnamed = subject.fitted.score(subject.queries), subject.fitted.score(anonymous)
    if not np.array_equal(named.values, unnamed.values):
        own_row_is_left_out(subject)


def own_row_is_left_out(subject: Subject) -> None:
    """For scorers that compare a query with stored users: a known asker's own row does not answer.

    Not among the checks that all scorers pass: call it for a scorer of that kind.
    """
    rows = subject.dataset.interactions
    for user in (8, 20, 33):
        q = subject.dataset.queries(np.array([user]))
        found = subject.fitted.score(q)
        stranger = replace(q, users=np.array([-1], np.int32))
        require(
            not np.array_equal(found.values, subject.fitted.score(stranger).values),
            f"the row of user {user} is not left out when this user asks",
        )
        without = subject.scorer.fit(
            subject.dataset.with_rows(rows.user != user), subject.features, subject.run
        )
        wanted = without.score(stranger)
        both = wanted.answered & found.answered
        require_close(found.values[both], wanted.values[both], f"user {user}, as if never stored")


def order_counts_where_it_is_needed(subject: Subject) -> None:
    """Scorers that need order say what comes next, not what came before, and hear the newest event best."""
    if "order" not in subject.scorer.capabilities.needs:
        return
    ring = subject.given(dataset=ring_dataset())
    n = ring.dataset.n_items
    here = np.arange(n)
    scores = ring.fitted.score(QueryBatch.of_histories(list(here[:, None]))).values
    forward, backward = scores[here, (here + 1) % n], scores[here, (here - 1) % n]
    require(bool((forward > backward).all()), "after item i people take i + 1, the scorer says i - 1 as well")
    far = (here + n // 2) % n
    newest = ring.fitted.score(QueryBatch.of_histories(list(np.stack([far, here], axis=1)))).values
    oldest = ring.fitted.score(QueryBatch.of_histories(list(np.stack([here, far], axis=1)))).values
    said, heard = oldest[here, (here + 1) % n], newest[here, (here + 1) % n]
    # Nobody has jumped across the ring: what was learnt by gradient steps may be wrong about a jump or two.
    least = 0.75 if subject.scorer.capabilities.trained else 1.0
    require(float((heard > said).mean()) >= least, "the newest event of a history does not count most")


__all__ = [
    "equals_its_definition",
    "evidence_sums_to_the_score",
    "exact_evidence_is_exact",
    "order_counts_where_it_is_needed",
    "own_row_is_left_out",
    "require_same",
    "users_are_only_left_out",
]
