"""Decides a batch with one call of the executor: proposals become tasks, answers get verdicts."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Protocol

from tinyzero.tasks.base import Check, Decision, Kind
from tinyzero.types import Proposal, Rejection, Runner, Task, Verdict


class Verifier(Protocol):
    """The part of a `Kind` that verifies."""

    def verify(self, proposal: Proposal, step: int) -> Task | Rejection | Check[Task | Rejection]: ...


def verify(
    proposals: Sequence[Proposal | Rejection], *, kinds: Mapping[str, Verifier], runner: Runner, step: int
) -> list[Task | Rejection]:
    """The task or the rejection of each proposal. A rejection in `proposals` is returned unchanged.

    Args:
        step: step of the new tasks.
    """
    checks = [
        proposal if isinstance(proposal, Rejection) else kinds[proposal.kind].verify(proposal, step)
        for proposal in proposals
    ]
    return _decide(checks, runner)


def judge_answers(
    tasks: Sequence[Task], texts: Sequence[Sequence[str]], *, kinds: Mapping[str, Kind], runner: Runner
) -> list[list[Verdict]]:
    """One verdict per answer.

    Args:
        texts: the answers to each task, prefill included, aligned with `tasks`.
    """
    grades = [
        kinds[task.kind].grade(task, text) for task, group in zip(tasks, texts, strict=True) for text in group
    ]
    verdicts = iter(_decide(grades, runner))
    return [list(islice(verdicts, len(group))) for group in texts]


def _decide(items: Sequence[Decision | Check[Decision]], runner: Runner) -> list[Decision]:
    """Decide all checks, and run equal jobs once. Items that are decided already stay unchanged."""
    jobs = list(dict.fromkeys(job for item in items if isinstance(item, Check) for job in item.jobs))
    executions = dict(zip(jobs, runner.run_jobs(jobs), strict=True))
    return [
        item.decide([executions[job] for job in item.jobs]) if isinstance(item, Check) else item
        for item in items
    ]
