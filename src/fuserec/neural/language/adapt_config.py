"""How a text encoder is adapted to a catalogue, and made smaller; needs no PyTorch."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fuserec.encoders.text import TextConfig
from fuserec.neural.language.augmentation_config import AugmentationConfig
from fuserec.neural.language.tuning_config import TuningConfig
from fuserec.settings import Settings

Objective = Literal["pairs", "masked", "causal"]

RATES: dict[str, float] = {
    "full": 5e-5,
    "last_layers": 1e-4,
    "biases": 1e-3,
    "lora": 1e-3,
    "adalora": 3e-3,
    "hira": 1e-3,
}
"""Peak learning rates by method, where none is configured: the fewer weights move, the further each may."""


class ContinualConfig(Settings):
    """Going on with a tuned encoder on what is new, without forgetting what is old."""

    newest: float | None = Field(
        default=None,
        gt=0,
        lt=1,
        description="Share of the examples, by time, that is new and is learnt. Left out: all of them are.",
    )
    replay: float = Field(
        default=0.2, ge=0, lt=1, description="Share of an epoch that is older examples, drawn anew each time."
    )


class AdaptConfig(Settings):
    """What a text encoder learns from a catalogue and its training interactions, and how."""

    objective: Objective = Field(
        default="pairs",
        description="pairs: an item's text is to be near the texts that people came from (in-batch softmax). masked: "
        "hidden words of the catalogue's own text (BERT-like models). causal: the next word of it (GPT-like models).",
    )
    query: Literal["item", "events", "titles"] = Field(
        default="item",
        description="pairs: what the next item is guessed from. item: the vector of the item before it. events: the "
        "decayed mean of the vectors of recent items. titles: one text of the recent items' titles, newest first.",
    )
    tuning: TuningConfig = Field(default=TuningConfig(), description="Which weights are trained.")
    revision: str | None = Field(
        default=None, description="Revision of the base on the model hub; left out: the latest."
    )
    pooling: Literal["auto", "mean", "cls", "last"] = Field(
        default="auto", description="How tokens become one vector; auto: what suits the model."
    )
    text: TextConfig = Field(default=TextConfig(), description="Which columns of an item are read.")
    epochs: int = Field(default=3, ge=1, le=1000, description="Passes over the examples, at most.")
    max_pairs: int | None = Field(
        default=None, ge=1, description="pairs: examples of an epoch, drawn anew each time; left out: all."
    )
    batch_size: int = Field(default=128, ge=2, le=65_536, description="Examples (pairs or texts) of a step.")
    learning_rate: float | None = Field(
        default=None, gt=0, le=10, description="Its peak; left out: what suits the method (5e-5 for full)."
    )
    regularization: float = Field(default=0.01, ge=0, description="Decay of matrices.")
    adversarial: float = Field(
        default=0.0,
        ge=0,
        le=10,
        description="The loss is also taken where the word vectors of each text are moved so as to raise it, by this "
        "share of their length (0.01 to 0.1); 0: not. A step makes two passes forward and two back.",
    )
    augmentation: AugmentationConfig = Field(
        default=AugmentationConfig(), description="Other forms of the training texts; off by default."
    )
    patience: int = Field(default=2, ge=0, description="Worse epochs in a row that end it; 0: never.")
    temperature: float = Field(default=0.08, gt=0, le=1, description="pairs: cosines are divided by it.")
    whitened: bool = Field(
        default=True,
        description="pairs: vectors are compared as a fitted model compares them, whitened by the map of the untouched "
        "ones; false compares them as they are, for a use without whitening.",
    )
    popularity: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="pairs: share of the logQ correction, log of how often an item is in a batch, that is taken off "
        "the logits: 0 learns what goes together, 1 what is likely.",
    )
    max_history: int = Field(
        default=5, ge=1, le=200, description="events, titles: recent items that are read."
    )
    recency: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="events: an item this many steps back counts times recency^steps.",
    )
    max_length: int = Field(default=32, ge=4, le=8192, description="Tokens of an item's text that are read.")
    history_length: int = Field(
        default=64, ge=4, le=8192, description="titles: tokens of a history that are read."
    )
    mask_share: float = Field(
        default=0.15, gt=0, lt=1, description="masked: share of the words that are hidden."
    )
    held_out: int = Field(
        default=500, ge=2, description="People (or texts) kept from training to judge epochs by, at most."
    )
    continual: ContinualConfig = Field(
        default=ContinualConfig(),
        description="pairs: learn the newest part alone, and replay older examples.",
    )
    labels: int | None = Field(
        default=None,
        ge=1,
        description="pairs: examples that are learnt from, at most, a fifth of them (from 20 on) held out instead of "
        "held_out. Left out: all.",
    )

    @model_validator(mode="after")
    def _pairs_alone(self) -> Self:
        for name, wanted in (("labels", self.labels), ("continual.newest", self.continual.newest)):
            if wanted is not None and self.objective != "pairs":
                raise ValueError(
                    f"{name} is for objective = 'pairs': words are learnt from the catalogue alone"
                )
        if self.labels is not None and self.continual.newest is not None:
            raise ValueError("labels and continual.newest choose examples both: leave one of them out")
        return self

    @property
    def rate(self) -> float:
        """Peak learning rate."""
        return self.learning_rate or RATES.get(self.tuning.method, 1e-4)


class CompressConfig(Settings):
    """How an encoder is made smaller, and how what it lost is taught again."""

    form: Literal["int8", "layers", "pruned"] = Field(
        default="int8",
        description="int8: weights of one byte, run by CTranslate2 (BERT-like models). layers: fewer of them. pruned: "
        "the smallest weights of each linear map are zero, which makes a file smaller that is stored sparsely, not a "
        "faster model.",
    )
    layers: int | None = Field(
        default=None, ge=1, le=200, description="layers: how many stay; left out: half."
    )
    which: Literal["spread", "first"] = Field(
        default="spread", description="layers: evenly over all of them, or the first ones."
    )
    share: float = Field(default=0.5, gt=0, lt=1, description="pruned: share of each map's weights.")
    epochs: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="Passes of teaching afterwards; 0 needs no data and teaches nothing.",
    )
    texts: int = Field(
        default=20_000, ge=2, description="Texts that are taught on, at most, and pairs of a pair teacher."
    )
    batch_size: int = Field(default=64, ge=2, le=65_536, description="Texts of a step.")
    learning_rate: float = Field(default=1e-4, gt=0, le=10, description="Its peak.")
    regularization: float = Field(default=0.0, ge=0, description="Decay of matrices.")
    relations: float = Field(
        default=1.0, ge=0, description="Weight of how texts stand to one another, beside where each stands."
    )
    candidates: int = Field(
        default=7, ge=1, le=100, description="Pair teacher: other items beside the next one."
    )
    temperature: float = Field(
        default=0.05, gt=0, le=1, description="Pair teacher: cosines are divided by it."
    )
    text: TextConfig = Field(default=TextConfig(), description="Which columns of an item are read.")
    max_length: int = Field(default=32, ge=4, le=8192, description="Tokens of an item's text that are read.")
    history_length: int = Field(default=64, ge=4, le=8192, description="Tokens of a history that are read.")
    max_history: int = Field(default=5, ge=1, le=200, description="Recent items of a history.")
