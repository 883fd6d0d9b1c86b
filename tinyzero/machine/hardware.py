"""The hardware of this machine, and the part that a run can use, as plain values."""

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tinyzero.config import Device, HardwareConfig
from tinyzero.machine.cards import Card, card_of
from tinyzero.machine.usage import ask, first_card, has_driver

_GIB = 2**30
_MIB_PER_GIB = 1024
_CGROUP, _MEMINFO = Path("/sys/fs/cgroup"), Path("/proc/meminfo")
_CARD_FIELDS = ("name", "memory.total")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A CUDA card."""

    name: str
    memory_gib: float
    has_bf16: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine, this one or another.

    Attributes:
        memory_gib: main memory that a process may use. free_gib: what of it is free now; None if unknown.
        has_driver: whether a GPU driver is installed, even if torch sees no GPU.
        has_unsloth: whether the package unsloth is installed.
    """

    memory_gib: float
    gpu: Gpu | None = None
    free_gib: float | None = None
    has_driver: bool = False
    has_unsloth: bool = False

    def device_for(self, hardware: HardwareConfig) -> Device:
        """The device that holds a run's model on this machine."""
        if hardware.device == "auto":
            return "cpu" if self.gpu is None else "cuda"
        return hardware.device

    def memory_for(self, device: Device) -> tuple[str, float]:
        """The memory that holds the model: its name, and its size in GiB."""
        if device == "cuda" and self.gpu is not None:
            return self.gpu.name, self.gpu.memory_gib
        return "this machine", self.memory_gib


def look() -> Machine:
    """Inspect this machine. Imports torch only if there is a GPU driver."""
    memory_gib = memory_here_gib()
    if not has_driver():
        return Machine(memory_gib=memory_gib)
    import torch

    if not torch.cuda.is_available():
        return Machine(memory_gib=memory_gib, has_driver=True)
    card = torch.cuda.get_device_properties(0)
    gpu = Gpu(
        name=card.name,
        memory_gib=card.total_memory / _GIB,
        has_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
    )
    return Machine(memory_gib=memory_gib, gpu=gpu, has_driver=True, has_unsloth=has_unsloth())


def has_unsloth() -> bool:
    return find_spec("unsloth") is not None


def memory_here_gib() -> float:
    """The main memory that this process may use."""
    return min(_physical_memory(), _cgroup_limit()) / _GIB


def card_here() -> Card | None:
    """The first card that nvidia-smi reports, without importing torch; None if there is none."""
    return parse_card(ask(_CARD_FIELDS))


def parse_card(answer: str) -> Card | None:
    """Parse nvidia-smi's `NVIDIA GeForce RTX 4090, 24564` (MiB); None for any other answer."""
    fields = first_card(answer, len(_CARD_FIELDS))
    try:
        return card_of(fields[0], float(fields[1]) / _MIB_PER_GIB) if fields else None
    except ValueError:
        return None


def machine_of_card(card: Card) -> Machine:
    """This machine with another card."""
    gpu = Gpu(name=card.name, memory_gib=card.usable_gib, has_bf16=card.has_bf16)
    return Machine(
        memory_gib=memory_here_gib(),
        gpu=gpu,
        free_gib=free_memory_gib(),
        has_driver=True,
        has_unsloth=has_unsloth(),
    )


def free_memory_gib() -> float | None:
    """Main memory that new processes can take without swapping; None where the system does not say."""
    limit, used = _cgroup_limit(), _number(_CGROUP / "memory.current")
    try:
        available = _available_bytes(_MEMINFO.read_text(encoding="ascii"))
    except OSError:
        return None
    return min(available, max(0.0, limit - (used or 0.0))) / _GIB


def _available_bytes(meminfo: str) -> float:
    """`MemAvailable:  123456 kB` of /proc/meminfo, in bytes."""
    values = dict(line.split(":", 1) for line in meminfo.splitlines() if ":" in line)
    return 1024 * float(values["MemAvailable"].split()[0])


def _physical_memory() -> float:
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _cgroup_limit() -> float:
    """The memory limit of the container; infinite if there is none."""
    limit = _number(_CGROUP / "memory.max")
    return float("inf") if limit is None else limit


def _number(path: Path) -> float | None:
    try:
        return float(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroups, or "max"
        return None
