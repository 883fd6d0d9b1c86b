from tinyzero.tasks import KINDS
from tinyzero.tasks.judging import judge_answers
from tinyzero.types import Execution, Outcome, Task, VerdictStatus


def test_what_needs_a_run_is_run_in_one_call_and_the_rest_is_judged_at_once():
    program = "def f(a):\n    return a + 1"
    tasks = [
        Task(id=kind, kind=kind, program=program, inputs=("1",), outputs=("2",))
        for kind in ("deduction", "abduction", "deduction")
    ]
    batches = []

    class Runner:
        def run_jobs(self, jobs):
            batches.append([job.inputs for job in jobs])
            return [[Execution(outcome=Outcome.OK, value=2)] for _ in jobs]

    judged = judge_answers(tasks, [["2"], ["1", "nothing", "5"], ["3"]], kinds=KINDS, runner=Runner())
    right, wrong, malformed = VerdictStatus.CORRECT, VerdictStatus.WRONG, VerdictStatus.MALFORMED
    assert [[verdict.status for verdict in group] for group in judged] == [
        [right], [right, malformed, right], [wrong],
    ]  # fmt: skip
    assert batches == [[("1",), ("5",)]]
