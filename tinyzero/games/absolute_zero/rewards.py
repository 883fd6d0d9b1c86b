"""Rewards of proposals: by solve rate, or by the funnel stage that a proposal failed."""

from collections.abc import Mapping

from tinyzero.config import RewardsConfig
from tinyzero.games.attempts import uncertainty
from tinyzero.types import Rejection, RewardBreakdown, Stage


def learnability(solve_rate: float) -> float:
    """`1 - solve_rate`, and 0 for what always or never succeeds: such a task has nothing to teach.

    Args:
        solve_rate: share of correct attempts, in [0, 1].

    Source: Absolute Zero (arXiv:2505.03335) eq. 4; the published code pays -0.5 at both ends instead.
    """
    return 1.0 - solve_rate if 0.0 < solve_rate < 1.0 else 0.0


def proposer_reward(
    solve_rate: float, config: RewardsConfig, bonuses: Mapping[str, float] | None = None
) -> RewardBreakdown:
    """The reward of a proposal that became a task.

    Args:
        bonuses: term -> value. Paid only where the task is learnable, else something new that nobody can
            solve would be the easiest thing to write.
    """
    earned = (uncertainty if config.proposer == "uncertainty" else learnability)(solve_rate)
    return RewardBreakdown(terms={config.proposer: earned, **((bonuses or {}) if earned else {})})


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
