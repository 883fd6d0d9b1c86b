"""What `tinyzero train` and the views say about a run whose files are gone, moved or damaged."""

import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinyzero.assembly
import tinyzero.export.exportable
from tinyzero.cli import run
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read

SCRIPT = Path(__file__).with_name("scripted.py")
TRAIN = ("train", "--preset", "nano-cpu", "--name", "x")


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Run a command line over a scripted game in this process: exit code, output, errors."""
    monkeypatch.setattr(tinyzero.assembly, "assemble", runpy.run_path(str(SCRIPT))["assemble"])
    monkeypatch.setattr(tinyzero.export.exportable, "check_exportable", lambda config, save: None)
    monkeypatch.chdir(tmp_path)

    def run_to_end(*arguments):
        code = run(arguments)
        return code, *capsys.readouterr()

    return run_to_end


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "runs" / "x")


def steps(folder):
    return [line.get("step") for line in read(folder / "metrics.jsonl")]


def move(path):
    path.rename(path.with_name("moved"))


def replace(path):
    move(path)
    shutil.copytree(path.with_name("moved"), path)


@pytest.mark.parametrize("change", [shutil.rmtree, move, replace])
def test_a_run_that_loses_its_folder_is_saved_beside_it_and_says_so(tmp_path, folder, command, change):
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), *TRAIN, "--max-steps", "500"],
        cwd=tmp_path,
        env={**os.environ, "STEP_S": "0,0,0.2"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        deadline = time.monotonic() + 600
        while not (folder.metrics.exists() and 3 in steps(folder.path)) and time.monotonic() < deadline:
            time.sleep(0.02)
        change(folder.path)
        before = sorted(path.name for path in folder.path.rglob("*")) if change is replace else []
        error = process.stderr.read().splitlines()[-1]
    assert process.returncode == 2
    (beside,) = (tmp_path / "runs").glob("x-saved-*")
    assert error.endswith(f": go on with tinyzero train --resume runs/{beside.name}")
    assert "error: runs/x was deleted, moved or replaced while the run trained; all of its " in error
    made = steps(beside)
    assert made == list(range(1, len(made) + 1))
    assert len(made) >= 3
    assert before == (sorted(path.name for path in folder.path.rglob("*")) if change is replace else [])
    code, _, _ = command("train", "--resume", str(beside), "--max-steps", str(len(made) + 1))
    assert code == 0
    assert steps(beside) == [*made, len(made) + 1]


def test_a_resume_finishes_what_a_kill_at_the_end_left_and_makes_no_step(command, folder):
    command(*TRAIN, "--max-steps", "3")
    expected = (folder.adapter / "total").read_text()
    (folder.adapter / "total").write_text("that of an earlier step")
    assert command("train", "--resume", "x")[0] == 0
    assert (folder.adapter / "total").read_text() == expected
    assert steps(folder.path) == [1, 2, 3]
    code, _, err = command("train", "--resume", "x")
    assert (code, "has finished its 3 steps" in err) == (2, True)


def test_a_run_without_its_checkpoints_is_refused_and_starts_over_where_that_is_asked(command, folder):
    command(*TRAIN, "--max-steps", "3")
    shutil.rmtree(folder.checkpoints)
    code, _, err = command("train", "--resume", "x", "--max-steps", "5")
    assert (code, err.count("\n")) == (2, 1)
    assert "there is no checkpoint in runs/x/checkpoints, and one was saved after step 3" in err
    assert steps(folder.path) == [1, 2, 3]
    assert command("train", "--resume", "x", "--max-steps", "2", "--start-over")[0] == 0
    assert steps(folder.path) == [1, 2]
    assert steps(folder.path / "earlier-1") == [1, 2, 3]


def test_starting_over_is_for_runs_that_are_there(command):
    code, _, err = command(*TRAIN, "--start-over")
    assert (code, err) == (
        2,
        "error: --start-over has a meaning beside --resume RUN only; a new run starts at step 0\n",
    )


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a/", "/", "a\0b", "../x"])
def test_a_name_that_is_no_plain_folder_is_refused(command, tmp_path, name):
    code, _, err = command("train", "--preset", "nano-cpu", "--name", name)
    assert (code, err.startswith("error: --name is ")) == (2, True)
    assert list(tmp_path.iterdir()) == []


NAMES = ("events.jsonl", "environment.json", "lock", "metrics.jsonl", "tasks.jsonl", "run.log", "checkpoints")


@pytest.mark.parametrize("name", NAMES)
def test_something_else_in_the_place_of_a_file_is_one_line_on_resume(command, folder, name):
    command(*TRAIN, "--max-steps", "2")
    path = folder.path / name
    if path.is_dir():
        shutil.rmtree(path)
        path.touch()
    else:
        path.unlink(missing_ok=True)
        path.mkdir()
    code, _, err = command("train", "--resume", "x", "--max-steps", "3")
    assert code == 2
    assert err.splitlines()[-1].startswith("error: cannot ")
    assert name in err.splitlines()[-1]
    assert "out of the way" in err.splitlines()[-1]


@pytest.mark.parametrize("arguments", [("runs",), ("watch", "x", "--once"), ("tasks", "x"), ("report", "x")])
def test_views_say_in_a_line_what_they_leave_out(command, folder, arguments):
    command(*TRAIN, "--max-steps", "2")
    with folder.metrics.open("a") as file:
        file.write('noise\n{"step": "x"}\n{"step": null}\n')
    folder.tasks.unlink()
    folder.tasks.mkdir()
    code, _, err = command(*arguments)
    assert code == 0
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert [note.rpartition("/")[2] for note in notes] == [
        "metrics.jsonl has 1 line(s) that no run has written; they are skipped",
        "tasks.jsonl is no file; move it out of the way",
    ]


def test_foreign_lines_do_not_hinder_a_resume(command, folder):
    command(*TRAIN, "--max-steps", "2")
    with folder.metrics.open("a") as file:
        file.write('noise\n{"step": "x"}\n{"step": null}\n')
    assert command("train", "--resume", "x", "--max-steps", "3")[0] == 0
    assert steps(folder.path) == [1, 2, "x", None, 3]
