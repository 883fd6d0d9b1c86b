"""The game of `tinyzero play`: a person and a model answer the same tasks, and the sandbox judges both.

What the person types is only judged: the model never reads it, and no text ends the game.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TextIO

from tinyzero.cli.own_task import judge
from tinyzero.cli.screen import Screen
from tinyzero.games.choice import ALL_KINDS
from tinyzero.tasks.induction import num_shown
from tinyzero.types import Runner, Task, Verdict, VerdictStatus
from tinyzero.watch.text import clipped, one_line

HELP = "/skip gives a task up; /quit, Ctrl-C or Ctrl-D end the game."
_COLUMNS, _ROWS = 80, 24
_ROWS_AROUND = 6  # the round's heading, empty lines and the answer
_MAX_CHARS = 20_000
_MAX_SHOWN_CHARS = 60
_END_OF_PROGRAM = "/done"

_QUESTIONS = {
    "deduction": "what does the call return?",
    "abduction": "which arguments give this result? Any that do.",
    "error-prediction": "which exception does the call raise? NoError if it raises none.",
    "induction": "write f, which has to work for calls that you do not see, too.",
}
_FORMS = {
    "deduction": "write the value as Python does, such as 3, 'a' or [1, 2]",
    "abduction": "write the arguments as Python does, such as 3 or 'a', [1, 2]",
    "error-prediction": "write a name, such as IndexError or NoError",
    "induction": f"write a program with def f(...), and then a line {_END_OF_PROGRAM}",
}


class _GivesUp(Exception):
    """The person passes on a task."""


class _Leaves(Exception):
    """The person ends the game."""


@dataclass(slots=True, kw_only=True)
class Match:
    """One game.

    Attributes:
        model: the model's answer to a task in a round, prefill included.
        rounds: at most this many; fewer where there are fewer tasks.
        score: right answers of the person and of the model, over `played` rounds.
    """

    model: Callable[[Task, int], str]
    typed: TextIO
    screen: Screen
    runner: Runner
    rounds: int
    score: tuple[int, int] = (0, 0)
    played: int = 0

    def play(self, tasks: Iterator[Task]) -> None:
        """Play until the rounds, the tasks or the person's patience end; the score comes last in any case."""
        try:
            while self.played < self.rounds and (task := next(tasks, None)) is not None:
                self._round(task)
        except (_Leaves, KeyboardInterrupt):
            self.screen.close_wait()
            self.screen.piece("\n")
        finally:
            self.screen.line(self._result())

    def _round(self, task: Task) -> None:
        ask = _QUESTIONS.get(task.kind, "what is the answer?")
        self.screen.line(f"\nRound {self.played + 1} of {self.rounds}, {one_line(task.kind)}: {ask}\n")
        self.screen.line(_as_shown(task))
        try:
            mine: Verdict | None = self._ask(task)
        except _GivesUp:
            mine = None
        self.screen.wait_on_terminal("the model thinks")
        theirs = judge(task, self.model(task, self.played), self.runner)
        self.screen.close_wait()
        right = (int(mine is not None and mine.is_correct), int(theirs.is_correct))
        self.score = (self.score[0] + right[0], self.score[1] + right[1])
        self.played += 1
        self.screen.line(f"\n  you:   {_in_words(mine) if mine else 'skipped'}")
        self.screen.line(f"  model: {_in_words(theirs)}")
        if not all(right):
            self.screen.line(_solution(task))
        self.screen.line(f"you {self.score[0]}, model {self.score[1]}")

    def _ask(self, task: Task) -> Verdict:
        """The verdict on the first answer that can be read; the others cost nothing."""
        while True:
            answer = self._program() if task.kind == "induction" else self._line("> ")
            verdict = judge(task, answer, self.runner) if answer.strip() else None
            if verdict is not None and verdict.status is not VerdictStatus.MALFORMED:
                return verdict
            why = f"{clipped(one_line(verdict.detail), _MAX_SHOWN_CHARS)}: " if verdict else ""
            self.screen.line(f"{why}{_FORMS.get(task.kind, 'answer as the task says')} (or /skip)")

    def _program(self) -> str:
        """The lines up to the one that ends a program."""
        self.screen.line(f"(a line {_END_OF_PROGRAM} ends your program)")
        lines: list[str] = []
        while (line := self._line("> " if not lines else "| ")).strip() != _END_OF_PROGRAM:
            lines.append(line)
            if sum(map(len, lines)) > _MAX_CHARS:
                self.screen.line(f"that is more than {_MAX_CHARS} characters: begin again, with less")
                lines = []
        return "\n".join(lines)

    def _line(self, prompt: str) -> str:
        """A line that the person typed, without its end. Raises _GivesUp, _Leaves."""
        while True:
            self.screen.piece(prompt)
            line = self.typed.readline(_MAX_CHARS)
            if not line:
                raise _Leaves
            if not self._is_too_long(line):
                break
            self.screen.line(f"that is more than {_MAX_CHARS} characters: say it with less")
        word = line.strip()
        if word in ("/quit", "/skip"):
            raise _Leaves if word == "/quit" else _GivesUp
        return line.removesuffix("\n")

    def _is_too_long(self, line: str) -> bool:
        """Whether the line goes on, in which case the rest of it is thrown away."""
        is_cut = len(line) == _MAX_CHARS
        while len(line) == _MAX_CHARS and not line.endswith("\n"):
            line = self.typed.readline(_MAX_CHARS)
        return is_cut

    def _result(self) -> str:
        if not self.played:
            return "No round was finished."
        mine, theirs = self.score
        winner = "a draw" if mine == theirs else "you win" if mine > theirs else "the model wins"
        rounds = "1 round" if self.played == 1 else f"{self.played} rounds"
        return f"You {mine}, the model {theirs}, after {rounds}: {winner}."


def fits_the_screen(task: Task) -> bool:
    """Whether a terminal of 80 columns and 24 rows shows a round with this task."""
    rows = sum(1 + max(0, len(line) - 1) // _COLUMNS for line in _as_shown(task).splitlines())
    return rows + _ROWS_AROUND <= _ROWS


def _as_shown(task: Task) -> str:
    """A task for people: the program with its call, or the calls and the hint; indented."""
    if task.kind == "induction":
        pairs = list(zip(task.inputs, task.outputs, strict=True))[: num_shown(task)]
        lines = [f"f({arguments}) = {output}" for arguments, output in pairs]
        lines += [f"hint: {task.message}"] if task.message else []
    elif task.kind in _QUESTIONS:
        call = f"f(?) = {task.outputs[0]}" if task.kind == "abduction" else f"f({task.inputs[0]}) ?"
        lines = [*task.program.splitlines(), "", call]
    else:
        lines = ALL_KINDS[task.kind].solve_prompt(task, "full").text.splitlines()
    return "\n".join(f"    {line}".rstrip() for line in lines)


def _solution(task: Task) -> str:
    if task.kind == "induction":
        return "\n".join(f"  {line}" for line in ("it was", *task.program.splitlines()))
    result = task.outputs[0].strip("'") if task.kind == "error-prediction" else task.outputs[0]
    return f"  right: f({task.inputs[0]}) {'ends in' if task.kind == 'error-prediction' else '='} {result}"


def _in_words(verdict: Verdict) -> str:
    """The answer as it was read, if it is a short one, and what it was worth."""
    if not verdict.answer:
        return f"no answer that can be read ({one_line(verdict.detail)})"
    if "\n" in verdict.answer:
        return f"{verdict.status} ({one_line(verdict.detail)})" if verdict.detail else str(verdict.status)
    return f"{clipped(one_line(verdict.answer), _MAX_SHOWN_CHARS)}  {verdict.status}"
