"""Attempts at a task, judged and paid; and how a solve rate pays. Every game uses these."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tinyzero.config import RewardsConfig
from tinyzero.types import (
    Answer,
    AttemptRollout,
    Prompt,
    RewardBreakdown,
    Role,
    Sampler,
    SamplingRequest,
    Task,
    Verdict,
    VerdictStatus,
)

_GRADED = {
    VerdictStatus.CORRECT: ("accuracy", 1.0),
    VerdictStatus.WRONG: ("accuracy", -0.5),
    VerdictStatus.MALFORMED: ("format", -1.0),
}


def solver_reward(verdict: Verdict, config: RewardsConfig) -> RewardBreakdown:
    """1 for a right answer, -0.5 for a wrong one, -1 where none could be read; or plain 1 and 0.

    Source: Absolute Zero (arXiv:2505.03335) eq. 6.
    """
    if config.solver == "binary":
        return RewardBreakdown(terms={"accuracy": float(verdict.is_correct)})
    term, value = _GRADED[verdict.status]
    return RewardBreakdown(terms={term: value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """A task and its attempts, judged; answers and verdicts are aligned."""

    task: Task
    answers: Sequence[Answer]
    verdicts: Sequence[Verdict]

    @property
    def num_correct(self) -> int:
        return sum(verdict.is_correct for verdict in self.verdicts)

    @property
    def solve_rate(self) -> float:
        return self.num_correct / len(self.verdicts)


def join_attempts(
    tasks: Sequence[Task], answers: Sequence[Sequence[Answer]], verdicts: Sequence[Sequence[Verdict]]
) -> list[Attempted]:
    """Each task with its attempts; all three are aligned."""
    return [
        Attempted(task=task, answers=group, verdicts=judged)
        for task, group, judged in zip(tasks, answers, verdicts, strict=True)
    ]


def score_attempts(attempted: Sequence[Attempted], config: RewardsConfig) -> list[AttemptRollout]:
    """One rollout per attempt, task by task."""
    return [
        AttemptRollout(
            answer=answer, reward=solver_reward(verdict, config), task_id=item.task.id, verdict=verdict
        )
        for item in attempted
        for answer, verdict in zip(item.answers, item.verdicts, strict=True)
    ]


def uncertainty(share: float) -> float:
    """`1 - 2 |share - 1/2|`: 1 where half of the answers agree, 0 where all do or none.

    Args:
        share: of the majority's answer among all answers, in [0, 1].

    Source: R-Zero (arXiv:2508.05004); its published code pays min(share, 1 - share), which is half of that.
    """
    return 1.0 - 2.0 * abs(share - 0.5)


def variance(solve_rate: float) -> float:
    """`4 p (1 - p)`: the variance of an attempt's success, as a share of the most that it can be.

    Args:
        solve_rate: p, in [0, 1].
    """
    return 4.0 * solve_rate * (1.0 - solve_rate)


def ask(
    sampler: Sampler,
    role: Role,
    prompts: Sequence[Prompt],
    *,
    num_samples: int,
    max_tokens: int,
    stream: str,
    temperature: float,
) -> list[list[Answer]]:
    """Sample `num_samples` answers per prompt: one list per prompt, in order. See `SamplingRequest`."""
    if not prompts:
        return []
    request = SamplingRequest(
        role=role,
        prompts=tuple(prompts),
        num_samples=num_samples,
        max_tokens=max_tokens,
        temperature=temperature,
        stream=stream,
    )
    return [
        [Answer(prompt=prompt, completion=completion) for completion in group]
        for prompt, group in zip(prompts, sampler.sample(request), strict=True)
    ]


class Stopwatch:
    """`with watch("solve"): ...` adds the block's wall seconds to `watch.seconds["solve"]`."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = clock

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = self._clock()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + self._clock() - started
