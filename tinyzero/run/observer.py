"""What watches a run: the protocol that the trainer calls, and what it is told.

Observers live above the trainer; this is the floor that both can see.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from tinyzero.config import Config
from tinyzero.evaluation.comparison import Comparison
from tinyzero.run.events import Event
from tinyzero.types import StepReport


class StopReason(StrEnum):
    """Why a run came to its end."""

    MAX_STEPS = "max_steps"
    MAX_MINUTES = "max_minutes"
    REQUESTED = "requested"
    """Ctrl-C, SIGTERM or a terminal that closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What is known when the first step is about to be played.

    Attributes:
        step: steps made before this process started, 0 for a new run.
    """

    name: str
    path: Path
    config: Config
    step: int
    device: str
    sandbox_tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """How a process's part in a run ended.

    Attributes:
        step: steps made since the run's beginning.
        seconds: wall seconds of this process's steps.
        checkpoint: what `--resume` goes on from.
        comparison: with the base model on held-out tasks; None where that was not measured.
    """

    step: int
    reason: StopReason
    seconds: float
    checkpoint: Path | None
    comparison: Comparison | None = None


class Observer(Protocol):
    """Gets told; never steers."""

    def on_start(self, start: RunStart) -> None:
        """Before the first step; records of steps after `start.step` are played again."""
        ...

    def on_step(self, report: StepReport) -> None:
        """After each step."""
        ...

    def on_event(self, event: Event) -> None:
        """Something that happened besides: a checkpoint, a measurement that begins or ended."""
        ...

    def on_end(self, summary: RunSummary) -> None:
        """After the last checkpoint is written."""
        ...
