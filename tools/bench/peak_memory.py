"""How much memory a piece of work needs at its peak, above what was held before."""

import ctypes
import gc
import sys
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # proc(5)


def peak_memory(work: Callable[[], object], device: torch.device) -> float:
    """Do the work; returns the bytes.

    CUDA: by torch's own count of allocated memory. CPU: growth of the process's peak resident memory, which
    Linux can reset; NaN elsewhere.
    """
    gc.collect()
    if device.type == "cuda":
        return _on_cuda(work, device)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is None:
        work()
        return float("nan")
    trim(0)  # else memory that was freed, but not given back, would be used again and count for nothing
    _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    before = _process_bytes("VmRSS")
    work()
    return _process_bytes("VmHWM") - before


def _on_cuda(work: Callable[[], object], device: torch.device) -> float:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    work()
    torch.cuda.synchronize(device)
    return float(torch.cuda.max_memory_allocated(device) - before)


def _process_bytes(name: str) -> float:
    lines = _STATUS.read_text(encoding="utf-8").splitlines()
    return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
