"""The 4-bit path from end to end on a CPU: sample, learn one step with 8-bit AdamW, merge.

On nano always, and on SmolLM2-135M where TINYZERO_SMOLLM2 names the folder (tools/convert_smollm2.py).
"""

import math
import os
from pathlib import Path

import pytest
import torch
from rollouts import rollout_of
from safetensors.torch import load_file
from settled import learner_section, model_section
from transformers import AutoModelForCausalLM

from tinyzero.config import PolicyConfig, SamplingConfig, resolve_base
from tinyzero.export.adapters import read_adapter
from tinyzero.export.merge import merge
from tinyzero.export.weights import weight_files
from tinyzero.learning.learner import LoraLearner
from tinyzero.policy.loading import load_policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.types import Prompt, Role, SamplingRequest

SMOLLM2 = os.environ.get("TINYZERO_SMOLLM2", "")
NUM_SAMPLES, MAX_TOKENS = 2, 8
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(
    scope="module",
    params=[
        "nano",
        pytest.param(
            SMOLLM2,
            marks=pytest.mark.skipif(not SMOLLM2, reason="TINYZERO_SMOLLM2 names no folder"),
            id="smollm2",
        ),
    ],
)
def base(request):
    return request.param


def load(base, adapters, **model):
    return load_policy(
        model_section(base=base, quantization="nf4", **model),
        PolicyConfig(adapters=adapters),
        device="cpu",
        temperature=1.0,
    )


def play(policy):
    """Answers of both roles, half of them worth 1 and half -1."""
    sampler = BuiltinSampler(policy, SamplingConfig(), seed=0)
    rollouts = []
    for role in Role:
        prompts = tuple(Prompt(kind="deduction", text=text) for text in ("f(x) = x + 1", "f(2)?"))
        request = SamplingRequest(
            role=role, prompts=prompts, num_samples=NUM_SAMPLES, max_tokens=MAX_TOKENS, stream=f"0/{role}"
        )
        for prompt, completions in zip(prompts, sampler.sample(request), strict=True):
            rollouts += [rollout_of(role, prompt=prompt, completion=completion) for completion in completions]
    return rollouts, [1.0, -1.0] * (len(rollouts) // 2)


def frozen_state(policy):
    """Every number of the base model, those of its quantisation included."""
    return {
        name: value.clone()
        for name, value in policy.model.state_dict(keep_vars=False).items()
        if "lora_" not in name and isinstance(value, torch.Tensor)
    }


def adapter_weights(policy, adapter):
    return torch.cat([parameter.detach().flatten() for parameter in policy.trainable_parameters(adapter)])


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
@pytest.mark.parametrize("engine", ["builtin", "trl"])
def test_a_four_bit_step(base, adapters, engine):
    policy = load(base, adapters, gradient_checkpointing=engine == "builtin")
    frozen = frozen_state(policy)
    start = {adapter: adapter_weights(policy, adapter) for adapter in policy.adapters}
    assert any(value.dtype is torch.uint8 for value in frozen.values())
    assert policy.model.get_input_embeddings().weight.dtype is policy.dtype
    config = learner_section(optimizer="adamw8bit", lr=1e-3, engine=engine)
    learned = LoraLearner(policy, config, 1.0).update(*play(policy))
    for adapter in policy.adapters:
        assert math.isfinite(learned[f"learner/{adapter}/loss"])
        assert learned[f"learner/{adapter}/grad_norm"] > 0
        assert learned[f"learner/{adapter}/skipped"] == 0
        # Decoding and training multiply by the same 4-bit weights, in other shapes.
        assert learned[f"learner/{adapter}/sampler_gap_max"] < 1e-3
        assert policy.versions[adapter] == 1
        moved = (adapter_weights(policy, adapter) - start[adapter]).abs()
        assert 0 < float(moved.max()) < 2e-3  # Adam's first step moves a weight by the learning rate
    after = frozen_state(policy)
    assert after.keys() == frozen.keys()
    assert all(torch.equal(after[name], value) for name, value in frozen.items())


def test_a_four_bit_policy_merges_into_what_it_was(base, tmp_path):
    """Into the dequantised base, in float32: the logits are those of the live policy."""
    policy = load(base, "shared")
    LoraLearner(policy, learner_section(optimizer="adamw8bit", lr=1e-2), 1.0).update(*play(policy))
    policy.save(tmp_path / "adapters")
    (tmp_path / "merged").mkdir()
    merge(
        Path(resolve_base(base)),
        read_adapter(tmp_path / "adapters" / "shared"),
        tmp_path / "merged",
        merge_base="dequant",
        dtype="fp32",
        trained_dtype=torch.float32,
    )
    merged = AutoModelForCausalLM.from_pretrained(resolve_base(base), dtype=torch.float32)
    plain = {name: value.clone() for name, value in merged.state_dict().items()}
    weights = {k: v for path in weight_files(tmp_path / "merged") for k, v in load_file(path).items()}
    merged.load_state_dict(weights, strict=False)
    ids = torch.tensor([policy.encode(Prompt(kind="deduction", text="f(2)?"))])
    policy.wear("shared")
    with torch.no_grad():
        live, found = policy.model(input_ids=ids).logits, merged(input_ids=ids).logits
        merged.load_state_dict(plain)
        untrained = merged(input_ids=ids).logits
    assert float((found - live).abs().max()) < 1e-3
    assert float((untrained - live).abs().max()) > 0.1
