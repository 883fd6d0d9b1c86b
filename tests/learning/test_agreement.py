"""Which gradients are compared, and what the comparison concludes."""

import random

import pytest
import torch

from tinyzero.errors import ConfigError
from tinyzero.learning.agreement import CheckedEngine, probe
from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import RolePart


class Constant:
    """An engine whose gradient is the same everywhere."""

    def __init__(self, policy, value):
        self.policy, self.value = policy, value

    def accumulate(self, parts, starts, *, max_tokens, scale):
        for parameter in self.policy.trainable_parameters("shared"):
            parameter.grad = torch.full_like(parameter, self.value)
        return 0.0, {}


@pytest.mark.parametrize("uncertain", [0.0, float("inf")])
def test_a_gradient_that_vanished_or_overflowed_is_no_verdict(make_policy, uncertain):
    policy = make_policy()
    parts = [part_of(sample(4, 3))]
    trusted, other = Constant(policy, uncertain), Constant(policy, 5.0)
    subject = CheckedEngine(policy, other, trusted)
    subject.accumulate(parts, {}, max_tokens=64, scale=lambda loss: loss)
    trusted.value = 1.0
    with pytest.raises(ConfigError, match=r"is 4 of its length away"):
        subject.accumulate(parts, {}, max_tokens=64, scale=lambda loss: loss)


def test_a_few_short_samples_are_compared_that_fit_into_a_micro_batch():
    samples = [sample(30, 10), sample(4, 3), sample(5, 5), sample(8, 8), sample(2, 2, advantage=0.0)]
    assert probe([part_of(*samples)], 1000).samples == (samples[1], samples[2], samples[3])
    assert probe([part_of(*samples)], 32).samples == (samples[1], samples[2])
    assert probe([part_of(samples[4]), part_of(samples[0])], 8).samples == (samples[0],)
    assert probe([part_of(samples[4])], 64).samples == (samples[4],)


def sample(num_prompt, num_tokens, advantage=1.0):
    rng = random.Random(num_prompt)
    return TrainingSample(
        prompt_ids=tuple(rng.randrange(3, 99) for _ in range(num_prompt)),
        token_ids=tuple(rng.randrange(3, 99) for _ in range(num_tokens)),
        sampler_logprobs=(-1.0,) * num_tokens,
        advantage=advantage,
        weight=0.1,
    )


def part_of(*samples):
    num_tokens = sum(len(each.token_ids) for each in samples)
    return RolePart(samples=samples, num_rollouts=len(samples), num_tokens=num_tokens, budget=16)
