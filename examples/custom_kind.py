r"""A task kind of one's own: what type does the call return?

    tinyzero train nano-cpu --plugin examples/custom_kind.py \
        --set 'selfplay.kinds=["deduction", "return-type"]'

Proposing, verifying and the pool are those of every kind that is a program and an input. What is left to say
is what the solver is asked, and when it is right.
"""

from tinyzero.execution.values import parse_literal
from tinyzero.plugins import Registry
from tinyzero.tasks.answers import final_part
from tinyzero.tasks.base import Style, block, compact
from tinyzero.tasks.program_and_input import EXAMPLE, ProgramAndInput
from tinyzero.types import Prompt, Task, Verdict, VerdictStatus

TYPES = {
    "bool", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "NoneType", "set", "str",
    "tuple",
}  # fmt: skip
QUESTION = "Which type does `f({given})` return? Answer with its name alone.\n\n{program}"


class ReturnType(ProgramAndInput):
    name = "return-type"
    challenge = (
        "Others will see only the code and must say which type the result has, so make that hard to see."
    )
    difficulty = "A good puzzle has a result whose type depends on the arguments, by more than one step."
    example = EXAMPLE

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        if style == "compact":
            text = f"solve {self.name}\n{compact(task.program, inputs=task.inputs)}"
        else:
            text = QUESTION.format(given=task.inputs[0], program=block("python", task.program))
        return Prompt(kind=self.name, text=text)

    def grade(self, task: Task, answer: str) -> Verdict:
        """A name is compared, never run."""
        words = [word for word in final_part(answer).replace("`", " ").split() if word in TYPES]
        if not words:
            return Verdict(status=VerdictStatus.MALFORMED, detail="no type in the answer")
        gold = type(parse_literal(task.outputs[0])).__name__
        status = VerdictStatus.CORRECT if words[-1] == gold else VerdictStatus.WRONG
        return Verdict(status=status, answer=words[-1])

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        return answer


def register(registry: Registry) -> None:
    registry.kind(ReturnType())
