"""Whether bitsandbytes really computes on this machine: a small trial of everything that is used of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_ROWS, _OUT, _IN = 4, 256, 512
_PARAMETERS = 8192  # bitsandbytes keeps the moments of fewer than 4096 in 32 bit
_LR = 1e-2
# NF4 is off by 9 % of normal weights: its sixteen values are the quantiles of a normal distribution.
_ROUND_TRIP = (0.05, 0.13)
# 16-bit products of 512 terms; on a CPU, where both are float32, the difference is 0.
_PRODUCT = 2e-2


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came out, as relative errors.

    Attributes:
        round_trip: of weights that went to NF4 with double quantisation and back.
        product: of multiplying by them in 4 bit, against the same weights unpacked.
        step: of the first step of 8-bit AdamW, which is the learning rate whatever the gradient.
    """

    round_trip: float
    product: float
    step: float

    @property
    def faults(self) -> list[str]:
        """What is wrong, in words; a number that is none counts as wrong."""
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
    """Quantise, unpack, multiply and make an optimizer step on `device`.

    Raises whatever bitsandbytes and torch raise: a library that does not load, a kernel that is not there.
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


def _relative_error(found: "torch.Tensor", expected: "torch.Tensor") -> float:
    return float((found.float() - expected.float()).norm() / expected.float().norm())


@contextmanager
def _quiet_logger(name: str) -> Iterator[None]:
    """Importing bitsandbytes tells of faster CPU kernels to be downloaded, which nobody asked for."""
    import logging

    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)
