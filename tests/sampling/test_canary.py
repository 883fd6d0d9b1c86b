"""A sampler whose answers are not the policy's is refused before the first step."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

from tinyzero.config import SamplingConfig
from tinyzero.errors import HardwareError, SamplerBroken
from tinyzero.learning.scoring import score_completions
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.canary import MAX_MEAN_GAP, check_sampler, measure_gap
from tinyzero.types import Prompt, Role, SamplingRequest


class Broken:
    """The built-in sampler, of which something is done to each completion."""

    def __init__(self, policy, spoil=lambda completion: completion, before=lambda: None):
        self.inner = BuiltinSampler(policy, SamplingConfig(), seed=0)
        self.spoil, self.before = spoil, before

    def sample(self, request):
        self.before()
        return [[self.spoil(one) for one in samples] for samples in self.inner.sample(request)]

    def fits(self, prompt):
        return self.inner.fits(prompt)


def check(policy, sampler, temperature=1.0):
    return check_sampler(
        sampler, partial(score_completions, policy), engine="builtin", temperature=temperature
    )


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_builtin_sampler_agrees_with_the_learner(make_policy, temperature):
    policy = make_policy(adapters="per-role", temperature=temperature)
    gap = check(policy, Broken(policy), temperature)
    assert 0 < gap.mean < 1e-5
    assert gap.mean < gap.max < 1e-4


@pytest.mark.parametrize(("shift", "is_refused"), [(0.9, False), (1.1, True), (-1.1, True)])
def test_a_gap_is_refused_above_the_limit(make_policy, shift, is_refused):
    def spoil(completion):
        logprobs = tuple(value + shift * MAX_MEAN_GAP for value in completion.sampler_logprobs)
        return replace(completion, sampler_logprobs=logprobs)

    policy = make_policy()
    if is_refused:
        with pytest.raises(SamplerBroken, match=r"builtin.* 0\.22 nats a token on average.*0\.2 are"):
            check(policy, Broken(policy, spoil))
    else:
        assert check(policy, Broken(policy, spoil)).mean == pytest.approx(0.18, abs=1e-4)


def test_a_sampler_that_leaves_the_adapter_off_is_refused(make_policy):
    policy = make_policy()
    subject = Broken(policy)
    subject.inner._policy = make_policy(randomize=False)
    with pytest.raises(SamplerBroken, match="disagree about the same answers"):
        check(policy, subject)


def test_a_sampler_at_another_temperature_is_refused(make_policy):
    policy = make_policy(temperature=0.6)
    with pytest.raises(SamplerBroken):
        check(policy, Broken(policy), temperature=1.0)


def test_logprobs_that_are_no_numbers_are_refused(make_policy):
    def spoil(completion):
        return replace(completion, sampler_logprobs=(math.nan, *completion.sampler_logprobs[1:]))

    policy = make_policy()
    with pytest.raises(SamplerBroken, match="nan nats a token on average, nan at most"):
        check(policy, Broken(policy, spoil))
    assert issubclass(SamplerBroken, HardwareError)


def test_every_role_is_asked_and_a_frozen_one_is_scored_as_the_base(make_policy):
    policy = make_policy(frozen_roles=[Role.PROPOSER])
    adapters = []
    subject = Broken(policy, lambda one: adapters.append(one.adapter) or one)
    assert check(policy, subject).mean < 1e-5
    assert set(adapters) == {"", "shared"}


def test_a_canary_asks_only_what_fits(make_policy):
    policy = make_policy()
    subject = Broken(policy)
    subject.inner = BuiltinSampler(policy, SamplingConfig(max_prompt_tokens=60), seed=0)
    assert measure_gap(subject, partial(score_completions, policy), temperature=1.0).mean < 1e-5


def test_scores_come_in_the_order_of_the_completions(make_policy):
    policy = make_policy(adapters="per-role")
    completions = []
    for role in (Role.SOLVER, Role.PROPOSER, Role.SOLVER):
        prompt = Prompt(kind="deduction", text="2+2" * (1 + len(completions)))
        request = SamplingRequest(role=role, prompts=(prompt,), num_samples=1, max_tokens=9, stream="s")
        completions += BuiltinSampler(policy, SamplingConfig(), seed=len(completions)).sample(request)[0]
    for completion, scored in zip(completions, score_completions(policy, completions), strict=True):
        policy.wear(completion.adapter)
        with torch.no_grad():
            ids = torch.tensor([[*completion.prompt_ids, *completion.token_ids]])
            logprobs = policy.model(input_ids=ids).logits[0].log_softmax(-1)
        places = range(len(completion.prompt_ids) - 1, ids.shape[1] - 1)
        naive = [
            float(logprobs[place, token]) for place, token in zip(places, completion.token_ids, strict=True)
        ]
        assert scored == pytest.approx(naive, abs=1e-5)
