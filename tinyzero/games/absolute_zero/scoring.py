"""What each proposal earned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinyzero.config import RewardsConfig
from tinyzero.games.absolute_zero.rewards import proposer_reward, rejection_reward
from tinyzero.games.attempts import Attempted
from tinyzero.types import Answer, ProposalRollout, Rejection, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A proposal that became a task, and the optional reward terms that it has earned if it is learnable."""

    task: Task
    bonuses: Mapping[str, float]


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
