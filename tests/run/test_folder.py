"""A run's folder: made once, never overwritten, trained in by one process at a time."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pytest
from settled import defaults

from tinyzero.errors import CheckpointError
from tinyzero.run.folder import RunFolder, runs_in


def config(**run):
    return defaults(run=run)


def test_a_new_run_holds_its_settled_configuration(tmp_path):
    run = RunFolder.create(tmp_path / "runs", "first", config(seed=5))
    assert run.name == "first"
    assert json.loads((run.path / "config.json").read_text())["run"]["seed"] == 5
    assert RunFolder.open(run.path).config() == config(seed=5)


def test_a_run_is_never_overwritten(tmp_path):
    RunFolder.create(tmp_path, "first", config(seed=5))
    with pytest.raises(CheckpointError, match=r"first exists; choose another --name, .*--resume .*first"):
        RunFolder.create(tmp_path, "first", config())
    assert RunFolder(tmp_path / "first").config().run.seed == 5


def test_numbered_runs_take_the_first_free_number(tmp_path):
    day = date(2026, 3, 1)
    names = [RunFolder.create_numbered(tmp_path, "nano-cpu", config(), today=day).name for _ in range(3)]
    assert names == [f"nano-cpu-2026-03-01-{n}" for n in (1, 2, 3)]


def test_runs_that_start_at_once_get_numbers_of_their_own(tmp_path):
    def create(_):
        return RunFolder.create_numbered(tmp_path / "runs", "x", config(), today=date(2026, 3, 1)).name

    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(create, range(40)))
    assert names == {f"x-2026-03-01-{n}" for n in range(1, 41)}


@pytest.mark.parametrize("name", ["x" * 300, "first"], ids=["long name", "no such place"])
def test_a_place_that_cannot_be_is_one_line(name):
    with pytest.raises(CheckpointError, match=r"cannot write .*choose another --output"):
        RunFolder.create(Path("/proc/runs"), name, config())


def test_opening_what_is_no_run_names_the_nearest(tmp_path):
    RunFolder.create(tmp_path, "nano-cpu-1", config())
    with pytest.raises(CheckpointError, match=r"no run at .*nano-cpu-2 .*did you mean nano-cpu-1\?"):
        RunFolder.open(tmp_path / "nano-cpu-2")


def test_a_configuration_of_another_version_is_one_line(tmp_path):
    run = RunFolder.create(tmp_path, "first", config())
    (run.path / "config.json").write_text('{"run": {"sede": 1}}')
    with pytest.raises(CheckpointError, match="cannot be read by this version") as caught:
        run.config()
    assert "\n" not in str(caught.value)


def test_an_unwritable_place_is_one_line_with_a_way_out(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"Not a directory .*another --output"):
        RunFolder.create(tmp_path / "file", "first", config())


def test_listing_passes_over_what_is_no_run(tmp_path):
    RunFolder.create(tmp_path, "b", config())
    RunFolder.create(tmp_path, "a", config())
    (tmp_path / "notes").mkdir()
    assert [run.name for run in runs_in(tmp_path)] == ["a", "b"]
    assert runs_in(tmp_path / "nowhere") == []


HOLD = """
import sys
from pathlib import Path
from tinyzero.run.folder import RunFolder
with RunFolder(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_trainer_is_told_who_holds_the_run_until_it_is_killed(tmp_path):
    run = RunFolder.create(tmp_path, "first", config())
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(CheckpointError, match=rf"is being trained by process {holder.pid}; stop it"),
            run.exclusive(),
        ):
            pass
        holder.kill()
        holder.wait()
    with run.exclusive():
        pass


def test_environment_is_empty_where_it_was_never_written_or_is_broken(tmp_path):
    run = RunFolder.create(tmp_path, "first", config())
    assert run.environment() == {}
    run.write_environment({"threads": 2})
    assert run.environment() == {"threads": 2}
    (run.path / "environment.json").write_text("{")
    assert run.environment() == {}


def test_files_nested_too_deep_are_one_clear_error(tmp_path):
    run = RunFolder.create(tmp_path, "deep", defaults())
    deep = "[" * 100_000
    (run.path / "config.json").write_text(deep)
    (run.path / "environment.json").write_text(deep)
    with pytest.raises(CheckpointError, match="cannot be read by this version"):
        run.config()
    assert run.environment() == {}


@pytest.mark.parametrize("name", ["lock", "environment.json"])
def test_a_folder_in_the_place_of_a_file_is_one_line(tmp_path, name):
    run = RunFolder.create(tmp_path, "first", config())
    (run.path / name).mkdir()
    said = rf"cannot write .*{name}: Is a directory .*; move that out"
    with pytest.raises(CheckpointError, match=said), run.exclusive():
        run.write_environment({})


def test_an_empty_folder_is_taken_and_any_other_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunFolder.create(tmp_path, "empty", config()).config() == config()
    (tmp_path / "full" / "checkpoints").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("full", "file", "link"):
        with pytest.raises(CheckpointError, match="exists; choose another --name, or remove it"):
            RunFolder.create(tmp_path, name, config())
    assert not list(tmp_path.glob(".starting-*"))


CREATE = """
import os, sys
from pathlib import Path
from tinyzero.config import Config
from tinyzero.run import folder
folder.write_json = lambda path, content: os.kill(os.getpid(), 9)
folder.RunFolder.create(Path(sys.argv[1]), "first", Config())
"""


def test_a_kill_before_the_configuration_is_written_leaves_the_name_free(tmp_path):
    killed = subprocess.run([sys.executable, "-c", CREATE, str(tmp_path)])
    assert killed.returncode == -9
    assert runs_in(tmp_path) == []
    assert RunFolder.create(tmp_path, "first", config()).config() == config()
