"""Evidence in the caller's words: rows that still sum, and one sentence that says no more than they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuserec.reasons import MAX_ROWS, readable, reason
from fuserec.scorers.base import Evidence
from fuserec.testing.small import small_dataset

TITLES = ["Dune", "Solaris", "活着"]
DATA = small_dataset()


def row(kind: str, key: object, contribution: float, scorer: str = "part") -> Evidence:
    return Evidence(scorer, kind, key, contribution, "exact")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("item", 0, 1.0)], "Because of “Dune”."),
        ([row("item", 0, 1.0), row("item", 1, 0.5)], "Because of “Dune” and “Solaris”."),
        ([row("item", 0, 1.0), row("item", 1, 0.1)], "Because of “Dune”."),
        (
            [row("item", 0, 0.4), row("item", 1, 0.5), row("item", 0, 0.3, "other")],
            "Because of “Dune” and “Solaris”.",
        ),
        ([row("item", 0, -1.0), row("item", 1, 0.2)], "Because of “Solaris”."),
        (
            [row("word", "sea", 1.0), row("text", None, 0.5)],
            "Matches your word “sea”; fits what you describe.",
        ),
        ([row("word", "the", 1.0)], "Fits what you describe."),
        (
            [row("word", "the", 1.0), row("word", "sea", 0.6)],
            "Fits what you describe; matches your word “sea”.",
        ),
        ([row("word", "sea", 1.0), row("word", "salt", 0.9)], "Matches your words “sea”, “salt”."),
        ([row("tag", "jazz", 1.0)], "You take to “jazz”."),
        (
            [row("popularity", None, 1.0), row("item", 0, 0.9)],
            "Others choose it too; because of “Dune”.",
        ),
        ([row("popularity", None, 1.0), row("item", 0, 0.1)], "Others choose it too."),
        ([row("scorer", None, 1.0)], "A learnt pattern speaks for it."),
        ([row("scorer", None, 9.0), row("item", 0, 0.1)], "Because of “Dune”."),
        ([row("item", 0, -1.0)], "Nothing is known that speaks for it."),
        ([], "Nothing is known that speaks for it."),
    ],
)
def test_the_strongest_evidence_is_named(rows: list[Evidence], said: str) -> None:
    assert reason(rows, TITLES) == said


def test_in_chinese() -> None:
    assert reason([row("item", 2, 1.0), row("item", 0, 0.9)], TITLES, "zh") == "因为您关注过“活着”和“Dune”。"
    parts = [
        row("word", "家", 0.9),
        row("word", "家族", 1.0),
        row("word", "的", 0.5),
        row("word", "历史", 0.8),
    ]
    assert reason(parts, TITLES, "zh").startswith("符合您的用词“家族”、“历史”")
    assert reason([], TITLES, "zh") == "尚无依据。"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["item", "word", "tag", "text", "popularity", "offset", "residual"]),
            st.floats(-5, 5),
        ),
        max_size=40,
    )
)
def test_rows_still_sum_and_are_few(given_rows: list[tuple[str, float]]) -> None:
    rows = [row(kind, n % 5 if kind == "item" else None, value) for n, (kind, value) in enumerate(given_rows)]
    found = readable(rows, DATA)
    assert len(found) == min(len(rows), MAX_ROWS)
    assert sum(r.contribution for r in found) == pytest.approx(
        sum(value for _, value in given_rows), abs=1e-9
    )
    sizes = [abs(r.contribution) for r in found[: MAX_ROWS - 1]]
    assert sizes == sorted(sizes, reverse=True)
    if len(rows) > MAX_ROWS:
        assert found[-1].source == f"rest ({len(rows) - MAX_ROWS + 1} rows)"


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(-2, 2)), min_size=1, max_size=8))
def test_a_reason_never_names_what_spoke_against(pairs: list[tuple[int, float]]) -> None:
    said = reason([row("item", key, value) for key, value in pairs], TITLES)
    for item, title in enumerate(TITLES):
        if not any(key == item and value > 0 for key, value in pairs):
            assert f"“{title}”" not in said
