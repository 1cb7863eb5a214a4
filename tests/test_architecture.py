"""The architecture's rules hold for the source, and the check that enforces them finds each breach."""

from __future__ import annotations

from pathlib import Path

import check_architecture as check
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]

REGISTRY = 'SCORERS: dict[str, str] = {"ease": "ease:EASE", "als": "als:ALS"}\n'
TABLE = "<!-- scorers -->\n| scorer | what |\n|---|---|\n| `ease` | x |\n| `als` | y |\n<!-- /scorers -->\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small repository that keeps every rule."""
    files = {
        "src/fuserec/__init__.py": "from fuserec.recommender import R\n",
        "src/fuserec/errors.py": "",
        "src/fuserec/recommender.py": "from fuserec import __version__\nfrom fuserec.scorers import x\n",
        "src/fuserec/persistence.py": "from fuserec.recommender import R\n",
        "src/fuserec/data/__init__.py": "",
        "src/fuserec/data/dataset.py": "from fuserec.errors import E\n",
        "src/fuserec/scorers/__init__.py": REGISTRY,
        "src/fuserec/scorers/base.py": "",
        "src/fuserec/scorers/ease.py": "from fuserec.scorers.base import Scorer\n",
        "src/fuserec/scorers/als.py": "from .base import Scorer\n",
        "README.md": TABLE,
        "README.zh-CN.md": TABLE,
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def _messages(tree: Path) -> list[str]:
    return [str(fault) for fault in check.faults(tree)[1]]


def test_the_source_keeps_the_rules() -> None:
    modules, found = check.faults(REPOSITORY)
    assert len(modules) > 80
    assert [str(fault) for fault in found] == []


def test_a_clean_tree_has_no_faults(tree: Path) -> None:
    assert _messages(tree) == []


@pytest.mark.parametrize(
    "line",
    [
        "import fuserec.recommender",
        "from fuserec.recommender import Recommender",
        "from fuserec import recommender",
        "from fuserec import Recommender",
        "from ..recommender import Recommender",
        "from .. import recommender",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fuserec.scorers.base import Scorer",
        "def late():\n    from fuserec.scorers import SCORERS",
        "from importlib import import_module\nimport_module('fuserec.recommender')",
        "from importlib import import_module\ndef f(x): return import_module(f'fuserec.scorers.{x}')",
    ],
)
def test_an_upward_import_is_found_wherever_it_stands(tree: Path, line: str) -> None:
    (tree / "src/fuserec/data/dataset.py").write_text(line + "\n", encoding="utf-8")
    (message,) = _messages(tree)
    assert "dataset.py" in message
    assert "imports may only point down" in message


def test_a_room_without_a_place_in_the_order_is_found(tree: Path) -> None:
    (tree / "src/fuserec/newroom.py").write_text("", encoding="utf-8")
    (message,) = _messages(tree)
    assert "newroom is in no layer" in message


@pytest.mark.parametrize("line", ["from fuserec.scorers.als import ALS", "from . import als"])
def test_a_scorer_that_knows_another_is_found(tree: Path, line: str) -> None:
    (tree / "src/fuserec/scorers/ease.py").write_text(line + "\n", encoding="utf-8")
    (message,) = _messages(tree)
    assert "no scorer knows another" in message


def test_a_scorer_that_no_list_names_is_found(tree: Path) -> None:
    (tree / "src/fuserec/scorers/extra.py").write_text("", encoding="utf-8")
    (message,) = _messages(tree)
    assert "extra is not in SCORERS" in message


def test_a_scorer_missing_from_one_readme_is_found(tree: Path) -> None:
    path = tree / "README.zh-CN.md"
    path.write_text(TABLE.replace("| `als` | y |\n", "| `gone` | y |\n"), encoding="utf-8")
    missing, surplus = _messages(tree)
    assert "'als' has no row" in missing
    assert "'gone'" in surplus


def test_a_long_file_is_found_at_one_line_above_the_limit(tree: Path) -> None:
    path = tree / "src/fuserec/errors.py"
    path.write_text("x = 1\n" * check.MAX_LINES, encoding="utf-8")
    assert _messages(tree) == []
    path.write_text("x = 1\n" * (check.MAX_LINES + 1), encoding="utf-8")
    (message,) = _messages(tree)
    assert f"at most {check.MAX_LINES}" in message


@pytest.mark.parametrize("name", ["utils", "helpers", "_common", "misc", "util"])
def test_a_name_that_says_nothing_is_found(tree: Path, name: str) -> None:
    (tree / f"src/fuserec/data/{name}.py").write_text("", encoding="utf-8")
    (message,) = _messages(tree)
    assert "name the module after what it holds" in message
