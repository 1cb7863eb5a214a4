"""Fusion: scorers made of scorers, one form a file. A new form is a new file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from fuserec.errors import ConfigError, nearest

if TYPE_CHECKING:
    from fuserec.fusion.base import Fusion
    from fuserec.fusion.config import FusionConfig
    from fuserec.scorers.base import Scorer

FUSIONS: dict[str, str] = {
    "blend": "blend:Blend",
    "reciprocal_rank": "reciprocal_rank:ReciprocalRank",
    "lambdamart": "lambdamart:LambdaMART",
    "logistic": "logistic:Logistic",
    "switching": "switching:Switching",
    "cascade": "cascade:Cascade",
    "mixed": "mixed:Mixed",
}
"""Kind to ``module:class``; a module is imported when its form is asked for."""


def fusion_class(kind: str) -> type[Fusion]:
    """Return the class of a form of fusion.

    Raises
    ------
    ConfigError
        For an unknown kind, with the nearest known one.
    """
    if kind not in FUSIONS:
        raise ConfigError(
            f"[fusion] kind: unknown fusion {kind!r}{nearest(kind, FUSIONS)} (known: {', '.join(FUSIONS)})"
        )
    module, attribute = FUSIONS[kind].split(":")
    found: type[Fusion] = getattr(import_module(f"fuserec.fusion.{module}"), attribute)
    return found


def fusion_of(config: FusionConfig, parts: Mapping[str, Scorer]) -> Fusion:
    """Return the fusion that a configuration names, over parts that are fitted or not.

    Raises
    ------
    ConfigError
        For an unknown kind, and for a last stage that cannot be.
    """
    form = fusion_class(config.kind)
    if config.last_stage.scorer is not None:
        from fuserec.fusion.last_stage import last_scorer, rescored

        last_scorer(config.last_stage.scorer)  # so that a wrong hyperparameter fails here, not after an hour
        form = rescored(form)
    return form(config, parts)
