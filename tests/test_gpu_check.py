"""The tool that checks a GPU, without one: every section at toy size, and what becomes of those that fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

TOOL = Path(__file__).parents[1] / "tools" / "gpu_check.py"
ON_CUDA_ONLY = {"unsloth", "vllm", "out_of_memory"}


def check(output, *arguments):
    command = [sys.executable, str(TOOL), "--output", str(output), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    files = sorted(output.iterdir())
    assert [file.suffix for file in files] == [".json", ".txt"], done.stderr
    return done.returncode, json.loads(files[0].read_text()), files[1].read_text()


@pytest.mark.slow
def test_a_dry_run_goes_through_every_section(tmp_path):
    code, found, text = check(tmp_path, "--dry-run", "--minutes", "600")
    sections = found["sections"]
    assert {name for name, section in sections.items() if section["status"] == "skipped"} == ON_CUDA_ONLY
    assert {section["status"] for name, section in sections.items() if name not in ON_CUDA_ONLY} == {"ok"}, (
        text
    )
    assert code == 0
    assert found["is_small"]
    assert found["ran"] == []
    assert all(f"{name}: " in text for name in sections)
    assert sections["same_tokens"]["figures"]["static_equal"] == sections["same_tokens"]["figures"]["answers"]


def test_what_a_report_shows_is_what_the_doctor_asks_for(monkeypatch):
    from tinyzero.machine.evidence import CLAIMS, never_run

    monkeypatch.syspath_prepend(str(TOOL.parent))
    import gpu_check
    from gpu.report import PROVES, ran

    assert set(PROVES) <= set(CLAIMS)
    assert {name for needed in PROVES.values() for name in needed} <= set(gpu_check.SECTIONS)
    sections = {name: {"status": "ok"} for name in gpu_check.SECTIONS} | {"phases": {"status": "failed"}}
    shown = ran(sections, device="cuda", is_small=False)
    assert shown == ["sampling", "out-of-memory", "unsloth", "vllm"]
    assert set(CLAIMS) - set(never_run([{"ran": shown}])) == set(shown)
    assert ran(sections, device="cpu", is_small=False) == ran(sections, device="cuda", is_small=True) == []


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="is about a machine without a card")
def test_a_section_that_fails_is_written_down_and_the_others_go_on(tmp_path):
    code, found, text = check(tmp_path, "--device", "cuda", "--small", "--only", "same_tokens", "unsloth")
    assert code == 1
    assert [section["status"] for section in found["sections"].values()] == ["failed", "skipped"]
    assert "Traceback" in found["sections"]["same_tokens"]["problem"]
    assert "CUDA" in text


def test_when_the_time_is_up_no_section_begins(tmp_path):
    code, found, _ = check(tmp_path, "--device", "cpu", "--minutes", "0", "--only", "memory", "nano")
    assert code == 0
    assert [section["problem"] for section in found["sections"].values()] == ["no time left"] * 2
