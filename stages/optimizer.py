"""The optimisers: AdamW by the Trainer, or Muon for the matrices with AdamW for the rest."""

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


def muon(model: torch.nn.Module, lr: float, weight_decay: float) -> Both:
    """Return Muon (Jordan et al., 2024) for the hidden matrices, AdamW for embeddings and vectors, at one `lr`.

    Muon's update is scaled to the size of AdamW's (Liu et al., 2025, "Muon is scalable for LLM training").
    """
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name and "head" not in name]
    chosen = set(matrices)
    rest = [p for p in model.parameters() if p not in chosen]
    return Both(
        torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, weight_decay=weight_decay, betas=BETAS),
    )
