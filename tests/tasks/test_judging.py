from tinyzero.tasks import KINDS
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.types import Execution, Outcome, Proposal, Rejection, Stage, Task, VerdictStatus


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


def test_proposals_are_verified_in_one_call_and_rejections_stay_in_their_places():
    batches = []

    class Runner:
        def run_jobs(self, jobs):
            batches.append([len(job.inputs) for job in jobs])
            return [
                [Execution(outcome=Outcome.OK, value=place) for place, _ in enumerate(job.inputs)]
                for job in jobs
            ]

    program = "def f(a):\n    return a + 1"
    proposals = [
        Proposal(kind="deduction", program=program, inputs=("41",)),
        Rejection(stage=Stage.PARSED),
        Proposal(kind="induction", program=program, inputs=("10", "20", "30", "40")),
        Proposal(kind="error-prediction", program="def f(a):\n    raise KeyError", inputs=("1",)),
    ]
    single, refused, pairs, banned = verify(proposals, kinds=KINDS, runner=Runner(), step=3)
    assert (single.outputs, single.step) == (("0",), 3)
    assert refused is proposals[1]
    assert pairs.outputs == ("0", "1", "2", "3")
    assert banned == Rejection(stage=Stage.ALLOWED, detail="uses raise")
    assert batches == [[1, 6, 4]]  # the call, other inputs for it, the pairs; nothing of what is banned
