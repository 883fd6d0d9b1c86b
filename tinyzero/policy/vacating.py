"""Leaves the card for a while: weights, adapters and optimizer state wait in main memory."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from tinyzero.policy.device import release_memory

Move = Callable[[Tensor], Tensor]
_TRY_AGAIN_S = 10.0
"""Seconds between attempts to come back to a card that others have filled in the meantime."""

_logger = logging.getLogger(__name__)


class Movable(Protocol):
    """Holds tensors that can lie on another device for a while."""

    def move(self, move: Move) -> None:
        """Put what `move` returns in the place of each tensor."""
        ...


@contextmanager
def vacated(
    *parts: Movable, device: torch.device, sleep: Callable[[], None] = lambda: None
) -> Iterator[float]:
    """Move the parts to main memory; yields the GiB that this gave back to the card, 0 on a CPU.

    Leaving the block moves them back, as soon as the card has room for them. Nothing changes in value.

    Args:
        sleep: gives back what the sampler holds.
    """
    before = _held_gib()
    sleep()
    if device.type == "cuda":
        _move_all(parts, torch.device("cpu"))
    release_memory()
    try:
        yield before - _held_gib()
    finally:
        if device.type == "cuda":
            _come_back(parts, device)


def _held_gib() -> float:
    """GiB of all cards that torch holds in this process."""
    cards = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return sum(torch.cuda.memory_reserved(card) for card in cards) / 2**30


def _move_all(parts: tuple[Movable, ...], device: torch.device) -> None:
    for part in parts:
        part.move(lambda tensor: tensor.to(device))


def _come_back(parts: tuple[Movable, ...], device: torch.device) -> None:
    while True:
        try:
            _move_all(parts, device)
        except torch.OutOfMemoryError:
            _logger.warning("the card has no room for the weights yet; the run goes on as soon as it has")
        else:
            return
        _move_all(parts, torch.device("cpu"))  # half of them there would be in others' way
        release_memory()
        time.sleep(_TRY_AGAIN_S)


def move_module(module: nn.Module, move: Move) -> None:
    """Move weights, their quantisation constants, and buffers; every parameter stays the same object."""
    for parameter in module.parameters():
        parameter.data = move(parameter.data)
        if parameter.grad is not None:
            parameter.grad.data = move(parameter.grad.data)
        if (state := getattr(parameter, "quant_state", None)) is not None:
            _move_attributes(state, move)
    for buffer in module.buffers():
        buffer.data = move(buffer.data)


def _move_attributes(holder: Any, move: Move) -> None:  # noqa: ANN401  bitsandbytes' QuantState
    for name, value in list(vars(holder).items()):
        if isinstance(value, Tensor):
            setattr(holder, name, move(value))
        elif type(value) is type(holder):  # the constants of the constants
            _move_attributes(value, move)


def move_optimizer(optimizer: torch.optim.Optimizer, move: Move) -> None:
    """Move moments; a paged optimizer's move by themselves."""
    for state in optimizer.state.values():
        for name, value in state.items():
            if isinstance(value, Tensor) and not getattr(value, "is_paged", False):
                state[name] = move(value)
