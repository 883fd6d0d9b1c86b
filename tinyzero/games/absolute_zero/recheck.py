"""Verifies a few earlier tasks again each step, and drops those whose results have changed."""

from collections.abc import Mapping
from math import ceil
from random import Random

from tinyzero.tasks.base import Kind
from tinyzero.tasks.judging import verify
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import Proposal, Rejection, Runner, Task

_MAX_RECHECKS = 8
"""Maximum number of tasks checked in a step."""


def recheck(pool: Pool, kinds: Mapping[str, Kind], runner: Runner, *, share: float, rng: Random) -> int:
    """Send some tasks through the funnel again. Returns how many were dropped.

    Args:
        share: share of the pool to check, in [0, 1].
    """
    tasks = [
        task for task in pool.any(min(_MAX_RECHECKS, ceil(share * len(pool))), rng) if task.kind in kinds
    ]
    outcomes = verify([_proposal_of(task) for task in tasks], kinds=kinds, runner=runner, step=0)
    drifted = [task for task, outcome in zip(tasks, outcomes, strict=True) if _has_drifted(task, outcome)]
    for task in drifted:
        pool.remove(task.id)
    return len(drifted)


def _proposal_of(task: Task) -> Proposal:
    return Proposal(
        kind=task.kind, program=task.program, inputs=task.inputs, message=task.message, parents=task.parents
    )


def _has_drifted(task: Task, outcome: Task | Rejection) -> bool:
    return isinstance(outcome, Rejection) or outcome.outputs != task.outputs
