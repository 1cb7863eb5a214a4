"""The one training loop: warm-up and decay, early stopping, checkpoints, deadlines, and a stop at what is no number."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import nn

from fuserec.encoders.base import one_line
from fuserec.errors import ConfigError, DataError
from fuserec.neural.checkpoints import Checkpoint
from fuserec.neural.device import wait
from fuserec.neural.stops import Stop, held_back
from fuserec.run import CancelledError

if TYPE_CHECKING:
    from fuserec.run import RunOptions

log = logging.getLogger("fuserec")

SAVE_EVERY_S = 60.0
"""Seconds between checkpoints; one is also made where a training is stopped."""

TRIAL_STEPS = 20
"""Steps after which the rest is planned by the clock, where there is a deadline."""

SURE = 2.0
"""Standard errors of the paired difference by which an epoch has to fall behind to count as worse."""


class Task(Protocol):
    """What is trained: batches of an epoch, the loss of one, and a figure on held-out data."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """Return the batches of an epoch: equal for equal epochs."""

    def loss(self, batch: Any) -> torch.Tensor:
        """Return the mean loss of a batch."""

    def judge(self) -> np.ndarray | None:
        """Return float64 (n,): a figure of each held-out case, more is better; None where nothing is held out."""


@dataclass(frozen=True)
class Plan:
    """How long and how fast.

    Parameters
    ----------
    name : str
        Of the part: for progress, tracking and errors.
    epochs : int
    learning_rate : float
        Its peak, reached after the share ``warmup`` of all steps; a cosine takes it down to nearly nothing.
    regularization : float
        Decay of weights (decoupled: Loshchilov, Hutter 2019), of matrices that are no tables of ids.
    patience : int
        Epochs in a row that are surely worse than the best one on held-out data (:data:`SURE`) after which training
        stops; 0 never stops early.
    warmup : float
    clip : float
        Gradients longer than this are shortened to it.
    rates : mapping
        Parameters whose names begin so learn so many times faster: new heads on a pretrained model.
    """

    name: str
    epochs: int
    learning_rate: float
    regularization: float = 0.0
    patience: int = 0
    warmup: float = 0.03
    clip: float = 5.0
    rates: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Progress:
    """Where a training stands; all of it is kept in a checkpoint."""

    epoch: int = 0
    batch: int = 0
    step: int = 0
    total: int = 0
    planned: int = 0
    best: float = -math.inf
    best_epoch: int = -1
    behind: int = 0
    done: bool = False
    losses: list[float] = field(default_factory=list)
    figures: list[float] = field(default_factory=list)
    sum_loss: float = 0.0


def train(task: Task, plan: Plan, run: RunOptions, checkpoint: Checkpoint) -> Progress:
    """Train until the plan, patience or the deadline ends it.

    Afterwards the model holds its last weights, or the best ones seen where the last are surely worse: the best of
    many noisy figures is often luck, while the last weights are those that the falling learning rate has settled.

    Raises
    ------
    ConfigError
        Where the loss is no longer a number.
    CancelledError
        Where the caller cancels; the checkpoint holds what was reached, and the same call goes on from there.
    """
    loop = _Loop(task, plan, run, checkpoint)
    loop.resume()
    with held_back(checkpoint.path is not None) as stop:
        loop.stop = stop
        while not loop.at.done:
            loop.epoch()
    loop.finish()
    return loop.at


class _Loop:
    """The state of one training."""

    def __init__(self, task: Task, plan: Plan, run: RunOptions, checkpoint: Checkpoint) -> None:
        self.task, self.plan, self.run, self.checkpoint = task, plan, run, checkpoint
        self.at = Progress()
        self.device = next(task.model.parameters()).device
        self.optimizer = _optimizer(task.model, plan)
        self.best: dict[str, torch.Tensor] = {}
        self.best_cases: np.ndarray | None = None
        self.stop: Stop | None = None
        self.saved = time.monotonic()
        self.began: tuple[float, int] | None = None

    def epoch(self) -> None:
        """Train one epoch (or what is left of it), and judge it."""
        at = self.at
        batches = self.task.batches(at.epoch)
        at.planned = len(batches) * self.plan.epochs
        at.total = at.total or at.planned
        self.task.model.train()
        while at.batch < len(batches) and at.step < at.total:
            self._stop_if_asked()
            self._step(batches[at.batch])
        count = max(1, at.batch)
        at.losses.append(at.sum_loss / count)
        at.epoch, at.batch, at.sum_loss = at.epoch + 1, 0, 0.0
        self._judge()
        lost = self.plan.patience and at.behind >= self.plan.patience
        at.done = bool(at.epoch >= self.plan.epochs or at.step >= at.total or lost)
        if at.done:
            self.save()

    def _step(self, batch: Any) -> None:
        """Take one step of the optimizer."""
        at, plan = self.at, self.plan
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate * group["faster"] * rate(at.step / at.total, plan.warmup)
        loss = self.task.loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ConfigError(
                f"{plan.name}: the loss is {value} in epoch {at.epoch + 1}, batch {at.batch + 1}: lower learning_rate "
                f"(it is {plan.learning_rate:g}; try {plan.learning_rate / 4:g}), or look for absurd values in the "
                "item vectors"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.task.model.parameters(), plan.clip)
        self.optimizer.step()
        at.sum_loss += value
        at.step, at.batch = at.step + 1, at.batch + 1
        self._pace()
        if time.monotonic() - self.saved > SAVE_EVERY_S:
            self.save()

    def _pace(self) -> None:
        """Shorten the schedule so that it ends before the deadline, once it is known how long a step takes."""
        if self.run.deadline is None:
            return
        if self.began is None:
            wait(self.device)
            self.began = (time.monotonic(), self.at.step)
        since, first = self.began
        taken = self.at.step - first
        if taken and taken % TRIAL_STEPS == 0:
            wait(self.device)
            now = time.monotonic()
            left = 0.95 * (self.run.deadline - now)
            self.at.total = min(self.at.total, self.at.step + max(0, int(left / ((now - since) / taken))))

    def _judge(self) -> None:
        """Measure on held-out data, remember the best weights, tell progress."""
        at = self.at
        self.task.model.eval()
        cases = self.task.judge()
        told = {"loss": at.losses[-1]}
        if cases is not None:
            figure = float(cases.mean())
            at.figures.append(figure)
            told["figure"] = figure
            at.behind = at.behind + 1 if surely_less(cases, self.best_cases) else 0
            if figure > at.best:
                at.best, at.best_epoch, self.best_cases = figure, at.epoch - 1, cases
                self.best = {k: v.detach().clone() for k, v in self.task.model.state_dict().items()}
        self.run.track(self.plan.name, at.epoch, told)
        self.run.progress(f"training {self.plan.name}", at.epoch, self.plan.epochs)

    def _stop_if_asked(self) -> None:
        """Save and stop where the caller cancels, or a signal came."""
        if self.stop is not None and self.stop.came:
            self.save()
            log.warning(
                "%s: stopped in epoch %d; the same call goes on from its checkpoint",
                self.plan.name,
                self.at.epoch + 1,
            )
            self.stop.heed()
        if self.run.cancel():
            self.save()
            where = "" if self.checkpoint.path is None else "; the same command goes on from its checkpoint"
            raise CancelledError(
                f"{self.plan.name}: the training was stopped in epoch {self.at.epoch + 1}{where}"
            )

    def finish(self) -> None:
        """Give the model the best weights seen where the last ones are surely worse."""
        if self.best and self.at.behind:
            self.task.model.load_state_dict(self.best)
        self.task.model.eval()
        if not all(bool(torch.isfinite(p).all()) for p in self.task.model.parameters()):
            raise ConfigError(
                f"{self.plan.name}: weights are no longer numbers after the last step: lower learning_rate (it is "
                f"{self.plan.learning_rate:g}) or regularization (it is {self.plan.regularization:g})"
            )

    def save(self) -> None:
        """Write the checkpoint."""
        self.saved = time.monotonic()
        tensors = {f"model.{k}": v for k, v in self.task.model.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{k}": torch.as_tensor(v) for k, v in state.items()}
        if self.best_cases is not None:
            tensors["cases"] = torch.from_numpy(self.best_cases)
        tensors["random"] = torch.random.get_rng_state()
        if self.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.device)
        self.checkpoint.save(tensors, vars(self.at))

    def resume(self) -> None:
        """Take up the checkpoint, where there is one.

        Raises
        ------
        DataError
            Where it bears the name of this training and holds another.
        """
        found = self.checkpoint.load()
        if found is None:
            return
        try:
            self._take_up(*found)
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as fault:
            raise DataError(
                f"{self.checkpoint.path}: the checkpoint is not of this training ({one_line(fault)[:80]}): remove it"
            ) from fault

    def _take_up(self, tensors: dict[str, torch.Tensor], facts: dict[str, Any]) -> None:
        """Go on from tensors and facts."""
        if facts["done"] and facts["total"] < facts["planned"] and self.run.deadline is None:
            return  # that one had to hurry
        self.at = Progress(**facts)
        self.task.model.load_state_dict(_part(tensors, "model."))
        self.best = _part(tensors, "best.")
        self.best_cases = tensors["cases"].numpy() if "cases" in tensors else None
        whole = self.optimizer.state_dict()
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in _part(tensors, "optimizer.").items():
            index, field_ = name.split(".", 1)
            states.setdefault(int(index), {})[field_] = value
        self.optimizer.load_state_dict({**whole, "state": states})
        torch.random.set_rng_state(tensors["random"])
        if "random.cuda" in tensors and self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.device)
        if self.at.done:
            log.warning("%s: its training had ended, it is taken from its checkpoint", self.plan.name)
        else:
            log.warning("%s: goes on in epoch %d of %d", self.plan.name, self.at.epoch + 1, self.plan.epochs)


def surely_less(cases: np.ndarray, best: np.ndarray | None) -> bool:
    """Return whether held-out cases did worse than they once did by more than chance explains."""
    if best is None:
        return False
    lost = best - cases
    return bool(lost.mean() > SURE * lost.std() / math.sqrt(lost.size))


def rate(done: float, warmup: float) -> float:
    """Return the share of the peak learning rate when ``done`` in [0, 1] of all steps are taken."""
    if done < warmup:
        return max(done / warmup, 1e-3)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))


def _optimizer(model: nn.Module, plan: Plan) -> torch.optim.Optimizer:
    """Return AdamW; vectors, norms and tables of ids are not decayed."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {(1.0, True): [], (1.0, False): []}
    for name, parameter in model.named_parameters():
        faster = next((factor for prefix, factor in plan.rates.items() if name.startswith(prefix)), 1.0)
        decays = parameter.ndim >= 2 and not name.endswith("table")
        groups.setdefault((faster, decays), []).append(parameter)
    told = [
        {"params": own, "weight_decay": plan.regularization if decays else 0.0, "faster": faster}
        for (faster, decays), own in groups.items()
    ]
    return torch.optim.AdamW(told, lr=plan.learning_rate, betas=(0.9, 0.98), fused=True)


def _part(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the tensors of one prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
