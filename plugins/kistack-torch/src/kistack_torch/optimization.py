"""AdamW over fp32 master weights, and the learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

Decay = Literal["cosine", "linear", "constant"]

_MOMENTS = ("exp_avg", "exp_avg_sq")


def learning_rate(step: int, total: int, peak: float, *, warmup: float, decay: Decay) -> float:
    """The learning rate of optimizer step ``step`` (from 0) of ``total``.

    It rises linearly over the first ``warmup`` (a share of all steps) and then falls to 0 along half a cosine
    (SGDR, Loshchilov and Hutter 2017) or a line; ``constant`` stays. The last step is still above 0.
    """
    rising = math.ceil(total * warmup)
    if step < rising:
        return peak * (step + 1) / rising
    if decay == "constant":
        return peak
    left = (total - step) / max(1, total - rising)
    return peak * (0.5 * (1 - math.cos(math.pi * left)) if decay == "cosine" else left)


class MasterWeights:
    """The trained parameters in fp32 with their optimizer: AdamW (Loshchilov and Hutter 2019).

    A parameter in 16 bits gets an fp32 copy: updates smaller than its rounding would be lost. Its gradients are added
    up in fp32 as they arrive, and freed; after each step the rounded copy goes back into the model.
    """

    def __init__(
        self, model: nn.Module, *, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.999)
    ) -> None:
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._masters = {
            n: p if p.dtype == torch.float32 else nn.Parameter(p.detach().float()) for n, p in self._parameters.items()
        }
        self._hooks = [
            p.register_post_accumulate_grad_hook(_gather_into(self._masters[n]))
            for n, p in self._parameters.items()
            if self._masters[n] is not p
        ]
        self._optimizer = torch.optim.AdamW(
            list(self._masters.values()), lr=0.0, betas=betas, weight_decay=weight_decay, fused=True
        )

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for p in self._parameters.values())

    def shapes(self) -> dict[str, list[int]]:
        """The trained parameters by name, with their shapes."""
        return {n: list(p.shape) for n, p in self._parameters.items()}

    def step(self, rate: float, clip: float) -> float:
        """One update with the gradients gathered since the last; returns their norm before clipping to ``clip``."""
        norm = nn.utils.clip_grad_norm_(list(self._masters.values()), clip if clip > 0 else math.inf)
        size = float(norm)
        if math.isfinite(size):
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.step()
            self._write_back()
        self._optimizer.zero_grad(set_to_none=True)
        return size

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything a later ``restore`` needs: weights and moments in fp32, by name."""
        found: dict[str, torch.Tensor] = {}
        for name, master in self._masters.items():
            found[f"weight/{name}"] = master.detach()
            state = self._optimizer.state.get(master, {})
            found.update({f"{moment}/{name}": state[moment] for moment in _MOMENTS if moment in state})
        return found

    def restore(self, tensors: Mapping[str, torch.Tensor], steps: int) -> None:
        """Continue from what ``tensors`` gave after ``steps`` updates."""
        with torch.no_grad():
            for name, master in self._masters.items():
                master.copy_(tensors[f"weight/{name}"])
                moments = {m: tensors[f"{m}/{name}"].to(master.device).clone() for m in _MOMENTS}
                self._optimizer.state[master] = {"step": torch.tensor(float(steps)).to(master.device), **moments}
        self._write_back()

    def release(self, *, full_precision: bool) -> None:
        """End training: with ``full_precision`` the model keeps the fp32 weights, else their rounded copies."""
        for hook in self._hooks:
            hook.remove()
        for name, parameter in self._parameters.items():
            parameter.grad = None
            if full_precision:
                parameter.data = self._masters[name].detach()

    def _write_back(self) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                if self._masters[name] is not parameter:
                    parameter.copy_(self._masters[name])


def _gather_into(master: nn.Parameter):  # type: ignore[no-untyped-def]  # noqa: ANN202 - torch's hook type is untyped
    def gather(parameter: torch.Tensor) -> None:
        if master.grad is None:
            master.grad = parameter.grad.float()
        else:
            master.grad += parameter.grad
        parameter.grad = None

    return gather
