"""The loss of TRL's GRPOTrainer, called without training.

Only the trainer's loss methods are used. It has no data, no sampler and no optimizer,
and cannot train. TRL has other names for the normalizations: see `LOSS_TYPES`.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from importlib.metadata import version
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from tinyzero.config import SettledLearner
from tinyzero.errors import ConfigError
from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import RolePart
from tinyzero.policy.policy import Policy

LOSS_TYPES = {"token": "dapo", "sequence": "grpo", "fixed": "dr_grpo"}
BUILTIN = "or set learner.engine to builtin"
_OLDEST, _TOO_NEW = (1, 15), (1, 17)
_SIGNATURES = {
    "_compute_loss": ["self", "model", "inputs"],
    "_get_per_token_logps_and_entropies": ["self", "model", "input_ids", "attention_mask", "logits_to_keep"],
}


class TrlLoss:
    """See `TrainerLoss`. B samples, with P prompt places, padded on the left, and T completion places."""

    def __init__(self, policy: Policy, config: SettledLearner) -> None:
        """Set up the loss.

        Raises:
            ConfigError: the loss of the installed trl version is not supported.
        """
        from trl.trainer.grpo_trainer import GRPOTrainer

        check_trl(version("trl"), GRPOTrainer)
        self._policy = policy
        self._config = config
        self._model = policy.model.get_base_model()
        self._trainer = _make_trainer(self._model, config, policy)

    @torch.no_grad()
    def logprobs(self, samples: Sequence[TrainingSample]) -> list[Tensor]:
        """See `TrainerLoss`."""
        inputs = self._inputs(samples)
        logprobs: Tensor = self._trainer._get_per_token_logps_and_entropies(
            self._model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            inputs["completion_ids"].shape[1],
        )[0]  # [B, T]
        return [row[: len(sample.token_ids)] for row, sample in zip(logprobs, samples, strict=True)]

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
        start_logprobs = pad_right(starts)
        sampler_logprobs = pad_right([torch.tensor(sample.sampler_logprobs) for sample in samples])
        gap = (start_logprobs - sampler_logprobs.to(start_logprobs.device)) * inputs["completion_mask"]
        inputs["old_per_token_logps"] = start_logprobs
        inputs["importance_sampling_ratio"] = gap.exp().clamp(max=self._config.sampler_cap)
        if references is not None:
            inputs["ref_per_token_logps"] = pad_right(references)
        inputs["num_items_in_batch"] = torch.tensor(float(part.num_tokens), device=self._policy.device)
        self._trainer.current_gradient_accumulation_steps = num_summands(part, samples, self._config)
        self._trainer.max_completion_length = part.budget
        # TRL means the entropy over a micro-batch, and divides by the number of them: here, over the role.
        share = sum(len(sample.token_ids) for sample in samples) / part.num_tokens
        self._trainer.entropy_coef = self._config.entropy_coef * share
        loss: Tensor = self._trainer._compute_loss(self._model, inputs)
        scale(loss).backward()  # type: ignore[no-untyped-call]
        return float(loss.detach()), self._take_measures()

    def _inputs(self, samples: Sequence[TrainingSample]) -> dict[str, Tensor]:
        """The samples in TRL's format."""
        prompts = [torch.tensor(sample.prompt_ids) for sample in samples]
        completions = [torch.tensor(sample.token_ids) for sample in samples]
        inputs = {
            "prompt_ids": _pad_left(prompts),  # [B, P]
            "prompt_mask": _pad_left([torch.ones_like(prompt) for prompt in prompts]),
            "completion_ids": pad_right(completions),  # [B, T]
            "completion_mask": pad_right([torch.ones_like(completion) for completion in completions]),
            "advantages": torch.tensor([sample.advantage for sample in samples]),  # [B]
        }
        return {name: values.to(self._policy.device) for name, values in inputs.items()}

    def _take_measures(self) -> dict[str, float]:
        """TRL's metrics of the last loss, under TinyZero's names."""
        names = {"entropy": "entropy", "clip_ratio/region_mean": "clip_fraction", "kl": "kl"}
        logged = self._trainer._metrics.pop("train")
        return {ours: logged[theirs][0] for theirs, ours in names.items() if theirs in logged}


def check_trl(trl_version: str, trainer: Any) -> None:  # noqa: ANN401  (a class of TRL, which has no types)
    """Check that this trl has the private methods that this module calls.

    Raises:
        ConfigError: it has not.
    """
    major, minor = map(int, trl_version.split(".")[:2])
    if not _OLDEST <= (major, minor) < _TOO_NEW:
        problem = "which is written for trl 1.15 and 1.16"
    elif changed := changed_method(trainer, _SIGNATURES):
        problem = f"and its GRPOTrainer.{changed} is not the one of trl 1.15 and 1.16"
    else:
        return
    raise ConfigError(
        f"learner.engine is trl, {problem}; this is trl {trl_version}: pip install 'trl>=1.15,<1.17', "
        f"{BUILTIN}"
    )


def changed_method(trainer: Any, signatures: dict[str, list[str]]) -> str:  # noqa: ANN401
    """The first method whose first parameters differ from those listed; "" if none."""
    for name, expected in signatures.items():
        method = getattr(trainer, name, None)
        if method is None or list(signature(method).parameters)[: len(expected)] != expected:
            return name
    return ""


def num_summands(part: RolePart, samples: Sequence[TrainingSample], config: SettledLearner) -> float:
    """The number of micro-batches of this size in a step. TRL divides the mean of a micro-batch by it.

    Only dapo divides by the tokens of the complete step instead, which it gets as an input.
    """
    return 1.0 if LOSS_TYPES[config.normalization] == "dapo" else part.num_rollouts / len(samples)


def _make_trainer(model: Any, config: SettledLearner, policy: Policy) -> Any:  # noqa: ANN401
    """A GRPOTrainer with only the attributes that its loss reads."""
    from accelerate import Accelerator
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    is_cpu = policy.device.type == "cpu"
    is_cispo = config.objective == "cispo"
    clip_high = config.clip_high + (1 if is_cispo else 0)  # there, TRL's is the limit itself
    args = GRPOConfig(
        output_dir="unused",  # nothing is written
        loss_type="cispo" if is_cispo else LOSS_TYPES[config.normalization],
        epsilon=config.clip_low,
        epsilon_high=clip_high,
        delta=config.clip_delta,
        importance_sampling_level=config.ratio,
        beta=config.kl_coef,
        use_bias_correction_kl=False,  # the KL term of GRPO (arXiv:2402.03300 eq. 4), like ours
        temperature=policy.temperature,
        use_cpu=is_cpu,
        bf16=False,  # the model computes in its own type
        gradient_checkpointing=None,  # type: ignore[arg-type]  # the policy handles this
        report_to=[],
    )
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer.args, trainer.model = args, model
    trainer.accelerator = Accelerator(cpu=is_cpu)
    trainer.loss_type, trainer.beta = args.loss_type, args.beta
    trainer.epsilon_low, trainer.epsilon_high = config.clip_low, clip_high
    trainer.importance_sampling_level = args.importance_sampling_level
    trainer.top_entropy_quantile = args.top_entropy_quantile
    trainer.off_policy_mask_threshold = args.off_policy_mask_threshold
    # TRL's option for samplers whose logprobs differ slightly from the policy's: we pass the weights.
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.aux_loss_enabled = trainer.use_adaptive_entropy = False
    trainer._entropy_bonus_enabled = config.entropy_coef > 0
    trainer._metrics = defaultdict(lambda: defaultdict(list))
    return trainer


def pad_right(rows: Sequence[Tensor]) -> Tensor:
    """[B, T] from B rows of at most T, padded with zeros."""
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _pad_left(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_side="left")
