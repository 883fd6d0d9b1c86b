"""From which tasks a task came: what its proposer was shown, and what the proposers of those were. Pure."""

from collections.abc import Iterator, Mapping

from tinyzero.run.lines import TaskRecord

_MOST = 12


def ancestors(
    task: TaskRecord, tasks: Mapping[str, TaskRecord]
) -> Iterator[tuple[int, str, TaskRecord | None]]:
    """(depth, id, record) of the references of a task, each followed by its own; at most 12, each once.

    Args:
        tasks: by id. A reference that is not among them is a seed, or of an earlier log: its record is None.
    """
    seen, turn, left = {task.id}, [(1, parent) for parent in task.parents], _MOST
    while turn and left:
        depth, name = turn.pop(0)
        if name in seen:
            continue
        seen.add(name)
        left -= 1
        parent = tasks.get(name)
        yield depth, name, parent
        turn[:0] = [(depth + 1, grandparent) for grandparent in parent.parents] if parent else []
