"""Cleaning of interactions and catalogues: every reason, its count and its example; what is right stays."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

from fuserec.data.cleaning import CleaningOptions, clean
from fuserec.data.cleaning.numbers import numbers
from fuserec.data.cleaning.text import text_column
from fuserec.data.dataset import DatasetInfo
from fuserec.data.raw import RawTables
from fuserec.data.weights import KINDS
from fuserec.errors import DataError

T = 1_000_000_000


def cleaned(rows, *, items=None, users=None, links=None, info=None, repeats=False, **options):
    frame = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(rows)
    as_frame = [None if table is None else pl.DataFrame(table) for table in (items, users, links)]
    raw = RawTables(frame, *as_frame, info=info or DatasetInfo(name="t"), repeats=repeats)
    return clean(raw, CleaningOptions(**options))


def ids(result):
    data = result[0].dataset()
    rows = data.interactions
    return list(zip(data.users.ids(rows.user), data.items.ids(rows.item), strict=True))


GOOD = {"user_id": ["u", "v"], "item_id": ["a", "b"]}


def with_row(**row):
    """Return two good rows and a third with a fault."""
    table = {
        name: [*values, row.pop(name, "w" if name == "user_id" else "c")] for name, values in GOOD.items()
    }
    for name, (good, bad) in row.items():
        table[name] = [good, good, bad]
    return table


DROPPED = [
    (with_row(user_id=""), "empty user id"),
    (with_row(user_id=" \t"), "empty user id"),
    (with_row(item_id=""), "empty item id"),
    (with_row(user_id="x" * 10_000), "user id of more than 1,024 bytes"),
    (with_row(item_id="é" * 513), "item id of more than 1,024 bytes"),
    (with_row(rating=("4", "")), "rating missing"),
    (with_row(rating=("4", "nan")), "rating that is not a finite number"),
    (with_row(rating=("4", "inf")), "rating that is not a finite number"),
    (with_row(rating=(4.0, float("-inf"))), "rating that is not a finite number"),
    (with_row(rating=("4", "good")), "rating that is not a finite number"),
    (with_row(timestamp=(str(T), "-5")), "impossible timestamp"),
    (with_row(timestamp=(T, 0)), "impossible timestamp"),
    (with_row(timestamp=(T, 5_000_000_000)), "impossible timestamp"),
    (with_row(timestamp=(str(T), "yesterday")), "timestamp that is not a time"),
    (with_row(kind=("view", "veiw")), "unknown kind"),
    (with_row(kind=("view", "search")), "search without words"),
]


@pytest.mark.parametrize(("table", "reason"), DROPPED, ids=[f"{r}-{i}" for i, (_, r) in enumerate(DROPPED)])
def test_a_row_with_a_fault_is_dropped_under_its_reason(table, reason):
    result = cleaned(table)
    assert ids(result) == [("u", "a"), ("v", "b")]
    found = [f for f in result[1].findings if f.level == "dropped"]
    assert [(f.count, reason in f.reason) for f in found] == [(1, True)]
    assert found[0].example
    assert len(found[0].example) <= 120
    assert result[1].totals["users"] == 2  # a user of whom nothing is left is not in the vocabulary


def test_an_id_of_exactly_1024_bytes_is_fine():
    assert len(ids(cleaned(with_row(item_id="x" * 1024)))) == 3


def test_the_example_of_an_unknown_kind_names_the_nearest():
    report = cleaned(with_row(kind=("view", "veiw")))[1]
    assert "did you mean 'view'" in report.findings[0].example


def test_a_bad_rating_on_another_kind_is_mended_not_dropped():
    table = {**GOOD, "kind": ["like", "like"], "rating": ["oops", "3"]}
    data, report = cleaned(table)
    assert report.count("on a row of another kind") == 1
    assert np.isnan(data.dataset().interactions.rating).tolist() == [True, False]


def test_kinds_follow_from_the_fields():
    table = {
        "user_id": ["u"] * 5,
        "item_id": ["a", "b", "", "c", "d"],
        "kind": ["", "", "", "View", "purchase"],
        "rating": ["4", "", "", "", ""],
        "text": ["", "", "red shoes", "", ""],
        "timestamp": [str(T + i) for i in range(5)],
    }
    data = cleaned(table)[0].dataset()
    assert [KINDS[k] for k in data.interactions.kind] == ["rating", "interaction", "view", "purchase"]
    assert data.searches.text == ("red shoes",)
    assert data.searches.time.tolist() == [T + 2]


def test_searches_alone_do_not_need_an_item_column_in_their_rows():
    table = {"user_id": ["u", "u", "v"], "item_id": ["a", None, None], "text": [None, "blue", "green"]}
    data = cleaned(table)[0].dataset()
    assert (data.n_users, data.n_items, data.n_interactions) == (2, 1, 1)
    assert data.searches.text == ("blue", "green")
    assert data.users.ids(data.searches.user) == ["u", "v"]


def test_durations_shape_the_weight():
    table = {**GOOD, "kind": ["watch", "watch"], "value": ["60", "540"]}
    weight = cleaned(table)[0].dataset().interactions.weight
    assert weight == pytest.approx([0.5, 0.9])


def test_a_negative_duration_is_mended_and_a_value_without_use_noted():
    table = {**GOOD, "kind": ["watch", "view"], "value": ["-3", "7"]}
    report = cleaned(table)[1]
    assert report.count("duration that is no positive number") == 1
    assert report.count("value that is not used") == 1


def test_a_value_is_the_rating_of_a_rating_row_without_one():
    table = {**GOOD, "kind": ["rating", "rating"], "value": ["2", "5"]}
    assert cleaned(table)[0].dataset().interactions.rating.tolist() == [2.0, 5.0]


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        ([T, T + 1], None),
        ([f"{T}.25", f"{T + 1}"], None),
        ([T * 1000, T * 1000 + 1000], "milliseconds"),
        ([T * 10**6, (T + 1) * 10**6], "microseconds"),
        ([T * 10**9, (T + 1) * 10**9], "nanoseconds"),
        (["2001-09-09T01:46:40Z", "2001-09-09T01:46:41Z"], "dates"),
        (["2001-09-09 01:46:40", "2001-09-09T03:46:41+02:00"], "dates"),
        (["2001-09-09 01:46:40.5 UTC", "2001-09-09 01:46:41"], "dates"),
        ([str(T), "2001-09-09 01:46:41"], "dates"),
    ],
)
def test_times_become_unix_seconds(column, reason):
    data, report = cleaned({"user_id": ["u", "u"], "item_id": ["a", "b"], "timestamp": column})
    time = data.dataset().interactions.time
    assert time[0] == pytest.approx(T, abs=0.6)
    assert time[1] == pytest.approx(T + 1, abs=0.01)
    assert [f.reason for f in report.findings if f.level == "mended"] == (
        [f"timestamps turned into seconds from {reason}"] if reason else []
    )


def test_dates_and_moments_of_frames():
    moment = pl.Series(["2001-09-09 01:46:40"]).str.to_datetime()
    for column in (moment, moment.dt.replace_time_zone("UTC"), moment.cast(pl.Datetime("ns"))):
        frame = pl.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": column})
        assert cleaned(frame)[0].dataset().interactions.time.tolist() == [T]
    frame = pl.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": moment.dt.date()})
    assert cleaned(frame)[0].dataset().interactions.time.tolist() == [T - T % 86_400]


def test_no_times_at_all_is_no_time_and_some_missing_is_noted():
    data, report = cleaned({**GOOD, "timestamp": [None, None]})
    assert not data.dataset().has_time
    assert not report.count("without a timestamp")
    data, report = cleaned({**GOOD, "timestamp": [T, None]})
    assert data.dataset().n_interactions == 2
    assert report.count("row without a timestamp") == 1


def test_times_that_are_none_of_ours_are_refused_with_what_to_do():
    with pytest.raises(DataError, match=r"no timestamp is a time between 1990 and 2100 \(the first is 1\)"):
        cleaned({**GOOD, "timestamp": [1, 711]})


class TestDuplicates:
    def test_with_times_the_later_of_equal_rows_stays(self):
        table = {
            "user_id": ["u"] * 4,
            "item_id": ["a"] * 4,
            "timestamp": [T, T, T + 1, T],
            "rating": [1, 5, 3, 4],
        }
        data, report = cleaned(table)
        assert data.dataset().interactions.rating.tolist() == [4.0, 3.0]
        assert report.count("duplicate row") == 2

    def test_another_kind_is_another_event(self):
        table = {"user_id": ["u", "u"], "item_id": ["a", "a"], "timestamp": [T, T], "kind": ["view", "like"]}
        assert cleaned(table)[1].count("duplicate") == 0

    def test_without_times_only_rows_equal_in_everything(self):
        table = {"user_id": ["u"] * 3, "item_id": ["a"] * 3, "rating": [3, 3, 4]}
        data, report = cleaned(table)
        assert data.dataset().n_interactions == 2
        assert report.count("duplicate row") == 1

    def test_ordered_events_may_repeat(self):
        table = {"user_id": ["u"] * 3, "item_id": ["a", "b", "a"]}
        assert ids(cleaned(table, repeats=True)) == [("u", "a"), ("u", "b"), ("u", "a")]

    def test_searches_differ_by_their_words(self):
        table = {"user_id": ["u"] * 4, "item_id": ["a", "", "", ""], "text": ["", "x", "y", "x"]}
        assert cleaned(table)[0].dataset().searches.text == ("y", "x")


class TestScale:
    @pytest.mark.parametrize(
        ("ratings", "scale"),
        [
            ([1, 5], (1, 5)),
            ([0.5, 4], (0.5, 5)),
            ([0, 4], (0, 5)),
            ([1, 1], (0, 1)),
            ([2, 8], (1, 10)),
            ([0, 9], (0, 10)),
            ([1, 80], (1, 100)),
        ],
    )
    def test_the_usual_scale_that_holds_the_ratings(self, ratings, scale):
        assert cleaned({**GOOD, "rating": ratings})[0].dataset().info.rating_scale == scale

    def test_play_counts_are_named_as_no_scale(self):
        report = cleaned({**GOOD, "rating": [1, 35_000]})[1]
        assert report.count("unusual rating scale") == 1

    def test_ratings_outside_a_declared_scale_are_dropped(self):
        info = DatasetInfo(rating_scale=(1.0, 5.0))
        result = cleaned(with_row(rating=(3, 7)), info=info)
        assert ids(result) == [("u", "a"), ("v", "b")]
        assert result[1].count("rating outside the declared scale 1 to 5") == 1

    def test_low_ratings_count_against_an_item(self):
        info = DatasetInfo(rating_scale=(1.0, 5.0))
        weight = cleaned({**GOOD, "rating": [1, 5]}, info=info)[0].dataset().interactions.weight
        assert weight[0] < 0 < weight[1]


class TestCatalogue:
    ITEMS: ClassVar = {
        "item_id": ["b", "a", "z"],
        "title": ["B &amp; b", None, "Z"],
        "year": [1999, None, 2001],
    }

    def test_the_list_of_items_is_the_vocabulary_and_others_are_dropped(self):
        result = cleaned(with_row(), items=self.ITEMS)
        data = result[0].dataset()
        assert data.items.ids() == ["b", "a", "z"]
        assert data.item_table.to_dict(as_series=False) == {
            "title": ["B & b", "", "Z"],
            "year": [1999, None, 2001],
        }
        assert ids(result) == [("u", "a"), ("v", "b")]
        assert result[1].count("does not list") == 1
        assert "item_id c" in next(f.example for f in result[1].findings if "does not list" in f.reason)

    def test_unknown_items_are_kept_on_request_after_the_listed_ones(self):
        result = cleaned(with_row(), items=self.ITEMS, unknown_items="keep")
        data = result[0].dataset()
        assert data.items.ids() == ["b", "a", "z", "c"]
        assert data.item_table["title"].to_list() == ["B & b", "", "Z", ""]
        assert ids(result) == [("u", "a"), ("v", "b"), ("w", "c")]

    def test_without_a_list_items_come_by_first_appearance(self):
        data = cleaned({"user_id": ["v", "u"], "item_id": ["z", "a"]})[0].dataset()
        assert data.items.ids() == ["z", "a"]
        assert data.users.ids() == ["v", "u"]
        assert data.item_table.columns == ["title"]
        assert data.user_table.columns == ["text"]

    def test_users_are_the_listed_ones_then_the_others(self):
        users = {"user_id": ["q", "v"], "text": ["likes tea", ""], "age": [30, 40]}
        data, report = cleaned(GOOD, users=users)
        assert data.users.to_list() == ["q", "v", "u"]
        assert data.user_table.to_dict(as_series=False) == {
            "text": ["likes tea", "", ""],
            "age": [30, 40, None],
        }
        assert report.totals["users_without_interactions"] == 1

    def test_faulty_rows_of_the_list(self):
        items = {"item_id": ["a", "", "b", "a", "x" * 2000], "title": list("ABCDE")}
        data, report = cleaned(GOOD, items=items)
        assert data.items.to_list() == ["a", "b"]
        assert data.item_table["title"].to_list() == ["A", "C"]
        assert report.count("id listed again") == 1
        assert report.count("empty id") == 1
        assert report.count("more than 1,024") == 1

    def test_spaces_around_ids_do_not_make_two_of_one(self):
        result = cleaned({"user_id": ["u", " u", "v"], "item_id": ["a ", "b", "a"]})
        assert ids(result) == [("u", "a"), ("u", "b"), ("v", "a")]
        assert result[1].count("spaces around an id") == 2

    def test_control_characters_in_ids_go(self):
        result = cleaned({"user_id": ["u\x00", "v"], "item_id": ["a\nb", "\u200ba\x7fb"]})
        assert ids(result) == [("u", "ab"), ("v", "ab")]
        assert result[1].count("control characters in it") == 3

    def test_types_of_columns(self):
        items = pl.DataFrame(
            {
                "item_id": ["a", "b"],
                "title": [2001, 1984],
                "tags": ["x|y", ""],
                "description": [["one", "two"], None],
                "score": [float("inf"), 1.5],
                "nothing": [None, None],
                "when": pl.Series(["2020-01-02", "2020-01-03"]).str.to_date(),
            }
        )
        data, report = cleaned(GOOD, items=items)
        table = data.item_table
        assert table["title"].to_list() == ["2001", "1984"]
        assert table["tags"].to_list() == [["x", "y"], []]
        assert table["description"].to_list() == ["one two", ""]
        assert table["score"].to_list() == [None, 1.5]
        assert "nothing" not in table.columns
        assert table["when"].to_list() == ["2020-01-02", "2020-01-03"]
        assert report.count("without any content") == 1

    def test_items_without_any_text_are_noted(self):
        items = {"item_id": ["a", "b"], "title": ["A", " "]}
        assert cleaned(GOOD, items=items)[1].totals["items_without_text"] == 1

    def test_whole_floats_are_the_ids_they_were_before_a_missing_value_made_them_floats(self):
        data = cleaned({"user_id": [1.0, 2.0, None], "item_id": [10, 11, 12]})[0]
        assert data.users.to_list() == ["1", "2"]
        with pytest.raises(DataError, match="user_id holds fractions"):
            cleaned({"user_id": [1.5], "item_id": ["a"]})


def test_links_are_complete_and_once():
    links = {"head": ["a", "a", "", "q"], "relation": ["by", "by", "by", "r"], "tail": ["x", "x", "y", "z"]}
    data, report = cleaned(GOOD, links=links)
    assert data.links.rows() == [("a", "by", "x"), ("q", "r", "z")]
    assert report.count("link with an empty part") == 1
    assert report.count("duplicate link") == 1
    assert (
        cleaned(GOOD, links={"head": ["q"], "relation": ["r"], "tail": ["z"]})[1].count(
            "no link names an item"
        )
        == 1
    )


class TestLimits:
    def test_the_k_core_is_what_peeling_leaves(self):
        rng = np.random.default_rng(3)
        # Long tails on both sides, so that users take items with them and items users, several times over.
        pairs = np.unique((rng.random((500, 2)) ** 2 * 60).astype(int), axis=0)
        table = {"user_id": [f"u{u}" for u, _ in pairs], "item_id": [f"i{i}" for _, i in pairs]}
        left = {(f"u{u}", f"i{i}") for u, i in pairs}
        peeled = 0
        while True:  # the definition, literally
            users = [u for u, _ in left]
            items = [i for _, i in left]
            kept = {(u, i) for u, i in left if users.count(u) >= 5 and items.count(i) >= 5}
            if kept == left:
                break
            left = kept
            peeled += 1
        assert 0 < len(left) < len(pairs)
        assert peeled > 2
        result = cleaned(table, k_core=5)
        assert set(ids(result)) == left
        assert result[1].count("outside the 5-core") == len(pairs) - len(left)
        assert result[0].users.len() == len({u for u, _ in left})

    def test_the_k_core_takes_what_it_empties_out_of_the_catalogue(self):
        table = {"user_id": ["u", "u", "v", "v", "w"], "item_id": ["a", "b", "a", "b", "a"]}
        items = {"item_id": ["z", "a", "b"], "title": ["Z", "A", "B"]}
        data = cleaned(table, items=items, k_core=2)[0].dataset()
        assert data.items.ids() == ["a", "b"]
        assert data.item_table["title"].to_list() == ["A", "B"]
        assert data.users.ids() == ["u", "v"]

    def test_searches_stay_with_the_users_that_stay(self):
        table = {"user_id": ["u", "u", "v", "v", "w", "u", "w"], "item_id": ["a", "b", "a", "b", "a", "", ""]}
        data = cleaned({**table, "text": [""] * 5 + ["kept", "gone"]}, k_core=2)[0].dataset()
        assert data.searches.text == ("kept",)

    def test_an_impossible_count_is_named_and_dropped_on_request(self):
        users = ["robot"] * 1500 + [f"u{i}" for i in range(500)]
        table = {"user_id": users, "item_id": [f"i{n}" for n in range(1500)] + [f"i{n}" for n in range(500)]}
        result = cleaned(table)
        assert result[0].dataset().n_interactions == 2000
        found = next(f for f in result[1].findings if "impossible number" in f.reason)
        assert (found.level, found.count, found.example) == ("noted", 1, "robot: 1,500 interactions")
        result = cleaned(table, drop_outliers=True)
        assert result[0].dataset().n_interactions == 500
        assert result[1].dropped == 1500

    def test_impossible_speed(self):
        n = 150
        table = {"user_id": ["bot"] * n + ["u", "v"], "item_id": [f"i{i}" for i in range(n)] + ["i1", "i2"]}
        table["timestamp"] = [T + 7] * n + [T, T + 1]
        assert cleaned(table)[1].count("events in a second, kept") == 1
        assert cleaned(table, drop_outliers=True)[0].dataset().n_interactions == 2
        table["timestamp"] = [t - t % 86_400 for t in table["timestamp"]]  # times by the day tell no speed
        assert cleaned(table)[1].count("events in a second") == 0


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(DataError, match=r"no interaction is left \(empty user id: 2\)"):
        cleaned({"user_id": ["", ""], "item_id": ["a", "b"]})
    data = cleaned(pl.DataFrame(schema={"user_id": pl.String}), items={"item_id": ["a"]}, allow_empty=True)[
        0
    ].dataset()
    assert (data.n_users, data.n_items, data.n_interactions) == (0, 1, 0)


@pytest.mark.parametrize(("table", "what"), [({"user_id": ["u", "u"], "item_id": ["a", "b"]}, "users")])
def test_one_user_and_one_item_are_noted(table, what):
    report = cleaned(table)[1]
    assert report.count(f"only one of the {what}") == 1
    assert cleaned({"user_id": ["u"], "item_id": ["a"]})[1].count("only one of the") == 2


def test_the_report_is_plain_data():
    import json

    report = cleaned(with_row(rating=("4", "")))[1]
    shown = json.loads(json.dumps(report.to_json()))
    assert shown["totals"]["interactions"] == 2
    assert shown["findings"][0]["reason"] == "rating missing"
    assert shown["dropped"] == 1
    assert report.rows()[0][:4] == ("dropped", "1", "rating missing", "interactions")
    assert ("rating scale", "1 to 5") in report.total_rows()


def test_a_number_that_would_become_infinite_is_none():
    assert numbers(pl.Series(["1e300", "4", "-1e39"])).invalid.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pl.Series("x", [b"plain", b"\xff"]), ["plain", "\ufffd"]),
        (pl.Series("x", [timedelta(days=1)]), ["P1D"]),
    ],
)
def test_columns_of_unusual_types_become_text(column, texts):
    found = text_column(column)
    assert found.to_list() == texts
    assert found.name == "x"
