"""Tests whether bitsandbytes works on this machine: a small trial of all functions that TinyZero uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_ROWS, _OUT, _IN = 4, 256, 512
_PARAMETERS = 8192  # with fewer than 4096 parameters, bitsandbytes keeps 32-bit moments
_LR = 1e-2
# NF4 changes normal weights by 9 %: its sixteen values are quantiles of a normal distribution.
_ROUND_TRIP = (0.05, 0.13)
# 16-bit products of 512 terms; on a CPU, where both are float32, the difference is 0.
_PRODUCT = 2e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """The results of the trial, as relative errors.

    Attributes:
        round_trip: error of weights after NF4 with double quantisation and back.
        product: error of a 4-bit product, compared with the same weights unpacked.
        step: error of the first step of 8-bit AdamW, which must equal the learning rate for any gradient.
    """

    round_trip: float
    product: float
    step: float

    @property
    def faults(self) -> list[str]:
        """The faults, in words; NaN counts as a fault."""
        low, high = _ROUND_TRIP
        return [
            text
            for is_right, text in (
                (low < self.round_trip < high, f"NF4 weights come back {self.round_trip:.1%} off"),
                (self.product < _PRODUCT, f"a 4-bit product is {self.product:.1%} off"),
                (self.step < _PRODUCT, f"a step of 8-bit AdamW is {self.step:.1%} off"),
            )
            if not is_right
        ]


def try_kernels(device: str, dtype: "torch.dtype") -> Trial:
    """Quantise, unpack, multiply and take an optimizer step on `device`.

    Raises the errors of bitsandbytes and torch, such as for a missing library or kernel.
    """
    import torch

    with _quiet_logger("bitsandbytes"):
        import bitsandbytes as bnb
        from bitsandbytes import functional

    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(_OUT, _IN, generator=generator).to(device, dtype)
    inputs = torch.randn(_ROWS, _IN, generator=generator).to(device, dtype)
    with torch.inference_mode():
        packed, state = functional.quantize_4bit(weights, quant_type="nf4", compress_statistics=True)
        unpacked = functional.dequantize_4bit(packed, state)
        product = bnb.matmul_4bit(inputs, packed, state)  # type: ignore[attr-defined]
    expected = inputs.float() @ unpacked.float().T
    return Trial(
        round_trip=_relative_error(unpacked, weights),
        product=_relative_error(product, expected),
        step=_step_error(device, generator),
    )


def _step_error(device: str, generator: "torch.Generator") -> float:
    import torch
    from bitsandbytes.optim.adamw import AdamW8bit

    parameter = torch.nn.Parameter(torch.zeros(_PARAMETERS, device=device))
    parameter.grad = torch.randn(_PARAMETERS, generator=generator).sign().to(device)
    optimizer = AdamW8bit([parameter], lr=_LR, weight_decay=0.0)  # type: ignore[no-untyped-call]
    optimizer.step()  # type: ignore[no-untyped-call]
    return _relative_error(parameter.detach(), -_LR * parameter.grad)


def _relative_error(actual: "torch.Tensor", expected: "torch.Tensor") -> float:
    return float((actual.float() - expected.float()).norm() / expected.float().norm())


@contextmanager
def _quiet_logger(name: str) -> Iterator[None]:
    """Silences a logger: on import, bitsandbytes recommends a download of faster CPU kernels."""
    import logging

    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
