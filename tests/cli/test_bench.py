"""The speeds that `tinyzero bench` prints, on nano and at toy size."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tinyzero.cli.bench import bench
from tinyzero.cli.scoring_speed import scoring_speed
from tinyzero.cli.speed import as_table, executor_speed, sampling_speed, workload
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor

SMALL = ("--preset", "nano-cpu", "--prompts", "2", "--samples", "2", "--tokens", "4", "--repeats", "1")
MEASURED = {
    "model": "nano", "device": "cpu", "threads": 1, "load_before": 0.25, "prompts": 24, "samples": 8,
    "tokens": 112, "repeats": 5, "rows": {"an update": {"seconds": 2.0, "tokens_per_s": 900.4}},
}  # fmt: skip


def run(*arguments: str) -> tuple[int, Any]:
    app = typer.Typer()
    app.command()(bench)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout


def test_sampling_is_measured_with_equal_and_with_natural_lengths() -> None:
    code, output = run("sampling", *SMALL, "--json")
    measured = json.loads(output)
    assert code == 0
    assert (measured["model"], measured["prompts"], measured["repeats"]) == ("nano", 2, 1)
    equal, natural = measured["rows"]["equal lengths"], measured["rows"]["natural lengths"]
    assert equal["seconds"] * equal["tokens_per_s"] == pytest.approx(2 * 2 * 4, rel=0.01)
    assert natural["seconds"] * natural["tokens_per_s"] <= 2 * 2 * 4 * 1.01


def test_an_engine_that_this_machine_lacks_is_said_before_anything_is_loaded(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    small = workload("nano-cpu", None, engine="vllm", prompts=1, samples=1, tokens=4, repeats=1)
    with pytest.raises(ConfigError, match="needs a CUDA card"):
        sampling_speed(small)


def test_learning_is_measured_on_all_tokens_of_the_answers() -> None:
    code, output = run("learning", *SMALL, "--json")
    (row,) = json.loads(output)["rows"].values()
    assert code == 0
    assert 2 * 2 * 0.99 <= row["seconds"] * row["tokens_per_s"] <= 2 * 2 * 4 * 1.01


def test_the_executor_is_measured_by_its_own_count_of_runs() -> None:
    with Executor() as executor:
        before = executor.num_runs
        speed = executor_speed(executor, num_runs=20, num_threads=2)
        assert executor.num_runs - before == 2 * 20  # in a batch, and one by one
    assert 0 < speed["latency_ms_p50"] <= speed["latency_ms_p99"]
    assert min(speed["runs_per_s"], speed["child_cpu_ms"]) > 0


def test_scoring_is_raced_against_a_process_for_each_answer() -> None:
    measured = scoring_speed(num_answers=6, repeats=2)
    assert (measured["answers"], measured["load_before"] >= 0) == (6, True)
    assert 0 < measured["speedup_min"] <= measured["speedup"] <= measured["speedup_max"]
    assert min(measured["answers_per_s"], measured["process_each_per_s"]) > 0


def test_the_table_has_a_line_for_each_row() -> None:
    assert as_table(MEASURED).splitlines() == [
        "nano on cpu, threads: 1, load 0.2 before",
        "24 prompts x 8 answers of at most 112 tokens; medians of 5 laps",
        "",
        "an update                900 tokens/s       2.00 s",
    ]
