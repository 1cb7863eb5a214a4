"""JSON files of a language model's folder, written by others: what is not of the right shape is named in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fuserec.encoders.base import WeightsError


def own_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that we wrote; one that is absent or damaged is empty."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_json(path: Path, default: Any = None) -> Any:
    """Read a JSON object (or list, as the default is); a file that is missing gives the default, if there is one."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as absent:
        if default is not None:
            return default
        raise WeightsError(
            f"{path.parent} has no {path.name}: it is not a complete sentence-transformers folder"
        ) from absent
    except (OSError, ValueError, RecursionError) as fault:
        raise WeightsError(f"{path} cannot be read ({fault}): fetch the model again") from fault
    if not isinstance(content, dict if default is None else type(default)):
        raise WeightsError(
            f"{path} holds a {type(content).__name__} where such a file has a table or a list: fetch the model again"
        )
    return content


def whole(told: Mapping[str, Any], key: str, default: int, path: Path) -> int:
    """Return a size that a file of a model's folder tells; the default where it tells none."""
    value = default if told.get(key) is None else told[key]
    if not isinstance(value, int) or not 0 <= value < 2**31:
        raise WeightsError(f"{path}: {key} = {value!r:.40} is no size: fetch the model again")
    return value
