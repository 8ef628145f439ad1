"""The optimisers: AdamW by the Trainer, or Muon for the matrices with AdamW for the rest."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

BETAS = (0.9, 0.99)  # runs are short: a memory of 1,000 steps would still hold the start of the warm-up


class Both(torch.optim.Optimizer):
    """Several optimisers stepped as one; they share their parameter groups with it, so schedules reach them."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step every part."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every part."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def orthogonalize(matrices: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Return (n, rows, columns): for each matrix U S V^T about U V^T, by the Newton-Schulz iteration of Muon.

    1. Transpose tall matrices, so that the products below are as small as can be.
    2. Divide by the Frobenius norm: no singular value is then above 1.
    3. `steps` times X <- a X + (b A + c A A) X with A = X X^T, which takes singular values towards 1.

    On a CPU in float32: without AVX-512 or AMX, torch multiplies bfloat16 matrices in a plain loop, some 25 times
    slower (`benchmarks/muon.py`). On a GPU in bfloat16, as torch does.
    """
    a, b, c = coefficients
    x = matrices.to(torch.float32 if matrices.device.type == "cpu" else torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Muon):
    """torch's Muon with an iteration that is quick on every CPU, over all matrices of one shape at once."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take a step: for each matrix the momentum, the iteration, and the decay of its weights."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            momentum, shapes = group["momentum"], defaultdict[torch.Size, list[torch.Tensor]](list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.shape].append(parameter)
            for (rows, columns), same in shapes.items():
                updates = []
                for parameter, gradient in ((one, one.grad) for one in same):
                    assert gradient is not None
                    buffer = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(gradient))
                    buffer.lerp_(gradient, 1 - momentum)
                    updates.append(gradient.lerp(buffer, momentum) if group["nesterov"] else buffer)
                whole = orthogonalize(torch.stack(updates), group["ns_coefficients"], group["ns_steps"])
                size = group["lr"] * 0.2 * math.sqrt(max(rows, columns))  # that of AdamW's updates
                for parameter, update in zip(same, whole.unbind(), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.to(parameter.dtype), alpha=-size)
        return loss


def muon(model: torch.nn.Module, lr: float, weight_decay: float) -> Both:
    """Return Muon (Jordan et al., 2024) for the hidden matrices, AdamW for embeddings and vectors, at one `lr`.

    Muon's update is scaled to the size of AdamW's (Liu et al., 2025, "Muon is scalable for LLM training").
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name and "head" not in name]
    chosen = set(matrices)
    rest = [p for p in model.parameters() if p not in chosen]
    return Both(
        Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=BETAS),
    )
