"""`tinyzero play`: a whole game with a scripted person and a double of the model; no text ends it."""

import io
import json

import pytest

from tinyzero.cli import run
from tinyzero.cli.match import Match, fits_the_screen
from tinyzero.cli.screen import Screen
from tinyzero.execution import Executor
from tinyzero.types import Task

ADD = "def f(x):\n    return x + 1"
TASKS = {
    "deduction": Task(id="1", kind="deduction", program=ADD, inputs=("41",), outputs=("42",)),
    "abduction": Task(id="2", kind="abduction", program=ADD, inputs=("41",), outputs=("42",)),
    "induction": Task(
        id="3",
        kind="induction",
        program=ADD,
        inputs=("1", "2", "3", "4"),
        outputs=("2", "3", "4", "5"),
        message="add",
    ),
    "error-prediction": Task(
        id="4",
        kind="error-prediction",
        program="def f(a, b):\n    return a[b]",
        inputs=("'a', 3",),
        outputs=("'IndexError'",),
    ),
}
ANSWERS = {"deduction": "43", "abduction": "41", "induction": "no", "error-prediction": "IndexError"}
PERSON = """\
no idea

42
40
not python
/done
def f(x):
    y = 1

    return x + y
/done
/skip
"""
GAME = """\

Round 1 of 4, deduction: what does the call return?

    def f(x):
        return x + 1

    f(41) ?
> no literal in the answer: write the value as Python does, such as 3, 'a' or [1, 2] (or /skip)
> write the value as Python does, such as 3, 'a' or [1, 2] (or /skip)
>\x20
  you:   42  correct
  model: 43  wrong
  right: f(41) = 42
you 1, model 0

Round 2 of 4, abduction: which arguments give this result? Any that do.

    def f(x):
        return x + 1

    f(?) = 42
>\x20
  you:   40  wrong
  model: 41  correct
  right: f(41) = 42
you 1, model 1

Round 3 of 4, induction: write f, which has to work for calls that you do not see, too.

    f(1) = 2
    f(2) = 3
    hint: add
(a line /done ends your program)
> | defines 0 functions and none is named f: write a program with def f(...), and then a line /done (or /skip)
(a line /done ends your program)
> | | | |\x20
  you:   correct (2 of 2 hidden pairs)
  model: no answer that can be read (defines 0 functions and none is named f)
  it was
  def f(x):
      return x + 1
you 2, model 1

Round 4 of 4, error-prediction: which exception does the call raise? NoError if it raises none.

    def f(a, b):
        return a[b]

    f('a', 3) ?
>\x20
  you:   skipped
  model: IndexError  correct
  right: f('a', 3) ends in IndexError
you 2, model 2
You 2, the model 2, after 4 rounds: a draw.
"""


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


@pytest.fixture
def play(executor):
    """The screen's text after a game with what a person types."""

    def run_one(typed, *kinds):
        out, kinds = io.StringIO(), kinds or tuple(TASKS)
        screen = Screen(out, io.StringIO())
        try:
            Match(
                model=lambda task, number: ANSWERS[task.kind],
                typed=io.StringIO(typed) if isinstance(typed, str) else typed,
                screen=screen,
                runner=executor,
                rounds=len(kinds),
            ).play(iter([TASKS[kind] for kind in kinds]))
        finally:
            screen.close()
        return out.getvalue()

    return run_one


def test_a_whole_game(play):
    assert play(PERSON) == GAME


@pytest.mark.parametrize(
    "text",
    [
        "\0", "\x1b[2J", "\udcff", "9" * 4999, "[" * 3000, "</think>", "<think>", "```", "f(", "f()",
        "__import__('os')._exit(1)", "\u202e", "nan", "1e999", "/", "/no-command", "'" * 999,
        "(" + "1," * 6000, "x" * 70_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", list(TASKS))
def test_no_text_ends_the_game(play, kind, text):
    ending = "\n/done\n" if kind == "induction" else "\n"
    said = play(f"{text}{ending}/skip\n/quit\n", kind)
    assert said.splitlines()[-1].startswith(("You 0, the model ", "You 1, the model "))
    assert "\x1b" not in said


def test_a_program_that_escapes_or_never_ends_is_only_wrong(play):
    for body in ("while True:\n        pass", "import os\n    os._exit(1)", "return [0] * 10**12"):
        said = play(f"def f(x):\n    {body}\n/done\n/skip\n", "induction")
        assert said.splitlines()[-1] == "You 0, the model 0, after 1 round: a draw."


def test_the_end_of_the_input_ends_the_game_with_the_score(play):
    assert play("42\n", "deduction", "abduction").splitlines()[-1] == (
        "You 1, the model 0, after 1 round: you win."
    )
    assert play("", "deduction").splitlines()[-1] == "No round was finished."
    assert play("42\n/quit\n", "deduction", "abduction").endswith("you win.\n")


class Interrupted(io.StringIO):
    """A keyboard at which Ctrl-C is pressed once all is typed."""

    def readline(self, size=-1):
        line = super().readline(size)
        if not line:
            raise KeyboardInterrupt
        return line


def test_ctrl_c_ends_the_game_with_the_score(play):
    said = play(Interrupted("42\n"), "deduction", "abduction")
    assert said.splitlines()[-1] == "You 1, the model 0, after 1 round: you win."


def test_a_task_that_no_small_terminal_shows_is_not_played():
    assert all(map(fits_the_screen, TASKS.values()))
    long = "def f(x):\n" + "    x += 1\n" * 20 + "    return x"
    wide = f"def f(x):\n    return x + {'1' * 1900}"
    for program in (long, wide):
        task = Task(id="5", kind="deduction", program=program, inputs=("1",), outputs=("2",))
        assert not fits_the_screen(task)


@pytest.fixture
def command(capsys, monkeypatch):
    def run_one(*arguments, typed=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_one


def test_a_run_s_tasks_are_played_after_they_are_verified_again(command, nano_run):
    lines = [json.loads(line) for line in nano_run.tasks.read_text().splitlines()]
    program = "def f(x):\n    return x * 3 - 4"
    lines[1] |= {"program": program, "inputs": ["5"], "outputs": ["'a lie'"]}
    lines += [{**lines[1], "id": "a3", "program": "import os"}, {**lines[1], "id": "a4", "kind": "poetry"}]
    nano_run.tasks.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    code, out, err = command("play", str(nano_run.path), typed=b"\xff\xfe\n2\n2\n2\n2\n")
    assert code == 0
    assert "first-run, solver, step 4 (the last checkpoint)" in err
    assert out.startswith("You against first-run, step 4\n/skip gives a task up;")
    assert "f(?) = 11" in out
    assert "a lie" not in out
    assert "after 2 rounds" in out.splitlines()[-1]


def test_without_a_run_the_model_that_ships_plays(command):
    code, out, _ = command("play", "--rounds", "1", "--seed", "3", typed=b"/skip\n")
    assert code == 0
    assert out.startswith("You against nano, untrained\n")
    assert "\nRound 1 of 1, " in out
    assert out.splitlines()[-1].startswith("You 0, the model ")


def test_what_cannot_be_played_is_one_line(command, nano_run):
    nano_run.tasks.write_text("")
    code, out, err = command("play", str(nano_run.path))
    assert (code, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: ")
    assert "has no task yet that holds" in err
    config = json.loads((nano_run.path / "config.json").read_text())
    config["selfplay"]["game"] = "r-zero"
    (nano_run.path / "config.json").write_text(json.dumps(config))
    code, out, err = command("play", str(nano_run.path))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "whose questions no program verifies" in err
