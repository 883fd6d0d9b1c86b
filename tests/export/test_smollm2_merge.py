"""Merges of a real model against float64. Give a run on SmolLM2: TINYZERO_SMOLLM2_RUN=runs/NAME."""

import os
from pathlib import Path

import pytest
import torch
from merging import (
    adapter_of,
    as_bfloat16,
    dequantised,
    float64_reference,
    merged_weights,
    run_merge,
    within_half_a_step,
)

from tinyzero.config import PolicyConfig
from tinyzero.policy.loading import load_policy
from tinyzero.run.folder import RunFolder

RUN = os.environ.get("TINYZERO_SMOLLM2_RUN", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RUN, reason="TINYZERO_SMOLLM2_RUN names no run on SmolLM2"),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def run():
    return RunFolder.open(Path(RUN))


@pytest.fixture(scope="module")
def base(run):
    return Path(run.config().model.base)


def check_against_float64(folder, made, adapter):
    weights = merged_weights(folder)
    exact = float64_reference(weights, adapter)
    assert made.keys() == weights.keys()
    assert len(exact) == 210  # 30 layers of seven linear maps
    for name, tensor in made.items():
        assert within_half_a_step(tensor, exact.get(name, weights[name].double())), name


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_a_merge_is_the_float64_sum_rounded_once(run, base, tmp_path, dtype):
    adapter = adapter_of(run)
    run_merge(base, adapter, tmp_path / "merged", dtype=dtype)
    check_against_float64(base, merged_weights(tmp_path / "merged"), adapter)


def test_a_merge_from_16_bit_weights_is_too(run, base, tmp_path):
    adapter = adapter_of(run)
    folder = as_bfloat16(base, tmp_path / "base")
    assert run_merge(folder, adapter, tmp_path / "merged").dtype == "bf16"
    check_against_float64(folder, merged_weights(tmp_path / "merged"), adapter)


def test_a_dequant_merge_adds_to_what_four_bit_training_sees(run, base, tmp_path):
    adapter = adapter_of(run)
    run_merge(base, adapter, tmp_path / "merged", merge_base="dequant", dtype="fp32")
    made = merged_weights(tmp_path / "merged")
    model = run.config().model.model_copy(update={"quantization": "nf4"})
    live = dequantised(load_policy(model, PolicyConfig(), device="cpu", temperature=1.0))
    exact = float64_reference(live, adapter)
    assert len(exact) == 210
    for name, reference in exact.items():
        torch.testing.assert_close(made[name].double(), reference, atol=1e-6, rtol=1e-6)
