"""What a comparison of runs found, as typed data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from fuserec.evaluation.statistics import Difference


class _Part(BaseModel):
    """Base of the parts of a comparison: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunFacts(_Part):
    """One of the runs that are compared."""

    dataset: str
    fingerprint: str
    users: int
    split: dict[str, Any]
    paired: bool
    """Whether it has the test queries of the first run, with values for each."""


class Change(_Part):
    """A model less its reference on one metric, over all users or those of a segment.

    ``before`` is the reference's figure, ``after`` the model's.
    """

    metric: str
    segment: str = ""
    before: float | None
    after: float | None
    difference: Difference
    verdict: str


class UserChange(_Part):
    """One user whose figure changed much: by id, where the file holds ids."""

    user: str
    before: float
    after: float
    history: int
    target_interactions: int


class ModelPair(_Part):
    """One model beside its reference.

    Attributes
    ----------
    model, reference : str
        ``run:model`` where there are several runs, else the model.
    paired : bool
        Whether they are compared query by query.
    changes : list of Change
        Over all users, a metric each, the deciding one first.
    segments : list of Change
        The deciding metric by history length and by how often training has the rarest target.
    gained, lost : list of UserChange
        A few users with the largest changes of the deciding metric, where ids are known.
    """

    model: str
    reference: str
    paired: bool
    changes: list[Change]
    segments: list[Change] = Field(default_factory=list)
    gained: list[UserChange] = Field(default_factory=list)
    lost: list[UserChange] = Field(default_factory=list)


class RunComparison(_Part):
    """Runs and models side by side.

    Attributes
    ----------
    runs : dict of RunFacts
        By name, the first is what the others are compared with.
    primary : str
        The metric that decides.
    level : float
        Confidence of the intervals.
    pairs : list of ModelPair
    remarks : list of str
        In what the runs differ, and what follows from it.
    """

    runs: dict[str, RunFacts]
    primary: str
    level: float = 0.95
    pairs: list[ModelPair]
    remarks: list[str] = Field(default_factory=list)

    def to_json(self) -> str:
        """Return the JSON text."""
        return self.model_dump_json(indent=1) + "\n"
