"""What tells one training of a language model from another: nothing takes up a checkpoint that is not its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_language import RUN, WORDS, readers

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.neural.language.adapt import CompressConfig, compress
from fuserec.testing.language import tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    made = {}
    for role in ("teacher", "student"):
        for seed in (1, 2):  # in folders of the same name
            made[role, seed] = tiny_model(root / str(seed) / role, "bert", WORDS, layers=1, dim=16, seed=seed)
    return made


def even(people, items):
    return np.array([float(int(item.split("w")[-1]) % 2 == 0) for item in items])


def odd(people, items):
    return 1.0 - even(people, items)


class TestCompress:
    @pytest.mark.parametrize("changed", ["seed", "student", "teacher", "scores"])
    def test_another_training_takes_up_nothing(self, models, tmp_path, changed):
        config = CompressConfig.parse(
            {"form": "layers", "epochs": 1, "batch_size": 32, "texts": 60, "learning_rate": 1e-2}, "test"
        )
        kept = tmp_path / "kept"

        def weights(out, *, other, checkpoints):
            def is_other(what):
                return other and changed == what

            run = replace(RUN, seed=4 if is_other("seed") else 3, checkpoints=checkpoints)
            scores = None if changed != "scores" else (odd if other else even)
            compress(
                str(models["teacher", 2 if is_other("teacher") else 1]),
                tmp_path / out,
                config,
                run,
                data=readers(20),
                student=str(models["student", 2 if is_other("student") else 1]),
                scores=scores,
            )
            return (tmp_path / out / "model.safetensors").read_bytes()

        first = weights("first", other=False, checkpoints=kept)
        names = {path.name for path in kept.iterdir()}
        assert len(names) == 1
        second = weights("second", other=True, checkpoints=kept)
        assert len({path.name for path in kept.iterdir()} - names) == 1
        assert second != first
        assert second == weights("alone", other=True, checkpoints=None)
