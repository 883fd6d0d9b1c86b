"""Two ways of doing the same work, timed in turn, so that what else the machine does slows both."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One run of one contender; the amount done is in units of the work's own, tokens for example."""

    seconds: float
    amount: float

    @property
    def rate(self) -> float:
        """Amount per second."""
        return self.amount / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """Laps of the two, in the order run; the i-th of one and the i-th of the other were neighbours."""

    ours: tuple[Lap, ...]
    theirs: tuple[Lap, ...]

    @property
    def speedup(self) -> float:
        """Our median rate over theirs: above 1 where ours is faster."""
        return median(lap.rate for lap in self.ours) / median(lap.rate for lap in self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        """The smallest and the largest ratio of two neighbours."""
        ratios = [ours.rate / theirs.rate for ours, theirs in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    def figures(self) -> dict[str, float]:
        """Medians of seconds and rates, the speedup and its spread, by name."""
        slowest, fastest = self.spread
        return {
            "ours_s": median(lap.seconds for lap in self.ours),
            "theirs_s": median(lap.seconds for lap in self.theirs),
            "ours_per_s": median(lap.rate for lap in self.ours),
            "theirs_per_s": median(lap.rate for lap in self.theirs),
            "speedup": self.speedup,
            "speedup_min": slowest,
            "speedup_max": fastest,
        }


def race(
    ours: Callable[[int], float],
    theirs: Callable[[int], float],
    *,
    repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Race:
    """Let both do their work `repeats` times in turn, after a lap each that does not count.

    Args:
        ours, theirs: given the lap's number, do the work to its end and return the amount done.
        clock: in seconds.
    """

    def lap(work: Callable[[int], float], number: int) -> Lap:
        started = clock()
        amount = work(number)
        return Lap(seconds=clock() - started, amount=amount)

    laps: dict[Callable[[int], float], list[Lap]] = {ours: [], theirs: []}
    for number in range(repeats + 1):
        for work in (ours, theirs) if number % 2 else (theirs, ours):  # neither always follows the other
            laps[work].append(lap(work, number))
    return Race(ours=tuple(laps[ours][1:]), theirs=tuple(laps[theirs][1:]))
