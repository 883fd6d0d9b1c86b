"""The average of an adapter over the last third of a run, and what it is worth on held-out tasks."""

import json

import torch
from torch import Tensor

from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.policy.policy import Policy
from tinyzero.run.durable import write_json
from tinyzero.run.events import Event
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.trainer import Trainer
from tinyzero.types import StepReport

_FILE = "averaged.json"


class AveragingObserver:
    """Averages the adapters over the last third of a run, and measures the average after its end.

    The run itself is over and saved by then; a run that was resumed within its last third has no average.
    """

    def __init__(self, trainer: Trainer, policy: Policy) -> None:
        self._trainer = trainer
        self._policy = policy
        self._steps = trainer.config.run.max_steps // 3
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def on_start(self, start: RunStart) -> None:
        pass

    def on_event(self, event: Event) -> None:
        pass

    def on_step(self, report: StepReport) -> None:
        if report.step <= self._trainer.config.run.max_steps - self._steps:
            return
        self._count += 1
        for name, weight in self._weights().items():
            now = weight.detach().double()
            self._sums[name] = self._sums[name] + now if name in self._sums else now

    def on_end(self, summary: RunSummary) -> None:
        if summary.reason is StopReason.MAX_STEPS and self.take_average():
            write_json(self._trainer.run.path / _FILE, self._rates())

    def take_average(self) -> bool:
        """Give the policy the average of its weights. False, and nothing done, where steps are missing."""
        if self._count != self._steps:
            return False
        with torch.no_grad():
            for name, weight in self._weights().items():
                weight.copy_(self._sums[name] / self._count)
        self._policy.loads += 1  # other weights under the same versions
        return True

    def _weights(self) -> dict[str, Tensor]:
        return {
            name: weight
            for adapter in self._policy.adapters
            for name, weight in self._policy.named_weights(adapter).items()
        }

    def _rates(self) -> dict[str, dict[str, float]]:
        """Measure -> task -> score, as the run's own last measurement has them."""
        probe = self._trainer.probe
        assert isinstance(probe, HeldOutProbe)  # noqa: S101
        fresh = HeldOutProbe(
            held_out=probe.held_out,
            sampler=probe.sampler,
            runner=probe.runner,
            kinds=probe.kinds,
            config=self._trainer.config,
        )
        fresh.first = probe.first  # which is not measured again
        fresh.measure(self._trainer.steps_done, is_end=True)
        assert fresh.last is not None  # noqa: S101
        return {measure: dict(rates) for measure, rates in fresh.last.rates.items()}


def read_averaged(run: RunFolder) -> dict[str, dict[str, float]] | None:
    """Measure -> task -> score of the averaged adapters; None where they were not measured."""
    path = run.path / _FILE
    if not path.is_file():
        return None
    rates: dict[str, dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    return rates
