"""The report in a real browser: what it looks like, that it asks for nothing, and that everybody can use it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fuserec.evaluation.compared import Change, ModelPair, RunComparison
from fuserec.evaluation.report import write_html
from fuserec.evaluation.results import Comparison, EvaluationResults, read_json
from fuserec.evaluation.statistics import Difference

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the package playwright is not installed (extra dev)"
)
Image = pytest.importorskip("PIL.Image", reason="the package pillow is not installed (extra dev)")
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)"
)

HERE = Path(__file__).parent / "report"
DESKTOP, PHONE = (1280, 900), (375, 740)
SIZES = {"desktop": DESKTOP, "phone": PHONE}
PAPER = 688
"""Width of an A4 page between margins of 14 mm, in CSS pixels."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def fixed() -> EvaluationResults:
    return read_json(HERE / "results.json")


@pytest.fixture(scope="module", params=["en", "zh"])
def report(request: pytest.FixtureRequest, fixed: EvaluationResults, tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("report") / f"{request.param}.html"
    write_html(fixed, path, request.param)
    return path


@pytest.fixture(scope="module")
def english(fixed: EvaluationResults, tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(fixed, path)
    return path


class Visit:
    """A page, with what it asked for and what it complained of."""

    def __init__(self, browser: Any, path: Path, size: tuple[int, int] = DESKTOP, **options: Any) -> None:
        width, height = size
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda it: self.requests.append(it.url))
        self.page.on("console", lambda it: self.complaints.append(it.text))
        self.page.on("pageerror", lambda it: self.complaints.append(str(it)))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self.context.close()


def widths(page: Any) -> tuple[int, int]:
    found = page.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
    return found[0], found[1]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_offline_without_a_complaint_and_fits_the_screen(browser, report, size, scheme):
    visit = Visit(browser, report, size, offline=True, color_scheme=scheme, java_script_enabled=True)
    with visit as page:
        width, room = widths(page)
        assert width <= room
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        width, room = widths(page)
        assert width <= room
        assert visit.requests == [report.as_uri()]
        assert visit.complaints == []
        outside = page.evaluate(
            """() => [...document.querySelectorAll('h1,h2,h3,p,li,summary,figure,.frame,.bar,.lists,dl,pre')]
            .filter(it => it.checkVisibility() && !it.closest('.lists .list'))
            .filter(it => it.getBoundingClientRect().right > innerWidth + 0.5).map(it => it.outerHTML.slice(0, 80))"""
        )
        assert outside == []


def test_long_names_and_titles_break_nothing(browser, fixed, tmp_path):
    long = "a" * 90
    models = {f"{name}-{long}": model for name, model in fixed.models.items()}
    models |= {f"{name} {at} {long}": model for name, model in fixed.models.items() for at in range(2)}
    user = fixed.sample[0]
    item = user.lists["fused"][0].model_copy(update={"title": long * 4, "reasons": {"en": long * 3}})
    lists = {name: [item] * 5 for name in models}
    sample = [user.model_copy(update={"lists": lists, "history": [long * 3], "user_id": long * 2})]
    data = fixed.dataset.model_copy(update={"name": long * 3})
    told = {"configuration": {long: long * 4}, "environment": {long * 2: long * 2}, "notes": [long * 3]}
    weights = {f"{long}: short": {f"part {at} {long}": 0.1 for at in range(9)}}
    changed = {"models": models, "sample": sample, "dataset": data, "weights": weights, "comparisons": []}
    write_html(fixed.model_copy(update=changed | told), tmp_path / "long.html")
    for size in SIZES.values():
        with Visit(browser, tmp_path / "long.html", size) as page:
            page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
            width, room = widths(page)
            assert width <= room


def crowded(fixed: EvaluationResults) -> EvaluationResults:
    """As a whole evaluation makes it: eight models, groups of users, all that a comparison carries, an earlier run."""
    models = {**fixed.models, **{f"further-part-{at}": fixed.models["content"] for at in range(3)}}
    groups = [f"group:age={band}" for band in ("under 23", "23 to under 31", "31 to under 43", "43+")]
    groups += [f"group:occupation={name}" for name in ("administrator", "programmer", "technician", "other")]
    segment = next(iter(fixed.models["fused"].segments.values()))
    models = {
        name: model.model_copy(update={"segments": {**model.segments, **dict.fromkeys(groups, segment)}})
        for name, model in models.items()
    }
    full = Difference(-0.0123, -0.0145, -0.0101, 1e-5, 22363, 0.001, 7e-5, -0.123, 0.123, 0.234, 0.0031)
    gaps = dict.fromkeys((name for name in models if name != "fused"), full)
    metrics = ("ndcg@10", "rmse", "group_gap:occupation@10")
    comparisons = [Comparison(metric=metric, reference="fused", models=gaps) for metric in metrics]
    changes = [
        Change(metric=metric, before=0.0512, after=0.0636, difference=full, verdict="")
        for metric in metrics[:2]
    ]
    parts = [change.model_copy(update={"segment": name}) for name in groups for change in changes[:1]]
    pair = ModelPair(
        model="this run:fused", reference="yesterday:fused", paired=True, changes=changes, segments=parts
    )
    baseline = RunComparison(runs={}, primary="ndcg@10", pairs=[pair])
    return fixed.model_copy(update={"models": models, "comparisons": comparisons, "baseline": baseline})


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("many", [False, True], ids=["fixed", "crowded"])
def test_no_table_hides_a_column_at_the_width_of_a_desktop(browser, fixed, tmp_path, language, many):
    write_html(crowded(fixed) if many else fixed, tmp_path / "r.html", language)
    with Visit(browser, tmp_path / "r.html", DESKTOP) as page:
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        hidden = page.evaluate(
            """() => [...document.querySelectorAll('.frame')].filter(it => it.scrollWidth > it.clientWidth + 1)
            .map(it => [it.getAttribute('aria-label'), it.scrollWidth, it.clientWidth])"""
        )
        assert hidden == []


def test_it_works_without_javascript(browser, english):
    with Visit(browser, english, java_script_enabled=False) as page:
        assert page.locator(".panel1 tr").first.is_visible() or page.locator(".panel1").first.is_visible()
        page.locator("label[for=tab0]").click()
        assert page.locator("tbody.panel0").first.is_visible()
        assert not page.locator("tbody.panel1").first.is_visible()


def test_the_length_of_lists_is_chosen_by_keyboard(browser, english):
    with Visit(browser, english) as page:
        page.locator("#tab1").focus()
        page.keyboard.press("ArrowRight")
        assert page.locator("tbody.panel2").first.is_visible()
        assert not page.locator("tbody.panel1").first.is_visible()


def tip(page: Any) -> Any:
    return page.locator("tbody.panel1 .tip").first


def assert_readable(page: Any) -> None:
    shown = tip(page)
    assert shown.is_visible()
    assert "How near to the top" in shown.inner_text()
    box, (width, height) = shown.bounding_box(), (page.viewport_size["width"], page.viewport_size["height"])
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height
    for right, down in ((0.1, 0.2), (0.1, 0.8), (0.5, 0.5), (0.9, 0.8)):  # nothing lies over it
        point = [box["x"] + right * box["width"], box["y"] + down * box["height"]]
        on_top = page.evaluate("([x, y]) => document.elementFromPoint(x, y)?.closest('.tip')?.id", point)
        assert on_top == shown.get_attribute("id")


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_definition_is_reached_by_the_keyboard(browser, english, size):
    with Visit(browser, english, size) as page:
        assert not tip(page).is_visible()
        page.locator("label[for=tab1]").scroll_into_view_if_needed()
        page.locator("#tab1").focus()
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.className") == "term":
                break
        assert_readable(page)
        assert page.evaluate("document.activeElement.getAttribute('aria-describedby')") == tip(
            page
        ).get_attribute("id")
        page.keyboard.press("Enter")
        assert page.locator(".tip:popover-open").count() == 1
        assert_readable(page)
        page.keyboard.press("Escape")
        assert page.locator(".tip:popover-open").count() == 0


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_a_definition_is_shown_to_a_finger(browser, english, size):
    with Visit(browser, english, size, has_touch=True, is_mobile=True) as page:
        page.locator("tbody.panel1 .term").first.tap()
        assert_readable(page)
        page.touchscreen.tap(5, 5)
        assert page.locator(".tip:popover-open").count() == 0


def test_a_definition_is_shown_to_a_mouse(browser, english):
    with Visit(browser, english) as page:
        page.locator("tbody.panel1 .term").first.hover()
        assert_readable(page)
        page.mouse.move(2, 2)
        assert not tip(page).is_visible()


def test_lists_side_by_side_scroll_within_their_frame(browser, english):
    with Visit(browser, english, PHONE) as page:
        lists = page.locator(".lists").first
        lists.focus()
        assert lists.evaluate("it => it.scrollWidth > it.clientWidth")
        page.keyboard.press("ArrowRight")
        for _ in range(20):  # it glides
            page.wait_for_timeout(100)
            if lists.evaluate("it => it.scrollLeft") > 0:
                break
        assert lists.evaluate("it => it.scrollLeft") > 0


@pytest.mark.parametrize("many", [False, True], ids=["five", "eight"])
def test_no_table_is_cut_on_paper(browser, english, results, tmp_path, many):
    path = english
    if many:
        path = tmp_path / "many.html"
        write_html(results, path)
    with Visit(browser, path, (PAPER, 1000)) as page:
        page.emulate_media(media="print")
        width, room = widths(page)
        assert width <= room
        cut = page.evaluate(
            """() => [...document.querySelectorAll('table')]
            .map(it => [it.getBoundingClientRect().right, it.closest('.frame').getBoundingClientRect().right])
            .filter(([table, frame]) => table > frame + 1)"""
        )
        assert cut == []
        hidden = page.evaluate(
            """() => [...document.querySelectorAll('table')].filter(it =>
            !it.checkVisibility({contentVisibilityAuto: true}) || it.getBoundingClientRect().height < 20).length"""
        )
        assert hidden == 0
        assert page.locator("tbody.panel0").first.is_visible()
        assert page.locator("tbody.panel2").first.is_visible()
        made = page.pdf(format="A4", print_background=True)
        assert made.startswith(b"%PDF")


# What it looks like. Fonts differ between machines, so letters are made invisible and sections are compared one by one:
# where they stand, how high they are within a fifth, and what is left as grey pictures of a few pixels.
SMALL = (40, 30)
HEIGHT, GREY, LOUD = 0.2, 6.5, 0.01
"""What may differ: heights, grey levels on average, and the share of pixels that differ by forty of 255."""

NO_LETTERS = """* { -webkit-text-fill-color: transparent !important; text-decoration-color: transparent !important }
*::marker { color: transparent !important } svg text { fill-opacity: 0 !important; stroke-opacity: 0 !important }
.lead, .said, .why { display: none }"""


def look(page: Any) -> dict[str, tuple[list[float], np.ndarray]]:
    """Return box (left, width, height) and small grey picture (30, 40) of each section."""
    found = {}
    page.add_style_tag(content=NO_LETTERS)
    for part in page.locator("main > *").all():
        name = part.evaluate("it => it.id || it.tagName.toLowerCase()")
        box = part.bounding_box()
        picture = Image.open(BytesIO(part.screenshot())).convert("L").resize(SMALL, Image.Resampling.BOX)
        found[name] = (
            [round(box[side]) for side in ("x", "width", "height")],
            np.asarray(picture, np.float64),
        )
    return found


def differences(seen: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Say what looks other than it should."""
    said = [] if list(seen) == list(wanted) else [f"sections: {list(seen)}, not {list(wanted)}"]
    for name in wanted.keys() & seen.keys():
        (left, width, height), picture = seen[name]
        (left_, width_, height_), picture_ = wanted[name]
        if abs(left - left_) > 2 or abs(width - width_) > 2 or abs(height - height_) > HEIGHT * height_:
            said.append(f"{name}: stands at {seen[name][0]}, not {wanted[name][0]}")
        apart = np.abs(picture - picture_)
        grey, loud = float(apart.mean()), float((apart > 40).mean())
        if grey > GREY or loud > LOUD:
            said.append(f"{name}: looks different, by {grey:.1f} on average, in {loud:.3f} of its pixels")
    return said


def reference(size: str) -> dict[str, Any]:
    boxes = json.loads((HERE / f"{size}.json").read_text("utf-8"))
    strip = np.asarray(Image.open(HERE / f"{size}.png").convert("L"), np.float64)
    return {
        name: (box, strip[:, at * SMALL[0] : (at + 1) * SMALL[0]])
        for at, (name, box) in enumerate(boxes.items())
    }


def keep(size: str, seen: dict[str, Any]) -> None:
    """Write the reference: ``python -m tests.evaluation.test_report_browser`` after a change that was meant."""
    lines = [f"{json.dumps(name)}: {json.dumps(box)}" for name, (box, _) in seen.items()]
    (HERE / f"{size}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
    strip = np.hstack([picture for _, picture in seen.values()]).astype(np.uint8)
    Image.fromarray(strip).save(HERE / f"{size}.png", optimize=True)


@pytest.mark.parametrize("size", SIZES)
def test_it_looks_as_it_did(browser, english, size):
    with Visit(browser, english, SIZES[size], color_scheme="light") as page:
        assert differences(look(page), reference(size)) == []


@pytest.mark.parametrize("size", SIZES)
def test_other_fonts_are_no_change_of_layout(browser, english, size):
    with Visit(browser, english, SIZES[size], color_scheme="light") as page:
        page.add_style_tag(
            content=":root{--font:'Liberation Sans','Arimo','Nimbus Sans',Arial,sans-serif!important}"
        )
        assert differences(look(page), reference(size)) == []


@pytest.mark.parametrize(
    "broken",
    [
        ".fill{display:none}",
        ".grid{display:block!important}",
        "td{padding:20px!important}",
        ".lists{display:block!important}",
        ".line,.mark{display:none}",
    ],
)
def test_a_changed_layout_is_seen(browser, english, broken):
    with Visit(browser, english, DESKTOP, color_scheme="light") as page:
        page.add_style_tag(content=broken)
        assert differences(look(page), reference("desktop")) != []


if __name__ == "__main__":
    with playwright.sync_playwright() as tools:
        opened = tools.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        target = HERE / "report.html"
        write_html(read_json(HERE / "results.json"), target)
        for size, pixels in SIZES.items():
            with Visit(opened, target, pixels, color_scheme="light") as page:
                keep(size, look(page))
        target.unlink()
        opened.close()
