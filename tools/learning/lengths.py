"""How solve rates depend on the length of programs: a ladder of deduction tasks, measured on the way."""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean

from tinyzero.config import resolve_base
from tinyzero.evaluation.heldout import HeldOutSet, read_set
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.run import checkpoints
from tinyzero.run.events import Event, Measured
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import RecordWriter, read
from tinyzero.tasks import KINDS
from tinyzero.trainer import Trainer

_FILE = "ladder.jsonl"


def find_ladder(base: str) -> HeldOutSet | None:
    """The ladder that lies beside a base model: its strata are lengths."""
    path = Path(resolve_base(base)) / _FILE
    return read_set(path, KINDS) if path.is_file() else None


class LadderObserver:
    """Measures the ladder whenever held-out tasks are measured, into the run's folder."""

    def __init__(self, trainer: Trainer, ladder: HeldOutSet) -> None:
        self._trainer = trainer
        self._ladder = ladder
        self._writer = RecordWriter(trainer.run.path / _FILE)

    def on_start(self, start: object) -> None:
        pass

    def on_step(self, report: object) -> None:
        pass

    def on_event(self, event: Event) -> None:
        if isinstance(event, Measured):
            self._writer.append({"step": event.step, "rates": rates_now(self._trainer, self._ladder)})

    def on_end(self, summary: object) -> None:
        self._writer.close()


def rates_now(trainer: Trainer, ladder: HeldOutSet) -> dict[str, float]:
    """Stratum -> greedy solve rate of the policy as it is."""
    assert isinstance(trainer.probe, HeldOutProbe)  # noqa: S101
    probe = HeldOutProbe(
        held_out=ladder,
        sampler=trainer.probe.sampler,
        runner=trainer.probe.runner,
        kinds=KINDS,
        config=trainer.config,
    )
    return by_stratum(ladder, probe.greedy_rates([item.task for item in ladder.tasks]))


def by_stratum(ladder: HeldOutSet, rates: Mapping[str, float]) -> dict[str, float]:
    groups: dict[str, list[float]] = {}
    for item in ladder.tasks:
        groups.setdefault(item.row, []).append(rates[item.task.id])
    return {name: fmean(group) for name, group in groups.items()}


def read_ladder(run: RunFolder) -> dict[int, dict[str, float]]:
    """Step -> stratum -> greedy solve rate, in the order of steps; empty where it was not measured."""
    path = run.path / _FILE
    records = {record["step"]: record["rates"] for record in read(path)} if path.is_file() else {}
    return dict(sorted(records.items()))


def measured_ends(run: RunFolder) -> tuple[Mapping[str, Mapping[str, Mapping[str, float]]], ...]:
    """The first and the last measurement of a finished run."""
    folder = checkpoints.latest(run)
    assert folder is not None, f"{run.path} is finished and has no checkpoint"  # noqa: S101
    saved = json.loads((folder / "probe" / "heldout.json").read_text(encoding="utf-8"))
    return saved["first"], saved["last"]


def held_out_ids() -> dict[str, list[str]]:
    """Kind -> ids of nano's held-out tasks, without the longer programs, which are a row apart."""
    ids: dict[str, list[str]] = {}
    for item in read_set(Path(resolve_base("nano")) / "heldout.jsonl", KINDS).tasks:
        if not item.stratum:
            ids.setdefault(item.task.kind, []).append(item.task.id)
    return ids
