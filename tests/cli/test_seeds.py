"""`tinyzero seeds` over a scripted game: runs one after the other, resumed, and one table at the end."""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tinyzero.cli import run
from tinyzero.config import resolve_base
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read

SCRIPT = Path(__file__).with_name("scripted.py")
ONE_STEP = ("nano-cpu", "--set", "run.max_steps=1", "--set", "evaluation.heldout=few.jsonl")


@pytest.fixture
def command(tmp_path, monkeypatch, capfd):
    """Run a command line in this process, which starts others: exit code, output, errors."""
    runpy.run_path(str(SCRIPT))["take_over"](monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAIN", "0.2")
    every = (Path(resolve_base("nano")) / "heldout.jsonl").read_text("utf-8").splitlines()
    (tmp_path / "few.jsonl").write_text("\n".join(every[::40]) + "\n")

    def run_to_end(*arguments):
        code = run(arguments)
        return code, *capfd.readouterr()

    return run_to_end


def starts(folder):
    return [event["event"] for event in read(folder / "events.jsonl")].count("start")


@pytest.mark.slow
def test_seeds_and_their_controls_end_with_a_table_and_are_not_run_again(command, tmp_path):
    arguments = ("seeds", "2", *ONE_STEP, "--control", "shuffled", "--expect", "heldout+3", "--ui", "json")
    code, out, _ = command(*arguments)
    runs = tmp_path / "runs"
    names = [f"nano-cpu-{kind}seed-{seed}" for seed in (0, 1) for kind in ("", "shuffled-")]
    assert code == 0
    assert sorted(path.name for path in runs.iterdir()) == sorted(names)
    assert [RunFolder(runs / name).config().run.seed for name in names] == [0, 0, 1, 1]
    kinds = [RunFolder(runs / name).config().rewards.control for name in names]
    assert kinds == ["none", "shuffled"] * 2
    *_, last = out.splitlines()
    end = json.loads(last)
    table = end["tables"]["sampled"]
    trained, control = (team["name"] for team in table["teams"])
    found = {(each["name"], each["against"]): each for each in table["comparisons"]}
    # Gains of 0.20 and 0.21, and 0 and 0.01 in the controls.
    assert found[trained, "base"]["by_seed"] == pytest.approx([0.2, 0.21])
    assert found[control, "base"]["by_seed"] == pytest.approx([0.0, 0.01])
    assert found[control, trained]["by_seed"] == pytest.approx([-0.2, -0.2])
    assert (table["num_comparisons"], end["tables"]["greedy"]["num_comparisons"]) == (6, 6)
    # 0.205 +- 12.706 * 0.005 as a share: from 14.1 points on.
    assert end["claim"]["interval"] == pytest.approx([100 * (0.205 - 0.0635310), 100 * (0.205 + 0.0635310)])
    assert end["claim"]["outcome"] == "held"

    code, again, err = command(*arguments)
    assert (code, again.splitlines()) == (0, [last])
    assert err.splitlines()[-1].endswith("run 4 of 4: runs/nano-cpu-shuffled-seed-1")
    assert [starts(runs / name) for name in names] == [1, 1, 1, 1]
    code, plain, _ = command(*arguments[:-2])
    assert code == 0
    assert "held-out accuracy, sampled, before and after training (" in plain
    assert "claim heldout+3, written before the first step: held (+20.5 points over 2 seeds" in plain


@pytest.mark.slow
def test_a_run_that_breaks_ends_the_command_and_the_same_command_goes_on(command, tmp_path, monkeypatch):
    settings = ("--set", "run.max_steps=2", "--set", "evaluation.heldout=few.jsonl")
    arguments = ("seeds", "1", "nano-cpu", *settings, "--name", "x", "--ui", "plain")
    monkeypatch.setenv("FAIL", "bug")
    code, _, err = command(*arguments)
    assert code == 1
    assert err.splitlines()[-1] == "stopped; the same command goes on from here"
    monkeypatch.delenv("FAIL")
    code, out, _ = command(*arguments)
    assert code == 0
    assert starts(tmp_path / "runs" / "x-seed-0") == 2
    assert "x-seed-0" in out.splitlines()[-2]


@pytest.mark.slow
def test_a_request_to_stop_is_for_the_process_that_trains(tmp_path):
    arguments = ("seeds", "3", "nano-cpu", "--set", "run.max_steps=5000", "--name", "x")
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=tmp_path,
        env={**os.environ, "STEP_S": "0.2"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    folder = tmp_path / "runs" / "x-seed-0"
    deadline = time.monotonic() + 300
    while not list(read(folder / "metrics.jsonl")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0
    assert "SIGTERM: saving after this step" in err
    assert err.splitlines()[-1] == "stopped; the same command goes on from here"
    assert list((folder / "checkpoints").iterdir())
    assert not (tmp_path / "runs" / "x-seed-1").exists()


def test_a_folder_with_another_run_is_a_line_before_anything_is_trained(command, tmp_path):
    command(
        "train", *ONE_STEP, "--name", "x-seed-1", "--seed", "1", "--set", "learner.lr=0.5", "--ui", "plain"
    )
    code, _, err = command("seeds", "2", *ONE_STEP, "--name", "x")
    assert (code, err.count("\n")) == (2, 1)
    assert "x-seed-1 is a run with other settings (learner.lr: 0.5 -> " in err
    assert not (tmp_path / "runs" / "x-seed-0").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["0", "nano-cpu"], "greater than or equal to 1"),
        (["two", "nano-cpu"], "a valid integer"),
        (["2", "nano-cp"], "no preset nano-cp"),
        (["2", "nano-cpu", "--set", "run.seed=3"], "run.seed is what the runs differ in"),
        (["2", "nano-cpu", "--expect", "more"], "write heldout+3"),
        (["2", "nano-cpu", "--control", "random"], "'random' is not"),
        (["2", "nano-cpu", "--name", "a/b"], "must be a plain folder name"),
        (["2", "nano-cpu", "--preset", "nano-cpu"], "two presets are named"),
    ],
)
def test_bad_input_is_a_line(command, tmp_path, arguments, words):
    code, _, err = command("seeds", *arguments)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (tmp_path / "runs").exists()


def test_runs_that_measure_nothing_end_without_a_table(command, monkeypatch):
    monkeypatch.delenv("GAIN")
    settings = ("--set", "run.max_steps=1", "--set", "evaluation.heldout=none")
    code, out, _ = command("seeds", "1", "nano-cpu", *settings, "--ui", "plain")
    assert code == 0
    assert out.splitlines()[-1] == "nothing was measured on held-out tasks: evaluation.heldout is none"
