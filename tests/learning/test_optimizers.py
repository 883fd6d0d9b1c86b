"""8-bit AdamW of bitsandbytes, which steps on a CPU too."""

import json
from pathlib import Path

import pytest
import torch
from bitsandbytes.optim.adamw import AdamW8bit
from rounds import TEMPERATURE, learner, make_round, weights
from safetensors.torch import load
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


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_a_saved_state_is_safetensors_and_json_under_the_names_of_the_weights(make_policy, tmp_path, name):
    policy = make_policy(temperature=TEMPERATURE, base="nano", rank=RANK)
    subject = learner(policy, optimizer=name)
    subject.update(*make_round(policy))
    subject.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["learner.json", "learner.safetensors"]
    assert not any(path.read_bytes().startswith((b"PK", b"\x80")) for path in tmp_path.iterdir())
    tensors = load((tmp_path / "learner.safetensors").read_bytes())
    values = json.loads((tmp_path / "learner.json").read_text())["optimizers"]["shared"]["entries"]
    saved = tensors | values
    entries = {
        f"{weight}/{entry}": value
        for weight, parameter in policy.named_weights("shared").items()
        for entry, value in subject._optimizers["shared"].state[parameter].items()
    }
    assert saved.keys() == entries.keys()
    assert all(torch.equal(torch.as_tensor(saved[key]), torch.as_tensor(entries[key])) for key in entries)
    kinds = {key.rpartition("/")[2] for key in saved}
    maps = {"state1", "state2", "qmap1", "qmap2", "absmax1", "absmax2", "step"}
    assert kinds == (maps if name == "adamw8bit" else {"exp_avg", "exp_avg_sq", "step"})


@pytest.mark.parametrize("name", ["adamw", "adamw8bit"])
def test_a_state_that_an_earlier_version_pickled_goes_on_bit_for_bit(make_policy, tmp_path, name):
    policy = make_policy(temperature=TEMPERATURE, base="nano", rank=RANK)
    first, second = make_round(policy, seed=1), make_round(policy, seed=2)
    subject = learner(policy, optimizer=name, lr=1e-3)
    subject.update(*first)
    policy.save(tmp_path / "policy")
    torch.save(
        {
            "optimizer": name,
            "optimizers": {"shared": subject._optimizers["shared"].state_dict()},
            "scalers": {"shared": subject._scalers["shared"].state_dict()},
            "max_tokens": subject._max_tokens,
            "rounds": 1,
        },
        tmp_path / "learner.pt",
    )
    resumed = make_policy(temperature=TEMPERATURE, base="nano", rank=RANK, randomize=False)
    resumed.load(tmp_path / "policy")
    other = learner(resumed, optimizer=name, lr=1e-3)
    other.load(tmp_path)
    assert subject.update(*second) == other.update(*second)
    assert torch.equal(weights(policy, "shared"), weights(resumed, "shared"))


class Intruder:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("content", ["program", "noise", "nothing"])
def test_a_pickle_that_is_no_state_is_one_line_and_runs_nothing(make_policy, tmp_path, content):
    path = tmp_path / "learner.pt"
    if content == "program":
        torch.save({"optimizer": Intruder(tmp_path / "ran")}, path)
    else:
        path.write_bytes(b"noise" if content == "noise" else b"")
    with pytest.raises(CheckpointError, match="cannot read the optimizers") as caught:
        learner(make_policy(temperature=TEMPERATURE)).load(tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


def rename_a_weight(path):
    path.write_bytes(path.read_bytes().replace(b"q_proj", b"x_proj"))


@pytest.mark.parametrize("damage", [cut, rename_a_weight, Path.unlink])
@pytest.mark.parametrize("name", ["learner.json", "learner.safetensors"])
def test_a_damaged_state_is_one_line(make_policy, tmp_path, damage, name):
    policy = make_policy(temperature=TEMPERATURE, base="nano", rank=RANK)
    subject = learner(policy, optimizer="adamw8bit")
    subject.update(*make_round(policy))
    subject.save(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(CheckpointError, match="cannot read the optimizers") as caught:
        learner(policy, optimizer="adamw8bit").load(tmp_path)
    assert "\n" not in str(caught.value)


def test_the_state_of_an_adapter_of_another_rank_is_one_line(make_policy, tmp_path):
    policy = make_policy(temperature=TEMPERATURE, rank=4)
    subject = learner(policy)
    subject.update(*make_round(policy))
    subject.save(tmp_path)
    with pytest.raises(CheckpointError, match=r"moments of \[4, 64\] for weights of \[8, 64\]"):
        learner(make_policy(temperature=TEMPERATURE, rank=8)).load(tmp_path)
