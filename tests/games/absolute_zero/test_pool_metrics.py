from rollouts import rollout_of

from tinyzero.config import PoolConfig, RewardsConfig
from tinyzero.games.absolute_zero.pool_metrics import pool_metrics, replay_metrics
from tinyzero.games.attempts import Attempted, score_attempts
from tinyzero.games.metrics import term_metrics
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import (
    Answer,
    Completion,
    Prompt,
    Role,
    Task,
    Verdict,
    VerdictStatus,
)


def task(name, program="def f(a):\n    return a"):
    return Task(id=name, kind="deduction", program=program, inputs=("1",), outputs=("1",), shape=name, step=1)


def test_a_term_is_averaged_over_all_rollouts_of_its_role():
    rollouts = [
        rollout_of(Role.PROPOSER, terms={"learnability": 0.75, "novelty": 0.25}),
        rollout_of(Role.PROPOSER, terms={"format": -1.0}),
        rollout_of(Role.SOLVER, terms={"accuracy": 1.0}),
    ]
    assert term_metrics(rollouts) == {
        "reward/proposer/learnability": 0.375,
        "reward/proposer/novelty": 0.125,
        "reward/proposer/format": -0.5,
        "reward/solver/accuracy": 1.0,
    }


def test_attempts_at_earlier_tasks_have_figures_of_their_own():
    answer = Answer(
        prompt=Prompt(kind="deduction", text=""),
        completion=Completion(text="", token_ids=(1, 2, 3)),
    )
    right, wrong = Verdict(status=VerdictStatus.CORRECT), Verdict(status=VerdictStatus.WRONG)
    attempted = [
        Attempted(task=task("a"), answers=[answer] * 4, verdicts=[right, wrong, wrong, wrong]),
        Attempted(task=task("b"), answers=[answer] * 4, verdicts=[right, right, right, wrong]),
    ]
    metrics = replay_metrics(attempted, score_attempts(attempted, RewardsConfig()))
    assert metrics == {"replay/tasks": 2, "replay/accuracy": 0.5, "tokens/replay": 24}
    assert replay_metrics([], []) == {}


def test_novelty_is_that_of_the_new_tasks_still_in_the_pool():
    pool = Pool(PoolConfig(), [task("old")])
    new = [task("copy"), task("gone")]
    pool.add(new[0])
    assert pool_metrics(pool, new, num_dropped=3, num_drifted=1) == {
        "pool/size": 2, "pool/dropped": 3, "pool/drifted": 1, "proposer/novelty": 0,
    }  # fmt: skip
    assert "proposer/novelty" not in pool_metrics(pool, [], num_dropped=0, num_drifted=0)
