"""The races of tools/benchmark.py, on nano and at toy size, and how they are shown."""

import json

import benchmark
import pytest

SMALL = ("--preset", "nano-cpu", "--prompts", "2", "--samples", "2", "--tokens", "4", "--repeats", "1")
MEASURED = {
    "model": "nano", "device": "cpu", "threads": 1, "load_before": 0.25, "prompts": 24, "samples": 8,
    "tokens": 112, "repeats": 5, "contenders": ["built-in", "TRL"],
    "rows": {"an update": {
        "ours_s": 2.0, "theirs_s": 4.5, "ours_per_s": 900.4, "theirs_per_s": 400.0, "speedup": 2.251,
        "speedup_min": 2.0, "speedup_max": 2.6, "ours_peak_mib": 120.2, "theirs_peak_mib": 301.7,
    }},
}  # fmt: skip


def run(capsys, *arguments):
    benchmark.main(arguments)
    return json.loads(capsys.readouterr().out)


def test_the_sampler_is_raced_with_equal_and_with_natural_lengths(capsys):
    measured = run(capsys, "sampling", *SMALL, "--json")
    assert (measured["model"], measured["contenders"]) == ("nano", ["built-in", "generate"])
    equal, natural = measured["rows"]["equal lengths"], measured["rows"]["natural lengths"]
    assert equal["ours_s"] * equal["ours_per_s"] == pytest.approx(2 * 2 * 4, rel=0.01)
    assert equal["theirs_s"] * equal["theirs_per_s"] == pytest.approx(2 * 2 * 4, rel=0.01)
    assert natural["ours_s"] * natural["ours_per_s"] <= 2 * 2 * 4 * 1.01


def test_the_learner_is_raced_with_its_memory(capsys):
    (row,) = run(capsys, "learning", *SMALL, "--json")["rows"].values()
    assert row["speedup"] == pytest.approx(row["ours_per_s"] / row["theirs_per_s"], rel=1e-3)
    assert {"ours_peak_mib", "theirs_peak_mib"} <= row.keys()


def test_the_table_names_both_and_gives_the_spread():
    assert benchmark.as_table(MEASURED) == [
        "nano on cpu, threads: 1, load 0.2 before",
        "24 prompts x 8 answers of at most 112 tokens; medians of 5 laps",
        "",
        "                               built-in        TRL   speedup (laps side by side)",
        "an update, tokens/s                 900        400   2.25 (2.00 to 2.60)",
        "an update, s                       2.00       4.50",
        "an update, peak MiB                 120        302",
    ]
