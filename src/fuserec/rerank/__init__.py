"""Rerankers, one file each: scored candidates to the list that is shown. A new one is a new file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fuserec.errors import ConfigError, nearest

if TYPE_CHECKING:
    from fuserec.rerank.base import Reranker

RERANKERS: dict[str, str] = {
    "mmr": "mmr:MMR",
    "dpp": "dpp:DPP",
    "calibration": "calibration:Calibration",
    "popularity": "popularity:PopularityControl",
    "exposure": "exposure:Exposure",
    "worst_group": "worst_group:WorstGroup",
    "flagged": "flagged:Flagged",
}
"""Name to ``module:class``; a module is imported when its reranker is asked for."""


def reranker_class(name: str, where: str = "") -> type[Reranker]:
    """Return the class of a named reranker.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known one.
    """
    if name not in RERANKERS:
        place = f"{where}: " if where else ""
        raise ConfigError(
            f"{place}unknown reranker {name!r}{nearest(name, RERANKERS)} (known: {', '.join(sorted(RERANKERS))})"
        )
    module, attribute = RERANKERS[name].split(":")
    found: type[Reranker] = getattr(import_module(f"fuserec.rerank.{module}"), attribute)
    return found


def create(name: str, config: Mapping[str, Any] | None = None, where: str = "") -> Reranker:
    """Return an unfitted reranker by name, its settings validated.

    Parameters
    ----------
    name : str
    config : mapping, optional
        What is left out keeps its default.
    where : str
        Names the place of the settings in errors.
    """
    where = where or f"[rerank.{name}]"
    cls = reranker_class(name, where)
    return cls(cls.Config.parse(config or {}, where))
