"""Hyperparameters of neural collaborative filtering; read without PyTorch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fuserec.settings import Settings


class NeuralCFConfig(Settings):
    """Hyperparameters of neural collaborative filtering."""

    form: Literal["neumf", "dot", "gmf", "mlp"] = Field(
        default="neumf",
        description="neumf: product, weighted product and a network, which also reads the product. dot: the "
        "product p q alone. gmf: the weighted product. mlp: a network over both vectors alone.",
        json_schema_extra={"tune": {"choices": ["neumf", "dot"]}},
    )
    loss: Literal["bce", "mse"] = Field(
        default="bce",
        description="bce: what was taken against what was not, by binary cross-entropy from the logit. mse: ratings in "
        "their own scale; it needs ratings, and predicts them.",
        json_schema_extra={"tune": False},
    )
    reads: Literal["sentence", "words", "both", "nothing"] = Field(
        default="both",
        description="Text is the language model's vectors, TF-IDF (reduced), or both; nothing: ids alone.",
        json_schema_extra={"tune": False},
    )
    text_dim: int = Field(
        default=128,
        ge=2,
        le=4096,
        description="Whitened dimensions of the text that are kept.",
        json_schema_extra={"tune": False},
    )
    embedding_dim: int = Field(default=64, ge=2, le=4096, description="Numbers of a vector in the product.")
    mlp_dim: int = Field(
        default=16, ge=1, le=4096, description="Numbers of a vector that the network reads (neumf, mlp)."
    )
    hidden: tuple[int, int] = Field(
        default=(32, 16),
        description="Widths of the two hidden layers; a score of the catalogue costs items x both, so keep them small.",
        json_schema_extra={"tune": False},
    )
    context: Literal["earlier", "others"] = Field(
        default="earlier",
        description="The history in training is the events before the one that is asked for, or all others (mse: "
        "always all others).",
        json_schema_extra={"tune": False},
    )
    decay: float = Field(
        default=0.9,
        gt=0,
        le=1,
        description="In training an event this many steps away counts decay^steps (bce).",
    )
    recency: float = Field(
        default=0.9, gt=0, le=1, description="The same for queries, from the newest event on (bce)."
    )
    normalization: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The sum over the history is divided by (sum of decay^steps)^this; 1 makes it a mean (alpha "
        "of FISM).",
    )
    max_length: int = Field(
        default=50,
        ge=1,
        le=10_000,
        description="Newest events that are read (bce).",
        json_schema_extra={"tune": False},
    )
    negatives: int = Field(
        default=8, ge=1, le=1000, description="Items not taken that are drawn for each one taken (bce)."
    )
    negative_popularity: float = Field(
        default=0.25, ge=0, le=1, description="They are drawn in proportion to count^this."
    )
    as_words: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of examples in which a whole history is read by its text, as words are: it teaches what "
        "words mean, and how to read items that nobody has taken.",
        json_schema_extra={"tune": False},
    )
    id_dropout: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Share of items whose own numbers are hidden in a step: text learns to stand alone.",
        json_schema_extra={"tune": [0.0, 0.3]},
    )
    score: Literal["probability", "logit"] = Field(
        default="probability",
        description="probability: sigmoid of the logit, which lets the best items stand out beside other parts. Both "
        "rank alike (bce).",
        json_schema_extra={"tune": False},
    )
    damping: float = Field(
        default=5.0,
        ge=0,
        description="Average ratings that the biases of users and items are weighed against (mse).",
        json_schema_extra={"tune": False},
    )
    epochs: int = Field(default=20, ge=1, le=100_000, description="Passes over the data, at most.")
    learning_rate: float = Field(
        default=0.01, gt=0, le=10, description="Its peak; it warms up and then falls as a cosine."
    )
    regularization: float = Field(
        default=0.01, ge=0, description="Weight of the squared lengths of the vectors in each case."
    )
    batch_size: int = Field(default=1024, ge=1, description="Events of a batch, each with its negatives.")
    patience: int = Field(
        default=4,
        ge=0,
        description="Epochs without gain on held-out events before training stops; 0: never.",
        json_schema_extra={"tune": False},
    )
    held_out: int = Field(
        default=1000,
        ge=0,
        description="People (at most a tenth of all) whose last event is kept from training, to know when to stop "
        "(bce).",
        json_schema_extra={"tune": False},
    )
