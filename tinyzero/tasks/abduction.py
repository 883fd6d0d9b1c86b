"""Abduction: given a program and an output, find an input that produces it. Any such input is right."""

from collections.abc import Sequence

from tinyzero.execution.values import BadLiteral, parse_arguments, parse_literal, render_arguments, same
from tinyzero.tasks.answers import candidates
from tinyzero.tasks.base import Check, Style, block, compact
from tinyzero.tasks.funnel import without_call
from tinyzero.tasks.program_and_input import EXAMPLE, ProgramAndInput
from tinyzero.tasks.wording import first_arguments
from tinyzero.types import Execution, Job, Prompt, Task, Verdict, VerdictStatus


class Abduction(ProgramAndInput):
    name = "abduction"
    challenge = (
        "Others will see only `f` and what is printed, and must find arguments that give it, so make that "
        "take several steps of careful reasoning."
    )
    difficulty = (
        "A good puzzle has an input that is hard to find: working back from the printed result takes several "
        "steps of reasoning, each of which rules something out, and trying inputs at random does not help. "
        "Any input that gives the result solves it, so not too many should."
    )
    example = EXAMPLE

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        output = task.outputs[0]
        if style == "compact":
            text = f"solve {self.name}\n{compact(task.program, output=output)}"
        else:
            text = QUESTION.format(output=output, program=block("python", task.program))
        reasons = style == "full"
        text += REASON if reasons else ""
        prefill = _prefill(task) if style == "direct" else ""
        return Prompt(kind=self.name, text=text, prefill=prefill, reasons=reasons)

    def grade(self, task: Task, answer: str) -> Verdict | Check[Verdict]:
        arguments = _read(task, answer)
        if arguments is None:
            return Verdict(status=VerdictStatus.MALFORMED, detail="no arguments in the answer")

        def decide(executions: Sequence[Sequence[Execution]]) -> Verdict:
            ((execution,),) = executions
            if not execution.is_ok:
                return Verdict(status=VerdictStatus.WRONG, answer=arguments, detail=execution.outcome)
            is_right = same(execution.value, parse_literal(task.outputs[0]))
            status = VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG
            return Verdict(status=status, answer=arguments)

        return Check(jobs=(Job(program=task.program, inputs=(arguments,)),), decide=decide)

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        if style == "direct":
            return f"{_prefill(task)}{answer})\n```"
        return answer if style == "compact" else block("input", answer)


def _read(task: Task, answer: str) -> str | None:
    """The canonical source of the first readable argument list, or None."""
    begun = _prefill(task)
    if answer.startswith(begun):
        texts = [first_arguments(answer.removeprefix(begun))]
    else:
        texts = [without_call(text) for text in candidates(answer, "input")]
    for text in texts:
        try:
            arguments = parse_arguments(text)
        except BadLiteral:
            continue
        if arguments:
            return render_arguments(arguments)
    return None


def _prefill(task: Task) -> str:
    return f"```python\n# returns {task.outputs[0]}\nf("


QUESTION = """\
Find arguments for which `f` returns {output}.

{program}"""

REASON = """

Work back from the result step by step, and check what you find. Then give the arguments, and nothing else, \
in an ```input block: written out as in a call, separated by commas, strings in quotes, no names, no \
computation. Any that give this result are right. For a function of two arguments, for example:

```input
[1, 2], 'a'
```"""
