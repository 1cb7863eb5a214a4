"""Configuration as declared data: one frozen, validated model a component; unknown keys name the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticCustomError

from fuserec.errors import ConfigError, nearest

TABLES = frozenset({"dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type"})
"""Faults of a value that stands where a table has to stand."""

COMBINATION = "combination"
"""Type of the error of :func:`combination`."""


def combination(message: str) -> PydanticCustomError:
    """Return what a validator raises where values that are allowed one by one do not go together."""
    return PydanticCustomError(COMBINATION, "{message}", {"message": message})


class Settings(BaseModel):
    """Base of every configuration; each field carries its own documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str) -> Self:
        """Validate a mapping read from a file or a call.

        Parameters
        ----------
        values : mapping
            Keys and values as they came.
        where : str
            Names the place in the error, e.g. ``"[scorers.ease]"``.

        Raises
        ------
        ConfigError
            For an unknown key (naming the nearest known one) or a value that is not allowed.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"]) or "value"
            if first["type"] == "extra_forbidden":
                known = sorted(_model_at(cls, first["loc"][:-1]).model_fields)
                hint = nearest(str(first["loc"][-1]), known)
                raise ConfigError(f"{where}: unknown key {key!r}{hint} (known: {', '.join(known)})") from None
            if first["type"] == COMBINATION:
                place = f"{where}: {key}" if first["loc"] else where
                raise ConfigError(f"{place}: {first['msg']}") from None
            if first["type"] in TABLES and first["loc"]:
                inner = first.get("input")
                named = isinstance(inner, list) and inner and isinstance(inner[0], str)
                head = f"{key}.{inner[0]}" if named else key
                raise ConfigError(
                    f"{where}: {key} = {inner!r}: has to be a table: write [{head}] and its settings below"
                ) from None
            if first["type"] == "value_error":
                # of a validator of ours: it says all, and where it is about several keys it has no value
                said = first["msg"].removeprefix("Value error, ")
                place = f"{where}: {key} = {first.get('input')!r}" if first["loc"] else where
                raise ConfigError(f"{place}: {said}") from None
            hint = _nearest_allowed(cls, first["loc"], first.get("input"))
            raise ConfigError(f"{where}: {key} = {first.get('input')!r}: {first['msg']}{hint}") from None


def _nearest_allowed(model: type[BaseModel], path: tuple[int | str, ...], value: object) -> str:
    """Return the nearest of the words that a key takes, where it takes some only."""
    field = _model_at(model, path[:-1]).model_fields.get(str(path[-1])) if path else None
    words = [] if field is None or get_origin(field.annotation) is not Literal else get_args(field.annotation)
    return nearest(value, map(str, words)) if isinstance(value, str) else ""


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model that a path of keys leads to, as far as it can be followed."""
    for key in path:
        field = model.model_fields.get(str(key))
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model
