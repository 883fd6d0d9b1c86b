"""An entry of the pool: a task, its novelty, and the results of the attempts at it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

_KEPT_MEASUREMENTS = 32
"""Maximum number of measurements of a task: the first one and the newest ones are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepAttempts:
    """The attempts at a task in one step."""

    step: int
    correct: int
    attempts: int

    @property
    def solve_rate(self) -> float:
        return self.correct / self.attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task in the pool.

    Attributes:
        novelty: distance to the nearest task of its kind when it was added, in [0, 1].
        measurements: oldest first.
    """

    task: Task
    novelty: float = 1.0
    measurements: tuple[StepAttempts, ...] = ()

    @property
    def solve_rate(self) -> float | None:
        """The newest solve rate of several attempts, else the newest; None for a task without attempts."""
        for item in reversed(self.measurements):
            if item.attempts > 1:
                return item.solve_rate
        return self.measurements[-1].solve_rate if self.measurements else None

    @property
    def is_mixed(self) -> bool:
        """Whether some of the newest attempts succeeded and some failed: only such tasks teach."""
        rate = self.solve_rate
        return rate is not None and 0 < rate < 1

    def measured(self, measurement: StepAttempts) -> "Entry":
        kept = (*self.measurements, measurement)
        if len(kept) > _KEPT_MEASUREMENTS:
            kept = (kept[0], *kept[-_KEPT_MEASUREMENTS + 1 :])
        return replace(self, measurements=kept)


def entry_to_record(entry: Entry) -> dict[str, Any]:
    """The record of a task, with the pool's data on it."""
    measurements = [[item.step, item.correct, item.attempts] for item in entry.measurements]
    return {**to_record(entry.task), "novelty": entry.novelty, "measurements": measurements}


def entry_from_record(record: Any) -> Entry:  # noqa: ANN401  whatever a file holds
    """The entry of a record. A plain task record gives an entry without attempts.

    Raises:
        ValueError, TypeError: the record is not valid.
    """
    task = from_record(record)
    assert isinstance(record, Mapping)  # noqa: S101  from_record has refused all else
    novelty = record.get("novelty", 1.0)
    if not isinstance(novelty, int | float) or not 0 <= novelty <= 1:
        raise ValueError(f"the novelty is {novelty!r}, and not between 0 and 1")
    measurements = tuple(_measurement(*numbers) for numbers in record.get("measurements", ()))
    return Entry(task=task, novelty=float(novelty), measurements=measurements)


def _measurement(step: object, correct: object, attempts: object) -> StepAttempts:
    if not (isinstance(step, int) and isinstance(correct, int) and isinstance(attempts, int)):
        raise ValueError("a measurement is three whole numbers")  # noqa: TRY004  of a file, not of an argument
    if not 0 <= correct <= attempts or attempts == 0:
        raise ValueError(f"{correct} of {attempts} attempts cannot be right")
    return StepAttempts(step=step, correct=correct, attempts=attempts)
