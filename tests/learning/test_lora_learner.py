import dataclasses
import itertools
import random

import pytest
import torch
from rounds import (
    TEMPERATURE,
    ids,
    learned_gradients,
    learner,
    make_rollout,
    make_round,
    naive_gradients,
    naive_logprobs,
    relative_distance,
    weights,
)
from settled import learner_section

from tinyzero.errors import CheckpointError, ConfigError, NotFinite, OutOfMemory
from tinyzero.learning.learner import LoraLearner
from tinyzero.types import Role


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
@pytest.mark.parametrize(
    "config",
    [
        {},
        {"normalization": "sequence"},
        {"normalization": "fixed"},
        {"kl_coef": 0.5},
        {"micro_batch_tokens": 64},
        {"micro_batch_tokens": 64, "kl_coef": 0.5},
    ],
    ids=str,
)
def test_the_gradient_is_the_naive_one(make_policy, adapters, config):
    policy = make_policy(adapters=adapters, temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    naive_config = {name: value for name, value in config.items() if name != "micro_batch_tokens"}
    expected = naive_gradients(policy, rollouts, advantages, **naive_config)
    recorder = learned_gradients(policy, rollouts, advantages, **config)
    for adapter in policy.adapters:
        assert relative_distance(recorder.flat(adapter), expected[adapter]) < 1e-4


def test_a_prompt_is_shared_without_a_trace(make_policy):
    """Six answers to one long prompt: the learner computes it once, and the gradient does not tell."""
    policy = make_policy(temperature=TEMPERATURE)
    rng = random.Random(3)
    prompt = ids(rng, 60)
    rollouts = [
        make_rollout(policy, Role.SOLVER, prompt, ids(rng, length), rng) for length in (3, 9, 1, 6, 2, 4)
    ]
    advantages = [1.0, -0.5, 0.3, -1.2, 0.8, 0.1]
    expected = naive_gradients(policy, rollouts, advantages)["shared"]
    recorder = learned_gradients(policy, rollouts, advantages)
    assert relative_distance(recorder.flat("shared"), expected) < 1e-4


def test_gradients_flow_under_gradient_checkpointing(make_policy):
    plain = make_policy(temperature=TEMPERATURE)
    checkpointed = make_policy(temperature=TEMPERATURE, gradient_checkpointing=True)
    rollouts, advantages = make_round(plain)
    calls = {plain: 0, checkpointed: 0}
    for policy in calls:
        projection = policy.model.get_base_model().base_model.layers[0].self_attn.q_proj
        projection.register_forward_hook(
            lambda *_, policy=policy: calls.__setitem__(policy, calls[policy] + 1)
        )
    expected = learned_gradients(plain, rollouts, advantages).flat("shared")
    recorder = learned_gradients(checkpointed, rollouts, advantages)
    assert calls[checkpointed] == 2 * calls[plain]  # each activation was indeed computed a second time
    assert expected.norm() > 0
    assert relative_distance(recorder.flat("shared"), expected) < 1e-5


def test_rollouts_without_advantage_count_and_cost_nothing(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, _ = make_round(policy)
    batches = []
    policy.model.get_base_model().base_model.register_forward_pre_hook(
        lambda _, inputs, options: batches.append(options["input_ids"]), with_kwargs=True
    )
    learner(policy).update(rollouts, [1.0, *[0.0] * (len(rollouts) - 1)])
    assert [batch.shape[0] for batch in batches] == [1]


def test_nothing_to_learn_leaves_the_adapter_alone(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, _ = make_round(policy)
    before = weights(policy, "shared")
    metrics = learner(policy).update(rollouts, [0.0] * len(rollouts))
    assert torch.equal(weights(policy, "shared"), before)
    assert policy.versions == {"shared": 0}
    assert metrics["learner/shared/tokens"] == sum(len(rollout.completion.token_ids) for rollout in rollouts)


def test_a_rewarded_completion_becomes_likelier(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, _ = make_round(policy, noise=0.0)
    advantages = [1.0, -1.0, *[0.0] * (len(rollouts) - 2)]
    subject = learner(policy, lr=1e-3)
    subject.update(rollouts, advantages)

    def change(rollout):
        with torch.no_grad():
            after = naive_logprobs(policy, rollout.completion.prompt_ids, rollout.completion.token_ids)
        return float(after.sum()) - sum(rollout.completion.sampler_logprobs)

    assert change(rollouts[0]) > 0.01
    assert change(rollouts[1]) < -0.01


def test_an_update_touches_the_adapter_that_played_only(make_policy):
    policy = make_policy(adapters="per-role", temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    solved = [index for index, rollout in enumerate(rollouts) if rollout.role is Role.SOLVER]
    proposer, solver = weights(policy, "proposer"), weights(policy, "solver")
    base = policy.model.get_base_model().lm_head.weight.clone()
    metrics = learner(policy).update([rollouts[i] for i in solved], [advantages[i] for i in solved])
    assert torch.equal(weights(policy, "proposer"), proposer)
    assert not torch.equal(weights(policy, "solver"), solver)
    assert torch.equal(policy.model.get_base_model().lm_head.weight, base)
    assert policy.versions == {"proposer": 0, "solver": 1}
    assert {name.split("/")[1] for name in metrics} == {"solver"}
    assert {parameter.dtype for parameter in policy.trainable_parameters("solver")} == {torch.float32}


def test_the_base_models_own_rollouts_are_left_out(make_policy):
    policy = make_policy(temperature=TEMPERATURE, frozen_roles=[Role.PROPOSER])
    rollouts, advantages = make_round(policy)
    metrics = learner(policy).update(rollouts, advantages)
    solved = [r for r in rollouts if r.role is Role.SOLVER]
    assert metrics["learner/shared/tokens"] == sum(len(r.completion.token_ids) for r in solved)


def with_sampler_logprob(rollout, first):
    """The same rollout, its first token sampled at another logprob."""
    logprobs = (first, *rollout.completion.sampler_logprobs[1:])
    completion = dataclasses.replace(rollout.completion, sampler_logprobs=logprobs)
    return dataclasses.replace(rollout, answer=dataclasses.replace(rollout.answer, completion=completion))


def test_metrics_come_from_what_happened(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy, noise=0.0)
    rollouts[0] = with_sampler_logprob(rollouts[0], rollouts[0].completion.sampler_logprobs[0] - 0.25)
    metrics = learner(policy, lr=1e-4, max_grad_norm=0.01).update(rollouts, advantages)
    scored = [r.completion for r, advantage in zip(rollouts, advantages, strict=True) if advantage]
    num_scored = sum(len(completion.token_ids) for completion in scored)
    assert metrics["learner/shared/sampler_gap_max"] == pytest.approx(0.25, abs=1e-4)
    assert metrics["learner/shared/sampler_gap_mean"] == pytest.approx(0.25 / num_scored, abs=1e-4)
    assert metrics["learner/shared/ratio_max"] == pytest.approx(1.0)
    assert metrics["learner/shared/clip_fraction"] == 0
    assert metrics["learner/shared/skipped"] == 0
    assert metrics["learner/shared/lr"] == 1e-4
    assert 0 < metrics["learner/shared/entropy"] < 4.6  # ln 99


def test_later_updates_of_a_round_are_clipped(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy, noise=0.0)
    metrics = learner(policy, lr=0.02, updates_per_round=3).update(rollouts, advantages)
    assert policy.versions == {"shared": 3}
    assert metrics["learner/shared/ratio_max"] > 1.28
    assert 0 < metrics["learner/shared/clip_fraction"] < 1


def test_a_gradient_that_is_not_finite_is_skipped_and_counted(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    before = weights(policy, "shared")
    advantages[0] = float("inf")
    subject = learner(policy)
    metrics = subject.update(rollouts, advantages)
    assert torch.equal(weights(policy, "shared"), before)
    assert metrics["learner/shared/skipped"] == 1
    assert "learner/shared/grad_norm" not in metrics
    assert policy.versions == {"shared": 0}
    subject.update(*make_round(policy))
    assert torch.isfinite(weights(policy, "shared")).all()
    assert policy.versions == {"shared": 1}


def spoil_gradients(policy, adapter):
    """From now on; returns what ends it."""
    return policy.trainable_parameters(adapter)[0].register_hook(lambda gradient: gradient * float("nan"))


def test_three_steps_in_a_row_without_a_finite_gradient_end_the_run(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    subject, before = learner(policy, updates_per_round=2), weights(policy, "shared")
    spoil_gradients(policy, "shared")
    for _ in range(2):
        assert subject.update(*make_round(policy))["learner/shared/skipped"] == 1
    with pytest.raises(NotFinite, match="3 steps in a row taught adapter shared nothing, since the norm"):
        subject.update(*make_round(policy))
    assert torch.equal(weights(policy, "shared"), before)


def test_a_step_that_learns_begins_the_count_anew(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    subject = learner(policy)
    for _ in range(3):
        spoiled = spoil_gradients(policy, "shared")
        for _ in range(2):
            assert subject.update(*make_round(policy))["learner/shared/skipped"] == 1
        spoiled.remove()
        assert subject.update(*make_round(policy))["learner/shared/skipped"] == 0
    assert policy.versions == {"shared": 3}


@pytest.mark.parametrize("number", [float("nan"), float("-inf")])
def test_an_advantage_or_a_logprob_of_the_sampler_that_is_not_finite_is_named(make_policy, caplog, number):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    learner(policy).update(rollouts, [number, *advantages[1:]])
    assert f"the advantage of a rollout of solver (deduction) is {number}" in caplog.text
    completion = rollouts[0].completion
    broken = dataclasses.replace(completion, sampler_logprobs=(number,) * len(completion.token_ids))
    answer = dataclasses.replace(rollouts[0].answer, completion=broken)
    rollouts[0] = dataclasses.replace(rollouts[0], answer=answer)
    learner(policy).update(rollouts, advantages)
    assert "the sampler's logprobs of a rollout of solver (deduction) are not finite" in caplog.text
    assert policy.versions == {"shared": 0}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_base_weight_that_is_not_finite_is_named_at_once(make_policy, number):
    policy = make_policy(temperature=TEMPERATURE)
    name, weight = next((n, w) for n, w in policy.model.named_parameters() if "v_proj.base_layer" in n)
    round_before = make_round(policy)
    weight.data[0, 0] = number
    with pytest.raises(NotFinite, match=f"{name} of the base model is not finite"):
        learner(policy).update(*round_before)


def test_an_update_that_makes_a_weight_infinite_is_named(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    subject = learner(policy, lr=1e30)
    subject.update(*make_round(policy))
    for state in subject._optimizers["shared"].state.values():
        state["exp_avg"].fill_(1e30)  # as a memory that was damaged would have it
    policy_before = make_policy(temperature=TEMPERATURE)
    for weight, sound in zip(
        policy.trainable_parameters("shared"), policy_before.trainable_parameters("shared"), strict=True
    ):
        weight.data.copy_(sound.data)
    with pytest.raises(NotFinite, match=r"learner.lr = 1e\+30 made weights of adapter shared infinite"):
        subject.update(*make_round(policy))


def test_the_largest_weight_is_a_figure(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    policy.trainable_parameters("shared")[1].data[0, 0] = -50.0
    metrics = learner(policy, lr=1e-3).update(*make_round(policy))
    assert metrics["learner/shared/weight_max"] == pytest.approx(50.0, abs=0.01)


@pytest.mark.parametrize("engine", ["builtin", "trl"])
def test_a_float16_gradient_that_overflows_halves_the_scale_and_skips_the_step(make_policy, engine):
    policy = make_policy(temperature=TEMPERATURE, dtype="float16")
    rollouts, advantages = make_round(policy, noise=0.0)
    subject = learner(policy, engine=engine, lr=1e-3)
    scaler = subject._scalers["shared"]
    scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**30})  # any gradient leaves float16
    before = weights(policy, "shared")
    skipped = subject.update(rollouts, advantages)
    assert skipped["learner/shared/skipped"] == 1
    assert "learner/shared/grad_norm" not in skipped
    assert torch.equal(weights(policy, "shared"), before)
    assert scaler.get_scale() == 2.0**29
    scaler.load_state_dict(scaler.state_dict() | {"scale": 2.0**10})
    learned = subject.update(rollouts, advantages)
    assert learned["learner/shared/skipped"] == 0
    assert policy.versions == {"shared": 1}
    assert {parameter.grad for parameter in policy.trainable_parameters("shared")} == {None}
    exact = make_policy(temperature=TEMPERATURE)
    expected = learner(exact, lr=1e-3).update(rollouts, advantages)
    assert learned["learner/shared/grad_norm"] == pytest.approx(
        expected["learner/shared/grad_norm"], rel=0.02
    )  # unscaled again before it is measured and clipped


@pytest.mark.parametrize("failing", [2, 4])
def test_batches_can_be_halved_in_the_middle_of_any_update(make_policy, failing):
    """What was kept of the round's start then fits no batch of the second try."""
    policy, roomy = make_policy(temperature=TEMPERATURE), make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    config = {"updates_per_round": 2, "micro_batch_tokens": 176, "lr": 1e-3}
    learner(roomy, **config).update(rollouts, advantages)
    refuse_batch_number(policy, failing)
    metrics = learner(policy, **config).update(rollouts, advantages)
    assert metrics["learner/shared/micro_batch_tokens"] == 88
    assert policy.versions == {"shared": 2}
    torch.testing.assert_close(weights(policy, "shared"), weights(roomy, "shared"), atol=1e-5, rtol=0)


def refuse_batch_number(policy, number):
    calls = itertools.count(1)

    def refuse(*_):
        if next(calls) == number:
            raise torch.OutOfMemoryError("CUDA out of memory")

    policy.model.get_base_model().base_model.register_forward_pre_hook(refuse)


def refuse_batches_above(policy, max_tokens):
    def refuse(_module, _inputs, options):
        if options["input_ids"].numel() > max_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory")

    policy.model.get_base_model().base_model.register_forward_pre_hook(refuse, with_kwargs=True)


def test_out_of_memory_halves_the_batches_and_replays_the_step(make_policy):
    policy, roomy = make_policy(temperature=TEMPERATURE), make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    learner(roomy).update(rollouts, advantages)
    refuse_batches_above(policy, 64)
    metrics = learner(policy, micro_batch_tokens=512).update(rollouts, advantages)
    assert metrics["learner/shared/micro_batch_tokens"] == 64
    assert policy.versions == {"shared": 1}
    torch.testing.assert_close(weights(policy, "shared"), weights(roomy, "shared"), atol=2e-6, rtol=0)


def test_a_rollout_too_long_for_the_device_is_an_error(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy)
    refuse_batches_above(policy, 10)
    with pytest.raises(OutOfMemory, match=r"one rollout of \d+ tokens does not fit"):
        learner(policy).update(rollouts, advantages)


def test_a_resumed_learner_goes_on_bit_for_bit(make_policy, tmp_path):
    whole = make_policy(temperature=TEMPERATURE)
    first, second = make_round(whole, seed=1), make_round(whole, seed=2)
    subject = learner(whole, lr=1e-3, schedule="linear", total_rounds=4)
    subject.update(*first)
    whole.save(tmp_path / "policy")
    subject.save(tmp_path / "learner")
    resumed = make_policy(temperature=TEMPERATURE, randomize=False)
    resumed.load(tmp_path / "policy")
    other = learner(resumed, lr=1e-3, schedule="linear", total_rounds=4)
    other.load(tmp_path / "learner")
    metrics = subject.update(*second)
    assert metrics == other.update(*second)
    assert metrics["learner/shared/lr"] == pytest.approx(0.75e-3)
    assert torch.equal(weights(whole, "shared"), weights(resumed, "shared"))


def test_a_missing_state_is_one_clear_line(make_policy, tmp_path):
    with pytest.raises(CheckpointError, match="cannot read the optimizers"):
        learner(make_policy(temperature=TEMPERATURE)).load(tmp_path)


def test_samples_and_scores_have_one_temperature(make_policy):
    with pytest.raises(ConfigError, match=r"temperature 0.5 meet a policy that scores at 0.8"):
        LoraLearner(make_policy(temperature=TEMPERATURE), learner_section(), 0.5)


def test_fixed_normalisation_needs_the_budgets(make_policy):
    with pytest.raises(ConfigError, match="needs the completion budget"):
        LoraLearner(make_policy(), learner_section(normalization="fixed"), 1.0)


def test_a_falling_learning_rate_needs_the_length_of_the_run(make_policy):
    with pytest.raises(ConfigError, match="needs the number of rounds"):
        LoraLearner(make_policy(), learner_section(schedule="linear"), 1.0)


def test_the_first_update_of_adam_is_as_large_as_the_learning_rate_says(make_policy):
    """Adam's first step moves every weight by lr, whatever its gradient: at half the rate, by half of it."""
    moved = {}
    for warmup in (0, 1):
        policy = make_policy(temperature=TEMPERATURE)
        before = weights(policy, "shared")
        learner(policy, lr=1e-3, warmup_steps=warmup).update(*make_round(policy))
        moved[warmup] = float((weights(policy, "shared") - before).abs().max())
    assert moved[0] == pytest.approx(1e-3, rel=0.01)
    assert moved[1] == pytest.approx(0.5e-3, rel=0.01)


def test_a_lowered_learning_rate_stays_lowered_after_a_resume(make_policy, tmp_path):
    policy, other = (make_policy(temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    lowered = learner(policy, lr=0.01)
    assert lowered.update(rollouts, advantages)["learner/shared/lr"] == 0.01
    lowered.scale_lr(0.5)
    lowered.save(tmp_path)
    resumed = learner(other, lr=0.01)
    resumed.load(tmp_path)
    assert resumed.update(rollouts, advantages)["learner/shared/lr"] == 0.005
