"""Chooses tasks worth reading: the most instructive and the most unusual. Pure."""

from collections import Counter
from collections.abc import Collection

from tinyzero.run.lines import TaskRecord


def best_tasks(tasks: Collection[TaskRecord], count: int) -> list[TaskRecord]:
    """Tasks that are solved, but seldom, since they earn most. Ties: longer programs first. One per shape."""
    solved = [task for task in tasks if task.solve_rate and task.solve_rate < 1]
    ranked = sorted(solved, key=lambda task: (task.solve_rate or 0.0, -len(task.subject), task.id))
    return _of_different_shapes(ranked, count)


def odd_tasks(tasks: Collection[TaskRecord], count: int) -> list[TaskRecord]:
    """Programs of the rarest shapes. Ties: programs with more different characters first."""
    shapes = Counter(task.shape for task in tasks)
    ranked = sorted(tasks, key=lambda task: (shapes[task.shape], -len(set(task.subject)), task.id))
    return _of_different_shapes(ranked, count)


def _of_different_shapes(ranked: list[TaskRecord], count: int) -> list[TaskRecord]:
    return list({task.shape or task.subject: task for task in reversed(ranked)}.values())[::-1][:count]
