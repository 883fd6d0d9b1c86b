"""Deduction: given a program and an input, find the output."""

from contextlib import suppress
from typing import Any

from tinyzero.execution.values import BadLiteral, parse_literal, render, same
from tinyzero.tasks.answers import candidates
from tinyzero.tasks.base import Style, block, compact
from tinyzero.tasks.program_and_input import EXAMPLE, ProgramAndInput
from tinyzero.tasks.wording import readings
from tinyzero.types import Prompt, Task, Verdict, VerdictStatus

NO_LITERAL = "no literal in the answer"


class Deduction(ProgramAndInput):
    name = "deduction"
    challenge = (
        "Others will see only the code and must work out what it prints, so make that take several steps of "
        "careful reasoning."
    )
    difficulty = (
        "A good puzzle has an output that is hard to predict: it builds up over several steps, each of which "
        "changes what the next one does, so that only who traces the call with care gets it right, and still "
        "can without a computer."
    )
    example = EXAMPLE

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        if style == "compact":
            text = f"solve {self.name}\n{compact(task.program, inputs=task.inputs)}"
        else:
            text = QUESTION.format(call=f"f({task.inputs[0]})", program=block("python", task.program))
        reasons = style == "full"
        text += REASON if reasons else ""
        prefill = _prefill(task) if style == "direct" else ""
        return Prompt(kind=self.name, text=text, prefill=prefill, reasons=reasons)

    def grade(self, task: Task, answer: str) -> Verdict:
        """Compares the written value; runs nothing."""
        written = self.read(task, answer)
        if written is None:
            return Verdict(status=VerdictStatus.MALFORMED, detail=NO_LITERAL)
        right = same(written[0], parse_literal(task.outputs[0]), float_tolerance=True)
        status = VerdictStatus.CORRECT if right else VerdictStatus.WRONG
        return Verdict(status=status, answer=render(written[0]))

    def read(self, task: Task, answer: str) -> tuple[Any] | None:
        """The value in an answer, alone in a tuple since it may be None; None if there is no literal."""
        begun = _prefill(task)
        if answer.startswith(begun):
            texts = readings(answer.removeprefix(begun).partition("\n")[0].partition("```")[0], "output")
        else:
            texts = candidates(answer, "output")
        for text in texts:
            with suppress(BadLiteral):
                return (parse_literal(text),)
        return None

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        if style == "direct":
            return f"{_prefill(task)} {answer}\n```"
        return answer if style == "compact" else block("output", answer)


def _prefill(task: Task) -> str:
    return f"```python\nassert f({task.inputs[0]}) =="


QUESTION = """\
What does `{call}` return?

{program}"""

REASON = """

Go through the call step by step. Then give the returned value, and nothing else, in an ```output block: \
written out as Python would, strings in quotes, no names, no computation. For example:

```output
[1, 'a']
```"""
