"""Hyperparameters of the semantic softmax; read without PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class SemanticSoftmaxConfig(Settings):
    """Hyperparameters of the semantic softmax."""

    targets: Literal["text", "ids", "sum"] = Field(
        default="sum",
        description="An item's y. text: its whitened text, frozen. ids: trained, an item each. sum: both added.",
    )
    history: Literal["items", "content", "both"] = Field(
        default="both",
        description="x. items: the weighted multi-hot of the history (W1 is items x d). content: the mean of its text "
        "vectors (W1 is d x d). both: side by side.",
    )
    context: Literal["earlier", "others"] = Field(
        default="earlier",
        description="x in training is made of the events before the one that is predicted, or of all others.",
    )
    reads: Literal["sentence", "words", "both"] = Field(
        default="both", description="Text is the language model's vectors, TF-IDF (reduced), or both."
    )
    embedding_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="d: whitened dimensions of the text, and numbers of a trained y.",
    )
    decay: float = Field(
        default=0.65,
        gt=0,
        le=1,
        description="In training an event this many steps away enters x decay^steps.",
    )
    recency: float = Field(
        default=0.65, gt=0, le=1, description="The same for queries, from the newest event on."
    )
    normalization: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="x is divided by (sum of decay^steps)^this: 0 leaves the weighted multi-hot, 1 makes it a weighted "
        "mean. For history = content it is 1.",
    )
    score: Literal["probability", "logit"] = Field(
        default="probability",
        description="probability: p^sharpness, which blends better. logit: y f, whose evidence is exact.",
    )
    sharpness: float = Field(
        default=0.5, gt=0, le=4, description="A probability is raised to this power; unused by logit."
    )
    max_length: int = Field(default=50, ge=1, le=10_000, description="Newest events that are read.")
    as_words: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of examples (without stored words) in which one event is read by its text through W2: it "
        "teaches what words mean where nobody has written any.",
    )
    id_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of items whose trained y is hidden in a step (sum): text learns to stand alone.",
    )
    dropout: float = Field(
        default=0.0, ge=0, lt=1, description="Share of events left out of x while training."
    )
    loss: Literal["softmax", "sampled_softmax"] = Field(
        default="softmax",
        description="softmax: over the whole catalogue; sampled_softmax: over drawn negatives, logQ-corrected.",
    )
    negatives: int = Field(default=256, ge=1, description="Negatives of a batch; unused by softmax.")
    negative_popularity: float = Field(
        default=0.5, ge=0, le=1, description="They are drawn in proportion to count^this."
    )
    epochs: int = Field(default=10, ge=1, le=100_000, description="Passes over the data, at most.")
    learning_rate: float = Field(
        default=0.003, gt=0, le=10, description="Its peak; it warms up and then falls as a cosine."
    )
    regularization: float = Field(
        default=0.0, ge=0, description="Decay of W1 and W2 (AdamW); trained y are free."
    )
    batch_size: int = Field(default=1024, ge=1, description="Examples of a batch.")
    patience: int = Field(
        default=3, ge=0, description="Epochs without gain on held-out events before training stops; 0: never."
    )
    held_out: int = Field(
        default=2000,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training, to know when to stop.",
    )
