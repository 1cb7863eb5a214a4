"""``dataset.toml``: what a dataset folder says of itself, validated."""

from __future__ import annotations

import json
import math
import tomllib
from pathlib import Path

from pydantic import Field

from fuserec.data.check import Findings
from fuserec.data.dataset import DatasetInfo
from fuserec.data.encoding import to_utf8
from fuserec.data.packed import read_bytes
from fuserec.data.weights import DEFAULT_WEIGHTS, kind_weights
from fuserec.errors import ConfigError, nearest
from fuserec.settings import Settings

_ROLES: dict[str, tuple[str, ...]] = {
    "interactions": ("user_id", "item_id", "rating", "timestamp", "kind", "value", "text", "split"),
    "items": ("item_id", "title", "description", "categories", "brand", "tags", "image"),
    "users": ("user_id", "text", "tags"),
    "links": ("head", "relation", "tail"),
    "impressions": ("request_id", "user_id", "item_id", "position", "propensity", "reward", "timestamp"),
}


class FolderSettings(Settings):
    """The keys of ``dataset.toml``."""

    name: str = Field(
        default="", description="Name of the dataset; that of its folder where it is not given."
    )
    licence: str = Field(default="", description="Terms under which it may be used.")
    note: str = Field(default="", description="Anything a reader should know.")
    simulated: bool = Field(
        default=False, description="The behaviour was made by a program; shown wherever the data is."
    )
    rating_scale: tuple[float, float] | None = Field(
        default=None,
        description="Lowest and highest rating; ratings outside are dropped. Found from the data if absent.",
    )
    repeats: bool = Field(
        default=False,
        description="Rows are ordered events: an equal row without a time is no duplicate.",
    )
    weights: dict[str, float] = Field(default_factory=dict, description="Weight of each kind of behaviour.")
    columns: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description="Roles of columns by table: [columns.interactions] user_id = 'reader'.",
    )

    def info(self, name: str) -> DatasetInfo:
        """Return what the Dataset carries on."""
        return DatasetInfo(
            name=self.name or name,
            licence=self.licence,
            note=self.note,
            simulated=self.simulated,
            rating_scale=self.rating_scale,
            weights=kind_weights(self.weights),
        )

    def roles(self, table: str) -> dict[str, str]:
        """Return the column that plays each role in a table, where the file names one."""
        return self.columns.get(table, {})


def read_settings(path: Path | None) -> FolderSettings:
    """Return the settings of a dataset folder; the defaults where it has no ``dataset.toml``.

    Raises
    ------
    ConfigError
        For a file that is not TOML, an unknown key, role or kind, or a value that is not allowed.
    """
    if path is None:
        return FolderSettings()
    text = to_utf8(read_bytes(path), path.name, Findings()).decode("utf-8")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from None
    except RecursionError:
        raise ConfigError(f"{path}: not valid TOML (nested too deeply)") from None
    settings = FolderSettings.parse(values, str(path))
    _check(settings, path)
    return settings


def _check(settings: FolderSettings, path: Path) -> None:
    """Refuse what types alone let pass: unknown tables and roles, an empty scale."""
    for table, roles in settings.columns.items():
        if table not in _ROLES:
            raise ConfigError(
                f"{path}: [columns.{table}]: unknown table{nearest(table, _ROLES)} "
                f"(known: {', '.join(_ROLES)})"
            )
        for role in roles:
            # Items and users may rename any column, so only the other tables have a closed list.
            if role not in _ROLES[table] and table not in ("items", "users"):
                known = ", ".join(_ROLES[table])
                raise ConfigError(
                    f"{path}: [columns.{table}]: unknown role {role!r}{nearest(role, _ROLES[table])} "
                    f"(known: {known})"
                )
    scale = settings.rating_scale
    if scale is not None and not (
        math.isfinite(scale[0]) and math.isfinite(scale[1]) and scale[0] < scale[1]
    ):
        raise ConfigError(
            f"{path}: rating_scale = {list(scale)}: expected [lowest, highest], the first below the second"
        )
    kind_weights(settings.weights)


def written(info: DatasetInfo, repeats: bool) -> str:
    """Return the text of a ``dataset.toml`` that reads back as this."""
    lines = [f"name = {_string(info.name)}"]
    lines += [f"{key} = {_string(getattr(info, key))}" for key in ("licence", "note") if getattr(info, key)]
    if info.simulated:
        lines.append("simulated = true")
    if info.rating_scale is not None:
        lines.append(f"rating_scale = [{info.rating_scale[0]!r}, {info.rating_scale[1]!r}]")
    if repeats:
        lines.append("repeats = true  # rows are ordered events: an equal row is an event of its own")
    own = {kind: weight for kind, weight in info.weights.items() if weight != DEFAULT_WEIGHTS.get(kind)}
    if own:
        lines += ["", "[weights]", *(f"{kind} = {float(weight)!r}" for kind, weight in own.items())]
    return "\n".join(lines) + "\n"


def _string(text: str) -> str:
    """Return a TOML basic string: JSON's escapes are a subset of it but for DEL, which JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
