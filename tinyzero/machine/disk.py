"""The disk space of a run: the model's download, the checkpoints, and the logs in its folder."""

from collections.abc import Mapping
from dataclasses import dataclass

from tinyzero.config import PoolConfig, Settled, local_folder
from tinyzero.config.sections import SAMPLES_STRIDE
from tinyzero.machine.memory import adapter_gib
from tinyzero.machine.shapes import ModelShape
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
class DiskPlan:
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


def disk_plan(config: Settled, shape: ModelShape) -> DiskPlan:
    """The space that a run needs if none of its files exist yet."""
    is_local = local_folder(config.model.base) is not None
    state = adapter_gib(config, shape)
    checkpoint = sum(state.values()) + config.pool.capacity * _program_bytes(config.pool) / _GIB
    return DiskPlan(
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
