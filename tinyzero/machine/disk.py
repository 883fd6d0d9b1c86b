"""What a run needs on disk: the model's download, checkpoints, and the logs of its folder."""

from dataclasses import dataclass

from tinyzero.config import PoolConfig, Settled, local_folder
from tinyzero.machine.memory import adapter_gib
from tinyzero.machine.shapes import ModelShape
from tinyzero.machine.workload import workload

_GIB = 2**30
_DOWNLOAD_BYTES = 2  # the Hub's files of these models hold 16-bit weights
_BYTES_PER_TOKEN = 4  # of text, in the mean
_METRICS_BYTES = 4096  # one line of metrics.jsonl, and its events
_TASK_BYTES = 1024  # a verified task with its provenance, besides its program


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """GiB by the end of a run.

    Attributes:
        download: of the base model, into the Hub's cache; 0 for a local one.
        checkpoints: those that are kept, the one being written, and the adapters at the end.
    """

    download: float
    checkpoints: float
    logs: float

    @property
    def total_gib(self) -> float:
        return self.download + self.checkpoints + self.logs


def disk_plan(config: Settled, shape: ModelShape) -> DiskPlan:
    """The room that a run takes, if nothing of it is there yet."""
    is_local = local_folder(config.model.base) is not None
    state = adapter_gib(config, shape)
    checkpoint = sum(state.values()) + config.pool.capacity * _program_bytes(config.pool) / _GIB
    return DiskPlan(
        download=0.0 if is_local else shape.weights * _DOWNLOAD_BYTES / _GIB,
        checkpoints=(config.run.keep_checkpoints + 1) * checkpoint + state["adapters"],
        logs=config.run.max_steps * _step_bytes(config) / _GIB,
    )


def _step_bytes(config: Settled) -> int:
    """A step's line of metrics, its samples and its new tasks."""
    load = workload(config)
    sample = _BYTES_PER_TOKEN * (load.prompt_tokens + max(load.proposal_tokens, load.answer_tokens))
    return (
        _METRICS_BYTES
        + config.run.samples_per_step * sample
        + load.counts.tasks * (_TASK_BYTES + _program_bytes(config.pool))
    )


def _program_bytes(pool: PoolConfig) -> int:
    """A program as long as half of what is allowed."""
    return pool.max_program_chars // 2
