from tinyzero.games.batching import call_flat, run_where_needed
from tinyzero.games.stopwatch import Stopwatch
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


def test_a_stopwatch_adds_up_the_seconds_of_a_phase():
    ticks = iter([0.0, 1.5, 10.0, 12.0, 20.0, 20.25])
    watch = Stopwatch(clock=lambda: next(ticks))
    for phase in ("solve", "judge", "solve"):
        with watch(phase):
            pass
    assert watch.seconds == {"solve": 1.75, "judge": 2.0}
