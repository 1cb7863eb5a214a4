"""The language model of pairs learns what was planted in words, in each of its forms, and nothing where nothing is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from planted_words import LEARNS, N_ITEMS, RUN, TASTES, ring_of_tastes, share_of, tiny, with_profiles

from fuserec import Recommender
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.encoders.base import WeightsError
from fuserec.encoders.reading import Words, with_words
from fuserec.errors import ConfigError, DataError, MissingExtraError, RequestError
from fuserec.neural.language.heads import known_heads
from fuserec.run import CancelledError
from fuserec.scorers import create
from fuserec.scorers.language_pair import _offsets
from fuserec.scorers.ratings import Baseline
from fuserec.testing import check_scorer, dataset_of, small_dataset, small_features
from fuserec.testing.subject import restored

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")

FORMS = ("cross", "bi", "pair")
OWN = {"bi": {"learning_rate": 3e-3, "batch_size": 32, "epochs": 8}, "pair": {"head_dim": 16}}
"""What each form needs to learn in so few steps."""

ITEMS = np.arange(N_ITEMS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="module")
def model(folder):
    return tiny(folder)


def fitted(model, data, run=RUN, **options):
    scorer = create("language_pair", {**LEARNS, "model": model, **options})
    return scorer.fit(data, small_features(data, run), run)


def next_taste(scorer):
    """Return the share of the right taste among the best five, after one item of each taste."""
    q = QueryBatch.of_histories([[0], [1], [2]])
    values = scorer.score(q).values
    return float(np.mean([share_of(values[t], (t + 1) % 3, np.setdiff1d(ITEMS, [t])) for t in range(3)]))


@pytest.fixture(scope="module")
def learnt(model):
    return {form: fitted(model, ring_of_tastes(), form=form, **OWN.get(form, {})) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_the_words_of_a_history_predict_the_words_of_what_comes_next(learnt, form):
    """An untrained model finds the same words again, hence the wrong taste: sorted downwards, by what was learnt."""
    assert next_taste(learnt[form]) > 0.9


@pytest.mark.parametrize("form", FORMS)
def test_shuffled_labels_give_chance(model, form):
    assert next_taste(fitted(model, ring_of_tastes(shuffled=True), form=form, **OWN.get(form, {}))) < 0.75


def test_a_softmax_over_the_batch_learns_it_too(model):
    data = ring_of_tastes()
    for options in ({"similarity": "dot", "temperature": 0.2}, {}):
        assert next_taste(fitted(model, data, form="bi", loss="softmax", **options)) > 0.9


def test_what_people_say_stands_for_their_history(model):
    """Who speaks of one taste takes the next one: words are read, and a query brings its own."""
    data = ring_of_tastes(n_users=180)
    rng = np.random.default_rng(1)
    said = [" ".join(rng.permutation(TASTES[u % 3])[:3]) for u in range(data.n_users)]
    rows = data.interactions
    data = with_profiles(data.with_rows(np.flatnonzero(rows.item % 3 == (rows.user + 1) % 3)), said)
    scorer = fitted(model, data, form="bi", loss="softmax", batch_size=32)
    features = small_features(data, RUN)
    nobody = QueryBatch.of_histories([[], [], []])
    asked = with_words(nobody, [Words(request=" ".join(words[:3])) for words in TASTES], features, RUN)
    scores = scorer.score(asked)
    assert scores.queries.all()
    assert not scorer.score(nobody).queries.any()
    assert np.mean([share_of(scores.values[t], (t + 1) % 3, ITEMS) for t in range(3)]) > 0.9


@pytest.mark.parametrize(
    ("kind", "tuning"),
    [("gpt2", {"method": "lora", "rank": 8, "targets": "all"}), ("t5", {"method": "full"})],
    ids=["GPT-like, LoRA", "T5-like"],
)
def test_other_families_learn_it(folder, kind, tuning):
    scorer = fitted(tiny(folder, kind), ring_of_tastes(), form="cross", tuning=tuning)
    assert scorer._model.reader.why_torch.startswith("it reads as ")
    assert next_taste(scorer) > 0.9


def test_one_encoder_learns_several_things(model):
    """Ratings, sentiment and topics beside the match; each head says what its labels say."""
    data = ring_of_tastes(shuffled=True, ratings=True)
    data = replace(
        data,
        interactions=replace(data.interactions, weight=np.where(data.interactions.rating < 3, -0.5, 1.0)),
    )
    heads = {"match": 1.0, "rating": 0.3, "sentiment": 0.5, "topic": 0.3}
    scorer = fitted(model, data, form="pair", heads=heads, rating_ids=False, head_dim=16)
    q = QueryBatch.of_histories([[1], [2], [4]])
    wanted = np.where(np.arange(12) % 3 == 0, 2.0, 5.0)
    found = scorer.predict(q, np.tile(np.arange(12), (3, 1)))
    assert np.abs(found - wanted).mean() < 0.5
    for one in (scorer, restored(scorer, small_features(data, RUN))):
        good = one.says("sentiment", q)
        assert ((good > 0.5) == (ITEMS % 3 != 0)).mean() > 0.95
        np.testing.assert_allclose(one.says("rating", q, np.arange(12)), found, rtol=1e-4)
        np.testing.assert_allclose(one.says("match", q), 1 / (1 + np.exp(-one.score(q).values)), rtol=1e-4)
        shares = one.says("topic", q)  # of people alone: which category they like next
        assert one.taught("topic").names == ("taste 0", "taste 1", "taste 2")
        np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
        assert shares[:, 0].max() < 0.25  # nobody likes taste 0
    nobody = QueryBatch.of_histories([[], [1]])
    for head in known_heads():
        if head != "click":
            assert np.isnan(scorer.says(head, nobody)).all(axis=1).tolist() == [True, False]
    with pytest.raises(
        RequestError, match=r"'sentiments' was not taught; did you mean 'sentiment'\?.*fit again"
    ):
        scorer.says("sentiments", q)
    logits = scorer.score(q).values  # of two tastes taken after each, the disliked one is no match
    assert logits[:, ITEMS % 3 == 0].mean() < logits[:, ITEMS % 3 != 0].mean()


def test_a_rating_is_what_ids_say_and_what_the_texts_add(model):
    data = ring_of_tastes(shuffled=True, ratings=True)
    items = np.tile(ITEMS, (3, 1))
    q = replace(data.queries(np.arange(3)), users=np.full(3, -1, np.int32))
    text = fitted(model, data, heads={"rating": 1.0}, form="pair", head_dim=16, epochs=3, rating_ids=False)
    both = fitted(model, data, heads={"rating": 1.0}, form="pair", head_dim=16, epochs=3)
    for scorer in (text, both):
        found = scorer.predict(q, items)
        assert np.abs(found - np.where(items % 3 == 0, 2.0, 5.0)).mean() < 0.5
        np.testing.assert_allclose(
            scorer.score(q).values.clip(1, 5), found, rtol=1e-5
        )  # ranks by what it predicts
    unread = replace(q, weights=-np.abs(q.weights))  # nothing liked: nothing to read, ids alone speak
    assert not both.score(unread).queries.any()
    assert np.isfinite(both.predict(unread, items)).all()
    assert np.ptp(text.predict(unread, items)) == 0.0


def test_what_ids_say_of_a_rating_does_not_hold_it():
    """μ + b_i + Σ others' deviations / (damping + others): the text would else be taught what is left of the answer."""
    data = dataset_of([[0, 1, 2], [0, 1], [2]], 3, ratings=[[5, 1, np.nan], [4, 2], [3]])
    base = Baseline(3.0, np.array([1.0, -1.0, 0.0], np.float32), 2.0, (1.0, 5.0))
    # Deviations of the first: +1 and -1; the second: 0 and 0; a rating that is missing counts for nobody.
    wanted = [3 + 1 - 1 / 3, 3 - 1 + 1 / 3, 3 + 0 + 0 / 4, 4.0, 2.0, 3.0]
    np.testing.assert_allclose(_offsets(data, base), wanted, rtol=1e-6)
    assert _offsets(data, None) is None


def test_the_rest_follows_below_what_a_cross_encoder_has_read(learnt, model):
    data = ring_of_tastes()
    state = learnt["cross"].state()
    scorer = type(learnt["cross"])
    config = learnt["cross"].config
    few = scorer.from_state(config.model_copy(update={"candidates": 6}), *state, small_features(data, RUN))
    q = QueryBatch.of_histories([[0], [1, 2], [5]])
    every, some = learnt["cross"].score(q).values, few.score(q).values
    words = small_features(data, RUN).lexical.toarray()
    for row in range(3):
        read = np.flatnonzero(np.isclose(some[row], every[row], rtol=1e-5))
        assert read.size >= 6
        pool = read[np.argsort(-some[row, read])][:6]
        rest = np.setdiff1d(ITEMS, pool)
        assert some[row, rest].max() < some[row, pool].min()
        own = q.items[q.indptr[row] : q.indptr[row + 1]]
        assert not np.isin(own, pool).any()
        # read is what is nearest to the words of the history, and the rest follows by that
        near = words @ (0.8 ** np.arange(len(own))[::-1] @ words[own])
        assert near[pool].min() > np.delete(near, [*pool, *own]).max() - 1e-6
        assert (np.diff(near[rest[np.argsort(-some[row, rest])]]) < 1e-6).all()
    assert few.for_candidates().config.candidates == 0


@pytest.mark.parametrize("form", FORMS)
def test_a_model_is_arrays_and_json_and_needs_its_base_no_more(learnt, form, model):
    again = restored(learnt[form], small_features(ring_of_tastes(), RUN))
    assert again._model.reader.kept.kind == "BertModel"
    q = QueryBatch.of_histories([[0, 4], [1]])
    np.testing.assert_array_equal(again.score(q).values, learnt[form].score(q).values)
    assert model not in str(learnt[form].state()[1]["reader"])


@pytest.mark.parametrize("method", ["prefix", "soft_prompt"])
def test_prompts_are_kept_with_a_model(folder, method):
    tuning = {"method": method, "virtual_tokens": 4}
    scorer = fitted(tiny(folder, "gpt2"), ring_of_tastes(), form="cross", tuning=tuning, epochs=1)
    again = restored(scorer, small_features(ring_of_tastes(), RUN))
    q = QueryBatch.of_histories([[0, 4], [1]])
    found = scorer.score(q).values
    np.testing.assert_allclose(again.score(q).values, found, atol=1e-5)
    assert np.ptp(found) > 0


def test_a_model_folder_answers_without_its_base_and_without_pytorch(tmp_path):
    base = tiny(tmp_path)
    table = {**LEARNS, "model": base, "form": "bi", "epochs": 1}
    stage = {"scorer": {**table, "form": "cross"}, "depth": 5, "if_better": False, "folds": 2}
    config = RecommenderConfig.parse(
        {
            "features": {"use_sentence": "never"},
            "parts": {"popularity": {}, "language_pair": table},
            "fusion": {"last_stage": stage},
        },
        "test",
    )
    model = Recommender(config).fit(ring_of_tastes(n_users=60), RUN)
    wanted = model.recommend(history=["i3"], text="robot", k=4)
    model.save(tmp_path / "model")
    shutil.rmtree(base)
    asked = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"  # as if they were not installed
        "from fuserec import Recommender\n"
        f"found = Recommender.load({str(tmp_path / 'model')!r}).recommend(history=['i3'], text='robot', k=4)\n"
        "print([item.item_id for item in found.items])"
    )
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == str([item.item_id for item in wanted.items])


def test_items_that_came_since_are_read(learnt):
    data = ring_of_tastes()
    titles = ["robot alien galaxy", "alibi police murder"]
    new = replace(
        data,
        items=type(data.items).from_ids(["new-0", "new-1"]),
        item_table=data.item_table[:2].with_columns(pl.Series("title", titles)),
        interactions=data.interactions.take(np.zeros(data.n_interactions, dtype=bool)),
    )
    grown = data.extended(new)
    later = learnt["bi"].updated(grown, small_features(data, RUN).extended(grown, RUN), RUN)
    values = later.score(QueryBatch.of_histories([[0], [2]])).values
    assert values.shape == (2, N_ITEMS + 2)
    assert values[0, N_ITEMS] < values[0, N_ITEMS + 1]  # after space comes crime
    assert values[1, N_ITEMS] > values[1, N_ITEMS + 1]  # after the kitchen comes space


def test_a_stopped_training_goes_on_to_the_same_bits(model, tmp_path):
    data, asked = ring_of_tastes(n_users=40), []
    counted = replace(RUN, checkpoints=tmp_path, cancel=lambda: asked.append(1) or len(asked) == 9)
    options = {"form": "bi", "epochs": 2, "held_out": 4}
    with pytest.raises(CancelledError, match="goes on from its checkpoint"):
        fitted(model, data, run=counted, **options)
    again, whole = fitted(model, data, run=counted, **options), fitted(model, data, **options)
    for name, array in whole.state()[0].items():
        np.testing.assert_array_equal(array, again.state()[0][name], err_msg=name)


def test_other_weights_in_the_same_folder_take_up_no_checkpoint(tmp_path):
    from fuserec.testing.language import tiny_model

    data, run, weights = ring_of_tastes(n_users=12), replace(RUN, checkpoints=tmp_path / "kept"), []
    words = " ".join(data.item_table["title"].to_list()).split()
    for seed in (1, 2):
        shutil.rmtree(tmp_path / "base", ignore_errors=True)
        base = str(tiny_model(tmp_path / "base", "bert", words, seed=seed))
        weights.append(fitted(base, data, run=run, form="bi", epochs=1, held_out=4).state()[0])
    assert len(list((tmp_path / "kept").iterdir())) == 2
    assert any((weights[0][name] != array).any() for name, array in weights[1].items() if "item" not in name)


def test_a_hub_that_cannot_be_reached_is_one_line_with_a_remedy(monkeypatch, tmp_path):
    for name in ("FUSEREC_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
    said = (
        r"^the model 'nobody/nothing' is not on this machine: http://127.0.0.1:9 cannot be reached .*"
        "; name a folder .*`fuserec models install minilm`.*HF_ENDPOINT"
    )
    with pytest.raises(WeightsError, match=said) as caught:
        fitted("nobody/nothing", ring_of_tastes(n_users=6), epochs=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"form": "cross", "candidates": 8, "heads": {"match": 1.0, "rating": 0.5, "topic": 0.2}},
        {"form": "pair", "heads": {"match": 1.0, "sentiment": 0.2}, "compute_type": "float32"},
        {"form": "bi", "tuning": {"method": "adapters"}},
    ],
    ids=lambda options: options["form"],
)
def test_the_contract_holds_for_each_form(model, options):
    small = {"epochs": 1, "examples": 64, "head_dim": 8, "held_out": 5, "user_length": 24}
    check_scorer(create("language_pair", {**LEARNS, "model": model, **small, **options}))


def test_the_threshold_and_the_accuracy_are_of_held_out_people(model):
    scorer = fitted(model, ring_of_tastes(), form="bi", **OWN["bi"], held_out=100)
    assert scorer.facts["cases"] == 24  # a tenth of the people, one taken and one drawn item each
    assert scorer.facts["accuracy"] > 0.7
    assert np.isfinite(scorer.threshold)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"heads": {"mach": 1.0}}, r"unknown head 'mach'; did you mean 'match'\?"),
        ({"heads": {"match": 0.0}}, "has to be above 0: leave it out"),
        ({"heads": {"topic": 1.0}}, "says nothing of an item"),
        ({"form": "cross", "loss": "softmax"}, "for form = 'bi' only"),
        ({"tuning": {"method": "lora", "rnak": 4}}, "tuning.rnak"),
    ],
)
def test_a_wrong_configuration_is_named(wrong, said):
    with pytest.raises(ConfigError, match=said):
        create("language_pair", wrong)


def test_without_a_tokenizer_or_weights_it_says_so_in_one_line(model, tmp_path):
    data = ring_of_tastes(n_users=6)
    for missing, said in (
        ("tokenizer.json", "its tokenizer is missing"),
        ("model.safetensors", "its weights"),
    ):
        own = tiny(tmp_path / missing)
        (tmp_path / missing / "bert" / missing).unlink()
        with pytest.raises(WeightsError, match=said) as caught:
            fitted(own, data)
        assert "\n" not in str(caught.value)
    (tmp_path / "model.safetensors" / "bert" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(WeightsError, match="its weights cannot be read"):
        fitted(str(tmp_path / "model.safetensors" / "bert"), data)
    with pytest.raises(WeightsError, match="there is no folder"):
        fitted("./nowhere", data)


def test_without_anything_to_learn_from_it_says_so(model):
    data = ring_of_tastes(n_users=6)
    first = data.with_rows(data.indptr[:-1])
    with pytest.raises(DataError, match="nothing to learn from, leave this part out"):
        fitted(model, first)
    bare = data.item_table.with_columns(pl.lit(None, pl.String).alias("title")).drop("categories")
    with pytest.raises(DataError, match="no item of 'paper' has a text"):
        fitted(model, replace(data, item_table=bare))
    for head in ("rating", "click", "sentiment"):
        with pytest.raises(DataError, match="needs"):
            fitted(model, data, heads={"match": 1.0, head: 1.0})


def test_a_gpu_that_is_too_small_is_one_line(model, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB\nand so on")

    monkeypatch.setattr(torch.nn.functional, "binary_cross_entropy_with_logits", full)
    with pytest.raises(ConfigError, match=r"too little memory .*: lower batch_size \(16\)") as caught:
        fitted(model, ring_of_tastes(n_users=6))
    assert "\n" not in str(caught.value)


def test_events_are_planned_within_a_time(model):
    data = ring_of_tastes()
    scorer = create("language_pair", {**LEARNS, "model": model})
    features = small_features(data, RUN)
    sized, said = scorer.within(600.0, data, features, RUN)
    assert sized.config.examples == 600
    assert said.startswith("6 x 600 events")
    none, why = scorer.within(0.02, data, features, RUN)
    assert none is None
    assert "too little for 500 events" in why


def test_without_pytorch_it_names_the_extra(monkeypatch):
    monkeypatch.setattr("fuserec.neural.available", lambda: False)
    with pytest.raises(MissingExtraError, match="deep"):
        fitted("minilm", small_dataset())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
def test_a_gpu_learns_the_same(model):
    scorer = fitted(model, ring_of_tastes(), run=replace(RUN, device="cuda"), form="cross")
    assert next_taste(scorer) > 0.9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
@pytest.mark.parametrize("method", ["full", "last_layers", "biases", "lora", "adalora", "hira", "adapters"])
def test_every_way_of_tuning_learns_on_a_gpu(model, method):
    """What a method adds, and what AdaLoRA remembers of it, moves to the GPU with the model, and back."""
    run = replace(RUN, device="cuda")
    before, after = (
        fitted(model, ring_of_tastes(), run, form="bi", tuning={"method": method}, epochs=2, labels=labels)
        for labels in (0, None)
    )
    change = np.abs(after._model.vectors - before._model.vectors).max()
    assert np.isfinite(after._model.vectors).all()
    assert change > 1e-3
