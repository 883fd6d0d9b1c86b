"""Verdicts on the answers of a whole batch: what has to run, runs in one call."""

from collections.abc import Mapping, Sequence

from tinyzero.tasks.base import Kind
from tinyzero.tasks.batching import call_flat, run_where_needed
from tinyzero.types import Runner, Task, Verdict


def judge_answers(
    tasks: Sequence[Task], texts: Sequence[Sequence[str]], *, kinds: Mapping[str, Kind], runner: Runner
) -> list[list[Verdict]]:
    """One verdict per answer.

    Args:
        texts: the whole answers to each task, aligned with `tasks`.
    """

    def judge(pairs: list[tuple[Task, str]]) -> list[Verdict]:
        work = [kinds[task.kind].answer_job(task, text) for task, text in pairs]
        results = run_where_needed(runner.run_jobs, work)
        return [
            result if isinstance(result, Verdict) else kinds[task.kind].judge(task, text, result)
            for (task, text), result in zip(pairs, results, strict=True)
        ]

    pairs = [[(task, text) for text in group] for task, group in zip(tasks, texts, strict=True)]
    return call_flat(judge, pairs)
