"""Wrapper, the base of scorers that are made of other scorers: they are fitted, kept, updated and tuned through it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from fuserec.scorers import create
from fuserec.scorers.base import Capabilities, Scorer
from fuserec.settings import Settings

if TYPE_CHECKING:
    from fuserec.data.dataset import Dataset
    from fuserec.encoders.features import ItemFeatures
    from fuserec.run import RunOptions
    from fuserec.types import Arrays, Meta, State


class WrapperConfig(Settings):
    """Hyperparameters that all wrappers have: which scorer is wrapped, and how that one is configured.

    ``tunable`` hyperparameters of the wrapped scorer are read, and changed by ``model_copy``, as if they were the
    wrapper's own.
    """

    of: str = Field(description="The scorer that is wrapped.")
    options: dict[str, Any] = Field(default={}, description="Hyperparameters of that scorer.")

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        self.inner()
        return self

    def inner(self) -> Scorer:
        """Return the wrapped scorer, unfitted; raises ConfigError where its name or options are wrong."""
        return create(self.of, self.options, f"options of {self.of!r}")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with other values; what is no key of the wrapper goes to the options of the wrapped."""
        own = {key: value for key, value in (update or {}).items() if key in type(self).model_fields}
        theirs = {key: value for key, value in (update or {}).items() if key not in own}
        if theirs:
            own["options"] = self.inner().config.model_copy(update=theirs).model_dump(exclude_unset=True)
        return super().model_copy(update=own, deep=deep)

    if not TYPE_CHECKING:  # an attribute that is misspelt has to stay an error of types

        def __getattr__(self, name: str) -> Any:
            """Return a ``tunable`` hyperparameter of the wrapped scorer."""
            if not name.startswith("_") and name not in type(self).model_fields:
                inner = self.inner()
                if name in inner.tunable:
                    return getattr(inner.config, name)
            raise AttributeError(f"{type(self).__name__} has no hyperparameter {name!r}")


class Wrapper(Scorer):
    """A scorer made of other scorers, by name.

    A subclass gives ``score`` and ``evidence`` over the fitted ``_inner``, :meth:`_blank`, and where it needs numbers
    of its own :meth:`_learn`, :meth:`_numbers` and :meth:`_take_numbers`.
    """

    config: WrapperConfig
    _inner: dict[str, Scorer]

    def __init__(self, config: Settings | None = None) -> None:
        super().__init__(config)
        inner = self.config.inner()
        vars(self)["capabilities"] = self._able(inner.capabilities)
        vars(self)["tunable"] = {**inner.tunable, **type(self).tunable}  # the class holds the wrapper's own

    def _able(self, told: Capabilities) -> Capabilities:
        """Return what the wrapper can do, where the wrapped scorer can do ``told``."""
        return told

    @abstractmethod
    def _blank(self) -> dict[str, Scorer]:
        """Return the unfitted scorers that it is made of, by the name that their state bears."""

    def _run_of(self, name: str, run: RunOptions) -> RunOptions:
        """Return how one of them is run."""
        return run

    def _learn(self, train: Dataset, run: RunOptions) -> None:
        """Take what the wrapper itself needs of the data."""

    def _numbers(self) -> Arrays:
        """Return the arrays of :meth:`_learn`."""
        return {}

    def _take_numbers(self, arrays: Arrays) -> None:
        """Take back what :meth:`_numbers` returned."""

    def _fit(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> None:
        self._inner = {
            name: scorer.fit(train, features, self._run_of(name, run))
            for name, scorer in self._blank().items()
        }
        self._learn(train, run)

    @property
    def facts(self) -> dict[str, Any]:
        """What the scorers that it is made of have to tell."""
        return {name: scorer.facts for name, scorer in self._inner.items() if scorer.facts}

    def within(
        self, seconds: float, train: Dataset, features: ItemFeatures, run: RunOptions
    ) -> tuple[Self | None, str]:
        """Return the unfitted wrapper around the wrapped scorer in the largest size for the time, divided fairly."""
        fits = len(self._blank())
        inner, decided = self.config.inner().within(seconds / fits, train, features, run)
        if inner is None:
            return None, decided
        options = inner.config.model_dump(exclude_unset=True)
        return type(self)(self.config.model_copy(update={"options": options})), decided

    @property
    def can_predict(self) -> bool:
        """Whether the fitted scorers within predict ratings."""
        return self.capabilities.predicts and (
            not self._fitted or all(self._inner[name].can_predict for name in self._tuned_names())
        )

    def updated(self, train: Dataset, features: ItemFeatures, run: RunOptions) -> Self:
        """Return the scorer with everything within updated."""
        self.require_fitted()
        other = copy(self)
        other._inner = {
            name: scorer.updated(train, features, self._run_of(name, run))
            for name, scorer in self._inner.items()
        }
        other._learn(train, run)
        return other

    def without_user(self, user: int) -> Self:
        """Return the scorer without the stored row of a user in anything within."""
        self.require_fitted()
        other = copy(self)
        other._inner = {name: scorer.without_user(user) for name, scorer in self._inner.items()}
        return other

    def _tuned_names(self) -> tuple[str, ...]:
        """Return which of the scorers within are copies of the wrapped one."""
        return tuple(self._inner)

    def retuned(self, **changes: float) -> Self:
        """Return the fitted scorer with other values: its own, and those of the wrapped scorer."""
        other = super().retuned(**changes)
        theirs = {key: value for key, value in changes.items() if key not in type(self).tunable}
        if theirs:
            other._inner = dict(self._inner)
            for name in self._tuned_names():
                other._inner[name] = self._inner[name].retuned(**theirs)
        return other

    def state(self) -> State:
        """Return the states of the scorers within, each array under its scorer's name, and the wrapper's own."""
        arrays, meta = dict(self._numbers()), {}
        for name, scorer in self._inner.items():
            theirs, meta[name] = scorer.state()
            arrays |= {f"{name}.{key}": value for key, value in theirs.items()}
        return arrays, meta

    @classmethod
    def from_state(cls, config: Settings, arrays: Arrays, meta: Meta, features: ItemFeatures) -> Self:
        """Rebuild a fitted wrapper, and what is within, beside the features."""
        scorer = cls(config)
        scorer._inner = {}
        for name, blank in scorer._blank().items():
            theirs = {
                key.removeprefix(f"{name}."): value
                for key, value in arrays.items()
                if key.startswith(f"{name}.")
            }
            scorer._inner[name] = type(blank).from_state(blank.config, theirs, meta[name], features)
        scorer._restore(arrays, meta)
        scorer._fitted = True
        return scorer

    def _restore(self, arrays: Arrays, meta: Meta) -> None:
        self._take_numbers(arrays)
