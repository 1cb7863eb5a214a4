"""The parameters of a run as flat values, without anything that looks like a secret."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fuserec.tracking.base import SCALAR

HIDDEN = "***"

_SECRET = re.compile(r"pass(word|wd|phrase)|secret|token|api_?key|access_?key|private_?key|credential", re.I)
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+@")
_SHORTEST = 8
"""Characters of a secret of the environment that is looked for in values; a shorter one would be found by chance."""


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, SCALAR]:
    """Return nested parameters as ``a.b.c`` to value: lists as JSON, what is not given left out, secrets hidden.

    A text counts as one where its key says so, where it is a password in an address, and where it holds the value of
    an environment variable whose name says so.
    """
    found: dict[str, SCALAR] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= flat(value, f"{name}.")
        elif isinstance(value, bool | int | float):
            found[name] = value
        elif value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
            found[name] = HIDDEN if _SECRET.search(str(key)) else _without_secrets(text)
    return found


def _without_secrets(text: str) -> str:
    """Hide passwords in addresses, and what the environment keeps as secret."""
    text = _IN_ADDRESS.sub(f"{HIDDEN}@", text)
    for name, value in os.environ.items():
        if len(value) >= _SHORTEST and _SECRET.search(name):
            text = text.replace(value, HIDDEN)
    return text
