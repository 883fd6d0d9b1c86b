"""From verdicts to rollouts: what each proposal and each attempt earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyzero.config import RewardsConfig
from tinyzero.rewards import proposer_reward, rejection_reward, solver_reward
from tinyzero.types import Answer, Rejection, Rollout, Task, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A proposal that became a task, and the optional reward terms that it has earned if it is learnable."""

    task: Task
    bonuses: Mapping[str, float]


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


def score_proposals(
    answers: Sequence[Answer],
    outcomes: Sequence[Admitted | Rejection],
    attempted: Sequence[Attempted],
    config: RewardsConfig,
) -> list[Rollout]:
    """One rollout per proposal; `attempted` says how often each new task was solved."""
    solve_rates = {one.task.id: one.solve_rate for one in attempted}
    return [
        _score_proposal(answer, outcome, solve_rates, config)
        for answer, outcome in zip(answers, outcomes, strict=True)
    ]


def _score_proposal(
    answer: Answer, outcome: Admitted | Rejection, solve_rates: Mapping[str, float], config: RewardsConfig
) -> Rollout:
    if isinstance(outcome, Rejection):
        return Rollout(answer=answer, reward=rejection_reward(outcome, config), rejection=outcome)
    reward = proposer_reward(solve_rates[outcome.task.id], config, outcome.bonuses)
    return Rollout(answer=answer, reward=reward, task_id=outcome.task.id)


def score_attempts(attempted: Sequence[Attempted], config: RewardsConfig) -> list[Rollout]:
    """One rollout per attempt, task by task."""
    return [
        Rollout(answer=answer, reward=solver_reward(verdict, config), task_id=one.task.id, verdict=verdict)
        for one in attempted
        for answer, verdict in zip(one.answers, one.verdicts, strict=True)
    ]
