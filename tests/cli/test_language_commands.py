"""``fuserec models tune``, ``compress`` and ``compare``: from a folder of data to encoders that are measured."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("ctranslate2")

from fuserec.testing.language import tiny_model

WORDS = [
    "poem",
    "map",
    "number",
    "verses",
    "on",
    "love",
    "and",
    "loss",
    "charts",
    "coasts",
    *map(str, range(12)),
]
SETTINGS = """
epochs = 2
batch_size = 16
learning_rate = 2e-3

[tuning]
method = "full"
"""


DIES = """
import os, signal, sys
from pathlib import Path
from fuserec.cli import main
from fuserec.neural import training
training.SAVE_EVERY_S = -1.0  # after every step
whole, writes = Path.write_bytes, 0
def half(self, blob):
    global writes
    writes += ".safetensors." in self.name and self.name.endswith(".tmp")
    if writes == 3:
        whole(self, blob[: len(blob) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(self, blob)
Path.write_bytes = half
sys.exit(main())
"""
"""The command, killed in the middle of writing its third checkpoint."""


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FUSEREC_CACHE", str(tmp_path / "cache"))
    return tiny_model(tmp_path / "base", "bert", WORDS)


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "tuning.toml"
    path.write_text(SETTINGS)
    return path


class TestTune:
    def test_a_hub_that_cannot_be_reached_is_one_line_with_a_remedy(self, cli, small, tmp_path, monkeypatch):
        for name in ("FUSEREC_OFFLINE", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # the discard port: nobody listens
        done = cli("models", "tune", small, "--out", tmp_path / "out", "--base", "nobody/nothing", "-q")
        assert done.status == 1
        (line,) = done.err.strip().splitlines()
        assert line.startswith(
            "error: the model 'nobody/nothing' is not on this machine: http://127.0.0.1:9 "
        )
        assert "name a folder" in line
        assert "`fuserec models install minilm`" in line

    def test_from_data_to_a_folder_that_evaluate_reads(self, cli, small, base, settings, tmp_path):
        out = tmp_path / "tuned"
        told = cli("models", "tune", small, "--out", out, "--base", base, "-c", settings, "--json").json
        assert told["folder"] == str(out)
        assert told["config"]["tuning"]["method"] == "full"
        assert told["figures"]["epochs"] == 2
        assert not out.with_name("tuned.checkpoints").exists()
        config = tmp_path / "with.toml"
        config.write_text(f'[features.sentence]\nmodel = "{out}"\n[parts.content]\n')
        honest = cli("evaluate", small, "-c", config, "--json", "-")
        assert "was tuned on" not in honest.err
        assert honest.json["models"]["content"]["metrics"]["ndcg@10"]["value"] > 0
        leaky = cli("evaluate", small, "-c", config, "--split", "random", "--json", "-")
        assert leaky.err.count("was tuned on the split last-out") == 1
        assert any("was tuned on" in note for note in leaky.json["notes"])

    @pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
    @pytest.mark.parametrize("method", ["full", "lora"])
    def test_killed_in_the_middle_it_goes_on_to_the_same_figure(
        self, cli, small, base, settings, tmp_path, method
    ):
        def options(name):
            told = ["models", "tune", small, "--out", tmp_path / name, "--base", base, "-c", settings]
            return [*told, "--method", method, "--threads", 1]

        killed = subprocess.run(
            [sys.executable, "-c", DIES, *map(str, options("tuned"))], capture_output=True, check=False
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        assert not (tmp_path / "tuned").exists()
        (kept,) = (tmp_path / "tuned.checkpoints").glob("*.safetensors")
        assert kept.stat().st_size
        goes_on = cli(*options("tuned"))
        assert goes_on.err.startswith("note: encoder: goes on in epoch 1 of 2\n"), goes_on.err
        assert cli(*options("whole")).status == goes_on.status == 0
        found, whole = (
            json.loads((tmp_path / name / "fuserec-tuning.json").read_text())["figures"]
            for name in ("tuned", "whole")
        )
        assert {**found, "seconds": 0} == {**whole, "seconds": 0}
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("tuned", "whole")]
        assert weights[0] == weights[1]
        assert not (tmp_path / "tuned.checkpoints").exists()

    def test_options_stand_above_the_file(self, cli, small, base, settings, tmp_path):
        options = [
            "--method",
            "lora",
            "--epochs",
            1,
            "--max-pairs",
            32,
            "--columns",
            "title",
            "--split",
            "none",
        ]
        told = cli(
            "models", "tune", small, "-o", tmp_path / "t", "--base", base, "-c", settings, *options, "--json"
        ).json
        assert (told["config"]["tuning"]["method"], told["config"]["epochs"]) == ("lora", 1)
        assert told["config"]["text"]["columns"] == ["title"]
        assert told["config"]["batch_size"] == 16
        assert told["seen"][0]["split"] == {"protocol": "none"}

    def test_it_goes_on_with_what_is_new_and_tells_what_is_forgotten(
        self, cli, small, base, settings, tmp_path
    ):
        options = ["--base", base, "-c", settings, "--newest", 0.4, "--replay", 0.25]
        done = cli("models", "tune", small, "-o", tmp_path / "t", *options)
        assert done.status == 0, done.err
        assert "on what is old" in done.out
        told = json.loads((tmp_path / "t" / "fuserec-tuning.json").read_text())
        assert told["config"]["continual"] == {"newest": 0.4, "replay": 0.25}
        continual = told["figures"]["continual"]
        assert continual["replayed"] == round(continual["new"] / 3)
        assert continual["on_old"]["low"] <= continual["on_old"]["change"] <= continual["on_old"]["high"]

    def test_people_see_what_came_of_it(self, cli, small, base, settings, tmp_path):
        shown = cli("models", "tune", small, "-o", tmp_path / "t", "--base", base, "-c", settings).out
        assert "similarity kept" in shown
        assert "[features.sentence] model =" in shown

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--method", "lore"], "did you mean 'lora'"),
            (["--objective", "mask"], "did you mean 'masked'"),
            (["--objective", "causal"], "choose masked or pairs"),
            (["--method", "adapters"], "cannot be merged"),
            (["--split", "last"], "did you mean 'last-out'"),
            (["--columns", "titel"], "did you mean 'title'"),
            (["--base", "./nowhere"], "there is no folder"),
        ],
    )
    def test_faults_are_one_line_and_write_nothing(self, cli, small, base, tmp_path, options, said):
        first = [] if "--base" in options else ["--base", base]
        assert said in cli("models", "tune", small, "--out", tmp_path / "t", *first, *options).fault
        assert not (tmp_path / "t").exists()

    @pytest.mark.parametrize(
        ("file", "options", "said"),
        [
            ("text = 3", ["--columns", "title"], "text = 3: has to be a table"),
            ("tuning = 3", ["--method", "full"], "tuning = 3: has to be a table"),
            ("continual = [1]", ["--newest", 0.3], "continual = [1]: has to be a table"),
            ("learning_rate = inf", [], "learning_rate = inf: Input should be a finite number"),
            ("learning_rate = 11", [], "learning_rate = 11: Input should be less than or equal to 10"),
            ("regularization = 1e300", [], "weights are no longer numbers after the last step"),
            ("[tuning]\nscale = 1e9", [], "tuning.scale = 1000000000.0: Input should be less than"),
            ("", ["--replay", 0.3], "--replay: says which older examples"),
            ("", ["--threads", 1025], "--threads 1025: has to be at most 1,024"),
        ],
    )
    def test_absurd_values_are_one_line_and_write_nothing(
        self, cli, small, base, tmp_path, file, options, said
    ):
        path = tmp_path / "absurd.toml"
        path.write_text(file)
        told = ["models", "tune", small, "--out", tmp_path / "t", "--base", base, "-c", path, "--epochs", 1]
        assert said in cli(*told, *options).fault
        assert not (tmp_path / "t").exists()

    def test_a_place_that_cannot_be_written_is_refused_before_any_work(self, cli, small, base, tmp_path):
        loop, dangling = tmp_path / "loop", tmp_path / "dangling"
        loop.symlink_to(loop)
        dangling.symlink_to(tmp_path / "gone")
        for out, said in (
            (loop, "exists"),
            (dangling, "exists"),
            (Path("/proc/t"), "/proc cannot be written"),
        ):
            assert said in cli("models", "tune", small, "--out", out, "--base", base, "--epochs", 1).fault
            assert said in cli("models", "compress", base, "--out", out).fault
        assert not list(tmp_path.glob("*.checkpoints"))

    def test_a_folder_of_other_weights_is_none_of_checkpoints(self, cli, small, base, tmp_path):
        kept = tmp_path / "kept"
        kept.mkdir()
        (kept / "model.safetensors").write_bytes(b"of somebody")
        told = ["models", "tune", small, "--out", tmp_path / "t", "--base", base, "--epochs", 1]
        assert "holds something else" in cli(*told, "--checkpoints", kept).fault
        assert (kept / "model.safetensors").read_bytes() == b"of somebody"

    def test_a_folder_that_exists_is_refused(self, cli, small, base):
        assert "exists" in cli("models", "tune", small, "--out", base, "--base", base).fault


class TestCompress:
    def test_each_form_is_written_and_shown(self, cli, small, base, tmp_path):
        for form in ("int8", "layers", "pruned"):
            out = tmp_path / form
            done = cli("models", "compress", base, "--out", out, "--form", form, "--epochs", 0)
            assert done.status == 0, done.err
            assert "read it by" in done.out
            assert json.loads((out / "fuserec-tuning.json").read_text())["compression"][0]["form"] == form

    def test_it_is_taught_on_data(self, cli, small, base, tmp_path):
        options = ["--form", "layers", "--layers", 1, "--data", small, "--epochs", 2]
        told = cli("models", "compress", base, "--out", tmp_path / "x", *options, "--json").json
        assert told["compression"][0]["taught_by"] == "vectors"

    @pytest.mark.parametrize("place", ["parts.language_pair", "fusion.last_stage.scorer"])
    def test_a_fitted_model_of_pairs_teaches(self, cli, small, base, tmp_path, place):
        config, teacher = tmp_path / "cross.toml", tmp_path / "teacher"
        config.write_text(
            f"""
            [features]
            use_sentence = "never"
            [parts.popularity]
            [fusion.last_stage]
            if_better = false
            [{place}]
            form = "cross"
            model = "{base}"
            examples = 60
            epochs = 1
            tuning = {{ method = "full" }}
            """
        )
        done = cli("fit", small, "--out", teacher, "-c", config)
        assert done.status == 0, done.err
        if place == "parts.language_pair":
            assert re.search(r"language_pair +cases \d+, accuracy 0\.\d+", cli("info", teacher).out)
        options = ["--student", base, "--teacher", teacher, "--data", small, "--epochs", 1]
        told = cli("models", "compress", base, "--out", tmp_path / "x", *options, "--json").json
        assert told["compression"][0]["taught_by"] == "scores of pairs"
        assert [each["split"]["protocol"] for each in told["seen"]] == ["none", "last-out"]
        compared = ["-m", base, "-m", tmp_path / "x", "--json", "-"]
        assert "was tuned on all rows" in cli("models", "compare", small, *compared).err
        fault = cli("models", "compress", base, "-o", tmp_path / "y", "--teacher", teacher).fault
        assert "form = int8 teaches nothing" in fault

    @pytest.mark.parametrize("option", [["--data", "nowhere"], ["--epochs", 2]])
    def test_bytes_are_never_taught(self, cli, base, tmp_path, option):
        fault = cli("models", "compress", base, "-o", tmp_path / "x", "--form", "int8", *option).fault
        assert fault.startswith("error: --form int8 teaches nothing")
        assert not (tmp_path / "x").exists()

    def test_a_student_and_a_form_are_two_commands(self, cli, base, tmp_path):
        options = ["--student", base, "--form", "pruned", "--epochs", 1]
        fault = cli("models", "compress", base, "-o", tmp_path / "x", *options).fault
        assert fault.startswith("error: --student: another model learns as it is, so --form")
        assert not (tmp_path / "x").exists()

    def test_an_option_of_a_form_names_the_form(self, cli, base, tmp_path):
        options = ["--layers", 1, "--epochs", 0]
        told = cli("models", "compress", base, "--out", tmp_path / "x", *options, "--json").json
        assert told["compression"] == [{**told["compression"][0], "form": "layers", "kept": [0]}]
        shown = cli("models", "compress", base, "--out", tmp_path / "y", "--pruned", 0.3, "--epochs", 0)
        assert "form" in shown.out
        assert "30% of the weights" in shown.out
        for form, option, own in (("int8", "--layers", "layers"), ("layers", "--pruned", "pruned")):
            given = ["--form", form, option, 1 if own == "layers" else 0.5, "--epochs", 0]
            fault = cli("models", "compress", base, "-o", tmp_path / "z", *given).fault
            assert f"--{own} is for --form {own}, not for {form}" in fault
        settings = tmp_path / "small.toml"
        settings.write_text('form = "int8"\n')
        given = ["--layers", 1, "-c", settings]
        assert "not for int8" in cli("models", "compress", base, "-o", tmp_path / "z", *given).fault

    def test_a_teacher_that_is_no_model_is_named(self, cli, base, tmp_path):
        options = ["--student", base, "--teacher", base, "--data", tmp_path / "nowhere", "--epochs", 1]
        fault = cli("models", "compress", base, "-o", tmp_path / "x", *options).fault
        assert f"--teacher {base}: not a FuseRec model" in fault

    def test_a_teacher_without_pairs_is_refused(self, cli, saved_sample, base, tmp_path):
        options = ["--form", "layers", "--layers", 1, "--teacher", saved_sample]
        fault = cli("models", "compress", base, "-o", tmp_path / "x", *options).fault
        assert f"--teacher {saved_sample}: none of its parts is a language_pair" in fault

    def test_faults(self, cli, base, tmp_path):
        assert (
            "did you mean 'layers'"
            in cli("models", "compress", base, "-o", tmp_path / "x", "--form", "layer").fault
        )
        assert "--data" in cli("models", "compress", base, "-o", tmp_path / "x", "--form", "layers").fault

    def test_a_small_form_and_a_precision_are_no_base(self, cli, small, base, tmp_path):
        cli("models", "compress", base, "--out", tmp_path / "int8")
        fault = cli("models", "tune", small, "-o", tmp_path / "x", "--base", tmp_path / "int8").fault
        assert "int8 is in the small form of CTranslate2, which cannot be trained" in fault
        fault = cli("models", "tune", small, "-o", tmp_path / "x", "--base", "minilm:float32").fault
        assert "name 'minilm', and for answers set compute_type" in fault


class TestCompare:
    def test_encoders_stand_side_by_side(self, cli, small, base, settings, tmp_path):
        cli("models", "tune", small, "--out", tmp_path / "tuned", "--base", base, "-c", settings)
        cli("models", "compress", tmp_path / "tuned", "--out", tmp_path / "tuned-int8")
        models = [
            "-m",
            base,
            "-m",
            tmp_path / "tuned",
            "-m",
            f"{tmp_path / 'tuned'}:float32",
            "-m",
            tmp_path / "tuned-int8",
        ]
        done = cli("models", "compare", small, *models, "--json", tmp_path / "found.json")
        assert done.status == 0, done.err
        assert "NDCG@10" in done.out
        found = json.loads((tmp_path / "found.json").read_text())
        encoders = found["encoders"]
        assert list(encoders) == ["base", "tuned", "tuned:float32", "tuned-int8"]
        first, tuned, exact, int8 = encoders.values()
        assert first["gain"] is None
        assert first["kept"]["catalogue"] == pytest.approx(1.0)
        assert -1 <= tuned["kept"]["catalogue"] < 1
        assert tuned["gain"]["users"] == 30
        assert tuned["gain"]["low"] <= tuned["gain"]["difference"] <= tuned["gain"]["high"]
        mean = tuned["metrics"]["ndcg@10"]["value"] - first["metrics"]["ndcg@10"]["value"]
        assert tuned["gain"]["difference"] == pytest.approx(mean)
        assert tuned["relative"] == pytest.approx(mean / first["metrics"]["ndcg@10"]["value"])
        assert tuned["gain_per_ms"] == pytest.approx(tuned["relative"] / tuned["ms_request"])
        assert tuned["validated"] == 30
        assert tuned["trained"] > 0
        assert first["trained"] is None
        assert int8["metrics"] == tuned["metrics"]  # the same numbers, converted before or now
        assert exact["megabytes"] > 2 * int8["megabytes"]
        assert all(0 <= one["metrics"]["auc"]["value"] <= 1 for one in encoders.values())

    def test_faulty_texts_are_told_beside(self, cli, small, base, settings, tmp_path):
        cli("models", "tune", small, "--out", tmp_path / "tuned", "--base", base, "-c", settings)
        shifts = ["--shift", "words:0.01", "--shift", "words:0.9"]
        models = ["-m", base, "-m", tmp_path / "tuned", "--json", tmp_path / "found.json"]
        done = cli("models", "compare", small, *models, *shifts)
        assert done.status == 0, done.err
        assert "words:0.9" in done.out
        assert re.search(r"base +words:0.9 +0[.]\d{4} +[-+]", done.out)
        assert max(map(len, done.out.splitlines())) <= 80
        for at, one in enumerate(json.loads((tmp_path / "found.json").read_text())["encoders"].values()):
            little, much = one["shifted"].values()
            clean = one["metrics"]["ndcg@10"]["value"]
            assert abs(little["ndcg"]["value"] - clean) < abs(much["ndcg"]["value"] - clean)
            assert much["lost"]["difference"] == pytest.approx(much["ndcg"]["value"] - clean)
            assert much["relative"] == pytest.approx(much["ndcg"]["value"] / clean - 1)
            assert (much["gain"] is None) == (at == 0)
        assert (
            "did you mean 'typos'" in cli("models", "compare", small, "-m", base, "--shift", "typo:0.1").fault
        )

    def test_an_encoder_that_saw_the_test_is_told(self, cli, small, base, settings, tmp_path):
        cli(
            "models", "tune", small, "-o", tmp_path / "all", "--base", base, "-c", settings, "--split", "none"
        )
        done = cli("models", "compare", small, "-m", base, "-m", tmp_path / "all")
        assert done.err.count("was tuned on all rows") == 1

    @pytest.mark.parametrize(
        ("models", "said"),
        [
            (["base:int4"], "float32, int8"),
            (["./nowhere"], "there is no folder"),
            (["base", "base"], "the same name"),
        ],
    )
    def test_faults(self, cli, small, base, models, said):
        named = [
            str(base) + each.removeprefix("base") if each.startswith("base") else each for each in models
        ]
        options = [part for each in named for part in ("-m", each)]
        assert said in cli("models", "compare", small, *options).fault
