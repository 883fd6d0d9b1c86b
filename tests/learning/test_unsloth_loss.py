"""TRL's engine where unsloth has rewritten the trainer: fed as it wants to be, and believed after a look."""

from dataclasses import replace

import pytest
import torch
from rounds import (
    TEMPERATURE,
    learned_gradients,
    learner,
    make_round,
    relative_distance,
    weights,
)
from torch.amp import GradScaler

from tinyzero.errors import ConfigError
from tinyzero.learning import unsloth_loss
from tinyzero.learning.unsloth_loss import check_unsloth, refuse_options


class Detached(torch.autograd.Function):
    """Hands the gradient on as it was computed, whatever is done to the loss."""

    @staticmethod
    def forward(ctx, logprobs, gradient, loss):
        ctx.save_for_backward(gradient)
        return loss.clone()

    @staticmethod
    def backward(ctx, _):
        return ctx.saved_tensors[0], None, None


class Rewritten:
    """What unsloth makes of GRPOTrainer, as far as we call it: its names and layout, row by row."""

    def rows(self, model, prompt_ids, completion_ids):
        """Row by row: where the completion begins among the places, and its logprobs."""
        pad = self.processing_class.pad_token_id
        num_pads = (prompt_ids == pad).sum(1)
        for pads, prompt, completion in zip(num_pads, prompt_ids, completion_ids, strict=True):
            ids = torch.cat([prompt[prompt != pad], completion[completion != pad]])
            length = int((completion != pad).sum())
            logits = model(input_ids=ids[None]).logits[0, -length - 1 : -1] / self.temperature
            logprobs = logits.float().log_softmax(-1).gather(1, ids[-length:, None])[:, 0]
            yield int(num_pads.max() - pads), logprobs

    def _get_per_token_logps_and_entropies(
        self,
        model,
        input_ids,
        attention_mask,
        logits_to_keep,
        batch_size=None,
        compute_entropy=False,
        compute_efficient=False,
    ):
        prompt_ids, completion_ids = input_ids[:, :-logits_to_keep], input_ids[:, -logits_to_keep:]
        longest = int((prompt_ids == self.processing_class.pad_token_id).sum(1).max())
        with torch.inference_mode():
            packed = torch.full((len(input_ids), logits_to_keep + longest), -7.0)
            for line, (begin, row) in zip(packed, self.rows(model, prompt_ids, completion_ids), strict=True):
                line[begin : begin + len(row)] = row
        return packed, None, None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        assert torch.is_grad_enabled()
        assert self.model is model
        total, clipped, divergence, num_tokens = 0.0, 0.0, 0.0, 0
        rows = list(self.rows(model, inputs["prompt_ids"], inputs["completion_ids"]))
        attached = torch.cat([row for _, row in rows])
        flat = attached.detach().requires_grad_()
        rows = list(zip([begin for begin, _ in rows], flat.split([len(row) for _, row in rows]), strict=True))
        for number, (begin, logprobs) in enumerate(rows):
            places = slice(begin, begin + len(logprobs))
            advantage = inputs["advantages"][number]
            start = inputs["old_per_token_logps"][number, places]
            ratio = (logprobs - start).exp()
            bounded = ratio.clamp(1 - self.epsilon_low, 1 + self.epsilon_high)
            losses = -torch.min(ratio * advantage, bounded * advantage)
            losses = self.weighted(losses, start, inputs["sampling_per_token_logps"][number, : len(logprobs)])
            if self.beta:
                log_ratio = inputs["ref_per_token_logps"][number, places] - logprobs
                k3 = log_ratio.exp() - log_ratio - 1
                losses = losses + self.beta * k3
                divergence += float(k3.detach().mean()) / len(rows)
            total = total + losses.sum() / self.denominator(inputs, len(rows), len(logprobs))
            clipped += float(((bounded - ratio) * advantage.sign() < 0).sum())
            num_tokens += len(logprobs)
        self._metrics["train"]["kl"].append(divergence)
        self._metrics["train"]["clip_ratio/region_mean"].append(clipped / num_tokens)
        (gradient,) = torch.autograd.grad(total * self.accelerator.scaler.get_scale(), flat)
        return Detached.apply(attached, gradient, total.detach())

    def weighted(self, losses, start, sampler):
        return losses * (start - sampler).exp().clamp(max=self.args.vllm_importance_sampling_clip_max)

    def denominator(self, inputs, num_rows, length):
        if self.args.loss_type == "dapo":
            return inputs["num_items_in_batch"]
        tokens = length if self.args.loss_type == "grpo" else self.args.max_completion_length
        return num_rows * tokens * self.current_gradient_accumulation_steps

    def _compute_loss(self, model, inputs):
        raise AssertionError("TRL's own, which unsloth leaves behind")


class Unweighted(Rewritten):
    """Does not mind that the sampler is another."""

    def weighted(self, losses, start, sampler):
        return losses


class Unclipped(Rewritten):
    """Clips no ratio."""

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self.epsilon_low, self.epsilon_high = 1.0, 1e9
        return super().compute_loss(model, inputs)


class Unscaled(Rewritten):
    """Takes the mean of the micro-batch for that of the step."""

    def denominator(self, inputs, num_rows, length):
        return num_rows * length


@pytest.fixture
def make_rewritten(make_policy, monkeypatch):
    """A policy loaded by an unsloth that puts this trainer in place."""

    def make(trainer=Rewritten, **options):
        versions = {"unsloth": "2026.10.6", "unsloth_zoo": "2026.10.6", "trl": "1.16.0"}
        monkeypatch.setattr(unsloth_loss, "version", versions.__getitem__)
        monkeypatch.setattr("trl.trainer.grpo_trainer.GRPOTrainer", trainer)
        policy = make_policy(temperature=TEMPERATURE, **options)
        policy.loader = "unsloth"
        return policy

    return make


CONFIGS = [
    {},
    {"normalization": "sequence", "kl_coef": 0.5},
    {"normalization": "fixed", "micro_batch_tokens": 64},
    {"kl_coef": 0.5, "micro_batch_tokens": 64},
    {"sampler_cap": 1.1},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_the_rewritten_loss_is_fed_so_that_it_has_our_gradient(make_policy, make_rewritten, config):
    policy, other = make_policy(temperature=TEMPERATURE), make_rewritten()
    rollouts, advantages = make_round(policy)
    ours = learned_gradients(policy, rollouts, advantages, **config).flat("shared")
    theirs = learned_gradients(other, rollouts, advantages, engine="trl", **config).flat("shared")
    assert ours.norm() > 0
    assert relative_distance(theirs, ours) < 1e-4


def test_later_updates_of_a_round_are_clipped_alike(make_policy, make_rewritten):
    policy, other = make_policy(temperature=TEMPERATURE), make_rewritten()
    rollouts, advantages = make_round(policy)
    config = {"updates_per_round": 3, "lr": 0.01, "kl_coef": 0.1, "clip_low": 0.1, "clip_high": 0.3}
    ours = learner(policy, **config).update(rollouts, advantages)
    theirs = learner(other, engine="trl", **config).update(rollouts, advantages)
    torch.testing.assert_close(weights(other, "shared"), weights(policy, "shared"), atol=1e-4, rtol=0)
    for name in ("loss", "grad_norm", "clip_fraction"):
        assert theirs[f"learner/shared/{name}"] == pytest.approx(ours[f"learner/shared/{name}"], rel=1e-3)
    assert theirs["learner/shared/kl"] > 0


def test_a_scaled_loss_has_a_scaled_gradient_though_its_backward_pass_ignores_the_scale(make_rewritten):
    policy = make_rewritten()
    subject = learner(policy, engine="trl")
    subject._scalers["shared"] = GradScaler("cpu", init_scale=1024.0)
    rollouts, advantages = make_round(policy)
    scaled = subject.update(rollouts, advantages)
    plain = learner(make_rewritten(), engine="trl").update(rollouts, advantages)
    assert scaled["learner/shared/grad_norm"] == pytest.approx(plain["learner/shared/grad_norm"], rel=1e-4)


def test_entropy_is_the_mean_surprise_at_what_was_sampled(make_rewritten):
    policy = make_rewritten()
    rollouts, advantages = make_round(policy, noise=0.0)
    learnt = learner(policy, engine="trl").update(rollouts, advantages)
    logprobs = [
        logprob
        for rollout, advantage in zip(rollouts, advantages, strict=True)
        for logprob in rollout.completion.sampler_logprobs
        if advantage != 0
    ]
    assert learnt["learner/shared/entropy"] == pytest.approx(-sum(logprobs) / len(logprobs), rel=1e-4)


def test_padding_is_an_id_that_no_sample_uses(make_policy, make_rewritten):
    policy, other = make_policy(temperature=TEMPERATURE), make_rewritten()
    rollouts, advantages = make_round(policy)

    def with_low_ids(rollout):
        """Ids from 0 on, as where the tokenizer pads with the token that ends answers."""
        completion = rollout.completion
        ids = tuple(id_ % 3 for id_ in completion.token_ids)
        return replace(rollout, answer=replace(rollout.answer, completion=replace(completion, token_ids=ids)))

    rollouts = [with_low_ids(rollout) for rollout in rollouts]
    ours = learned_gradients(policy, rollouts, advantages).flat("shared")
    theirs = learned_gradients(other, rollouts, advantages, engine="trl").flat("shared")
    assert relative_distance(theirs, ours) < 1e-4


@pytest.mark.parametrize("trainer", [Unweighted, Unclipped, Unscaled])
def test_a_loss_with_another_gradient_is_refused_before_anything_is_learnt(make_rewritten, trainer):
    policy = make_rewritten(trainer)
    before = weights(policy, "shared")
    rollouts, advantages = make_round(policy, noise=0.0)
    with pytest.raises(ConfigError, match=r"away from the built-in one .* set learner\.engine to builtin"):
        learner(policy, engine="trl").update(rollouts, advantages)
    assert torch.equal(weights(policy, "shared"), before)


def test_two_gradients_are_compared_once_and_leave_nothing_behind(make_rewritten):
    policy = make_rewritten()
    subject = learner(policy, engine="trl")
    calls = []
    trusted = subject._engine._trusted
    accumulate = trusted.accumulate
    trusted.accumulate = lambda *args, **options: calls.append(1) or accumulate(*args, **options)
    for seed in (1, 2):
        subject.update(*make_round(policy, seed=seed))
    assert calls == [1]


def test_another_unsloth_is_refused_by_name():
    check_unsloth("2026.10.5", "2026.10.6", "1.16.0", Rewritten)
    for version in ("2026.10.4", "2026.10.7"):
        with pytest.raises(ConfigError, match=rf"this is {version} .* set learner\.engine to builtin"):
            check_unsloth(version, "2026.10.6", "1.16.0", Rewritten)
        with pytest.raises(ConfigError, match=rf"with unsloth_zoo {version}"):
            check_unsloth("2026.10.6", version, "1.16.0", Rewritten)


def test_a_trainer_that_unsloth_failed_to_rewrite_is_refused():
    from trl.trainer.grpo_trainer import GRPOTrainer

    with pytest.raises(ConfigError, match=r"GRPOTrainer\._get_per_token_logps_and_entropies is not what"):
        check_unsloth("2026.10.6", "2026.10.6", "1.16.0", GRPOTrainer)
    with pytest.raises(ConfigError, match=r"this is trl 1\.14\.0"):
        check_unsloth("2026.10.6", "2026.10.6", "1.14.0", Rewritten)


@pytest.mark.parametrize("options", [{"ratio": "sequence"}, {"entropy_coef": 0.1}, {"clip_delta": 2.0}])
def test_an_option_that_unsloths_loss_lacks_is_refused(options):
    from tinyzero.config import LearnerConfig

    [name] = options
    with pytest.raises(ConfigError, match=f"learner.{name} is not in unsloth's loss"):
        refuse_options(LearnerConfig(**options))
