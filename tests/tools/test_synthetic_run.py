"""Commands can read the synthetic run, and a long one takes them little memory and no torch."""

import json
import subprocess
import sys

import pytest
import synthetic_run


@pytest.fixture
def write(tmp_path, monkeypatch, capsys):
    def write_run(steps, tasks):
        folder = tmp_path / "runs" / "long"
        monkeypatch.setattr(
            sys, "argv", ["synthetic_run", str(folder), "--steps", str(steps), "--tasks", str(tasks)]
        )
        synthetic_run.main()
        return folder, capsys.readouterr().out

    return write_run


COMMAND = """
import json, re, sys
from pathlib import Path
from tinyzero.cli import run
code = run(sys.argv[1:])
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
print(json.dumps([code, "torch" in sys.modules, peak]), file=sys.stderr)
"""


def measured(*arguments):
    """Output, and the peak of a command's memory in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments], check=True, capture_output=True, text=True, timeout=120
    )
    code, has_torch, peak = json.loads(done.stderr.splitlines()[-1])
    assert (code, has_torch) == (0, False)
    return done.stdout, peak


def test_it_has_as_many_steps_and_tasks_as_it_should(write):
    folder, out = write(30, 200)
    assert [line.split()[0] for line in out.splitlines()] == [
        "events.jsonl", "metrics.jsonl", "replays.jsonl", "samples.jsonl", "tasks.jsonl",
    ]  # fmt: skip
    (row,) = json.loads(measured("runs", "--output", str(folder.parent), "--json")[0])
    assert (row["step"], row["max_steps"], row["state"]) == (30, 30, "finished")
    assert measured("tasks", str(folder))[0].splitlines()[-1] == "40 of 199 that fit, of 199 tasks"


def test_the_memory_of_a_command_does_not_grow_with_the_run(write, tmp_path):
    folder, _ = write(4000, 40_000)
    size_kib = sum(path.stat().st_size for path in folder.glob("*.jsonl")) // 1024
    for arguments in (
        ["runs", "--output", str(folder.parent)],
        ["watch", str(folder), "--once", "--size", "120x40"],
        ["tasks", str(folder)],
        ["report", str(folder), "--to", str(tmp_path / "report.html")],
    ):
        _, peak = measured(*arguments)
        assert peak < 140 * 1024
    assert size_kib > 45 * 1024
    assert "of the newest" in (tmp_path / "report.html").read_text()
