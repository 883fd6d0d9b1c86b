"""Nested work in one flat call: the executor is fastest when it sees the jobs of a whole round at once."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeVar

from tinyzero.types import Execution, Job

T = TypeVar("T")
R = TypeVar("R")


def call_flat(call: Callable[[list[T]], Sequence[R]], nested: Sequence[Sequence[T]]) -> list[list[R]]:
    """Apply `call`, which maps a list to one result per item, to all items at once; keep the nesting."""
    results = iter(call([item for items in nested for item in items]))
    return [list(islice(results, len(items))) for items in nested]


def run_where_needed(
    run_jobs: Callable[[list[Job]], Sequence[list[Execution]]], work: Iterable[Job | R]
) -> list[list[Execution] | R]:
    """Run the jobs among `work` in one batch, equal ones once; what is no job passes through in its place."""
    items = list(work)
    jobs = list(dict.fromkeys(item for item in items if isinstance(item, Job)))
    executions = dict(zip(jobs, run_jobs(jobs), strict=True))
    return [executions[item] if isinstance(item, Job) else item for item in items]
