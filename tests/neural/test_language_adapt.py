"""Adapting an encoder: what it may see, what the loss is, that it learns, goes on after a stop, and is read again."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from small_language import RUN, WORDS, Calls, groups, readers, titles

from fuserec.data.splits import SplitConfig
from fuserec.data.splits import split as split_data
from fuserec.encoders.whitening import Whitening
from fuserec.errors import ConfigError, DataError
from fuserec.run import CancelledError
from fuserec.testing.planted import dataset_of

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.encoders.base import WeightsError  # noqa: E402
from fuserec.encoders.sentence import SentenceConfig, SentenceEncoder  # noqa: E402
from fuserec.evaluation.encoders import compare_encoders  # noqa: E402
from fuserec.neural.language.adapt import AdaptConfig, LiveEncoder, adapt  # noqa: E402
from fuserec.neural.language.adapt.examples import (  # noqa: E402
    Examples,
    Trial,
    batches_of,
    examples_of,
    held_apart,
    history_texts,
    lesson_of,
)
from fuserec.neural.language.adapt.folder import _without_places  # noqa: E402
from fuserec.neural.language.adapt.tasks import PairsTask, WordsTask  # noqa: E402
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.neural.language.tuning import TuningConfig, tune  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402

FULL = {"method": "full"}
QUICK = {"tuning": FULL, "batch_size": 32, "learning_rate": 2e-3, "held_out": 16, "patience": 0}

GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU here")
LEARNING = {
    "full": ({}, 2e-3),
    "lora": ({"targets": "all"}, 2e-2),
    "adalora": ({"targets": "all"}, 2e-2),
    "hira": ({"targets": "all"}, 2e-2),
    "adapters": ({}, 1e-2),
    "last_layers": ({"layers": 1}, 5e-3),
    "biases": ({}, 5e-2),
}
"""Methods, how they are set, and a rate at which each learns what :func:`readers` join; untouched it is 0.12."""


def config(**changes):
    return AdaptConfig.parse({**QUICK, **changes}, "test")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_model(root / kind, kind, WORDS) for kind in ("bert", "gpt2", "qwen2", "t5")}


class TestExamples:
    def test_worked_by_hand(self):
        data = dataset_of([[0, 1, 2, 3], [4], [3, 0]], 5)
        found = examples_of(data, np.ones(5, dtype=bool), 2)
        assert found.targets.tolist() == [1, 2, 3, 0]
        assert found.history.tolist() == [[0, -1], [1, 0], [2, 1], [3, -1]]
        assert found.users.tolist() == [0, 0, 0, 2]

    def test_the_target_is_never_in_its_own_history(self):
        rng = np.random.default_rng(0)
        data = dataset_of(
            [rng.integers(6, size=12).tolist() for _ in range(30)], 6
        )  # people come back to items
        found = examples_of(data, np.ones(6, dtype=bool), 12)
        assert not (found.history == found.targets[:, None]).any()
        texts = [f"title{i}" for i in range(6)]
        for target, told in zip(found.targets, history_texts(found, texts), strict=True):
            assert texts[target] not in told.split("\n")

    def test_dislikes_and_items_without_text_are_left_out(self):
        data = dataset_of([[0, 1, 2, 3]], 4, weights=[[1, -1, 1, 1]])
        found = examples_of(data, np.array([True, True, True, False]), 3)
        assert (found.targets.tolist(), found.history.tolist()) == ([2], [[0, -1, -1]])

    def test_nobody_with_two_items_is_said(self):
        with pytest.raises(DataError, match="masked or causal"):
            examples_of(dataset_of([[0], [1]], 2), np.ones(2, dtype=bool), 3)

    def test_the_newest_title_comes_first(self):
        found = examples_of(dataset_of([[0, 1, 2]], 3), np.ones(3, dtype=bool), 5)
        assert history_texts(found, ["a", "b", "c"]) == ["a", "b\na"]

    def test_who_is_held_apart_depends_on_ids_alone(self):
        data = readers()
        found = examples_of(data, np.ones(data.n_items, dtype=bool), 5)
        kept, held = held_apart(found, 10, data, RUN)
        assert len(held) == 10
        assert len(kept) + len(held) == len(found)
        for user, target in zip(held.users, held.targets, strict=True):
            last = data.interactions.item[data.indptr[user + 1] - 1]
            assert target == last
            assert last not in kept.targets[kept.users == user]
        assert held.users.tolist() != held_apart(found, 10, data, RUN.with_seed(9))[1].users.tolist()

    def test_batches_hold_each_example_once_in_short_runs(self):
        data = readers()
        found = examples_of(data, np.ones(data.n_items, dtype=bool), 5)
        cut = batches_of(found, 50, None, np.random.default_rng(1))
        every = np.concatenate(cut)
        assert np.unique(every).size == every.size > len(found) - 50
        together = np.mean([a + 1 == b for a, b in pairwise(every)])
        assert together > 0.5  # people's examples stand together: their items are encoded once
        few = batches_of(found, 50, 70, np.random.default_rng(1))
        assert sum(map(len, few)) <= 70


class TestLesson:
    batch = Examples(
        targets=np.array([2, 2, 3], np.int32),
        history=np.array([[0, 1], [1, -1], [2, 1]], np.int32),
        users=np.array([0, 1, 1], np.int32),
    )

    def test_each_text_stands_once_and_a_twin_of_the_positive_is_no_negative(self):
        lesson = lesson_of(self.batch, "item", 0.5)
        assert lesson.items.tolist() == [0, 1, 2, 3]  # item 2 is a target twice and read once
        assert lesson.targets.tolist() == [2, 2, 3]
        assert lesson.weights.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]

    def test_what_the_person_took_is_no_negative(self):
        barred = lesson_of(self.batch, "item", 0.5).barred
        assert barred[0].tolist() == [True, True, False, False]
        assert barred[1].tolist() == [False, True, False, True]  # item 3 is the other positive of user 1
        assert barred[2].tolist() == [False, True, True, False]

    def test_recent_events_count_more(self):
        weights = lesson_of(self.batch, "events", 0.5).weights
        assert weights.tolist() == [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0.5, 1, 0]]

    def test_titles_are_texts_of_their_own(self):
        lesson = lesson_of(self.batch, "titles", 0.5)
        assert lesson.items.tolist() == [2, 3]
        assert lesson.targets.tolist() == [0, 0, 1]
        assert lesson.barred.tolist() == [[False, False], [False, True], [True, False]]


class TestLoss:
    @pytest.mark.parametrize(("popularity", "whitened"), [(0.0, False), (1.0, False), (0.0, True)])
    @pytest.mark.parametrize("query", ["item", "events", "titles"])
    def test_it_is_the_softmax_over_what_is_allowed(self, folders, query, popularity, whitened):
        data = readers()
        found = examples_of(data, np.ones(data.n_items, dtype=bool), 3)
        backbone = open_backbone(str(folders["bert"]), RUN)
        told = config(query=query, temperature=0.2, popularity=popularity, recency=0.5, whitened=whitened)
        task = PairsTask(backbone, found, found.take(np.arange(0)), titles(), told, 0, torch.float32)
        batch = np.array([0, 1, 2, 9, 40])
        backbone.eval()
        with torch.no_grad():
            loss = float(task.loss(batch))

        def plain(text, length=32):
            v = backbone.encode([text], RUN, length=length)[0]
            return v / np.linalg.norm(v)

        space = Whitening.fit(np.stack([plain(text) for text in titles()]))

        def vector(text, length=32):
            v = plain(text, length)
            return space.apply(v[None])[0] if whitened else v

        part, losses = found.take(batch), []
        items = np.unique(
            np.concatenate([part.targets, *([] if query == "titles" else [part.history[:, 0]])])
        )
        if query == "events":
            items = np.unique(np.concatenate([items, part.history.ravel()]))
            items = items[items >= 0]
        for at in range(len(part)):
            read = part.history[at][part.history[at] >= 0]
            if query == "titles":
                asked = vector("\n".join(titles()[i] for i in read), 64)
            elif query == "item":
                asked = vector(titles()[read[0]])
            else:
                asked = sum(0.5**step * vector(titles()[i]) for step, i in enumerate(read))
            asked = asked / np.linalg.norm(asked)
            mine = set(part.targets[part.users == part.users[at]]) | {
                i for row in part.history[part.users == part.users[at]] for i in row
            }
            allowed = [i for i in items if i == part.targets[at] or i not in mine]
            logits = np.array([asked @ vector(titles()[i]) / 0.2 for i in allowed])
            if popularity:
                counts = np.bincount(found.targets, minlength=36).astype(float)
                if query != "titles":
                    counts += np.bincount(found.history[:, 0], minlength=36)
                logits -= np.log(counts[allowed] / counts.sum())
            target = allowed.index(part.targets[at])
            losses.append(np.log(np.exp(logits).sum()) - logits[target])
        assert loss == pytest.approx(np.mean(losses), rel=1e-4)

    def test_the_figure_is_the_rank_among_the_pool(self):
        held = Examples(np.array([3], np.int32), np.array([[0, 1]], np.int32), np.array([0], np.int32))
        trial = Trial.of(held, np.ones(12, dtype=bool), 12, np.random.default_rng(0))
        vectors = np.eye(12, dtype=np.float32)
        vectors[3] = 0.6 * vectors[0] + 0.8 * vectors[3]  # the nearest to what was read last
        assert trial.figures(vectors, 0.7).tolist() == [1.0]
        vectors[4] = 0.9 * vectors[0] + np.sqrt(0.19).astype(np.float32) * vectors[4]
        assert trial.figures(vectors, 0.7).tolist() == [pytest.approx(1 / np.log2(3))]


class TestLearning:
    @pytest.mark.parametrize(
        ("query", "method"), [("item", "full"), ("events", "full"), ("titles", "full"), ("item", "lora")]
    )
    def test_texts_that_people_join_come_together(self, folders, query, method):
        rate = {"full": 2e-3, "lora": 2e-2}[method]
        tuning = {"method": method, "targets": "all"}
        told = config(query=query, epochs=12, tuning=tuning, learning_rate=rate, temperature=0.2)
        adapted = adapt(readers(), told, RUN, base=str(folders["bert"]))
        figures = adapted.facts["figures"]
        assert figures["losses"][-1] < figures["losses"][0] - 0.2
        before = _within(open_backbone(str(folders["bert"]), RUN))
        after = _within(adapted.backbone)
        # Odd and even titles of a group share no word: only behaviour joins them.
        assert before < 0.3
        assert after > before + 0.3

    def test_of_shuffled_people_nothing_is_learnt(self, folders):
        data = readers()
        rows = data.interactions
        mixed = replace(rows, item=np.random.default_rng(0).permutation(rows.item).astype(np.int32))
        told = config(epochs=12, temperature=0.2)
        adapted = adapt(replace(data, interactions=mixed), told, RUN, base=str(folders["bert"]))
        assert _within(adapted.backbone) < 0.35

    @pytest.mark.parametrize("kind", ["gpt2", "qwen2", "t5"])
    def test_other_families_learn_too(self, folders, kind):
        told = config(epochs=6, temperature=0.2)
        adapted = adapt(readers(), told, RUN, base=str(folders[kind]))
        figures = adapted.facts["figures"]
        assert figures["losses"][-1] < figures["losses"][0] - 0.1

    @pytest.mark.parametrize(
        ("kind", "objective"), [("bert", "masked"), ("gpt2", "causal"), ("qwen2", "causal")]
    )
    def test_words_of_the_catalogue_are_learnt(self, folders, kind, objective):
        told = config(objective=objective, epochs=15, learning_rate=5e-3, batch_size=8)
        adapted = adapt(readers(), told, RUN, base=str(folders[kind]))
        losses = adapted.facts["figures"]["losses"]
        assert losses[-1] < losses[0] - 0.5
        assert adapted.facts["figures"]["held_out"][-1] > adapted.facts["figures"]["held_out"][0]

    @pytest.mark.parametrize(
        ("kind", "objective", "instead"),
        [("gpt2", "masked", "causal"), ("bert", "causal", "masked"), ("t5", "masked", "pairs")],
    )
    def test_an_objective_has_to_suit_the_model(self, folders, kind, objective, instead):
        with pytest.raises(ConfigError, match=f"choose {instead}"):
            adapt(readers(), config(objective=objective), RUN, base=str(folders[kind]))

    @pytest.mark.parametrize(
        ("kind", "method"), [("bert", "adapters"), ("gpt2", "prefix"), ("gpt2", "soft_prompt")]
    )
    def test_what_cannot_be_merged_is_measured_and_not_written(self, folders, tmp_path, kind, method):
        told = config(tuning={"method": method}, epochs=1)
        adapted = adapt(readers(), told, RUN, base=str(folders[kind]), split=SplitConfig())
        encoder = LiveEncoder(adapted)
        found = compare_encoders(
            readers(),
            {"before": SentenceConfig(model=str(folders[kind])), "after": encoder},
            split=SplitConfig(),
            run=RUN,
        )
        after = found.encoders["after"]
        assert 0 < after.trained < after.parameters
        assert after.fingerprint != found.encoders["before"].fingerprint
        with pytest.raises(ConfigError, match="cannot be merged"):
            adapted.save(tmp_path / "new")
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("method", ["full", "lora"])
    def test_in_memory_and_from_its_folder_it_says_the_same(self, folders, tmp_path, method):
        told = config(tuning={"method": method}, epochs=1)
        adapted = adapt(readers(), told, RUN, base=str(folders["bert"]))
        folder = adapted.save(tmp_path / "new")
        texts = [*titles(), ""]
        live = LiveEncoder(adapted).encode(texts, RUN)
        kept = SentenceEncoder(SentenceConfig(model=str(folder), compute_type="float32")).encode(texts, RUN)
        assert live[len(titles())].tolist() == [0.0] * live.shape[1]
        assert np.abs(live - kept).max() < 0.02  # bfloat16 in memory where the processor has it

    def test_what_is_guessed_is_hidden(self, folders):
        backbone = open_backbone(str(folders["bert"]), RUN)
        tune(backbone, TuningConfig(method="full"), 1)
        texts = titles() * 20
        task = WordsTask(backbone, texts, [], config(objective="masked"), 0, torch.float32)
        batch = backbone.batch(backbone.tokens(texts))
        before = batch.ids.clone()
        labels = task._hide(batch, np.random.default_rng(0))
        guessed = labels != -100
        assert torch.equal(labels[guessed], before[guessed])
        assert torch.equal(batch.ids[~guessed], before[~guessed])
        assert not (
            guessed & ((before == 2) | (before == 3) | (before == 0))
        ).any()  # marks are never guessed
        assert bool(guessed.any(dim=1).all())  # at least one word a text
        hidden = (batch.ids == backbone.tokenizer.mask_token_id)[guessed].float().mean()
        assert 0.74 < float(hidden) < 0.86


def _within(backbone):
    """Return how much nearer odd and even items of a group are than those of different groups."""
    vectors = backbone.encode(titles(), RUN)
    vectors = vectors - vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    alike, of, odd = vectors @ vectors.T, groups(), np.arange(36) % 2
    across = odd[:, None] != odd
    return float(alike[across & (of[:, None] == of)].mean() - alike[across & (of[:, None] != of)].mean())


class TestHonesty:
    def test_only_the_training_part_of_the_split_is_seen(self, folders):
        data, split = readers(), SplitConfig()
        adapted = adapt(data, config(epochs=1), RUN, base=str(folders["bert"]), split=split)
        seen = adapted.facts["seen"][0]
        held = split_data(data, split, RUN.seed)
        assert seen["dataset"] == data.fingerprint
        assert seen["train"] == held.train.fingerprint != data.fingerprint
        assert seen["split"] == {**split.model_dump(mode="json"), "seed": RUN.seed}
        assert seen["split"]["protocol"] == "last-out"

    def test_held_out_rows_change_nothing(self, folders):
        data, split = readers(), SplitConfig()
        rows = data.interactions
        held = split_data(data, split, RUN.seed)
        last = np.zeros(len(rows), dtype=bool)
        last[data.indptr[1:] - 1] = True
        last[data.indptr[1:] - 2] = True
        assert held.train.n_interactions == int((~last).sum())
        other = replace(rows, item=np.where(last, (rows.item + 7) % data.n_items, rows.item).astype(np.int32))
        told = config(epochs=2, max_pairs=64)
        a, b = (
            adapt(each, told, RUN, base=str(folders["bert"]), split=split).backbone.state_dict()
            for each in (data, replace(data, interactions=other))
        )
        assert all(torch.equal(a[name], b[name]) for name in a)
        c = adapt(data, told, RUN, base=str(folders["bert"])).backbone.state_dict()
        assert not all(torch.equal(a[name], c[name]) for name in a)  # without a split they do


class TestFolder:
    @pytest.fixture(scope="class")
    def adapted(self, folders):
        tuning = {"method": "lora", "targets": "all"}
        told = config(epochs=3, tuning=tuning, learning_rate=2e-2)
        return adapt(readers(), told, RUN, base=str(folders["bert"]), split=SplitConfig())

    def test_what_is_saved_is_read_by_the_encoder(self, adapted, tmp_path, monkeypatch):
        pytest.importorskip("ctranslate2")
        monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "cache"))
        out = adapted.save(tmp_path / "tuned")
        texts = titles()
        expected = adapted.backbone.encode(texts, RUN)
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        exact = SentenceEncoder(SentenceConfig(model=str(out), compute_type="float32"))
        assert exact.backend == "ctranslate2"
        np.testing.assert_allclose(exact.encode(texts, RUN), expected, atol=1e-4)
        small = SentenceEncoder(SentenceConfig(model=str(out))).encode(texts, RUN)
        assert float((small * expected).sum(axis=1).min()) > 0.99
        st = pytest.importorskip("sentence_transformers")
        other = st.SentenceTransformer(str(out), device="cpu", local_files_only=True)
        np.testing.assert_allclose(other.encode(texts), expected, atol=1e-4)

    def test_nothing_in_it_names_a_place_on_this_machine(self, adapted, tmp_path):
        out = adapted.save(tmp_path / "tuned")
        for path in out.rglob("*.json"):
            assert str(tmp_path.anchor + "tmp") not in path.read_text(encoding="utf-8"), path
            assert "adapter" not in path.name
        weights = (out / "model.safetensors").read_bytes()[:4096]
        assert b"lora" not in weights

    def test_where_a_model_came_from_is_taken_out(self, tmp_path):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"_name_or_path": "/home/me/model", "hidden_size": 4}))
        _without_places(path)
        assert json.loads(path.read_text()) == {"hidden_size": 4}

    def test_it_says_how_it_was_made(self, adapted, tmp_path):
        told = json.loads((adapted.save(tmp_path / "t") / "fuserec-tuning.json").read_text())
        assert told["format"] == 1
        assert len(told["base"]["content_hash"]) == 64
        assert told["config"]["tuning"]["method"] == "lora"
        figures = told["figures"]
        assert 0 < figures["parameters_trained"] < figures["parameters"]
        assert set(figures["kept"]) == {"catalogue", "general", "graded", "graded_before"}
        assert figures["seconds"] > 0

    def test_a_folder_that_exists_is_refused_and_left_alone(self, adapted, tmp_path):
        (tmp_path / "there").mkdir()
        with pytest.raises(ConfigError, match="exists"):
            adapted.save(tmp_path / "there")
        assert list((tmp_path / "there").iterdir()) == []

    @pytest.mark.parametrize("kind", ["gpt2", "t5"])
    def test_other_families_are_read_again_too(self, folders, kind, tmp_path):
        adapted = adapt(readers(), config(epochs=1), RUN, base=str(folders[kind]))
        again = open_backbone(str(adapted.save(tmp_path / "t")), RUN)
        assert again.pooling == adapted.backbone.pooling
        np.testing.assert_allclose(
            again.encode(titles(), RUN), adapted.backbone.encode(titles(), RUN), atol=1e-5
        )

    def test_what_the_base_had_seen_is_remembered(self, adapted, tmp_path):
        out = adapted.save(tmp_path / "first")
        again = adapt(readers(seed=5), config(epochs=1), RUN, base=str(out))
        assert [each["split"]["protocol"] for each in again.facts["seen"]] == ["last-out", "none"]


@pytest.mark.parametrize("objective", ["pairs", "masked"])
def test_a_stopped_training_goes_on_as_if_nothing_had_happened(folders, tmp_path, objective):
    told = config(epochs=3, max_pairs=96, objective=objective, batch_size=16)
    whole = adapt(readers(), told, RUN, base=str(folders["bert"]))
    kept = replace(RUN, checkpoints=tmp_path / "kept")
    with pytest.raises(CancelledError):
        adapt(readers(), told, replace(kept, cancel=Calls(5)), base=str(folders["bert"]))
    assert list((tmp_path / "kept").iterdir())
    again = adapt(readers(), told, kept, base=str(folders["bert"]))
    a, b = whole.backbone.state_dict(), again.backbone.state_dict()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert again.facts["figures"]["losses"] == whole.facts["figures"]["losses"]


def test_pooling_and_revision_are_the_ones_asked_for(folders, tmp_path):
    told = config(epochs=1, pooling="cls", revision="v1")  # of a folder there is one revision
    adapted = adapt(readers(), told, RUN, base=str(folders["bert"]))
    assert adapted.backbone.pooling == adapted.facts["base"]["pooling"] == "cls"
    facts = json.loads((adapted.save(tmp_path / "t") / "fuserec-tuning.json").read_text())
    assert (facts["config"]["pooling"], facts["config"]["revision"]) == ("cls", "v1")
    assert open_backbone(str(tmp_path / "t"), RUN).pooling == "cls"
    with pytest.raises(ConfigError, match="pooling"):
        config(pooling="max")


def test_the_revision_is_asked_of_the_hub(monkeypatch):
    asked = []

    def none_there(model, revision, run):
        asked.append((model, revision))
        raise WeightsError("not there")

    monkeypatch.setattr("fuserec.neural.language.adapt.adaptation.located", none_there)
    with pytest.raises(WeightsError):
        adapt(readers(), config(revision="v1"), RUN, base="someone/a-model")
    assert asked == [("someone/a-model", "v1")]


def test_a_device_that_is_not_there_is_said_before_a_model_is_looked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="sees no GPU here"):
        adapt(readers(), config(), replace(RUN, device="cuda"), base="./there-is-no-such-folder")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("method", LEARNING)
def test_every_method_learns_on_every_device(folders, method, device):
    tuning, rate = LEARNING[method]
    told = config(epochs=12, temperature=0.2, tuning={"method": method, **tuning}, learning_rate=rate)
    adapted = adapt(readers(), told, replace(RUN, device=device), base=str(folders["bert"]))
    assert next(adapted.backbone.parameters()).device.type == device
    assert _within(adapted.backbone) > 0.6
