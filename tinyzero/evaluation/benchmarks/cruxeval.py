"""CRUXEval (arXiv:2401.03065): predict the output of a call, or find an input with a given output.

An answer is correct by two definitions. `official` is Python's `==`, as in the published checker, by which
True is 1. `strict` compares types too, and wants an output written as a literal, as the prompt demands.
Unlike in the published checker, no answer shares a process with the right answer, and a sample without a
readable answer is wrong; the published one leaves it out of the mean.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyzero.evaluation.benchmarks.base import Item, Mark, Tools, Traits, Trouble, text_field
from tinyzero.evaluation.benchmarks.cruxeval_prompts import INPUT, INPUT_REASONING, OUTPUT, OUTPUT_REASONING
from tinyzero.evaluation.benchmarks.written_code import in_module
from tinyzero.execution.values import BadLiteral, parse_arguments, parse_literal, render, same
from tinyzero.tasks import KINDS
from tinyzero.tasks.allowed import check_allowed
from tinyzero.tasks.answers import candidates, final_part
from tinyzero.tasks.base import Style
from tinyzero.types import Execution, Job, Outcome, Prompt, Task, Verdict, VerdictStatus

_ASSERTION = re.compile(r"^[ \t]*(?:assert\s+)?f\(", re.MULTILINE)
_BRACKET_OR_STRING = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[()\[\]{}]", re.DOTALL)
_MAX_EXPRESSION_CHARS = 4096
_BEGIN_ANSWER, _END_ANSWER = "[ANSWER]", "[/ANSWER]"
_TRAITS = Traits(
    names=("cruxeval.jsonl",),
    source="facebookresearch/cruxeval on GitHub, data/cruxeval.jsonl",
    licence="MIT",
    cpu_s=3.0,  # the published checker's limit
    samples=10,
    temperature=0.2,
    exceptions={
        "cruxeval-i/sample_621": "the sandbox has no codec shift_jis, with which its input is encoded"
    },
)
_INPUT_TRAITS = replace(
    _TRAITS, exceptions={"sample_621": "the sandbox has no codec shift_jis, with which its input is encoded"}
)


def _item(fields: Mapping[str, Any]) -> Item:
    for name in ("code", "input", "output"):
        text_field(fields, name)
    parse_literal(fields["output"])
    return Item(id=text_field(fields, "id"), fields=fields)


@dataclass(frozen=True, slots=True)
class CruxEvalOutput:
    """Predict what a call returns."""

    name: str = "cruxeval-o"
    traits: Traits = _TRAITS

    def item(self, fields: Mapping[str, Any]) -> Item:
        return _item(fields)

    def prompt(self, item: Item, style: Style) -> Prompt:
        form = OUTPUT_REASONING if style == "full" else OUTPUT
        return _prompt(self.name, form, item, "deduction", style)

    def canonical(self, item: Item) -> str:
        return str(item.fields["output"])

    def bare(self, text: str) -> str:
        return text

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        outputs = [_written_output(text) for _, text in answers]
        must_run = [not output.is_literal and _is_worth_running(output.source) for output in outputs]
        rows = list(zip(answers, outputs, must_run, strict=True))
        jobs = [_evaluation(item, output.source) for (item, _), output, runs in rows if runs]
        executions = iter(tools.runner.run_jobs(jobs))
        return [
            _mark_of_expression(item, output.source, *next(executions))
            if runs
            else _mark_of_literal(item, output)
            for (item, _), output, runs in rows
        ]


@dataclass(frozen=True, slots=True)
class CruxEvalInput:
    """Find an input that gives an output; any such input is right."""

    name: str = "cruxeval-i"
    traits: Traits = _INPUT_TRAITS

    def item(self, fields: Mapping[str, Any]) -> Item:
        return _item(fields)

    def prompt(self, item: Item, style: Style) -> Prompt:
        form = INPUT_REASONING if style == "full" else INPUT
        return _prompt(self.name, form, item, "abduction", style)

    def canonical(self, item: Item) -> str:
        return f"assert f({item.fields['input']}) == {item.fields['output']}"

    def bare(self, text: str) -> str:
        return text

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        arguments = [_written_arguments(text) for _, text in answers]
        jobs = [
            _call(item, source)
            for (item, _), source in zip(answers, arguments, strict=True)
            if source is not None
        ]
        executions = iter(tools.runner.run_jobs(jobs))
        return [
            _unreadable("no arguments in the answer")
            if source is None
            else _mark_of_call(item, source, *next(executions))
            for (item, _), source in zip(answers, arguments, strict=True)
        ]


def _prompt(name: str, form: str, item: Item, kind: str, style: Style) -> Prompt:
    """The published prompt, whose last line begins the answer; in the compact style that of our own kind."""
    fields = item.fields
    if style == "compact":
        task = Task(
            id=item.id,
            kind=kind,
            program=fields["code"],
            inputs=(fields["input"],),
            outputs=(fields["output"],),
        )
        return KINDS[kind].solve_prompt(task, style)
    text = form
    for field in ("code", "input", "output"):
        text = text.replace(f"<<{field}>>", fields[field])
    head, beginning = text.rstrip("\n").rsplit("\n", 1)
    return Prompt(kind=name, text=f"{head}\n", prefill=f"{beginning}\n")


def _written_output(text: str) -> "_Output":
    """What an answer says that the call returns."""
    asserted = _asserted(text)
    answer = final_part(text)
    within = [_within_tags(answer)] if _BEGIN_ANSWER in answer or _END_ANSWER in answer else []
    elsewhere = [] if asserted else [*within, *candidates(text, "output")]
    for source in [answer.strip(), *asserted, *elsewhere]:
        try:
            return _Output(source, parse_literal(source), is_literal=True)
        except BadLiteral:
            continue
    return _Output(asserted[-1] if asserted else "")


@dataclass(frozen=True, slots=True)
class _Output:
    """An output as written, and its value where it is a literal."""

    source: str
    value: Any = None
    is_literal: bool = False


def _within_tags(answer: str) -> str:
    """What the first closing tag ends, from the last opening tag on."""
    return answer.partition(_END_ANSWER)[0].rpartition(_BEGIN_ANSWER)[2].strip()


def _asserted(text: str) -> list[str]:
    """What the last assertion says that the call returns: all that follows, and its first line."""
    outputs = [output for _, output in _assertions(text) if output]
    return [part for output in outputs for part in (output, output.partition("\n")[0].strip())]


def _assertions(text: str) -> list[tuple[str, str]]:
    """The arguments and the output of the last assertion (or call) in an answer."""
    answer = _within_tags(final_part(text))
    calls = []
    for match in _ASSERTION.finditer(answer):
        end = _closing(answer, match.end())
        if end is None:
            continue
        equals, _, output = answer[end + 1 :].lstrip().partition("==")
        calls.append((answer[match.end() : end], "" if equals else _without_fence(output)))
    return calls[-1:]


def _closing(text: str, start: int) -> int | None:
    """The place of the bracket that closes one opened just before `start`; None if nothing closes it."""
    depth = 1
    for match in _BRACKET_OR_STRING.finditer(text, start):
        depth += (match[0] in "([{") - (match[0] in ")]}")
        if depth == 0:
            return match.start()
    return None


def _without_fence(text: str) -> str:
    return text.partition("\n```")[0].strip()


def _written_arguments(text: str) -> str | None:
    """The source of the arguments of an answer: literals, else an expression that may be evaluated."""
    called = [arguments for arguments, _ in _assertions(text)]
    answer = _within_tags(final_part(text))
    for source in called or [answer, *candidates(text, "input")]:
        try:
            if parse_arguments(source) or called:  # a function may take no argument
                return source
        except BadLiteral:
            continue
    return next((source for source in [*called, answer] if _is_argument_list(source)), None)


def _is_argument_list(source: str) -> bool:
    """Whether it is one list of arguments, and reaches no further than a task's program may."""
    is_short = 0 < len(source) <= _MAX_EXPRESSION_CHARS
    probe = f"def f(*a, **k):\n    return a\nvalue = f({source}\n)"
    return (
        is_short
        and _closing(f"{source}\n)", 0) == len(source) + 1
        and not check_allowed(probe, 2 * len(probe))
    )


def _is_worth_running(expression: str) -> bool:
    """Whether an output may be an expression, as the published checker allows."""
    probe = f"def f(*a, **k):\n    return a\nvalue = (\n{expression}\n)"
    return 0 < len(expression) <= _MAX_EXPRESSION_CHARS and not check_allowed(probe, 2 * len(probe))


def _call(item: Item, arguments: str) -> Job:
    try:
        parse_arguments(arguments)
    except BadLiteral:
        return _evaluation(item, f"f({arguments})")
    return Job(program=item.fields["code"], inputs=(arguments,))


def _evaluation(item: Item, expression: str) -> Job:
    """Evaluates an expression behind the code of the task, in a process that does not know the answer."""
    return Job(program=in_module([item.fields["code"]], f"eval({expression!r}, solution)"), inputs=("",))


def _mark_of_literal(item: Item, output: _Output) -> Mark:
    if not output.is_literal:
        return _unreadable("no literal in the answer")
    value, right = output.value, parse_literal(item.fields["output"])
    # In `assert x == 1, 2` the 2 is the message of the assertion.
    is_bare_tuple = type(value) is tuple and value and not output.source.startswith("(")
    return _mark(
        official=bool((value[0] if is_bare_tuple else value) == right),
        strict=same(value, right, float_tolerance=True),
        answer=render(value),
    )


def _mark_of_expression(item: Item, source: str, execution: Execution) -> Mark:
    """An expression is right officially, unless it only repeats the question; it is no literal."""
    is_repeated = f"f({item.fields['input']})" in source
    right = parse_literal(item.fields["output"])
    mark = _mark(
        official=execution.is_ok and not is_repeated and bool(execution.value == right), strict=False
    )
    if mark.verdict.is_correct or _trouble(execution):
        return Mark(verdict=mark.verdict, trouble=_trouble(execution), by=mark.by)
    return _unreadable("the output is no literal")


def _mark_of_call(item: Item, arguments: str, execution: Execution) -> Mark:
    right = parse_literal(item.fields["output"])
    mark = _mark(
        official=execution.is_ok and bool(execution.value == right),
        strict=execution.is_ok and same(execution.value, right),
        answer=arguments,
    )
    return Mark(verdict=mark.verdict, trouble=_trouble(execution), by=mark.by)


def _trouble(execution: Execution) -> Trouble | None:
    return Trouble.TIMED_OUT if execution.outcome is Outcome.TIMEOUT else None


def _mark(*, official: bool, strict: bool, answer: str = "") -> Mark:
    status = VerdictStatus.CORRECT if official else VerdictStatus.WRONG
    return Mark(verdict=Verdict(status=status, answer=answer), by={"official": official, "strict": strict})


def _unreadable(why: str) -> Mark:
    return Mark(
        verdict=Verdict(status=VerdictStatus.MALFORMED, detail=why), by={"official": False, "strict": False}
    )
