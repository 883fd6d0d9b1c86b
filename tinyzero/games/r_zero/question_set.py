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
_NUMBERS = ("turn", "num_written", "rounds", "extended_at")


@dataclass(slots=True)
class QuestionSet:
    """What was written in a turn so far, and what of it is kept.

    Attributes:
        turn: number of the solver's turn, -1 before the first.
        num_written: proposals, readable or not.
        rounds: of writing; names their random numbers.
        kept: questions with a label, the only output of their task; no two alike.
        extended_at: the newest step for which one more round was written, since there were too few; or -1.
        reported: ids of the run's questions that were reported as new tasks.
    """

    turn: int = -1
    num_written: int = 0
    rounds: int = 0
    kept: list[Task] = field(default_factory=list)
    extended_at: int = -1
    reported: set[str] = field(default_factory=set)

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
        """The questions of a step, no two alike; a question comes again after all the others have come.

        Args:
            place: of the step in the turn, from 0.
        """
        if len(self.kept) <= count:
            return list(self.kept)
        sequence: list[int] = []
        epoch = 0
        while len(sequence) < (place + 1) * count:
            # Questions already in the batch that this epoch completes are drawn last.
            in_batch = set(sequence[len(sequence) - len(sequence) % count :])
            order = self._order(epoch, seed)
            sequence += sorted(order, key=in_batch.__contains__)
            epoch += 1
        return [self.kept[index] for index in sequence[place * count : (place + 1) * count]]

    def _order(self, epoch: int, seed: int) -> list[int]:
        order = list(range(len(self.kept)))
        Random(f"{seed}/questions/{self.turn}/{epoch}").shuffle(order)
        return order

    def unreported(self, tasks: Iterable[Task]) -> list[Task]:
        """Those that are reported for the first time now."""
        unreported = [task for task in tasks if task.id not in self.reported]
        self.reported.update(task.id for task in unreported)
        return unreported

    def save(self, folder: Path) -> None:
        content = {
            "turn": self.turn,
            "num_written": self.num_written,
            "rounds": self.rounds,
            "extended_at": self.extended_at,
            "kept": [to_record(task) for task in self.kept],
            "told": sorted(self.reported),
        }
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Become what was saved. Raises CheckpointError."""
        try:
            content: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            kept = [from_record(record) for record in content["kept"]]
            reported = {str(name) for name in content["told"]}
            numbers = {name: int(content[name]) for name in _NUMBERS}
            _check(kept, num_written=numbers["num_written"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"cannot read the questions in {folder / _FILE}: {error}") from error
        for name, number in numbers.items():
            setattr(self, name, number)
        self.kept, self.reported = kept, reported


def _check(kept: Iterable[Task], *, num_written: int) -> None:
    """Raises ValueError."""
    labels = [task.outputs for task in kept]
    if num_written < len(labels) or any(len(label) != 1 for label in labels):
        raise ValueError("a question without a label, or more kept than written")


def labelled(task: Task, label: str) -> Task:
    """The question with an answer that stands for the right one."""
    return replace(task, outputs=(label,))
