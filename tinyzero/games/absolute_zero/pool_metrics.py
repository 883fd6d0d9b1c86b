"""Metrics of reward terms, of attempts at earlier tasks, and of the pool. The names are API."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean

from tinyzero.games.absolute_zero.scoring import Attempted
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import Rollout, Task


def term_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """`reward/<role>/<term>`: the term's mean over all rollouts of the role, 0 where a rollout lacks it."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for rollout in rollouts:
        counts[rollout.role] += 1
        for term, value in rollout.reward.terms.items():
            sums[f"reward/{rollout.role}/{term}"] += value
    return {name: total / counts[name.split("/")[1]] for name, total in sums.items()}


def replay_metrics(attempted: Sequence[Attempted], rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Attempts at earlier tasks; nothing where there were none.

    Args:
        rollouts: these attempts, scored.
    """
    if not attempted:
        return {}
    return {
        "replay/tasks": float(len(attempted)),
        "replay/accuracy": fmean(item.solve_rate for item in attempted),
        "tokens/replay": float(sum(len(rollout.completion.token_ids) for rollout in rollouts)),
    }


def pool_metrics(
    pool: Pool, new_tasks: Sequence[Task], *, num_dropped: int, num_drifted: int
) -> dict[str, float]:
    """The pool after a step.

    Args:
        num_dropped: tasks that made room in this step. num_drifted: those whose results had changed.
    """
    metrics = {
        "pool/size": float(len(pool)),
        "pool/dropped": float(num_dropped),
        "pool/drifted": float(num_drifted),
    }
    kept = [pool.entry(task.id).novelty for task in new_tasks if task.id in pool]
    return {**metrics, "proposer/novelty": fmean(kept)} if kept else metrics
