"""Whether an item is one for this person: what was taken, against what was disliked and what was never met."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from fuserec.errors import DataError
from fuserec.neural.language.heads.base import Head, Labels, binary_losses

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset


class Match(Head):
    """One logit; y = 1 for events of positive weight, 0 for dislikes and for drawn items."""

    name: ClassVar[str] = "match"
    sampled: ClassVar[bool] = True

    @classmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return whether each event was a liking; an event of weight 0 says nothing."""
        weight = data.interactions.weight
        if not (weight > 0).any():
            raise DataError(
                f"language_pair: nothing in {data.info.name!r} was ever liked (no weight above 0): there is "
                "nothing to learn"
            )
        return Labels.of(weight > 0, weight != 0)

    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the binary cross-entropy of each pair."""
        return binary_losses(out, values)


HEAD = Match
