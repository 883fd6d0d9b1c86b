"""The disk space of a run: the model's download, the checkpoints, and the logs in its folder."""

from dataclasses import dataclass

from tinyzero.config import PoolConfig, Settled, local_folder
from tinyzero.machine.memory import adapter_gib
from tinyzero.machine.shapes import ModelShape
from tinyzero.machine.workload import workload

_GIB = 2**30
_DOWNLOAD_BYTES = 2  # the Hub's files of these models hold 16-bit weights
_BYTES_PER_TOKEN = 4  # of text, on average
_METRICS_BYTES = 4096  # one line of metrics.jsonl, and its events
_TASK_BYTES = 1024  # a verified task with its provenance, besides its program


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskPlan:
    """Disk space at the end of a run, GiB.

    Attributes:
        download: the base model in the Hub's cache; 0 for a local model.
        checkpoints: the checkpoints that are kept, the one being written, and the final adapters.
    """

    download: float
    checkpoints: float
    logs: float

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
        logs=config.run.max_steps * _step_bytes(config) / _GIB,
    )


def _step_bytes(config: Settled) -> int:
    """Bytes of a step's metrics line, samples and new tasks."""
    load = workload(config)
    sample = _BYTES_PER_TOKEN * (load.prompt_tokens + max(load.proposal_tokens, load.answer_tokens))
    return (
        _METRICS_BYTES
        + config.run.samples_per_step * sample
        + load.counts.tasks * (_TASK_BYTES + _program_bytes(config.pool))
    )


def _program_bytes(pool: PoolConfig) -> int:
    """Bytes of a program of half the allowed length."""
    return pool.max_program_chars // 2
