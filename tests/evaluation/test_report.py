from __future__ import annotations

import doctest
import io
import re
from html.parser import HTMLParser

import pytest
from rich.console import Console

from fuserec.evaluation import curves, markup, plots, scatter, wording
from fuserec.evaluation.report import terminal_table, to_html, write_html
from fuserec.evaluation.results import (
    Comparison,
    DatasetFacts,
    EvaluationResults,
    ModelResult,
    SampleItem,
    SampleUser,
    Segment,
)
from fuserec.evaluation.statistics import Difference, Estimate
from fuserec.evaluation.summary import summary

VOID = {"meta", "input", "br"}
HOSTILE = "</style><script>alert('x')</script><img src=http://evil.example/x onerror=alert(1)>\"' & "


class Page(HTMLParser):
    """Checks that tags nest, and gathers elements and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def words(text: str) -> str:
    return re.sub(r"\s+", " ", " ".join(parsed(text).text))


def assert_harmless(page: Page) -> None:
    tags = {tag for tag, _ in page.elements}
    assert tags.isdisjoint(
        {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "use"}
    )
    for _, attributes in page.elements:
        assert attributes.keys().isdisjoint({"src", "xlink:href", "srcset", "style", "action"})
        assert (attributes.get("href") or "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]


def test_docstring_examples():
    for module in (curves, markup, plots, scatter):
        result = doctest.testmod(module)
        assert result.attempted >= 1
        assert result.failed == 0


def test_the_page_nests_and_asks_for_nothing(results):
    text = to_html(results)
    page = parsed(text)
    assert_harmless(page)
    assert not re.search(r"https?:|url\(|@import|//", text)
    policy = [attributes for tag, attributes in page.elements if attributes.get("http-equiv")]
    assert policy[0]["content"].startswith("default-src 'none'")


def test_the_page_says_what_was_found(results):
    said = words(to_html(results))
    for piece in (
        "fused is best: NDCG@10 0.0636 (95 % interval 0.0611–0.0661), over 22,363 users.",
        "Against the best of the others, cooccurrence: better by 0.0124 [",
        "105 of 1,000 users",
        "items never seen in training: NDCG@10 0.0191 (138 users)",
        "Each user's last item is the one to find",
        "12,101 items",
        "Mineral Sunscreen SPF 30",
        "9c1f40aa77d2e815",
        "3.11.9",
        '"regularization": 250.0',
        "138 of the items to find were never seen in training",
    ):
        assert piece in said, piece
    assert "Simulated" not in said


def test_every_metric_and_interval_is_in_the_page(results):
    text = to_html(results)
    for model in results.models.values():
        for name, estimate in model.metrics.items():
            assert wording.figure(name, estimate.value) in text
            assert wording.interval(name, estimate) in text


def test_metrics_of_several_columns_keep_the_order_of_the_results(results):
    fair = {f"group_gap:{name}@10": Estimate(0.1, -0.02, 0.2) for name in ("zone", "age", "gender", "city")}
    fused = results.models["fused"]
    model = fused.model_copy(update={"metrics": {**fused.metrics, **fair}})
    said = words(to_html(results.model_copy(update={"models": {"fused": model}})))
    places = [said.index(f"NDCG gap ({name})") for name in ("zone", "age", "gender", "city")]
    assert places == sorted(places)
    assert "−0.0200 to 0.2000" in said


def test_simulated_data_are_marked(results):
    data = results.dataset.model_copy(update={"simulated": True})
    marked = results.model_copy(update={"dataset": data})
    assert "Simulated data." in words(to_html(marked))
    assert "simulated data" in printed(marked)


def test_hostile_text_stays_text(results):
    fused = results.models["fused"]
    segments = {HOSTILE: next(iter(fused.segments.values()))}
    hostile = EvaluationResults(
        dataset=DatasetFacts(users=1, items=1, interactions=1, fingerprint=HOSTILE, name=HOSTILE),
        split={"kind": HOSTILE, HOSTILE: HOSTILE},
        models={HOSTILE: fused.model_copy(update={"segments": segments}), "b" + HOSTILE: fused},
        comparisons=[
            Comparison(metric="ndcg@10", reference=HOSTILE, models={"b" + HOSTILE: Difference(0, 0, 0, 1, 1)})
        ],
        weights={HOSTILE: {HOSTILE: 1.0}},
        sample=[
            SampleUser(
                user_id=HOSTILE,
                history=[HOSTILE],
                targets=[HOSTILE],
                lists={HOSTILE: [SampleItem(item_id=HOSTILE, title=HOSTILE, reason=HOSTILE, hit=True)]},
            )
        ],
        configuration={HOSTILE: [HOSTILE]},
        environment={HOSTILE: HOSTILE},
        notes=[HOSTILE],
    )
    text = to_html(hostile)
    page = parsed(text)
    assert_harmless(page)
    assert "<script" not in text
    assert HOSTILE.strip() in " ".join(page.text)
    assert [tag for tag, _ in page.elements].count("style") == 1


@pytest.mark.parametrize(
    "models",
    [
        {},
        {"a": ModelResult(metrics={}, users=0)},
        {"a": ModelResult(metrics={"ndcg@10": Estimate(None)}, users=0)},
        {"a": ModelResult(metrics={"ndcg@10": Estimate(0.0, 0.0, 0.0)}, users=1)},
        {"a": ModelResult(metrics={"recall@3": Estimate(1.0)}, users=1, score_s=0.0)},
        {
            "a": ModelResult(
                metrics={"ndcg@10": Estimate(0.2)}, segments={"x": Segment(users=0, metrics={})}, users=2
            ),
            "b": ModelResult(metrics={}, users=2),
        },
    ],
)
def test_little_or_nothing_is_still_a_page(results, models):
    bare = EvaluationResults(dataset=results.dataset, split={}, models=models)
    assert_harmless(parsed(to_html(bare)))
    assert printed(bare)


def test_errors_are_points_and_lower_is_better(results):
    models = {
        name: ModelResult(
            metrics={"rmse": Estimate(rmse, rmse - 0.01, rmse + 0.01), "mae": Estimate(rmse * 0.8)}, users=943
        )
        for name, rmse in (("svd", 0.91), ("item-knn", 0.905), ("user-knn", 0.93))
    }
    found = Difference(-0.005, -0.006, -0.004, 0.001, 943)
    rated = results.model_copy(
        update={
            "models": models,
            "primary": "rmse",
            "comparisons": [Comparison(metric="rmse", reference="svd", models={"item-knn": found})],
        }
    )
    said = words(to_html(rated))
    assert "item-knn is best: RMSE 0.9050" in said
    assert "Against the best of the others, svd: better by 0.0050 [0.0040, 0.0060] on 943 users" in said
    order = list(re.findall(r"item-knn|user-knn|svd", printed(rated)))
    assert order == ["item-knn", "svd", "user-knn"]
    bars = [
        attributes for tag, attributes in parsed(to_html(rated)).elements if attributes.get("class") == "fill"
    ]
    assert bars == []


def test_a_difference_within_chance_is_called_so(results):
    unsure = Comparison(
        metric="ndcg@10",
        reference="fused",
        models={"cooccurrence": Difference(-0.001, -0.003, 0.001, 0.31, 9)},
    )
    said = words(to_html(results.model_copy(update={"comparisons": [unsure]})))
    assert "no difference found: +0.0010 [−0.0010, +0.0030] on 9 users (p = 0.310)" in said
    assert "better by" not in said


def test_what_a_comparison_carries_further_is_shown_and_counts(results):
    clear = Difference(-0.01, -0.02, -0.005, 0.001, 9, p_holm=0.2, effect=-0.31, above=0.25)
    plain = Comparison(
        metric="ndcg@10", reference="fused", models={"als": Difference(-0.01, -0.02, -0.005, 0.001, 9)}
    )
    richer = plain.model_copy(update={"models": {"als": clear}})
    with_plain = words(to_html(results.model_copy(update={"comparisons": [plain]})))
    with_more = words(to_html(results.model_copy(update={"comparisons": [richer]})))
    assert "▼ clearly worse" in with_plain
    assert "p, corrected" not in with_plain
    for piece in (
        "p, corrected",
        "0.200",
        "Effect size",
        "−0.31",
        "Users higher",
        "25.0 %",
        "≈ within chance",
    ):
        assert piece in with_more, piece
    assert "▼ clearly worse" not in with_more  # the corrected p-value decides
    assert "Users lower" not in with_more


def test_a_fusion_that_loses_is_not_called_best(results):
    models = dict(results.models)
    models["cooccurrence"] = models["cooccurrence"].model_copy(
        update={"metrics": {**models["cooccurrence"].metrics, "ndcg@10": Estimate(0.09, 0.08, 0.1)}}
    )
    ahead = Comparison(
        metric="ndcg@10", reference="fused", models={"cooccurrence": Difference(0.026, 0.02, 0.03, 0.001, 9)}
    )
    said = words(to_html(results.model_copy(update={"models": models, "comparisons": [ahead]})))
    assert "fused reaches NDCG@10 0.0636" in said
    assert "Against the best of the others, cooccurrence: worse by 0.0260 [0.0200, 0.0300]" in said


def test_the_file_is_written_whole(results, tmp_path):
    write_html(results, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text("utf-8") == to_html(results)
    assert len(list(tmp_path.iterdir())) == 1


def printed(results: EvaluationResults, width: int = 100, **options) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(terminal_table(results, width=width, **options))
    return console.file.getvalue()


def test_the_terminal_table_fits_and_says_the_figures(results):
    text = printed(results)
    assert max(map(len, text.splitlines())) <= 100
    assert "0.0636 ±0.0025" in text
    assert "61.2 %" in text
    assert "…" not in text
    assert "NDCG@20" in printed(results, k=20)
    assert text.index("fused") < text.index("cooccurrence") < text.index("popularity")
    assert "Recall@5" in printed(results, k=5, primary="recall@10")


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_narrow_terminal_shows_fewer_metrics_and_cuts_none(results, width):
    text = printed(results, width)
    assert max(map(len, text.splitlines())) <= width
    assert "0.0636 ±0.0025" in text
    assert "cooccurrence" in text
    assert "…" not in text


def test_the_best_value_is_bold(results):
    table = terminal_table(results)
    coverage = next(column for column in table.columns if column.header == "Coverage@10")
    bold = [str(cell) for cell in coverage.cells if cell.style == "bold"]
    assert bold == ["88.4 %"]


def test_long_names_and_markup_do_not_break_the_terminal_table(results):
    models = {"[red]" + "x" * 80: results.models["fused"], "[/]": results.models["als"]}
    text = printed(results.model_copy(update={"models": models}))
    assert max(map(len, text.splitlines())) <= 100
    assert "[red]xxx" in text
    assert "[/]" in text


def test_labels_of_a_scatter_do_not_overlap():
    points = [scatter.Point(f"model-{at}", 0.5 + at / 1000, 0.5 + at / 1000) for at in range(6)]
    places = [(50 + at / 10, 150 - at / 10) for at in range(6)]
    labels = scatter._labels(points, places)
    boxes = [
        scatter._box(label, x, y, scatter._LABEL_SHARE * 7 + 2)
        for label, (x, y) in zip(labels, places, strict=True)
    ]
    for at, box in enumerate(boxes):
        assert not any(scatter._meet(box, other) for other in boxes[:at])


@pytest.mark.parametrize("values", [[0.0], [0.0633, 0.01], [3.0, -2.0], [1e-9], [1e12], [5.0, 5.0]])
@pytest.mark.parametrize("from_zero", [True, False])
def test_an_axis_holds_its_values_with_few_round_ticks(values, from_zero):
    scale = plots.axis(values, from_zero)
    assert scale.start <= min(values) <= max(values) <= scale.stop
    assert 2 <= len(scale.ticks) <= 8
    assert scale.share(scale.start) == 0
    assert scale.share(scale.stop) == 100


def test_segments_of_errors_share_an_axis_that_holds_every_interval(results):
    segment = Segment(users=9, metrics={"rmse": Estimate(0.9, 0.7, 1.3)})
    other = Segment(users=9, metrics={"rmse": Estimate(0.95, 0.9, 1.0)})
    model = ModelResult(
        metrics={"rmse": Estimate(0.92)}, segments={"query:short": segment, "query:long": other}, users=18
    )
    text = to_html(results.model_copy(update={"models": {"svd": model}, "primary": "rmse"}))
    plots_ = text[text.index('id="segments"') : text.index('id="metrics"')]
    ends = [float(value) for value in re.findall(r'class="tick">([\d.]+)<', plots_)]
    assert min(ends) <= 0.7
    assert max(ends) >= 1.3
    assert len(set(ends)) == 2


def test_people_are_counted_as_many_as_they_were(results):
    fused = results.models["fused"]
    few = results.model_copy(update={"models": {"fused": fused.model_copy(update={"users": 40})}})
    reached = round(40 * fused.metrics["hit_rate@10"].value)
    assert any(line.startswith(f"{reached} of 40 users find") for line in summary(few))
