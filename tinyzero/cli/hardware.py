"""What this machine has, and whether a run would fit it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinyzero.config import Config, find_presets, load_config
from tinyzero.memory import MemoryPlan, plan, shape_of

_GIB = 2**30
# Driver files of NVIDIA, AMD and WSL: without any, importing torch (seconds) to ask for a GPU is a waste.
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_FALLBACK = "nano-cpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A CUDA card."""

    name: str
    memory_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run could use.

    Attributes:
        has_driver: a GPU driver is here, even if torch sees no GPU.
    """

    memory_gib: float
    gpu: Gpu | None = None
    has_driver: bool = False

    def device_for(self, config: Config) -> Literal["cpu", "cuda"]:
        if config.hardware.device == "auto":
            return "cpu" if self.gpu is None else "cuda"
        return config.hardware.device


def look() -> Machine:
    """Ask the machine; imports torch only where there is a driver."""
    memory_gib = min(_physical_memory(), _cgroup_limit()) / _GIB
    if not any(Path(driver).exists() for driver in _DRIVERS):
        return Machine(memory_gib=memory_gib)
    import torch

    if not torch.cuda.is_available():
        return Machine(memory_gib=memory_gib, has_driver=True)
    card = torch.cuda.get_device_properties(0)
    return Machine(
        memory_gib=memory_gib,
        gpu=Gpu(name=card.name, memory_gib=card.total_memory / _GIB),
        has_driver=True,
    )


def why_not(name: str, config: Config, machine: Machine) -> str | None:
    """Why this machine cannot run `config`, in one line; None where nothing speaks against it."""
    if config.hardware.device == "cuda" and machine.gpu is None:
        size = f" with {config.hardware.memory_gib:g} GiB" if config.hardware.memory_gib else ""
        here = (
            "torch sees none here (tinyzero doctor says more)"
            if machine.has_driver
            else "this machine has none"
        )
        return f"{name} needs a CUDA GPU{size}; {here}"
    made = plan_for(config, machine)
    place, available_gib = _memory_for(config, machine)
    if made is None or made.peak_gib <= available_gib:
        return None
    if made.floor_gib > available_gib:
        return (
            f"{name} needs {made.floor_gib:.1f} GiB for its model alone, but {place} has "
            f"{available_gib:.1f} GiB; choose a smaller model.base"
        )
    section, key = made.knob.split(".")
    value = getattr(getattr(config, section), key)
    return (
        f"{name} needs about {made.peak_gib:.1f} GiB, but {place} has {available_gib:.1f} GiB; "
        f"lower {made.knob} (now {value})"
    )


def plan_for(config: Config, machine: Machine) -> MemoryPlan | None:
    """The memory plan, None for a model whose shape is not known before it is loaded."""
    shape = shape_of(config.model.base)
    return None if shape is None else plan(config, shape, device=machine.device_for(config))


def describe_fit(config: Config, machine: Machine) -> str:
    """The estimated peak against what is there, in a few words."""
    made = plan_for(config, machine)
    place, available_gib = _memory_for(config, machine)
    if made is None:
        return f"no memory estimate: the shape of {config.model.base} is known once it is loaded"
    return f"estimated peak {made.peak_gib:.1f} GiB (+-15 %) of {available_gib:.1f} GiB ({place})"


def choose_preset(machine: Machine) -> str:
    """The preset for the largest card that fits here; nano on a machine without a GPU."""
    if machine.gpu is None:
        return _FALLBACK
    fitting = {
        name: config.hardware.memory_gib or 0.0
        for name in find_presets()
        if (config := load_config(name)).hardware.device == "cuda" and why_not(name, config, machine) is None
    }
    return max(fitting, key=lambda name: fitting[name], default=_FALLBACK)


def _memory_for(config: Config, machine: Machine) -> tuple[str, float]:
    if machine.device_for(config) == "cuda" and machine.gpu is not None:
        return machine.gpu.name, machine.gpu.memory_gib
    return "this machine", machine.memory_gib


def _physical_memory() -> float:
    return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def _cgroup_limit() -> float:
    """The memory limit of a container, infinite where there is none."""
    try:
        return float(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no cgroups, or "max"
        return float("inf")
