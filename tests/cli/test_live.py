"""The real program in a pseudo-terminal: what a person sees, types and gets back."""

import io
import json
import re
import signal
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyte")
from made import sample, task, write_run
from terminals import Seat

from tinyzero.cli.screen import Screen
from tinyzero.run.records import read

SCRIPT = Path(__file__).with_name("scripted.py")
TRAIN = [sys.executable, str(SCRIPT), "train", "--preset", "nano-cpu", "--name", "x"]
WATCH = [sys.executable, "-m", "tinyzero", "watch"]


@pytest.fixture
def sit(tmp_path):
    seats = []

    def sit_down(command, **options):
        seats.append(Seat(command, tmp_path, **options))
        return seats[-1]

    yield sit_down
    for seat in seats:
        seat.close()


def events(tmp_path):
    return [event["event"] for event in read(tmp_path / "runs" / "x" / "events.jsonl")]


@pytest.mark.slow
def test_a_person_watches_steers_resizes_and_ends_a_run(sit, tmp_path):
    seat = sit([*TRAIN, "--max-steps", "500"], STEP_S="0.3")
    seat.wait_for("TinyZero x", "● training", "solver accuracy", "proposals a step", "p pause  s save now")
    assert all(len(line) <= 120 for line in seat.lines())

    seat.type("s")
    seat.wait_for("saving after this step", "saved step")
    seat.type("p")
    seat.wait_for("● paused")
    steps = len(list(read(tmp_path / "runs" / "x" / "metrics.jsonl")))

    seat.type("h")
    seat.wait_for("help", "This view has taken")
    seat.type("hk")
    seat.wait_for("kind: deduction")
    seat.resize(80, 24)
    seat.wait_for("proposed 0 → parsed 0", "solver accuracy")
    assert max(len(line) for line in seat.lines()) <= 80
    seat.resize(30, 6)
    seat.wait_for("TinyZero")
    seat.resize(200, 60)
    seat.wait_for("newest tasks", "policy entropy")
    assert len(list(read(tmp_path / "runs" / "x" / "metrics.jsonl"))) == steps

    seat.type("p")
    seat.wait_for("● training")
    seat.type("q")
    seat.wait_for("q again: save after this step")
    seat.type("n")
    seat.type("\x03")
    assert seat.leave() == 0
    seat.wait_for("adapter in runs/x/adapter; go on: tinyzero train --resume runs/x", "● stopped")
    seat.wait_for("Not measured on held-out tasks", "next: tinyzero train --resume x", "tinyzero report x")
    assert seat.is_as_before()
    assert b"\x1b[?1049l" in seat.raw
    assert b"\x1b[?25h" in seat.raw
    assert {"paused", "resumed", "checkpoint", "end"} <= set(events(tmp_path))


def test_q_twice_ends_a_run(sit, tmp_path):
    seat = sit(TRAIN, STEP_S="0.2")
    seat.wait_for("● training")
    seat.type("q")
    seat.wait_for("q again")
    seat.type("q")
    assert seat.leave() == 0
    assert events(tmp_path)[-1] == "end"


def test_closing_the_view_goes_on_in_plain_lines(sit):
    seat = sit([*TRAIN, "--max-steps", "10"], STEP_S="0.3")
    seat.wait_for("● training")
    seat.type("d")
    seat.wait_for("10/10", "adapter in runs/x/adapter")
    assert seat.leave() == 0
    assert seat.is_as_before()


def test_a_view_that_dies_does_not_end_the_training(sit, tmp_path):
    broken = "import tinyzero.watch.drawer as drawer; drawer.render = None; "
    arguments = [*TRAIN[1:], "--max-steps", "8"]
    run = f"import runpy, sys; sys.argv = {arguments!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    seat = sit([sys.executable, "-c", broken + run], STEP_S="0.2")
    seat.wait_for("8/8", "adapter in runs/x/adapter")
    assert seat.leave() == 0
    assert seat.is_as_before()
    assert "the live view ended; training goes on" in (tmp_path / "runs" / "x" / "run.log").read_text()


def test_an_error_of_our_own_gives_the_terminal_back_before_its_traceback(sit):
    seat = sit(TRAIN, FAIL="bug", STEP_S="1")
    seat.wait_for("ZeroDivisionError")
    assert seat.leave() == 1
    assert seat.is_as_before()
    assert seat.raw.rindex(b"Traceback") > seat.raw.rindex(b"\x1b[?1049l")


def test_the_second_ctrl_c_leaves_at_once_and_gives_the_terminal_back(sit):
    seat = sit(TRAIN, STEP_S="0,60")
    seat.wait_for("step 1/")
    seat.type("\x03")
    seat.wait_for("SIGINT: saving after this step")
    seat.type("\x03")
    assert seat.leave() == 130
    assert seat.is_as_before()


@pytest.mark.parametrize(
    ("variables", "is_live"),
    [({"TERM": "dumb"}, False), ({"TTY_INTERACTIVE": "0"}, False), ({"NO_COLOR": "1"}, True)],
)
def test_the_usual_variables_decide_how_much_is_drawn(sit, variables, is_live):
    seat = sit([*TRAIN, "--max-steps", "3"], STEP_S="0.3", **variables)
    seat.wait_for("adapter in runs/x/adapter")
    assert seat.leave() == 0
    assert (b"\x1b[?1049h" in seat.raw) is is_live
    assert not re.search(rb"\x1b\[([0-9;]*;)?[34][0-8][0-9;]*m", seat.raw)


def test_ascii_is_ascii(sit):
    seat = sit([*TRAIN, "--max-steps", "3", "--ascii"], STEP_S="0.3")
    seat.wait_for("adapter in runs/x/adapter")
    assert seat.leave() == 0
    assert b"solver accuracy" in seat.raw
    assert seat.raw.isascii()


def test_watch_shows_a_run_that_is_being_written_and_leaves_it_alone(sit, tmp_path):
    run = write_run(tmp_path / "runs" / "y", 3)
    before = sorted(path.name for path in run.iterdir())
    seat = sit([*WATCH, "y"])
    seat.wait_for("TinyZero y", "step 3/90", "● interrupted", "def f(a, b):")
    with (run / "metrics.jsonl").open("a") as file:
        line = (run / "metrics.jsonl").read_text().splitlines()[-1].replace('"step": 3', '"step": 4')
        file.write(line[:40])
        file.flush()
        seat.type("h")  # after a key the view looks at the run, and draws it anew
        seat.wait_for("the next sample, the one before")
        seat.type("h")
        seat.wait_for("step 3/90", "def f(a, b):")
        file.write(line[40:] + "\n")
    with (run / "samples.jsonl").open("a") as file:
        hostile = "\x1b]0;owned\x07\x1b[2J[red]x"
        file.write(
            json.dumps(sample(4, completion=hostile, verdict={"status": "wrong", "answer": hostile})) + "\n"
        )
    seat.wait_for("step 4/90", "\\x1b[2J[red]x")
    assert b"owned\x07" not in seat.raw
    seat.resize(80, 24)
    seat.type("n")
    seat.wait_for("proposed 24 → parsed 21")
    seat.type("q")
    assert seat.leave() == 0
    assert seat.is_as_before()
    assert sorted(path.name for path in run.iterdir()) == before


def test_ctrl_c_leaves_a_watch_without_a_word(sit, tmp_path):
    write_run(tmp_path / "runs" / "y", 3)
    seat = sit([*WATCH, "y"])
    seat.wait_for("TinyZero y")
    seat.process.send_signal(signal.SIGINT)
    assert seat.leave() == 0
    assert seat.is_as_before()
    assert b"Traceback" not in seat.raw


@pytest.mark.slow
def test_a_replay_plays_holds_and_turns_back(sit, tmp_path):
    end = {"event": "end", "time": 1.0, "step": 40, "reason": "max_steps"}
    write_run(tmp_path / "runs" / "y", 40, events=[end], tasks=[task(step) for step in range(1, 41)])
    seat = sit([*WATCH, "y", "--replay", "--speed", "20"])
    seat.wait_for("replay, 20 steps/s", "step 40/90")
    seat.type("\x1b[D")
    seat.wait_for("step 39/90", "p go on")
    seat.type("+")
    seat.wait_for("replay, 50 steps/s")
    seat.type("q")
    assert seat.leave() == 0


def test_a_log_file_hears_of_a_long_wait_again(monkeypatch):
    monkeypatch.setattr("tinyzero.cli.screen._FIRST_REMINDER_S", 0.2)
    err = io.StringIO()
    screen = Screen(io.StringIO(), err)
    screen.wait("loading")
    deadline = time.monotonic() + 300
    while len(err.getvalue().splitlines()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    screen.close()
    assert err.getvalue().splitlines()[:2] == ["loading ...", "loading ... 0 s"]
