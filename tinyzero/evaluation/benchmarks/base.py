"""What a benchmark is: how its file is read, how a task is asked, and what an answer to it is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from tinyzero.tasks.base import Kind, Style
from tinyzero.types import Prompt, Runner, Verdict

Pair = tuple[str, str]


class Trouble(StrEnum):
    """Why an answer counts as wrong although nobody knows that it is. The value is the key of its count."""

    TIMED_OUT = "timed_out"
    """Its program used up its CPU time."""
    NOT_COMPARED = "not_compared"
    """The comparison with the right answer took too long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A task of a benchmark.

    Attributes:
        fields: of its line in the published file, as published.
    """

    id: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What an answer is worth.

    Attributes:
        verdict: by the benchmark's main definition; MALFORMED where no answer could be read.
        by: the other definitions of "correct" that are shown beside it, by name.
    """

    verdict: Verdict
    trouble: Trouble | None = None
    by: Mapping[str, bool] = field(default_factory=dict)


class Comparer(Protocol):
    """Says which short answers mean the same, and where it cannot tell."""

    def verdicts(self, pairs: Sequence[Pair]) -> list[bool | None]:
        """One entry per pair; None where the comparison failed or took too long."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What grading needs from the rooms around: a sandbox, a comparer of formulas, the kinds of task."""

    runner: Runner
    comparer: Comparer
    kinds: Mapping[str, Kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Facts about a benchmark.

    Attributes:
        names: patterns of its file, best first, below the data folder or one level deeper.
        source: where its file is published.
        licence: of the file.
        cpu_s: CPU seconds for one run of a program; None where no program runs.
        samples, temperature: of the published protocol; temperature 0 is greedy.
        max_tokens: budget of an answer.
        has_majority: whether the most frequent answer to a task means something.
        exceptions: ids of tasks that are not judged as published, with the reason.
    """

    names: Sequence[str]
    source: str
    licence: str
    cpu_s: float | None = None
    samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 1024
    has_majority: bool = True
    exceptions: Mapping[str, str] = field(default_factory=dict)


class Benchmark(Protocol):
    """One benchmark."""

    @property
    def name(self) -> str: ...

    @property
    def traits(self) -> Traits: ...

    def item(self, fields: Mapping[str, Any]) -> Item:
        """The task of a line. Raises KeyError, TypeError or ValueError where it is not of this benchmark."""
        ...

    def prompt(self, item: Item, style: Style) -> Prompt:
        """How the task is asked."""
        ...

    def canonical(self, item: Item) -> str:
        """The published solution as an answer."""
        ...

    def bare(self, text: str) -> str:
        """The answer that says no more than this; for texts that are known to be final answers."""
        ...

    def grade(self, answers: Sequence[tuple[Item, str]], tools: Tools) -> list[Mark]:
        """One mark per answer, in order."""
        ...


def text_field(fields: Mapping[str, Any], name: str) -> str:
    """The text of a field. Raises KeyError or TypeError."""
    value = fields[name]
    if not isinstance(value, str):
        raise TypeError(f"the field {name} is no text")
    return value
