"""The snapshot that requests are answered from, and the making of a list from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fuserec.errors import RequestError, nearest
from fuserec.filters import Filters, allowed_items
from fuserec.numerics.hashing import reseed
from fuserec.numerics.topk import top_k
from fuserec.questions import Tastes
from fuserec.requests import id_list, left_out, shown_id, well_formed
from fuserec.search import SearchIndex

NAMED_AT_MOST = 50_000
LONG = 200
"""The nearest of so many ids is named for an unknown one that is not longer than this."""

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.fusion.base import Fusion


@dataclass(frozen=True)
class Fitted:
    """Everything a request needs, as one immutable snapshot: readers keep theirs while an update makes the next.

    Parameters
    ----------
    dataset : Dataset
    features : ItemFeatures
    fused : Fusion
    seed : int
    facts : dict
        When and how it was fitted, for ``info``.
    pending : tuple of str
        Parts that have not yet unlearnt a forgotten user.
    histories : bool
        False where the model was saved without them: it answers, but cannot learn on.
    """

    dataset: Dataset
    features: ItemFeatures
    fused: Fusion
    seed: int
    facts: dict[str, Any] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    histories: bool = True

    @cached_property
    def titles(self) -> list[str]:
        """Title of every item, its id where there is none."""
        ids = self.dataset.items
        return [title or ids[index] for index, title in enumerate(self.dataset.item_table["title"].to_list())]

    @cached_property
    def search_index(self) -> SearchIndex:
        """BM25 over the catalogue, built when it is first asked for."""
        return SearchIndex(self.dataset.item_table)

    @cached_property
    def tastes(self) -> Tastes:
        """Groups of stored users with alike histories, made when a question is first asked for."""
        return Tastes.of(self.dataset, self.seed)

    @cached_property
    def ties(self) -> np.ndarray:
        """uint64 (n_items,): the order of equal scores."""
        return reseed(self.dataset.items.hashes, self.seed)

    def item(self, identifier: str) -> int:
        """Return the index of an item id, or raise a RequestError that names the nearest."""
        index = self.dataset.items.index(well_formed(identifier, "item"))
        if index < 0:
            known = self.dataset.items.ids(range(min(len(self.dataset.items), NAMED_AT_MOST)))
            hint = nearest(identifier, known) if len(identifier) <= LONG else ""
            raise RequestError(f"item {shown_id(identifier)} is not in the catalogue{hint}")
        return index

    @cached_property
    def reads_columns(self) -> bool:
        """Whether any part reads the context of a query."""
        return any(part.capabilities.columns for part in self.fused.parts.values())

    @property
    def note(self) -> str:
        """What has to be said wherever the data are simulated."""
        info = self.dataset.info
        return (info.note or "simulated data") if info.simulated else ""


def eligible(
    model: Fitted, candidates: Sequence[str] | None, exclude: Sequence[str], filters: Filters | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return bool (n_items,): what filters, candidates and exclusions leave; and warnings."""
    n_items = model.dataset.n_items
    allowed = (
        np.ones(n_items, dtype=bool) if filters is None else allowed_items(model.dataset.item_table, filters)
    )
    if candidates is not None:
        listed = np.zeros(n_items, dtype=bool)
        listed[[model.item(identifier) for identifier in id_list(candidates, "candidates")]] = True
        allowed &= listed
    names = id_list(exclude, "exclude")
    indices = model.dataset.items.indices(names)
    allowed[indices[indices >= 0]] = False
    unknown = [name for name, index in zip(names, indices, strict=True) if index < 0]
    return allowed, (left_out(unknown, "to exclude"),) if unknown else ()


def listed(
    values: np.ndarray, answered: np.ndarray, allowed: np.ndarray, k: int, ties: np.ndarray
) -> np.ndarray:
    """Return int (≤ k,): the best eligible items; those of which no part knows anything only fill up the list."""
    first = np.where(answered & allowed, values, np.float32(-np.inf))[None, :]
    items, _, counts = top_k(first, k, ties=ties)
    found = items[0, : counts[0]]
    if found.size < k and (allowed & ~answered).any():
        rest = np.where(allowed & ~answered, values, np.float32(-np.inf))[None, :]
        more, _, extra = top_k(rest, k - found.size, ties=ties)
        found = np.concatenate([found, more[0, : extra[0]]])
    return found
