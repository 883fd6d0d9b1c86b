"""Made-up rounds for learners, and what their gradients must be."""

import random

import torch
from rollouts import rollout_of
from settled import learner_section

from tinyzero.learning.learner import LoraLearner
from tinyzero.types import Completion, Role

TEMPERATURE = 0.8
BUDGETS = {Role.PROPOSER: 20, Role.SOLVER: 16}


def make_round(policy, *, seed=0, noise=0.3):
    """Nine attempts at three tasks and three proposals; the sampler's logprobs are a little off."""
    rng = random.Random(seed)
    prompts = {role: [ids(rng, rng.randint(1, 25)) for _ in range(3)] for role in Role}
    played = [(Role.SOLVER, prompt) for prompt in prompts[Role.SOLVER] for _ in range(3)]
    played += [(Role.PROPOSER, prompt) for prompt in prompts[Role.PROPOSER]]
    rollouts = [
        make_rollout(policy, role, prompt, ids(rng, rng.randint(1, 12)), rng, noise)
        for role, prompt in played
    ]
    advantages = [rng.uniform(-1.5, 1.5) for _ in rollouts]
    advantages[1] = advantages[4] = 0.0
    return rollouts, advantages


def ids(rng, length):
    return tuple(rng.randrange(3, 99) for _ in range(length))


def make_rollout(policy, role, prompt, tokens, rng, noise=0.0):
    policy.activate(role)
    with torch.no_grad():
        logprobs = naive_logprobs(policy, prompt, tokens)
    completion = Completion(
        text="",
        prompt_ids=prompt,
        token_ids=tokens,
        sampler_logprobs=tuple(float(value) + rng.uniform(-noise, noise) for value in logprobs),
        temperature=TEMPERATURE,
        adapter=policy.adapter_of(role),
        adapter_version=policy.versions.get(policy.adapter_of(role), 0),
    )
    return rollout_of(role, completion=completion)


def naive_logprobs(policy, prompt, tokens):
    """Full logits of one sequence, by itself."""
    logits = policy.model(input_ids=torch.tensor([prompt + tokens])).logits[0]
    logprobs = (logits[len(prompt) - 1 : -1] / TEMPERATURE).log_softmax(-1)
    return logprobs.gather(1, torch.tensor(tokens)[:, None])[:, 0]


def naive_gradients(policy, rollouts, advantages, *, normalization="token", kl_coef=0.0, cap=2.0):
    """The written formula, one rollout after the other."""
    for adapter in policy.adapters:
        policy.wear(adapter)
        for parameter in policy.trainable_parameters(adapter):
            parameter.grad = torch.zeros_like(parameter)
        for role in Role:
            own = [
                (rollout.completion, advantage)
                for rollout, advantage in zip(rollouts, advantages, strict=True)
                if rollout.role is role and rollout.completion.adapter == adapter
            ]
            num_tokens = sum(len(completion.token_ids) for completion, _ in own)
            for completion, advantage in own:
                length = len(completion.token_ids)
                scale = {
                    "token": 1 / max(1, num_tokens),
                    "sequence": 1 / (len(own) * length),
                    "fixed": 1 / (len(own) * BUDGETS[role]),
                }[normalization]
                with torch.no_grad(), policy.reference():
                    reference = naive_logprobs(policy, completion.prompt_ids, completion.token_ids)
                logprobs = naive_logprobs(policy, completion.prompt_ids, completion.token_ids)
                sampler = torch.tensor(completion.sampler_logprobs)
                weight = (logprobs.detach() - sampler).exp().clamp(max=cap)
                divergence = (reference - logprobs).exp() - (reference - logprobs) - 1
                loss = scale * (-weight * logprobs * advantage + kl_coef * divergence).sum()
                loss.backward()
    return {adapter: take_gradients(policy, adapter) for adapter in policy.adapters}


def take_gradients(policy, adapter):
    parameters = policy.trainable_parameters(adapter)
    flat = torch.cat([parameter.grad.flatten() for parameter in parameters])
    for parameter in parameters:
        parameter.grad = None
    return flat


class GradientRecorder:
    """Keeps what each adapter's gradients had come to before they were clipped and used."""

    def __init__(self, policy):
        self.gradients = {adapter: {} for adapter in policy.adapters}
        for adapter in policy.adapters:
            policy.wear(adapter)  # the others require no gradient, and take no hooks
            for index, parameter in enumerate(policy.trainable_parameters(adapter)):
                parameter.register_post_accumulate_grad_hook(self.keep(adapter, index))

    def keep(self, adapter, index):
        return lambda parameter: self.gradients[adapter].__setitem__(index, parameter.grad.clone())

    def flat(self, adapter):
        kept = self.gradients[adapter]
        return torch.cat([kept[index].flatten() for index in sorted(kept)])


def learner(policy, *, total_rounds=None, **config):
    return LoraLearner(
        policy,
        learner_section(**config),
        TEMPERATURE,
        completion_budgets=BUDGETS,
        total_rounds=total_rounds,
    )


def learned_gradients(policy, rollouts, advantages, **config):
    recorder = GradientRecorder(policy)
    learner(policy, **config).update(rollouts, advantages)
    return recorder


def weights(policy, adapter):
    return torch.cat([parameter.detach().flatten() for parameter in policy.trainable_parameters(adapter)])


def relative_distance(left, right):
    return float((left - right).norm() / right.norm())
