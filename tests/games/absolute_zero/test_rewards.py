import pytest

from tinyzero.config import RewardsConfig
from tinyzero.games.absolute_zero.rewards import proposer_reward, rejection_reward
from tinyzero.games.attempts import solver_reward
from tinyzero.types import Rejection, Stage, Verdict, VerdictStatus


@pytest.mark.parametrize(
    ("status", "graded", "binary"),
    [
        (VerdictStatus.CORRECT, {"accuracy": 1.0}, {"accuracy": 1.0}),
        (VerdictStatus.WRONG, {"accuracy": -0.5}, {"accuracy": 0.0}),
        (VerdictStatus.MALFORMED, {"format": -1.0}, {"accuracy": 0.0}),
    ],
)
def test_a_solver_earns_by_its_verdict(status, graded, binary):
    verdict = Verdict(status=status)
    assert solver_reward(verdict, RewardsConfig()).terms == graded
    assert solver_reward(verdict, RewardsConfig(solver="binary")).terms == binary


@pytest.mark.parametrize(
    ("solve_rate", "reward"), [(0.0, 0.0), (0.125, 0.875), (0.5, 0.5), (0.875, 0.125), (1.0, 0.0)]
)
def test_a_proposer_earns_by_learnability_with_the_papers_boundary(solve_rate, reward):
    assert proposer_reward(solve_rate, RewardsConfig()).total == reward


@pytest.mark.parametrize(
    ("solve_rate", "reward"), [(0.0, 0.0), (0.125, 0.25), (0.5, 1.0), (0.875, 0.25), (1.0, 0.0)]
)
def test_uncertainty_pays_a_proposer_most_for_what_succeeds_half_of_the_time(solve_rate, reward):
    config = RewardsConfig(proposer="uncertainty")
    assert proposer_reward(solve_rate, config).terms == {"uncertainty": reward}
    bonuses = {"novelty": 0.5}
    assert proposer_reward(solve_rate, config, bonuses).total == reward + (0.5 if reward else 0)


@pytest.mark.parametrize("stage", list(Stage))
def test_the_paper_knows_two_penalties(stage):
    expected = -1.0 if stage is Stage.PARSED else -0.5
    assert rejection_reward(Rejection(stage=stage), RewardsConfig()).total == expected


def test_the_stage_of_a_rejection_decides_its_penalty():
    config = RewardsConfig(malformed_proposal=-1, failing_proposal=-0.8, duplicate_proposal=0)
    terms = [rejection_reward(Rejection(stage=stage), config).terms for stage in Stage]
    assert terms == [
        {"format": -1},
        {"disallowed": -0.8},
        {"failing": -0.8},
        {"nondeterministic": -0.8},
        {"trivial": -0.8},
        {"duplicate": 0},
    ]


def test_bonuses_are_paid_where_a_task_is_learnable_only():
    bonuses = {"novelty": 0.5}
    assert proposer_reward(0.25, RewardsConfig(), bonuses).terms == {"learnability": 0.75, "novelty": 0.5}
    assert proposer_reward(0.0, RewardsConfig(), bonuses).terms == {"learnability": 0.0}
    assert proposer_reward(1.0, RewardsConfig(), bonuses).terms == {"learnability": 0.0}


@pytest.mark.parametrize(
    ("solve_rate", "reward"),
    [(0.0, 0.0), (0.125, 0.4375), (0.25, 0.75), (0.5, 1.0), (0.75, 0.75), (1.0, 0.0)],
)
def test_variance_pays_a_proposer_what_an_attempt_tells(solve_rate, reward):
    assert proposer_reward(solve_rate, RewardsConfig(proposer="variance")).terms == {"variance": reward}
