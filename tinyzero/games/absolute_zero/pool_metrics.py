"""Metrics of attempts at earlier tasks, and of the pool. The names are API."""

from collections.abc import Sequence
from statistics import fmean

from tinyzero.games.attempts import Attempted
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import Rollout, Task


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
