"""The optimizer Muon, for matrices, combined with AdamW for the rest. AdamW alone is the Trainer's own."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch

# Runs are short: with 0.999 (about 1,000 steps), the second moments would still contain the start of the warm-up.
BETAS = (0.9, 0.99)


class CombinedOptimizer(torch.optim.Optimizer):
    """Steps several optimizers as one. It shares their parameter groups, so that a schedule changes all of them."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        super().__init__([group for part in parts for group in part.param_groups], {})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Step every optimizer."""
        loss = closure() if closure is not None else None
        for part in self.parts:
            part.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every optimizer."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)


def orthogonalize(matrices: torch.Tensor, coefficients: tuple[float, float, float], steps: int) -> torch.Tensor:
    """Return approximately U V^T for each matrix U S V^T; `matrices` are (n, rows, columns).

    Algorithm: the Newton-Schulz iteration of Muon (Jordan et al., 2024), with coefficients a, b, c.

    1. Transpose tall matrices, so that A below is as small as possible.
    2. Divide by the Frobenius norm. Then no singular value is above 1.
    3. Repeat `steps` times: A = X X^T, then X <- a X + (b A + c A A) X. A singular value s becomes
       a s + b s^3 + c s^5, which moves it towards 1.

    Example: one step with (1.5, -0.5, 0) moves the singular value 0.5 to 1.5 * 0.5 - 0.5 * 0.125 = 0.6875.

    It computes in float32 on a CPU and in bfloat16 on a GPU, as torch does. On CPUs without AVX-512 or AMX, torch's
    bfloat16 product is about 25 times slower (`benchmarks/muon.py`).
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
    """torch's Muon with an iteration that is fast on every CPU, and computed for all matrices of a shape together."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update each matrix: momentum, orthogonalization, weight decay."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            momentum, by_shape = group["momentum"], defaultdict[torch.Size, list[torch.Tensor]](list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for (rows, columns), parameters in by_shape.items():
                updates = []
                for parameter in parameters:
                    gradient = parameter.grad
                    assert gradient is not None
                    buffer = self.state[parameter].setdefault("momentum_buffer", torch.zeros_like(gradient))
                    buffer.lerp_(gradient, 1 - momentum)
                    updates.append(gradient.lerp(buffer, momentum) if group["nesterov"] else buffer)
                orthogonal = orthogonalize(torch.stack(updates), group["ns_coefficients"], group["ns_steps"])
                size = group["lr"] * 0.2 * math.sqrt(max(rows, columns))  # the size of AdamW's updates
                for parameter, update in zip(parameters, orthogonal.unbind(), strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.to(parameter.dtype), alpha=-size)
        return loss


def make_muon(model: torch.nn.Module, lr: float, weight_decay: float) -> CombinedOptimizer:
    """Return Muon (Jordan et al., 2024) for hidden matrices and AdamW for embeddings, head and vectors, with one `lr`.

    Muon's update is scaled to the size of AdamW's (Liu et al., 2025, "Muon is Scalable for LLM Training").
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name and "head" not in name]
    muon_parameters = set(matrices)
    rest = [p for p in model.parameters() if p not in muon_parameters]
    return CombinedOptimizer(
        Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=BETAS),
    )
