"""The seams of a run that are split: those of a process on its own stay as they are."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from tinyzero.config import ExecutionConfig
from tinyzero.types import Comparer, Runner, Sampler

if TYPE_CHECKING:
    from tinyzero.learning.engine import LossEngine
    from tinyzero.policy.policy import Policy
    from tinyzero.ranks.world import World

T = TypeVar("T")


class Seams:
    """What a run samples, runs, compares and learns with: its own, or those of all ranks together."""

    def __init__(self, world: "World | None" = None) -> None:
        """Seams of a world of several processes; of this process alone where there is none."""
        self.world = world

    def share(self, value: Callable[[], T]) -> T:
        """The value as rank 0 has it."""
        return value() if self.world is None else self.world.share(value)

    def agree(self, what: str, value: object) -> None:
        """Raise RanksDiffer unless all ranks have the same."""
        if self.world is not None:
            self.world.agree(what, value)

    def write(self, write: Callable[[], None]) -> None:
        """Only rank 0 writes."""
        if self.world is None or self.world.is_leader:
            write()

    def execution(self, config: ExecutionConfig) -> ExecutionConfig:
        """The limits of programs, with this process's share of the machine's cores."""
        return config if self.world is None else self.world.place.own_execution(config)

    def sampler(self, sampler: Sampler) -> Sampler:
        if self.world is None:
            return sampler
        from tinyzero.ranks.shares import RanksSampler

        return RanksSampler(sampler, self.world)

    def runner(self, runner: Runner) -> Runner:
        if self.world is None:
            return runner
        from tinyzero.ranks.shares import RanksRunner

        return RanksRunner(runner, self.world)

    def comparer(self, comparer: Comparer) -> Comparer:
        if self.world is None:
            return comparer
        from tinyzero.ranks.shares import RanksComparer

        return RanksComparer(comparer, self.world)

    def spread(self, policy: "Policy") -> "Callable[[LossEngine], LossEngine]":
        """What puts an engine over all ranks in an engine's place."""
        world = self.world
        if world is None:
            return lambda engine: engine
        from tinyzero.ranks.engine import RanksEngine

        return lambda engine: RanksEngine(engine, policy, world)
