from itertools import zip_longest

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinyzero.config import SamplingConfig
from tinyzero.errors import ConfigError, NotFinite, OutOfMemory
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.draw import uniforms
from tinyzero.types import Prompt, Role, SamplingRequest

TEXTS = (
    "2+2",
    "a much longer question than all the others, to be sure",
    "?",
    "f(x)",
    "what is f('abc')",
    "x",
)


def request(texts=TEXTS, *, num_samples=3, max_tokens=12, temperature=1.0, role=Role.SOLVER, prefill=""):
    prompts = tuple(Prompt(kind="deduction", text=text, prefill=prefill) for text in texts)
    return SamplingRequest(
        role=role,
        prompts=prompts,
        num_samples=num_samples,
        max_tokens=max_tokens,
        stream="7/solve",
        temperature=temperature,
    )


def sampler(policy, *, seed=5, mode=None, **config):
    return BuiltinSampler(policy, SamplingConfig(**config), seed, mode=mode)


@torch.no_grad()
def naive_sample(policy, asked, prompt, sample, seed=5):
    """One token at a time from a full forward pass of one sequence: no cache, no batch, no padding."""
    policy.activate(asked.role)
    ids = policy.encode(asked.prompts[prompt])
    drawn = uniforms(seed, asked.stream, prompt=prompt, sample=sample, count=asked.max_tokens)
    tokens, logprobs = [], []
    for number in drawn:
        logits = policy.model(input_ids=torch.tensor([ids + tokens])).logits[0, -1]
        distribution = torch.log_softmax(logits / (asked.temperature or 1.0), -1)
        cumulative = distribution.exp().double().cumsum(0)
        token = int(distribution.argmax()) if asked.temperature == 0 else int((cumulative <= number).sum())
        tokens.append(token)
        logprobs.append(float(distribution[token]))
        if token in policy.stop_ids:
            break
    return tokens, logprobs


def assert_same(left, right):
    assert [completion.token_ids for completion in left] == [completion.token_ids for completion in right]
    for one, other in zip(left, right, strict=True):
        assert one.sampler_logprobs == pytest.approx(other.sampler_logprobs, abs=1e-5)


@pytest.fixture
def stopping_policy(make_policy):
    """Ends answers often, so that rows finish at all lengths."""
    policy = make_policy(adapters="per-role")
    policy.stop_ids = frozenset({*policy.stop_ids, *range(20, 30)})
    return policy


@pytest.fixture
def few_shapes(monkeypatch):
    """Steps of 5 slots and a third of the rows, so that short requests too come to several shapes."""
    monkeypatch.setattr("tinyzero.sampling.rows.Shapes._SLOTS", 5)
    monkeypatch.setattr("tinyzero.sampling.rows.Shapes._PARTS", 3)


@pytest.mark.parametrize("mode", ["exact", "static"])
@pytest.mark.parametrize("temperature", [1.0, 0.6, 0])
def test_every_sample_is_the_naive_one(stopping_policy, few_shapes, temperature, mode):
    asked = request(temperature=temperature)
    completions = sampler(stopping_policy, batch_rows=4, mode=mode).sample(asked)
    lengths = set()
    for prompt, samples in enumerate(completions):
        assert len(samples) == 3
        for index, completion in enumerate(samples):
            tokens, logprobs = naive_sample(stopping_policy, asked, prompt, index)
            assert list(completion.token_ids) == tokens
            assert completion.sampler_logprobs == pytest.approx(logprobs, abs=1e-5)
            lengths.add(len(tokens))
    if temperature:
        assert len(lengths) > 3  # rows did finish at different times


@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    batch_rows=st.integers(1, 24),
    mode=st.sampled_from(["exact", "static"]),
    others=st.lists(st.text(alphabet="abc +", min_size=0, max_size=60), max_size=6),
    num_samples=st.integers(2, 5),
)
def test_a_sample_does_not_depend_on_its_company(
    stopping_policy, few_shapes, batch_rows, mode, others, num_samples
):
    expected = sampler(stopping_policy).sample(request(num_samples=2))
    asked = request((*TEXTS[:2], *others), num_samples=num_samples)
    completions = sampler(stopping_policy, batch_rows=batch_rows, mode=mode).sample(asked)
    for prompt in range(2):
        assert_same(completions[prompt][:2], expected[prompt])


def test_prefill_batches_do_not_change_the_samples(stopping_policy, monkeypatch):
    expected = sampler(stopping_policy).sample(request())
    monkeypatch.setattr("tinyzero.sampling.decoding._PREFILL_TOKENS", 100)
    for one, other in zip(sampler(stopping_policy).sample(request()), expected, strict=True):
        assert_same(one, other)


def test_samples_of_a_prompt_differ(stopping_policy):
    samples = sampler(stopping_policy).sample(request(("2+2",), num_samples=8))[0]
    assert len({completion.token_ids for completion in samples}) == 8


def test_a_completion_says_how_it_ended(stopping_policy):
    completions = [c for samples in sampler(stopping_policy).sample(request()) for c in samples]
    for completion in completions:
        is_stopped = completion.token_ids[-1] in stopping_policy.stop_ids
        assert completion.finish_reason == ("stop" if is_stopped else "length")
        assert is_stopped or len(completion.token_ids) == 12
        assert not any(token in stopping_policy.stop_ids for token in completion.token_ids[:-1])
    assert {completion.finish_reason for completion in completions} == {"stop", "length"}


def test_the_text_is_the_completion_without_its_end(stopping_policy):
    for completion in sampler(stopping_policy).sample(request(("2+2",), num_samples=6))[0]:
        ids = completion.token_ids[:-1] if completion.finish_reason == "stop" else completion.token_ids
        assert completion.text == stopping_policy.decode(ids)


def test_a_completion_names_its_behaviour_policy(stopping_policy):
    stopping_policy.versions["solver"] = 4
    asked = request(("2+2",), temperature=0.6, prefill="It is ")
    completion = sampler(stopping_policy).sample(asked)[0][0]
    assert (completion.adapter, completion.adapter_version, completion.temperature) == ("solver", 4, 0.6)
    assert list(completion.prompt_ids) == stopping_policy.encode(asked.prompts[0])


def test_a_frozen_role_samples_from_the_base(make_policy):
    frozen = make_policy(frozen_roles=[Role.SOLVER])
    completions = sampler(frozen).sample(request(("2+2",)))
    assert {completion.adapter for completion in completions[0]} == {""}
    assert_same(completions[0], sampler(make_policy(randomize=False)).sample(request(("2+2",)))[0])


def test_roles_sample_with_their_own_adapters(stopping_policy):
    solver = sampler(stopping_policy).sample(request(("2+2",)))[0]
    proposer = sampler(stopping_policy).sample(request(("2+2",), role=Role.PROPOSER))[0]
    assert [c.token_ids for c in solver] != [c.token_ids for c in proposer]
    assert proposer[0].adapter == "proposer"


def test_a_request_without_a_role_is_answered_and_signed_by_the_base_model(stopping_policy):
    solver = sampler(stopping_policy).sample(request(("2+2",)))[0]
    base = sampler(stopping_policy).sample(request(("2+2",), role=None))[0]
    assert [c.token_ids for c in solver] != [c.token_ids for c in base]
    assert {(c.adapter, c.policy) for c in base} == {("", "base@0")}


def test_a_prompt_over_the_limit_names_the_knob(stopping_policy):
    with pytest.raises(ConfigError, match=r"sampling.max_prompt_tokens is 40 and .* raise the former"):
        sampler(stopping_policy, max_prompt_tokens=40).sample(request())


def test_a_prompt_over_the_context_names_no_knob_that_would_not_help(stopping_policy):
    stopping_policy.context_tokens = 40
    with pytest.raises(ConfigError, match=r"context has 40; take a base model with a longer context, or"):
        sampler(stopping_policy).sample(request())


def test_rows_that_do_not_fit_the_device_name_the_knob(stopping_policy):
    def refuse(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    stopping_policy.model.get_base_model().base_model.register_forward_pre_hook(refuse)
    with pytest.raises(OutOfMemory, match=r"^7 answers side by side .* lower sampling.batch_rows$"):
        sampler(stopping_policy, batch_rows=7).sample(request())


def test_what_fits_is_asked_and_one_token_more_is_not(stopping_policy):
    prompt = request(("2+2",), num_samples=1).prompts[0]
    num_tokens = len(stopping_policy.encode(prompt))
    exact = sampler(stopping_policy, max_prompt_tokens=num_tokens)
    assert exact.fits(prompt)
    assert exact.sample(request(("2+2",), num_samples=1))
    assert not sampler(stopping_policy, max_prompt_tokens=num_tokens - 1).fits(prompt)


def test_an_answer_ends_where_the_context_does(make_policy):
    policy = make_policy()
    policy.stop_ids = frozenset()
    frame = len(policy.encode(request(("",)).prompts[0]))
    asked = request(("x" * (policy.context_tokens - frame - 5), "y"), max_tokens=8, num_samples=1)
    assert [len(samples[0].token_ids) for samples in sampler(policy).sample(asked)] == [5, 8]


def test_no_prompts_no_completions(stopping_policy):
    assert sampler(stopping_policy).sample(request(())) == []


def test_sampling_leaves_the_global_generator_alone(stopping_policy):
    before = torch.random.get_rng_state()
    sampler(stopping_policy).sample(request())
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_stream_gives_the_same_text_piece_by_piece(make_policy, temperature):
    policy = make_policy()
    sampler = BuiltinSampler(policy, SamplingConfig(), seed=3)
    prompt = Prompt(kind="deduction", text="what is 1+1?")
    request = SamplingRequest(
        role=Role.SOLVER, prompts=(prompt,), num_samples=1, max_tokens=12, stream="s", temperature=temperature
    )
    ((expected,),) = sampler.sample(request)
    options = {"max_tokens": 12, "temperature": temperature, "stream": "s"}
    pieces = list(sampler.stream(Role.SOLVER, policy.encode(prompt), **options))
    assert "".join(pieces) == expected.text
    assert len([piece for piece in pieces if piece]) == len(expected.text)  # a token is a character here


def test_a_stream_of_the_reference_is_the_base_models_and_leaves_the_adapter_alone(make_policy):
    policy, other = make_policy(), make_policy(randomize=False)
    prompt = Prompt(kind="deduction", text="what is 1+1?")
    options = {"max_tokens": 12, "temperature": 0.0, "stream": "s"}

    def say(policy, role):
        sampler = BuiltinSampler(policy, SamplingConfig(), seed=3)
        return "".join(sampler.stream(role, policy.encode(prompt), **options))

    trained = say(policy, Role.SOLVER)
    assert say(policy, None) == say(other, Role.SOLVER) != trained
    assert say(policy, Role.SOLVER) == trained


def test_two_streams_may_be_read_in_turn(make_policy):
    policy = make_policy()
    sampler = BuiltinSampler(policy, SamplingConfig(), seed=3)
    ids = policy.encode(Prompt(kind="deduction", text="what is 1+1?"))
    options = {"max_tokens": 12, "temperature": 0.0, "stream": "s"}
    alone = ["".join(sampler.stream(role, ids, **options)) for role in (None, Role.SOLVER)]
    streams = [sampler.stream(role, ids, **options) for role in (None, Role.SOLVER)]
    together = ["", ""]
    for pieces in zip_longest(*streams, fillvalue=""):
        together = [said + piece for said, piece in zip(together, pieces, strict=True)]
    assert together == alone


@pytest.mark.parametrize("mode", ["exact", "static"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
@pytest.mark.parametrize("part", ["lora_B.shared", "v_proj.base_layer", "norm.weight"])
def test_a_weight_that_is_not_finite_is_named(make_policy, mode, temperature, number, part):
    policy = make_policy()
    name, weight = next((n, w) for n, w in policy.model.named_parameters() if part in n)
    weight.data.view(-1)[0] = number
    with pytest.raises(NotFinite, match=f"logprobs of an answer are not finite: the weight {name} of "):
        sampler(policy, mode=mode).sample(request(temperature=temperature))
