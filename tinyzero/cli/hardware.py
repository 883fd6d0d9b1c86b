"""What this machine has, and whether a run would fit it."""

import os
from dataclasses import dataclass
from pathlib import Path

from tinyzero.config import Config, find_presets, load_config
from tinyzero.planning import MARGIN, Card, Device, MemoryPlan, card_of, fitted, is_open, plan, shape_of
from tinyzero.planning.nvidia import ask, first_card, has_driver

_GIB = 2**30
_MIB_PER_GIB = 1024
_CARD_FIELDS = ("name", "memory.total")
_FALLBACK = "nano-cpu"
# What is trained where no preset is named: the first of these that fits. The same model on every card, small
# enough to sample much of, under a licence that allows everything, and to be had without an account.
_CHOICES = ("qwen1.5b-24gb", "qwen1.5b-16gb-t4", "qwen1.5b-12gb", "qwen1.5b-8gb", "qwen0.5b-8gb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A CUDA card."""

    name: str
    memory_gib: float
    has_bf16: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a run could use.

    Attributes:
        has_driver: a GPU driver is here, even if torch sees no GPU.
    """

    memory_gib: float
    gpu: Gpu | None = None
    has_driver: bool = False

    def device_for(self, config: Config) -> Device:
        if config.hardware.device == "auto":
            return "cpu" if self.gpu is None else "cuda"
        return config.hardware.device


def look() -> Machine:
    """Ask the machine; imports torch only where there is a driver."""
    if not has_driver():
        return Machine(memory_gib=memory_here_gib())
    import torch

    if not torch.cuda.is_available():
        return Machine(memory_gib=memory_here_gib(), has_driver=True)
    card = torch.cuda.get_device_properties(0)
    gpu = Gpu(
        name=card.name,
        memory_gib=card.total_memory / _GIB,
        has_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
    )
    return Machine(memory_gib=memory_here_gib(), gpu=gpu, has_driver=True)


def memory_here_gib() -> float:
    """The main memory that this process may use."""
    return min(_physical_memory(), _cgroup_limit()) / _GIB


def card_here() -> Card | None:
    """The first card that NVIDIA's tool reports, without importing torch; None where there is none."""
    return parse_card(ask(_CARD_FIELDS))


def parse_card(answer: str) -> Card | None:
    """From nvidia-smi's `NVIDIA GeForce RTX 4090, 24564`, MiB; None where that is not what it says."""
    fields = first_card(answer, len(_CARD_FIELDS))
    try:
        return card_of(fields[0], float(fields[1]) / _MIB_PER_GIB) if fields else None
    except ValueError:
        return None


def resolve(config: Config, machine: Machine) -> tuple[Config, str]:
    """The configuration with numbers where it says "auto", and a line about them; "" where none did."""
    if not is_open(config):
        return config, ""
    place, available_gib = _memory_for(config, machine)
    shape, device = shape_of(config.model.base), machine.device_for(config)
    chosen = fitted(config, shape, available_gib, device)
    knobs = (
        f"sampling.batch_rows = {chosen.sampling.batch_rows}, "
        f"learner.micro_batch_tokens = {chosen.learner.micro_batch_tokens}"
    )
    if shape is None:
        return (
            chosen,
            f"{knobs}: safe values, for the shape of {config.model.base} is not known before it is loaded",
        )
    peak_gib = plan(chosen, shape, device=device).peak_gib
    return chosen, f"{knobs}: a peak of {peak_gib:.1f} of {available_gib:.1f} GiB ({place})"


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
    if config.model.dtype == "bfloat16" and machine.gpu and not machine.gpu.has_bf16:
        return f"{name} computes in bfloat16, which {machine.gpu.name} cannot; set model.dtype to float16"
    config, _ = resolve(config, machine)
    made = plan_for(config, machine)
    place, available_gib = _memory_for(config, machine)
    return None if made is None else why_too_large(name, config, made, available_gib, place)


def why_too_large(
    name: str, config: Config, made: MemoryPlan, available_gib: float, place: str
) -> str | None:
    """Why a plan does not fit, and which knob helps; None where it fits."""
    if made.starves_vllm:
        weights, given = made.sampling["vllm_weights"], config.sampling.vllm_gib
        return (
            f"{name} gives vLLM {given:g} GiB, and its weights alone take {weights:.1f}; raise "
            "sampling.vllm_gib"
        )
    if made.peak_gib <= available_gib:
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
    if shape is None:
        return None
    config, _ = resolve(config, machine)
    return plan(config, shape, device=machine.device_for(config))


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
    there = find_presets()
    return next(
        (name for name in _CHOICES if name in there and _suits(name, load_config(name), machine)), _FALLBACK
    )


def _suits(name: str, config: Config, machine: Machine) -> bool:
    """Whether a preset fits with a margin, and does not make do without bfloat16 on a card that has it."""
    is_makeshift = config.model.dtype == "float16" and machine.gpu is not None and machine.gpu.has_bf16
    made, (_, available_gib) = plan_for(config, machine), _memory_for(config, machine)
    has_room = made is not None and made.peak_gib <= (1 - MARGIN) * available_gib
    return has_room and not is_makeshift and why_not(name, config, machine) is None


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
