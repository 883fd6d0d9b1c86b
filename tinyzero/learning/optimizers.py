"""The optimizer of an adapter."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from tinyzero.config import Optimizer


def make_optimizer(
    name: Optimizer, parameters: Sequence[nn.Parameter], *, lr: float
) -> torch.optim.Optimizer:
    """The configured variant of AdamW; `LearnerConfig` explains each.

    In 8 bit, bitsandbytes keeps 32-bit moments for parameters with fewer than 4096 numbers.
    """
    options: dict[str, Any] = {"lr": lr, "weight_decay": 0.0}
    if name == "adamw":
        return torch.optim.AdamW(parameters, **options)
    from bitsandbytes.optim.adamw import AdamW8bit

    is_paged = name == "paged_adamw8bit"
    optimizer: torch.optim.Optimizer = AdamW8bit(parameters, is_paged=is_paged, **options)  # type: ignore[no-untyped-call]
    return optimizer
