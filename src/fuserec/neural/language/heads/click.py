"""Whether a look at an item led to more: a click, a like, a purchase, against views that were left at that."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fuserec.data.weights import KINDS
from fuserec.errors import DataError
from fuserec.neural.language.heads.base import Head, Labels, binary_losses

if TYPE_CHECKING:
    import torch

    from fuserec.data.dataset import Dataset

SEEN_ONLY = ("view", "hide")
"""Kinds that say that an item was shown and not taken up."""

SILENT = ("interaction", "search")
"""Kinds that do not say what was done."""


class Click(Head):
    """One logit; y = 1 where what was shown was taken up, 0 where it was not."""

    name: ClassVar[str] = "click"

    @classmethod
    def labels(cls, data: Dataset) -> Labels:
        """Return whether each event went beyond a view; one by one, as they were logged."""
        kind = data.interactions.kind
        seen, silent = (np.isin(kind, [KINDS.index(name) for name in names]) for names in (SEEN_ONLY, SILENT))
        if not seen.any() or (seen | silent).all():
            raise DataError(
                f"the head 'click' needs views and clicks (column `kind`), {data.info.name!r} has not both: leave it "
                "out of heads"
            )
        return Labels.of(~seen, ~silent)

    def losses(self, out: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """Return the binary cross-entropy of each event."""
        return binary_losses(out, values)


HEAD = Click
