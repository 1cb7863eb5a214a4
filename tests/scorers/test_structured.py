"""Trees and the factorization machine: what is planted in columns is found, and the context of a query counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from neural_tastes import COLD, tastes
from structured_worlds import RUN, features, noon, product_world, seasonal_world

from fuserec import Recommender
from fuserec.config import RecommenderConfig
from fuserec.data.query import QueryBatch
from fuserec.data.splits import SplitConfig, hold_out
from fuserec.encoders.features import FeatureConfig, ItemFeatures
from fuserec.errors import ConfigError, DataError, NotFittedError
from fuserec.scorers import create
from fuserec.scorers.structured import _with_negatives

SMALL = {
    "trees": {"trees": 80, "leaves": 8, "min_leaf": 10, "learning_rate": 0.1},
    "factorization_machine": {"embedding_dim": 8, "epochs": 15, "column_regularization": 0.005},
}
NAMES = list(SMALL)


@pytest.fixture(scope="module")
def seasons():
    data = seasonal_world()
    text = features(data)
    return data, {name: create(name, options).fit(data, text, RUN) for name, options in SMALL.items()}


@pytest.fixture(scope="module")
def products():
    data = product_world()
    held = hold_out(data, SplitConfig(), 0, "test")
    text = features(data)
    fits = {}
    for name, options in SMALL.items():
        for columns in ("all", "ids"):
            fits[name, columns] = create(name, options | {"columns": columns}).fit(held.train, text, RUN)
    return held, fits


def asked(contexts, at=np.nan) -> QueryBatch:
    """Nobody known, under each of some circumstances."""
    q = QueryBatch.of_histories([[] for _ in contexts])
    return replace(q, contexts=tuple(contexts), at=np.broadcast_to(np.float64(at), len(contexts)).copy())


def kinds(data, scores) -> dict[str, float]:
    """Mean score of each kind of item, less that of all."""
    letters = np.array([identifier[0] for identifier in data.items.ids()])
    return {kind: float(scores[letters == kind].mean() - scores.mean()) for kind in "swm"}


@pytest.mark.parametrize("name", NAMES)
def test_the_season_is_found_and_turns_the_ranking(seasons, name):
    data, fits = seasons
    q = replace(asked([{"device": "desk"}] * 2), at=np.array([noon(7), noon(12)]))
    summer, winter = fits[name].score(q).values
    assert kinds(data, summer)["s"] - kinds(data, summer)["w"] > 1
    assert kinds(data, winter)["w"] - kinds(data, winter)["s"] > 1
    told = fits[name].score(asked([{"device": "desk", "month": 12}], noon(7))).values[0]
    assert kinds(data, told)["w"] > kinds(data, told)["s"]  # what the caller says counts before the clock


@pytest.mark.parametrize("name", NAMES)
def test_a_further_column_of_interactions_is_a_circumstance(seasons, name):
    data, fits = seasons
    mobile, desk, unseen, nothing = (
        fits[name]
        .score(asked([{"device": "mobile"}, {"device": "desk"}, {"device": "fridge"}, {}], noon(7)))
        .values
    )
    assert kinds(data, mobile)["m"] > kinds(data, desk)["m"] + 1
    np.testing.assert_array_equal(unseen, nothing)


@pytest.mark.parametrize("name", NAMES)
def test_ids_alone_do_not_hear_the_context(name):
    data = seasonal_world(users=40)
    fitted = create(name, SMALL[name] | {"columns": "ids"}).fit(data, features(data), RUN)
    summer, winter = fitted.score(
        replace(asked([{"device": "mobile"}, {}]), at=np.array([noon(7)] * 2))
    ).values
    np.testing.assert_array_equal(summer, winter)


@pytest.mark.parametrize("name", NAMES)
def test_a_shuffled_season_is_no_season(name):
    """Leak alarm: where months say nothing, nothing turns the ranking."""
    data = seasonal_world(users=100)
    rows = data.interactions
    time = np.random.default_rng(0).permutation(rows.time)
    mixed = replace(data, interactions=replace(rows, time=time))
    fitted = create(name, SMALL[name] | {"context_columns": ("month",)}).fit(mixed, features(data), RUN)
    summer = fitted.score(asked([{}], noon(7))).values[0]
    assert abs(kinds(data, summer)["s"] - kinds(data, summer)["w"]) < 1.0


@pytest.mark.parametrize("name", NAMES)
def test_a_product_of_columns_is_found(products, name):
    held, fits = products
    rows, q = held.rows, held.queries
    errors = {}
    for columns in ("all", "ids"):
        found = fits[name, columns].predict(q.take(rows), held.items[:, None])[:, 0]
        errors[columns] = np.sqrt(np.mean((found - held.ratings) ** 2))
    assert errors["all"] < 0.85  # the noise alone has 0.63, less what the scale cuts
    q = asked([{"group": "young", "age": 20}, {"group": "old", "age": 60}])
    loud = np.array([held.train.items.index("new loud"), held.train.items.index("new quiet")])
    young, old = fits[name, "all"].score(q, loud).values
    assert young[0] - young[1] > 0.5
    assert old[0] - old[1] < -0.5


@pytest.mark.parametrize("name", NAMES)
def test_items_nobody_took_are_judged_by_a_known_category(products, name):
    held, fits = products
    known = fits[name, "all"].score(asked([{}])).items
    ids = held.train.items
    assert known[ids.index("new loud")]
    assert not known[ids.index("bare")]
    assert not fits[name, "ids"].score(asked([{}])).items[ids.index("new loud")]


@pytest.mark.parametrize("name", NAMES)
def test_evidence_names_columns(products, name):
    held, fits = products
    fitted, q = fits[name, "all"], asked([{"group": "young", "age": 20}])
    item = np.array([[held.train.items.index("new loud")]])
    rows = fitted.evidence(q, item)[0][0]
    assert sum(row.contribution for row in rows) == pytest.approx(
        fitted.score(q, item[0]).values[0, 0], abs=1e-4
    )
    strongest = max((row for row in rows if row.kind == "column"), key=lambda row: abs(row.contribution))
    assert str(strongest.key).split("=")[0] in {"group", "age", "genre"}


def test_what_is_drawn_was_never_taken_by_who_is_asked():
    data = seasonal_world(users=30)
    rows = data.interactions
    met = {(int(u), int(i)) for u, i in zip(rows.user, rows.item, strict=True)}
    config = create("trees", {"negatives": 5}).config
    wanted = np.flatnonzero(rows.weight > 0)
    asked, items, labels = _with_negatives(data, wanted, config, np.random.default_rng(0))
    pairs = list(zip(rows.user[asked].tolist(), items.tolist(), strict=True))
    assert all((pair in met) == (label == 1) for pair, label in zip(pairs, labels, strict=True))
    np.testing.assert_array_equal(np.sort(asked[labels == 1]), wanted)
    np.testing.assert_array_equal(items[labels == 1], rows.item[wanted])
    assert 4.9 * wanted.size < (labels == 0).sum() <= 5 * wanted.size


@pytest.mark.parametrize("world", ["products", "seasons"])
def test_a_factorization_machine_answers_by_the_double_sum(world, request):
    """y = w0 + Σ w_f x_f + Σ_{f<g} (v_f·v_g) x_f x_g over all features of query and item (Rendle 2010, eq. 1)."""
    if world == "products":
        held, fits = request.getfixturevalue(world)
        fitted, q = fits["factorization_machine", "all"], held.queries.take(np.arange(3))
    else:
        data, fits = request.getfixturevalue(world)
        fitted, q = fits["factorization_machine"], data.queries(np.arange(3))
    at, items = fitted._factors, np.array([0, 5, 7])
    asked, liking = fitted._asked(q)
    query, inputs = fitted._asked_matrix(asked), fitted._inputs(liking)
    first = at.feature_weight.size - fitted._offered.shape[1]
    assert query.shape[1] == first
    scores = fitted.score(q, items).values
    for row in range(3):
        events = np.arange(q.indptr[row], q.indptr[row + 1])
        assert events.size
        for column, item in enumerate(items):
            found = [(1.0, at.item_weight[item], at.item[item])]
            for table in range(at.event.shape[0]):
                for event in events:
                    x, j = inputs[event, table] / np.sqrt(events.size), q.items[event]
                    found.append((x, at.event_weight[table, j], at.event[table, j]))
            for side, start in ((query[[row]], 0), (fitted._offered[[item]], first)):
                for feature, x in zip(side.indices + start, side.data, strict=True):
                    found.append((x, at.feature_weight[feature], at.feature[feature]))
            y = float(at.offset[0]) + sum(x * w for x, w, _ in found)
            for a, (x, _, v) in enumerate(found):
                y += sum(float(x * z * (v @ u)) for z, _, u in found[a + 1 :])
            assert scores[row, column] == pytest.approx(y, rel=1e-4, abs=1e-4)


def test_a_tree_is_the_split_by_hand():
    """One split of two groups: leaves are the group means of what is left of the mean, times the learning rate."""
    data = product_world(users=60, each=10)
    options = {"trees": 1, "leaves": 2, "learning_rate": 1.0, "regularization": 0.0, "feature_share": 1.0}
    options |= {"item_columns": (), "context_columns": (), "user_columns": ("group",), "min_leaf": 1}
    rows = data.interactions
    flat = np.where(np.array(data.user_table["group"])[rows.user] == "young", 5.0, 2.0).astype(np.float32)
    data = replace(data, interactions=replace(rows, rating=flat))
    fitted = create("trees", options).fit(data, features(data), RUN)
    found = fitted.score(asked([{"group": "young"}, {"group": "old"}]), np.array([0])).values
    np.testing.assert_allclose(found[:, 0], [5.0, 2.0], rtol=1e-5)


def test_orders_of_the_past():
    data = product_world(users=60)
    text = features(data)
    fits = [
        create("factorization_machine", {"epochs": 2, "order": order}).fit(data, text, RUN)
        for order in ("time", "shuffled", "shuffled")
    ]
    q = data.queries(np.arange(5))
    first, second, third = (fitted.score(q).values for fitted in fits)
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(second, third)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_wrong_is_said(name):
    data = seasonal_world(users=20)
    text = features(data)
    said = r"no column 'devise'; did you mean 'device'.*, or leave context_columns out"
    with pytest.raises(ConfigError, match=said):
        create(name, {"context_columns": ("devise",)}).fit(data, text, RUN)
    with pytest.raises(DataError, match="target = 'rating'"):
        create(name, {"target": "rating"}).fit(data, text, RUN)
    fitted = create(name, SMALL[name] | {"item_columns": ()}).fit(data, text, RUN)
    assert not fitted.can_predict
    with pytest.raises(NotFittedError, match="fitted to clicks"):
        fitted.predict(asked([{}]), np.zeros((1, 1), np.int64))


def test_a_rate_that_is_too_high_is_said():
    data = product_world(users=40)
    with pytest.raises(ConfigError, match="lower learning_rate"), np.errstate(all="ignore"):
        create("factorization_machine", {"learning_rate": 1.0, "epochs": 200, "regularization": 10.0}).fit(
            replace(data, interactions=replace(data.interactions, rating=data.interactions.rating * 1e30)),
            features(data),
            RUN,
        )


@pytest.mark.parametrize("name", NAMES)
def test_a_model_answers_by_context_before_and_after_it_is_stored(tmp_path, name):
    data = seasonal_world(users=60)
    config = RecommenderConfig.parse(
        {"parts": {name: SMALL[name]}, "features": {"use_sentence": "never"}}, "test"
    )
    model = Recommender(config).fit(data, RUN)
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    context = {"device": "mobile", "month": 7}
    for one in (model, again):
        mobile = one.recommend(context=context, k=18).items
        desk = one.recommend(context={"device": "desk", "month": 7}, k=18).items
        places = [np.mean([i.rank for i in found if i.item_id.startswith("m")]) for found in (mobile, desk)]
        assert places[0] < places[1]
        assert one.recommend(context=context).warnings == ()
    assert again.fitted.dataset.interactions.context.equals(model.fitted.dataset.interactions.context)
    model.update(
        interactions=[{"user_id": "u1", "item_id": "new", "device": "tv", "timestamp": noon(9, year=2022)}]
    )
    assert model.fitted.dataset.interactions.context["device"][-1] is not None
    assert model.recommend(user="u1", k=3).items
    model.forget("u1")
    assert model.fitted.dataset.n_users == data.n_users - 1


def test_a_column_that_has_the_name_of_semantic_ids_is_not_lost():
    import polars as pl

    data = tastes(n_users=30)
    config = FeatureConfig.parse({"use_sentence": "never", "codes": {"levels": 1}}, "test")
    table = data.item_table.with_columns(pl.lit("own").alias("semantic_id"))
    data = replace(data, item_table=table)
    with pytest.raises(
        ConfigError, match=r"have a column 'semantic_id'.*rename that column, or set levels = 0"
    ):
        create("trees", SMALL["trees"]).fit(data, ItemFeatures.build(data, config, RUN), RUN)


@pytest.mark.parametrize("name", NAMES)
def test_semantic_ids_are_a_column_by_which_items_of_a_text_are_told_apart(name):
    data = tastes(n_users=200)
    config = FeatureConfig.parse(
        {"use_sentence": "never", "codes": {"levels": 1, "codebook_size": 3}}, "test"
    )
    plain, coded = (
        ItemFeatures.build(data, told, RUN) for told in (FeatureConfig(use_sentence="never"), config)
    )
    q = QueryBatch.of_histories([[3, 6, 9], [4, 7, 10], [5, 8, 11]])
    without, found = (create(name, SMALL[name]).fit(data, text, RUN) for text in (plain, coded))
    assert not without.score(q).items[list(COLD)].any()  # the data have no column, and nobody has taken them
    scores = found.score(q)
    assert scores.items[list(COLD)].all()
    assert scores.values[:, list(COLD)].argmax(axis=1).tolist() == [0, 1, 2]
    # Items that came since have codes by their text, and a saved model reads the same.
    grown = tastes(n_users=200, n_items=48)
    later = found.updated(grown, coded.extended(grown, RUN), RUN).score(q)
    assert later.items[45:].all()
    assert later.values[:, 45:].argmax(axis=1).tolist() == [0, 1, 2]
    again = type(found).from_state(found.config, *found.state(), coded)
    np.testing.assert_array_equal(again.score(q).values, scores.values)
    only = create(name, {**SMALL[name], "item_columns": ["semantic_id"]}).fit(data, coded, RUN)
    assert only.score(q).items.all()
