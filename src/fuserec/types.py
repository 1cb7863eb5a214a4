"""Names for the few types that cross rooms."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
"""Named arrays of a component's state, as they are stored."""

Meta = dict[str, Any]
"""The part of a component's state that JSON holds."""

State = tuple[Arrays, Meta]
