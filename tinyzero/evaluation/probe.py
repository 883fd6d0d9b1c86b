"""The probe: solve rates of the policy on held-out tasks, sampled and greedy, before against after.

Every measurement of a run draws the same random numbers, so two policies that agree get equal scores.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tinyzero.config import Config
from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.evaluation.comparison import Comparison, Rates
from tinyzero.evaluation.heldout import HeldOutSet, HeldOutTask, spread
from tinyzero.evaluation.table import (
    GREEDY,
    LOWER_TEMPERATURES,
    SAMPLED,
    JudgedAnswers,
    Measurement,
    colder,
    comparison_of,
    group_scores,
    heldout_metrics,
    sampled_scores,
    solve_rates,
)
from tinyzero.foreign import read_json
from tinyzero.tasks.base import Kind
from tinyzero.tasks.judging import judge_answers
from tinyzero.types import Answer, Prompt, Role, Runner, Sampler, SamplingRequest, Task

_logger = logging.getLogger(__name__)
_FILE = "heldout.json"
_NUM_SHOWN = 48
"""Tasks whose greedy answers are told with each measurement."""


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
    _few: Sequence[HeldOutTask] = field(init=False)
    _greedy: Sequence[JudgedAnswers] = field(default=(), init=False)

    def __post_init__(self) -> None:
        """Refuse a set of which a prompt does not fit. Raises ConfigError."""
        limit = self.config.sampling.max_prompt_tokens
        for item in self.held_out.tasks:
            if not self.sampler.fits(self._prompt(item.task)):
                raise ConfigError(
                    f"the held-out task {item.task.id} does not fit into sampling.max_prompt_tokens "
                    f'({limit}); raise it, or set evaluation.heldout to "none"'
                )
        self._few = spread(self.held_out.tasks, self.config.evaluation.sampled_tasks)

    @property
    def num_tasks(self) -> int:
        return len(self.held_out.tasks)

    def measure(self, step: int, *, is_end: bool = True) -> dict[str, float]:
        """Measure the policy as it is now; once a step.

        Args:
            is_end: of the run. Its ends are measured on all tasks, and so is what is measured first.

        Returns:
            `heldout/<row>/<measure>` -> mean over the tasks that every measurement has; the row `mean` is
            over the kinds, which count alike.
        """
        is_complete = is_end or self.first is None
        if self.last is None or self.last.step != step or is_complete > self.last.is_complete:
            rates = self._all_rates() if is_complete else self._few_rates()
            self.last = Measurement(step=step, rates=rates, is_complete=is_complete)
        self.first = self.first or self.last
        return heldout_metrics(self._few, self.last, self.first)

    def _all_rates(self) -> dict[str, Rates]:
        """Of all tasks, with all attempts; of the base model at other temperatures too."""
        evaluation = self.config.evaluation
        few, every = _tasks(self._few), _tasks(self.held_out.tasks)
        sampled = self._answer(few, SAMPLED, evaluation.attempts, self.config.sampling.temperature)
        rates = {**sampled_scores(sampled), **group_scores(sampled), GREEDY: self.greedy_rates(every)}
        return {**rates, **self._curve(few)} if self.first is None and evaluation.curve else rates

    def _few_rates(self) -> dict[str, Rates]:
        """Of the tasks, and with the attempts, that a curve needs on the way."""
        evaluation, few = self.config.evaluation, _tasks(self._few)
        attempts = evaluation.attempts_between or evaluation.attempts
        sampled = self._answer(few, SAMPLED, attempts, self.config.sampling.temperature)
        return {**sampled_scores(sampled), GREEDY: self.greedy_rates(few)}

    def _curve(self, tasks: Sequence[Task]) -> dict[str, Rates]:
        """What a lower temperature alone would gain, measured with half of the attempts."""
        attempts = max(1, self.config.evaluation.attempts // 2)
        return {
            colder(temperature): solve_rates(self._answer(tasks, SAMPLED, attempts, temperature))
            for temperature in LOWER_TEMPERATURES
        }

    def greedy_rates(self, tasks: Sequence[Task]) -> Rates:
        """Of these tasks, as the policy is now: 1 or 0 each."""
        self._greedy = self._answer(tasks, GREEDY, 1, 0.0)
        return solve_rates(self._greedy)

    def _answer(
        self, tasks: Sequence[Task], purpose: str, attempts: int, temperature: float
    ) -> list[JudgedAnswers]:
        request = SamplingRequest(
            role=Role.SOLVER,
            prompts=tuple(map(self._prompt, tasks)),
            num_samples=attempts,
            max_tokens=self.config.selfplay.answer_tokens,
            stream=f"heldout/{purpose}",
            temperature=temperature,
        )
        groups = self.sampler.sample(request)
        texts = [
            [Answer(prompt=prompt, completion=completion).text for completion in group]
            for prompt, group in zip(request.prompts, groups, strict=True)
        ]
        verdicts = judge_answers(tasks, texts, kinds=self.kinds, runner=self.runner)
        tokens = [[len(completion.token_ids) for completion in group] for group in groups]
        return [
            JudgedAnswers(task=task, texts=said, tokens=lengths, verdicts=judged)
            for task, said, lengths, judged in zip(tasks, texts, tokens, verdicts, strict=True)
        ]

    def _prompt(self, task: Task) -> Prompt:
        return self.kinds[task.kind].solve_prompt(task, self.config.prompts.style)

    def shown(self) -> list[dict[str, Any]]:
        """The newest greedy answers to a few tasks, the same in each measurement, as records.

        Empty where nothing was measured since the run was begun or resumed.
        """
        answered = {item.task.id: item for item in self._greedy}
        return [
            {
                "id": task.id,
                "kind": task.kind,
                "prompt": self._prompt(task).text,
                "answer": answered[task.id].texts[0],
                "tokens": answered[task.id].tokens[0],
                "is_correct": answered[task.id].verdicts[0].is_correct,
            }
            for task in _tasks(spread(self._few, _NUM_SHOWN))
            if task.id in answered
        ]

    def compare(self) -> Comparison | None:
        """The last measurement against the first; None before there are two."""
        if self.first is None or self.last is None or self.last.step == self.first.step:
            return None
        attempts = self.config.evaluation.attempts
        return comparison_of(self.held_out.name, self.held_out.tasks, self.first, self.last, attempts)

    def save(self, folder: Path) -> None:
        """Write both measurements."""
        both = {"first": self.first, "last": self.last}
        content = {name: measured and asdict(measured) for name, measured in both.items()}
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Take over saved measurements. Raises CheckpointError."""
        self.first, self.last = read_measurements(folder)
        if self.first is not None and not self._has_tasks_of(self.first):
            _logger.warning(
                "the held-out set %s shares no task with the one that this run was measured on before; "
                "it is measured anew from here",
                self.held_out.name,
            )
            self.first = self.last = None

    def _has_tasks_of(self, measured: Measurement) -> bool:
        ids = {item.task.id for item in self._few}
        return all(ids & measured.rates.get(decoding, {}).keys() for decoding in (SAMPLED, GREEDY))


def read_measurements(folder: Path) -> tuple[Measurement | None, Measurement | None]:
    """The first and the last measurement that a probe saved. Raises CheckpointError."""
    try:
        content = read_json(folder / _FILE)
        first, last = (content[name] and Measurement(**content[name]) for name in ("first", "last"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"cannot read the held-out scores in {folder}: {error}") from error
    return first, last


def _tasks(items: Sequence[HeldOutTask]) -> list[Task]:
    return [item.task for item in items]
