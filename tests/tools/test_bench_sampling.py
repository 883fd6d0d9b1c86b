import pytest
import torch
from bench.sampling import _count, generate, race_against_generate

from tinyzero.config import SamplingConfig
from tinyzero.types import Prompt, Role, SamplingRequest

TEXTS = ("2+2", "a much longer question", "f(x)")
REQUEST = SamplingRequest(
    role=Role.SOLVER,
    prompts=tuple(Prompt(kind="deduction", text=text) for text in TEXTS),
    num_samples=2,
    max_tokens=5,
    stream="bench",
)


def test_without_stops_both_make_every_token_of_the_budget(make_policy):
    policy = make_policy()
    stop_ids = policy.stop_ids
    raced = race_against_generate(policy, SamplingConfig(batch_rows=4), REQUEST, repeats=2)
    assert [lap.amount for lap in (*raced.ours, *raced.theirs)] == [3 * 2 * 5] * 4
    assert policy.stop_ids == stop_ids


def test_with_stops_both_count_answers_up_to_their_end(make_policy):
    every_token = range(make_policy().model.get_base_model().config.vocab_size)
    raced = race_against_generate(
        make_policy(), SamplingConfig(), REQUEST, repeats=1, stop_ids=tuple(every_token)
    )
    assert [lap.amount for lap in (*raced.ours, *raced.theirs)] == [6, 6]


def test_generate_wears_the_adapter_of_the_prompts_and_sees_no_padding(make_policy):
    policy = make_policy(adapters="per-role")
    policy.stop_ids = frozenset()
    heard = []
    base = policy.model.get_base_model()
    base.register_forward_hook(lambda _module, _inputs, outputs: heard.append(outputs.logits[:, -1]))
    generate(policy, SamplingConfig(batch_rows=6), REQUEST)
    first = heard[0].clone()  # [R, V] of the three prompts, padded on the left, each twice
    for place, prompt in enumerate(REQUEST.prompts):
        with torch.no_grad():
            alone = policy.model(input_ids=torch.tensor([policy.encode(prompt)])).logits[0, -1]
        torch.testing.assert_close(first[2 * place], alone, atol=1e-4, rtol=0)
        policy.activate(Role.PROPOSER)
        with torch.no_grad():
            other = policy.model(input_ids=torch.tensor([policy.encode(prompt)])).logits[0, -1]
        policy.activate(Role.SOLVER)
        assert (first[2 * place] - other).abs().max() > 0.01


def test_the_settings_of_the_model_itself_are_left_as_they_were(make_policy):
    policy = make_policy()
    base = policy.model.get_base_model()
    before, seed = base.generation_config, torch.random.get_rng_state()
    race_against_generate(policy, SamplingConfig(), REQUEST, repeats=1)
    assert base.generation_config is before
    assert torch.equal(torch.random.get_rng_state(), seed)


@pytest.mark.parametrize(("stops", "expected"), [((), 8), ((9,), 2 + 4), ((9, 3), 2 + 2), ((1,), 1 + 1)])
def test_tokens_are_counted_up_to_the_first_stop(stops, expected):
    made = torch.tensor([[1, 9, 9, 3], [1, 3, 2, 2]])
    assert _count(made, frozenset(stops)) == expected
