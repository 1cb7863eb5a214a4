"""Scorers, one file each. A new one is a new file and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from fuserec.errors import ConfigError, nearest

if TYPE_CHECKING:
    from fuserec.scorers.base import Scorer

SCORERS: dict[str, str] = {
    "popularity": "popularity:Popularity",
    "item_knn": "item_knn:ItemKNN",
    "user_knn": "user_knn:UserKNN",
    "cooccurrence": "cooccurrence:Cooccurrence",
    "ease": "ease:EASE",
    "als": "als:ImplicitALS",
    "svd": "svd:BiasedSVD",
    "nmf": "nmf:NMF",
    "content": "content:Content",
    "sequence": "sequence:Sequence",
    "semantic_softmax": "semantic_softmax:SemanticSoftmax",
    "generative": "generative:Generative",
    "neural_cf": "neural_cf:NeuralCF",
    "history_attention": "history_attention:HistoryAttention",
    "meta_learned": "meta_learned:MetaLearned",
    "joint": "joint:Joint",
    "language_pair": "language_pair:LanguagePair",
    "content_map": "content_map:ContentMap",
    "factorization_machine": "factorization_machine:FactorizationMachine",
    "trees": "trees:Trees",
    "debiased": "debiased:Debiased",
    "averaged": "averaged:Averaged",
    "augmented": "augmented:Augmented",
}
"""Name to ``module:class``; a module is imported when its scorer is asked for."""


def scorer_class(name: str) -> type[Scorer]:
    """Return the class of a named scorer.

    Raises
    ------
    ConfigError
        For an unknown name, with the nearest known one.
    """
    if name not in SCORERS:
        raise ConfigError(
            f"unknown scorer {name!r}{nearest(name, SCORERS)} (known: {', '.join(sorted(SCORERS))})"
        )
    module, attribute = SCORERS[name].split(":")
    found: type[Scorer] = getattr(import_module(f"fuserec.scorers.{module}"), attribute)
    return found


def create(name: str, config: Mapping[str, Any] | None = None, where: str = "") -> Scorer:
    """Return an unfitted scorer by name, its configuration validated.

    Parameters
    ----------
    name : str
    config : mapping, optional
        Hyperparameters; what is left out keeps its default.
    where : str
        Names the place of the configuration in errors.
    """
    cls = scorer_class(name)
    return cls(cls.Config.parse(config or {}, where or f"[scorers.{name}]"))
