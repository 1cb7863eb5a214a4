"""Configuration as declared data: one frozen, validated model a component; unknown keys name the nearest known one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from fuserec.errors import ConfigError, nearest


class Settings(BaseModel):
    """Base of every configuration; each field carries its own documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

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
            raise ConfigError(f"{where}: {key} = {first.get('input')!r}: {first['msg']}") from None


def _model_at(model: type[BaseModel], path: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model that a path of keys leads to, as far as it can be followed."""
    for key in path:
        field = model.model_fields.get(str(key))
        inner = None if field is None else field.annotation
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            break
        model = inner
    return model
