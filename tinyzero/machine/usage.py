"""The load of this machine, for the views. Missing values are not an error."""

import ctypes
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_NVIDIA = ("/dev/nvidiactl", "/dev/dxg")  # the second is WSL's
_AMD = ("/dev/kfd",)
_PATIENCE_S = 10.0


def has_driver() -> bool:
    """Whether a GPU driver is installed. Without one, importing torch (seconds) to find a GPU is useless."""
    return _is_any_here((*_NVIDIA, *_AMD))


def has_nvidia_driver() -> bool:
    return _is_any_here(_NVIDIA)


def has_amd_driver() -> bool:
    return _is_any_here(_AMD)


def ask(fields: Sequence[str], *, gpu: str | None = None, timeout_s: float = _PATIENCE_S) -> str:
    """The output of nvidia-smi, one line per card; empty if the tool is missing or fails.

    Args:
        fields: fields of `nvidia-smi --help-query-gpu`; memory is in MiB.
        gpu: index or UUID of a card; None for all cards.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    command += [] if gpu is None else ["-i", gpu]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def first_card(answer: str, num_fields: int) -> list[str] | None:
    """The fields of the answer's first line; None if there are fewer. Only the first may hold commas."""
    cells = [cell.strip() for cell in answer.partition("\n")[0].rsplit(",", num_fields - 1)]
    return cells if len(cells) == num_fields and cells[0] else None


def _is_any_here(files: Sequence[str]) -> bool:
    return any(Path(file).exists() for file in files)


_GIB = 2**30
_MIB_PER_GIB = 1024
_FIELDS = ("name", "utilization.gpu", "memory.used", "memory.total", "temperature.gpu", "power.draw")
_GPU_EVERY_S = 5.0  # each query starts a process, about 30 ms
_TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUsage:
    """The load of one card: percent, GiB, degrees Celsius, watts; None if the driver does not report it."""

    name: str
    percent: float | None
    used_gib: float | None
    total_gib: float | None
    celsius: float | None
    watts: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The load of the machine, not only of the run. `cpu_percent` covers all cores, 0 to 100."""

    cpu_percent: float
    used_gib: float
    total_gib: float
    gpu: GpuUsage | None = None


class UsageProbe:
    """Measures the load; CPU figures are means since the last call of `look`."""

    def __init__(self, gpu: str = "0", *, has_gpu: bool | None = None) -> None:
        """`gpu`: index or UUID of the card, in the format of nvidia-smi."""
        self._gpu = gpu
        self._has_gpu = has_nvidia_driver() if has_gpu is None else has_gpu
        self._asked_at = -_GPU_EVERY_S
        self._gpu_usage: GpuUsage | None = None
        psutil.cpu_percent()  # later values are means since this call

    def look(self) -> Usage:
        memory = psutil.virtual_memory()
        return Usage(
            cpu_percent=psutil.cpu_percent(),
            used_gib=(memory.total - memory.available) / _GIB,
            total_gib=memory.total / _GIB,
            gpu=self._look_at_gpu() if self._has_gpu else None,
        )

    def _look_at_gpu(self) -> GpuUsage | None:
        if time.monotonic() - self._asked_at >= _GPU_EVERY_S:
            self._asked_at = time.monotonic()
            self._gpu_usage = parse_gpu(ask(_FIELDS, gpu=self._gpu, timeout_s=_TIMEOUT_S))
        return self._gpu_usage


def parse_gpu(answer: str) -> GpuUsage | None:
    """Parse nvidia-smi's line of values; `[N/A]` and similar values are None."""
    cells = first_card(answer, len(_FIELDS))
    if cells is None:
        return None
    percent, used, total, celsius, watts = map(_number, cells[1:])
    return GpuUsage(
        name=cells[0],
        percent=percent,
        used_gib=None if used is None else used / _MIB_PER_GIB,
        total_gib=None if total is None else total / _MIB_PER_GIB,
        celsius=celsius,
        watts=watts,
    )


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


_NVML = "libnvidia-ml.so.1"


class CardMeter:
    """Reads NVML's counter of one card's energy, which Volta and newer cards have."""

    def __init__(self, gpu: str | None, library: Any = None) -> None:  # noqa: ANN401  ctypes or its double
        """Raises nothing: where NVML does not answer, there is no reading.

        Args:
            gpu: index or UUID of the card; None where none is used.
            library: NVML; the driver's own if None.
        """
        self._library, self._card = library, ctypes.c_void_p()
        self._is_open = gpu is not None and self._open(gpu)

    def joules(self) -> float | None:
        """Energy since the driver was loaded, with what the card draws idle; None without a counter."""
        millijoules = ctypes.c_ulonglong()
        if not self._is_open:
            return None
        code = self._library.nvmlDeviceGetTotalEnergyConsumption(self._card, ctypes.byref(millijoules))
        return millijoules.value / 1000 if code == 0 else None

    def idle_watts(self, seconds: float = 1.0) -> float | None:
        """What the card draws while nothing is asked of it, measured for some seconds."""
        before, began = self.joules(), time.monotonic()
        if before is None:
            return None
        time.sleep(seconds)
        after = self.joules()
        return None if after is None else (after - before) / (time.monotonic() - began)

    def _open(self, gpu: str) -> bool:
        try:
            self._library = self._library or ctypes.CDLL(_NVML)
        except OSError:
            return False
        card = ctypes.byref(self._card)
        if self._library.nvmlInit_v2() != 0:
            return False
        if gpu.isdigit():
            return bool(self._library.nvmlDeviceGetHandleByIndex_v2(int(gpu), card) == 0)
        return bool(self._library.nvmlDeviceGetHandleByUUID(gpu.encode(), card) == 0)
