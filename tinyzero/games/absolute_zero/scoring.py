"""From verdicts to rollouts: what each proposal and each attempt earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyzero.config import RewardsConfig
from tinyzero.games.absolute_zero.rewards import (
    proposer_reward,
    rejection_reward,
    solver_reward,
)
from tinyzero.types import Answer, AttemptRollout, ProposalRollout, Rejection, Task, Verdict


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


def join_attempts(
    tasks: Sequence[Task], answers: Sequence[Sequence[Answer]], verdicts: Sequence[Sequence[Verdict]]
) -> list[Attempted]:
    """Each task with its attempts; all three are aligned."""
    return [
        Attempted(task=task, answers=group, verdicts=judged)
        for task, group, judged in zip(tasks, answers, verdicts, strict=True)
    ]


def score_proposals(
    answers: Sequence[Answer],
    outcomes: Sequence[Admitted | Rejection],
    attempted: Sequence[Attempted],
    config: RewardsConfig,
) -> list[ProposalRollout]:
    """One rollout per proposal; `attempted` says how often each new task was solved."""
    solve_rates = {item.task.id: item.solve_rate for item in attempted}
    return [
        _score_proposal(answer, outcome, solve_rates, config)
        for answer, outcome in zip(answers, outcomes, strict=True)
    ]


def _score_proposal(
    answer: Answer, outcome: Admitted | Rejection, solve_rates: Mapping[str, float], config: RewardsConfig
) -> ProposalRollout:
    if isinstance(outcome, Rejection):
        return ProposalRollout(answer=answer, reward=rejection_reward(outcome, config), outcome=outcome)
    reward = proposer_reward(solve_rates[outcome.task.id], config, outcome.bonuses)
    return ProposalRollout(answer=answer, reward=reward, outcome=outcome.task)


def score_attempts(attempted: Sequence[Attempted], config: RewardsConfig) -> list[AttemptRollout]:
    """One rollout per attempt, task by task."""
    return [
        AttemptRollout(
            answer=answer, reward=solver_reward(verdict, config), task_id=item.task.id, verdict=verdict
        )
        for item in attempted
        for answer, verdict in zip(item.answers, item.verdicts, strict=True)
    ]
