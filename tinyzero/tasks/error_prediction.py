"""Error prediction: given a program and an input, name the exception that ends the run, or no error.

Source: the task type code_e of Absolute Zero's code (arXiv:2505.03335), where it is off by default, as here.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from tinyzero.execution.values import parse_literal
from tinyzero.tasks.answers import candidates, final_part
from tinyzero.tasks.base import Check, Style, block, compact
from tinyzero.tasks.funnel import make_task, refuse_run
from tinyzero.tasks.perturb import MAX_ALTERNATIVES
from tinyzero.tasks.program_and_input import Arguments, ProgramAndInput, Run
from tinyzero.types import (
    Execution,
    Outcome,
    Prompt,
    Proposal,
    Rejection,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)

_NO_ERROR = "NoError"
# Exceptions that follow from the program text alone, on every machine and Python version. Excluded:
# RecursionError, MemoryError, OSError and ImportError, which depend on the machine, and exceptions that
# only `raise` and `assert` can cause.
# fmt: off
_EXCEPTIONS = frozenset({
    "AttributeError", "IndexError", "KeyError", "LookupError", "NameError", "OverflowError", "RuntimeError",
    "StopIteration", "TypeError", "UnboundLocalError", "UnicodeDecodeError", "UnicodeEncodeError",
    "ValueError", "ZeroDivisionError",
})
# fmt: on
_FAMILIAR = ("0", 0)  # a string that holds a number, and an invalid divisor
_THROWS = frozenset({"throw", "athrow"})
_SPELLINGS = {
    name.casefold(): name
    for name, value in vars(builtins).items()
    if isinstance(value, type) and issubclass(value, BaseException)
} | dict.fromkeys(("noerror", "noerrors", "noexception", "noexceptions", "none"), _NO_ERROR)
_FIRST_WORD = re.compile(r"[\s`*'\"]*(?:builtins\.)?(no (?:error|exception)s?\b|\w+)", re.IGNORECASE)


EXAMPLE = """\
```python
def f(words, n):
    return words[n].upper()

print(f(['a', 'b'], 2))
```"""


class ErrorPrediction(ProgramAndInput):
    name = "error-prediction"
    challenge = (
        "Others will see only the code and must say which exception the call raises, or that it raises none, "
        "so make that take several steps of careful reasoning. Do not write `raise` or `assert`."
    )
    difficulty = (
        "A good puzzle has an end that is hard to foresee: whether anything fails, and what fails first, "
        "comes out only when the call is traced with care. Looks may deceive: what seems to fail may be "
        "caught or never reached, and what seems safe may not be."
    )
    ending = (
        "- The call may raise an exception or return a value, and which depends on the arguments: with "
        "others of the same types it ends in another way.\n"
        "- What goes wrong goes wrong by itself, with an exception that is built in, such as IndexError, "
        "KeyError, TypeError, ValueError or ZeroDivisionError: no `raise`, no `assert`, no exceptions of "
        "your own, no endless recursion. `try` is allowed."
    )
    num_alternatives = 12  # twice the usual: zero, for example, is rarely among the first for two numbers
    """Number of perturbed inputs; inputs from the program's own constants come in addition."""

    example = EXAMPLE

    def seeds(self) -> tuple[Task, ...]:
        seed = Proposal(
            kind=self.name, program="def f(a, b):\n    return a[b]", inputs=("'Hello world', 11",)
        )
        return (make_task(seed, ["IndexError"], step=-1),)

    def verify(self, proposal: Proposal, step: int) -> Rejection | Check[Task | Rejection]:
        return _refuse_program(proposal.program) or super().verify(proposal, step)

    def _decide(self, proposal: Proposal, runs: Sequence[Run], step: int) -> Task | Rejection:
        own, *others = (execution for _, execution in runs)
        return _refuse_end(own) or _refuse_trivial(own, others) or make_task(proposal, [end_of(own)], step)

    def _other_arguments(self, own: Arguments, program: str) -> tuple[Arguments, ...]:
        """Adds constants of the program, since random inputs rarely change how a call ends (dict keys)."""
        return super()._other_arguments(own, program) + _with_constants(own, program)

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        if style == "compact":
            text = f"solve {self.name}\n{compact(task.program, inputs=task.inputs)}"
        else:
            text = QUESTION.format(call=f"f({task.inputs[0]})", program=block("python", task.program))
        reasons = style == "full"
        text += {"full": REASON, "direct": _ANSWER, "compact": ""}[style]
        prefill = PREFILL if style == "direct" else ""
        return Prompt(kind=self.name, text=text, prefill=prefill, reasons=reasons)

    def grade(self, task: Task, answer: str) -> Verdict:
        """Compares names, ignoring case."""
        name = next(_named(answer), "")
        if not name:
            return Verdict(status=VerdictStatus.MALFORMED, detail="no exception is named in the answer")
        right = name == parse_literal(task.outputs[0])
        return Verdict(status=VerdictStatus.CORRECT if right else VerdictStatus.WRONG, answer=name)

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        """`answer` is the exception's name, or the literal of that name as in the task's output."""
        name = answer.strip("'")
        return name if style == "compact" else block("output", name)


def end_of(execution: Execution) -> str:
    """The right answer: an exception in EXCEPTIONS, or NO_ERROR; empty for any other end."""
    if execution.is_ok:
        return _NO_ERROR
    is_named = execution.outcome is Outcome.EXCEPTION and execution.detail in _EXCEPTIONS
    return execution.detail if is_named else ""


def _with_constants(arguments: Arguments, program: str) -> tuple[Arguments, ...]:
    """At most MAX_ALTERNATIVES argument lists with an argument replaced by a program constant of its type."""
    nodes = (node for node in ast.walk(ast.parse(program)) if isinstance(node, ast.Constant))
    constants = [*(node.value for node in nodes), *_FAMILIAR]
    rows = (
        (*arguments[:place], constant, *arguments[place + 1 :])
        for constant in constants
        for place, argument in enumerate(arguments)
        if type(constant) is type(argument) and constant != argument
    )
    return tuple(islice(rows, MAX_ALTERNATIVES))


def _refuse_program(program: str) -> Rejection | None:
    """Reject a program that raises on its own, or that redefines the name of an exception."""
    for node in ast.walk(ast.parse(program)):
        reason = _artifice(node)
        if reason:
            return Rejection(stage=Stage.ALLOWED, detail=reason)
    return None


def _artifice(node: ast.AST) -> str:
    if isinstance(node, ast.Raise | ast.Assert):
        return f"uses {type(node).__name__.lower()}"
    if isinstance(node, ast.Attribute) and node.attr in _THROWS:
        return f"uses .{node.attr}"
    if isinstance(node, ast.ClassDef) and node.name.casefold() in _SPELLINGS:
        return f"defines a class {node.name}"
    return ""


def _refuse_end(own: Execution) -> Rejection | None:
    if own.outcome is Outcome.EXCEPTION:
        reason = f"ends with {own.detail}, which is none that can be asked for"
        return None if end_of(own) else Rejection(stage=Stage.RAN, detail=reason)
    # A value may have any length, since solvers do not have to write it.
    return None if own.is_ok else refuse_run(own)


def _refuse_trivial(own: Execution, others: Sequence[Execution]) -> Rejection | None:
    """Reject a call whose end does not depend on its input. Ends that are no valid answers do not count."""
    ends = {end_of(other) for other in others} - {""}
    if ends - {end_of(own)}:
        return None
    return Rejection(stage=Stage.NONTRIVIAL, detail=f"ends with {end_of(own)} for other inputs too")


def _named(answer: str) -> Iterator[str]:
    """Exception names in an answer, likeliest first, in standard spelling."""
    is_begun = answer.startswith(PREFILL)
    for text in [answer.removeprefix(PREFILL)] if is_begun else candidates(answer, "output"):
        word = _FIRST_WORD.match(text)
        name = _SPELLINGS.get(word[1].casefold().replace(" ", "")) if word else None
        if name:
            yield name
    yield from _names_in_last_line(final_part(answer))


def _names_in_last_line(text: str) -> Iterator[str]:
    """Exception names in the last line of a text, such as `So the call raises an IndexError.`, last first."""
    line = text.strip().rpartition("\n")[2]
    for word in reversed(re.findall(r"\w+", line)):
        if word.endswith(("Error", "Iteration")) and word.casefold() in _SPELLINGS:
            yield _SPELLINGS[word.casefold()]


PREFILL = "```output\n"

QUESTION = """\
How does the call `{call}` end: with an exception, and if so, of which type?

{program}"""

_ANSWER = """

Answer with the name of the exception, such as ValueError, or with NoError if the call returns a value."""

REASON = """

Go through the call step by step, up to what fails first, if anything does and is not caught. Then give the \
name of the exception, and nothing else, in an ```output block, or NoError if the call returns a value. For \
example:

```output
ValueError
```"""
