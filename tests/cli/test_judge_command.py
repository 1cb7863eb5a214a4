"""``fuserec judge``: the heads of a language model of pairs, asked about somebody and an item."""

from __future__ import annotations

import numpy as np
import pytest

from fuserec import Recommender
from fuserec.cli.judge import _said
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.errors import RequestError
from fuserec.judged import Judgement, pair_scorer
from fuserec.run import RunOptions
from fuserec.testing import small_dataset
from fuserec.testing.small import WORDLESS

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers", reason="the extra `deep` (transformers) is not installed")

RUN = RunOptions(seed=3, threads=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from fuserec.testing.language import tiny_model

    place, data = tmp_path_factory.mktemp("judge"), small_dataset()
    words = " ".join(filter(None, data.item_table["title"].to_list())).split()
    part = {
        "form": "bi",
        "model": str(tiny_model(place / "tiny", "bert", words)),
        "heads": {"topic": 0.5, "match": 1.0, "rating": 0.5, "sentiment": 0.5},
        "examples": 64,
        "epochs": 1,
        "head_dim": 4,
        "user_length": 16,
    }
    parts = {"popularity": {}, "language_pair": part}
    config = RecommenderConfig.parse({"features": {"use_sentence": "never"}, "parts": parts}, "test")
    Recommender(config).fit(data, RUN).save(place / "model")
    return place / "model"


def test_each_head_is_told_the_one_that_ranks_first(cli, folder):
    model = Recommender.load(folder)
    scorer = pair_scorer(model.fitted.fused)
    found = cli("judge", folder, "--history", "item-0,item-4", "--item", "item-8", "--json").json
    assert (found["item_id"], found["title"]) == ("item-8", model.fitted.titles[8])
    heads = {one["head"]: one for one in found["heads"]}
    assert list(heads) == ["match", "topic", "rating", "sentiment"]
    q = QueryBatch.of_histories([[0, 4]])
    for head in ("match", "rating", "sentiment"):
        wanted = float(scorer.says(head, q)[0, 8])
        assert heads[head]["value"] == pytest.approx(wanted, rel=1e-4), head
        assert heads[head]["shares"] == {}
    assert heads["match"]["threshold"] == pytest.approx(1 / (1 + np.exp(-scorer.threshold)))
    assert heads["sentiment"]["threshold"] is None
    assert 1.0 <= heads["rating"]["value"] <= 5.0
    assert heads["topic"]["value"] is None
    assert sum(heads["topic"]["shares"].values()) == pytest.approx(1.0, rel=1e-5)
    assert set(heads["topic"]["shares"]) == {"space", "crime", "kitchen", "江湖"}
    said = cli("judge", folder, "--text", "robot galaxy", "--item", "item-8")
    assert said.status == 0
    assert " on)" in said.out  # the threshold of the match
    assert len(said.out.splitlines()) == 5


def test_yes_begins_at_the_threshold_that_validation_has_set():
    said = {value: _said(Judgement("match", "chance", value, {}, 0.3)) for value in (0.2, 0.4, None)}
    assert said == {0.2: "20 % (no, from 30 % on)", 0.4: "40 % (yes, from 30 % on)", None: "no text to read"}
    assert _said(Judgement("click", "chance", 0.4, {}, None)) == "40 %"
    near = [_said(Judgement("match", "chance", 0.99983, {}, end)) for end in (0.9999995, 0.99983, 0.99)]
    assert near == [
        "99.98 % (no, from 100.00 % on)",
        "100 % (no, from 100 % on)",
        "100 % (yes, from 99 % on)",
    ]
    assert _said(Judgement("match", "chance", 0.0004, {}, 0.0002)) == "0.04 % (yes, from 0.02 % on)"
    assert _said(Judgement("rating", "value", 0.4, {}, None)) == "0.40"
    shares = {"a": 0.05, "b": 0.5, "c": 0.15, "d": 0.3}
    assert _said(Judgement("topic", "shares", None, shares, None)) == "b 50 %, d 30 %, c 15 %"


def test_where_there_is_no_text_nothing_is_made_up(cli, folder):
    bare = f"item-{WORDLESS[0]}"
    heads = {one.head: one for one in Recommender.load(folder).judge(bare, history=["item-0"])}
    assert heads["match"].value is None
    assert heads["topic"].shares  # of the person alone
    nobody = {one.head: one for one in Recommender.load(folder).judge("item-8")}
    assert nobody["match"].value is None
    assert nobody["topic"].shares == {}
    silent = cli("judge", folder, "--item", bare)
    assert "no text to read" in silent.out
    assert "no text of who asks" in silent.err
    assert "no text of who asks" not in cli("judge", folder, "--item", bare, "--history", "item-0").err


def test_what_is_wrong_is_one_line(cli, folder):
    assert "item-999" in cli("judge", folder, "--item", "item-999", "--user", "user 3").fault
    assert "unknown" in cli("judge", folder, "--item", "item-8", "--user", "nobody").err
    given = ["--history", "item-0,item-zz", "--context", "mood=blue"]
    for command in ("judge", "explain"):
        said = cli(command, folder, "--item", "item-8", *given).err
        assert "'item-zz'" in said, command
        assert "'mood'" in said, command
    config = RecommenderConfig.parse(
        {"features": {"use_sentence": "never"}, "parts": {"popularity": {}}}, "test"
    )
    plain = Recommender(config).fit(small_dataset(), RUN)
    with pytest.raises(
        RequestError, match=r"none of the parts \(popularity\) is a language_pair: fit a model"
    ):
        plain.judge("item-8")
