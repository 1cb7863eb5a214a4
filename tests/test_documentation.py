"""The documentation is true: generated pages are current, tables agree with the code, links lead somewhere."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import build_docs
import check_architecture
import pytest
import reference

from fuserec.config import RecommenderConfig, create_parts
from fuserec.data.readers import FORMATS
from fuserec.data.splits import Protocol
from fuserec.metrics import DEFINITIONS
from fuserec.scorers import SCORERS, scorer_class

REPOSITORY = Path(__file__).resolve().parents[1]
READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("name", reference.PAGES)
def test_pages_read_off_the_code_are_current(name: str) -> None:
    written = (REPOSITORY / name).read_text(encoding="utf-8")
    assert written == reference.PAGES[name](), f"{name} is stale: run `make docs`"


def test_the_example_configuration_is_valid() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", reference.CONFIGURATION, re.DOTALL)
    config = RecommenderConfig.parse(tomllib.loads(example), "example")
    parts = create_parts(config.parts)
    assert {name: part.name for name, part in parts.items()} == {
        "cooccurrence": "cooccurrence",
        "ease": "ease",
        "content": "content",
        "trending": "popularity",
    }


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("option", ["--folds", "--candidates", "--groups", "--baseline", "--check-leaks"])
def test_the_readme_names_what_an_evaluation_can_do(readme, option):
    assert f"{option} " in (REPOSITORY / readme).read_text("utf-8").replace("`", " ")


@pytest.mark.parametrize("readme", READMES)
@pytest.mark.parametrize("name", SCORERS)
def test_the_table_of_scorers_agrees_with_their_capabilities(name: str, readme: str) -> None:
    _, answers, evidence, update, _ = check_architecture.table_of_scorers(REPOSITORY / readme)[name]
    told = scorer_class(name).capabilities
    assert (set(answers.split(", ")), evidence, update) == (set(told.answers), told.evidence, told.update)


def _code(readme: str) -> list[str]:
    """Return the code blocks of a README without comments."""
    page = build_docs.read_page(REPOSITORY / readme)
    blocks = [(token.info, token.content) for token in page.tokens if token.type == "fence"]
    return [f"{info}\n" + re.sub(r"[ \t]*#.*", "", content) for info, content in blocks]


def _targets(readme: str) -> list[str]:
    return sorted(target for _, _, target in build_docs.links(build_docs.read_page(REPOSITORY / readme)))


def _headings(readme: str) -> list[str]:
    page = build_docs.read_page(REPOSITORY / readme)
    return [token.tag for token in page.tokens if token.type == "heading_open"]


def _numbers_in_tables(readme: str) -> list[list[str]]:
    """Return the figures of every row of the table of figures."""
    text = (REPOSITORY / readme).read_text(encoding="utf-8")
    table = text.partition("<!-- figures -->")[2].partition("<!-- /figures -->")[0]
    return [re.findall(r"\d[\d.,]*", row) for row in table.splitlines() if row.startswith("|")]


def test_the_two_readmes_are_in_step() -> None:
    english, chinese = READMES
    assert _code(english) == _code(chinese)
    assert _targets(english) == _targets(chinese)
    assert _headings(english) == _headings(chinese)
    assert _numbers_in_tables(english) == _numbers_in_tables(chinese)


def test_the_readme_has_code_that_is_run() -> None:
    assert len(build_docs.code_blocks(build_docs.read_page(REPOSITORY / "README.md"), build_docs.RUN)) >= 2


def test_every_link_leads_somewhere() -> None:
    pages = [build_docs.read_page(path) for path in build_docs.sources(REPOSITORY)]
    assert len(pages) >= 10
    assert build_docs.broken_links(pages) == []


def test_the_guides_name_every_format_split_and_metric() -> None:
    formats = (REPOSITORY / "docs" / "data-formats.md").read_text(encoding="utf-8")
    evaluation = (REPOSITORY / "docs" / "evaluation.md").read_text(encoding="utf-8")
    assert [name for name in FORMATS if f"`{name}`" not in formats] == []
    assert [name for name in Protocol.__args__ if f"`{name}`" not in evaluation] == []
    beside = (REPOSITORY / "docs" / "fairness-and-information.md").read_text(encoding="utf-8")
    named = r"`{}(:COLUMN)?(@\w+)?`"
    assert [name for name in DEFINITIONS if not re.search(named.format(name), evaluation + beside)] == []


def test_the_picture_names_every_scorer() -> None:
    picture = (REPOSITORY / "docs" / "architecture.svg").read_text(encoding="utf-8")
    assert re.findall(r'class="mono" [^>]*>(\w+)</text>', picture) == list(SCORERS)


def test_a_link_to_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# A heading, twice\n\n# A heading, twice\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](there.md) [b](there.md#a-heading-twice-1) [c](gone.md) [d](there.md#gone) ![e](gone.svg) "
        "[f](https://example.org/x)\n",
        encoding="utf-8",
    )
    found = build_docs.broken_links([build_docs.read_page(page), build_docs.read_page(tmp_path / "there.md")])
    assert [re.findall(r"'(.*?)'", line)[0] for line in found] == ["gone.md", "there.md#gone", "gone.svg"]


def test_a_block_that_fails_is_told() -> None:
    assert build_docs.run_blocks(["x = 1\n", "assert x == 1\n"]) == ""
    assert "AssertionError" in build_docs.run_blocks(["x = 1\n", "assert x == 2\n"])
