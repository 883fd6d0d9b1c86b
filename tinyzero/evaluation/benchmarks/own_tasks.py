"""A file of held-out tasks of our own kinds as a benchmark."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tinyzero.evaluation.benchmarks.base import Item, Mark, Tools, Traits, Trouble
from tinyzero.tasks.base import Kind, Style
from tinyzero.tasks.judging import judge_answers
from tinyzero.tasks.records import from_record
from tinyzero.types import Outcome, Prompt, Verdict

_TRAITS = Traits(
    names=(),
    source="a JSONL file of tasks, as docs/evaluation.md describes it",
    licence="yours",
    cpu_s=0.25,
    samples=8,
    temperature=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTasks:
    """Tasks of the kinds that self-play knows, asked and judged as in training."""

    name: str
    kinds: Mapping[str, Kind]
    traits: Traits = _TRAITS

    def item(self, fields: Mapping[str, Any]) -> Item:
        task = from_record(fields)
        if task.kind not in self.kinds:
            raise ValueError(f"{task.kind!r} is not a kind; the kinds are {', '.join(self.kinds)}")
        if not task.outputs:
            raise ValueError("it has no output, so that no answer could be judged")
        return Item(id=task.id, fields=fields)

    def prompt(self, item: Item, style: Style) -> Prompt:
        task = from_record(item.fields)
        return self.kinds[task.kind].solve_prompt(task, style)

    def canonical(self, item: Item) -> str:
        """The recorded input, output or program, in the fence in which an answer has it."""
        task = from_record(item.fields)
        answer = {"deduction": task.outputs[0], "abduction": (*task.inputs, "")[0], "induction": task.program}
        return self.kinds[task.kind].render_answer(task, answer.get(task.kind, task.outputs[0]), "full")

    def bare(self, text: str) -> str:
        return text

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        tasks = [from_record(item.fields) for item, _ in answers]
        texts = [[text] for _, text in answers]
        groups = judge_answers(tasks, texts, kinds=self.kinds, runner=tools.runner)
        return [Mark(verdict=verdict, trouble=_trouble(verdict)) for (verdict,) in groups]


def _trouble(verdict: Verdict) -> Trouble | None:
    return Trouble.TIMED_OUT if verdict.detail == Outcome.TIMEOUT else None
