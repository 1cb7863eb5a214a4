"""Configurations as TOML: what the standard library reads, it does not write."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fuserec.errors import ConfigError

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml(values: Mapping[str, Any]) -> str:
    """Return a TOML document of nested mappings.

    Raises
    ------
    ConfigError
        For a value that TOML has no form for, such as None.
    """
    return "\n".join(_table(values, ())).lstrip("\n") + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: its own keys, then the tables within, an empty one too."""
    own = {key: value for key, value in values.items() if not isinstance(value, Mapping)}
    if path and (own or len(own) == len(values)):
        yield f"\n[{'.'.join(_key(part) for part in path)}]"
    for key, value in own.items():
        yield f"{_key(key)} = {_value(value, (*path, key))}"
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _table(value, (*path, key))


def _key(key: str) -> str:
    """Return a key, in quotes where it needs them."""
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any, path: tuple[str, ...]) -> str:
    """Return a value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)  # nan, inf and -inf are TOML's words too
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(one, path) for one in value)}]"
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_key(key)} = {_value(one, (*path, key))}" for key, one in value.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    raise ConfigError(f"{'.'.join(path)} = {value!r} cannot be written as TOML")


def _text(text: str) -> str:
    """Return a basic string: JSON's escapes are TOML's, but for DEL, which TOML wants escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
