"""Induction: given input/output pairs and a hint, write the program. Half of the pairs stay hidden."""

from collections.abc import Sequence
from random import Random

from tinyzero.execution.values import parse_literal, same
from tinyzero.tasks.answers import last_program, proposal_parts
from tinyzero.tasks.base import Style, TaskSource
from tinyzero.tasks.funnel import make_task, malformed, read_arguments, refuse_run
from tinyzero.tasks.layout import block, write
from tinyzero.tasks.program_and_input import IDENTITY
from tinyzero.tasks.programs import BadProgram, tidy
from tinyzero.types import (
    Execution,
    Job,
    Prompt,
    Proposal,
    Rejection,
    Role,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)

MIN_INPUTS = 4
MAX_INPUTS = 10  # as in Absolute Zero
MAX_MESSAGE_CHARS = 300


class Induction:
    name = "induction"

    def seeds(self) -> tuple[Task, ...]:
        values = ("Hello world", 1, [1, 2, 3], (True, None))
        seed = Proposal(
            kind=self.name,
            program=IDENTITY,
            inputs=("'Hello world'", "1", "[1, 2, 3]", "(True, None)"),
            message="Return what you are given.",
        )
        return (make_task(seed, values, step=-1),)

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task]:
        """One task, whose program is the subject, however many references are asked for."""
        return pool.programs(1, rng)

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        subject = references[0].program
        if style == "compact":
            return Prompt(role=Role.PROPOSER, kind=self.name, text=f"propose {self.name}\n{subject}")
        text = PROPOSE.format(program=block("python", subject), count=MAX_INPUTS)
        return Prompt(role=Role.PROPOSER, kind=self.name, text=text, prefill=PREFILL)

    def parse_proposal(
        self, answer: str, references: Sequence[Task], *, max_program_chars: int = 2000
    ) -> Proposal | Rejection:
        """The program is the subject's, whatever the answer says; equal inputs count once."""
        parts = proposal_parts(answer)
        read = [read_arguments(text) for text in _split(parts.inputs)]
        refused = next((item for item in read if isinstance(item, Rejection)), None)
        if refused is not None:
            return refused
        inputs = tuple(dict.fromkeys(str(item) for item in read))[:MAX_INPUTS]
        if len(inputs) < MIN_INPUTS:
            return malformed(f"{len(inputs)} different inputs, at least {MIN_INPUTS} are needed")
        message = " ".join(parts.message.split())
        reason = _refuse_message(message)
        if reason:
            return Rejection(stage=Stage.ALLOWED, detail=reason)
        subject = references[0]
        return Proposal(
            kind=self.name, program=subject.program, inputs=inputs, message=message, parents=(subject.id,)
        )

    def proposal_jobs(self, proposal: Proposal) -> tuple[Job, ...]:
        return (
            Job(program=proposal.program, inputs=proposal.inputs, is_proposal=True, check_determinism=True),
        )

    def accept(
        self, proposal: Proposal, executions: Sequence[Sequence[Execution]], step: int
    ) -> Task | Rejection:
        """Every input must run; outputs that are all equal show nothing of the program."""
        (runs,) = executions
        refused = next((refusal for run in runs if (refusal := refuse_run(run))), None)
        if refused is not None:
            return refused
        outputs = [run.value for run in runs]
        if all(same(outputs[0], output) for output in outputs):
            return Rejection(stage=Stage.NONTRIVIAL, detail="all outputs are the same")
        return make_task(proposal, outputs, step)

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        shown = num_shown(task)
        pairs = "\n".join(
            write("", style, inputs=(given,), output=output)
            for given, output in zip(task.inputs[:shown], task.outputs[:shown], strict=True)
        )
        if style == "compact":
            parts = [f"solve {self.name}", pairs, write("", style, message=task.message)]
            text = "\n".join(part for part in parts if part)
        else:
            text = SOLVE.format(pairs=pairs, message=block("message", task.message or "none"))
        return Prompt(role=Role.SOLVER, kind=self.name, text=text)

    def answer_job(self, task: Task, answer: str) -> Job | Verdict:
        """The written program runs on the hidden inputs; the outputs stay here."""
        try:
            program = tidy(last_program(answer))
        except BadProgram as error:
            return Verdict(status=VerdictStatus.MALFORMED, detail=str(error))
        return Job(program=program, inputs=task.inputs[num_shown(task) :])

    def judge(self, task: Task, answer: str, executions: Sequence[Execution]) -> Verdict:
        hidden = task.outputs[num_shown(task) :]
        right = sum(
            execution.is_ok and same(execution.value, parse_literal(gold), float_tolerance=True)
            for execution, gold in zip(executions, hidden, strict=True)
        )
        return Verdict(
            status=VerdictStatus.CORRECT if right == len(hidden) else VerdictStatus.WRONG,
            answer=tidy(last_program(answer)),
            detail=f"{right} of {len(hidden)} hidden pairs",
        )

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        if style == "compact":
            return write("", style, inputs=proposal.inputs, message=proposal.message)
        return write("", style, inputs=("\n".join(proposal.inputs),), message=proposal.message)

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        return answer if style == "compact" else block("python", answer)


def num_shown(task: Task) -> int:
    """How many of a task's pairs, from the first, the solver sees; the others are hidden."""
    return len(task.inputs) // 2


def _split(inputs: Sequence[str]) -> list[str]:
    """A block holds one argument list, or one on each line; a list that spans lines counts as one."""
    texts: list[str] = []
    for text in inputs:
        whole = "\n" not in text or not isinstance(read_arguments(text), Rejection)
        texts += [text] if whole else [line for line in text.splitlines() if line.strip()]
    return texts


def _refuse_message(message: str) -> str:
    if len(message) > MAX_MESSAGE_CHARS:
        return f"the message has {len(message)} characters, {MAX_MESSAGE_CHARS} are allowed"
    code = next((word for word in ("def ", "lambda ", "return ", "```") if word in message), None)
    return f"the message contains code ({code.strip()})" if code else ""


PREFILL = "```input\n"

PROPOSE = """\
Here is a Python function `f`:

{program}

Write {count} different inputs for it, one per line in one ```input block. Each line holds the arguments of \
one call, separated by commas: plain values such as 3, [1, 2] or 'abc'. Choose inputs of many kinds, so that \
somebody who sees only some of the inputs and their outputs can find out what `f` does.
Then write a ```message block with one sentence: a hint at what `f` does, without code."""

SOLVE = """\
Write the Python function `f` that turns each of these inputs into its output.

{pairs}

A hint:

{message}

Work out what `f` does. It will be checked on other inputs as well, so do not list cases. Give the whole \
function in a ```python block."""
