"""What an update allocates does not grow with the vocabulary."""

import random

import pytest
import torch
from rounds import TEMPERATURE, ids, learner, make_rollout
from tiny_models import make_model_folder
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from trl.trainer import utils as trl_utils

from tinyzero.types import Role

TILE = 512  # logits that the fused head computes at once, per token; TRL's own number suits real models
NUM_TOKENS = 60


class LargestTensor(TorchDispatchMode):
    """Elements of the largest tensor that was made, views of older ones left out."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        known = {leaf.untyped_storage().data_ptr() for leaf in tree_leaves((args, kwargs)) if is_tensor(leaf)}
        for leaf in tree_leaves(made):
            if is_tensor(leaf) and leaf.untyped_storage().data_ptr() not in known:
                self.numel = max(self.numel, leaf.numel())
        return made


def is_tensor(leaf):
    return isinstance(leaf, torch.Tensor)


@pytest.fixture
def policy_of(make_policy, tmp_path):
    def make(vocab_size):
        folder = make_model_folder(tmp_path / str(vocab_size), vocab_size=vocab_size)
        return make_policy(base=str(folder), temperature=TEMPERATURE)

    return make


def largest_tensor(policy, **config):
    rng = random.Random(0)
    rollouts = [
        make_rollout(policy, Role.SOLVER, ids(rng, 4), ids(rng, NUM_TOKENS // 2), rng) for _ in range(2)
    ]
    subject = learner(policy, **config)
    with LargestTensor() as largest:
        subject.update(rollouts, [1.0, -1.0])
    return largest.numel


@pytest.mark.parametrize("engine", ["builtin", "trl"])
def test_the_largest_tensor_of_an_update_is_a_tile_of_logits(policy_of, monkeypatch, engine):
    monkeypatch.setattr(trl_utils, "_CHUNKED_LOGPROB_CHUNK_SIZE", TILE)
    positions = (
        NUM_TOKENS if engine == "builtin" else NUM_TOKENS + 2 * 4 - 2
    )  # on a CPU, TRL scores prompts too
    config = {"engine": engine, "kl_coef": 0.1}
    sizes = [largest_tensor(policy_of(vocab_size), **config) for vocab_size in (2_000, 20_000)]
    assert sizes == [positions * TILE] * 2


def test_full_logits_would_be_seen(policy_of):
    policy = policy_of(20_000)
    with LargestTensor() as largest:
        policy.model(input_ids=torch.zeros(1, NUM_TOKENS, dtype=torch.long))
    assert largest.numel == NUM_TOKENS * 20_000
