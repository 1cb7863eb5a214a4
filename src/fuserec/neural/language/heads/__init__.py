"""What one encoder is taught at once: heads, one file each. A new head is a new file here that names ``HEAD``."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from fuserec.errors import ConfigError, nearest

if TYPE_CHECKING:
    from fuserec.neural.language.heads.base import Head


def known_heads() -> tuple[str, ...]:
    """Return the names of the heads: those of the files here; nothing is imported."""
    return tuple(sorted(found.name for found in iter_modules(__path__) if found.name != "base"))


def head_class(name: str) -> type[Head]:
    """Return the class of a named head.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known one.
    """
    if name not in known_heads():
        raise ConfigError(
            f"unknown head {name!r}{nearest(name, known_heads())} (known: {', '.join(known_heads())})"
        )
    found: type[Head] = import_module(f"fuserec.neural.language.heads.{name}").HEAD
    return found
