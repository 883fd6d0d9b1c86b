"""The main memory that programs of a run may take at once, against what is free."""

from dataclasses import dataclass

from tinyzero.config import Settled
from tinyzero.execution.dispatcher import num_workers

_MIB_PER_GIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMemory:
    """The limit of all programs that run at once. Most take a few MiB; hostile ones take all they get.

    Attributes:
        workers: programs that run at once. memory_mib: limit of each.
        free_gib: main memory that is free now, without what the run itself will take; None if unknown.
    """

    workers: int
    memory_mib: int
    free_gib: float | None

    @property
    def at_most_gib(self) -> float:
        return self.workers * self.memory_mib / _MIB_PER_GIB

    @property
    def fits(self) -> bool:
        return self.free_gib is None or self.at_most_gib <= self.free_gib

    @property
    def remedy(self) -> str:
        """The settings with which all programs fit."""
        free_mib = (self.free_gib or 0.0) * _MIB_PER_GIB
        workers = int(free_mib // self.memory_mib)
        if workers >= 1:
            return f"--set execution.workers={workers}, or close other programs"
        return "close other programs, or lower execution.memory_mib, which changes what counts as too large"


def program_memory(config: Settled, free_gib: float | None, own_gib: float) -> ProgramMemory:
    """Of a run on this machine.

    Args:
        free_gib: main memory that is free before the run starts. own_gib: main memory of the run's model.
    """
    limits = config.execution
    return ProgramMemory(
        workers=num_workers(limits),
        memory_mib=limits.memory_mib,
        free_gib=None if free_gib is None else max(0.0, free_gib - own_gib),
    )
