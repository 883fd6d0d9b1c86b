"""Disk against numbers worked out by hand."""

import pytest
from settled import CARD, defaults

from tinyzero.machine.forecast import disk_plan
from tinyzero.machine.shapes import shape_of

GIB = 2**30


def test_a_run_takes_its_model_three_checkpoints_and_its_logs():
    config = defaults(
        CARD,
        model={"base": "Qwen/Qwen2.5-Coder-0.5B-Instruct"},
        policy={"rank": 8, "adapters": "per-role"},
        pool={"capacity": 100, "max_program_chars": 2000},
        run={"max_steps": 10, "samples_per_step": 2, "keep_checkpoints": 2},
        selfplay={"proposals_per_step": 8, "proposal_tokens": 200, "answer_tokens": 100},
        sampling={"max_prompt_tokens": 1000},
    )
    shape = shape_of(config.model.base)
    made = disk_plan(config, shape)
    assert made.download * GIB == pytest.approx(494_032_768 * 2)
    # Two adapters of rank 8 (half of the published 8.8 million at rank 16), float32, with 8-bit moments.
    assert shape.lora_weights(8) == 4_399_104
    weights = 2 * 4_399_104
    checkpoint = weights * (4 + 2 * (1 + 4 / 256)) + 100 * 1000
    assert made.checkpoints * GIB == pytest.approx(3 * checkpoint + weights * 4)
    # A line of metrics, 2 samples of 500 + 100 tokens, and 4 new tasks whose programs fill 100 tokens
    assert made.step_bytes == {
        "metrics.jsonl": 4500,
        "samples.jsonl": 2 * (330 + 4 * 600),
        "tasks.jsonl": 4 * (300 + 4 * 100),
        "replays.jsonl": 0,
        "events.jsonl": 130 / 20,
    }
    assert made.logs * GIB == pytest.approx(10 * (4500 + 5460 + 2800 + 6.5))
    assert made.total_gib == pytest.approx(made.download + made.checkpoints + made.logs)


def test_a_local_model_is_not_downloaded(tmp_path):
    for base in ("nano", str(tmp_path)):
        config = defaults(model={"base": base})
        assert disk_plan(config, shape_of("nano")).download == 0


def test_samples_that_are_thinned_take_less_room():
    keep = {"max_steps": 1000, "samples_per_step": 2, "keep_samples": 100}
    thinned, full = (
        disk_plan(defaults(run=run), shape_of("nano")) for run in (keep, {**keep, "keep_samples": None})
    )
    a_step = full.step_bytes["samples.jsonl"]
    # Up to 200 steps have all of their samples, and of 800 one in ten.
    assert (full.logs - thinned.logs) * GIB == pytest.approx(a_step * (1000 - (200 + 80)))


def test_measurements_and_replays_are_counted():
    config = defaults(
        run={"checkpoint_every_steps": 10}, evaluation={"every_steps": 5}, selfplay={"replays_per_step": 3}
    )
    step_bytes = disk_plan(config, shape_of("nano")).step_bytes
    assert step_bytes["replays.jsonl"] == 3 * 120
    assert step_bytes["events.jsonl"] == pytest.approx(130 / 10 + 4200 / 5)
