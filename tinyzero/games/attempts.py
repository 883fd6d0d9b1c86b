"""Attempts at a task, judged and paid; and how a solve rate pays. Every game uses these."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import TypeVar

from tinyzero.config import BonusConfig, RewardsConfig
from tinyzero.errors import ConfigError, NotFinite, nearest
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A judged answer to a task: what a reward term of a solver may use."""

    task: Task
    answer: Answer
    verdict: Verdict


SOLVER_TERMS: dict[str, Callable[[Attempt], float]] = {}
"""The reward terms of plugins for attempts, by name: values in [-1, 1]."""
_Term = TypeVar("_Term")


def choose_terms(
    configs: Mapping[str, BonusConfig], known: Mapping[str, _Term], *, key: str
) -> list[tuple[_Term, BonusConfig]]:
    """The reward terms that a run uses. Raises ConfigError for a name that is not in `known`."""
    unknown = next((name for name in configs if name not in known), None)
    if unknown is not None:
        names = f"which is none of {', '.join(known)}" if known else "but no plugin has brought such a term"
        raise ConfigError(f"{key} has {unknown!r}, {names}{nearest(unknown, known)}")
    return [(known[name], config) for name, config in configs.items() if config.coefficient > 0]


def score_attempts(attempted: Sequence[Attempted], config: RewardsConfig) -> list[AttemptRollout]:
    """One rollout per attempt, task by task.

    Raises:
        NotFinite: the value of a solver's term is no number in [-1, 1].
    """
    return [
        AttemptRollout(
            answer=answer,
            reward=_with_terms(Attempt(task=item.task, answer=answer, verdict=verdict), config),
            task_id=item.task.id,
            verdict=verdict,
        )
        for item in attempted
        for answer, verdict in zip(item.answers, item.verdicts, strict=True)
    ]


def _with_terms(attempt: Attempt, config: RewardsConfig) -> RewardBreakdown:
    """The solver's reward, and the terms of plugins: coefficient x value, from -cap to cap."""
    reward = solver_reward(attempt.verdict, config)
    if not config.solver_terms:
        return reward
    own = {
        name: max(-each.cap, min(each.coefficient * _term_value(name, attempt), each.cap))
        for name, each in config.solver_terms.items()
        if each.coefficient > 0
    }
    return RewardBreakdown(terms={**reward.terms, **own})


def _term_value(name: str, attempt: Attempt) -> float:
    value = SOLVER_TERMS[name](attempt)
    if isinstance(value, Real) and -1 <= value <= 1:
        return float(value)
    raise NotFinite(
        f"the solver's term {name!r} gives {repr(value)[:80]} for the task {attempt.task.id}; its value has "
        f"to be a number from -1 to 1: mend it, or leave rewards.solver_terms.{name} out"
    )


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
