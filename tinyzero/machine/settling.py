"""Turns a configuration into a settled one: decides every knob that is set to auto."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinyzero.config import (
    Config,
    Device,
    Dtype,
    LearnerConfig,
    Loader,
    Optimizer,
    SelfPlayConfig,
    Settled,
    local_folder,
)
from tinyzero.config.loading import HELDOUT_FILE
from tinyzero.machine.hardware import Gpu, Machine
from tinyzero.machine.memory import plan
from tinyzero.machine.shapes import shape_of

MARGIN = 0.1
"""Share of the memory to leave free: the plan is an estimate, and a desktop may use the card."""
SAFE_ROWS, SAFE_TOKENS = 32, 2048
"""For a model of unknown shape: with these, a 7-billion-parameter model in 4 bit learns in 24 GiB."""

_ROWS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_TOKENS = (1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384)


def fitted(settled: Settled, memory_gib: float, *, has_open_rows: bool, has_open_tokens: bool) -> Settled:
    """The configuration with the largest values for the open numbers that the memory plan allows.

    The rows are limited by the sampling phase, the tokens by the learning phase. If even the smallest values
    do not fit, they are used, and the plan reports that it does not fit. A model of
    unknown shape gets `SAFE_ROWS` and `SAFE_TOKENS`.

    Args:
        memory_gib: memory that the process can use.
        has_open_rows, has_open_tokens: whether to choose this number; else it stays as configured.
    """
    shape = shape_of(settled.model.base)
    rows, tokens = settled.sampling.batch_rows, settled.learner.micro_batch_tokens
    if shape is None:
        return _with(
            settled, SAFE_ROWS if has_open_rows else rows, SAFE_TOKENS if has_open_tokens else tokens
        )
    known, limit_gib = shape, (1 - MARGIN) * memory_gib

    def samples_in(rows: int) -> bool:
        return plan(_with(settled, rows, SAFE_TOKENS), known).sampling_gib <= limit_gib

    def learns_in(tokens: int) -> bool:
        return plan(_with(settled, SAFE_ROWS, tokens), known).learning_gib <= limit_gib

    return _with(
        settled,
        _largest(_useful_rows(settled.selfplay), samples_in) if has_open_rows else rows,
        _largest(_TOKENS, learns_in) if has_open_tokens else tokens,
    )


def _useful_rows(selfplay: SelfPlayConfig) -> list[int]:
    """Candidate numbers of rows. More rows than answers in a round would stay empty."""
    answers = selfplay.proposals_per_step * selfplay.attempts
    return [rows for rows, fewer in zip(_ROWS, (0, *_ROWS), strict=False) if fewer < answers]


def _largest(candidates: Sequence[int], fits: Callable[[int], bool]) -> int:
    return max(filter(fits, candidates), default=candidates[0])


def _with(settled: Settled, rows: int, tokens: int) -> Settled:
    return settled.model_copy(
        update={
            "sampling": settled.sampling.model_copy(update={"batch_rows": rows}),
            "learner": settled.learner.model_copy(update={"micro_batch_tokens": tokens}),
        }
    )


_AUTO = "auto"
_SETS = {"programs": "cruxeval", "words": "gsm8k"}
"""What tasks are about -> the held-out set for models that have none of their own."""


def settle(config: Config, machine: Machine) -> Settled:
    """The settled configuration of a run on `machine`. Only knobs set to auto change."""
    device = machine.device_for(config.hardware)
    rows, tokens = config.sampling.batch_rows, config.learner.micro_batch_tokens
    decided: dict[str, dict[str, Any]] = {
        "hardware": {"device": device},
        "model": {
            "loader": _loader(config, device, machine),
            "quantization": _quantization(config, device),
            "dtype": _dtype(config, device, machine),
        },
        "learner": {
            "optimizer": _optimizer(config.learner, device),
            "micro_batch_tokens": SAFE_TOKENS if tokens == _AUTO else tokens,
        },
        "sampling": {"batch_rows": SAFE_ROWS if rows == _AUTO else rows},
        "evaluation": {"heldout": _heldout(config, device)},
    }
    written = config.model_dump()
    settled = Settled.model_validate(
        written | {section: written[section] | values for section, values in decided.items()}
    )
    _, memory_gib = machine.memory_for(device)
    return fitted(settled, memory_gib, has_open_rows=rows == _AUTO, has_open_tokens=tokens == _AUTO)


def decisions(config: Config, settled: Settled) -> dict[str, Any]:
    """Dotted key -> value, for the knobs that were set to auto."""
    before, after = config.model_dump(mode="json"), settled.model_dump(mode="json")
    return {
        f"{section}.{key}": after[section][key]
        for section, values in before.items()
        for key, value in values.items()
        if value == _AUTO and after[section][key] != _AUTO
    }


def settle_recorded(config: Config, environment: Mapping[str, Any]) -> Settled:
    """The settled configuration of a run's config.json, in which earlier versions wrote auto.

    The device in environment.json decides what auto meant. Two facts were never recorded and are assumed: the
    card computes in bfloat16, and transformers read the model.
    """
    if config.evaluation.heldout == _AUTO:  # which meant the base model's own set
        evaluation = config.evaluation.model_copy(update={"heldout": _own_set(config)})
        config = config.model_copy(update={"evaluation": evaluation})
    is_on_cuda = str(environment.get("device", "cpu")).startswith("cuda")
    gpu = Gpu(name="the card of the run", memory_gib=0.0) if is_on_cuda else None
    return settle(config, Machine(memory_gib=0.0, gpu=gpu))


def _loader(config: Config, device: Device, machine: Machine) -> Loader:
    """The loader. Unsloth is not chosen for two adapters: separate gradients were never verified on a GPU."""
    if config.model.loader != "auto":
        return config.model.loader
    is_possible = device == "cuda" and machine.has_unsloth and config.policy.adapters == "shared"
    return "unsloth" if is_possible else "transformers"


def _quantization(config: Config, device: Device) -> str:
    if config.model.quantization != "auto":
        return config.model.quantization
    return "nf4" if device == "cuda" else "none"


def _dtype(config: Config, device: Device, machine: Machine) -> Dtype:
    if config.model.dtype != "auto":
        return config.model.dtype
    if device == "cpu":
        return "float32"  # bfloat16 matmuls are a hundred times slower on CPUs without the instructions
    return "bfloat16" if machine.gpu is None or machine.gpu.has_bf16 else "float16"


def _optimizer(learner: LearnerConfig, device: Device) -> Optimizer:
    """The optimizer. A CPU gets no paged one, since it has no other memory to page to."""
    if learner.optimizer == "auto":
        return "adamw8bit" if device == "cuda" else "adamw"
    if learner.optimizer == "paged_adamw8bit" and device == "cpu":
        return "adamw8bit"
    return learner.optimizer


def _heldout(config: Config, device: Device) -> str | None:
    """The held-out set: the base model's own, else the game's. On a CPU, a real model measures for hours."""
    if config.evaluation.heldout != _AUTO:
        return config.evaluation.heldout
    own = _own_set(config)
    domain = config.r_zero.domain if config.selfplay.game == "r-zero" else "programs"
    return own or (_SETS[domain] if device == "cuda" else None)


def _own_set(config: Config) -> str | None:
    """The held-out set in the base model's folder, if there is one."""
    folder = local_folder(config.model.base)
    if folder is None or not (folder / HELDOUT_FILE).is_file():
        return None
    return "nano" if config.model.base == "nano" else str(folder / HELDOUT_FILE)
