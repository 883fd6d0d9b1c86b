"""TRL's fused LM head on this device: its Triton kernels, or torch's operators where they cannot start.

At its first launch Triton compiles a launcher with a C compiler and Python's headers, which may not be there.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from tinyzero.errors import HardwareError

_TOKENS, _HIDDEN, _VOCABULARY = 3, 32, 40
_MAX_ERROR = 0.05
"""Nats; 16-bit products of 32 terms are off by less than 0.01."""
_REMEDY = "install gcc and the headers of this Python (on Debian and Ubuntu: apt install gcc python3-dev)"


def check_fused_head(device: torch.device, trl_version: str) -> None:
    """Before 1.16 the fused LM head of trl exists as a Triton kernel only.

    Raises:
        HardwareError: this device needs a newer trl.
    """
    major, minor = map(int, trl_version.split(".")[:2])
    if device.type != "cuda" and (major, minor) < (1, 16):
        raise HardwareError(
            f"trl {trl_version} needs CUDA, and this run is on {device}; pip install 'trl>=1.16'"
        )


def prepare_fused_head(
    device: torch.device,
    dtype: torch.dtype,
    launch: Callable[[torch.device, torch.dtype], float] | None = None,
) -> str:
    """Launch the head's kernels once, forward and backward; where that fails, have trl do without Triton.

    Args:
        launch: does so, and returns the largest error of the logprobs, nats.

    Returns:
        What a person should know; "" where the kernels work, or this device uses none.

    Raises:
        HardwareError: they fail, and this trl has nothing else.
    """
    import trl.kernels.chunked_logprob as kernels

    uses_triton = getattr(kernels, "_use_triton", lambda device: device.type == "cuda")
    if not uses_triton(device):
        return ""
    problem = _problem(launch or _launch, device, dtype)
    if not problem:
        return ""
    if not hasattr(kernels, "_TRITON_AVAILABLE"):
        raise HardwareError(
            f"the Triton kernels of trl cannot be used here ({problem}); {_REMEDY}, "
            "or pip install 'trl>=1.16'"
        )
    kernels._TRITON_AVAILABLE = False
    return (
        f"the Triton kernels of trl cannot be used here ({problem}), so answers are scored by torch's own "
        f"operators, which take up to 1.2 GiB more; {_REMEDY}"
    )


def _problem(
    launch: Callable[[torch.device, torch.dtype], float], device: torch.device, dtype: torch.dtype
) -> str:
    """Why the kernels cannot be used; "" if they can."""
    try:
        error = launch(device, dtype)
    except torch.OutOfMemoryError:
        raise
    except _launch_errors() as failure:
        return (str(failure).strip() or type(failure).__name__).splitlines()[0].rstrip(".")
    return "" if error < _MAX_ERROR else f"their logprobs are {error:.2g} nats off"


def _launch_errors() -> tuple[type[Exception], ...]:
    """With Triton's own base where it is installed."""
    triton: Any = sys.modules.get("triton.errors")
    own = () if triton is None else (triton.TritonError,)
    return (RuntimeError, OSError, ImportError, AttributeError, subprocess.SubprocessError, *own)


def _launch(device: torch.device, dtype: torch.dtype) -> float:
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction

    ramp = torch.linspace(-1, 1, _TOKENS * _HIDDEN).view(_TOKENS, _HIDDEN)
    hidden = ramp.to(device, dtype).requires_grad_()
    weight = torch.linspace(-2, 2, _VOCABULARY * _HIDDEN).sin().view(_VOCABULARY, _HIDDEN).to(device, dtype)
    targets = torch.arange(_TOKENS, device=device)
    with torch.enable_grad():
        logprobs, *_ = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
            hidden, weight, None, targets, 1.0, _VOCABULARY, None, 1.0, ("log_probs", "entropy")
        )
        logprobs.sum().backward()
    expected = (hidden.float() @ weight.float().T).log_softmax(-1).gather(1, targets[:, None])[:, 0]
    error = float((logprobs.detach() - expected.detach()).abs().max())
    return error if hidden.grad is not None and bool(hidden.grad.isfinite().all()) else float("inf")
