import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rollouts import rollout_of

from tinyzero.learning.batch import TrainingSample, check_behaviour, micro_batches
from tinyzero.types import Completion, Role

CPU = torch.device("cpu")


def sample(prompt, completion, *, advantage=1.0, weight=1.0):
    return TrainingSample(
        prompt_ids=tuple(prompt),
        token_ids=tuple(completion),
        sampler_logprobs=tuple(-float(token) for token in completion),
        advantage=advantage,
        weight=weight,
    )


def batches(samples, *, max_tokens=1000, parity_tokens=1000):
    return list(micro_batches(samples, max_tokens=max_tokens, parity_tokens=parity_tokens, device=CPU))


def test_completions_of_a_prompt_share_its_tokens():
    a, b, c, x, y, z, end = range(10, 17)
    (batch,) = batches(
        [sample([a, b, c], [x, y, end], advantage=0.5), sample([a, b, c], [z, end], weight=0.25)]
    )
    assert batch.input_ids.tolist() == [[a, b, c, x, y, c, z]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 2, 3]]
    assert batch.is_scored.tolist() == [[False, False, True, True, True, True, True]]
    assert batch.targets.tolist() == [x, y, end, z, end]
    assert batch.sampler_logprobs.tolist() == [-x, -y, -end, -z, -end]
    assert batch.advantages.tolist() == [0.5, 0.5, 0.5, 1.0, 1.0]
    assert batch.weights.tolist() == [1.0, 1.0, 1.0, 0.25, 0.25]
    assert batch.attention_mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 0, 1, 0],  # the second completion sees the prompt, and not the first
        [1, 1, 0, 0, 0, 1, 1],
    ]


def test_rows_of_one_completion_need_no_mask():
    (batch,) = batches([sample([1, 2], [3, 4, 5]), sample([6], [7])])
    assert batch.attention_mask is None
    assert batch.input_ids.tolist() == [[6, 0, 0, 0], [1, 2, 3, 4]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3]] * 2
    assert batch.is_scored.int().tolist() == [[1, 0, 0, 0], [0, 1, 1, 1]]
    assert batch.targets.tolist() == [7, 3, 4, 5]


def test_long_answers_to_a_short_prompt_keep_rows_of_their_own():
    """Side by side they would pay more for attention than the shared prompt saves."""
    siblings = [sample([1, 2], range(50)), sample([1, 2], range(50))]
    assert batches(siblings, parity_tokens=100)[0].attention_mask is None
    siblings = [sample(range(50), [1, 2]), sample(range(50), [1, 2])]
    assert batches(siblings, parity_tokens=100)[0].attention_mask is not None
    assert batches(siblings, parity_tokens=0)[0].attention_mask is None


lengths = st.tuples(st.integers(1, 4), st.integers(1, 30), st.integers(1, 20))


@given(shapes=st.lists(lengths, min_size=1, max_size=20), max_tokens=st.integers(16, 200))
def test_every_sample_is_in_one_batch_within_the_budget(shapes, max_tokens):
    samples = [sample([prompt] * length, range(tokens)) for prompt, length, tokens in shapes]
    made = batches(samples, max_tokens=max_tokens)
    assert sorted(map(id, samples)) == sorted(id(one) for batch in made for one in batch.samples)
    for batch in made:
        longest = max(len(one.prompt_ids) + len(one.token_ids) - 1 for one in batch.samples)
        assert batch.input_ids.numel() <= max(max_tokens, longest)
        assert batch.targets.tolist() == [token for one in batch.samples for token in one.token_ids]
        assert int(batch.is_scored.sum()) == len(batch.targets)
        assert [values.tolist() for values in batch.split(batch.targets)] == [
            list(one.token_ids) for one in batch.samples
        ]


def rollout(**completion):
    sampled = Completion(text="", token_ids=(1,), sampler_logprobs=(-1.0,), **completion)
    return rollout_of(Role.SOLVER, completion=sampled)


def test_rollouts_of_different_policies_are_refused():
    check_behaviour([rollout(adapter="shared", adapter_version=3)] * 2, 1.0)
    for other in ({"adapter_version": 4}, {"adapter": "solver"}, {"temperature": 0.5}):
        options = {"adapter": "shared", "adapter_version": 3} | other
        with pytest.raises(ValueError, match="different behaviour policies"):
            check_behaviour([rollout(adapter="shared", adapter_version=3), rollout(**options)], 1.0)
