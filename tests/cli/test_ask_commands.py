"""``fuserec recommend``, ``similar``, ``search`` and ``explain``."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from fuserec.recommender import Recommender

ITEM_KEYS = {"item_id", "title", "rank", "score", "probability", "reason", "evidence", "moves"}


def test_recommend_json_is_the_format_of_the_design(cli, saved_sample: Path) -> None:
    found = cli("recommend", saved_sample, "--user", "reader-0204", "-k", 3, "--explain", "--json").json
    assert {"query", "known", "items"} <= set(found)
    assert found["known"] is True
    assert found["query"]["user"] == "reader-0204"
    assert [item["rank"] for item in found["items"]] == [1, 2, 3]
    for item in found["items"]:
        assert set(item) == ITEM_KEYS
        assert item["reason"].endswith(".")
        assert set(item["evidence"][0]) == {"scorer", "from", "contribution", "method"}
        total = sum(row["contribution"] for row in item["evidence"])
        assert abs(total - item["score"]) <= 1e-4 * max(1, abs(item["score"]))


def test_recommend_prints_what_the_library_answers(
    cli, saved_sample: Path, sample_model: Recommender
) -> None:
    done = cli("recommend", saved_sample, "--history", "dune,foundation", "--history", "solaris", "-k", 4)
    answer = sample_model.recommend(history=["dune", "foundation", "solaris"], k=4)
    assert done.status == 0
    for item in answer.items:
        assert item.title in done.out
        assert item.item_id in done.out
    assert "Works are real; readers are simulated" in done.err
    assert all(len(line) <= 100 for line in done.out.splitlines())


def test_recommend_for_nobody_a_sentence_and_searches(cli, saved_sample: Path) -> None:
    nobody = cli("recommend", saved_sample, "--json").json
    assert len(nobody["items"]) == 10
    asked = {"murder in a country house": "--text", "a clever detective": "--search"}
    for words, option in asked.items():
        found = cli("recommend", saved_sample, option, words, "--search", words, "--explain", "--json").json
        first = found["items"][0]
        assert first["item_id"] != nobody["items"][0]["item_id"]
        assert "our words" in first["reason"] or "you describe" in first["reason"]
        assert any(row["from"].removeprefix("word:") in words.split() for row in first["evidence"])


def test_recommend_reasons_in_chinese(cli, saved_sample: Path) -> None:
    found = cli(
        "recommend", saved_sample, "--history", "to-live", "--explain", "--language", "zh", "--json"
    ).json
    assert "“活着 (To Live)”" in found["items"][0]["reason"]
    assert "en or zh" in cli("recommend", saved_sample, "--language", "fr").fault


def test_filters_all_have_to_hold(cli, saved_sample: Path, sample_model: Recommender) -> None:
    options = ["--filter", "year>=1990", "--filter", "year<2000", "--filter", "categories=Film"]
    found = cli("recommend", saved_sample, *options, "-k", 50, "--json").json["items"]
    table, items = sample_model.fitted.dataset.item_table, sample_model.fitted.dataset.items
    rows = [items.index(item["item_id"]) for item in found]
    assert rows
    assert all(1990 <= table["year"][row] < 2000 and "Film" in table["categories"][row] for row in rows)
    both = cli(
        "recommend", saved_sample, "--filter", "categories=Film", "--filter", "categories=Drama", "--json"
    )
    assert both.json["items"]
    for item in both.json["items"]:
        assert {"Film", "Drama"} <= set(table["categories"][items.index(item["item_id"])])
    assert (
        "no column 'yaer'; did you mean 'year'?" in cli("recommend", saved_sample, "--filter", "yaer>1").fault
    )
    assert "COLUMN OPERATOR VALUE" in cli("recommend", saved_sample, "--filter", "year").fault
    assert "is not a number" in cli("recommend", saved_sample, "--filter", "year>now").fault


def test_exclusions_candidates_and_probability(cli, saved_sample: Path, tmp_path: Path) -> None:
    listed = tmp_path / "candidates.txt"
    listed.write_text("dune\nsolaris\n\nhyperion\n", encoding="utf-8")
    found = cli(
        "recommend", saved_sample, "--candidates", f"@{listed}", "--exclude", "hyperion", "--json"
    ).json
    assert {item["item_id"] for item in found["items"]} == {"dune", "solaris"}
    assert "no such file" in cli("recommend", saved_sample, "--candidates", "@nowhere.txt").fault.lower()
    likely = cli("recommend", saved_sample, "--user", "reader-0204", "--min-probability", 0.1, "--json").json
    assert 0 < len(likely["items"]) < 10
    assert all(item["probability"] >= 0.1 for item in likely["items"])
    assert "from 0 to 1" in cli("recommend", saved_sample, "--min-probability", 2).fault


def test_k(cli, saved_sample: Path, sample_model: Recommender) -> None:
    assert "k = 0: has to be a whole number of at least 1" in cli("recommend", saved_sample, "-k", 0).fault
    assert cli("recommend", saved_sample, "-k", "many").status == 1
    whole = cli("recommend", saved_sample, "--history", "dune", "-k", 1_000_000, "--json").json["items"]
    assert len(whole) == sample_model.fitted.dataset.n_items - 1
    assert len({item["item_id"] for item in whole}) == len(whole)


def test_unknown_ids(cli, saved_sample: Path) -> None:
    stranger = cli("recommend", saved_sample, "--user", "nobody", "--json")
    assert stranger.json["known"] is False
    assert len(stranger.json["items"]) == 10
    assert "'nobody' is unknown" in stranger.err
    some = cli("recommend", saved_sample, "--history", "dune,nonsense", "--json")
    assert some.json["query"]["history"] == ["dune"]
    assert "1 unknown item of the history left out: 'nonsense'" in some.err
    assert "none of its 2 items" in cli("recommend", saved_sample, "--history", "nonsense,more").fault
    assert "did you mean 'dune'?" in cli("similar", saved_sample, "dunes").fault
    assert "did you mean 'dune'?" in cli("recommend", saved_sample, "--candidates", "dunes").fault
    long = cli("similar", saved_sample, "x" * 10_000).fault
    assert len(long) < 300
    assert cli("recommend", saved_sample, "--user", "x" * 10_000, "--json").json["known"] is False


def test_words_that_are_no_unicode(shell, saved_sample: Path) -> None:
    done = shell(
        "recommend", saved_sample, "--text", b"caf\xe9 \xff".decode("utf-8", "surrogateescape"), "--json"
    )
    assert len(done.json["items"]) == 10


def test_similar_and_search(cli, saved_sample: Path) -> None:
    near = cli("similar", saved_sample, "dune", "-k", 5, "--json").json["items"]
    assert "dune" not in [item["item_id"] for item in near]
    assert any("dune" in item["item_id"] for item in near)
    done = cli("search", saved_sample, "desert planet", "-k", 5)
    assert done.status == 0
    assert "Dune" in done.out
    films = cli("search", saved_sample, "desert", "--filter", "categories=Film", "--json").json["items"]
    assert films
    assert "dune" not in [item["item_id"] for item in films]
    assert (
        cli("search", saved_sample, "desert planet", "--user", "reader-0204", "--json").json["known"] is True
    )
    assert "the text is empty" in cli("search", saved_sample, "  ").fault


def test_explain(cli, saved_sample: Path) -> None:
    found = cli("explain", saved_sample, "--user", "reader-0204", "--item", "sherlock", "--json").json
    assert set(found) == ITEM_KEYS
    assert abs(sum(row["contribution"] for row in found["evidence"]) - found["score"]) < 1e-4
    done = cli("explain", saved_sample, "--history", "dune", "--item", "dune-messiah")
    assert done.status == 0
    assert "Because of “Dune”" in done.out
    assert "sum" in done.out
    unknown = cli("explain", saved_sample, "--user", "nobody", "--item", "dune")
    assert unknown.status == 0
    assert "unknown" in unknown.err


def test_a_title_cannot_steer_the_terminal(cli, small: Path, quick: Path, tmp_path: Path) -> None:
    from dataclasses import replace

    import polars as pl

    cli("fit", small, "--out", tmp_path / "model", "--config", quick)
    model = Recommender.load(tmp_path / "model")
    table = model.fitted.dataset.item_table
    evil = table.with_columns(pl.lit("\x1b[31m[bold]red\u202e").alias("title"))
    fitted = replace(model.fitted, dataset=replace(model.fitted.dataset, item_table=evil))
    Recommender.of(model.config, fitted).save(tmp_path / "evil")
    done = cli("recommend", tmp_path / "evil", "-k", 2)
    assert done.status == 0
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "[bold]red" in done.out


@pytest.mark.parametrize(
    "damage", ["missing", "foreign", "no json", "newer", "truncated", "changed", "outside"]
)
def test_a_model_that_is_none(cli, own_sample: Path, damage: str) -> None:
    head = own_sample / "model.json"
    part = next(own_sample.glob("features-*.safetensors"))
    said = {
        "missing": "not a FuseRec model",
        "foreign": "not written by FuseRec",
        "no json": "cannot be read as JSON",
        "newer": "newer than this release",
        "truncated": "is damaged",
        "changed": "is damaged",
        "outside": "outside of the folder",
    }
    text = head.read_text(encoding="utf-8")
    if damage == "missing":
        head.unlink()
    elif damage == "foreign":
        head.write_text('{"model": "another"}', encoding="utf-8")
    elif damage == "no json":
        head.write_bytes(b"\x80\x04\x95pickle")
    elif damage == "newer":
        head.write_text(text.replace('"format": 1', '"format": 99', 1), encoding="utf-8")
    elif damage == "truncated":
        part.write_bytes(part.read_bytes()[:1000])
    elif damage == "changed":
        data = bytearray(part.read_bytes())
        data[-1] ^= 1
        part.write_bytes(bytes(data))
    else:
        head.write_text(text.replace(f'"{part.name}"', f'"../{part.name}"'), encoding="utf-8")
    assert said[damage] in cli("recommend", own_sample, "--user", "reader-0204").fault


def test_the_context_reaches_the_model_and_is_shown(cli, tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "c.toml"
    data.mkdir()
    rows = []
    for u, i in product(range(30), range(6)):
        kind, device = ("m", "mobile") if (u + i) % 2 else ("d", "desk")
        rows.append(f"u{u},{kind}{i % 5},{1_600_000_000 + 86_400 * (7 * u + i)},{device}")
    (data / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp,device", *rows]), "utf-8")
    config.write_text(
        '[features]\nuse_sentence = "never"\n[parts.factorization_machine]\nepochs = 3\nembedding_dim = 4\n',
        "utf-8",
    )
    model = tmp_path / "model"
    assert cli("fit", data, "--out", model, "--config", config).status == 0
    done = cli("recommend", model, "--context", "device=mobile,place=a, b", "--at", 1.6e9, "--json")
    assert done.json["query"]["context"] == {"device": "mobile", "place": "a, b"}
    assert "context: unknown key left out: 'place'" in str(done.json["warnings"])
    mobile, desk = (
        {
            item["item_id"]: item["score"]
            for item in cli("recommend", model, "--context", f"device={d}", "--json").json["items"]
        }
        for d in ("mobile", "desk")
    )
    assert mobile != desk
    wrong = cli("recommend", model, "--context", "device")
    assert wrong.status == 1
    assert wrong.err.strip().splitlines()[-1].endswith("write NAME=VALUE, e.g. device=mobile,place=home")
    long = cli("recommend", model, "--context", f"device={'x' * 2000}")
    assert long.status == 1
    assert "at most 1000" in long.err
