"""The optimizer of an adapter."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["adamw", "adamw8bit", "paged_adamw8bit"]


def choose_optimizer(wanted: OptimizerName | Literal["auto"], device: torch.device) -> OptimizerName:
    """What `learner.optimizer` means on this device: a CPU has no other memory to page to."""
    if wanted == "auto":
        return "adamw8bit" if device.type == "cuda" else "adamw"
    return "adamw8bit" if wanted == "paged_adamw8bit" and device.type == "cpu" else wanted


def make_optimizer(
    name: OptimizerName, parameters: Sequence[nn.Parameter], *, lr: float, weight_decay: float
) -> torch.optim.Optimizer:
    """AdamW of the kind that is asked for; `LearnerConfig` explains each.

    In 8 bit, parameters of fewer than 4096 numbers keep 32-bit moments, as bitsandbytes has it.
    """
    options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    is_paged = name == "paged_adamw8bit"
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, is_paged=is_paged, **options)  # type: ignore[no-untyped-call]
    return optimizer
