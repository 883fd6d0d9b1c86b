"""Rewards of proposals: by solve rate, or by the funnel stage that a proposal failed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Protocol

from tinyzero.config import BonusConfig, RewardsConfig
from tinyzero.errors import NotFinite
from tinyzero.execution.values import parse_literal
from tinyzero.games.attempts import Attempted, choose_terms, uncertainty, variance
from tinyzero.tasks.similarity import cyclomatic_complexity, edit_distance
from tinyzero.types import Answer, ProposalRollout, Rejection, RewardBreakdown, Stage, Task


def learnability(solve_rate: float) -> float:
    """`1 - solve_rate`, and 0 for what always or never succeeds: such a task has nothing to teach.

    Args:
        solve_rate: share of correct attempts, in [0, 1].

    Source: Absolute Zero (arXiv:2505.03335) eq. 4; the published code pays -0.5 at both ends instead.
    """
    return 1.0 - solve_rate if 0.0 < solve_rate < 1.0 else 0.0


PROPOSER_REWARDS: dict[str, Callable[[float], float]] = {
    "learnability": learnability,
    "uncertainty": uncertainty,
    "variance": variance,
}
"""What a task earns its proposer, by the name in `rewards.proposer`; a function of the solve rate."""


def proposer_reward(
    solve_rate: float, config: RewardsConfig, bonuses: Mapping[str, float] | None = None
) -> RewardBreakdown:
    """The reward of a proposal that became a task.

    Args:
        bonuses: term -> value. Paid only where the task earns more than 0, else something new that nobody
            can solve would be the easiest thing to write.
    """
    earned = PROPOSER_REWARDS[config.proposer](solve_rate)
    is_paid = isinstance(earned, Real) and earned > 0
    return RewardBreakdown(terms={config.proposer: earned, **((bonuses or {}) if is_paid else {})})


def rejection_reward(rejection: Rejection, config: RewardsConfig) -> RewardBreakdown:
    """The reward of a proposal that became none; the funnel stage that it failed decides."""
    term, penalty = {
        Stage.PARSED: ("format", config.malformed_proposal),
        Stage.ALLOWED: ("disallowed", config.failing_proposal),
        Stage.RAN: ("failing", config.failing_proposal),
        Stage.DETERMINISTIC: ("nondeterministic", config.failing_proposal),
        Stage.NONTRIVIAL: ("trivial", config.failing_proposal),
        Stage.NEW: ("duplicate", config.duplicate_proposal),
    }[rejection.stage]
    return RewardBreakdown(terms={term: penalty})


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


_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposal that became a task, and the data that a reward term may use.

    Attributes:
        novelty: distance to the nearest task of its kind in the pool, in [0, 1].
        references: the tasks in the proposer's prompt.
        peers: the other tasks of its kind in the pool.
    """

    task: Task
    novelty: float
    references: Sequence[Task]
    peers: Sequence[Task]


class Bonus(Protocol):
    """One optional term."""

    @property
    def name(self) -> str:
        """Key of `BONUSES`, of `rewards.bonuses` and of the metrics."""
        ...

    def value(self, proposed: Proposed) -> float:
        """The size of the term for this proposal, in [0, 1]."""
        ...


class _Novelty:
    """Distance to the nearest task of the same kind, in the prompt or not."""

    name = "novelty"

    def value(self, proposed: Proposed) -> float:
        return proposed.novelty


class Complexity:
    """McCabe's complexity of the program. It reaches 1 at 16 paths."""

    name = "complexity"
    most = 15
    """Number of branch points that gives 1. Absolute Zero's code divides its own measure by 15."""

    def value(self, proposed: Proposed) -> float:
        return min(1.0, (cyclomatic_complexity(proposed.task.program) - 1) / self.most)


class _EditDistance:
    """Mean distance to the references: difflib compares the syntax trees."""

    name = "edit_distance"

    def value(self, proposed: Proposed) -> float:
        return edit_distance(proposed.task.program, [task.program for task in proposed.references])


class _AnswerDiversity:
    """How rare the outputs are among the outputs of the peers: mean surprise of types and values.

    Surprise is 1 - share, as in Absolute Zero's code ("hierarchical").
    """

    name = "answer_diversity"

    def value(self, proposed: Proposed) -> float:
        outputs, peers = proposed.task.outputs, [peer.outputs for peer in proposed.peers]
        types, peer_types = _types(outputs), [_types(other) for other in peers]
        return (_surprise(outputs, peers) + _surprise(types, peer_types)) / 2


def _surprise(item: tuple[str, ...], others: Sequence[tuple[str, ...]]) -> float:
    return 1.0 - others.count(item) / len(others) if others else 1.0


@lru_cache(maxsize=65536)
def _types(outputs: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(type(parse_literal(output)).__name__ for output in outputs)


BONUSES: dict[str, Bonus] = {
    bonus.name: bonus for bonus in (_Novelty(), Complexity(), _EditDistance(), _AnswerDiversity())
}


def choose_bonuses(
    configs: Mapping[str, BonusConfig], known: Mapping[str, Bonus]
) -> list[tuple[Bonus, BonusConfig]]:
    """The reward terms that a run uses. Raises ConfigError for a name that is not in `known`."""
    return choose_terms(configs, known, key="rewards.bonuses")


def bonus_terms(proposed: Proposed, chosen: Sequence[tuple[Bonus, BonusConfig]]) -> dict[str, float]:
    """Term -> min(coefficient x value, cap).

    Raises:
        NotFinite: a value is no number in [0, 1].
    """
    return {
        bonus.name: min(config.coefficient * _checked(bonus, proposed), config.cap)
        for bonus, config in chosen
    }


def _checked(bonus: Bonus, proposed: Proposed) -> float:
    value = bonus.value(proposed)
    if isinstance(value, Real) and -_ROUNDING <= value <= 1 + _ROUNDING:
        return value
    raise NotFinite(
        f"the bonus {bonus.name!r} gives {repr(value)[:80]} for the task {proposed.task.id}; its value "
        f"has to be a number from 0 to 1: mend it, or set rewards.bonuses.{bonus.name}.coefficient to 0"
    )
