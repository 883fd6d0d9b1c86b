import math
from dataclasses import replace

import pytest
import torch

from tinyzero.learning.objective import Objective, TokenScores, k3, measures, policy_loss, token_weights

PLAIN = Objective(clip_low=0.2, clip_high=0.28, sampler_cap=2.0, kl_coef=0.0)


def scores(*, ratio, advantage, sampler_ratio=1.0, reference=None, weight=1.0):
    """Scores of one token, given by their ratios to a start probability of 1/2."""
    start = math.log(0.5)

    def tensor(value):
        return torch.tensor([value])

    return TokenScores(
        policy_logprobs=tensor(start + math.log(ratio)).requires_grad_(),
        start_logprobs=tensor(start),
        sampler_logprobs=tensor(start - math.log(sampler_ratio)),
        reference_logprobs=None if reference is None else tensor(math.log(reference)),
        advantages=tensor(advantage),
        weights=tensor(weight),
    )


def loss_and_gradient(given, objective=PLAIN):
    loss = policy_loss(given, objective)
    loss.backward()
    return loss.item(), given.policy_logprobs.grad.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (1.0, 2.0, -2.0, -2.0),  # on policy: the plain policy gradient
        (1.2, 1.0, -1.2, -1.2),  # inside the interval
        (1.5, 1.0, -1.28, 0.0),  # beyond it in the good direction: clipped, no gradient
        (0.5, -1.0, 0.8, 0.0),
        (0.5, 1.0, -0.5, -0.5),  # beyond it in the bad direction: the gradient leads back
        (1.5, -1.0, 1.5, 1.5),
    ],
)
def test_the_clipped_objective(ratio, advantage, loss, gradient):
    assert loss_and_gradient(scores(ratio=ratio, advantage=advantage)) == pytest.approx((loss, gradient))


@pytest.mark.parametrize(("sampler_ratio", "weight"), [(1.0, 1.0), (0.5, 0.5), (1.5, 1.5), (8.0, 2.0)])
def test_the_sampler_gap_is_a_capped_weight(sampler_ratio, weight):
    given = scores(ratio=1.0, advantage=1.0, sampler_ratio=sampler_ratio)
    assert loss_and_gradient(given) == pytest.approx((-weight, -weight))


def test_token_weights_scale_the_loss():
    assert loss_and_gradient(scores(ratio=1.0, advantage=3.0, weight=0.25)) == pytest.approx((-0.75, -0.75))


def test_the_divergence_pulls_towards_the_reference():
    objective = Objective(clip_low=0.2, clip_high=0.28, sampler_cap=2.0, kl_coef=0.1)
    # policy 1/2, reference 1/4: r = 1/2, k3 = r - ln r - 1, and its gradient in the policy's logprob is 1 - r
    loss, gradient = loss_and_gradient(scores(ratio=1.0, advantage=0.0, reference=0.25), objective)
    assert loss == pytest.approx(0.1 * (0.5 + math.log(2) - 1))
    assert gradient == pytest.approx(0.1 * 0.5)


def test_the_k3_estimate_is_unbiased():
    policy, reference = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.3, 0.3, 0.4])
    exact = (policy * (policy / reference).log()).sum()
    assert (policy * k3(policy.log(), reference.log())).sum() == pytest.approx(exact.item(), abs=1e-6)


@pytest.mark.parametrize(
    ("normalization", "weights"),
    [
        ("token", [1 / 8, 1 / 8]),  # the mean over 2 + 6 tokens
        ("sequence", [1 / 4, 1 / 12]),  # the mean of two means
        ("fixed", [1 / 20, 1 / 20]),  # two completions of a budget of 10
    ],
)
def test_normalisations(normalization, weights):
    assert token_weights([2, 6], normalization, budget=10) == pytest.approx(weights)


def test_what_has_no_advantage_is_not_clipped():
    """With a KL term such tokens take part, however far the policy has moved."""
    parts = [scores(ratio=ratio, advantage=0.0) for ratio in (0.5, 1.5)]
    measured = measures(TokenScores.concatenate(parts), torch.tensor([1.0, 1.0]), PLAIN)
    assert measured["clip_fraction"] == 0


def test_measures_of_a_step():
    parts = [
        scores(ratio=1.5, advantage=1.0, sampler_ratio=2.0, reference=0.75),
        scores(ratio=1.0, advantage=1.0, reference=0.25),
        scores(ratio=0.5, advantage=-1.0, reference=0.25),
        scores(ratio=0.5, advantage=1.0, reference=0.25),
    ]
    measured = measures(TokenScores.concatenate(parts), torch.tensor([1.0, 2.0, 3.0, 6.0]), PLAIN)
    assert measured["entropy"] == pytest.approx(3.0)
    assert measured["clip_fraction"] == pytest.approx(0.5)
    assert measured["ratio_max"] == pytest.approx(1.5)
    assert measured["sampler_gap_max"] == pytest.approx(math.log(3.0))  # 1.5 x 2
    assert measured["sampler_gap_mean"] == pytest.approx((math.log(3.0) + 2 * math.log(2.0)) / 4)
    assert measured["kl"] == pytest.approx((0.5 + math.log(2) - 1) / 4)  # only the second differs


def option(**values):
    return replace(PLAIN, **values)


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "gradient"),
    [
        (3.0, -1.0, 2.0, 0.0),  # beyond delta: cut off, no gradient
        (1.5, -1.0, 1.5, 1.5),  # below it: as without
        (3.0, 1.0, -1.28, 0.0),  # a gain is clipped as ever
    ],
)
def test_a_dual_clip_limits_the_loss_of_a_token_that_became_likely(ratio, advantage, loss, gradient):
    given = scores(ratio=ratio, advantage=advantage)
    assert loss_and_gradient(given, option(clip_delta=2.0)) == pytest.approx((loss, gradient))


@pytest.mark.parametrize(
    ("ratio", "advantage", "weight"),
    [(1.5, 2.0, 1.28), (1.1, -1.0, 1.1), (0.5, 1.0, 0.5), (1.5, -1.0, 1.28)],
)
def test_in_cispo_the_ratio_is_a_constant_weight_of_the_logprob(ratio, advantage, weight):
    loss, gradient = loss_and_gradient(scores(ratio=ratio, advantage=advantage), option(form="cispo"))
    assert loss == pytest.approx(-weight * advantage * math.log(0.5 * ratio), rel=1e-5)
    assert gradient == pytest.approx(-weight * advantage)


def completions(*groups, advantage=1.0, weight=0.5):
    """Scores of completions, given by the ratios of their tokens to start probabilities of 1/4."""
    ratios = torch.tensor([ratio for group in groups for ratio in group])
    start = torch.full_like(ratios, math.log(0.25))
    return TokenScores(
        policy_logprobs=(start + ratios.log()).requires_grad_(),
        start_logprobs=start,
        sampler_logprobs=start,
        reference_logprobs=None,
        advantages=torch.full_like(ratios, advantage),
        weights=torch.full_like(ratios, weight),
        lengths=torch.tensor([len(group) for group in groups]),
    )


def test_the_ratio_of_a_sequence_is_the_geometric_mean_of_its_tokens():
    given = completions([2.0, 0.5], [1.1, 1.1, 1.1], advantage=2.0)
    loss = policy_loss(given, option(ratio="sequence"))
    loss.backward()
    # means 1 and 1.1: -(2 x .5 x 2 x 1 + 3 x .5 x 2 x 1.1); a token moves its sequence's ratio by 1/T of it
    assert loss.item() == pytest.approx(-(2.0 + 3.3))
    assert given.policy_logprobs.grad.tolist() == pytest.approx([-1.0, -1.0, -1.1, -1.1, -1.1])


def test_a_sequence_beyond_the_interval_is_clipped_with_all_of_its_tokens():
    given = completions([1.5, 1.5], [0.9, 1.1])
    objective = option(ratio="sequence")
    policy_loss(given, objective).backward()
    assert given.policy_logprobs.grad[:2].tolist() == [0, 0]
    assert (given.policy_logprobs.grad[2:] < 0).all()
    measured = measures(given.detach(), torch.ones(4), objective)
    assert measured["clip_fraction"] == 0.5
    parts = [completions([1.5, 1.5]), completions([0.9, 1.1])]
    assert policy_loss(TokenScores.concatenate(parts), objective).item() == pytest.approx(
        policy_loss(given, objective).item()
    )


def test_entropy_is_added_to_the_objective_with_the_weights_of_the_loss():
    given = scores(ratio=1.0, advantage=2.0, weight=0.25)
    entropies = torch.tensor([3.0], requires_grad=True)
    loss = policy_loss(given, option(entropy_coef=0.1), entropies)
    loss.backward()
    assert loss.item() == pytest.approx(-0.5 - 0.1 * 0.25 * 3)
    assert entropies.grad.item() == pytest.approx(-0.025)


@pytest.mark.parametrize(
    ("normalization", "weight"), [("token", 1 / 6), ("sequence", 1 / 12), ("fixed", 1 / 20)]
)
def test_a_masked_completion_counts_as_a_rollout_without_tokens(normalization, weight):
    assert token_weights([0, 6], normalization, budget=10)[1] == pytest.approx(weight)
