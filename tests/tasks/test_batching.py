from tinyzero.tasks.batching import call_flat, run_where_needed
from tinyzero.types import Execution, Job, Outcome


def test_nested_items_go_through_one_call_and_keep_their_places():
    calls = []

    def double(items):
        calls.append(items)
        return [2 * item for item in items]

    assert call_flat(double, [[1], [], [2, 3]]) == [[2], [], [4, 6]]
    assert calls == [[1, 2, 3]]


def test_only_jobs_are_run_equal_ones_once_and_the_rest_passes_through():
    one, two = (Job(program=f"def f(): return {number}", inputs=("",)) for number in (1, 2))
    again = Job(program="def f(): return 1", inputs=("",))
    batches = []

    def run_jobs(jobs):
        batches.append(list(jobs))
        return [[Execution(outcome=Outcome.OK, value=job.program[-1])] for job in jobs]

    results = run_where_needed(run_jobs, ["a", one, "b", two, again])
    values = [result if isinstance(result, str) else result[0].value for result in results]
    assert values == ["a", "1", "b", "2", "1"]
    assert batches == [[one, two]]
