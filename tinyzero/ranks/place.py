"""Which of a run's processes this is, as torchrun's environment says it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ConfigError

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Other libraries read them too, and would split once more what is split already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One of `size` processes; `local_rank` of `local_size` on its machine. All are counted from 0."""

    rank: int
    size: int
    local_rank: int
    local_size: int

    def card(self, visible: str | None) -> str:
        """The card of this process, as CUDA_VISIBLE_DEVICES names it.

        Args:
            visible: CUDA_VISIBLE_DEVICES as it is; None where it is not set.

        Raises:
            ConfigError: it names fewer cards than there are processes on this machine.
        """
        if visible is None:
            return str(self.local_rank)
        names = [name for name in visible.split(",") if name]
        if names and len(names) < self.local_size:
            raise ConfigError(
                f"torchrun starts {self.local_size} processes here, and CUDA_VISIBLE_DEVICES names "
                f"{len(names)} card(s) ({visible}); start it with --nproc_per_node {len(names)}"
            )
        return names[self.local_rank] if names else ""

    def own_execution(self, config: ExecutionConfig) -> ExecutionConfig:
        """Where the number of workers is open, the cores of the machine are divided among its processes."""
        if config.workers is not None:
            return config
        return config.model_copy(update={"workers": max(1, (os.cpu_count() or 1) // self.local_size)})


def place_of(environment: Mapping[str, str]) -> Place | None:
    """The place that torchrun gave this process; None for a process on its own.

    Raises:
        ConfigError: the variables are not those of torchrun.
    """
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= environment.keys():
        return None
    try:
        rank, size = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        local_rank = int(environment.get("LOCAL_RANK", rank))
        local_size = int(environment.get("LOCAL_WORLD_SIZE", size))
    except ValueError as error:
        raise ConfigError(
            f"RANK and WORLD_SIZE must be whole numbers ({error}); start several processes with torchrun, or "
            "unset both variables"
        ) from error
    if not (0 <= rank < size and 0 <= local_rank < local_size):
        raise ConfigError(
            f"RANK is {rank} of WORLD_SIZE {size}; start several processes with torchrun, or unset both"
        )
    if size == 1:
        return None
    if environment["MASTER_PORT"] == "0":
        raise ConfigError(
            "torchrun passes on port 0, where processes cannot meet; leave --master_port out, and use "
            "torchrun --standalone for several runs on one machine"
        )
    return Place(rank=rank, size=size, local_rank=local_rank, local_size=local_size)
