"""8-bit AdamW of bitsandbytes, which steps on a CPU too."""

import pytest
import torch
from bitsandbytes.optim.adamw import AdamW8bit
from rounds import TEMPERATURE, learner, make_round, weights
from torch import nn

from tinyzero.errors import CheckpointError
from tinyzero.learning.optimizers import make_optimizer

LARGE = 8192  # bitsandbytes keeps moments of fewer than 4096 numbers in 32 bit
RANK = 32  # at which nano's adapters are larger than that


def optimizer(name, parameters, *, lr=1e-2):
    return make_optimizer(name, parameters, lr=lr)


def parameter(size=LARGE):
    return nn.Parameter(torch.linspace(-1, 1, size))


@pytest.mark.parametrize(
    ("name", "kind", "is_paged"),
    [
        ("adamw", torch.optim.AdamW, False),
        ("adamw8bit", AdamW8bit, False),
        ("paged_adamw8bit", AdamW8bit, True),
    ],
)
def test_each_name_means_one_optimizer(name, kind, is_paged):
    made = optimizer(name, [parameter()], lr=3e-4)
    assert type(made) is kind
    assert getattr(made, "is_paged", False) is is_paged
    (group,) = made.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"], group["eps"]) == (
        3e-4,
        0.0,
        (0.9, 0.999),
        1e-8,
    )


def test_moments_are_8_bit_and_the_step_is_that_of_adamw():
    small, large = parameter(64), parameter()
    exact = parameter()
    generator = torch.Generator().manual_seed(0)
    eight, full = optimizer("adamw8bit", [small, large]), optimizer("adamw", [exact])
    start = large.detach().clone()
    for _ in range(5):
        exact.grad = large.grad = torch.randn(LARGE, generator=generator)
        small.grad = torch.ones_like(small)
        eight.step()
        full.step()
    assert {moment.dtype for moment in (eight.state[large]["state1"], eight.state[large]["state2"])} == {
        torch.uint8
    }
    assert eight.state[small]["state1"].dtype is torch.float32
    moved, expected = large.detach() - start, exact.detach() - start
    assert float((moved - expected).norm() / expected.norm()) < 0.05


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
def test_a_resumed_8_bit_optimizer_goes_on_bit_for_bit(make_policy, tmp_path, adapters):
    config = {"optimizer": "adamw8bit", "lr": 1e-3}
    whole = make_policy(adapters=adapters, temperature=TEMPERATURE, base="nano", rank=RANK)
    first, second = make_round(whole, seed=1), make_round(whole, seed=2)
    subject = learner(whole, **config)
    subject.update(*first)
    whole.save(tmp_path / "policy")
    subject.save(tmp_path / "learner")
    resumed = make_policy(adapters=adapters, temperature=TEMPERATURE, base="nano", rank=RANK, randomize=False)
    resumed.load(tmp_path / "policy")
    other = learner(resumed, **config)
    other.load(tmp_path / "learner")
    dtypes = {
        value.dtype
        for made in other._optimizers.values()
        for state in made.state.values()
        for name, value in state.items()
        if name in {"state1", "state2"}
    }
    assert torch.uint8 in dtypes
    assert subject.update(*second) == other.update(*second)
    for adapter in whole.adapters:
        assert torch.equal(weights(whole, adapter), weights(resumed, adapter))


def test_an_8_bit_update_is_nearly_that_of_32_bit(make_policy):
    moved = {}
    for name in ("adamw", "adamw8bit"):
        policy = make_policy(temperature=TEMPERATURE, base="nano", rank=RANK)
        before = weights(policy, "shared")
        learner(policy, optimizer=name, lr=1e-3).update(*make_round(policy))
        moved[name] = weights(policy, "shared") - before
    distance = (moved["adamw8bit"] - moved["adamw"]).norm() / moved["adamw"].norm()
    assert 0 < float(distance) < 0.1


def test_the_state_of_another_optimizer_is_refused_by_name(make_policy, tmp_path):
    policy = make_policy(temperature=TEMPERATURE)
    learner(policy, optimizer="adamw8bit").save(tmp_path)
    with pytest.raises(CheckpointError, match=r"resume with learner\.optimizer = adamw8bit"):
        learner(policy, optimizer="adamw").load(tmp_path)
    learner(policy, optimizer="paged_adamw8bit").load(tmp_path)
