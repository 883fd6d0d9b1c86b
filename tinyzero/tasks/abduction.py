"""Abduction: given a program and an output, find an input that produces it. Any that does is right."""

from collections.abc import Sequence

from tinyzero.execution.values import BadLiteral, parse_arguments, parse_literal, render_arguments, same
from tinyzero.tasks.answers import candidates
from tinyzero.tasks.base import Style
from tinyzero.tasks.funnel import without_call
from tinyzero.tasks.layout import block, write
from tinyzero.tasks.program_and_input import ProgramAndInput
from tinyzero.types import Execution, Job, Prompt, Role, Task, Verdict, VerdictStatus


class Abduction(ProgramAndInput):
    name = "abduction"
    goal = "Somebody else will see `f` and its output, and must find an input that gives this output."

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        shown = write(task.program, style, output=task.outputs[0])
        text = f"solve {self.name}\n{shown}" if style == "compact" else SOLVE.format(task=shown)
        return Prompt(role=Role.SOLVER, kind=self.name, text=text)

    def answer_job(self, task: Task, answer: str) -> Job | Verdict:
        arguments = _read(answer)
        if arguments is None:
            return Verdict(status=VerdictStatus.MALFORMED, detail="no arguments in the answer")
        return Job(program=task.program, inputs=(arguments,))

    def judge(self, task: Task, answer: str, executions: Sequence[Execution]) -> Verdict:
        (execution,) = executions
        written = _read(answer) or ""
        if not execution.is_ok:
            return Verdict(status=VerdictStatus.WRONG, answer=written, detail=execution.outcome)
        right = same(execution.value, parse_literal(task.outputs[0]))
        return Verdict(status=VerdictStatus.CORRECT if right else VerdictStatus.WRONG, answer=written)

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        return answer if style == "compact" else block("input", answer)


def _read(answer: str) -> str | None:
    """The canonical source of the first readable argument list, or None."""
    for text in candidates(answer, "input"):
        try:
            arguments = parse_arguments(without_call(text))
        except BadLiteral:
            continue
        if arguments:
            return render_arguments(arguments)
    return None


SOLVE = """\
Find an input for which `f` returns this output.

{task}

Work it out step by step, then give the arguments of one call, separated by commas, in an ```input block. \
Any input that produces the output is right."""
