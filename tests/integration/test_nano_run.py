"""The whole program on the nano model: real sampling, real execution, real learning."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from settled import settled

import tinyzero
from tinyzero.assembly import assemble
from tinyzero.run.folder import RunFolder

NANO_SET = Path(tinyzero.__file__).parent / "nano" / "heldout.jsonl"
SMALL = [
    "run.checkpoint_every_steps=2",
    "selfplay.proposals_per_step=12",
    "selfplay.attempts=4",
    "selfplay.proposal_tokens=64",
    "selfplay.answer_tokens=32",
    "hardware.threads=1",
    'evaluation.heldout="none"',
]


def make_config(**settings):
    return settled("nano-cpu", [*SMALL, *(f"{key}={value}" for key, value in settings.items())])


def comparable(metrics):
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def play(config, run, *, steps):
    """Some steps of a run, dropped on the spot afterwards like a process that was killed."""
    with assemble(config, run) as trainer:
        reports = []
        while trainer.steps_done < steps:
            reports.append(trainer.step())
            if trainer.steps_done % config.run.checkpoint_every_steps == 0:
                trainer.checkpoint()
        trainer.policy.save(run.adapter)
    return [comparable(report.metrics) for report in reports]


def adapter_bytes(run):
    return {path.name: path.read_bytes() for path in run.adapter.rglob("*.safetensors")}


@pytest.mark.slow
@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(tmp_path, adapters):
    config = make_config(**{"policy.adapters": adapters})
    whole = RunFolder.create(tmp_path, "whole", config)
    broken = RunFolder.create(tmp_path, "broken", config)
    uninterrupted = play(config, whole, steps=4)
    play(config, broken, steps=3)  # its third step is lost: the last checkpoint is the second's
    assert play(config, broken, steps=4) == uninterrupted[2:]
    assert adapter_bytes(broken) == adapter_bytes(whole)
    assert sum(metrics["proposer/valid_share"] for metrics in uninterrupted) > 0
    assert sum(metrics["solver/accuracy"] for metrics in uninterrupted) > 0
    assert all(
        metrics[f"learner/{name}/grad_norm"] > 0 for metrics in uninterrupted for name in played(adapters)
    )


def played(adapters):
    return ("shared",) if adapters == "shared" else ("proposer", "solver")


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_that_resume_goes_on_from_all_without_network(tmp_path):
    run = RunFolder(tmp_path / "run")
    held_out = tmp_path / "few.jsonl"
    held_out.write_text("".join(NANO_SET.read_text().splitlines(keepends=True)[::149]))
    chosen = [*SMALL, f"evaluation.heldout={held_out}", "evaluation.attempts=2"]
    settings = [part for setting in chosen for part in ("--set", setting)]
    process = start("train", "--preset", "nano-cpu", "--output", str(tmp_path), "--name", "run", *settings)
    deadline = time.monotonic() + 1200
    while not (run.metrics.exists() and run.metrics.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=1200)
    assert process.returncode == 0, printed
    steps = len(run.metrics.read_text().splitlines())
    assert (run.checkpoints / f"step-{steps:06d}").is_dir(), printed

    resumed = start("train", "--resume", str(run.path), "--max-steps", str(steps + 1), "--ui", "json")
    printed, _ = resumed.communicate(timeout=1200)
    assert resumed.returncode == 0, printed
    table = json.loads([line for line in printed.splitlines() if line.startswith("{")][-1])
    assert table["adapter"] == str(run.adapter)
    assert [(row["name"], row["tasks"]) for row in table["rows"] if row["decoding"] == "greedy"] == [
        ("deduction", 2),
        ("induction", 2),
        ("abduction", 1),
        ("mean", 5),
        ("longer programs", 3),
    ]
    lines = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, steps + 2))
    assert (run.adapter / "solver" / "adapter_model.safetensors").exists()


WITHOUT_NETWORK = """
import sys
def refuse(event, arguments):
    if event == "socket.getaddrinfo" or (event == "socket.connect" and not isinstance(arguments[-1], str)):
        raise OSError(f"network use: {event} {arguments}")
sys.addaudithook(refuse)
from tinyzero.cli import main
main()
"""


def start(*arguments):
    """The program in a process that cannot look up a host or connect to one."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.Popen(
        [sys.executable, "-c", WITHOUT_NETWORK, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment | {"OMP_WAIT_POLICY": "PASSIVE"},
    )
