"""`tinyzero train` from the outside: exit codes, files, signals, pipes, terminals, over a scripted game."""

import json
import os
import pty
import re
import runpy
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from settled import settled

from tinyzero.cli import run
from tinyzero.config import load_config
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read
from tinyzero.watch.heldout import verdict

SCRIPT = Path(__file__).with_name("scripted.py")


@pytest.fixture
def start(tmp_path):
    """Start the program in an empty folder; keyword arguments go to its environment."""
    running = []

    def start_one(*arguments, before=None, **environment):
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )
        running.append(process)
        return process

    yield start_one
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command line to its end in this process: exit code, output, errors."""
    runpy.run_path(str(SCRIPT))["take_over"](monkeypatch.setattr)
    monkeypatch.chdir(tmp_path)

    def run_to_end(*arguments):
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_to_end


@pytest.fixture
def train(command):
    return partial(command, "train", "--preset", "nano-cpu")


@pytest.fixture
def resume(command):
    return partial(command, "train", "--resume")


def metrics(folder):
    """All lines of metrics.jsonl, less the times."""
    return [
        {name: value for name, value in line.items() if not name.startswith("time/")}
        for line in read(folder / "metrics.jsonl")
    ]


def wait_for_step(folder, step):
    deadline = time.monotonic() + 600
    while not any(line["step"] >= step for line in read(folder / "metrics.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_run_leaves_its_logs_a_checkpoint_and_the_adapter(train, tmp_path):
    code, out, err = train("--max-steps", "3", "--name", "first", "--seed", "7")
    run = RunFolder.open(tmp_path / "runs" / "first")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:5]] == ["1/3", "2/3", "3/3"]
    assert err.splitlines()[:2] == ["run runs/first", "loading a script ..."]
    assert out.splitlines()[5:7] == ["", verdict(None)]
    assert out.splitlines()[-3] == "run runs/first, adapter runs/first/adapter"
    assert out.splitlines()[-2].startswith("next: tinyzero solve first ")
    assert [line["step"] for line in metrics(run.path)] == [1, 2, 3]
    assert run.config().run.seed == 7
    assert run.environment()["preset"] == "nano-cpu"
    assert (run.adapter / "total").exists()
    assert [folder.name for folder in run.checkpoints.iterdir()] == ["step-000003"]


def test_a_run_without_a_name_is_numbered(train, tmp_path):
    assert train("--max-steps", "1", "--output", "here")[0] == 0
    assert train("--max-steps", "1", "--output", "here")[0] == 0
    names = sorted(path.name for path in (tmp_path / "here").iterdir())
    assert [name.rpartition("-")[2] for name in names] == ["1", "2"]
    assert all(name.startswith("nano-cpu-20") for name in names)


def test_without_a_preset_and_a_gpu_nano_is_trained_and_said(command, tmp_path):
    if any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")):
        pytest.skip("this machine has a GPU")
    _, _, err = command("train", "--max-steps", "1", "--name", "x")
    said = "no CUDA GPU here: training the preset nano-cpu (all of them: tinyzero presets)"
    assert err.splitlines()[0] == said
    assert RunFolder(tmp_path / "runs" / "x").environment()["preset"] == "nano-cpu"


def test_kill_9_and_resume_equals_an_uninterrupted_run(start, train, resume, tmp_path):
    every_two = ("--set", "run.checkpoint_every_steps=2")
    train("--max-steps", "7", "--name", "whole", *every_two)
    process = start(
        "train", "--preset", "nano-cpu", "--max-steps", "7", "--name", "killed", *every_two, STEP_S="0,0,0,99"
    )
    wait_for_step(tmp_path / "runs" / "killed", 3)
    process.kill()
    process.wait()
    code, _, err = resume("killed")
    assert code == 0
    assert "going on after step" in err
    assert metrics(tmp_path / "runs" / "killed") == metrics(tmp_path / "runs" / "whole")


def test_a_run_killed_before_its_first_checkpoint_starts_again(start, resume, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--max-steps", "4", "--name", "x", STEP_S="0,600")
    wait_for_step(tmp_path / "runs" / "x", 1)
    process.kill()
    process.wait()
    assert resume("x")[0] == 0
    assert [line["step"] for line in metrics(tmp_path / "runs" / "x")] == [1, 2, 3, 4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_signal_saves_after_the_step_in_progress(start, resume, tmp_path, number):
    folder = tmp_path / "runs" / "x"
    process = start("train", "--preset", "nano-cpu", "--max-steps", "5000", "--name", "x", STEP_S="0.2")
    wait_for_step(folder, 1)
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    made = metrics(folder)[-1]["step"]
    assert process.returncode == 0
    hint = "; again to leave at once" if number == signal.SIGINT else ", then leaving"
    assert f"{number.name}: saving after this step{hint}" in err
    assert f"go on: tinyzero train --resume {Path('runs/x')}" in err.splitlines()[-1]
    assert (folder / "checkpoints" / f"step-{made:06d}").is_dir()
    code, out, _ = resume("x", "--max-steps", str(made + 1))
    assert code == 0
    assert any(line.split()[:1] == [f"{made + 1}/{made + 1}"] for line in out.splitlines())


def test_a_run_under_nohup_outlives_its_terminal(start, tmp_path):
    ignoring = partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    process = start(
        "train", "--preset", "nano-cpu", "--max-steps", "9", "--name", "x", before=ignoring, STEP_S="0.1"
    )
    wait_for_step(tmp_path / "runs" / "x", 1)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0
    assert "SIGHUP" not in err
    assert len(metrics(tmp_path / "runs" / "x")) == 9


def test_the_second_signal_leaves_at_once(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--name", "x", STEP_S="0,600")
    wait_for_step(tmp_path / "runs" / "x", 1)
    process.send_signal(signal.SIGINT)
    assert "again to leave" in _line_with(process.stderr, "SIGINT")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not list((tmp_path / "runs" / "x" / "checkpoints").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_a_machine_repeats_is_no_second_wish(start, tmp_path, number):
    """A closed terminal sends SIGHUP through the shell and through the kernel."""
    process = start("train", "--preset", "nano-cpu", "--max-steps", "5000", "--name", "x", STEP_S="0.2,2")
    wait_for_step(tmp_path / "runs" / "x", 1)
    process.send_signal(number)
    _line_with(process.stderr, number.name)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.05)
    assert process.returncode == 0
    made = metrics(tmp_path / "runs" / "x")[-1]["step"]
    assert (tmp_path / "runs" / "x" / "checkpoints" / f"step-{made:06d}").is_dir()


def test_a_closed_terminal_after_ctrl_c_is_no_second_wish(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--max-steps", "5000", "--name", "x", STEP_S="0.2,2")
    wait_for_step(tmp_path / "runs" / "x", 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process.send_signal(number)
        _line_with(process.stderr, number.name)
    process.communicate(timeout=600)
    assert process.returncode == 0
    assert len(list((tmp_path / "runs" / "x" / "checkpoints").iterdir())) == 1


def test_sigusr1_saves_after_the_step_and_the_run_goes_on(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--max-steps", "6", "--name", "x", STEP_S="0.1,1")
    wait_for_step(tmp_path / "runs" / "x", 1)
    process.send_signal(signal.SIGUSR1)
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0
    assert "SIGUSR1: saving after this step, and going on" in err
    first, last = sorted(path.name for path in (tmp_path / "runs" / "x" / "checkpoints").iterdir())
    assert "step-000001" < first < last == "step-000006"


def test_sigusr1_while_loading_changes_nothing(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--max-steps", "2", "--name", "x", LOAD_S="2")
    _line_with(process.stderr, "loading")
    process.send_signal(signal.SIGUSR1)
    process.communicate(timeout=600)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_while_loading_leaves_no_folder_and_no_traceback(start, tmp_path, number, code):
    process = start("train", "--preset", "nano-cpu", "--name", "x", LOAD_S="600")
    _line_with(process.stderr, "loading")
    process.send_signal(number)
    _, err = process.communicate(timeout=600)
    assert process.returncode == code
    assert "Traceback" not in err
    assert ("stopped before the first step: nothing is kept" in err) is (number == signal.SIGINT)
    assert list((tmp_path / "runs").iterdir()) == []


def _line_with(stream, word):
    return next(line for line in stream if word in line)


def test_more_steps_can_be_added_to_a_finished_run(train, resume, tmp_path):
    train("--max-steps", "2", "--name", "x")
    code, _, err = resume("x")
    assert code == 2
    assert (
        err == "error: runs/x has finished its 2 steps; to train longer: "
        "tinyzero train --resume runs/x --max-steps 4\n"
    )
    assert resume("runs/x", "--max-steps", "4")[0] == 0
    assert [line["step"] for line in metrics(tmp_path / "runs" / "x")] == [1, 2, 3, 4]
    assert RunFolder(tmp_path / "runs" / "x").config().run.max_steps == 4


def test_a_resumed_run_keeps_its_own_configuration(train, resume):
    train("--max-steps", "2", "--name", "x")
    code, _, err = resume("x", "--set", "learner.lr=1")
    assert code == 2
    assert err.startswith(
        "error: learner.lr cannot change when a run goes on; --resume can change run.max_steps, "
    )
    assert "evaluation.*, watch.*" in err
    assert resume("x", "--seed", "3")[2].startswith("error: --seed cannot be used with --resume")


def test_resuming_what_does_not_exist_names_the_nearest(train, resume):
    train("--max-steps", "1", "--name", "first")
    assert resume("frist")[2] == "error: no run frist, neither as a path nor in runs; did you mean first?\n"


def test_two_processes_cannot_train_one_run(start, resume, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--name", "x", STEP_S="0,600")
    wait_for_step(tmp_path / "runs" / "x", 1)
    code, _, err = resume("x")
    assert code == 2
    assert err == f"error: runs/x is being trained by process {process.pid}; stop it first\n"


def test_an_existing_run_is_not_overwritten(train):
    train("--max-steps", "1", "--name", "x")
    code, _, err = train("--max-steps", "1", "--name", "x")
    assert code == 2
    assert err.startswith(
        "error: runs/x exists; choose another --name, or continue it: tinyzero train --resume runs/x"
    )


def test_a_run_whose_configuration_says_auto_goes_on_and_is_settled(train, resume, tmp_path):
    train("--max-steps", "1", "--name", "x")
    path = tmp_path / "runs" / "x" / "config.json"
    before = json.loads(path.read_text())
    earlier = json.loads((Path(__file__).parents[1] / "earlier_config.json").read_text())
    path.write_text(json.dumps({**earlier, "run": {**earlier["run"], "max_steps": 1, "output": "runs"}}))
    assert resume("runs/x", "--max-steps", "2")[0] == 0
    again = json.loads(path.read_text())
    assert again["run"]["max_steps"] == 2
    assert again["evaluation"]["heldout"] == "nano"
    assert again["learner"]["optimizer"] == before["learner"]["optimizer"]
    for section in ("hardware", "model", "pool", "sampling"):
        assert again[section] == before[section]


def test_folders_may_lie_in_the_home_folder(train, resume, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert train("--max-steps", "1", "--name", "x", "--set", "run.output=~/my runs")[0] == 0
    assert (tmp_path / "my runs" / "x" / "metrics.jsonl").exists()
    assert resume("x", "--output", "~/my runs", "--max-steps", "2")[0] == 0
    assert resume("~/my runs/x", "--max-steps", "3")[0] == 0


def test_a_name_that_no_terminal_can_show_does_not_end_the_training(start, tmp_path):
    name = os.fsdecode(b"caf\xe9 \x1b[2J")
    process = start(
        "train", "--preset", "nano-cpu", "--max-steps", "1", "--name", name, PYTHONIOENCODING="ascii"
    )
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0
    assert "\x1b" not in err
    assert "Traceback" not in err
    assert len(metrics(tmp_path / "runs" / name)) == 1


def test_json_lines_carry_start_steps_and_end(train):
    code, out, _ = train("--max-steps", "2", "--name", "x", "--ui", "json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [line["event"] for line in lines] == ["start", "step", "step", "checkpoint", "end"]
    assert lines[2]["metrics"]["test/total"] == 1.0


def test_a_dry_run_prints_a_preset_and_touches_nothing(train, tmp_path):
    code, out, _ = train("--dry-run", "--seed", "4", "--set", "learner.lr=0.5")
    assert code == 0
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "again.toml").write_text(out)
    config = load_config(str(tmp_path / "again.toml"))
    expected = settled("nano-cpu", ["run.seed=4", "learner.lr=0.5"])
    assert config.model_dump() == expected.model_dump()


def test_a_users_error_while_loading_is_one_line_and_leaves_no_folder(train, tmp_path, monkeypatch):
    monkeypatch.setenv("FAIL", "start")
    code, out, err = train("--name", "x")
    assert (code, out) == (2, "")
    assert err.splitlines()[-1] == "error: no such model"
    assert list((tmp_path / "runs").iterdir()) == []


def test_our_own_error_shows_its_traceback_and_keeps_the_run(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--name", "x", FAIL="bug")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "Traceback" in err
    assert err.splitlines()[-1] == "ZeroDivisionError"
    assert [line["step"] for line in metrics(tmp_path / "runs" / "x")] == [1]


def test_a_reader_that_leaves_does_not_end_the_training(start, tmp_path):
    process = start("train", "--preset", "nano-cpu", "--max-steps", "4", "--name", "x", STEP_S="0.1")
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(timeout=600) == 0
    assert "Error" not in err
    assert len(metrics(tmp_path / "runs" / "x")) == 4


def test_a_terminal_shows_what_is_waited_for_and_keeps_the_table_clean(tmp_path):
    ours, theirs = pty.openpty()
    arguments = ["train", "--preset", "nano-cpu", "--max-steps", "2", "--name", "x", "--ui", "plain"]
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "STEP_S": "1.8,0"},
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        seen = _read_all(ours)
    assert process.returncode == 0
    assert re.search(r"\x1b\[2Kstep 1 \.\.\. \d+ s", seen)
    rows = [line.rpartition("\x1b[2K")[2] for line in seen.split("\r\n")]
    assert [row.split()[0] for row in rows if "0.50" in row] == ["1/2", "2/2"]
    assert rows[-2].startswith("step 2 after 0 min ")
    assert rows[-1] == ""


def _read_all(descriptor):
    seen = b""
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other side is closed
            return seen.decode()
        if not chunk:
            return seen.decode()
        seen += chunk


def test_what_is_measured_and_watched_may_change_on_resume(train, resume, tmp_path):
    train("--max-steps", "2", "--name", "x")
    changes = ("--set", "evaluation.heldout=none", "--set", 'watch.silent=["trivial"]')
    code, _, err = resume("x", "--max-steps", "3", *changes)
    assert code == 0
    assert (
        "warning: evaluation.heldout changed: later held-out figures do not compare with earlier ones" in err
    )
    assert "do not compare" not in resume("x", "--max-steps", "4", "--set", "evaluation.every_steps=1")[2]
    config = RunFolder(tmp_path / "runs" / "x").config()
    assert (config.evaluation.heldout, config.evaluation.every_steps) == (None, 1)
    assert config.watch.silent == ("trivial",)


def test_a_config_that_was_edited_by_hand_is_said_when_the_run_is_resumed(train, resume, tmp_path):
    train("--max-steps", "2", "--name", "x")
    assert "was edited" not in resume("x", "--max-steps", "3")[2]
    path = tmp_path / "runs" / "x" / "config.json"
    config = json.loads(path.read_text())
    config["learner"]["lr"], config["run"]["seed"] = 0.5, 7
    path.write_text(json.dumps(config))
    code, _, err = resume("x", "--max-steps", "4")
    assert code == 0
    edits = "learner.lr: 0.002 -> 0.5, run.seed: 0 -> 7"
    assert f"warning: config.json was edited since the last start: {edits}" in err.splitlines()
    assert "was edited" not in resume("x", "--max-steps", "5")[2]


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_process_without_standard_streams_trains_and_its_files_stay_whole(start, tmp_path, closed):
    def close():
        for number in closed:
            os.close(number)

    process = start("train", "--preset", "nano-cpu", "--max-steps", "2", "--name", "x", before=close)
    process.communicate(timeout=600)
    assert process.returncode == 0
    assert [line["step"] for line in metrics(tmp_path / "runs" / "x")] == [1, 2]
    assert {path.name for path in (tmp_path / "runs" / "x").iterdir()} >= {"adapter", "events.jsonl"}


def test_a_process_that_may_have_no_memory_says_so_in_a_line(start):
    resource = pytest.importorskip("resource")
    limit = partial(resource.setrlimit, resource.RLIMIT_AS, (1 << 29, 1 << 29))
    process = start("train", "--preset", "nano-cpu", "--max-steps", "1", before=limit, FAIL="memory")
    _, err = process.communicate(timeout=600)
    assert process.returncode == 2
    assert "error: this process may have no more memory; raise its limit (ulimit -v)" in err.splitlines()[-1]
    assert "Traceback" not in err


def test_a_claim_is_in_the_folder_and_the_end_says_what_became_of_it(train, tmp_path):
    code, out, _ = train("--max-steps", "1", "--name", "x", "--expect", "heldout + 3.0")
    assert code == 0
    assert RunFolder(tmp_path / "runs" / "x").config().run.expect == "heldout+3"
    assert "claim heldout+3, written before the first step: cannot be told (no measurement" in out


def test_a_claim_and_the_rewards_cannot_change_when_a_run_goes_on(train, resume, tmp_path):
    train("--max-steps", "1", "--name", "x", "--expect", "heldout+3")
    before = (tmp_path / "runs" / "x" / "config.json").read_bytes()
    for options in (["--expect", "heldout+1"], ["--set", "run.expect=none"]):
        code, _, err = resume("x", "--max-steps", "2", *options)
        assert (code, err.count("\n")) == (2, 1)
        assert "written before its first step and cannot change" in err
    code, _, err = resume("x", "--max-steps", "2", "--set", "rewards.control=shuffled")
    assert (code, err.count("\n")) == (2, 1)
    assert (tmp_path / "runs" / "x" / "config.json").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--expect", "heldout"], "write heldout+3"),
        (["--expect", "heldout+3", "--set", "evaluation.heldout=none"], "nothing is measured"),
        (["--set", "rewards.control=shuffle"], "'none' or 'shuffled'"),
    ],
)
def test_a_claim_that_nothing_could_decide_is_a_line(train, tmp_path, options, words):
    code, _, err = train("--max-steps", "1", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (tmp_path / "runs").exists()


def test_who_is_told_of_the_end_is_not_kept_in_the_folder(train, resume, tmp_path):
    program = "import sys, pathlib; pathlib.Path(sys.argv[1]).open('a').write(sys.stdin.read())"
    target = f"{sys.executable} -c {json.dumps(program)} {tmp_path / 'told'}"
    code, _, err = train("--max-steps", "1", "--name", "a", "--set", f"run.notify={json.dumps(target)}")
    assert code == 0, err
    (told,) = (tmp_path / "told").read_text().splitlines()
    assert (json.loads(told)["event"], json.loads(told)["run"]) == ("end", "a")
    folder = tmp_path / "runs" / "a"
    assert [path for path in folder.rglob("*") if path.is_file() and b"told" in path.read_bytes()] == []
    config = json.loads((folder / "config.json").read_text())
    config["run"]["notify"] = target  # as somebody could have written, who passes the folder on
    (folder / "config.json").write_text(json.dumps(config))
    assert resume("runs/a", "--max-steps", "2")[0] == 0
    assert len((tmp_path / "told").read_text().splitlines()) == 1
    again = resume("runs/a", "--max-steps", "3", "--set", f"run.notify={json.dumps(target)}")
    assert again[0] == 0, again
    assert len((tmp_path / "told").read_text().splitlines()) == 2


def test_a_notify_that_can_tell_nobody_is_one_line_before_anything_is_loaded(train, tmp_path):
    code, _, err = train("--set", "run.notify=no-such-program")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: run.notify is 'no-such-program', but there is no program")
    assert not (tmp_path / "runs").exists()
