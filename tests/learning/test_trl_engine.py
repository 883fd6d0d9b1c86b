"""The loss of TRL's GRPOTrainer against ours: the same rollouts, the same gradients."""

import itertools
from dataclasses import replace

import pytest
import torch
from rounds import (
    TEMPERATURE,
    learned_gradients,
    learner,
    make_round,
    naive_gradients,
    relative_distance,
    weights,
)
from trl.trainer.grpo_trainer import GRPOTrainer

from tinyzero.errors import ConfigError
from tinyzero.learning.trl_loss import check_trl

CONFIGS = [
    {},
    {"normalization": "sequence"},
    {"normalization": "fixed"},
    {"kl_coef": 0.5},
    {"kl_coef": 0.5, "normalization": "sequence"},
    {"kl_coef": 0.5, "normalization": "fixed"},
    {"micro_batch_tokens": 64},
    {"micro_batch_tokens": 64, "normalization": "sequence"},
    {"micro_batch_tokens": 64, "normalization": "fixed", "kl_coef": 0.5},
    {"ratio": "sequence", "normalization": "sequence"},
    {"objective": "cispo"},
    {"entropy_coef": 0.5, "micro_batch_tokens": 64},
]


@pytest.mark.parametrize("adapters", ["shared", "per-role"])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_both_engines_have_one_gradient(make_policy, adapters, config):
    policy, other = (make_policy(adapters=adapters, temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    ours = learned_gradients(policy, rollouts, advantages, **config)
    theirs = learned_gradients(other, rollouts, advantages, engine="trl", **config)
    for adapter in policy.adapters:
        assert ours.flat(adapter).norm() > 0
        assert relative_distance(theirs.flat(adapter), ours.flat(adapter)) < 1e-4


def test_the_gradient_is_the_naive_one_where_the_sampler_weight_is_capped(make_policy):
    policy = make_policy(temperature=TEMPERATURE)
    rollouts, advantages = make_round(policy, noise=1.0)
    expected = naive_gradients(policy, rollouts, advantages, cap=1.25)["shared"]
    uncapped = naive_gradients(policy, rollouts, advantages, cap=1e9)["shared"]
    recorder = learned_gradients(policy, rollouts, advantages, engine="trl", sampler_cap=1.25)
    assert relative_distance(recorder.flat("shared"), expected) < 1e-4
    assert relative_distance(uncapped, expected) > 0.01


@pytest.mark.parametrize("normalization", ["token", "sequence", "fixed"])
def test_both_engines_clip_later_updates_alike(make_policy, normalization):
    policy, other = (make_policy(temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    config = {"updates_per_round": 3, "lr": 0.01, "normalization": normalization, "kl_coef": 0.1}
    config |= {"clip_low": 0.1, "clip_high": 0.3, "micro_batch_tokens": 128}
    ours = learner(policy, **config).update(rollouts, advantages)
    theirs = learner(other, engine="trl", **config).update(rollouts, advantages)
    assert ours["learner/shared/clip_fraction"] > 0.05
    assert other.versions == {"shared": 3}
    torch.testing.assert_close(weights(other, "shared"), weights(policy, "shared"), atol=1e-4, rtol=0)
    for name, value in theirs.items():
        if "sampler_gap" not in name:  # ours follows the policy through the round; theirs stays at its start
            assert value == pytest.approx(ours[name], rel=1e-3), name


@pytest.mark.parametrize(
    "options",
    [
        {"clip_delta": 1.35},
        {"ratio": "sequence", "normalization": "sequence", "clip_low": 0.02, "clip_high": 0.03},
        {"objective": "cispo"},
        {"entropy_coef": 0.1},
    ],
    ids=str,
)
def test_both_engines_have_one_gradient_in_later_updates_under_every_option(make_policy, options):
    policy, other, plain = (make_policy(temperature=TEMPERATURE) for _ in range(3))
    rollouts, advantages = make_round(policy)
    config = {
        "updates_per_round": 3,
        "lr": 0.02,
        "clip_low": 0.1,
        "clip_high": 0.3,
        "micro_batch_tokens": 128,
    }
    learner(policy, **config | options).update(rollouts, advantages)
    learner(other, engine="trl", **config | options).update(rollouts, advantages)
    learner(plain, **config).update(rollouts, advantages)
    torch.testing.assert_close(weights(other, "shared"), weights(policy, "shared"), atol=2e-4, rtol=0)
    assert (weights(plain, "shared") - weights(policy, "shared")).abs().max() > 1e-3


@pytest.mark.parametrize("engine", ["builtin", "trl"])
@pytest.mark.parametrize("normalization", ["token", "sequence", "fixed"])
def test_a_masked_truncated_completion_leaves_no_trace_but_its_place_in_the_mean(
    make_policy, engine, normalization
):
    policy, other = (make_policy(temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    cut = [cut_off(rollout) if index % 3 == 0 else rollout for index, rollout in enumerate(rollouts)]
    config = {"engine": engine, "normalization": normalization}
    masked = learned_gradients(policy, cut, advantages, mask_truncated=True, **config).flat("shared")
    left = [index for index in range(len(cut)) if index % 3]
    alone = learned_gradients(
        other, [rollouts[index] for index in left], [advantages[index] for index in left], **config
    ).flat("shared")
    # 9 attempts and 3 proposals, of which 6 and 2 are left: of as many rollouts, two thirds
    factor = 1.0 if normalization == "token" else 2 / 3
    assert relative_distance(masked, factor * alone) < 1e-4


def cut_off(rollout):
    completion = replace(rollout.completion, finish_reason="length")
    return replace(rollout, answer=replace(rollout.answer, completion=completion))


def test_metrics_mean_the_same(make_policy):
    policy, other = (make_policy(temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    config = {"kl_coef": 0.5, "micro_batch_tokens": 64}
    ours = learner(policy, **config).update(rollouts, advantages)
    theirs = learner(other, engine="trl", **config).update(rollouts, advantages)
    assert theirs.keys() == ours.keys() - {"learner/shared/ratio_max"}
    assert theirs == pytest.approx({name: ours[name] for name in theirs}, rel=1e-4, abs=1e-6)


def test_batches_keep_to_the_budget_and_are_halved_when_memory_runs_out(make_policy):
    policy, roomy = (make_policy(temperature=TEMPERATURE) for _ in range(2))
    rollouts, advantages = make_round(policy)
    learner(roomy, engine="trl").update(rollouts, advantages)
    sizes, calls = [], itertools.count(1)

    def refuse(_module, _inputs, options):
        sizes.append(options["input_ids"].numel())
        if next(calls) == 4:  # after a micro-batch has left its gradients
            raise torch.OutOfMemoryError("CUDA out of memory")

    policy.model.get_base_model().base_model.register_forward_pre_hook(refuse, with_kwargs=True)
    metrics = learner(policy, engine="trl", micro_batch_tokens=128).update(rollouts, advantages)
    assert metrics["learner/shared/micro_batch_tokens"] == 64
    assert max(sizes[:4]) <= 128
    assert max(sizes[4:]) <= 64
    torch.testing.assert_close(weights(policy, "shared"), weights(roomy, "shared"), atol=2e-6, rtol=0)


def test_a_resumed_learner_goes_on_bit_for_bit(make_policy, tmp_path):
    whole = make_policy(adapters="per-role", temperature=TEMPERATURE)
    first, second = make_round(whole, seed=1), make_round(whole, seed=2)
    subject = learner(whole, engine="trl", lr=1e-3)
    subject.update(*first)
    whole.save(tmp_path / "policy")
    subject.save(tmp_path / "learner")
    resumed = make_policy(adapters="per-role", temperature=TEMPERATURE, randomize=False)
    resumed.load(tmp_path / "policy")
    other = learner(resumed, engine="trl", lr=1e-3)
    other.load(tmp_path / "learner")
    assert subject.update(*second) == other.update(*second)
    assert all(torch.equal(weights(whole, name), weights(resumed, name)) for name in whole.adapters)


def test_gradient_checkpointing_changes_nothing(make_policy):
    plain = make_policy(temperature=TEMPERATURE)
    checkpointed = make_policy(temperature=TEMPERATURE, gradient_checkpointing=True)
    rollouts, advantages = make_round(plain)
    expected = learned_gradients(plain, rollouts, advantages, engine="trl").flat("shared")
    found = learned_gradients(checkpointed, rollouts, advantages, engine="trl").flat("shared")
    assert relative_distance(found, expected) < 1e-5


def test_another_trl_is_refused_by_name():
    check_trl("1.15.0", GRPOTrainer)
    check_trl("1.16.3", GRPOTrainer)
    for version in ("1.14.2", "1.17.0", "2.0.0"):
        with pytest.raises(ConfigError, match=rf"this is trl {version}: pip install 'trl>=1.15,<1.17'"):
            check_trl(version, GRPOTrainer)


def test_a_trl_with_other_private_methods_is_refused():
    class Renamed:
        def _get_per_token_logps_and_entropies(self, model, input_ids, attention_mask, logits_to_keep): ...

    class Changed(Renamed):
        def _compute_loss(self, model, batch): ...

    for other in (Renamed, Changed):
        with pytest.raises(ConfigError, match=r"GRPOTrainer\._compute_loss is not the one of trl 1\.15"):
            check_trl("1.16.0", other)
