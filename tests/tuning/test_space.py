"""What is searched: axes read off declarations, and those that a table gives."""

from __future__ import annotations

import tomllib
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from fuserec.errors import ConfigError
from fuserec.scorers import SCORERS, scorer_class
from fuserec.settings import Settings
from fuserec.tuning.objective import Objective
from fuserec.tuning.space import Choices, Range, space_of
from fuserec.tuning.toml_text import toml


class Odd(Settings):
    share: float = Field(default=0.2, ge=0, le=1)
    open_share: float = Field(default=0.5, gt=0, lt=1)
    rate: float = Field(default=0.001, gt=0, le=10)
    size: int = Field(default=64, ge=1, le=100)
    few: int = Field(default=1, ge=1, le=64)
    strength: float = Field(default=300.0, gt=0)
    off: float = Field(default=0.0, ge=0)
    maybe: float | None = Field(default=None, gt=0)
    given: int | None = Field(default=8, ge=1)
    switch: bool = False
    form: Literal["a", "b"] = "a"
    word: str = "x"
    still: float = Field(default=3.0, json_schema_extra={"tune": False})
    own: float = Field(default=3.0, gt=0, json_schema_extra={"tune": [1, 1000]})


def test_axes_follow_the_declaration() -> None:
    assert space_of(Odd(), {}, "[tune.odd]") == {
        "share": Range(0.0, 1.0, False, False),
        "open_share": Range(0.01, 0.99, False, False),
        "rate": Range(0.000125, 0.008, True, False),  # a bound of 10 says nothing of its scale
        "size": Range(8, 100, True, True),
        "few": Range(1, 8, True, True),
        "strength": Range(37.5, 2400.0, True, False),
        "given": Range(1, 64, True, True),
        "switch": Choices((False, True)),
        "form": Choices(("a", "b")),
        "own": Range(1, 1000, True, False),
    }


def test_a_table_goes_before_the_declaration() -> None:
    table = {
        "share": [0.1, 0.3],
        "strength": [1, 10_000],
        "maybe": {"choices": [1.0, 2.0]},
        "form": False,
        "still": [1.0, 2.0],
    }
    found = space_of(Odd(), table, "[tune.odd]")
    assert found["share"] == Range(0.1, 0.3, False, False)
    assert found["strength"] == Range(1, 10_000, True, False)
    assert found["maybe"] == Choices((1.0, 2.0))
    assert "form" not in found
    assert found["still"] == Range(1.0, 2.0, False, False)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"shrae": [0, 1]}, "did you mean 'share'?"),
        ({"share": [0.5, 0.5]}, "below the second"),
        ({"share": [0.9, 0.1]}, "below the second"),
        ({"share": [0, 2]}, "less than or equal to 1"),
        ({"size": [1.5, 4]}, "size = 1.5"),
        ({"share": [0.1]}, "write [low, high]"),
        ({"share": "high"}, "write [low, high]"),
        ({"share": [True, 2]}, "write [low, high]"),
        ({"share": True}, "write [low, high]"),
        ({"form": {"choices": ["a", "z"]}}, "form = 'z'"),
        ({"form": {"choices": []}}, "at least one value"),
        ({"form": {"choice": ["a"]}}, "at least one value"),
        ({"form": {"choices": "ab"}}, "at least one value"),
        ({"word": [1, 2]}, "word = 1"),
    ],
)
def test_a_table_at_fault(table: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        space_of(Odd(), table, "[tune.odd]")
    assert said in str(caught.value)
    assert str(caught.value).startswith("[tune.odd]")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", SCORERS)
def test_every_end_of_every_axis_is_allowed(name: str) -> None:
    cls = scorer_class(name)
    base = cls.Config()
    for field, axis in space_of(base, {}, name).items():
        ends = axis.values if isinstance(axis, Choices) else (axis.nice(axis.low), axis.nice(axis.high))
        for value in ends:
            assert getattr(cls.Config.parse({field: value}, name), field) == value
        assert axis.holds(getattr(base, field))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.floats(1e-6, 1e6), st.floats(1.001, 1e4), st.floats(0, 1))
def test_nice_values_stay_within(low: float, factor: float, share: float) -> None:
    axis = Range(low, low * factor, True, False)
    value = axis.nice(min(low * factor**share, axis.high))
    assert axis.low <= value <= axis.high
    assert value == pytest.approx(low * factor**share, rel=1e-3)


def test_objectives() -> None:
    assert str(Objective.parse(" NDCG@5 ")) == "ndcg@5"
    assert str(Objective.parse("mrr")) == "mrr"
    for wrong, said in (
        ("ndgc@10", "did you mean 'ndcg@10'?"),
        ("ndcg@0", "at least 1"),
        ("ndcg", "known: recall@10"),
        ("auc@10", "no such ranking metric"),
        ("", "no such ranking metric"),
    ):
        with pytest.raises(ConfigError) as caught:
            Objective.parse(wrong)
        assert said in str(caught.value)


KEYS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
SCALARS = (
    st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.dictionaries(KEYS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4),
        lambda inner: st.dictionaries(KEYS, inner | SCALARS, max_size=3),
        max_leaves=8,
    )
)
def test_toml_is_read_back_as_it_was(values: dict[str, Any]) -> None:
    assert tomllib.loads(toml(values)) == values


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.b = None cannot be written as TOML"):
        toml({"a": {"b": None}})
