"""The benchmarks of the model parts, on nano and at toy size."""

import json
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tinyzero.cli.bench import bench
from tinyzero.cli.bench_model import in_words, sampling, workload
from tinyzero.errors import ConfigError

SMALL = ("--preset", "nano-cpu", "--prompts", "2", "--samples", "2", "--tokens", "4", "--repeats", "1")
MEASURED = {
    "model": "nano", "device": "cpu", "threads": 1, "load_before": 0.25, "prompts": 24, "samples": 8,
    "tokens": 112, "repeats": 5, "contenders": ["built-in", "TRL"],
    "rows": {"an update": {
        "ours_s": 2.0, "theirs_s": 4.5, "ours_per_s": 900.4, "theirs_per_s": 400.0, "speedup": 2.251,
        "speedup_min": 2.0, "speedup_max": 2.6, "ours_peak_mib": 120.2, "theirs_peak_mib": 301.7,
    }},
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
    assert (measured["model"], measured["contenders"]) == ("nano", ["built-in", "generate"])
    equal, natural = measured["rows"]["equal lengths"], measured["rows"]["natural lengths"]
    assert equal["ours_s"] * equal["ours_per_s"] == pytest.approx(2 * 2 * 4, rel=0.01)
    assert equal["theirs_s"] * equal["theirs_per_s"] == pytest.approx(2 * 2 * 4, rel=0.01)
    assert natural["ours_s"] * natural["ours_per_s"] <= 2 * 2 * 4 * 1.01


def test_an_engine_that_this_machine_lacks_is_said_before_anything_is_loaded(monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(ConfigError, match="needs a CUDA card"):
        sampling(workload("nano-cpu", None, 1, 1, 4, 1, engine="vllm"))


def test_learning_is_measured_with_its_memory() -> None:
    code, output = run("learning", *SMALL, "--json")
    (row,) = json.loads(output)["rows"].values()
    assert code == 0
    assert row["speedup"] == pytest.approx(row["ours_per_s"] / row["theirs_per_s"], rel=1e-3)
    assert {"ours_peak_mib", "theirs_peak_mib"} <= row.keys()


def test_the_table_names_both_and_gives_the_spread() -> None:
    assert in_words(MEASURED).splitlines() == [
        "nano on cpu, threads: 1, load 0.2 before",
        "24 prompts x 8 answers of at most 112 tokens; medians of 5 laps",
        "",
        "                               built-in        TRL   speedup (laps side by side)",
        "an update, tokens/s                 900        400   2.25 (2.00 to 2.60)",
        "an update, s                       2.00       4.50",
        "an update, peak MiB                 120        302",
    ]
