"""Decides whether a run fits a machine, why not, and which preset fits."""

from tinyzero.config import Config, HardwareConfig, Settled, find_presets, load_config
from tinyzero.machine.cards import Card, find_card, why_unsupported
from tinyzero.machine.hardware import Machine
from tinyzero.machine.memory import MemoryPlan, plan
from tinyzero.machine.settling import MARGIN, decisions, settle
from tinyzero.machine.shapes import shape_of

_FALLBACK = "nano-cpu"
# Default presets, and the least memory in GiB: the first that fits is trained. Their models have a permissive
# licence and need no account. Up to 24 GiB it is one that is small enough to sample a lot; the large ones
# choose their rows by memory, so that they would fit smaller cards, too, and be slow there.
_CHOICES = {
    "qwen14b-48gb": 42.0,
    "qwen7b-32gb": 28.0,
    "qwen1.5b-24gb": 0.0,
    "qwen1.5b-16gb-t4": 0.0,
    "qwen1.5b-12gb": 0.0,
    "qwen1.5b-8gb": 0.0,
    "qwen0.5b-8gb": 0.0,
}


def card_of_preset(hardware: HardwareConfig) -> Card | None:
    """The card that a preset is written for; None if it names no card."""
    return None if hardware.card is None else find_card(hardware.card)


def describe_numbers(config: Config, settled: Settled, machine: Machine) -> str:
    """A line on the rows and tokens that were chosen by memory; "" if the configuration sets both."""
    chosen = decisions(config, settled)
    if not chosen.keys() & {"sampling.batch_rows", "learner.micro_batch_tokens"}:
        return ""
    knobs = (
        f"sampling.batch_rows = {settled.sampling.batch_rows}, "
        f"learner.micro_batch_tokens = {settled.learner.micro_batch_tokens}"
    )
    memory = plan_for(settled)
    if memory is None:
        base = settled.model.base
        return f"{knobs}: safe values, for the shape of {base} is not known before it is loaded"
    place, available_gib = machine.memory_for(settled.hardware.device)
    return f"{knobs}: a peak of {memory.peak_gib:.1f} of {available_gib:.1f} GiB ({place})"


def why_not(name: str, config: Settled, machine: Machine) -> str | None:
    """Why this machine cannot run `config`, in one line; None if it can."""
    if config.hardware.device == "cuda" and machine.gpu is None:
        card = card_of_preset(config.hardware)
        size = "" if card is None else f" with {card.memory_gib:g} GiB"
        here = (
            "torch sees none here (tinyzero doctor says more)"
            if machine.has_driver
            else "this machine has none"
        )
        return f"{name} needs a CUDA GPU{size}; {here}"
    if config.hardware.device == "cuda" and machine.gpu and (why := why_unsupported(machine.gpu.name)):
        return f"{machine.gpu.name} cannot train {name}: {why}"
    if config.model.dtype == "bfloat16" and machine.gpu and not machine.gpu.has_bf16:
        return f"{name} computes in bfloat16, which {machine.gpu.name} cannot; set model.dtype to float16"
    memory = plan_for(config)
    place, available_gib = machine.memory_for(config.hardware.device)
    return None if memory is None else why_too_large(name, config, memory, available_gib, place)


def why_too_large(
    name: str, config: Settled, memory: MemoryPlan, available_gib: float, place: str
) -> str | None:
    """Why a plan does not fit, and which knob helps; None if it fits."""
    if memory.starves_vllm:
        weights, budget = memory.sampling["vllm_weights"], config.sampling.vllm_gib
        return (
            f"{name} gives vLLM {budget:g} GiB, and its weights alone take {weights:.1f}; raise "
            "sampling.vllm_gib"
        )
    if memory.least_gib <= available_gib:
        return None
    if memory.floor_gib > available_gib:
        return (
            f"{name} needs {memory.floor_gib:.1f} GiB for its model alone, but {place} has "
            f"{available_gib:.1f} GiB; choose a smaller model.base"
        )
    section, key = memory.knob.split(".")
    value = getattr(getattr(config, section), key)
    return (
        f"{name} needs about {memory.least_gib:.1f} GiB, but {place} has {available_gib:.1f} GiB; "
        f"lower {memory.knob} (now {value})"
    )


def plan_for(config: Settled) -> MemoryPlan | None:
    """The memory plan; None for a model whose shape is not known before it is loaded."""
    shape = shape_of(config.model.base)
    return None if shape is None else plan(config, shape)


def describe_fit(config: Settled, machine: Machine) -> str:
    """The estimated peak and the available memory, in a few words."""
    memory = plan_for(config)
    if memory is None:
        return f"no memory estimate: the shape of {config.model.base} is known once it is loaded"
    place, available_gib = machine.memory_for(config.hardware.device)
    return f"estimated peak {memory.peak_gib:.1f} GiB (+-15 %) of {available_gib:.1f} GiB ({place})"


def choose_preset(machine: Machine) -> str:
    """The preset for the largest card that fits here; nano on a machine without a GPU."""
    if machine.gpu is None:
        return _FALLBACK
    there = find_presets()
    return next(
        (
            name
            for name, least_gib in _CHOICES.items()
            if name in there
            and machine.gpu.memory_gib >= least_gib
            and _suits(name, settle(load_config(name), machine), machine)
        ),
        _FALLBACK,
    )


def _suits(name: str, config: Settled, machine: Machine) -> bool:
    """Whether a preset fits with a margin, and uses bfloat16 if the card has it."""
    is_makeshift = config.model.dtype == "float16" and machine.gpu is not None and machine.gpu.has_bf16
    memory, (_, available_gib) = plan_for(config), machine.memory_for(config.hardware.device)
    has_room = memory is not None and memory.least_gib <= (1 - MARGIN) * available_gib
    return has_room and not is_makeshift and why_not(name, config, machine) is None
