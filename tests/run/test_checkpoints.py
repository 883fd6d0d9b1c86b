"""Checkpoints: whole or absent, damage recognised, the newest intact one wins."""

import errno
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tinyzero.config import Config
from tinyzero.errors import CheckpointError
from tinyzero.run import checkpoints
from tinyzero.run.events import Checkpointed
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import append_event, read


class Notebook:
    """A part with a life of its own: a line of text, and a file in a subfolder."""

    def __init__(self, text=""):
        self.text = text

    def save(self, folder: Path):
        (folder / "deep").mkdir()
        (folder / "deep" / "text").write_text(self.text)

    def load(self, folder: Path):
        self.text = (folder / "deep" / "text").read_text()


@pytest.fixture
def run(tmp_path):
    return RunFolder.create(tmp_path, "first", Config())


def write(run, step, text):
    return checkpoints.write(run, step, {"notes": Notebook(text)})


def restored(run):
    part = Notebook()
    return checkpoints.restore(run, {"notes": part}), part.text


def test_what_was_written_comes_back_with_its_step(run):
    folder = write(run, 100, "hundred")
    assert folder == run.path / "checkpoints" / "step-000100"
    assert restored(run) == (100, "hundred")


def test_the_newest_wins_also_beyond_six_digits(run):
    for step in (5, 999_999, 1_000_000):
        write(run, step, str(step))
    assert restored(run)[1] == "1000000"
    assert [folder.name for folder in checkpoints.listing(run)] == [
        "step-000005",
        "step-999999",
        "step-1000000",
    ]


def test_a_run_without_checkpoints_starts_again(run):
    assert checkpoints.latest(run) is None
    assert restored(run) == (0, "")


def test_pruning_keeps_the_newest(run):
    for step in (10, 20, 30):
        write(run, step, "")
    checkpoints.prune(run, 2)
    assert [folder.name for folder in checkpoints.listing(run)] == ["step-000020", "step-000030"]
    checkpoints.prune(run, 5)
    assert len(checkpoints.listing(run)) == 2


def damage_by_change(folder):
    (folder / "notes" / "deep" / "text").write_text("twentz")


def damage_by_cut(folder):
    os.truncate(folder / "notes" / "deep" / "text", 3)


def damage_by_loss(folder):
    (folder / "notes" / "deep" / "text").unlink()


def damage_progress(folder):
    os.truncate(folder / "progress.json", 20)


def damage_all(folder):
    (folder / "progress.json").write_text("[]")


@pytest.mark.parametrize(
    "damage", [damage_by_change, damage_by_cut, damage_by_loss, damage_progress, damage_all]
)
def test_a_damaged_checkpoint_is_passed_over_and_reported(run, damage):
    write(run, 10, "ten")
    damage(write(run, 20, "twenty"))
    assert restored(run) == (10, "ten")
    (event,) = read(run.events)
    assert (event["event"], event["checkpoint"]) == ("checkpoint_damaged", "step-000020")


def test_a_damaged_checkpoint_is_replaced_when_its_step_is_reached_again(run):
    damage_by_change(write(run, 20, "twenty"))
    write(run, 20, "again")
    assert restored(run)[1] == "again"


def test_a_damaged_checkpoint_does_not_take_the_place_of_an_intact_one(run):
    write(run, 10, "ten")
    damage_by_change(write(run, 20, "twenty"))
    write(run, 15, "fifteen")
    checkpoints.prune(run, 1)
    assert restored(run)[1] == "fifteen"


def rewrite(run, text):
    return checkpoints.write(run, 20, {"notes": Notebook(text)}, replace=True)


def test_a_checkpoint_is_replaced_where_the_game_has_moved_on(run):
    write(run, 20, "twenty")
    rewrite(run, "later")
    assert restored(run)[1] == "later"
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000020"]


@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_while_the_only_checkpoint_is_replaced_loses_none(run, number, monkeypatch):
    """Killed before the first or the second of the two renames."""
    write(run, 20, "twenty")
    real, calls = Path.rename, []

    def rename(path, target):
        calls.append(path)
        if len(calls) == number:
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        rewrite(run, "later")
    monkeypatch.undo()
    assert restored(run)[1] == "twenty"
    rewrite(run, "last")
    assert restored(run)[1] == "last"
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000020"]


def test_a_kill_after_that_leaves_the_new_one_and_the_old_one_goes_with_the_next(run):
    shutil.copytree(write(run, 20, "twenty"), run.checkpoints / ".step-000020.replaced")
    (run.checkpoints / ".step-000020.replaced" / "notes" / "deep" / "text").write_text("older")
    assert restored(run)[1] == "twenty"
    write(run, 30, "thirty")
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-000020", "step-000030"]


def test_an_intact_checkpoint_is_not_written_twice(run):
    before = write(run, 20, "twenty").stat().st_ino
    assert write(run, 20, "ignored").stat().st_ino == before
    assert restored(run)[1] == "twenty"


def test_no_intact_checkpoint_at_all_is_one_line(run):
    damage_by_cut(write(run, 20, "twenty"))
    with pytest.raises(CheckpointError, match=r"no checkpoint in .* is intact; start a new run"):
        restored(run)


def flip(path, place, bit):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.mark.slow
def test_no_bit_of_progress_can_change_what_is_restored(run):
    """Where a flipped bit leaves the same content, as in a space, nothing is lost."""
    write(run, 10, "ten")
    path = write(run, 20, "twenty") / "progress.json"
    intact = path.read_bytes()
    for place in range(len(intact)):
        for bit in range(8):
            flip(path, place, bit)
            damage = checkpoints.find_damage(path.parent)
            assert damage or json.loads(path.read_bytes()) == json.loads(intact)
            path.write_bytes(intact)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", '{"step": 20, "files": {}}', '{"step": 20, "files": []}', '{"step": 20, "files": ["a"]}',
     '{"step": 20, "files": {"notes/deep/text": null}}', '{"step": "20", "files": {"a": {}}}', "[" * 100_000],
)  # fmt: skip
def test_progress_that_names_no_files_is_damage(run, content):
    write(run, 10, "ten")
    (write(run, 20, "twenty") / "progress.json").write_text(content)
    assert restored(run) == (10, "ten")


def test_a_checkpoint_of_an_earlier_version_is_read_and_its_step_must_be_that_of_its_folder(run):
    write(run, 10, "ten")
    folder = write(run, 20, "twenty")
    content = json.loads((folder / "progress.json").read_text())
    del content["sha256"]
    (folder / "progress.json").write_text(json.dumps(content))
    assert restored(run) == (20, "twenty")
    (folder / "progress.json").write_text(json.dumps({**content, "step": 21}))
    assert restored(run) == (10, "ten")


def test_a_damaged_checkpoint_that_is_in_the_way_is_kept_under_another_name(run):
    write(run, 10, "ten")
    damage_by_loss(write(run, 20, "twenty"))
    write(run, 15, "fifteen")
    assert (run.checkpoints / "damaged-step-000020" / "progress.json").exists()
    assert restored(run) == (15, "fifteen")


def test_copies_that_a_person_made_are_neither_read_nor_pruned(run):
    copied = run.checkpoints / "step-000010 (copy)"
    shutil.copytree(write(run, 10, "ten"), copied)
    for step in (20, 30):
        write(run, step, str(step))
        checkpoints.prune(run, 1)
    assert copied.is_dir()
    assert [folder.name for folder in checkpoints.listing(run)] == ["step-000030"]


@pytest.mark.parametrize("loss", ["checkpoints", "what is in it"])
def test_a_run_that_has_lost_its_checkpoints_is_not_begun_anew_in_silence(run, loss):
    append_event(run.events, Checkpointed(step=10, path=str(write(run, 10, "ten"))))
    shutil.rmtree(run.checkpoints)
    if loss == "what is in it":
        run.checkpoints.mkdir()
    with pytest.raises(CheckpointError, match=r"one was saved after step 10; put it back, .*--start-over"):
        restored(run)


def test_a_run_with_logs_and_no_place_for_checkpoints_is_not_begun_anew_in_silence(run):
    run.metrics.write_text('{"step": 1}\n')
    run.checkpoints.rmdir()
    with pytest.raises(CheckpointError, match="there is no checkpoint in"):
        restored(run)
    run.checkpoints.touch()
    with pytest.raises(CheckpointError, match=r"cannot read .*checkpoints: Not a directory; move it out"):
        restored(run)


READ = """
import os, sys
from pathlib import Path
from tinyzero.errors import CheckpointError
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    checkpoints.latest(RunFolder(Path(sys.argv[1])))
except CheckpointError as error:
    print(error)
"""


@pytest.mark.parametrize("closed", ["step-000020/notes/deep/text", "step-000020/notes", "step-000020", "."])
def test_a_checkpoint_that_this_user_may_not_read_is_not_called_damaged(closed):
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to other users
        Path(name).chmod(0o755)
        run = RunFolder.create(Path(name), "first", Config())
        write(run, 20, "twenty")
        (run.checkpoints / closed).chmod(0)
        said = subprocess.run([sys.executable, "-c", READ, str(run.path)], capture_output=True, text=True)
        (run.checkpoints / closed).chmod(0o755)
    assert re.fullmatch(
        r"cannot read .*: Permission denied; give this user the right to read it, .*\n", said.stdout
    )


def test_the_logs_are_on_the_disk_before_a_checkpoint_is(run, monkeypatch):
    real, synced = os.fsync, []

    def fsync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    for path in run.logs:
        path.write_text('{"step": 1}\n')
    monkeypatch.setattr(os, "fsync", fsync)
    write(run, 20, "twenty")
    logs = ["metrics.jsonl", "samples.jsonl", "tasks.jsonl", "replays.jsonl", "events.jsonl"]
    assert synced[: len(logs)] == logs
    assert "progress.json" in synced[len(logs) :]


@pytest.mark.parametrize(
    "number", [errno.EDQUOT, errno.EROFS, errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EBUSY]
)
@pytest.mark.parametrize("form", ["plain", "safetensors"])
def test_whatever_the_disk_says_is_one_line(run, number, form):
    class Refused(Notebook):
        def save(self, folder):
            words = os.strerror(number)
            if form == "plain":
                raise OSError(number, words)
            raise RuntimeError(f"Error while serializing: I/O error: {words} (os error {number})")

    with pytest.raises(
        CheckpointError, match=f"cannot write .*step-000020: {os.strerror(number)} .*free there"
    ):
        checkpoints.write(run, 20, {"notes": Refused()})


def test_a_missing_part_is_one_line(run):
    write(run, 20, "twenty")
    with pytest.raises(CheckpointError, match="holds no pool; it was written by another version"):
        checkpoints.restore(run, {"notes": Notebook(), "pool": Notebook()})


def test_a_part_that_fails_to_save_leaves_the_older_checkpoint_and_no_rubbish(run):
    class Broken(Notebook):
        def save(self, folder):
            super().save(folder)
            raise ZeroDivisionError

    write(run, 10, "ten")
    with pytest.raises(ZeroDivisionError):
        checkpoints.write(run, 20, {"notes": Broken("twenty")})
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000010"]


SAVE = """
import sys
from pathlib import Path
from tinyzero.run import checkpoints
from tinyzero.run.folder import RunFolder

class Slow:
    def save(self, folder):
        with (folder / "weights").open("wb") as file:
            file.write(b"half")
            file.flush()
            print("in the middle", flush=True)
            sys.stdin.read()

checkpoints.write(RunFolder(Path(sys.argv[1])), 20, {"notes": Slow()})
"""


def test_kill_9_in_the_middle_of_a_write_leaves_the_checkpoint_before(run):
    write(run, 10, "ten")
    with subprocess.Popen(
        [sys.executable, "-c", SAVE, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout.readline() == "in the middle\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    assert len(list(run.checkpoints.iterdir())) == 2  # the rubbish is there, and hidden
    assert restored(run) == (10, "ten")
    write(run, 20, "twenty")
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-000010", "step-000020"]


class Huge:
    """More than the file size limit of the test below allows."""

    def save(self, folder):
        (folder / "weights").write_bytes(b"0" * 100_000)

    def load(self, folder):
        pass


def test_a_file_that_the_system_refuses_is_one_line_and_leaves_the_older_checkpoint(run):
    write(run, 10, "ten")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        with pytest.raises(
            CheckpointError, match=r"cannot write .*step-000020: File too large .*MiB free there"
        ):
            checkpoints.write(run, 20, {"notes": Huge()})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert restored(run)[1] == "ten"


def test_no_space_inside_a_library_error_is_still_one_line(run):
    class Wrapped(Notebook):
        def save(self, folder):
            raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")

    with pytest.raises(CheckpointError, match="No space left on device"):
        checkpoints.write(run, 20, {"notes": Wrapped()})


def test_progress_names_every_file_with_its_checksum(run):
    content = json.loads((write(run, 20, "twenty") / "progress.json").read_text())
    assert content["files"] == {
        "notes/deep/text": {
            "bytes": 6,
            "sha256": "7c2c4df740f720b0c861920dc27692c4d4b5daa65d6330a593c931d35f8ac737",
        }
    }


def test_a_checkpoint_can_be_added_to_and_stays_whole(run):
    write(run, 1, "old")
    write(run, 2, "new")
    folder = checkpoints.amend(run, lambda copy: (copy / "notes" / "more").write_text("x"))
    assert folder.name == "step-000002"
    assert (folder / "notes" / "more").read_text() == "x"
    assert restored(run) == (2, "new")
    assert [path.name for path in sorted(run.checkpoints.iterdir())] == ["step-000001", "step-000002"]


def test_an_addition_that_fails_leaves_the_checkpoint_as_it_was(run):
    write(run, 1, "old")

    def fail(copy):
        (copy / "notes" / "deep" / "text").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        checkpoints.amend(run, fail)
    assert restored(run)[1] == "old"
    checkpoints.amend(run, lambda copy: None)
    assert [path.name for path in run.checkpoints.iterdir()] == ["step-000001"]


def test_a_run_without_a_checkpoint_cannot_be_added_to(run):
    with pytest.raises(CheckpointError, match="has no checkpoint yet; train it for some steps first"):
        checkpoints.amend(run, lambda copy: None)
