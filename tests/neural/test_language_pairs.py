"""What a model of pairs is taught: each known mistake of such models as a test that it would fail."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from fuserec.encoders.text import TextConfig, item_text
from fuserec.errors import ConfigError
from fuserec.neural.language import heads
from fuserec.neural.language.heads import head_class, known_heads
from fuserec.neural.language.pairs.config import LanguagePairConfig
from fuserec.neural.language.pairs.examples import PairSource, held_apart
from fuserec.neural.language.pairs.reader import Reader
from fuserec.neural.language.pairs.text import Descriptions, packed, unpacked
from fuserec.neural.language.pairs.walks import Walks
from fuserec.run import RunOptions
from fuserec.testing import dataset_of, small_dataset
from fuserec.testing.language import tiny_model

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers", reason="the extra `deep` (transformers) is not installed")
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.neural.language.heads.base import Labels, Perceptron, Similarity, binary_losses  # noqa: E402
from fuserec.neural.language.pairs.fit import kept_model  # noqa: E402
from fuserec.neural.language.pairs.model import PairModel, joint_of  # noqa: E402
from fuserec.neural.language.pairs.task import Pairing, PairTask, accuracy, best_threshold  # noqa: E402

RUN = RunOptions(seed=1, threads=1)
FAMILIES = {"bert": "encoder", "gpt2": "decoder", "t5": "encoder_decoder"}
TEXTS = ("galaxy robot", "bread soup butter", "robot", "alibi witness police murder court", "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    place = tmp_path_factory.mktemp("tiny")
    words = " ".join(TEXTS).split()
    return {kind: str(tiny_model(place / kind, kind, words)) for kind in FAMILIES}


def counted(texts):
    return np.array([len(text.split()) for text in texts])


def described(data, budget=12, source="either"):
    return Descriptions.of(data, TextConfig(), counted, budget, source)


def films(**options):
    titles = ["Solaris", "Dune", "Stalker", "Alien", "Brazil"]
    return dataset_of([[0, 1, 2], [3, 0, 4]], 5, titles=titles, **options)


# The loss


@pytest.mark.parametrize("form", ["cross", "bi", "pair"])
def test_the_gradient_is_that_of_the_likelihood_by_the_parameters(folders, form):
    """∂L/∂θ = −(1/N) Σ [y/r − (1 − y)/(1 − r)] ∂r/∂θ, ∂r/∂θ by finite differences, in double precision."""
    torch.manual_seed(0)
    backbone = open_backbone(folders["bert"], RUN).double()
    config = LanguagePairConfig(form=form, head_dim=4, temperature=1.0)
    labels = {"match": Labels.of(np.zeros(1), np.ones(1, dtype=bool))}
    model = PairModel(backbone, labels, config).double().eval()
    users, of, items = list(TEXTS[:2]), np.array([0, 0, 1]), [TEXTS[2], TEXTS[3], TEXTS[1]]
    y = torch.tensor([[1.0], [0.0], [1.0]], dtype=torch.float64)
    logits = model(users, of, items, "match")
    assert logits.shape == (3, 1)  # one logit a pair
    model.head("match").losses(logits, y).mean().backward()

    def judged():
        with torch.no_grad():
            return torch.sigmoid(model(users, of, items, "match"))

    r = judged()
    outer = y / r - (1 - y) / (1 - r)
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        if "query.weight" not in name and "word_embeddings" not in name and not name.startswith("heads"):
            continue
        flat, eps = parameter.data.view(-1), 1e-5
        at = (
            int(torch.argmax(parameter.grad.abs()))
            if name.startswith("heads")
            else int(rng.integers(flat.numel()))
        )
        kept = flat[at].item()
        flat[at] = kept + eps
        above = judged()
        flat[at] = kept - eps
        slope = (above - judged()) / (2 * eps)
        flat[at] = kept
        wanted = -(outer * slope).mean().item()
        assert parameter.grad.view(-1)[at].item() == pytest.approx(wanted, rel=1e-5, abs=1e-9), name


def test_the_loss_is_made_of_logits_and_bears_certain_ones():
    out = torch.tensor([[0.0], [2.0], [-300.0], [300.0]], dtype=torch.float64)
    y = torch.tensor([[1.0], [0.0], [1.0], [1.0]], dtype=torch.float64)
    wanted = [np.log(2), np.log1p(np.exp(2.0)), 300.0, 0.0]  # of −y log σ(x) − (1 − y) log(1 − σ(x))
    np.testing.assert_allclose(binary_losses(out, y).numpy(), wanted, atol=1e-9)


def test_a_similarity_is_a_cosine_or_a_product_over_the_temperature():
    read = torch.tensor([[3.0, 4.0, 4.0, 3.0, 12.0, 12.0]])
    assert Similarity(2, True, 0.5)(read).item() == pytest.approx(0.96 / 0.5)
    assert Similarity(2, False, 0.5)(read).item() == pytest.approx(24.0 / 2 / 0.5)
    u, v = read[:, :2], read[:, 2:4]
    assert Similarity(2, True, 0.5).matrix(u, v).item() == pytest.approx(0.96 / 0.5)


def test_squared_error_is_in_the_scale_of_the_ratings():
    head = head_class("rating")(Perceptron(7, 3, 1))
    out = head(torch.zeros(2, 7))
    assert out.shape == (2, 1)  # a head reads the units, they are no items themselves
    losses = head.losses(torch.tensor([[3.5], [5.0]]), torch.tensor([[5.0], [4.0]]))
    assert losses.tolist() == [2.25, 1.0]


# Labels


def test_a_new_head_is_a_file():
    assert known_heads() == ("click", "match", "rating", "sentiment", "topic")
    for name in known_heads():
        assert head_class(name).name == name
    with pytest.raises(ConfigError, match=r"unknown head 'topics'; did you mean 'topic'\?"):
        head_class("topics")


def test_a_head_that_is_added_as_a_file_is_known_and_taught(folders, tmp_path, monkeypatch):
    (tmp_path / "short.py").write_text(
        "from fuserec.neural.language.heads.match import Match\n\n\n"
        "class Short(Match):\n    name = 'short'\n\n\nHEAD = Short\n"
    )
    monkeypatch.setattr(heads, "__path__", [*heads.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "fuserec.neural.language.heads.short", raising=False)
    assert "short" in known_heads()
    assert head_class("short").name == "short"
    labels = {"short": head_class("short").labels(films())}
    config = LanguagePairConfig(form="cross", heads={"short": 1.0})
    model = PairModel(open_backbone(folders["bert"], RUN), labels, config)
    assert model(["robot"], np.array([0]), ["murder"], "short").shape == (1, 1)


def test_labels_are_behaviour():
    data = films(weights=[[1.0, -0.5, 0.0], [0.4, 1.0, 1.0]], ratings=[[5, 1, np.nan], [4, 5, 5]])
    match, rating, sentiment = (head_class(name).labels(data) for name in ("match", "rating", "sentiment"))
    assert match.values[:, 0].tolist() == [1, 0, 0, 1, 1, 1]
    assert match.known.tolist() == [True, True, False, True, True, True]
    assert rating.values[rating.known, 0].tolist() == [5, 1, 4, 5, 5]
    assert sentiment.values[sentiment.known, 0].tolist() == [1, 0, 1, 1, 1]
    kinds = replace(
        data, interactions=replace(data.interactions, kind=np.array([1, 2, 0, 9, 1, 12], np.uint8))
    )
    click = head_class("click").labels(kinds)
    assert click.values[click.known, 0].tolist() == [0, 1, 1, 0, 0]
    assert not click.known[2]  # a row without a kind says nothing


def test_a_topic_is_told_without_reading_the_item():
    data = small_dataset()
    topic = head_class("topic")
    labels = topic.labels(data)
    assert topic.reads == "user"
    assert sorted(labels.names) == ["crime", "kitchen", "space", "江湖"]
    np.testing.assert_allclose(labels.values[labels.known].sum(axis=1), 1.0)
    out, values = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.5, 0.5]])
    np.testing.assert_allclose(
        topic.losses(None, out, values).tolist(), [np.log1p(np.exp(-1.0)), np.log(2)], rtol=1e-6
    )


# Texts


def test_texts_are_those_that_people_wrote():
    data = films()
    told = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.5)
    assert told.at.tolist() == [1, 2, 4, 5]
    assert told.users(told.at) == ["Solaris", "Dune. Solaris", "Alien", "Solaris. Alien"]
    assert not any("item" in text or "user" in text or "0" in text for text in told.users(told.at))


def test_what_is_to_be_guessed_is_not_told_nor_what_came_later_or_was_disliked():
    data = dataset_of([[0, 1, 0, 2, 3]], 4, titles=["a", "b", "c", "d"], weights=[[1, -1, 1, 1, 1]])
    told = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.5)
    assert told.users(np.array([2, 3])) == ["", "a. a"]


def test_as_many_titles_as_fit_the_newest_first_and_words_before_them():
    data = films()
    short = described(data, budget=4)
    assert short.history([4, 3, 2]) == "Brazil. Alien"  # a token each, and what parts them
    assert described(data, budget=1).history([4, 3]) == "Brazil"  # one always
    assert short.user("quiet films", [4]) == "quiet films"
    assert described(data, source="both").user("quiet films", [4]) == "quiet films. Brazil"
    assert described(data, source="history").user("quiet films", [4]) == "Brazil"


def test_texts_are_kept_as_bytes():
    texts = ("", "剑客 江湖", "a\0b", "")
    assert unpacked(packed(texts)) == texts
    arrays = described(films()).arrays()
    assert Descriptions.from_arrays(arrays, 12, "either").titles == described(films()).titles


# Negatives and held-out events


def test_negatives_are_drawn_and_nobody_has_taken_them():
    data = small_dataset()
    source = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.0)
    at = np.repeat(source.at[:40], 20)
    drawn = source.negatives(at, 3, np.random.default_rng(0))
    users = data.interactions.user[at]
    taken = {(int(u), int(i)) for u, i in zip(data.interactions.user, data.interactions.item, strict=True)}
    met = [(int(u), int(i)) in taken for u, row in zip(users, drawn, strict=True) for i in row if i >= 0]
    assert not any(met)
    assert (drawn >= 0).mean() > 0.95
    assert np.isin(drawn[drawn >= 0], source.drawn.items).all()
    everything = dataset_of([[0, 1, 2], [0, 1]], 3, titles=["a", "b", "c"])
    few = PairSource(
        everything, described(everything), {"match": head_class("match").labels(everything)}, 0.0
    )
    assert few.negatives(np.array([1, 4]), 2, np.random.default_rng(0)).tolist() == [[-1, -1], [2, 2]]
    skewed = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 1.0)
    popular = skewed.negatives(at, 3, np.random.default_rng(0))
    counts = data.item_counts
    assert counts[popular[popular >= 0]].mean() > 1.1 * counts[drawn[drawn >= 0]].mean()


def two_circles():
    """Return people of two circles who have no item in common, four of twenty items each."""
    rng = np.random.default_rng(0)
    rows = [(20 * (u % 2) + rng.permutation(20)[:4]).tolist() for u in range(60)]
    return dataset_of(rows, 40, titles=[f"title{j}" for j in range(40)])


def test_walks_end_at_what_people_with_an_item_in_common_took():
    data = two_circles()
    rows, rng = data.interactions, np.random.default_rng(1)
    at = np.arange(len(rows))
    ends = np.stack([Walks(data).draw(at, rng) for _ in range(100)])
    begins = at == data.indptr[rows.user]
    assert (ends[:, begins] == -1).all()  # nothing was known before a first event
    assert (ends[:, ~begins] // 20 == rows.user[~begins] % 2).all()
    # from the one item before an event: those who took it alike, then the items of each alike
    wanted = np.zeros(40)
    takers = rows.user[rows.item == rows.item[0]]
    for user in takers:
        wanted[rows.item[data.indptr[user] : data.indptr[user + 1]]] += 0.25 / takers.size
    drawn = Walks(data).draw(np.full(20_000, 1), rng)
    np.testing.assert_allclose(np.bincount(drawn, minlength=40) / drawn.size, wanted, atol=0.015)


def test_nobody_walks_along_what_was_refused():
    # everybody takes two items of their circle, and refuses one that all refuse
    rows = [[41, 20 * (u % 2), 20 * (u % 2) + 1 + u % 7] for u in range(40)]
    data = dataset_of(rows, 42, weights=[[-1.0, 1.0, 1.0]] * 40)
    at, rng = np.arange(len(data.interactions)), np.random.default_rng(4)
    ends = np.stack([Walks(data).draw(at, rng) for _ in range(20)])
    second = at % 3 == 2
    assert (ends[:, ~second] == -1).all()  # before them nothing was taken
    assert (ends[:, second] // 20 == data.interactions.user[second] % 2).all()
    nothing = dataset_of(rows, 42, weights=[[-1.0] * 3] * 40)
    assert (Walks(nothing).draw(at, rng) == -1).all()


def test_somebody_who_has_met_everything_has_no_negatives():
    data = dataset_of([[0, 1, 2], [2, 1, 0]], 3, titles=["a", "b", "c"])
    source = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.0, 1.0)
    assert (source.negatives(source.at, 3, np.random.default_rng(0)) == -1).all()


def test_near_negatives_are_in_their_share_and_never_met():
    data = two_circles()
    labels = {"match": head_class("match").labels(data)}
    met = {(int(u), int(i)) for u, i in zip(data.interactions.user, data.interactions.item, strict=True)}
    for near in (0.0, 0.4, 1.0):
        source = PairSource(data, described(data), labels, 0.0, near)
        at = np.repeat(source.at, 50)
        drawn = source.negatives(at, 2, np.random.default_rng(2)).ravel()
        users = np.repeat(data.interactions.user[at], 2)
        assert (drawn >= 0).all()
        assert not any((int(u), int(i)) in met for u, i in zip(users, drawn, strict=True))
        inside = float((drawn // 20 == users % 2).mean())
        assert inside == pytest.approx(near + (1 - near) * 16 / 36, abs=0.02)  # 16 of the 36 not met


def test_near_negatives_have_a_text():
    data = two_circles()
    some = dataset_of(
        [row.tolist() for row in np.split(data.interactions.item, 60)],
        40,
        titles=["" if j % 2 else "t" for j in range(40)],
    )
    source = PairSource(some, described(some), {"match": head_class("match").labels(some)}, 0.0, 1.0)
    drawn = source.negatives(np.repeat(source.at, 20), 2, np.random.default_rng(3))
    assert not (drawn[drawn >= 0] % 2).any()


def test_nobody_is_judged_on_what_was_trained_on():
    data = small_dataset()
    source = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.5)
    train, held = held_apart(source, 4, data.users.hashes)
    assert held.size == 4
    assert not np.isin(held, train).any()
    users = data.interactions.user
    for event in held:
        later = source.at[(users[source.at] == users[event]) & (source.at > event)]
        assert not later.size


def test_accuracy_is_of_cases_and_the_threshold_moves_only_where_that_is_better():
    logits, labels = np.array([3.0, 2.5, 2.0, 1.0, 0.5]), np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    assert accuracy(logits, labels, 0.0) == 0.4  # 2 of 5 cases, however they are batched
    assert best_threshold(logits, labels) == 2.25
    assert accuracy(logits, labels, 2.25) == 1.0
    assert best_threshold(np.array([1.0, -1.0]), np.array([1.0, 0.0])) == 0.0
    assert (
        best_threshold(np.array([2.0, 2.0, 2.0]), np.array([1.0, 0.0, 0.0])) > 2.0
    )  # equal logits are not parted
    assert best_threshold(np.empty(0), np.empty(0)) == 0.0


def test_what_is_judged_in_several_batches_is_a_case_each(folders, monkeypatch):
    n = 12
    data = dataset_of(
        [[u % 4, 4 + u % 3] for u in range(n)], 8, titles=["galaxy", "robot", "bread", "soup"] * 2
    )
    source = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.5)
    torch.manual_seed(0)
    model = PairModel(open_backbone(folders["bert"], RUN), source.labels, LanguagePairConfig(form="cross"))
    plan = Pairing({"match": 1.0}, "match", "bce", 1, 0, 8, 0)
    task = PairTask(model.eval(), source, source.at[:0], source.at, plan)
    seen = {}
    for size in (64, 5):  # 5 leaves a last batch of another size
        monkeypatch.setattr("fuserec.neural.language.pairs.task.JUDGED", size)
        logits, labels = task.outputs(0)
        seen[size] = logits, labels, accuracy(logits, labels, float(np.median(logits)))
    np.testing.assert_allclose(seen[5][0], seen[64][0], atol=1e-5)
    np.testing.assert_array_equal(seen[5][1], seen[64][1])
    assert seen[5][0].size == source.at.size
    assert seen[5][2] == seen[64][2]


@pytest.mark.parametrize("form", ["cross", "bi", "pair"])
def test_the_loss_of_a_batch_is_of_what_was_taken_disliked_and_drawn(folders, form):
    """−(1/N) Σ y log r + (1 − y) log(1 − r) over pairs, beside squared errors of one number a rated event."""
    data = films(weights=[[1.0, -0.5, 1.0], [1.0, 1.0, 1.0]], ratings=[[5, 1, np.nan], [4, 5, 3]])
    labels = {name: head_class(name).labels(data) for name in ("match", "rating")}
    labels["rating"] = replace(labels["rating"], offsets=np.linspace(3, 4, 6, dtype=np.float32))
    source = PairSource(data, described(data), labels, 0.0)
    torch.manual_seed(0)
    config = LanguagePairConfig(form=form, head_dim=4)
    model = PairModel(open_backbone(folders["bert"], RUN), labels, config).eval()
    plan = Pairing({"match": 2.0, "rating": 0.3}, "match", "bce", 2, 0, 8, 0)
    task = PairTask(model, source, source.at, source.at[:0], plan)
    assert source.at.tolist() == [1, 2, 4, 5]
    made, met = task.paired(source.at, 7, 2), {0: {0, 1, 2}, 1: {3, 0, 4}}
    assert made.items[:4].tolist() == [1, 2, 0, 4]
    assert np.bincount(made.of[4:], minlength=4).tolist() == [0, 2, 2, 2]  # beside likings alone
    for of, item in zip(made.of[4:].tolist(), made.items[4:].tolist(), strict=True):
        assert item not in met[of // 2]
    texts = [source.described.texts[i] for i in made.items]
    with torch.no_grad():
        logits = model(made.users, made.of, texts, "match")[:, 0].double().numpy()
        told = model(made.users, made.of[:4], texts[:4], "rating")
    assert told.shape == (4, 1)
    r, y = 1 / (1 + np.exp(-logits)), np.array([0, 1, 1, 1] + [0] * 6)
    pairs = -(y * np.log(r) + (1 - y) * np.log(1 - r)).mean()
    errors = (told[:, 0].numpy() + np.linspace(3, 4, 6)[source.at] - [1, np.nan, 5, 3]) ** 2
    assert task.loss((source.at, 7)).item() == pytest.approx(2 * pairs + 0.3 * np.nanmean(errors), rel=1e-4)


def test_the_softmax_of_a_batch_leaves_out_what_a_person_has_taken(folders):
    data = dataset_of([[0, 1], [0, 2], [3, 1]], 4, titles=["galaxy", "robot", "bread", "soup"])
    source = PairSource(data, described(data), {"match": head_class("match").labels(data)}, 0.5)
    backbone = open_backbone(folders["bert"], RUN)
    config = LanguagePairConfig(form="bi", loss="softmax")
    model = PairModel(backbone, source.labels, config).eval()
    task = PairTask(
        model, source, source.at, source.at[:0], Pairing({"match": 1.0}, "match", "softmax", 1, 0, 8, 0)
    )
    assert source.at.tolist() == [1, 3, 5]
    found = task.loss((source.at, 0)).item()
    u = model.users(["galaxy", "galaxy", "soup"])
    v = model.items(["robot", "bread"])
    logits = model.head("match").body.matrix(u, v) - torch.tensor(np.log([2 / 6, 1 / 6]), dtype=torch.float32)
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0]))
    assert found == pytest.approx(wanted.item(), rel=1e-4)


# Answering


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_answers_equals_what_was_trained(folders, kind):
    """Tokens, types, pooling and weights, by CTranslate2 and by PyTorch; a batch changes nothing."""
    backbone = open_backbone(folders[kind], RUN)
    joint = joint_of(backbone)
    kept = kept_model(backbone, LanguagePairConfig())
    reader = Reader(kept, "float32", 64, 1)
    assert (reader.why_torch is None) == (kind == "bert")
    second = [joint + text for text in reversed(TEXTS)]
    assert reader.ids(TEXTS, list(reversed(TEXTS)), 12) == backbone.tokens(TEXTS, second, length=12)
    assert kept.typed == (kind == "bert")
    backbone.eval()
    with torch.no_grad():
        alone = backbone(backbone.batch(backbone.tokens(TEXTS))).numpy()
        pairs = backbone(backbone.batch(backbone.tokens(TEXTS, second))).numpy()
    np.testing.assert_allclose(reader.vectors(TEXTS, limit=40), alone, atol=2e-5)
    np.testing.assert_allclose(reader.vectors(TEXTS, list(reversed(TEXTS)), limit=40), pairs, atol=2e-5)
    single = np.concatenate([reader.vectors([text], limit=40) for text in TEXTS])
    np.testing.assert_allclose(reader.vectors(TEXTS, limit=40), single, rtol=1e-5, atol=1e-6)


def test_an_exported_model_is_a_folder_like_any_other(folders, tmp_path):
    backbone = open_backbone(folders["bert"], RUN)
    Reader(kept_model(backbone, LanguagePairConfig()), "float32", 64, 1).export(tmp_path)
    again = open_backbone(str(tmp_path), RUN)
    np.testing.assert_allclose(again.encode(TEXTS, RUN), backbone.encode(TEXTS, RUN), atol=1e-6)


def test_item_texts_are_read_as_features_read_them():
    data = small_dataset()
    assert described(data).texts == tuple(item_text(data.item_table, TextConfig()))
