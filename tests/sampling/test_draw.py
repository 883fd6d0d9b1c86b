import numpy as np
import pytest
import torch

from tinyzero.sampling.draw import draw, inverse_cdf, uniforms


def numbers(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_the_inverse_cdf_is_exact_at_the_edges():
    weights = torch.tensor([[1.0, 0.0, 2.0, 1.0]]).repeat(6, 1)  # cumulative shares 1/4, 1/4, 3/4, 1
    below = np.nextafter(0.25, 0)
    tokens = inverse_cdf(weights, numbers(0.0, below, 0.25, 0.5, 0.75, 1 - 2**-53))
    assert tokens.tolist() == [0, 0, 2, 2, 3, 3]


def test_a_token_without_weight_is_never_taken():
    weights = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]]).repeat(3, 1)
    assert inverse_cdf(weights, numbers(0.0, 0.5, 1 - 2**-53)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("vocabulary", [768, 1000, 257])
def test_a_large_vocabulary_is_searched_exactly(vocabulary):
    generator = torch.Generator().manual_seed(vocabulary)
    weights = torch.randn(50, vocabulary, generator=generator).mul(3).exp()
    drawn = torch.rand(50, dtype=torch.float64, generator=generator)
    cumulative = weights.double().cumsum(-1)
    expected = (cumulative / cumulative[:, -1:] <= drawn[:, None]).sum(-1)
    assert torch.equal(inverse_cdf(weights, drawn), expected)


def test_frequencies_are_the_probabilities():
    logits = torch.tensor([0.5, -1.0, 0.0, 2.0, 1.0])
    probabilities = (logits / 0.8).softmax(-1).double()
    count = 20_000
    tokens, _ = draw(
        logits.repeat(count, 1),
        torch.from_numpy(uniforms(0, "chi-square", prompt=0, sample=0, count=count)),
        temperature=0.8,
    )
    expected = probabilities * count
    chi_square = ((torch.bincount(tokens, minlength=5) - expected) ** 2 / expected).sum()
    assert chi_square < 18.47  # the 99.9 % quantile of four degrees of freedom


def test_logprobs_are_those_of_the_tempered_distribution():
    logits = torch.tensor([[1.0, 2.0, 4.0]])
    tokens, logprobs = draw(logits, numbers(0.9999), temperature=2.0)
    assert tokens.tolist() == [2]
    assert logprobs.item() == pytest.approx(2 - np.log(np.exp([0.5, 1.0, 2.0]).sum()), abs=1e-6)


def test_greedy_takes_the_likeliest_token_and_its_plain_logprob():
    tokens, logprobs = draw(torch.tensor([[1.0, 4.0, 2.0]]), numbers(0.0), temperature=0)
    assert tokens.tolist() == [1]
    assert logprobs.item() == pytest.approx(4 - np.log(np.exp([1.0, 4.0, 2.0]).sum()), abs=1e-6)


def test_uniforms_are_a_function_of_their_names():
    first = uniforms(0, "1/solve", prompt=2, sample=3, count=9)
    assert np.array_equal(first, uniforms(0, "1/solve", prompt=2, sample=3, count=9))
    assert np.array_equal(first[:5], uniforms(0, "1/solve", prompt=2, sample=3, count=5))
    others = [
        uniforms(1, "1/solve", prompt=2, sample=3, count=9),
        uniforms(0, "2/solve", prompt=2, sample=3, count=9),
        uniforms(0, "1/solve", prompt=3, sample=2, count=9),
        uniforms(0, "1/solve", prompt=2, sample=4, count=9),
    ]
    drawn = np.concatenate([first, *others])
    assert len(np.unique(drawn)) == len(drawn)
    assert drawn.min() >= 0
    assert drawn.max() < 1


def test_uniforms_are_pinned():
    """A change here changes every run that has been recorded."""
    drawn = uniforms(0, "0/propose", prompt=0, sample=0, count=3)
    assert drawn.tolist() == pytest.approx(
        [0.07641303595223503, 0.01080070698115232, 0.5838408292934976], abs=1e-15
    )
