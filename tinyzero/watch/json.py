"""One JSON object per line, for programs that follow a run."""

from collections.abc import Callable, Mapping
from typing import Any

from tinyzero.run.events import Event, details_of
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import comparison_record
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.run.records import to_json
from tinyzero.types import StepReport
from tinyzero.watch.comparison import claim_record


class JsonObserver:
    """Writes `{"event": "start" | "step" | "end" | ..., ...}` lines; `metrics` is as in metrics.jsonl.

    A run with held-out tasks ends with an `evaluation` line: the before/after table, run and adapter.
    """

    def __init__(self, write_line: Callable[[str], None]) -> None:
        self._write_line = write_line
        self._run: RunFolder | None = None
        self._expect: str | None = None

    def on_start(self, start: RunStart) -> None:
        self._run, self._expect = RunFolder(start.path), start.config.run.expect
        self._write(
            "start",
            {
                "run": start.name,
                "path": str(start.path),
                "step": start.step,
                "max_steps": start.config.run.max_steps,
                "device": start.device,
                "sandbox_tier": start.sandbox_tier,
            },
        )

    def on_step(self, report: StepReport) -> None:
        self._write("step", {"step": report.step, "metrics": dict(report.metrics)})

    def on_event(self, event: Event) -> None:
        self._write(event.name, details_of(event))

    def on_end(self, summary: RunSummary) -> None:
        checkpoint = str(summary.checkpoint) if summary.checkpoint else None
        self._write(
            "end",
            {
                "step": summary.step,
                "reason": summary.reason,
                "seconds": summary.seconds,
                "checkpoint": checkpoint,
            },
        )
        if summary.comparison is not None and self._run is not None:
            paths = {"run": str(self._run.path), "adapter": str(self._run.adapter)}
            claim = claim_record(self._expect, summary.comparison)
            claimed = {} if claim is None else {"claim": claim}
            self._write("evaluation", {**comparison_record(summary.comparison), **claimed, **paths})

    def close(self) -> None:
        """Does nothing; every view can be closed."""

    def _write(self, event: str, detail: Mapping[str, Any]) -> None:
        self._write_line(to_json({"event": event, **detail}))
