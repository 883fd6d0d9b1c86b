"""Deduction: given a program and an input, find the output."""

from collections.abc import Sequence

from tinyzero.execution.values import BadLiteral, parse_literal, render, same
from tinyzero.tasks.answers import candidates
from tinyzero.tasks.base import Style
from tinyzero.tasks.layout import block, write
from tinyzero.tasks.program_and_input import ProgramAndInput
from tinyzero.types import Execution, Job, Prompt, Role, Task, Verdict, VerdictStatus


class Deduction(ProgramAndInput):
    name = "deduction"
    goal = "Somebody else will see both and must work out what `f` returns, without running it."

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        shown = write(task.program, style, inputs=task.inputs)
        text = f"solve {self.name}\n{shown}" if style == "compact" else SOLVE.format(task=shown)
        return Prompt(role=Role.SOLVER, kind=self.name, text=text)

    def answer_job(self, task: Task, answer: str) -> Job | Verdict:
        """A verdict at once: a written value is compared, never run."""
        for text in candidates(answer, "output"):
            try:
                value = parse_literal(text)
            except BadLiteral:
                continue
            right = same(value, parse_literal(task.outputs[0]), float_tolerance=True)
            status = VerdictStatus.CORRECT if right else VerdictStatus.WRONG
            return Verdict(status=status, answer=render(value))
        return Verdict(status=VerdictStatus.MALFORMED, detail="no literal in the answer")

    def judge(self, task: Task, answer: str, executions: Sequence[Execution]) -> Verdict:
        raise AssertionError("a deduction answer needs no run")

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        return answer if style == "compact" else block("output", answer)


SOLVE = """\
What does `f` return for this input?

{task}

Work it out step by step, then give the returned value as a Python literal in an ```output block."""
