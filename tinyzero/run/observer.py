"""Observers of a run: the protocol that the trainer calls, and the data it passes.

Observers are defined above the trainer. Both can import this module.
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
    """Why a run ended."""

    MAX_STEPS = "max_steps"
    MAX_MINUTES = "max_minutes"
    REQUESTED = "requested"
    """Ctrl-C, SIGTERM or a closed terminal."""
    ALARM = "alarm"
    """As `watch.react` says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """The data that is known before the first step.

    Attributes:
        step: number of steps before this process started; 0 for a new run.
    """

    name: str
    path: Path
    config: Config
    step: int
    device: str
    sandbox_tier: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """The result of a process's part of a run.

    Attributes:
        step: number of steps since the start of the run.
        seconds: wall seconds of this process's steps.
        checkpoint: the checkpoint that `--resume` continues from.
        comparison: comparison with the base model on held-out tasks; None if not measured.
    """

    step: int
    reason: StopReason
    seconds: float
    checkpoint: Path | None
    comparison: Comparison | None = None


class Observer(Protocol):
    """Receives reports; never controls the run."""

    def on_start(self, start: RunStart) -> None:
        """Called before the first step. Steps after `start.step` will be repeated: their records are void."""
        ...

    def on_step(self, report: StepReport) -> None:
        """Called after each step."""
        ...

    def on_event(self, event: Event) -> None:
        """Called for every other event, such as a checkpoint or a measurement."""
        ...

    def on_end(self, summary: RunSummary) -> None:
        """Called after the last checkpoint is written."""
        ...
