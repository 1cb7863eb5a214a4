"""The bodies of sequence models in plain numpy: answers need no PyTorch, and one question takes a fraction of its time.

Each function takes the weights by the names that the module of the same architecture gives them, and returns what that
module says at the last event of each window.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import expit

Weights = Mapping[str, np.ndarray]


def linear(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Return float32 (..., k): x · Wᵀ + b, b where there is one."""
    flat = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T
    if f"{name}.bias" in weights:
        flat += weights[f"{name}.bias"]
    shaped: np.ndarray = flat.reshape(*x.shape[:-1], -1)
    return shaped


def norm(weights: Weights, name: str, x: np.ndarray) -> np.ndarray:
    """Return float32 (..., d): each vector centred, divided by its spread, scaled and shifted."""
    centred = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt(np.mean(np.square(centred), axis=-1, keepdims=True) + np.float32(1e-5))
    out: np.ndarray = centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
    return out


def layers(weights: Weights, prefix: str) -> int:
    """Return how many numbered modules there are under a name."""
    return len({key[len(prefix) :].split(".", 1)[0] for key in weights if key.startswith(prefix)})


def transformer(
    weights: Weights, x: np.ndarray, lengths: np.ndarray, heads: int, *, causal: bool
) -> np.ndarray:
    """Return float32 (n, d): self-attention; the last layer is only asked at the last event.

    Parameters
    ----------
    weights : mapping
    x : float32 (n, l, d)
        Rows shorter than ``l`` are filled up at the end.
    lengths : int64 (n,)
    heads : int
    causal : bool
        Whether an event sees only what came before it.
    """
    rows, steps = np.arange(len(x)), np.arange(x.shape[1])
    ages = np.maximum(lengths[:, None] - 1 - steps[None, :], 0)
    x = x + weights["positions.weight"][ages]
    there = steps[None, :] < lengths[:, None]
    whole = np.broadcast_to(there[:, None, :], (len(x), x.shape[1], x.shape[1]))
    if causal:
        whole = whole & (steps[None, :] <= steps[:, None])
    count = layers(weights, "blocks.")
    for depth in range(count):
        name, last = f"blocks.{depth}", depth == count - 1
        y = norm(weights, f"{name}.norm_attention", x)
        asked, mask = y, whole
        if last:
            x, asked = x[rows, lengths - 1][:, None], y[rows, lengths - 1][:, None]
            mask = there[:, None, :]
        x = x + _attention(weights, name, y, asked, mask, heads)
        gate, value = np.split(
            linear(weights, f"{name}.widen", norm(weights, f"{name}.norm_forward", x)), 2, axis=-1
        )
        x = x + linear(weights, f"{name}.narrow", gate * expit(gate) * value)
    return norm(weights, "norm", x[:, 0])


def _attention(
    weights: Weights, name: str, y: np.ndarray, asked: np.ndarray, mask: np.ndarray, heads: int
) -> np.ndarray:
    """Return float32 (n, m, d): what the positions ``asked`` (n, m, d) gather from ``y`` (n, l, d)."""
    dim = y.shape[-1]
    w, b = weights[f"{name}.mix.weight"], weights[f"{name}.mix.bias"]
    q = _headed({"q.weight": w[:dim], "q.bias": b[:dim]}, "q", asked, heads)
    k = _headed({"k.weight": w[dim : 2 * dim], "k.bias": b[dim : 2 * dim]}, "k", y, heads)
    v = _headed({"v.weight": w[2 * dim :], "v.bias": b[2 * dim :]}, "v", y, heads)
    scores = q @ k.swapaxes(-1, -2) * np.float32((dim // heads) ** -0.5)
    scores = np.where(mask[:, None], scores, np.float32(-np.inf))
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    seen = (scores @ v).swapaxes(1, 2).reshape(asked.shape)
    return linear(weights, f"{name}.out", seen)


def _headed(weights: Weights, name: str, x: np.ndarray, heads: int) -> np.ndarray:
    """Return float32 (n, heads, l, d / heads)."""
    n, length, dim = x.shape
    return np.ascontiguousarray(
        linear(weights, name, x).reshape(n, length, heads, dim // heads).swapaxes(1, 2)
    )


def gru(weights: Weights, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return float32 (n, d): gated recurrent units, one event after the other."""
    for depth in range(sum(key.startswith("cells.weight_ih") for key in weights)):
        own = {
            key: weights[f"cells.{key}_l{depth}"] for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        given = linear({"i.weight": own["weight_ih"], "i.bias": own["bias_ih"]}, "i", x)
        state = np.zeros((len(x), x.shape[-1]), np.float32)
        states = np.empty_like(x)
        for step in range(x.shape[1]):
            kept = state @ own["weight_hh"].T + own["bias_hh"]
            (ri, zi, ni), (rh, zh, nh) = np.split(given[:, step], 3, axis=-1), np.split(kept, 3, axis=-1)
            update = expit(zi + zh)
            state = (1 - update) * np.tanh(ni + expit(ri + rh) * nh) + update * state
            states[:, step] = state
        x = states
    return norm(weights, "norm", linear(weights, "project", x[np.arange(len(x)), lengths - 1]))


def cnn(weights: Weights, x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return float32 (n, d): dilated causal convolutions, each added to what came in."""
    for depth in range(layers(weights, "layers.")):
        name, dilation = f"layers.{depth}", 2**depth
        kernel = weights[f"{name}.join.weight"]
        past = (kernel.shape[2] - 1) * dilation
        y = np.pad(norm(weights, f"{name}.norm", x), ((0, 0), (past, 0), (0, 0)))
        joined = np.zeros((*x.shape[:2], kernel.shape[0]), np.float32) + weights[f"{name}.join.bias"]
        for place in range(kernel.shape[2]):
            shifted = y[:, place * dilation : place * dilation + x.shape[1]]
            joined += linear({"k.weight": kernel[:, :, place]}, "k", shifted)
        value, gate = np.split(joined, 2, axis=-1)
        x = x + linear(weights, f"{name}.out", value * expit(gate))
    return norm(weights, "norm", x[np.arange(len(x)), lengths - 1])


def mapped(weights: Weights, text: np.ndarray) -> np.ndarray:
    """Return float32 (n, dim): text through its trained map, or through the mixture of experts."""
    if "maps" not in weights:
        return linear(weights, "map", text)
    gates = linear(weights, "gate", text)
    gates = np.exp(gates - gates.max(axis=1, keepdims=True))
    gates /= gates.sum(axis=1, keepdims=True)
    told = [(text - shift) @ matrix for shift, matrix in zip(weights["shift"], weights["maps"], strict=True)]
    out: np.ndarray = np.einsum("nk,knd->nd", gates, np.stack(told))
    return out.astype(np.float32)


def under(weights: Weights, prefix: str) -> dict[str, np.ndarray]:
    """Return the weights of one module, by their names in it."""
    return {key.removeprefix(prefix): value for key, value in weights.items() if key.startswith(prefix)}
