"""The loss with which unsloth replaces that of TRL's GRPOTrainer.

It reads other inputs (according to the source of unsloth 2026.10.5 and 2026.10.6):

- Masks are recomputed from the ids: every id equal to the padding id is padding. We use a padding id that the
  samples do not contain, since the tokenizer's own padding id may end an answer.
- Rows are packed to the left. Logprobs have T + L places, where L is the length of the longest prompt minus
  that of the shortest: a completion starts at its prompt's length minus the shortest length.
- It computes the ratio to the sampler itself, from the sampler's logprobs.
- Its backward pass ignores any later scaling of the loss. It takes the scale from the
  accelerator's gradient scaler beforehand.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import version
from itertools import count
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from tinyzero.config import LearnerConfig, SettledLearner
from tinyzero.errors import ConfigError
from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import RolePart
from tinyzero.learning.trl_loss import (
    BUILTIN,
    LOSS_TYPES,
    changed_method,
    check_trl,
    num_summands,
    pad_right,
)
from tinyzero.policy.policy import Policy

_VERSIONS = ("2026.10.5", "2026.10.6")
_LOGPROBS = "_get_per_token_logps_and_entropies"
_SIGNATURES = {
    "compute_loss": ["self", "model", "inputs", "return_outputs", "num_items_in_batch"],
    _LOGPROBS: [
        *("self", "model", "input_ids", "attention_mask", "logits_to_keep"),
        *("batch_size", "compute_entropy", "compute_efficient"),
    ],
}


class UnslothLoss:
    """See `TrainerLoss`. B samples, with P prompt places, padded on the left, and T completion places."""

    def __init__(self, policy: Policy, config: SettledLearner) -> None:
        """Set up the loss.

        Raises:
            ConfigError: the loss of the installed trl or unsloth version is not supported, or it lacks an
                option.
        """
        from trl.trainer.grpo_trainer import GRPOTrainer

        refuse_options(config)
        check_unsloth(version("unsloth"), version("unsloth_zoo"), version("trl"), GRPOTrainer)
        self._policy = policy
        self._config = config
        self._model = policy.model.get_base_model()
        self._trainer = _make_trainer(GRPOTrainer, self._model, config, policy)

    def logprobs(self, samples: Sequence[TrainingSample]) -> list[Tensor]:
        """See `TrainerLoss`."""
        inputs = self._inputs(samples)
        packed = getattr(self._trainer, _LOGPROBS)(
            self._model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            inputs["completion_ids"].shape[1],
        )[0]  # [B, T + L]
        # A copy, since autograd cannot save an inference tensor.
        return [
            row[begin : begin + len(sample.token_ids)].clone()
            for row, begin, sample in zip(packed, _beginnings(samples), samples, strict=True)
        ]

    def backward(
        self,
        part: RolePart,
        samples: Sequence[TrainingSample],
        starts: Sequence[Tensor],
        references: Sequence[Tensor] | None,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `TrainerLoss`."""
        inputs = self._inputs(samples)
        inputs["old_per_token_logps"] = _packed(starts, samples)
        if references is not None:
            inputs["ref_per_token_logps"] = _packed(references, samples)
        inputs["num_items_in_batch"] = torch.tensor(float(part.num_tokens), device=self._policy.device)
        trainer = self._trainer
        trainer.current_gradient_accumulation_steps = num_summands(part, samples, self._config)
        trainer.args.max_completion_length = part.budget
        factor = float(scale(torch.ones((), device=self._policy.device)))
        trainer.accelerator.scaler = SimpleNamespace(get_scale=lambda: factor)
        trainer._metrics = {"train": defaultdict(list)}
        loss: Tensor = trainer.compute_loss(self._model, inputs)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), self._measures(starts)

    def _inputs(self, samples: Sequence[TrainingSample]) -> dict[str, Tensor]:
        """The samples in the trainer's format, with the padding id that it gets."""
        pad = _unused_id(samples)
        self._trainer.processing_class.pad_token_id = pad
        prompts = [torch.tensor(sample.prompt_ids) for sample in samples]
        completions = [torch.tensor(sample.token_ids) for sample in samples]
        fill = torch.nn.utils.rnn.pad_sequence
        prompt_ids = fill(prompts, batch_first=True, padding_value=pad, padding_side="left")  # [B, P]
        completion_ids = fill(completions, batch_first=True, padding_value=pad)  # [B, T]
        inputs = {
            "prompt_ids": prompt_ids,
            "prompt_mask": (prompt_ids != pad).long(),
            "completion_ids": completion_ids,
            "completion_mask": (completion_ids != pad).long(),
            "sampling_per_token_logps": pad_right(
                [torch.tensor(sample.sampler_logprobs) for sample in samples]
            ),  # [B, T]
            "advantages": torch.tensor([sample.advantage for sample in samples]),  # [B]
        }
        return {name: values.to(self._policy.device) for name, values in inputs.items()}

    def _measures(self, starts: Sequence[Tensor]) -> dict[str, float]:
        """Unsloth's metrics of the last loss, under TinyZero's names.

        It computes no entropy. The mean surprise of the sampled tokens is an unbiased estimate.
        """
        logged = self._trainer._metrics["train"]
        measures = {
            "entropy": -float(torch.cat(list(starts)).mean()),
            "clip_fraction": float(logged["clip_ratio/region_mean"][0]),
        }
        if self._config.kl_coef > 0:
            measures["kl"] = float(logged["kl"][0])
        return measures


def check_unsloth(unsloth: str, zoo: str, trl: str, trainer: Any) -> None:  # noqa: ANN401
    """Check that this unsloth version is supported and has replaced the trainer's loss.

    Args:
        unsloth, zoo, trl: versions of unsloth, unsloth_zoo and trl.
        trainer: the class in place of TRL's GRPOTrainer.

    Raises:
        ConfigError: it is another version, or unsloth has failed to rewrite this trl.
    """
    known = " and ".join(_VERSIONS)
    if unsloth not in _VERSIONS or zoo not in _VERSIONS:
        problem = f"which under unsloth is written for {known}, and this is {unsloth} with unsloth_zoo {zoo}"
    elif changed := changed_method(trainer, _SIGNATURES):
        problem = f"and GRPOTrainer.{changed} is not what unsloth {known} makes of it"
    else:
        check_trl(trl, trainer)
        return
    raise ConfigError(
        f"learner.engine is trl, {problem}; pip install 'unsloth=={_VERSIONS[-1]}' "
        f"'unsloth_zoo=={_VERSIONS[-1]}' 'trl>=1.15,<1.17', {BUILTIN}"
    )


def _make_trainer(trainer_class: Any, model: Any, config: SettledLearner, policy: Policy) -> Any:  # noqa: ANN401
    """The rewritten trainer with only what its loss reads, since its config changes the environment."""
    trainer = trainer_class.__new__(trainer_class)
    trainer.model = model
    trainer.args = SimpleNamespace(
        loss_type=LOSS_TYPES[config.normalization],
        temperature=policy.temperature,
        delta=None,
        use_bias_correction_kl=False,  # the KL term of GRPO (arXiv:2402.03300 eq. 4), like ours
        off_policy_mask_threshold=None,
        vllm_importance_sampling_mode="token_truncate",
        vllm_importance_sampling_clip_min=None,
        vllm_importance_sampling_clip_max=config.sampler_cap,
        steps_per_generation=None,
        unsloth_num_chunks=-1,
        unsloth_grpo_mini_batch=1,  # a count: we already pass a micro-batch
        unsloth_logit_chunk_multiplier=None,
    )
    trainer.loss_type, trainer.beta = trainer.args.loss_type, config.kl_coef
    trainer.epsilon_low, trainer.epsilon_high = config.clip_low, config.clip_high
    trainer.temperature, trainer.importance_sampling_level = policy.temperature, "token"
    # The option for samplers whose logprobs differ slightly from the policy's.
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.control = SimpleNamespace(should_evaluate=False)
    trainer.processing_class = SimpleNamespace(pad_token_id=0)
    # The model computes in its own type, as for the built-in loss.
    trainer._autocast_enabled, trainer._autocast_dtype = False, policy.dtype
    trainer.accelerator = SimpleNamespace(
        num_processes=1, gather=lambda values: values, unwrap_model=lambda model, **_: model
    )
    # A single row with all completions would need kernels that separate them. Unsloth accepts those kernels
    # up to a difference of 0.7 nats; TinyZero does not.
    model._unsloth_seq_packing_grad_ok = model._unsloth_seq_packing_nograd_ok = False
    return trainer


def _unused_id(samples: Sequence[TrainingSample]) -> int:
    used = {id_ for sample in samples for id_ in (*sample.prompt_ids, *sample.token_ids)}
    return next(id_ for id_ in count() if id_ not in used)


def _beginnings(samples: Sequence[TrainingSample]) -> list[int]:
    """The start of each completion in the T + L places."""
    shortest = min(len(sample.prompt_ids) for sample in samples)
    return [len(sample.prompt_ids) - shortest for sample in samples]


def _packed(rows: Sequence[Tensor], samples: Sequence[TrainingSample]) -> Tensor:
    """[B, T + L], each row placed at its completion's start, with zeros elsewhere."""
    begins = _beginnings(samples)
    width = max(map(len, rows)) + max(begins)
    packed = rows[0].new_zeros(len(rows), width)
    for line, begin, row in zip(packed, begins, rows, strict=True):
        line[begin : begin + len(row)] = row
    return packed


def refuse_options(config: LearnerConfig) -> None:
    """Raise ConfigError for an option of the loss that unsloth's replacement was never compared with."""
    defaults = LearnerConfig()
    options = ("clip_delta", "ratio", "objective", "entropy_coef")
    changed = [name for name in options if getattr(config, name) != getattr(defaults, name)]
    if changed:
        raise ConfigError(f"learner.{changed[0]} is not in unsloth's loss; leave it out, {BUILTIN}")
