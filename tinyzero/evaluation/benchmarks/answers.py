"""Answers to a benchmark that were written elsewhere: lines with a task's id and a text."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinyzero.errors import ConfigError
from tinyzero.evaluation.benchmarks.base import Benchmark, Item
from tinyzero.evaluation.benchmarks.choice import json_lines

_IDS = ("id", "task_id")
_TEXTS = ("completion", "answer", "solution")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenAnswer:
    """One answer to a task.

    Attributes:
        text: from the beginning of the answer, with what was put into the model's mouth.
        is_truncated: whether the token budget cut it off.
        num_tokens: sampled tokens, where they are known.
        seconds, joules: its share of what sampling it with others took, where that was measured.
    """

    item: Item
    text: str
    is_truncated: bool = False
    num_tokens: int | None = None
    seconds: float | None = field(default=None, compare=False)
    joules: float | None = field(default=None, compare=False)


def read_answers(path: Path, benchmark: Benchmark, items: Sequence[Item]) -> list[WrittenAnswer]:
    """The answers of a file. A line is `{"id" or "task_id": ..., "completion" or "answer": ...}`.

    A line may say `"finish_reason": "length"`. An id may be given without what comes before its last slash.

    Raises:
        ConfigError: the file cannot be read, a line is no answer, or its task is not of this benchmark.
    """
    by_id = _by_id(items)
    answers = [
        _answer(record, by_id, benchmark, f"line {number} of {path}")
        for number, record in enumerate(json_lines(path), start=1)
    ]
    if not answers:
        raise ConfigError(f'{path} holds no answer; a line is {{"id": "{items[0].id}", "completion": "..."}}')
    return answers


def _by_id(items: Sequence[Item]) -> dict[str, Item]:
    short = Counter(item.id.rpartition("/")[2] for item in items)
    by_short = {item.id.rpartition("/")[2]: item for item in items}
    unique = {name: item for name, item in by_short.items() if short[name] == 1}
    return {**unique, **{item.id: item for item in items}}


def _answer(
    record: Mapping[str, object], by_id: dict[str, Item], benchmark: Benchmark, place: str
) -> WrittenAnswer:
    example = next(reversed(by_id))
    form = f'a line is {{"id": "{example}", "completion": "..."}}'
    name = next((str(record[key]) for key in _IDS if key in record), None)
    if name is None:
        raise ConfigError(f"{place} has no id; {form}")
    if name not in by_id:
        raise ConfigError(f"{place}: {benchmark.name} has no task {name}; an id looks like {example}")
    key = next((key for key in _TEXTS if key in record), None)
    if key is None:
        raise ConfigError(f"{place} has no completion; {form}")
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(f"{place}: its {key} is no text; {form}, and several samples are several lines")
    text = benchmark.bare(str(value)) if key == "answer" else str(value)
    return WrittenAnswer(item=by_id[name], text=text, is_truncated=record.get("finish_reason") == "length")
