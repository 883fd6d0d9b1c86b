"""The questions that a solver's turn learns from: written at its beginning, kept in checkpoints."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

from tinyzero.errors import CheckpointError
from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

_FILE = "questions.json"


@dataclass(slots=True)
class QuestionSet:
    """What was written in a turn so far, and what of it is kept.

    Attributes:
        turn: number of the solver's turn, -1 before the first.
        num_written: proposals, readable or not.
        rounds: of writing; names their random numbers.
        kept: questions with a label, the only output of their task; no two alike.
    """

    turn: int = -1
    num_written: int = 0
    rounds: int = 0
    kept: list[Task] = field(default_factory=list)

    def begin(self, turn: int) -> None:
        """Start anew with a turn; nothing where it has begun already."""
        if self.turn != turn:
            self.turn, self.num_written, self.rounds, self.kept = turn, 0, 0, []

    def add(self, labelled: Iterable[Task], *, num_written: int) -> None:
        """Take in a round of writing."""
        known = {task.id for task in self.kept}
        self.kept += [task for task in labelled if task.id not in known]
        self.num_written += num_written
        self.rounds += 1

    def draw(self, count: int, place: int, seed: int) -> list[Task]:
        """The questions of a step: each once before one comes again, in an order of its own every time.

        Args:
            place: of the step in the turn, from 0.
        """
        size = len(self.kept)
        places = range(place * count, place * count + min(count, size))
        orders = {epoch: self._order(epoch, seed) for epoch in {at // size for at in places}}
        drawn = [self.kept[orders[at // size][at % size]] for at in places]
        return list({task.id: task for task in drawn}.values())

    def _order(self, epoch: int, seed: int) -> list[int]:
        order = list(range(len(self.kept)))
        Random(f"{seed}/questions/{self.turn}/{epoch}").shuffle(order)
        return order

    def save(self, folder: Path) -> None:
        content = {
            "turn": self.turn,
            "num_written": self.num_written,
            "rounds": self.rounds,
            "kept": [to_record(task) for task in self.kept],
        }
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Become what was saved. Raises CheckpointError."""
        try:
            content: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            kept = [from_record(record) for record in content["kept"]]
            numbers = {name: int(content[name]) for name in ("turn", "num_written", "rounds")}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"cannot read the questions in {folder / _FILE}: {error}") from error
        self.turn, self.num_written, self.rounds = (
            numbers["turn"],
            numbers["num_written"],
            numbers["rounds"],
        )
        self.kept = kept


def labelled(task: Task, label: str) -> Task:
    """The question with an answer that stands for the right one."""
    return replace(task, outputs=(label,))
