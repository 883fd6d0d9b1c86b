"""Induction: given input/output pairs and a hint, write the program. Half of the pairs stay hidden."""

from collections.abc import Sequence
from random import Random

from tinyzero.execution.values import parse_arguments, parse_literal, same
from tinyzero.tasks.answers import final_part, listed_calls, proposal_parts, written_program
from tinyzero.tasks.base import Check, Style, TaskSource, block, compact
from tinyzero.tasks.funnel import (
    MAX_LITERAL_CHARS,
    is_unreadable,
    make_task,
    malformed,
    read_arguments,
    refuse_run,
    refuse_trivial_pairs,
)
from tinyzero.tasks.program_and_input import IDENTITY
from tinyzero.tasks.programs import BadProgram, tidy
from tinyzero.types import (
    Execution,
    Job,
    Prompt,
    Proposal,
    Rejection,
    Stage,
    Task,
    Verdict,
    VerdictStatus,
)

MIN_INPUTS = 4
MAX_INPUTS = 10  # as in Absolute Zero
_MAX_MESSAGE_CHARS = 300


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

    def draw_references(self, pool: TaskSource, count: int, rng: Random) -> list[Task] | None:
        """One task, whose program is the subject, for any `count`; None if the pool has no task."""
        return pool.programs(1, rng, new_to=self.name) or None

    def propose_prompt(self, references: Sequence[Task], style: Style) -> Prompt:
        """If the style has room, the subject's own input shows which arguments it takes."""
        program, example = references[0].program, references[0].inputs[0]
        if style == "compact":
            return Prompt(kind=self.name, text=f"propose {self.name}\n{program}")
        form = _SHORT_PROPOSE if style == "direct" else PROPOSE
        text = form.format(program=block("python", program), call=f"f({example})", count=MAX_INPUTS)
        prefill = PREFILL.format(known=example) if style == "direct" else ""
        return Prompt(kind=self.name, text=text, prefill=prefill, reasons=style == "full")

    def parse_proposal(
        self, answer: str, references: Sequence[Task], *, max_program_chars: int = 2000
    ) -> Proposal | Rejection:
        """Uses the subject's program, even if the answer has another one; equal inputs count once."""
        parts = proposal_parts(answer)
        read = [read_arguments(text) for text in listed_calls(final_part(answer)) or _split(parts.inputs)]
        refused = next((item for item in read if isinstance(item, Rejection)), None)
        if refused is not None:
            return refused
        inputs = tuple(dict.fromkeys(str(item) for item in read))[:MAX_INPUTS]
        if len(inputs) < MIN_INPUTS:
            return malformed(f"{len(inputs)} different inputs, at least {MIN_INPUTS} are needed")
        message = " ".join(parts.message.split())
        reason = refuse_message(message)
        if reason:
            return Rejection(stage=Stage.ALLOWED, detail=reason)
        subject = references[0]
        return Proposal(
            kind=self.name, program=subject.program, inputs=inputs, message=message, parents=(subject.id,)
        )

    def verify(self, proposal: Proposal, step: int) -> Check[Task | Rejection]:
        """Every input must run. A program that ignores or echoes its inputs is rejected."""

        def decide(executions: Sequence[Sequence[Execution]]) -> Task | Rejection:
            (runs,) = executions
            refused = next((refusal for run in runs if (refusal := refuse_run(run))), None)
            if refused is not None:
                return refused
            outputs = [run.value for run in runs]
            pairs = [(parse_arguments(text), out) for text, out in zip(proposal.inputs, outputs, strict=True)]
            return refuse_trivial_pairs(pairs) or make_task(proposal, outputs, step)

        job = Job(program=proposal.program, inputs=proposal.inputs, is_proposal=True, check_determinism=True)
        return Check(jobs=(job,), decide=decide)

    def solve_prompt(self, task: Task, style: Style) -> Prompt:
        count = num_shown(task)
        pairs = list(zip(task.inputs[:count], task.outputs[:count], strict=True))
        text = _compact_pairs(task, pairs) if style == "compact" else _full_pairs(task, pairs)
        reasons = style == "full"
        text += REASON if reasons else ""
        prefill = _SOLVE_PREFILL if style == "direct" else ""
        return Prompt(kind=self.name, text=text, prefill=prefill, reasons=reasons)

    def grade(self, task: Task, answer: str) -> Verdict | Check[Verdict]:
        """Runs the written program on the hidden inputs."""
        try:
            program = tidy(written_program(answer))
        except BadProgram as error:
            return Verdict(status=VerdictStatus.MALFORMED, detail=str(error))
        hidden = task.outputs[num_shown(task) :]

        def decide(executions: Sequence[Sequence[Execution]]) -> Verdict:
            (runs,) = executions
            num_right = sum(
                run.is_ok and same(run.value, parse_literal(gold), float_tolerance=True)
                for run, gold in zip(runs, hidden, strict=True)
            )
            status = VerdictStatus.CORRECT if num_right == len(hidden) else VerdictStatus.WRONG
            return Verdict(status=status, answer=program, detail=f"{num_right} of {len(hidden)} hidden pairs")

        # The calls may share a process: the expected results are not in it.
        job = Job(program=program, inputs=task.inputs[num_shown(task) :], share_process=True)
        return Check(jobs=(job,), decide=decide)

    def render_proposal(self, proposal: Proposal, style: Style = "compact") -> str:
        if style == "compact":
            return compact(inputs=proposal.inputs, message=proposal.message)
        message = "\n" + block("message", proposal.message) if proposal.message else ""
        return _numbered(proposal.inputs) + message

    def render_answer(self, task: Task, answer: str, style: Style = "compact") -> str:
        return answer if style == "compact" else block("python", answer)


def _compact_pairs(task: Task, pairs: Sequence[tuple[str, str]]) -> str:
    lines = [compact(inputs=(arguments,), output=output) for arguments, output in pairs]
    lines += [compact(message=task.message)] if task.message else []
    return f"solve {task.kind}\n" + "\n".join(lines)


def _full_pairs(task: Task, pairs: Sequence[tuple[str, str]]) -> str:
    asserts = "\n".join(f"assert f({arguments}) == {output}" for arguments, output in pairs)
    hint = f"\n\nA hint: {task.message}" if task.message else ""
    return SOLVE.format(pairs=block("python", asserts)) + hint


def _numbered(inputs: Sequence[str]) -> str:
    return "\n".join(f"{number}. `f({arguments})`" for number, arguments in enumerate(inputs, start=1))


def num_shown(task: Task) -> int:
    """How many of a task's first pairs the solver sees; the others are hidden."""
    return len(task.inputs) // 2


def _split(inputs: Sequence[str]) -> list[str]:
    """A block holds one argument list, or one per line. A list that spans several lines counts as one."""
    texts: list[str] = []
    for text in inputs:
        is_single = "\n" not in text or not isinstance(read_arguments(text), Rejection)
        texts += [text] if is_single else [line for line in text.splitlines() if line.strip()]
    return texts


def refuse_message(message: str) -> str:
    """Why a hint must not be shown, or an empty string."""
    if len(message) > _MAX_MESSAGE_CHARS:
        return f"the message has {len(message)} characters, {_MAX_MESSAGE_CHARS} are allowed"
    if is_unreadable(message):
        return "the message holds half a character, or a NUL"
    code = next((word for word in ("def ", "lambda ", "return ", "```") if word in message), None)
    return f"the message contains code ({code.strip()})" if code else ""


PREFILL = "1. `f({known})`\n2. `f("

_SHORT_PROPOSE = """\
Here is a Python function:

{program}

Write {count} different calls of it with plain values as arguments, such as `{call}`, as a numbered list. \
Choose them so that somebody who sees only some of the calls and their results can find out what `f` does. \
Then give a hint at it in a ```message block: one sentence, no code."""

PROPOSE = f"""\
Make a puzzle of this Python function:

{{program}}

Choose {{count}} calls of it. Others will see half of the calls with their results, and your hint, and must \
write a function that does the same on the other half. A good puzzle can be solved by careful thought, but \
not at a glance.

Rules:
- The calls are all different, each runs without an exception, and their results differ. Together they show \
everything that `f` can do: ordinary, extreme and empty arguments, each branch more than once.
- Arguments are plain values, such as in `{{call}}`: numbers, strings, True, False, None, and lists, tuples, \
dicts or sets of these, written out, with no names or computations, at most {MAX_LITERAL_CHARS} characters \
each.
- The hint says in one sentence what `f` is about, without code and without giving it away whole.

Think first about what `f` does, and which calls tell that from what it could also be. Then write the calls \
as a numbered list and the hint in a ```message block, in this form:

1. `{{call}}`
2. `f(...)`

```message
One sentence.
```"""

_SOLVE_PREFILL = "```python\ndef f("

SOLVE = """\
Write a Python function `f` that passes these assertions. It will be checked on other arguments too, so do \
not list cases.

{pairs}"""

REASON = """

Think first about what `f` does to its arguments, and check your idea on every assertion. Then give the \
whole function, with the imports that it needs, in one ```python block, without tests or examples."""
