"""docs/gpu.md shows what the commands really print."""

import re
from pathlib import Path

import pytest
from settled import CARD, settled

from tinyzero.cli import run
from tinyzero.sampling.vllm.server import serve_command

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text(encoding="utf-8")


@pytest.fixture
def blocks(monkeypatch):
    """The page's blocks without a language, in order."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("PATH", "/nowhere")
    return re.findall(r"^```\n(.*?)\n```$", PAGE, re.DOTALL | re.MULTILINE)


def test_the_presets_of_the_page_are_listed_like_that(blocks, capsys):
    assert run(["presets"]) == 0
    printed = capsys.readouterr().out.splitlines()
    shown = [line.split() for line in blocks[0].splitlines() if " CUDA " in line]
    assert len(shown) >= 9
    for cells in shown:
        assert cells in [line.split() for line in printed], f"{cells[0]} changed: COLUMNS=80 tinyzero presets"


def test_the_plan_of_the_page_is_made_by_its_command(blocks, capsys):
    command = re.search(r"^`tinyzero (plan --preset .*)`:$", PAGE, re.MULTILINE)[1]
    assert run(command.split()) == 0
    here = re.compile(r"^  (programs|free) .*", re.MULTILINE)  # of the machine that makes the plan
    shown, printed = (here.sub(r"  \1", text) for text in (blocks[1], capsys.readouterr().out.rstrip()))
    assert shown == printed, f"changed: COLUMNS=80 tinyzero {command}"


def test_the_command_line_of_the_vllm_page_is_the_one_that_a_run_needs():
    page = (Path(__file__).parents[2] / "docs" / "vllm.md").read_text(encoding="utf-8")
    vllm = ["sampling.engine=vllm", "sampling.server_url=http://10.0.0.2:8000"]
    config = settled("qwen1.5b-24gb", vllm, CARD)
    assert f"\n{serve_command(config, config.model.base)}\n" in page
