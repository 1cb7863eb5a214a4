"""Ways of tuning: each trains what it says and nothing else, starts where the model was, and merges into it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_language import RUN, WORDS, Calls

from fuserec.errors import ConfigError
from fuserec.run import CancelledError

torch = pytest.importorskip("torch", reason="the extra `deep` (PyTorch) is not installed")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from fuserec.neural.checkpoints import Checkpoint  # noqa: E402
from fuserec.neural.language.backbone import open_backbone  # noqa: E402
from fuserec.neural.language.ranks import RankBudget  # noqa: E402
from fuserec.neural.language.tuning import TuningConfig, blocks_of, merged, sizes, tune  # noqa: E402
from fuserec.neural.training import Plan, train  # noqa: E402
from fuserec.testing.language import tiny_model  # noqa: E402

TEXTS = ["red0 blue0", "oak1 sea1 w3", "red2", "w1 w2 w3 w4 w5"]
STEPS = 30

METHODS = {
    "full": lambda name: True,
    "last_layers": lambda name: (
        any(part in name for part in (".layer.1.", ".block.1.", ".h.1."))
        or name.startswith("model.ln_f")
        or "final_layer_norm" in name
    ),
    "biases": lambda name: name.endswith("bias") or "norm" in name.lower() or "ln_" in name,
    "lora": lambda name: "lora_" in name,
    "adalora": lambda name: "lora_" in name,
    "hira": lambda name: name.endswith((".weight.0.up", ".weight.0.down")),
    "adapters": lambda name: (
        any(part in name for part in (".down.", ".up.")) or name.split(".")[-2] == "norm"
    ),
    "frozen": lambda name: False,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: tiny_model(root / kind, kind, WORDS) for kind in ("bert", "gpt2", "qwen2", "t5")}


def made(folder, method, **changes):
    """Return a backbone that is ready to be trained."""
    torch.manual_seed(0)
    backbone = open_backbone(str(folder), RUN)
    tune(backbone, TuningConfig(method=method, **changes), STEPS)
    return backbone


def stepped(backbone, steps=3, rate=1e-2):
    """Train towards a fixed vector for a few steps."""
    trained = [p for p in backbone.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=rate)
    batch = backbone.batch(backbone.tokens(TEXTS))
    backbone.train()
    for _ in range(steps):
        loss = (backbone(batch) - torch.linspace(-1, 1, backbone.dim)).square().sum() + backbone.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    backbone.eval()
    return backbone


@pytest.mark.parametrize("kind", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("method", METHODS)
def test_what_a_method_names_moves_and_nothing_else(folders, kind, method):
    backbone = made(folders[kind], method, layers=1)
    before = {name: p.detach().clone() for name, p in backbone.named_parameters()}
    ours, every = sizes(backbone)
    assert every == sum(p.numel() for p in before.values())
    if method != "frozen":
        stepped(backbone)
    moved = {n for n, p in backbone.named_parameters() if not torch.equal(p, before[n])}
    assert all(METHODS[method](name) for name in moved), sorted(moved)
    assert (ours > 0) == (method != "frozen")
    assert bool(moved) == (method != "frozen")
    assert sum(before[name].numel() for name in moved) <= ours
    if method == "full":
        assert ours == every
    elif method in ("lora", "adalora", "hira", "biases"):
        assert ours < every / 3
    untouched = [n for n in before if not METHODS[method](n)]
    assert not any(dict(backbone.named_parameters())[n].requires_grad for n in untouched)


class TestLowRank:
    @pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
    @pytest.mark.parametrize("targets", ["attention", "all"])
    @pytest.mark.parametrize("method", ["lora", "hira"])
    def test_merged_it_is_the_same_model(self, folders, kind, targets, method):
        backbone = stepped(made(folders[kind], method, targets=targets))
        plain = open_backbone(str(folders[kind]), RUN).encode(TEXTS, RUN)
        before = backbone.encode(TEXTS, RUN)
        assert np.abs(before - plain).max() > 1e-3, "the updates do nothing: the test could not fail"
        after = merged(backbone)
        names = {name for name, _ in open_backbone(str(folders[kind]), RUN).named_parameters()}
        assert {name for name, _ in after.named_parameters()} == names
        np.testing.assert_allclose(after.encode(TEXTS, RUN), before, atol=1e-4)

    @pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
    @pytest.mark.parametrize("targets", ["attention", "all"])
    def test_word_vectors_are_updated_at_their_own_rank(self, folders, kind, targets):
        plain, backbone = (
            made(folders[kind], "lora", targets=targets, rank=2, word_rank=rank) for rank in (0, 3)
        )
        words = open_backbone(str(folders[kind]), RUN).model.get_input_embeddings().weight
        more = sizes(backbone)[0] - sizes(plain)[0]
        unused = sum(p.numel() for n, p in plain.named_parameters() if "pooler" in n and "lora_" in n)
        assert more + unused == 3 * sum(words.shape)
        stepped(backbone)
        before = backbone.encode(TEXTS, RUN)
        after = merged(backbone)
        change = after.model.get_input_embeddings().weight - words
        assert 1 <= np.linalg.matrix_rank(change.detach().numpy(), rtol=1e-5) <= 3
        np.testing.assert_allclose(after.encode(TEXTS, RUN), before, atol=1e-4)

    def test_its_scale_multiplies_the_update(self, folders):
        """W + scale · B A, of the maps and of the word vectors, whatever their rank."""
        backbone = made(folders["bert"], "lora", targets="all", rank=4, word_rank=2, scale=3.0)
        before = {name: w.clone() for name, w in open_backbone(str(folders["bert"]), RUN).named_parameters()}
        updates = {}
        for name, part in stepped(backbone).named_modules():
            if "default" in getattr(part, "lora_B", ()):
                a, b = part.lora_A["default"].weight, part.lora_B["default"].weight
                updates[name.split("base_model.model.")[-1]] = (b @ a).detach()
            elif "default" in getattr(part, "lora_embedding_B", ()):
                a, b = part.lora_embedding_A["default"], part.lora_embedding_B["default"]
                updates[name.split("base_model.model.")[-1]] = (b @ a).T.detach()
        assert len(updates) > 6
        after = dict(merged(backbone).named_parameters())
        assert max(float(update.abs().max()) for update in updates.values()) > 1e-4
        for name, update in updates.items():
            (own,) = (full for full in after if full.endswith(f"{name}.weight"))
            torch.testing.assert_close(after[own] - before[own], 3.0 * update, atol=1e-6, rtol=1e-3)

    def test_weights_that_are_multiplied_change_at_full_rank(self, folders):
        """W + scale · W / rms(W) ∘ (B A): a sum over rank of row- and column-scaled copies of W."""
        backbone = made(folders["bert"], "hira", targets="all", rank=2, scale=3.0)
        names = [name for name, _ in backbone.named_parameters() if name.endswith(".weight.0.up")]
        assert len(names) == 2 * 6  # maps of two layers
        stepped(backbone)
        learnt = {name: p.detach().clone() for name, p in backbone.named_parameters()}
        after = dict(merged(backbone).named_parameters())
        for name in names:
            place = name.removesuffix(".weight.0.up")
            before = learnt[f"{place}.weight.original"]
            product = learnt[name] @ learnt[f"{place}.weight.0.down"]
            size = float(before.square().mean().sqrt())
            change = after[f"{place.removesuffix('.parametrizations')}.weight"] - before
            torch.testing.assert_close(change, 3.0 * before / size * product, atol=1e-6, rtol=1e-3)
            assert np.linalg.matrix_rank(product.numpy(), rtol=1e-5) == 2
            assert np.linalg.matrix_rank(change.detach().numpy(), rtol=1e-3) > 8

    @pytest.mark.parametrize(("kind", "named"), [("bert", {"query", "value"}), ("gpt2", {"c_attn"})])
    def test_those_of_the_attention_alone(self, folders, kind, named):
        backbone = made(folders[kind], "hira", targets="attention")
        trained = {name.split(".")[-5] for name, p in backbone.named_parameters() if p.requires_grad}
        assert trained == named

    @pytest.mark.usefixtures("minilm")
    @pytest.mark.parametrize(
        ("method", "more"),
        [("lora", {"rank": 10}), ("lora", {"rank": 8, "word_rank": 4}), ("hira", {"rank": 10})],
    )
    def test_of_minilm_it_trains_less_than_a_fiftieth(self, method, more):
        backbone = made("minilm", method, targets="all", **more)
        ours, every = sizes(backbone)
        assert 0.01 < ours / every < 0.02

    def test_word_vectors_belong_to_lora_alone(self):
        with pytest.raises(ConfigError, match="word_rank is for method = 'lora', not for full"):
            TuningConfig.parse({"method": "full", "word_rank": 2}, "the test")

    def test_adalora_merges_too(self, folders):
        backbone = stepped(made(folders["bert"], "adalora", rank=2), steps=STEPS, rate=1e-3)
        backbone.budget.settle()
        before = backbone.encode(TEXTS, RUN)
        after = merged(backbone)
        assert after.budget is None
        np.testing.assert_allclose(after.encode(TEXTS, RUN), before, atol=1e-4)

    def test_the_budget_falls_from_the_first_ranks_to_the_last(self, folders):
        backbone = made(folders["bert"], "adalora", rank=4)
        budget: RankBudget = backbone.budget
        assert budget.ranks() == [6] * 4  # two layers, queries and values
        asked = [budget.budget(step) for step in range(STEPS + 1)]
        assert (asked[0], asked[-1]) == (24, 16)
        assert asked == sorted(asked, reverse=True)
        stepped(backbone, steps=STEPS + 1)
        assert sum(budget.ranks()) == 16
        kept = [budget.get_buffer(f"kept_{at}") for at in range(4)]
        values = [p for name, p in sorted(backbone.named_parameters()) if "lora_E" in name]
        budget.settle()
        assert all(bool((value[~stay] == 0).all()) for value, stay in zip(values, kept, strict=True))
        assert len(set(budget.ranks())) > 1  # ranks are handed out, not cut evenly

    def test_texts_that_are_read_twice_in_a_step_are_one_step(self, folders):
        backbone = made(folders["bert"], "adalora", rank=2).train()
        batch = backbone.batch(backbone.tokens(TEXTS))
        for _ in range(3):
            (backbone(batch).sum() + backbone(batch).square().sum()).backward()
        assert int(backbone.budget.get_buffer("step")) == 2  # the third is heard before the next reading
        backbone.eval()
        backbone(batch)
        assert int(backbone.budget.get_buffer("step")) == 2

    def test_directions_that_matter_are_kept(self):
        class Update(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.lora_A = torch.nn.ParameterDict({"default": torch.nn.Parameter(torch.eye(3))})
                self.lora_E = torch.nn.ParameterDict({"default": torch.nn.Parameter(torch.ones(3, 1))})
                self.lora_B = torch.nn.ParameterDict({"default": torch.nn.Parameter(torch.eye(3))})

            def forward(self, x):
                return x @ (self.lora_A["default"] * self.lora_E["default"]).T @ self.lora_B["default"].T

        update = Update()
        budget = RankBudget(update, 1, warm=1, last=2, every=1, total=12, orthogonality=0.0)
        budget.train()
        rng = np.random.default_rng(0)
        for _ in range(12):
            x = torch.from_numpy(rng.normal(size=(8, 3)).astype(np.float32))
            budget.before_reading()
            loss = (update(x) * torch.tensor([0.0, 5.0, 0.1])).square().mean() + budget.penalty()
            update.zero_grad()
            loss.backward()
        assert budget.get_buffer("kept_0").tolist() == [False, True, False]

    def test_the_orthogonality_term(self):
        module = torch.nn.Module()
        for name, value in (
            ("lora_A", 2 * torch.eye(2)),
            ("lora_E", torch.ones(2, 1)),
            ("lora_B", torch.eye(2)),
        ):
            setattr(module, name, torch.nn.ParameterDict({"default": torch.nn.Parameter(value)}))
        budget = RankBudget(module, 1, warm=1, last=1, every=1, total=5, orthogonality=0.5)
        # A·Aᵀ - I = 3·I, of norm 3·√2; B is orthogonal; the mean of both times a half.
        assert budget.penalty().item() == pytest.approx(0.5 * 3 * 2**0.5 / 2)

    def test_a_stopped_adalora_goes_on_as_if_nothing_had_happened(self, folders, tmp_path):
        class Task:
            def __init__(self, backbone):
                self.model = backbone
                self.batch = backbone.batch(backbone.tokens(TEXTS))

            def batches(self, epoch):
                return list(range(6))

            def loss(self, batch):
                return (self.model(self.batch) - 1).square().mean() + self.model.penalty()

            def judge(self):
                return None

        plan = Plan("toy", 5, 1e-2)
        whole = made(folders["bert"], "adalora", rank=2)
        train(Task(whole), plan, RUN, Checkpoint(None, "toy", ""))
        first, stop = made(folders["bert"], "adalora", rank=2), replace(RUN, cancel=Calls(17))
        with pytest.raises(CancelledError):
            train(Task(first), plan, stop, Checkpoint(tmp_path, "toy", "k"))
        again = made(folders["bert"], "adalora", rank=2)
        train(Task(again), plan, RUN, Checkpoint(tmp_path, "toy", "k"))
        assert again.budget.ranks() == whole.budget.ranks()
        for (name, a), b in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
            assert torch.equal(a, b), name


class TestAdapters:
    @pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
    def test_they_start_as_the_identity(self, folders, kind):
        plain = open_backbone(str(folders[kind]), RUN).encode(TEXTS, RUN)
        adapted = made(folders[kind], "adapters", adapter_dim=8)
        np.testing.assert_allclose(adapted.encode(TEXTS, RUN), plain, atol=1e-6)
        assert np.abs(stepped(adapted).encode(TEXTS, RUN) - plain).max() > 1e-3


class TestPrompts:
    @pytest.mark.parametrize("method", ["prefix", "soft_prompt"])
    @pytest.mark.parametrize("kind", ["bert", "t5"])
    def test_they_refuse_what_does_not_read_forward(self, folders, method, kind):
        with pytest.raises(ConfigError, match=r"for GPT-like models only.*choose lora"):
            made(folders[kind], method)

    @pytest.mark.parametrize("method", ["prefix", "soft_prompt"])
    @pytest.mark.parametrize("kind", ["gpt2", "qwen2"])
    def test_only_what_stands_before_the_text_is_trained(self, folders, method, kind):
        backbone = made(folders[kind], method, virtual_tokens=4)
        names = {name for name, p in backbone.named_parameters() if p.requires_grad}
        assert all("prompt_encoder" in name for name in names), names
        before = backbone.encode(TEXTS, RUN)
        alone = np.vstack([backbone.encode([text], RUN) for text in TEXTS])
        np.testing.assert_allclose(before, alone, atol=1e-4)
        after = stepped(backbone, rate=0.1).encode(TEXTS, RUN)
        assert after.shape == (4, 32)
        assert np.abs(after - before).max() > 1e-4

    @pytest.mark.parametrize("method", ["prefix", "soft_prompt"])
    def test_they_take_positions_that_texts_cannot_have(self, folders, method):
        plain = open_backbone(str(folders["gpt2"]), RUN)
        places = plain.model.config.max_position_embeddings
        backbone = made(folders["gpt2"], method, virtual_tokens=16)
        assert backbone.max_length == min(plain.max_length, places - 16)
        long = " ".join([TEXTS[0]] * places)  # read to the last position: one more is an index error
        assert len(backbone.tokens([long], length=10 * places)[0][0]) == places - 16
        assert np.isfinite(backbone.encode([long], RUN)).all()
        with pytest.raises(
            ConfigError, match=rf"virtual_tokens = {places}: .* {places} positions.*name at most"
        ):
            made(folders["gpt2"], method, virtual_tokens=places)


@pytest.mark.parametrize("kind", ["bert", "gpt2", "qwen2", "t5"])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_what_the_model_drops_in_training_can_be_set(folders, kind, method):
    def vectors(share):
        backbone = made(folders[kind], method, model_dropout=share)
        rows = backbone.batch(backbone.tokens(TEXTS))
        backbone.eval()
        with torch.no_grad():
            quiet = backbone(rows)
            backbone.train()
            torch.manual_seed(1)
            return quiet, backbone(rows), backbone(rows)

    quiet, *noisy = vectors(0.0)
    assert all(torch.equal(quiet, each) for each in noisy)
    small, large = ((each[1] - each[0]).norm() for each in (vectors(0.05), vectors(0.6)))
    assert 0 < small < large
    torch.testing.assert_close(vectors(0.6)[0], quiet)  # answers drop nothing


def test_what_attention_drops_can_be_set_where_a_configuration_says_a_whole_number(folders):
    backbone = open_backbone(str(folders["qwen2"]), RUN)
    held = [module for module in backbone.model.modules() if "attention_dropout" in vars(module)]
    for module in held:
        module.attention_dropout = 0
    tune(backbone, TuningConfig(method="full", model_dropout=0.25), STEPS)
    assert {module.attention_dropout for module in held} == {0.25}


def test_the_last_layers_are_as_many_as_asked(folders):
    one = sizes(made(folders["bert"], "last_layers", layers=1))[0]
    assert sizes(made(folders["bert"], "last_layers", layers=2))[0] == 2 * one
    assert len(blocks_of(open_backbone(str(folders["bert"]), RUN).model)) == 2


def test_a_model_without_layers_is_refused():
    with pytest.raises(ConfigError, match="no list of layers"):
        blocks_of(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("kind", "method"),
    [*(("bert", method) for method in METHODS), ("gpt2", "prefix"), ("gpt2", "soft_prompt")],
)
def test_what_a_method_adds_lies_where_the_model_is(folders, kind, method):
    """On the device ``meta``, which holds no numbers and is there where no GPU is."""
    backbone = open_backbone(str(folders[kind]), RUN).to("meta")
    tune(backbone, TuningConfig(method=method), STEPS)
    tensors = dict([*backbone.named_parameters(), *backbone.named_buffers()])
    elsewhere = {name for name, tensor in tensors.items() if tensor.device.type != "meta"}
    assert elsewhere <= {"budget.step", "budget.heard"}  # two numbers that are read on the processor
