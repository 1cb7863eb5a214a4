"""Users and items with impossible counts or speed, and the k-core."""

from __future__ import annotations

import numpy as np
import polars as pl

from fuserec.data.check import Findings
from fuserec.data.cleaning.events import NO_ITEM, Events

LEAST_OUTLIER = 1_000
"""Interactions below which nobody is an outlier by count."""

TIMES_TYPICAL = 100
"""How many times the 99th percentile of counts an outlier has."""

LARGEST_BURST = 100
"""Events that one person can set off in the same second (a page of ratings sent at once has some dozens)."""


def outliers(events: Events, drop: bool, findings: Findings) -> pl.DataFrame:
    """Return the rows, without those of users and items with impossible counts or speed if ``drop`` is set.

    By default they are only named: a library's best seller or its busiest reader may well be real.
    """
    frame, users, items = events.frame, events.users, events.items
    user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
    checks = (
        ("user with an impossible number of interactions", users, user, _by_count(user, users.len())),
        ("item with an impossible number of interactions", items, item, _by_count(item, items.len())),
        (f"user with over {LARGEST_BURST} events in a second", users, user, _by_speed(frame, users.len())),
    )
    bad = np.zeros(frame.height, dtype=bool)
    for reason, names, codes, found in checks:
        if found.size == 0:
            continue
        rows = np.isin(codes, found) & ~bad
        example = f"{names[int(found[0])]}: {int((codes == found[0]).sum()):,} interactions"
        if drop:
            findings.add("dropped", f"interaction of a {reason}", int(rows.sum()), "interactions", example)
        else:
            findings.add("noted", f"{reason}, kept", found.size, "interactions", example)
        bad |= rows
    return frame.filter(pl.Series(~bad)) if drop and bad.any() else frame


def _by_count(codes: np.ndarray, n: int) -> np.ndarray:
    """Return the codes with far more rows than is usual."""
    counts = np.bincount(codes[codes >= 0], minlength=n)
    active = counts[counts > 0]
    if active.size == 0:
        return np.empty(0, np.int64)
    typical = float(np.percentile(active, 99.0))
    return np.flatnonzero((counts > LEAST_OUTLIER) & (counts > TIMES_TYPICAL * typical))


def _by_speed(frame: pl.DataFrame, n: int) -> np.ndarray:
    """Return the users with more events in one second than a person can set off.

    Where most times are whole minutes or days, equal times say nothing about speed.
    """
    user, time = frame["user"].to_numpy(), frame["time"].to_numpy()
    busy = (np.bincount(user, minlength=n) > LARGEST_BURST)[user] & np.isfinite(time)
    if not busy.any() or np.mean(time[busy] % 60.0 == 0.0) > 0.5:
        return np.empty(0, np.int64)
    part = frame.filter(pl.Series(busy)).select("user", pl.col("time").floor())
    bursts = part.group_by("user", "time").len().filter(pl.col("len") > LARGEST_BURST)
    return np.unique(bursts["user"].to_numpy()).astype(np.int64)


def k_core(frame: pl.DataFrame, n_users: int, n_items: int, k: int, findings: Findings) -> pl.DataFrame:
    """Return the rows of the k-core: every user and item left has at least ``k`` of them.

    Searches stay with the users that stay. A pair that occurs several times counts as often.
    """
    user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
    pairs = item != NO_ITEM
    keep = pairs.copy()
    while True:
        enough_users = np.bincount(user[keep], minlength=n_users) >= k
        enough_items = np.bincount(item[keep], minlength=n_items) >= k
        kept = keep & enough_users[user] & np.where(pairs, enough_items[item], False)
        if kept.sum() == keep.sum():
            break
        keep = kept
    lost = int(pairs.sum() - keep.sum())
    findings.add(
        "dropped",
        f"outside the {k}-core",
        lost,
        "interactions",
        f"{lost:,} of {int(pairs.sum()):,} interactions",
    )
    left = np.bincount(user[keep], minlength=n_users) > 0
    return frame.filter(pl.Series(keep | (~pairs & left[user])))
