"""The plain table: aligned, narrow enough, and the right figures in the right columns."""

from dataclasses import replace
from pathlib import Path

from tinyzero.config import Config
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.events import AlarmBegan, AlarmOver, Checkpointed, Measured, Paused
from tinyzero.run.folder import RunFolder
from tinyzero.run.observer import RunStart, RunSummary, StopReason
from tinyzero.run.records import append_event
from tinyzero.types import Round, StepReport
from tinyzero.watch.comparison import comparison_lines
from tinyzero.watch.heldout import gain_of, verdict
from tinyzero.watch.plain import PlainObserver

METRICS = {
    "proposer/deduction/proposed": 8.0,
    "proposer/deduction/new": 5.0,
    "proposer/abduction/proposed": 4.0,
    "proposer/abduction/new": 2.0,
    "proposer/reward": -0.305,
    "solver/deduction/accuracy": 0.5,
    "solver/abduction/accuracy": 0.25,
    "solver/mixed_share": 0.3,
    "solver/reward": 0.2,
    "learner/proposer/entropy": 1.0,
    "learner/solver/entropy": 2.0,
    "proposer/valid_share": 7 / 12,
    "tokens/proposer": 1000.0,
    "tokens/solver": 3000.0,
    "time/propose_s": 2.0,
    "time/solve_s": 123.4,
    "time/verify_s": 0.25,
    "time/judge_s": 0.5,
    "time/learn_s": 3.04,
    "time/step_s": 130.0,
}


def report(step, metrics=METRICS):
    empty = Round(rollouts=[], advantages=[], new_tasks=[], metrics={}, seconds={})
    return StepReport(step=step, metrics=metrics, round=empty)


def lines_of(steps, *, kinds=("deduction", "abduction", "induction"), max_steps=200, metrics=METRICS, **size):
    lines = []
    observer = PlainObserver(lines.append, **size)
    config = Config.model_validate({"run": {"max_steps": max_steps}, "selfplay": {"kinds": kinds}})
    observer.on_start(
        RunStart(name="x", path=Path("x"), config=config, step=0, device="cpu", sandbox_tier="strong")
    )
    for step in range(1, steps + 1):
        observer.on_step(report(step, metrics))
    return lines


def test_the_figures_of_a_step_are_in_their_columns():
    _, titles, row = lines_of(1)
    # step, valid, three accuracies, mixed, two rewards, entropy, tokens per second = 4000 / 125.4, seconds
    figures = "1/200 7/12 0.50 0.25 - 0.30 -0.30 0.20 1.50 32 2.0 123 0.8 3.0 130"
    assert " ".join(row.split()) == figures
    words = "step tasks deduc abduc induc mixed prop solv entropy per s prop solv check learn step"
    assert " ".join(titles.split()) == words


def test_columns_are_aligned_and_under_a_hundred_wide():
    lines = lines_of(3)
    assert len(set(map(len, lines[1:]))) == 1
    assert 80 <= len(lines[1]) < 100
    for title in ("tasks", "deduc", "entropy", "learn"):
        end = lines[1].index(title) + len(title)  # a column's figures end where its title ends
        assert lines[2][end - 1].isdigit()
        assert lines[2][end] == " "


def test_eighty_columns_suffice_with_the_seconds_of_the_whole_step():
    groups, titles, line = lines_of(1, width=80)
    assert groups.split()[-1] == "seconds"
    assert titles.split()[-2:] == ["s", "step"]
    assert line.split()[-1] == "130"
    assert all(len(row) <= 80 for row in (groups, titles, line))
    assert len(titles) == len(line)


def test_a_heading_comes_every_twenty_steps():
    lines = lines_of(41)
    assert [i for i, line in enumerate(lines) if "entropy" in line] == [1, 23, 45]
    assert len(lines) == 41 + 3 * 2


def test_a_step_in_which_nothing_was_solved_shows_dashes():
    row = lines_of(1, metrics={"time/step_s": 1.0})[-1]
    assert " ".join(row.split()) == "1/200 - - - - - - - - - 0.0 0.0 0.0 0.0 1.0"


def test_r_zero_has_a_column_for_questions_alone():
    lines = []
    observer = PlainObserver(lines.append)
    config = Config.model_validate({"selfplay": {"game": "r-zero"}})
    observer.on_start(
        RunStart(name="x", path=Path("x"), config=config, step=0, device="cpu", sandbox_tier="strong")
    )
    challenge = {"proposer/question/proposed": 6.0, "proposer/valid_share": 0.5}
    observer.on_step(report(1, challenge))
    observer.on_step(report(2, {"solver/question/accuracy": 0.25}))
    assert lines[1].split()[:3] == ["step", "tasks", "quest"]
    assert lines[0].split()[:2] == ["valid", "agree"]
    assert [row.split()[1:3] for row in lines[2:4]] == [["3/6", "-"], ["-", "0.25"]]


def test_answers_that_could_not_be_compared_are_a_line_below_their_step():
    lines = lines_of(1, kinds=("question",), metrics={**METRICS, "questions/undecided": 3.0})
    assert lines[-1] == "3 pairs of answers could not be compared in time; they count as different"
    assert "compared" not in "".join(lines_of(1, metrics={**METRICS, "questions/undecided": 0.0}))


def test_a_kind_of_ones_own_gets_its_column():
    _, titles, row = lines_of(1, kinds=("palindromes",), metrics={"solver/palindromes/accuracy": 1.0})
    assert titles.split()[2] == "palin"
    assert row.split()[2] == "1.00"


def test_expected_checkpoints_are_silent_and_other_events_are_a_line():
    lines = []
    observer = PlainObserver(lines.append)
    observer.on_event(Checkpointed(step=20, path="x"))
    observer.on_event(Paused(step=3))
    assert lines == ["paused: step 3"]


def test_an_alarm_is_a_line_when_it_begins_and_one_when_it_is_over():
    lines = []
    observer = PlainObserver(lines.append)
    observer.on_event(AlarmBegan(step=5, alarm="duplicates", value=0.61, threshold=0.5, advice="do this"))
    observer.on_event(AlarmOver(step=9, alarm="duplicates", value=0.4, threshold=0.5))
    assert lines == [
        "duplicates: step 5, value 0.61, threshold 0.5, advice do this",
        "alarm_over: step 9, alarm duplicates, value 0.4, threshold 0.5",
    ]


def test_the_end_says_where_everything_is_under_the_table():
    lines = []
    observer = PlainObserver(lines.append)
    observer.on_start(
        RunStart(name="x", path=Path("runs/x"), config=Config(), step=0, device="cpu", sandbox_tier="strong")
    )
    row = Row(name="deduction", decoding="greedy", tasks=9, before=0, after=1, difference=1, low=1, high=1)
    comparison = Comparison(set_name="mine", attempts=8, step=5, rows=(row,))
    end = RunSummary(step=5, reason=StopReason.MAX_STEPS, seconds=1.0, checkpoint=None)
    observer.on_end(end)
    assert lines[1].startswith("Not measured on held-out tasks before and after")
    lines.clear()
    observer.on_end(replace(end, comparison=comparison))
    assert lines == [
        "",
        verdict(gain_of(comparison)),
        *comparison_lines(comparison),
        "run runs/x, adapter runs/x/adapter",
        "next: tinyzero solve x     gives it a task of your own",
        "      tinyzero report x     puts curves, tasks and answers on one page",
    ]
    assert lines[1].startswith("Learned: better at tasks that it never saw")


def test_a_run_that_was_stopped_ends_with_the_command_that_goes_on():
    lines = []
    observer = PlainObserver(lines.append)
    path = Path("else where/x")
    observer.on_start(
        RunStart(name="x", path=path, config=Config(), step=0, device="cpu", sandbox_tier="strong")
    )
    observer.on_end(RunSummary(step=5, reason=StopReason.REQUESTED, seconds=1.0, checkpoint=None))
    assert lines[-2] == "next: tinyzero train --resume 'else where/x'     goes on"
    assert "tinyzero report 'else where/x'" in lines[-1]


def measured(step, sampled, greedy, gain_low=None):
    metrics = {
        "heldout/mean/sampled": sampled,
        "heldout/mean/greedy": greedy,
        "heldout/deduction/sampled": 0.9,
    }
    return Measured(
        step=step, metrics=metrics if gain_low is None else metrics | {"heldout/mean/gain_low": gain_low}
    )


def test_held_out_accuracy_is_a_line_as_it_is_measured_beside_what_it_was_first():
    lines = []
    observer = PlainObserver(lines.append)
    observer.on_event(measured(0, 0.15, 0.24))
    observer.on_event(measured(10, 0.1625, 0.2, gain_low=-0.01))
    observer.on_event(measured(20, 0.31, 0.35, gain_low=0.08))
    observer.on_event(Measured(step=30, metrics={}))
    assert lines == [
        "held-out accuracy after 0 steps: sampled 0.150, greedy 0.240",
        "held-out accuracy after 10 steps: sampled 0.163 (+0.013), greedy 0.200 (-0.040), within noise",
        "held-out accuracy after 20 steps: sampled 0.310 (+0.160), greedy 0.350 (+0.110), above noise",
    ]


def test_a_resumed_run_compares_held_out_accuracy_with_that_of_its_beginning(tmp_path):
    run = RunFolder.create(tmp_path, "x", Config())
    append_event(run.events, measured(0, 0.15, 0.24))
    append_event(run.events, measured(10, 0.2, 0.3))
    lines = []
    observer = PlainObserver(lines.append)
    start = RunStart(name="x", path=run.path, config=Config(), step=10, device="cpu", sandbox_tier="strong")
    observer.on_start(start)
    observer.on_event(measured(20, 0.25, 0.34))
    assert lines == ["held-out accuracy after 20 steps: sampled 0.250 (+0.100), greedy 0.340 (+0.100)"]
