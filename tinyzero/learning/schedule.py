"""The learning rate over a run."""

from typing import Literal

Schedule = Literal["constant", "linear"]


def lr_factor(done: int, schedule: Schedule, *, warmup: int, total: int) -> float:
    """What the learning rate is multiplied by in the update after `done` others, in (0, 1].

    Args:
        warmup: updates over which it rises in equal parts to 1.
        total: updates of the whole run; "linear" falls in equal parts to 0 behind the last one.
    """
    risen = min(1.0, (done + 1) / (warmup + 1))
    remaining = max(1.0 / total, 1.0 - done / total) if schedule == "linear" else 1.0
    return risen * remaining
