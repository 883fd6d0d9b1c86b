"""The questions that a solver's turn learns from. They are written at its start and saved in checkpoints."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random

from tinyzero.errors import CheckpointError
from tinyzero.foreign import read_json_object
from tinyzero.games.r_zero.truth import LabelTally
from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

_FILE = "questions.json"
_NUMBERS = ("turn", "num_written", "rounds", "extended_at")
_READ = {"questions": 1, "questions read": 1, "answers": 1, "answers read": 1}
"""What a checkpoint of an earlier version counts as having seen."""


@dataclass(slots=True)
class QuestionSet:
    """The questions written in a turn so far, and those of them that are kept.

    Attributes:
        turn: number of the solver's turn, -1 before the first.
        num_written: number of proposals, readable or not.
        rounds: number of writing rounds; part of the name of their random streams.
        kept: distinct questions; the label is the only output of each task.
        extended_at: the last step that wrote one more round because there were too few questions; or -1.
        reported: ids of all questions of the run that were reported as new tasks.
        shares: id -> share of the label among the answers that it was chosen from.
        tally: how right the labels of the turn are.
        seen: over the whole run, numbers of `questions` written and of `answers` to them, and how many of
            each could be read.
        imported: labelled questions that a person added, which are part of every set.
    """

    turn: int = -1
    num_written: int = 0
    rounds: int = 0
    kept: list[Task] = field(default_factory=list)
    extended_at: int = -1
    reported: set[str] = field(default_factory=set)
    shares: dict[str, float] = field(default_factory=dict)
    tally: LabelTally = field(default_factory=LabelTally)
    seen: Counter[str] = field(default_factory=Counter)
    imported: list[Task] = field(default_factory=list)

    def begin(self, turn: int) -> None:
        """Start a turn with no other than imported questions. Does nothing if the turn has begun already."""
        if self.turn != turn:
            self.turn, self.num_written, self.rounds, self.kept = turn, 0, 0, list(self.imported)
            self.shares, self.tally = {}, LabelTally()

    def add(self, labelled: Mapping[str, tuple[Task, float]], *, num_written: int) -> None:
        """Add the questions of one writing round.

        Args:
            labelled: id -> the question, and the share of its label.
        """
        known = {task.id for task in self.kept}
        fresh = {name: item for name, item in labelled.items() if name not in known}
        self.kept += [task for task, _ in fresh.values()]
        self.shares |= {name: share for name, (_, share) in fresh.items()}
        self.num_written += num_written
        self.rounds += 1

    def take(self, labelled: Iterable[Task]) -> None:
        """Add imported questions, each once."""
        known = {task.id for task in (*self.imported, *self.kept)}
        fresh = [task for task in labelled if task.id not in known]
        self.imported += fresh
        self.kept += fresh

    @property
    def num_kept_written(self) -> int:
        """Questions of the turn that were written in it and kept."""
        imported = {task.id for task in self.imported}
        return sum(task.id not in imported for task in self.kept)

    def draw(self, count: int, place: int, seed: int) -> list[Task]:
        """The questions of a step, all different. A question repeats only after all others were drawn.

        Args:
            place: index of the step in the turn, from 0.
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
        """The tasks that have not been reported before; marks them as reported."""
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
            "shares": self.shares,
            "tally": asdict(self.tally),
            "seen": self.seen,
            "imported": [to_record(task) for task in self.imported],
        }
        (folder / _FILE).write_text(json.dumps(content), encoding="utf-8")

    def load(self, folder: Path) -> None:
        """Load the saved set. Raises CheckpointError."""
        try:
            content = read_json_object(folder / _FILE)
            kept = [from_record(record) for record in content["kept"]]
            reported = {str(name) for name in content["told"]}
            numbers = {name: int(content[name]) for name in _NUMBERS}
            shares = {str(name): float(share) for name, share in content.get("shares", {}).items()}
            tally = LabelTally(**content.get("tally", {}))
            seen = Counter({str(name): int(number) for name, number in content.get("seen", _READ).items()})
            imported = [from_record(record) for record in content.get("imported", [])]
            _check(kept, num_written=numbers["num_written"] + len(imported))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"cannot read the questions in {folder / _FILE}: {error}") from error
        for name, number in numbers.items():
            setattr(self, name, number)
        self.kept, self.reported = kept, reported
        self.shares, self.tally, self.seen, self.imported = shares, tally, seen, imported


def _check(kept: Iterable[Task], *, num_written: int) -> None:
    """Raises ValueError."""
    labels = [task.outputs for task in kept]
    if num_written < len(labels) or any(len(label) != 1 for label in labels):
        raise ValueError("a question without a label, or more kept than written")


def labelled(task: Task, label: str) -> Task:
    """The question with a label in place of the right answer."""
    return replace(task, outputs=(label,))
