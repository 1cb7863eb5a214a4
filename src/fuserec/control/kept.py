"""The dials that users have set, as part of a model folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from fuserec.control.controls import Controls

if TYPE_CHECKING:
    from fuserec.types import State


def kept_state(kept: Mapping[str, Controls]) -> State:
    """Return the dials of all users as arrays and JSON: they stand in an array, since there may be many."""
    told = {user: controls.model_dump(mode="json", exclude_unset=True) for user, controls in kept.items()}
    data = json.dumps(told, ensure_ascii=False).encode("utf-8")
    return {"json": np.frombuffer(data, np.uint8)}, {"users": len(told)}


def kept_from_state(state: State) -> dict[str, Controls]:
    """Return what :func:`kept_state` wrote."""
    told = json.loads(state[0]["json"].tobytes().decode("utf-8"))
    return {user: Controls.parse(own, f"controls of {user!r}") for user, own in told.items()}
