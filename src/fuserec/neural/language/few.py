"""Which of few labels are used, where labels are counted; read without PyTorch."""

from __future__ import annotations

import numpy as np

FEWEST_LABELS = 20
"""With fewer labels none is spared to judge by."""

HELD_SHARE = 5
"""One of so many labels is held out, where there are enough."""


def chosen(users: np.ndarray, hashes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return positions of the events (to train on, to judge on, whose label is not used), each ascending.

    People give their last event before anybody gives a second one, in the order of their hashes; those held out come
    first, so nobody's history tells what is held out.

    Parameters
    ----------
    users : int (n,)
        Of each event; ascending, the events of one in the order of time.
    hashes : uint64 (n,)
        Of each event's user.
    count : int
    """
    place = np.arange(users.size)
    ends = np.flatnonzero(np.append(users[1:] != users[:-1], True)) if users.size else place
    back = ends[np.searchsorted(ends, place)] - place if users.size else place
    order = np.lexsort((hashes, back))
    held = min(count, order.size) // HELD_SHARE if count >= FEWEST_LABELS else 0
    return np.sort(order[held:count]), np.sort(order[:held]), np.sort(order[count:])
