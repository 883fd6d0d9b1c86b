"""What only a card can show: graphs, 4-bit kernels, Triton's fused head, 8-bit optimizers, a full card."""

import gc
import logging
from functools import partial

import pytest
import torch
from bench.peak_memory import peak_memory
from rounds import GradientRecorder, relative_distance
from settled import CARD, learner_section

from tinyzero.cli.speed import as_rollouts, mixed_advantages
from tinyzero.config import SamplingConfig
from tinyzero.errors import OutOfMemory
from tinyzero.learning.learner import LoraLearner
from tinyzero.learning.scoring import score_completions
from tinyzero.policy.vacating import vacated
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.canary import check_sampler
from tinyzero.types import Prompt, Role, SamplingRequest

PLAIN = {"dtype": "float32", "quantization": "none"}
QUANTISED = {"dtype": "bfloat16", "quantization": "nf4"}


def request(*, samples=4, tokens=24, texts=("2+2", "a much longer question than the others", "f(x)")):
    prompts = tuple(Prompt(kind="deduction", text=text) for text in texts)
    return SamplingRequest(
        role=Role.SOLVER, prompts=prompts, num_samples=samples, max_tokens=tokens, stream="gpu"
    )


def sample(policy, mode, asked=None, **config):
    subject = BuiltinSampler(policy, SamplingConfig(**{"batch_rows": 8, **config}), seed=5, mode=mode)
    return subject, subject.sample(asked or request())


def rollouts_of(policy, asked=None):
    asked = asked or request()
    return as_rollouts(asked, sample(policy, "exact", asked)[1])


def weights(policy, adapter="shared"):
    return torch.cat([weight.detach().flatten() for weight in policy.trainable_parameters(adapter)]).cpu()


def update(policy, rollouts, **config):
    """The weights after one update, and its metrics; the policy's own are put back."""
    before = [weight.detach().clone() for weight in policy.trainable_parameters("shared")]
    learner = LoraLearner(policy, learner_section(CARD, **config), 1.0)
    metrics = learner.update(rollouts, mixed_advantages(len(rollouts)))
    after = weights(policy)
    with torch.no_grad():
        for weight, value in zip(policy.trainable_parameters("shared"), before, strict=True):
            weight.copy_(value)
    return after, metrics


@pytest.fixture
def few_shapes(monkeypatch):
    monkeypatch.setattr("tinyzero.sampling.rows.Shapes._SLOTS", 8)


def test_graphs_draw_the_tokens_of_the_exact_sampler(make_cuda_policy, few_shapes, caplog):
    policy = make_cuda_policy(**PLAIN)
    policy.stop_ids = frozenset({*policy.stop_ids, *range(20, 30)})
    _, expected = sample(policy, "exact")
    with caplog.at_level(logging.WARNING):
        subject, found = sample(policy, "graphs")
    assert subject.mode == "graphs", caplog.text
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one.token_ids == other.token_ids
            assert one.sampler_logprobs == pytest.approx(other.sampler_logprobs, abs=1e-4)


def test_graphs_can_be_recorded_over_4_bit_weights(make_cuda_policy, few_shapes, caplog):
    policy = make_cuda_policy(**QUANTISED)
    with caplog.at_level(logging.WARNING):
        subject, _ = sample(policy, "graphs")
    assert subject.mode == "graphs", caplog.text


def test_graphs_follow_an_update_of_the_adapter(make_cuda_policy, few_shapes):
    policy = make_cuda_policy(**PLAIN)
    subject, before = sample(policy, "graphs")
    LoraLearner(policy, learner_section(CARD, lr=0.05), 1.0).update(
        as_rollouts(request(), before), mixed_advantages(12)
    )
    after = subject.sample(request())
    _, expected = sample(policy, "exact")
    drawn = [[one.token_ids for one in samples] for samples in after]
    assert drawn == [[one.token_ids for one in samples] for samples in expected]
    assert drawn != [[one.token_ids for one in samples] for samples in before]


def test_a_sampler_that_sleeps_leaves_the_card(make_cuda_policy, few_shapes):
    policy = make_cuda_policy(**PLAIN)
    sample(policy, "graphs")[0].sleep()
    gc.collect()
    held = torch.cuda.memory_allocated()
    sample(policy, "graphs", request(samples=8, tokens=64))[0].sleep()
    assert torch.cuda.memory_allocated() - held < 1 << 20


@pytest.mark.parametrize("precision", [PLAIN, QUANTISED], ids=["float32", "nf4"])
@pytest.mark.parametrize("mode", ["exact", "static", "graphs"])
def test_the_sampler_agrees_with_the_learner(make_cuda_policy, few_shapes, precision, mode):
    policy = make_cuda_policy(adapters="per-role", **precision)
    subject = BuiltinSampler(policy, SamplingConfig(batch_rows=8), seed=0, mode=mode)
    gap = check_sampler(subject, partial(score_completions, policy), engine=mode, temperature=1.0)
    assert gap.mean < (1e-4 if precision is PLAIN else 0.1)


@pytest.mark.parametrize(("precision", "limit"), [(PLAIN, 1e-3), (QUANTISED, 0.1)], ids=["float32", "nf4"])
def test_both_losses_have_one_gradient(make_cuda_policy, precision, limit):
    policy = make_cuda_policy(**precision)
    rollouts, gradients = rollouts_of(policy), {}
    for engine in ("builtin", "trl"):
        recorder = GradientRecorder(policy)
        update(policy, rollouts, engine=engine, optimizer="adamw")
        gradients[engine] = recorder.flat("shared")
    assert gradients["trl"].norm() > 0
    assert relative_distance(gradients["builtin"], gradients["trl"]) < limit


@pytest.mark.parametrize("optimizer", ["adamw8bit", "paged_adamw8bit"])
def test_8_bit_optimizers_step_where_adamw_does(make_cuda_policy, optimizer):
    policy = make_cuda_policy(**QUANTISED)
    rollouts, start = rollouts_of(policy), weights(policy)
    expected, _ = update(policy, rollouts, optimizer="adamw", lr=1e-3)
    found, metrics = update(policy, rollouts, optimizer=optimizer, lr=1e-3)
    assert metrics["learner/shared/skipped"] == 0
    assert (found - expected).norm() < 0.2 * (expected - start).norm()


def test_a_full_card_halves_the_micro_batch_and_keeps_the_gradient(make_cuda_policy):
    policy = make_cuda_policy(**PLAIN)
    texts = tuple(f"{number} a question of some length, so that the batch is large" for number in range(64))
    rollouts = rollouts_of(policy, request(samples=4, tokens=64, texts=texts))
    config = {"optimizer": "adamw", "micro_batch_tokens": 32768}
    expected, with_room = update(policy, rollouts, **config)
    growth = peak_memory(lambda: update(policy, rollouts, **config), policy.device)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 0.6 * growth) / total)
    try:
        found, metrics = update(policy, rollouts, **config)
    except OutOfMemory as error:
        pytest.fail(f"halving did not help: {error}")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert metrics["learner/shared/micro_batch_tokens"] < 32768
    assert metrics["learner/shared/grad_norm"] == pytest.approx(
        with_room["learner/shared/grad_norm"], rel=1e-3
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_pause_leaves_the_card_and_the_policy_comes_back_as_it_was(make_cuda_policy):
    policy = make_cuda_policy(**QUANTISED)
    learner = LoraLearner(policy, learner_section(CARD, lr=1e-3), 1.0)
    rollouts = rollouts_of(policy)
    learner.update(rollouts, mixed_advantages(len(rollouts)))
    scored = [rollout.completion for rollout in rollouts]
    before, start = score_completions(policy, scored), weights(policy)
    held = torch.cuda.memory_allocated()
    with vacated(policy, learner, device=policy.device) as freed_gib:
        assert torch.cuda.memory_allocated() < held / 20
        assert freed_gib > 0
    assert torch.equal(weights(policy), start)
    assert score_completions(policy, scored) == before
    learner.update(rollouts_of(policy), mixed_advantages(len(rollouts)))
