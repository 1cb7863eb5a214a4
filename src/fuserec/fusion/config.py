"""The configuration of a fusion: its form, how it learns, and what each form adds."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from fuserec.data.splits import SplitConfig
from fuserec.fusion.learning import FusionLearning
from fuserec.settings import Settings

Kind = Literal["blend", "reciprocal_rank", "lambdamart", "logistic", "switching", "cascade", "mixed"]
"""The forms, as in ``FUSIONS``."""

Shares = Literal["validation", "equal"]


class ReciprocalRankConfig(Settings):
    """Reciprocal rank fusion: w / (constant + rank), summed over the parts."""

    constant: float = Field(
        default=60.0, gt=0, description="The larger, the less the first ranks stand out; 60 as published."
    )
    weights: Shares = Field(
        default="validation",
        description="Of the parts: by each one's NDCG on validation, per kind of query, or all equal, as published.",
    )


class CascadeConfig(Settings):
    """A cascade: later parts only break the ties of earlier ones."""

    levels: int = Field(
        default=20,
        ge=2,
        le=32,
        description="Steps up to a part's tenth best score: two items on the same step are a tie.",
    )
    stages: int = Field(
        default=3, ge=1, le=3, description="How many parts judge an item at most, the first among them."
    )


class MixedConfig(Settings):
    """One list in which the lists of the parts take turns."""

    turns: Shares = Field(
        default="equal",
        description="All parts take turns equally often, or in proportion to their NDCG on validation.",
    )


class StackConfig(Settings):
    """A stacker: a second stage that re-scores the best of the blend (kinds lambdamart and logistic)."""

    depth: int = Field(default=100, ge=2, description="How many of the blend's best items are re-scored.")
    if_better: bool = Field(
        default=True,
        description="Keep the blend as it is where the stacker, cross-fitted on validation, does not beat it.",
    )
    folds: int = Field(default=5, ge=2, description="Folds of users that it is cross-fitted over.")
    max_queries: int = Field(default=10_000, ge=20, description="Validation queries that it learns on.")
    trees: int = Field(default=120, ge=1, description="lambdamart: number of trees.")
    leaves: int = Field(default=15, ge=2, description="lambdamart: leaves a tree.")
    learning_rate: float = Field(default=0.05, gt=0, description="lambdamart: the share of each tree.")
    regularization: float = Field(
        default=0.01, gt=0, description="logistic: strength of the ridge that pulls towards the blend."
    )


class LastStageConfig(Settings):
    """A last stage: a scorer that reads query and item together re-scores the best of the fusion."""

    scorer: dict[str, Any] | None = Field(
        default=None,
        description="A part's table: `scorer` names it (language_pair where it does not), beside its hyperparameters. "
        "Left out: no last stage.",
    )
    depth: int = Field(
        default=50, ge=2, le=1000, description="How many of the fusion's best items are re-scored."
    )
    if_better: bool = Field(
        default=True,
        description="Keep the fusion as it is where the last stage, cross-fitted on validation, does not beat it.",
    )
    folds: int = Field(default=5, ge=2, description="Folds of users that it is cross-fitted over.")
    max_queries: int = Field(default=1000, ge=20, description="Validation queries that it is tried on.")
    refit: bool = Field(
        default=False,
        description="Fit it again on everything; else it stays as it was fitted without the validation events.",
    )


class FusionConfig(FusionLearning):
    """How the fusion combines its parts, how it learns, and what `fit` holds out for it."""

    kind: Kind = Field(
        default="blend", description="The form of the fusion (docs/fusion.md says which is for what)."
    )
    validation: SplitConfig = Field(
        default=SplitConfig(), description="What `fit` holds out to learn the weights on."
    )
    reciprocal_rank: ReciprocalRankConfig = Field(
        default=ReciprocalRankConfig(), description="For kind reciprocal_rank."
    )
    cascade: CascadeConfig = Field(default=CascadeConfig(), description="For kind cascade.")
    mixed: MixedConfig = Field(default=MixedConfig(), description="For kind mixed.")
    stack: StackConfig = Field(default=StackConfig(), description="For kinds lambdamart and logistic.")
    last_stage: LastStageConfig = Field(
        default=LastStageConfig(), description="What re-scores the best items of any kind."
    )
