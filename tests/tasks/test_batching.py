from tinyzero.tasks.batching import call_flat, run_where_needed
from tinyzero.types import Execution, Job, Outcome


def test_nested_items_go_through_one_call_and_keep_their_places():
    calls = []

    def double(items):
        calls.append(items)
        return [2 * item for item in items]

    assert call_flat(double, [[1], [], [2, 3]]) == [[2], [], [4, 6]]
    assert calls == [[1, 2, 3]]


def test_only_jobs_are_run_and_the_rest_passes_through():
    job = Job(program="def f(): return 1", inputs=("",))
    done = [Execution(outcome=Outcome.OK, value=1)]
    batches = []

    def run_jobs(jobs):
        batches.append(list(jobs))
        return [done for _ in jobs]

    assert run_where_needed(run_jobs, ["a", job, "b", job]) == ["a", done, "b", done]
    assert batches == [[job, job]]
