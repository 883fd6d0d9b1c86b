"""The plan of one run on one target: memory, time and disk, for a table or for JSON."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tinyzero.config import Config, Device, PoolConfig, Settled, local_folder
from tinyzero.config.sections import SAMPLES_STRIDE
from tinyzero.errors import ConfigError
from tinyzero.machine.cards import Card
from tinyzero.machine.evidence import counts_on_graphs, is_calibrated
from tinyzero.machine.hardware import Machine
from tinyzero.machine.memory import MemoryPlan, adapter_gib, plan
from tinyzero.machine.programs import ProgramMemory, program_memory
from tinyzero.machine.settling import decisions, settle
from tinyzero.machine.shapes import ModelShape, shape_of
from tinyzero.machine.suitability import why_too_large
from tinyzero.machine.timing import StepTime, exchange_s, measuring_s, step_range_s, step_time
from tinyzero.machine.workload import VALID_SHARE, workload

_GIB = 2**30
_DOWNLOAD_BYTES = 2  # the Hub's files of these models hold 16-bit weights
_BYTES_PER_TOKEN = 4  # of text, on average
# Measured on runs of 30 steps of nano: the mean line of each log, without the texts of the model.
_METRICS_BYTES = 4500
_SAMPLE_BYTES = 330
_TASK_BYTES = 300
_REPLAY_BYTES = 120
_CHECKPOINT_EVENT_BYTES = 130
_MEASUREMENT_BYTES = 4200  # three events, with the answers to a few tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class _DiskPlan:
    """Disk space at the end of a run, GiB.

    Attributes:
        download: the base model in the Hub's cache; 0 for a local model.
        checkpoints: the checkpoints that are kept, the one being written, and the final adapters.
        logs: all logs of all steps.
        step_bytes: by how many bytes a step makes each log longer, by file name.
    """

    download: float
    checkpoints: float
    logs: float
    step_bytes: Mapping[str, float]

    @property
    def total_gib(self) -> float:
        return self.download + self.checkpoints + self.logs


def disk_plan(config: Settled, shape: ModelShape) -> _DiskPlan:
    """The space that a run needs if none of its files exist yet."""
    is_local = local_folder(config.model.base) is not None
    state = adapter_gib(config, shape)
    checkpoint = sum(state.values()) + config.pool.capacity * _program_bytes(config.pool) / _GIB
    return _DiskPlan(
        download=0.0 if is_local else shape.weights * _DOWNLOAD_BYTES / _GIB,
        checkpoints=(config.run.keep_checkpoints + 1) * checkpoint + state["adapters"],
        logs=_log_bytes(config) / _GIB,
        step_bytes=_step_bytes(config),
    )


def _log_bytes(config: Settled) -> float:
    """Bytes of all logs after the last step. Up to twice `run.keep_samples` steps have all samples."""
    step, run = _step_bytes(config), config.run
    all_samples = run.max_steps if run.keep_samples is None else min(run.max_steps, 2 * run.keep_samples)
    others = run.max_steps * (sum(step.values()) - step["samples.jsonl"])
    return others + step["samples.jsonl"] * (all_samples + (run.max_steps - all_samples) / SAMPLES_STRIDE)


def _step_bytes(config: Settled) -> dict[str, float]:
    """Bytes of a step's lines in each log."""
    load, run, every = workload(config), config.run, config.evaluation.every_steps
    text = _BYTES_PER_TOKEN * (load.prompt_tokens + max(load.proposal_tokens, load.answer_tokens))
    program = min(_program_bytes(config.pool), _BYTES_PER_TOKEN * load.proposal_tokens)
    is_r_zero = config.selfplay.game == "r-zero"
    num_new = load.counts.tasks if is_r_zero else max(1, round(VALID_SHARE * load.counts.proposals))
    return {
        "metrics.jsonl": _METRICS_BYTES,
        "samples.jsonl": run.samples_per_step * (_SAMPLE_BYTES + text),
        "tasks.jsonl": num_new * (_TASK_BYTES + program),
        "replays.jsonl": (load.counts.tasks - num_new) * _REPLAY_BYTES,
        "events.jsonl": _CHECKPOINT_EVENT_BYTES / run.checkpoint_every_steps
        + (_MEASUREMENT_BYTES / every if every else 0.0),
    }


def _program_bytes(pool: PoolConfig) -> int:
    """Bytes of a program of half the allowed length."""
    return pool.max_program_chars // 2


_TIGHT = 0.08
"""Below this margin a plan is not reliable, since its accuracy is 15 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The place of a planned run.

    Attributes:
        card: the machine's card; None for the CPU.
    """

    machine: Machine
    card: Card | None = None

    @property
    def device(self) -> Device:
        return "cpu" if self.card is None else "cuda"

    @property
    def place(self) -> str:
        return self.machine.memory_for(self.device)[0]

    @property
    def available_gib(self) -> float:
        return self.machine.memory_for(self.device)[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The needs of a run on a target.

    Attributes:
        decided: dotted key -> value, for the knobs set to auto.
        has_graphs: whether `time` counts on CUDA graphs.
        time: None if the target's speed is unknown.
        other_time: the same, with graphs where `time` is without, and the other way round.
        range_s: seconds of a step at best and at worst; None where a report has measured this card, or its
            speed is unknown.
        together: number of cards -> the time of a step that they play together, and of this the seconds in
            which gradients go between them.
        heldout_tasks: number of tasks that the run is measured on; 0 if on none.
        measuring_s: seconds of all measurements; None if the target's speed is unknown.
    """

    preset: str
    config: Settled
    decided: Mapping[str, Any]
    shape: ModelShape
    target: Target
    memory: MemoryPlan
    disk: _DiskPlan
    time: StepTime | None
    other_time: StepTime | None = None
    range_s: tuple[float, float] | None = None
    has_graphs: bool = False
    heldout_tasks: int = 0
    measuring_s: float | None = None
    together: Mapping[int, tuple[StepTime, float]] = field(default_factory=dict)

    @property
    def programs(self) -> ProgramMemory:
        own_gib = self.memory.peak_gib if self.target.device == "cpu" else 0.0
        return program_memory(self.config, self.target.machine.free_gib, own_gib)

    @property
    def margin(self) -> float:
        """Share of the memory that is free at the peak; negative if the run does not fit."""
        return 1 - self.memory.peak_gib / self.target.available_gib

    @property
    def lacks_bf16(self) -> bool:
        """Whether the configuration needs bfloat16 and the card does not have it."""
        card = self.target.card
        return self.config.model.dtype == "bfloat16" and card is not None and not card.has_bf16

    @property
    def fits(self) -> bool:
        return not self.lacks_bf16 and self._why_too_large is None

    @property
    def _why_too_large(self) -> str | None:
        target = self.target
        return why_too_large(self.preset, self.config, self.memory, target.available_gib, target.place)

    @property
    def verdict(self) -> str:
        """Whether the run fits, in one line."""
        if self.lacks_bf16:
            return f"does not run: {self.target.place} has no bfloat16; set model.dtype to float16"
        target, peak = self.target, f"{self.memory.peak_gib:.1f} (+-15 %)"
        if self._why_too_large is not None:
            return f"does not fit: {self._why_too_large}"
        room = f"{peak} of {target.available_gib:.1f} GiB at the peak, {100 * self.margin:.0f} % to spare"
        if self.margin < 0:
            return (
                f"fits, barely: {peak} of {target.available_gib:.1f} GiB at the peak, so CUDA graphs give way"
            )
        if self.margin < _TIGHT:
            return f"fits, barely: {room}; better lower {self.memory.knob}"
        return f"fits: {room}"


def forecast(
    preset: str,
    config: Config,
    target: Target,
    count_tasks: Callable[[str | None], int] = lambda _: 0,
    numbers_of_cards: Sequence[int] = (),
) -> Forecast:
    """Plan memory, time and disk of `config` on `target`.

    Args:
        numbers_of_cards: how many cards of this kind may play the run together; each is planned.
        count_tasks: number of tasks in the held-out set of a name.

    Raises:
        ConfigError: the model's shape is unknown.
    """
    shape = shape_of(config.model.base)
    if shape is None:
        raise ConfigError(
            f"the shape of {config.model.base} is not known: it is in no preset, and no folder or Hub id "
            "with a config.json of the Llama, Qwen2 or Qwen3 family; name such a model: "
            "--set model.base=FOLDER"
        )
    settled = settle(config, target.machine)
    num_tasks, card = count_tasks(settled.evaluation.heldout), target.card
    has_graphs = counts_on_graphs(settled)
    return Forecast(
        preset=preset,
        config=settled,
        decided=decisions(config, settled),
        shape=shape,
        target=target,
        memory=plan(settled, shape),
        disk=disk_plan(settled, shape),
        time=step_time(settled, shape, card, has_graphs=has_graphs) if card else None,
        other_time=step_time(settled, shape, card, has_graphs=not has_graphs) if card else None,
        range_s=step_range_s(settled, shape, card) if card and not is_calibrated(card.name) else None,
        has_graphs=has_graphs,
        heldout_tasks=num_tasks,
        measuring_s=measuring_s(settled, shape, card, num_tasks, has_graphs=has_graphs) if card else None,
        together=_together(settled, shape, card, numbers_of_cards, has_graphs=has_graphs),
    )


def _together(
    config: Settled,
    shape: ModelShape,
    card: Card | None,
    numbers_of_cards: Sequence[int],
    *,
    has_graphs: bool,
) -> dict[int, tuple[StepTime, float]]:
    times = {
        ranks: step_time(config, shape, card, ranks=ranks, has_graphs=has_graphs) if card else None
        for ranks in numbers_of_cards
    }
    return {
        ranks: (time, exchange_s(config, shape, ranks)) for ranks, time in times.items() if time is not None
    }
