"""Fixtures shared by all tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from fuserec.recommender import Recommender

# How long an example takes says more of what else the machine does, and of kernels being compiled, than of the code.
settings.register_profile("fuserec", deadline=None)
settings.load_profile("fuserec")


@pytest.fixture(scope="session")
def realdata() -> Path:
    """Return the folder of development datasets, which is never part of the repository; skip where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"development datasets are absent: {folder.name} is not beside the repository")
    return folder


@pytest.fixture(scope="session")
def sample_model() -> Recommender:
    """Return a model fitted on the bundled sample as the demo does it; nobody may update it."""
    from fuserec import Recommender, RunOptions, sample
    from fuserec.config import RecommenderConfig

    columns = ("title", "categories", "brand", "tags", "description")
    config = RecommenderConfig.parse(
        {"features": {"text": {"columns": columns}}}, "the sample's configuration"
    )
    return Recommender(config).fit(sample(), RunOptions(threads=2))


@pytest.fixture(scope="session")
def saved_sample(sample_model: Recommender, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of that model; only to be read."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    sample_model.save(folder)
    return folder


@pytest.fixture
def own_sample(saved_sample: Path, tmp_path: Path) -> Path:
    """Return a copy of the model's folder that a test may change."""
    return Path(shutil.copytree(saved_sample, tmp_path / "own-model"))


@pytest.fixture
def minilm() -> None:
    """Skip where the language model is not installed."""
    from fuserec.encoders import minilm as weights

    if not weights.status()["ready"]:
        pytest.skip("the MiniLM weights are not installed: fuserec models install minilm")
