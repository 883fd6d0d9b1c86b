"""The probe: solve rates of the policy on held-out tasks, sampled and greedy, before against after.

Every measurement of a run draws the same random numbers, so two policies that agree get equal scores.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from tinyzero.config import Config
from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.evaluation.comparison import MEAN, Comparison, Rates, Row, compare
from tinyzero.evaluation.heldout import HeldOutSet
from tinyzero.tasks.base import Kind
from tinyzero.tasks.judging import judge_answers
from tinyzero.types import Role, Runner, Sampler, SamplingRequest

_FILE = "heldout.json"
GREEDY, SAMPLED = "greedy", "sampled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Solve rates after `step` steps: decoding -> task id -> share of correct attempts."""

    step: int
    rates: Mapping[str, Rates]


@dataclass(slots=True, kw_only=True)
class HeldOutProbe:
    """Measures a policy, and remembers the first measurement and the last."""

    held_out: HeldOutSet
    sampler: Sampler
    runner: Runner
    kinds: Mapping[str, Kind]
    config: Config
    first: Measurement | None = field(default=None, init=False)
    last: Measurement | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Refuse a set of which a prompt does not fit. Raises ConfigError."""
        style, limit = self.config.prompts.style, self.config.sampling.max_prompt_tokens
        for item in self.held_out.tasks:
            if not self.sampler.fits(self.kinds[item.task.kind].solve_prompt(item.task, style)):
                raise ConfigError(
                    f"the held-out task {item.task.id} does not fit into sampling.max_prompt_tokens "
                    f'({limit}); raise it, or set evaluation.heldout to "none"'
                )

    @property
    def num_tasks(self) -> int:
        return len(self.held_out.tasks)

    def measure(self, step: int) -> dict[str, float]:
        """Measure the policy as it is now; once a step.

        Returns:
            `heldout/<row>/<decoding>` -> mean solve rate; `mean` is over the kinds, which count alike.
        """
        if self.last is None or self.last.step != step:
            rates = {SAMPLED: self._solve(SAMPLED), GREEDY: self._solve(GREEDY)}
            self.last = Measurement(step=step, rates=rates)
            self.first = self.first or self.last
        return self._metrics(self.last)

    def _solve(self, decoding: str) -> dict[str, float]:
        tasks = [item.task for item in self.held_out.tasks]
        style, is_greedy = self.config.prompts.style, decoding == GREEDY
        request = SamplingRequest(
            role=Role.SOLVER,
            prompts=tuple(self.kinds[task.kind].solve_prompt(task, style) for task in tasks),
            num_samples=1 if is_greedy else self.config.evaluation.attempts,
            max_tokens=self.config.selfplay.answer_tokens,
            stream=f"heldout/{decoding}",
            temperature=0.0 if is_greedy else self.config.sampling.temperature,
        )
        texts = [
            [prompt.prefill + completion.text for completion in group]
            for prompt, group in zip(request.prompts, self.sampler.sample(request), strict=True)
        ]
        verdicts = judge_answers(tasks, texts, kinds=self.kinds, runner=self.runner)
        return {
            task.id: fmean(verdict.is_correct for verdict in group)
            for task, group in zip(tasks, verdicts, strict=True)
        }

    def _metrics(self, measured: Measurement) -> dict[str, float]:
        metrics: dict[str, float] = {}
        for decoding, rates in measured.rates.items():
            means = {
                row: fmean(rates[task_id] for task_id in ids)
                for row, ids in {**self._of_kinds(), **self._apart()}.items()
            }
            means[MEAN] = fmean(means[kind] for kind in self._of_kinds() or means)
            metrics |= {f"heldout/{row.replace(' ', '_')}/{decoding}": value for row, value in means.items()}
        return metrics

    def compare(self) -> Comparison | None:
        """The last measurement against the first; None before there are two."""
        if self.first is None or self.last is None or self.last.step == self.first.step:
            return None
        rows: list[Row] = []
        for decoding in (SAMPLED, GREEDY):
            before, after = self.first.rates[decoding], self.last.rates[decoding]
            rows += compare(self._of_kinds(), before, after, decoding)
            for row, ids in self._apart().items():
                rows += compare({row: ids}, before, after, decoding)
        return Comparison(
            set_name=self.held_out.name,
            attempts=self.config.evaluation.attempts,
            step=self.last.step,
            rows=tuple(rows),
        )

    def _of_kinds(self) -> dict[str, list[str]]:
        """Kind -> ids of the tasks that count in its row, in the order of the kinds."""
        rows = {
            kind: [item.task.id for item in self.held_out.tasks if item.row == kind] for kind in self.kinds
        }
        return {kind: ids for kind, ids in rows.items() if ids}

    def _apart(self) -> dict[str, list[str]]:
        rows: dict[str, list[str]] = {}
        for item in self.held_out.tasks:
            if item.stratum:
                rows.setdefault(item.stratum, []).append(item.task.id)
        return rows

    def save(self, folder: Path) -> None:
        """Write both measurements."""
        content = {
            name: measured and {"step": measured.step, "rates": measured.rates}
            for name, measured in (("first", self.first), ("last", self.last))
        }
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over saved measurements. Raises CheckpointError."""
        try:
            content = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            self.first, self.last = (
                content[name] and Measurement(step=content[name]["step"], rates=content[name]["rates"])
                for name in ("first", "last")
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"cannot read the held-out scores in {folder}: {error}") from error
