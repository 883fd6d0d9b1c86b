"""The tasks that prompts are shown with are what the funnel makes of their proposals."""

from dataclasses import replace

from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.tasks.examples import example_tasks
from tinyzero.tasks.judging import verify
from tinyzero.types import Proposal


def test_example_tasks_are_verified() -> None:
    tasks = example_tasks()
    proposals = [
        Proposal(kind=task.kind, program=task.program, inputs=task.inputs, message=task.message)
        for task in tasks
    ]
    with Executor() as executor:
        verified = verify(proposals, kinds=KINDS, runner=executor, step=0)
    assert verified == [replace(task, parents=()) for task in tasks]


def test_every_kind_has_an_example_and_says_how_it_is_read_back() -> None:
    assert {task.kind for task in example_tasks()} == set(KINDS)
    for task in example_tasks():
        kind = KINDS[task.kind]
        proposal = Proposal(
            kind=task.kind,
            program=task.program,
            inputs=task.inputs,
            message=task.message,
            parents=(task.id,),
        )
        assert kind.parse_proposal(kind.render_proposal(proposal, "full"), [task]) == proposal
