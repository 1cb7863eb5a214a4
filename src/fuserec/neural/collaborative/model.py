"""Neural collaborative filtering: the product, the weighted product and the network that joins them."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from fuserec.neural.collaborative.fitted import FittedNCF, Head
from fuserec.neural.semantic.examples import Bags
from fuserec.neural.text_basis import TextBasis

Form = Literal["neumf", "dot", "gmf", "mlp"]


class JoinHead(nn.Module):
    """From p, q (float (..., d)) and u, m (float (..., e)) to a logit.

    logit = p·q + h·(p ⊙ q) + out · ReLU(W₂ ReLU(W_u u + W_m m + by_dot p·q + c₁) + c₂)

    He et al. 2017, "Neural collaborative filtering": the product (GMF, eq. 9), the network (MLP, eq. 10), both joined
    (NeuMF, eq. 12). A network over two vectors hardly learns their product (Rendle et al. 2020, "Neural collaborative
    filtering vs. matrix factorization revisited"): the product is therefore a term of the logit with weight 1, and an
    input of the network. h and out begin at zero, so that training begins at the plain product.

    Parameters
    ----------
    form : {"neumf", "dot", "gmf", "mlp"}
    dim, mlp_dim : int
        d and e.
    hidden : (int, int)
    """

    def __init__(self, form: Form, dim: int, mlp_dim: int, hidden: tuple[int, int]) -> None:
        super().__init__()
        self.form, self.dim = form, dim
        self.product = nn.Parameter(torch.zeros(dim)) if form in ("neumf", "gmf") else None
        if form in ("neumf", "mlp"):
            wide, narrow = hidden
            self.user = nn.Linear(mlp_dim, wide)
            self.item = nn.Linear(mlp_dim, wide, bias=False)
            self.dot = nn.Parameter(torch.zeros(wide)) if form == "neumf" else None
            self.second = nn.Linear(wide, narrow)
            begins = torch.zeros(narrow) if form == "neumf" else torch.randn(narrow) * narrow**-0.5
            self.out = nn.Parameter(begins)

    def forward(self, user: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Return float (...): logits of user (..., d + e) and target (..., d + e) vectors, which broadcast."""
        both = user[..., : self.dim] * target[..., : self.dim]
        dot = both.sum(dim=-1)
        logit = torch.zeros_like(dot) if self.form == "mlp" else dot
        if self.product is not None:
            logit = logit + both @ self.product
        if self.form in ("dot", "gmf"):
            return logit
        hidden = self.user(user[..., self.dim :]) + self.item(target[..., self.dim :])
        if self.dot is not None:
            hidden = hidden + dot[..., None] * self.dot
        second = torch.relu(self.second(torch.relu(hidden)))
        joined: torch.Tensor = logit + second @ self.out
        return joined

    def kept(self) -> Head:
        """Return the head as plain arrays."""
        start = 0.0 if self.form == "mlp" else 1.0
        product = np.full(self.dim, start, np.float32)
        if self.product is not None:
            product += _plain(self.product)
        if self.form in ("dot", "gmf"):
            return Head(product, None)
        dot = torch.zeros(self.user.out_features) if self.dot is None else self.dot
        layers = {
            "user": self.user.weight,
            "item": self.item.weight,
            "dot": dot,
            "shift": self.user.bias,
            "second": self.second.weight,
            "second_shift": self.second.bias,
            "out": self.out,
        }
        return Head(product, {k: _plain(v) for k, v in layers.items()})


class NeuralCFModel(nn.Module):
    """A user is made of what they took; an item of its id and its text; a head joins the two.

    Parameters
    ----------
    start : float32 (n_items, 2 (d + e))
        Where the tables begin, of items as they are read and as they are asked for, side by side; zero for items
        without training interactions, which are known by text alone.
    trained : bool (n_items,)
        Items with interactions.
    text : float32 (n_items, k)
        What items' texts say, of unit length; k may be 0.
    form, mlp_dim, hidden
        As of :class:`JoinHead`; forms without a network have no e.
    hidden_ids : float
        Share of the items whose own numbers are zero in a step, where there is text beside them.
    """

    text: torch.Tensor
    trained: torch.Tensor

    def __init__(
        self,
        start: torch.Tensor,
        trained: torch.Tensor,
        text: torch.Tensor,
        form: Form,
        mlp_dim: int,
        hidden: tuple[int, int],
        hidden_ids: float = 0.0,
    ) -> None:
        super().__init__()
        self.register_buffer("text", text, persistent=False)
        self.register_buffer("trained", trained, persistent=False)
        width, k = start.shape[1] // 2, text.shape[1]
        self.head = JoinHead(form, width - mlp_dim if form in ("neumf", "mlp") else width, mlp_dim, hidden)
        self.read_table = nn.Parameter(start[:, :width].clone())
        self.target_table = nn.Parameter(start[:, width:].clone())
        self.bias_table = nn.Parameter(torch.zeros(start.shape[0]))
        self.base = nn.Parameter(torch.zeros(()))
        spread = START_MAP * max(1, k) ** -0.5
        self.read_map = nn.Parameter(spread * torch.randn(k, width))
        self.target_map = nn.Parameter(spread * torch.randn(k, width))
        self.bias_map = nn.Parameter(torch.zeros(k))
        self.words = nn.Parameter(self.read_map.detach().clone())
        self.hidden_ids = hidden_ids if k else 0.0

    def shown(self) -> torch.Tensor:
        """Return float (n_items, 1): 0 for items whose own numbers are hidden in this step."""
        if not self.training or not self.hidden_ids:
            return self.text.new_ones(self.text.shape[0], 1)
        drawn = torch.rand(self.text.shape[0], 1, device=self.text.device)
        return (drawn >= self.hidden_ids).to(self.text.dtype)

    def read(self, shown: torch.Tensor) -> torch.Tensor:
        """Return float (n_items, d + e): items as parts of a history."""
        return self.read_table * shown + self.text @ self.read_map

    def targets(self, shown: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return float (n_items, d + e) and (n_items,): items as they are asked for, and their biases."""
        bias = self.bias_table * shown[:, 0] + self.text @ self.bias_map + self.base
        return self.target_table * shown + self.text @ self.target_map, bias

    def users(self, read: torch.Tensor, bags: Bags, z: torch.Tensor | None) -> torch.Tensor:
        """Return float (n, d + e): what was taken, and what was said (n, k)."""
        items, ends, values = (
            torch.from_numpy(array).to(read.device) for array in (bags.items, bags.indptr, bags.values)
        )
        summed = functional.embedding_bag(
            items, read, ends, mode="sum", per_sample_weights=values, include_last_offset=True
        )
        return summed if z is None else summed + z @ self.words

    @torch.inference_mode()
    def kept(self, basis: TextBasis | None) -> FittedNCF:
        """Return the model as plain arrays."""
        shown = self.text.new_ones(self.text.shape[0], 1)
        target, bias = self.targets(shown)
        known = (self.trained | self.text.any(dim=1)).cpu().numpy()
        return FittedNCF(
            _plain(self.read(shown)),
            _plain(target),
            _plain(bias),
            known,
            _plain(self.words),
            _plain(self.read_map),
            _plain(self.target_map),
            _plain(self.bias_map),
            float(self.base),
            self.head.kept(),
            basis,
        )


def _plain(tensor: torch.Tensor) -> np.ndarray:
    """Return a float32 copy as an array."""
    return np.asarray(tensor.detach().float().cpu().numpy()).copy()


START_MAP = 0.3
"""Length of what a text of unit length says before anything is learnt."""
