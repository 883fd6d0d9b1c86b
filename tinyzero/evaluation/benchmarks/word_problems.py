"""GSM8K and MATH-500: short answers to mathematical questions, compared by meaning.

The comparison runs in confined processes with a limit of CPU time: sympy is known to hang.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyzero.evaluation.benchmarks.base import Item, Mark, Tools, Traits, Trouble, text_field
from tinyzero.tasks.answers import boxed, final_part
from tinyzero.tasks.base import Style
from tinyzero.types import Prompt, Verdict, VerdictStatus

_NUMBER = re.compile(r"(?<![\w.])-?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<![\w.])-?\$?\.\d+")
_PAIRS_AT_ONCE = 12
"""So few that the comparer never skips a pair because others of the same call were slow."""
_BOXED, _LAST_NUMBER = "boxed", "last_number"

Reader = Callable[[str], str]
"""The answer in a text; empty where there is none."""


def _read_boxed(text: str) -> str:
    r"""What the last `\boxed{}` after the thought holds."""
    return " ".join(boxed(final_part(text)).split())


def _read_last_number(text: str) -> str:
    """The last number after the thought, without thousands separators."""
    numbers = _NUMBER.findall(final_part(text))
    return numbers[-1].replace(",", "").replace("$", "") if numbers else ""


def _read_boxed_or_last_number(text: str) -> str:
    return _read_boxed(text) or _read_last_number(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class _WordProblems:
    """A set of questions with short answers.

    Attributes:
        question, solution: names of the fields with the question and with a worked solution.
        right_answer: the answer of a task's fields.
        read: the main definition of what an answer says. others: shown beside it, by name.
    """

    name: str
    traits: Traits
    question: str
    solution: str
    right_answer: Callable[[Mapping[str, Any]], str]
    id_of: Callable[[Mapping[str, Any]], str]
    read: Reader
    others: Mapping[str, Reader]

    def item(self, fields: Mapping[str, Any]) -> Item:
        text_field(fields, self.question)
        text_field(fields, self.solution)
        if not self.right_answer(fields):
            raise ValueError("it has no answer")
        return Item(id=self.id_of(fields), fields=fields)

    def prompt(self, item: Item, style: Style) -> Prompt:
        text = f"{item.fields[self.question]}\n\n{_INSTRUCTION}"
        return Prompt(kind=self.name, text=text, reasons=style == "full")

    def canonical(self, item: Item) -> str:
        return str(item.fields[self.solution])

    def bare(self, text: str) -> str:
        return text if "\\boxed" in text or _LAST_NUMBER in self.others else f"\\boxed{{{text}}}"

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        readers = [self.read, *self.others.values()]
        rows = [(self.right_answer(item.fields), [read(text) for read in readers]) for item, text in answers]
        pairs = list(dict.fromkeys((given, right) for right, texts in rows for given in texts if given))
        known: dict[tuple[str, str], bool | None] = {}
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            chunk = pairs[start : start + _PAIRS_AT_ONCE]
            known |= dict(zip(chunk, tools.comparer.verdicts(chunk), strict=True))
        return [
            self._mark(texts, [known.get((given, right), False) for given in texts]) for right, texts in rows
        ]

    def _mark(self, texts: Sequence[str], verdicts: Sequence[bool | None]) -> Mark:
        (given, *_), (verdict, *others) = texts, verdicts
        status = VerdictStatus.CORRECT if verdict else VerdictStatus.WRONG
        return Mark(
            verdict=Verdict(status=status if given else VerdictStatus.MALFORMED, answer=given),
            trouble=Trouble.NOT_COMPARED if given and verdict is None else None,
            by={name: other is True for name, other in zip(self.others, others, strict=True)},
        )


def gsm8k() -> _WordProblems:
    return _WordProblems(
        name="gsm8k",
        traits=Traits(
            names=("gsm8k/test.jsonl", "gsm8k*.jsonl", "test.jsonl"),
            source="openai/grade-school-math on GitHub, grade_school_math/data/test.jsonl",
            licence="MIT",
        ),
        question="question",
        solution="answer",
        right_answer=lambda fields: fields["answer"].rpartition("####")[2].strip().replace(",", ""),
        id_of=lambda fields: f"gsm8k/{fields['line']}",
        read=_read_boxed_or_last_number,
        others={_BOXED: _read_boxed, _LAST_NUMBER: _read_last_number},
    )


def math500() -> _WordProblems:
    return _WordProblems(
        name="math500",
        traits=Traits(
            names=("math500/test.jsonl", "math*500*.jsonl", "MATH*500*.jsonl", "test.jsonl"),
            source="openai/prm800k on GitHub, prm800k/math_splits/test.jsonl",
            licence="not stated by its source",
        ),
        question="problem",
        solution="solution",
        right_answer=lambda fields: str(fields["answer"]).strip(),
        id_of=lambda fields: str(fields.get("unique_id", f"math500/{fields['line']}")),
        read=_read_boxed,
        others={},
    )


_INSTRUCTION = "Please reason step by step, and put your final answer within \\boxed{}."
