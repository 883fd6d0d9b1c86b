"""A run's folder as a state: again and again, while others write, cut and damage it."""

import json
import os
import subprocess
import sys

from made import metrics, sample, write_run

from tinyzero.config import Config
from tinyzero.run.folder import RunFolder
from tinyzero.watch.follow import Follower, age_s, state_of


def append(path, record):
    with path.open("a") as file:
        file.write(json.dumps(record) + "\n")


def test_a_look_without_news_gives_the_very_same_state(tmp_path):
    follower = Follower(RunFolder(write_run(tmp_path / "x", 3)))
    state = follower.look()
    assert (state.step, len(state.samples), len(state.tasks)) == (3, 3, 3)
    assert follower.look() is state
    append(tmp_path / "x" / "metrics.jsonl", metrics(4))
    assert follower.look().step == 4


def test_a_resumed_run_that_was_cut_back_is_seen_as_it_is_now(tmp_path):
    run = write_run(tmp_path / "x", 5)
    follower = Follower(RunFolder(run))
    follower.look()
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    (run / "metrics.jsonl").write_text("".join(lines[:2]))
    state = follower.look()
    assert state.step == 2
    assert len(state.samples) == 5
    append(run / "metrics.jsonl", {**metrics(3), "solver/accuracy": 0.77})
    assert follower.look().metrics["solver/accuracy"] == 0.77


def test_an_empty_or_damaged_folder_is_a_run_without_steps(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert state_of(RunFolder(empty)).step == 0
    damaged = write_run(tmp_path / "x", 0)
    for name in ("config.json", "environment.json", "evaluation.json", "metrics.jsonl"):
        (damaged / name).write_bytes(b'\xff{"half": ')
    state = state_of(RunFolder(damaged))
    assert (state.step, state.kinds, state.comparison) == (0, (), None)


def test_the_comparison_appears_when_it_is_written(tmp_path):
    run = write_run(tmp_path / "x", 1)
    follower = Follower(RunFolder(run))
    assert follower.look().comparison is None
    row = dict.fromkeys(("before", "after", "difference", "low", "high"), 0.1) | {"name": "mean"}
    (run / "evaluation.json").write_text(json.dumps({"set": "held out", "rows": [row]}))
    assert follower.look().comparison.set_name == "held out"


def test_a_view_that_only_lists_reads_no_texts(tmp_path):
    state = state_of(RunFolder(write_run(tmp_path / "x", 3)), logs=("metrics", "events"))
    assert (state.step, state.samples, state.tasks) == (3, (), {})


HOLD = """
import sys, time
from pathlib import Path
from tinyzero.run.folder import RunFolder
with RunFolder(Path(sys.argv[1])).exclusive():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_in_training_while_its_process_lives(tmp_path):
    run = RunFolder.create(tmp_path, "x", Config())
    follower = Follower(run)
    assert not follower.look().is_running
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        assert follower.look().is_running
        assert run.holder() == process.pid
        process.kill()
    assert not follower.look().is_running
    (run.path / "lock").write_text(f"{os.getpid()}\n")  # the number lives on in another process
    assert not run.is_held()
    with run.exclusive():
        pass


def test_looking_while_another_process_writes_never_sees_half_a_line(tmp_path):
    run = write_run(tmp_path / "x", 0)
    writer = (
        "import sys\nfrom pathlib import Path\nfrom tinyzero.run.records import RecordWriter\n"
        "writer = RecordWriter(Path(sys.argv[1]))\n"
        "for step in range(1, 400):\n    writer.append({'step': step, 'prompt': 'x' * 3000})\n"
    )
    follower = Follower(RunFolder(run), read_all=True)
    with subprocess.Popen([sys.executable, "-c", writer, str(run / "samples.jsonl")]) as process:
        while process.poll() is None:
            assert all(len(one.prompt) in (3000, len(sample(1)["prompt"])) for one in follower.look().samples)
    assert [one.step for one in follower.look().samples] == list(range(1, 400))


def test_age_is_that_of_the_newest_file(tmp_path):
    run = write_run(tmp_path / "x", 1)
    newest = max(path.stat().st_mtime for path in run.iterdir() if path.is_file())
    assert age_s(run, newest + 5) == 5
    assert age_s(tmp_path / "nowhere", newest) == 0
    (run / "report.html").write_text("what others write there makes the run no newer")
    os.utime(run / "report.html", (newest + 3, newest + 3))
    assert age_s(run, newest + 5) == 5
