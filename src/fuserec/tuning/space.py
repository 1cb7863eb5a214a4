"""What may be searched: an axis for each hyperparameter, read off its declaration or given in a table.

A field that declares both of its ends, a share for example, is searched between them; another number around its
present value, from an eighth to eight times it, on a logarithmic scale. A scorer says otherwise in the declaration
itself, ``json_schema_extra={"tune": False}`` (or a range, or choices), a user in the table ``[tune.PART]``.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic.fields import FieldInfo

from fuserec.errors import ConfigError, nearest
from fuserec.settings import Settings

FACTOR = 8
"""A number without ends is searched from its value / FACTOR to its value · FACTOR."""

DECADES = 100
"""A range whose ends are further apart than this is searched on a logarithmic scale."""


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both allowed."""

    low: float
    high: float
    log: bool
    whole: bool

    def holds(self, value: Any) -> bool:
        """Return whether a value lies within."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def nice(self, value: float) -> float:
        """Return a value as it is tried and written: four significant digits, within the range."""
        return int(value) if self.whole else min(max(float(f"{value:.4g}"), self.low), self.high)


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Return whether a value is among them."""
        return any(value == one and type(value) is type(one) for one in self.values)

    def nice(self, value: Any) -> Any:
        """Return the value."""
        return value


Axis = Range | Choices
Space = dict[str, Axis]


def space_of(base: Settings, table: Mapping[str, Any], where: str) -> Space:
    """Return the axes of a configuration: the derived ones, and those that a table gives instead.

    Parameters
    ----------
    base : Settings
        The present values.
    table : mapping
        Field to ``[low, high]``, ``{"choices": [...]}``, or False, which leaves the field as it is.
    where : str
        Names the table in errors, e.g. ``"[tune.als]"``.

    Raises
    ------
    ConfigError
        For an unknown field, or a range that its declaration does not allow.
    """
    fields = type(base).model_fields
    for name in table:
        if name not in fields:
            raise ConfigError(
                f"{where}: unknown hyperparameter {name!r}{nearest(name, fields)} (known: {', '.join(fields)})"
            )
    found: Space = {}
    for name, field in fields.items():
        said = table.get(name, _declared(field))
        if said is False:
            continue
        axis = derived(field, getattr(base, name)) if said is None else _given(base, name, said, where)
        if axis is not None:
            found[name] = axis
    return found


def _declared(field: FieldInfo) -> Any:
    """Return what the declaration of a field says of tuning; None: nothing."""
    extra = field.json_schema_extra
    return extra.get("tune") if isinstance(extra, dict) else None


def derived(field: FieldInfo, value: Any) -> Axis | None:
    """Return the axis that a declaration implies, or None where it implies none."""
    annotation = _present(field.annotation)
    if annotation is bool:
        return Choices((False, True))
    if typing.get_origin(annotation) is Literal:
        return Choices(typing.get_args(annotation))
    if annotation not in (int, float) or not isinstance(value, int | float):
        return None
    limits = _limits(field)
    return _around(limits, value) if annotation is int else _between(limits, value) or _around(limits, value)


def _present(annotation: Any) -> Any:
    """Return the type of a field when it is given: T of ``T | None``."""
    inner = [part for part in typing.get_args(annotation) if part is not type(None)]
    optional = type(None) in typing.get_args(annotation) and len(inner) == 1
    return inner[0] if optional else annotation


def _limits(field: FieldInfo) -> dict[str, float]:
    """Return what a declaration allows: ``ge``, ``gt``, ``le`` and ``lt`` as far as it has them."""
    return {
        key: getattr(each, key)
        for each in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if hasattr(each, key)
    }


def _between(limits: Mapping[str, float], value: float) -> Range | None:
    """Return the range of a share or an exponent: both ends declared, and a measure for its value.

    An end that is itself not allowed moves in by a hundredth.
    """
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is None or high is None or not low < high:
        return None
    if high / low > DECADES if low > 0 else 0 < value < high / DECADES:
        return None
    step = (high - low) / 100
    return Range(low + step * ("gt" in limits), high - step * ("lt" in limits), False, False)


def _around(limits: Mapping[str, float], value: float) -> Range | None:
    """Return the range around a value; None around zero, of which nobody knows the scale."""
    if value <= 0:
        return None
    whole = isinstance(value, int)
    bottom, top = value / FACTOR, value * FACTOR
    if whole:
        bottom, top = max(1, round(bottom)), round(top)
    bottom = max(bottom, limits.get("ge", limits.get("gt", bottom)))
    top = min(top, limits.get("le", limits.get("lt", top)))
    return Range(bottom, top, True, whole) if 0 < bottom < top else None


def _given(base: Settings, name: str, said: Any, where: str) -> Axis:
    """Return the axis that a table gives."""
    table, where = where, f"{where} {name}"
    if isinstance(said, Mapping):
        values = said.get("choices")
        if (
            set(said) != {"choices"}
            or not isinstance(values, Sequence)
            or isinstance(values, str)
            or not values
        ):
            raise ConfigError(
                f"{where} = {dict(said)!r}: write {{ choices = [...] }} with at least one value"
            )
        for value in values:
            _allowed(base, name, value, table)
        return Choices(tuple(values))
    numbers = list(said) if isinstance(said, list | tuple) else []
    if len(numbers) != 2 or any(isinstance(x, bool) or not isinstance(x, int | float) for x in numbers):
        raise ConfigError(
            f"{where} = {said!r}: write [low, high], {{ choices = [...] }}, or false to leave it as it is"
        )
    low, high = numbers
    if not low < high:
        raise ConfigError(f"{where} = [{low}, {high}]: the first number has to be below the second")
    for value in (low, high):
        _allowed(base, name, value, table)
    whole = _present(type(base).model_fields[name].annotation) is int
    if not whole and _present(type(base).model_fields[name].annotation) is not float:
        raise ConfigError(f"{where} = [{low}, {high}]: not a number; write {{ choices = [...] }}")
    return Range(low, high, low > 0 and high / low > DECADES, whole)


def _allowed(base: Settings, name: str, value: Any, where: str) -> None:
    """Refuse a value that the declaration of the field does not allow."""
    type(base).parse({**base.model_dump(), name: value}, where)
