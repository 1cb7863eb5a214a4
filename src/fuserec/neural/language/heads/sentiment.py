"""Whether somebody who rates an item speaks well of it: the sign of a rating about the neutral point of its scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.errors import DataError
from fuserec.neural.language.heads.base import Head, Labels, binary_losses

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset


class Sentiment(Head):
    """One logit; y = 1 for good ratings, 0 for bad ones, nothing for neutral ones and events without a rating."""

    name: ClassVar[str] = "sentiment"

    @classmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return the sign of each rating, as the dataset's rating rule has it."""
        rows = data.interactions
        known = np.isfinite(rows.rating) & (rows.weight != 0)
        good = rows.weight > 0
        if not known.any() or good[known].all() or not good[known].any():
            raise DataError(
                f"the head 'sentiment' needs good and bad ratings, {data.info.name!r} has not both: leave it out of "
                "heads"
            )
        return Labels.of(good, known)

    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the binary cross-entropy of each rating."""
        return binary_losses(out, values)


HEAD = Sentiment
