"""`torchrun -m tinyzero train`: two processes play the run of one, and a run survives any of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rounds import relative_distance

from tinyzero.run.folder import RunFolder

pytestmark = pytest.mark.slow

SETTINGS = [
    "run.max_steps=3",
    "run.checkpoint_every_steps=1",
    "run.samples_per_step=100",
    "selfplay.proposals_per_step=12",
    "selfplay.attempts=4",
    "selfplay.proposal_tokens=64",
    "selfplay.answer_tokens=32",
    'evaluation.heldout="none"',
]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]


def start(*arguments, ranks=1):
    """`tinyzero` in one process, or in two of torchrun."""
    launcher = TORCHRUN if ranks > 1 else []
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "tinyzero", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": "1"},
    )


def tinyzero(*arguments, ranks=1):
    process = start(*arguments, ranks=ranks)
    printed, _ = process.communicate(timeout=1500)
    assert process.returncode == 0, printed
    return printed


def new(folder, name, *more):
    settings = [part for setting in [*SETTINGS, *more] for part in ("--set", setting)]
    return ["train", "--preset", "nano-cpu", "--output", str(folder), "--name", name, *settings]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Three steps of one process."""
    folder = tmp_path_factory.mktemp("alone")
    tinyzero(*new(folder, "alone"))
    return RunFolder(folder / "alone")


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def assert_same_run(run, alone):
    """The same proposals, tasks, verdicts, completions; figures and adapters up to the order of sums."""
    for log in ("samples", "tasks"):
        assert lines(run.path / f"{log}.jsonl") == lines(alone.path / f"{log}.jsonl")
    assert len(lines(run.metrics)) == len(lines(alone.metrics)) == 3
    for own, other in zip(lines(run.metrics), lines(alone.metrics), strict=True):
        for name, value in other.items():
            if not name.startswith("time/"):
                assert own[name] == pytest.approx(value, rel=1e-3, abs=1e-4), name
    for role in ("proposer", "solver"):
        assert relative_distance(adapter_of(run, role), adapter_of(alone, role)) < 0.05


def adapter_of(run, role):
    import torch
    from safetensors.torch import load_file

    tensors = load_file(run.adapter / role / "adapter_model.safetensors")
    return torch.cat([tensors[name].flatten() for name in sorted(tensors) if "lora_B" in name])


def test_two_processes_play_the_run_of_one(tmp_path, alone):
    printed = tinyzero(*new(tmp_path, "two"), ranks=2)
    assert printed.count("2 processes play it together") == 1
    assert printed.count(" 3/3 ") == 1  # the other rank prints no line
    run = RunFolder(tmp_path / "two")
    assert_same_run(run, alone)
    assert all(line["ranks/count"] == 2 for line in lines(run.metrics))
    assert [folder.name for folder in tmp_path.iterdir()] == ["two"]


def test_two_processes_go_on_with_the_run_of_one(tmp_path, alone):
    run = RunFolder(shutil.copytree(alone.path, tmp_path / "mixed"))
    shutil.rmtree(run.checkpoints / "step-000003")
    shutil.rmtree(run.adapter)
    printed = tinyzero("train", "--resume", str(run.path), ranks=2)
    assert "going on after step 2" in printed
    assert_same_run(run, alone)
    assert ["ranks/count" in line for line in lines(run.metrics)] == [False, False, True]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_is_killed_ends_the_other_and_loses_nothing(tmp_path, alone, rank):
    process = start(*new(tmp_path, "broken"), ranks=2)
    run = RunFolder(tmp_path / "broken")
    deadline = time.monotonic() + 1200
    while not (run.metrics.exists() and run.metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    os.kill(process_of(process.pid, rank), signal.SIGKILL)
    printed, _ = process.communicate(timeout=1200)
    assert process.returncode != 0
    told = [line for line in printed.splitlines() if line.startswith("error:")]
    assert len(told) == 1, printed
    assert "has lost another one" in told[0]
    assert f"tinyzero train --resume {run.path}" in told[0]
    tinyzero("train", "--resume", str(run.path))
    assert_same_run(run, alone)


def process_of(launcher, rank):
    """The process id of a rank that this torchrun has started."""
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            names = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == launcher and f"RANK={rank}".encode() in names:
            return int(folder.name)
    raise AssertionError(f"torchrun has no rank {rank}")
