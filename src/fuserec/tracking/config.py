"""Where a run is tracked, as declared configuration."""

from __future__ import annotations

from pydantic import Field, field_validator

from fuserec.errors import nearest
from fuserec.settings import Settings

KINDS = ("tensorboard", "mlflow", "wandb", "jsonl")
LINES = ".jsonl"
"""A path that ends so is a tracker too: its file gets JSON lines."""


class TrackingConfig(Settings):
    """Which trackers get the figures of a fit, an evaluation or a tuning."""

    to: tuple[str, ...] = Field(
        default=(), description='Of "tensorboard", "mlflow", "wandb", "jsonl", or the path of a .jsonl file.'
    )
    folder: str = Field(default="runs", min_length=1, description="The folder that local trackers write to.")
    project: str = Field(
        default="fuserec", min_length=1, max_length=128, description="Project (W&B) or experiment (MLflow)."
    )

    @field_validator("to")
    @classmethod
    def _known(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        """Refuse what is no tracker; name each once."""
        for kind in to:
            if kind not in KINDS and not kind.endswith(LINES):
                raise ValueError(
                    f"unknown tracker {kind!r}{nearest(kind, KINDS)} "
                    f"(known: {', '.join(KINDS)}, or a path that ends in {LINES})"
                )
        return tuple(dict.fromkeys(to))
