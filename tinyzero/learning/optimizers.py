"""The optimizer of an adapter."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

OptimizerName = Literal["auto", "adamw", "adamw8bit", "paged_adamw8bit"]


def make_optimizer(
    name: OptimizerName,
    parameters: Sequence[nn.Parameter],
    *,
    device: torch.device,
    lr: float,
    weight_decay: float,
) -> torch.optim.Optimizer:
    """AdamW of the kind that is asked for; `LearnerConfig` explains each.

    In 8 bit, parameters of fewer than 4096 numbers keep 32-bit moments, as bitsandbytes has it.
    """
    if name == "auto":
        name = "adamw8bit" if device.type == "cuda" else "adamw"
    options: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    is_paged = name == "paged_adamw8bit" and device.type == "cuda"  # a CPU has no other memory to page to
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, is_paged=is_paged, **options)  # type: ignore[no-untyped-call]
    return optimizer
