"""Conditions on who asks: columns of users and circumstances of a request."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from fuserec.errors import ConfigError, nearest

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def check_conditions(conditions: Mapping[str, Any], where: str) -> None:
    """Refuse conditions that can never be judged.

    Raises
    ------
    ConfigError
        For an unknown comparison, or one with something that is not a number.
    """
    for key, condition in conditions.items():
        if not isinstance(condition, Mapping):
            continue
        if not condition:
            raise ConfigError(f'{where} {key}: an empty comparison; write {{ "<" = 18 }}')
        for sign, value in condition.items():
            if sign not in COMPARISONS:
                known = ", ".join(COMPARISONS)
                raise ConfigError(
                    f"{where} {key}: unknown comparison {sign!r}{nearest(sign, COMPARISONS)} (known: {known})"
                )
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{where} {key} {sign} {value!r}: compare with a number")


def holds(context: Mapping[str, Any], conditions: Mapping[str, Any], unknown: bool) -> bool:
    """Return whether any condition holds of a context.

    Parameters
    ----------
    context : mapping
        What is known of who asks.
    conditions : mapping
        Key to a value, a list of values, or comparisons that all have to hold.
    unknown : bool
        What a key that the context lacks, or a text where a number is compared, counts as.
    """
    return any(_one(context.get(key), condition, unknown) for key, condition in conditions.items())


def _one(found: Any, condition: Any, unknown: bool) -> bool:
    """Return whether one condition holds of a value."""
    if found is None or found == "":
        return unknown
    if isinstance(condition, Mapping):
        try:
            number = float(found)
        except (TypeError, ValueError):
            return unknown
        return number == number and all(COMPARISONS[sign](number, value) for sign, value in condition.items())
    wanted = condition if isinstance(condition, list | tuple | set) else [condition]
    values = found if isinstance(found, list | tuple | set) else [found]
    return bool({_text(value) for value in wanted} & {_text(value) for value in values})


def _text(value: Any) -> str:
    """Return a value as conditions compare it: 18 and 18.0 are one, as are True and true."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
