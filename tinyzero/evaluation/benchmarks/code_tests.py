"""HumanEval+ and MBPP+ (EvalPlus, arXiv:2305.01210): programs that must pass many tests.

The published reference solution gives the right outputs, in a process of its own. The answer's program runs
in other processes, which get inputs only; its outputs are compared here. Inputs share a process, as in
EvalPlus, in portions that the reference runs in at most a quarter of the CPU time that a program has.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tinyzero.errors import ConfigError
from tinyzero.evaluation.benchmarks.base import Item, Mark, Tools, Traits, Trouble, text_field
from tinyzero.evaluation.benchmarks.code_outputs import Rows, outputs_job, same_output
from tinyzero.evaluation.benchmarks.mbpp_inputs import typed_arguments
from tinyzero.evaluation.benchmarks.written_code import sources_of
from tinyzero.tasks.base import Style
from tinyzero.types import Execution, Outcome, Prompt, Runner, Verdict, VerdictStatus

_INPUTS_PER_RUN = 100
_CPU_S = 5.0
"""Of one run; evalplus gives each input 1 s of wall time, or four times the reference's."""
_REFERENCE_CPU_S = _CPU_S / 4
_PARTS = 8
"""Into which a portion is split that is too long or too large for a run."""
_LEFT_OUT: Mapping[str, Callable[[Sequence[Any]], bool]] = {
    "Mbpp/255": lambda row: row[1] >= 76,
}
"""Inputs on which no program is run, by task; the reasons are in the traits."""
_HUMANEVAL = Traits(
    names=("HumanEvalPlus.jsonl*", "HumanEvalPlus*.jsonl*"),
    source="evalplus/humanevalplus_release on GitHub, HumanEvalPlus.jsonl.gz or its NoExtreme edition",
    licence="Apache-2.0",
    cpu_s=_CPU_S,
    has_majority=False,
)
_MBPP = Traits(
    names=("MbppPlus.jsonl*", "MbppPlus*.jsonl*"),
    source="evalplus/mbppplus_release on GitHub, MbppPlus.jsonl.gz or its NoExtreme edition",
    licence="Apache-2.0",
    cpu_s=_CPU_S,
    has_majority=False,
    exceptions={"Mbpp/255": "five inputs are left out, with outputs of 79,079 and more tuples of 76 items"},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portion:
    """Inputs that share a run, with the right outputs.

    Attributes:
        is_plus: whether they are EvalPlus' additions to the original tests.
        outputs: as the helpers give them, one per row: a list of the value, or `digest of` and a digest.
    """

    rows: Rows
    is_plus: bool
    outputs: Sequence[Any] = ()


@dataclass(slots=True, kw_only=True)
class _Attempt:
    """The program of an answer, on its way through the portions."""

    item: Item
    sources: Sequence[str]
    is_right: bool = True
    passed_base: bool = True
    trouble: Trouble | None = None
    detail: str = ""

    def look(self, portion: _Portion, execution: Execution) -> None:
        """Compare the outputs of one portion."""
        if self._passes(portion, execution):
            return
        self.is_right, self.passed_base = False, portion.is_plus
        self.detail = execution.detail or str(execution.outcome)
        if execution.is_ok:
            self.detail = "a plus test fails" if portion.is_plus else "a base test fails"
        if execution.outcome is Outcome.TIMEOUT:
            self.trouble = Trouble.TIMED_OUT

    def _passes(self, portion: _Portion, execution: Execution) -> bool:
        outputs = execution.value
        if not execution.is_ok or type(outputs) is not list or len(outputs) != len(portion.rows):
            return False
        tolerance = float(self.item.fields["atol"])
        return all(
            same_output(self.item.id, output, right, row, tolerance)
            for output, right, row in zip(outputs, portion.outputs, portion.rows, strict=True)
        )

    def mark(self) -> Mark:
        status = VerdictStatus.CORRECT if self.is_right else VerdictStatus.WRONG
        return Mark(
            verdict=Verdict(status=status, answer="\n".join(self.sources), detail=self.detail),
            trouble=self.trouble,
            by={"base": self.passed_base, "plus": self.is_right},
        )


@dataclass(slots=True, kw_only=True)
class _CodeTests:
    """A benchmark of functions that must pass the base tests and the plus tests."""

    name: str
    traits: Traits
    has_json_inputs: bool
    """Whether the inputs are what JSON says; MBPP+ has tuples, sets and complex numbers among them."""
    _references: dict[str, list[_Portion]] = field(default_factory=dict)
    _num_unanswered: dict[str, int] = field(default_factory=dict)

    def item(self, fields: Mapping[str, Any]) -> Item:
        for name in ("prompt", "entry_point", "canonical_solution"):
            text_field(fields, name)
        _ = float(fields["atol"]), len(fields["base_input"]), len(fields["plus_input"])
        return Item(id=text_field(fields, "task_id"), fields=fields)

    def prompt(self, item: Item, style: Style) -> Prompt:
        """EvalPlus' words for instruct models, but the answer is not begun: that would forbid thinking."""
        text = f"{_INSTRUCTION}\n```python\n{item.fields['prompt'].strip()}\n```\n"
        return Prompt(kind=self.name, text=text, reasons=style == "full")

    def canonical(self, item: Item) -> str:
        return str(item.fields["canonical_solution"])

    def bare(self, text: str) -> str:
        return text

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        attempts = [
            _Attempt(item=item, sources=sources_of(text, item.fields["prompt"], item.fields["entry_point"]))
            for item, text in answers
        ]
        readable = [attempt for attempt in attempts if attempt.sources]
        self._learn_references({attempt.item.id: attempt.item for attempt in readable}.values(), tools.runner)
        _run(readable, self._references, tools.runner)
        return [attempt.mark() if attempt.sources else _UNREADABLE for attempt in attempts]

    def _learn_references(self, items: Collection[Item], runner: Runner) -> None:
        """Run the reference solutions of new tasks, in portions that are neither long nor large."""
        waiting = [
            (item, portion)
            for item in items
            if item.id not in self._references
            for portion in self._portions(item)
        ]
        self._references |= {item.id: [] for item, _ in waiting}
        while waiting:
            jobs = [outputs_job(item, _reference(item), portion.rows) for item, portion in waiting]
            executions = [execution for (execution,) in runner.run_jobs(jobs)]
            smaller: list[tuple[Item, _Portion]] = []
            for (item, portion), execution in zip(waiting, executions, strict=True):
                if _is_too_much(execution) and len(portion.rows) > 1:
                    smaller += [(item, part) for part in _parts(portion)]
                    continue
                self._keep(item, portion, execution)
            waiting = smaller
        silent = next((item.id for item in items if not self._references[item.id]), None)
        if silent is not None:
            raise ConfigError(
                f"the reference solution of {silent} answers none of its own inputs; compare the file with "
                "the published one"
            )

    def _keep(self, item: Item, portion: _Portion, execution: Execution) -> None:
        """The portion with the right outputs; left out, and reported, where the reference does not answer."""
        if execution.is_ok:
            answered = replace(portion, outputs=execution.value)
            self._references[item.id].append(answered)
            return
        self._num_unanswered[item.id] = self._num_unanswered.get(item.id, 0) + len(portion.rows)
        why = f"inputs left out, for which the reference solution has no answer ({execution.outcome})"
        exceptions = {**self.traits.exceptions, item.id: f"{self._num_unanswered[item.id]} {why}"}
        self.traits = replace(self.traits, exceptions=exceptions)

    def _portions(self, item: Item) -> Iterator[_Portion]:
        for name in ("base_input", "plus_input"):
            kept = [row for row in item.fields[name] if not _LEFT_OUT.get(item.id, _never)(row)]
            rows = [self._arguments(item, row) for row in kept]
            for start in range(0, len(rows), _INPUTS_PER_RUN):
                yield _Portion(rows=rows[start : start + _INPUTS_PER_RUN], is_plus=name == "plus_input")

    def _arguments(self, item: Item, row: list[Any]) -> list[Any]:
        return row if self.has_json_inputs else typed_arguments(item.id, row)


def humaneval_plus() -> _CodeTests:
    return _CodeTests(name="humaneval+", traits=_HUMANEVAL, has_json_inputs=True)


def mbpp_plus() -> _CodeTests:
    return _CodeTests(name="mbpp+", traits=_MBPP, has_json_inputs=False)


def _run(attempts: Sequence[_Attempt], references: Mapping[str, list[_Portion]], runner: Runner) -> None:
    """Portion by portion, so that a program that fails is not run any further; base tests come first."""
    orders = {
        attempt.item.id: sorted(references[attempt.item.id], key=lambda portion: portion.is_plus)
        for attempt in attempts
    }
    for number in range(max(map(len, orders.values()), default=0)):
        alive = [
            (attempt, orders[attempt.item.id][number])
            for attempt in attempts
            if attempt.is_right and number < len(orders[attempt.item.id])
        ]
        jobs = [outputs_job(attempt.item, attempt.sources, portion.rows) for attempt, portion in alive]
        for (attempt, portion), (execution,) in zip(alive, runner.run_jobs(jobs), strict=True):
            attempt.look(portion, execution)


def _reference(item: Item) -> Sequence[str]:
    """The published solution, which goes on with the prompt in HumanEval+ and is a program in MBPP+."""
    return [item.fields["prompt"] + item.fields["canonical_solution"]]


def _is_too_much(execution: Execution) -> bool:
    return not execution.is_ok or execution.cpu_s > _REFERENCE_CPU_S


def _never(_: Sequence[Any]) -> bool:
    return False


def _parts(portion: _Portion) -> Iterator[_Portion]:
    size = math.ceil(len(portion.rows) / _PARTS)
    for start in range(0, len(portion.rows), size):
        yield _Portion(rows=portion.rows[start : start + size], is_plus=portion.is_plus)


_INSTRUCTION = (
    "Please provide a self-contained Python script that solves the following problem in a markdown "
    "code block:"
)
_UNREADABLE = Mark(
    verdict=Verdict(status=VerdictStatus.MALFORMED, detail="no program in the answer"),
    by={"base": False, "plus": False},
)
