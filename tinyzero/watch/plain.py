"""One aligned line per step, for terminals and log files, without colour or cursor movement."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from tinyzero.run.events import (
    Answered,
    Checkpointed,
    Event,
    Measured,
    Measuring,
    Prepared,
    Preparing,
    details_of,
    events_of,
)
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.run.records import read
from tinyzero.types import StepReport
from tinyzero.watch.comparison import claim_line, comparison_lines, example_lines
from tinyzero.watch.heldout import gain_between, gain_of, verdict

_STEPS_BETWEEN_HEADERS = 20
# Routine events that are not printed:
_QUIET_EVENTS = (Checkpointed, Measuring, Answered, Preparing, Prepared)
_FULL_WIDTH = 102  # of the table with three kinds; narrower terminals omit the phase columns

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    """One figure of the table.

    Attributes:
        group: upper heading line, set at the first column of a group.
        read: computes the cell from a step's metrics.
    """

    group: str = ""
    title: str
    width: int = 5
    read: Callable[[Metrics], str]


class PlainObserver:
    """Writes the table, a heading every 20 steps, and the events between steps."""

    def __init__(self, write_line: Callable[[str], None], width: int = _FULL_WIDTH) -> None:
        """A table for screens of `width` characters; it wraps below 80."""
        self._write_line = write_line
        self._width = width
        self._run: RunFolder | None = None
        self._columns: Sequence[_Column] = ()
        self._max_steps = 0
        self._step_width = 0
        self._rows = 0
        self._first: Mapping[str, float] = {}
        self._expect: str | None = None

    def on_start(self, start: RunStart) -> None:
        self._run, self._expect = RunFolder(start.path), start.config.run.expect
        columns = _table_columns(start.config.selfplay.kinds_played)
        self._columns = columns if self._width >= _FULL_WIDTH else _without_phases(columns)
        self._max_steps = start.config.run.max_steps
        self._step_width = max(len("step"), 2 * len(str(self._max_steps)) + len("/"))
        self._rows = 0
        self._first = next(_measurements(self._run), {}) if start.step else {}

    def on_step(self, report: StepReport) -> None:
        if self._rows % _STEPS_BETWEEN_HEADERS == 0:
            for line in headings(self._columns, self._step_width):
                self._write_line(line)
        self._rows += 1
        cells = [column.read(report.metrics) for column in self._columns]
        self._write_line(
            align(self._columns, f"{report.step}/{self._max_steps}".rjust(self._step_width), cells)
        )

        if undecided := report.metrics.get("questions/undecided"):
            self._write_line(
                f"{undecided:.0f} pairs of answers could not be compared in time; they count as different"
            )

    def on_event(self, event: Event) -> None:
        if isinstance(event, Measured):
            if line := self._measured(event):
                self._write_line(line)
        elif not isinstance(event, _QUIET_EVENTS):
            details = ", ".join(f"{key} {value}" for key, value in details_of(event).items())
            self._write_line(f"{event.name}: {details}")

    def _measured(self, event: Measured) -> str:
        """Held-out accuracy as of now, beside what it was first; empty where nothing was measured."""
        known = _accuracies(event)
        self._first = self._first or known
        parts = [
            f"{decoding} {value:.3f}" + _change(value, self._first.get(decoding), event.step)
            for decoding, value in known.items()
        ]
        noise = f", {_noise(event, self._first)}" if "heldout/mean/gain_low" in event.metrics else ""
        return f"held-out accuracy after {event.step} steps: {', '.join(parts)}{noise}" if parts else ""

    def on_end(self, summary: RunSummary) -> None:
        for line in self.ending(summary):
            self._write_line(line)

    def ending(self, summary: RunSummary) -> list[str]:
        """What the run came to: a sentence, the table, an example, and what to do next."""
        lines = ["", verdict(gain_of(summary.comparison))]
        if summary.comparison is not None:
            lines += comparison_lines(summary.comparison)
        if claim := claim_line(self._expect, summary.comparison):
            lines.append(claim)
        if self._run is not None:
            lines += example_lines(events_of(read(self._run.events)))
            lines.append(f"run {self._run.path}, adapter {self._run.adapter}")
            lines += _next_commands(self._run, summary)
        return lines

    def close(self) -> None:
        """Does nothing; every view can be closed."""


def _noise(event: Measured, first: Mapping[str, float]) -> str:
    before = {"heldout/mean/sampled": first.get("sampled", 0.0)}
    return gain_between(before, event.metrics, step=event.step).noise


def _next_commands(run: RunFolder, summary: RunSummary) -> Iterator[str]:
    """Two commands with the run's name."""
    name = shlex.quote(run.name if run.path.parent == Path("runs") else str(run.path))
    if summary.reason is StopReason.MAX_STEPS:
        yield f"next: tinyzero solve {name}     gives it a task of your own"
    else:
        yield f"next: tinyzero train --resume {name}     goes on"
    yield f"      tinyzero report {name}     puts curves, tasks and answers on one page"


def _measurements(run: RunFolder) -> Iterator[Mapping[str, float]]:
    """What an earlier process measured, first to last."""
    events = events_of(read(run.events))
    return (known for event in events if isinstance(event, Measured) and (known := _accuracies(event)))


def _accuracies(event: Measured) -> Mapping[str, float]:
    """Decoding -> accuracy on held-out tasks, kinds alike."""
    names = {decoding: f"heldout/mean/{decoding}" for decoding in ("sampled", "greedy")}
    return {decoding: event.metrics[name] for decoding, name in names.items() if name in event.metrics}


def _change(now: float, first: float | None, step: int) -> str:
    return f" ({now - first:+.3f})" if first is not None and step else ""


def _table_columns(kinds: Sequence[str]) -> list[_Column]:
    """The most important figures; under 100 characters with the three kinds of Absolute Zero."""
    solved = [_Column(title=kind[:5], read=_number(f"solver/{kind}/accuracy")) for kind in kinds]
    return [
        _Column(group="valid", title="tasks", read=_valid),
        replace(solved[0], group="agree" if "question" in kinds else "solved"),
        *solved[1:],
        _Column(title="mixed", read=_number("solver/mixed_share")),
        _Column(group="reward", title="prop", read=_number("proposer/reward")),
        _Column(title="solv", read=_number("solver/reward")),
        _Column(group="policy", title="entropy", width=7, read=_entropy),
        _Column(group="tokens", title="per s", read=_tokens_per_s),
        _Column(group="seconds", title="prop", read=_seconds("propose")),
        _Column(title="solv", read=_seconds("solve")),
        _Column(title="check", read=_seconds("verify", "judge")),
        _Column(title="learn", read=_seconds("learn")),
        _Column(title="step", read=_seconds("step")),
    ]


def _without_phases(columns: Sequence[_Column]) -> list[_Column]:
    """The same table with only the step's total seconds."""
    first = next(place for place, column in enumerate(columns) if column.group == "seconds")
    return [*columns[:first], replace(columns[-1], group="seconds", width=len("seconds"))]


def headings(columns: Sequence[_Column], step_width: int) -> tuple[str, str]:
    groups = align(columns, " " * step_width, [column.group.ljust(column.width) for column in columns])
    titles = align(columns, "step".rjust(step_width), [column.title for column in columns])
    return groups.rstrip(), titles


def align(columns: Sequence[_Column], first: str, cells: Sequence[str]) -> str:
    """One line; an extra space precedes each group."""
    placed = (
        f"{'  ' if column.group else ' '}{cell:>{column.width}}"
        for column, cell in zip(columns, cells, strict=True)
    )
    return first + "".join(placed)


def _number(name: str) -> Callable[[Metrics], str]:
    return lambda metrics: f"{metrics[name]:.2f}" if name in metrics else "-"


def _seconds(*phases: str) -> Callable[[Metrics], str]:
    def read(metrics: Metrics) -> str:
        seconds = sum(metrics.get(f"time/{phase}_s", 0.0) for phase in phases)
        return f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"

    return read


def _valid(metrics: Metrics) -> str:
    """Proposals that became tasks / all proposals."""
    proposed = sum(
        value
        for name, value in metrics.items()
        if name.startswith("proposer/") and name.endswith("/proposed")
    )
    return f"{proposed * metrics.get('proposer/valid_share', 0.0):.0f}/{proposed:.0f}" if proposed else "-"


def _entropy(metrics: Metrics) -> str:
    entropies = [
        value for name, value in metrics.items() if name.startswith("learner/") and name.endswith("/entropy")
    ]
    return f"{fmean(entropies):.2f}" if entropies else "-"


def _tokens_per_s(metrics: Metrics) -> str:
    tokens = sum(metrics.get(f"tokens/{name}", 0.0) for name in ("proposer", "solver", "replay"))
    seconds = metrics.get("time/propose_s", 0.0) + metrics.get("time/solve_s", 0.0)
    return f"{tokens / seconds:.0f}" if seconds > 0 else "-"
