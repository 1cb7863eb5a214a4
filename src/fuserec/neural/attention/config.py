"""Hyperparameters of the attention over the history; read without PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class HistoryAttentionConfig(Settings):
    """Hyperparameters of the attention over the history."""

    attention: Literal["global", "bilinear", "mlp"] = Field(
        default="global",
        description="w. global: a number an item of the history. bilinear, mlp: a number for the item and the "
        "candidate, exp f(i, j) over (sum of exp f)^smoothing; f is a product of two vectors, or a small network of "
        "it (NAIS).",
        json_schema_extra={"tune": False},
    )
    similarity: Literal["cooccurrence", "content", "both"] = Field(
        default="both",
        description="S. cooccurrence: shrunk cosine over the people who took both. content: cosines of words and "
        "of language-model vectors. both: all of them. Each kind has weights of its own.",
        json_schema_extra={"tune": False},
    )
    reads: Literal["sentence", "words", "both"] = Field(
        default="both",
        description="Text is the language model's vectors, TF-IDF, or both.",
        json_schema_extra={"tune": False},
    )
    n_neighbors: int = Field(
        default=200,
        ge=1,
        description="Most similar items by which a candidate is judged, a kind of similarity.",
    )
    shrinkage: float = Field(
        default=10.0, ge=0, description="Co-occurrence of n people is multiplied by n / (n + shrinkage)."
    )
    min_similarity: float = Field(
        default=0.1, ge=0, lt=1, description="Content similarities below this count as none."
    )
    content_sharpness: float = Field(
        default=2.0, gt=0, le=8, description="Content similarities are raised to this power."
    )
    text_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Whitened dimensions of the text that f reads; unused by global.",
        json_schema_extra={"tune": False},
    )
    embedding_dim: int = Field(
        default=16, ge=2, le=1024, description="Numbers of an item's vectors in f; unused by global."
    )
    hidden: int = Field(default=16, ge=1, le=1024, description="Width of the network f; used by mlp alone.")
    smoothing: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Power of the denominator (beta of NAIS): 1 is a softmax over the history, which makes long "
        "histories say no more than short ones; 0 leaves exp f. Unused by global.",
    )
    context: Literal["earlier", "others"] = Field(
        default="earlier",
        description="The history in training is the events before the one that is asked for, or all others.",
        json_schema_extra={"tune": False},
    )
    decay: float = Field(
        default=0.8, gt=0, le=1, description="In training an event this many steps away counts decay^steps."
    )
    recency: float = Field(
        default=0.8, gt=0, le=1, description="The same for queries, from the newest event on."
    )
    max_length: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Newest events that are read.",
        json_schema_extra={"tune": False},
    )
    text_weight: float = Field(
        default=1.0,
        ge=0,
        description="The words of a query count as an event of this weight, alike by content.",
        json_schema_extra={"tune": False},
    )
    loss: Literal["bce", "squared"] = Field(
        default="bce",
        description="bce: binary cross-entropy, from the logit. squared: half of (y - probability)^2.",
        json_schema_extra={"tune": False},
    )
    negatives: int = Field(
        default=8, ge=1, le=1000, description="Items not taken that are drawn for each one taken."
    )
    negative_popularity: float = Field(
        default=0.25, ge=0, le=1, description="They are drawn in proportion to count^this."
    )
    score: Literal["logit", "probability"] = Field(
        default="logit",
        description="logit: the sum without b, whose evidence is exact (global). probability: sigmoid(b + sum).",
        json_schema_extra={"tune": False},
    )
    epochs: int = Field(default=8, ge=1, le=100_000, description="Passes over the data, at most.")
    learning_rate: float = Field(
        default=0.02, gt=0, le=10, description="Its peak; it warms up and then falls as a cosine."
    )
    regularization: float = Field(
        default=3.0,
        ge=0,
        description="Pulls every item's own w (global) or own vectors in f (else) to zero beside what all items "
        "have in common, with the strength of this many cases.",
    )
    batch_size: int = Field(default=1024, ge=1, description="Events of a batch, each with its negatives.")
    patience: int = Field(
        default=3,
        ge=0,
        description="Epochs without gain on held-out events before training stops; 0: never.",
        json_schema_extra={"tune": False},
    )
    held_out: int = Field(
        default=1000,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training, to know when to stop.",
        json_schema_extra={"tune": False},
    )
