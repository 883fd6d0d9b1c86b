"""The engine of TRL: the loss of its GRPOTrainer, fed with our rollouts.

Of the trainer only the method that computes the loss is used. It has no data, no sampler and no optimizer,
and cannot train by itself. TRL names our normalizations differently: see `LOSS_TYPES`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from tinyzero.config import LearnerConfig
from tinyzero.errors import ConfigError
from tinyzero.learning.batch import Sample
from tinyzero.learning.engine import Part
from tinyzero.policy import Policy

LOSS_TYPES = {"token": "dapo", "sequence": "grpo", "fixed": "dr_grpo"}
_OLDEST, _TOO_NEW = (1, 15), (1, 17)
_SIGNATURES = {
    "_compute_loss": ["self", "model", "inputs"],
    "_get_per_token_logps_and_entropies": ["self", "model", "input_ids", "attention_mask", "logits_to_keep"],
}
_BUILTIN = "or set learner.engine to builtin"


class TrlEngine:
    """Micro-batches of one role, a row per completion, prompts padded on the left as TRL has it."""

    def __init__(self, policy: Policy, config: LearnerConfig) -> None:
        """Take GRPOTrainer's loss over.

        Raises:
            ConfigError: the installed trl is not one whose loss we know, or unsloth has rewritten it.
        """
        from trl.trainer.grpo_trainer import GRPOTrainer

        check_trl(version("trl"), GRPOTrainer)
        if policy.loader == "unsloth":
            raise ConfigError(
                "learner.engine is trl, but unsloth replaces its loss by one that was never compared with "
                f"ours; set model.loader to transformers, {_BUILTIN}"
            )
        self._policy = policy
        self._config = config
        self._model = policy.model.get_base_model()
        self._trainer = _make_trainer(self._model, config, policy)

    def accumulate(
        self,
        parts: Sequence[Part],
        starts: dict[Sample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `Engine`."""
        loss, measured = 0.0, _Means()
        for part in parts:
            for samples in _micro_batches(part.samples, max_tokens):
                batch_loss = self._loss(part, samples, starts, measured)
                scale(batch_loss).backward()  # type: ignore[no-untyped-call]
                loss += float(batch_loss.detach())
        return loss, measured.result()

    def _loss(
        self, part: Part, samples: Sequence[Sample], starts: dict[Sample, Tensor], measured: "_Means"
    ) -> Tensor:
        """Loss of one micro-batch, as a summand of the loss of the whole step."""
        inputs = self._inputs(part, samples)
        if any(sample not in starts for sample in samples):
            logprobs = self._logprobs(inputs)
            starts.update(
                (sample, row[: len(sample.token_ids)]) for sample, row in zip(samples, logprobs, strict=True)
            )
        start_logprobs = _pad_right([starts[sample] for sample in samples])  # [B, T]
        gap = (start_logprobs - inputs.pop("sampler_logprobs")) * inputs["completion_mask"]
        inputs["old_per_token_logps"] = start_logprobs
        inputs["importance_sampling_ratio"] = gap.exp().clamp(max=self._config.sampler_cap)
        if self._config.kl_coef > 0:
            with self._policy.reference():
                inputs["ref_per_token_logps"] = self._logprobs(inputs)
        self._set_mean(part, len(samples))
        loss: Tensor = self._trainer._compute_loss(self._model, inputs)
        measured.add(self._take_metrics(), gap, int(inputs["completion_mask"].sum()))
        return loss

    def _inputs(self, part: Part, samples: Sequence[Sample]) -> dict[str, Tensor]:
        """What the loss reads, P prompt places and T completion places wide, and the `sampler_logprobs`."""
        prompts = [torch.tensor(sample.prompt_ids) for sample in samples]
        completions = [torch.tensor(sample.token_ids) for sample in samples]
        inputs = {
            "prompt_ids": _pad_left(prompts),  # [B, P]
            "prompt_mask": _pad_left([torch.ones_like(prompt) for prompt in prompts]),
            "completion_ids": _pad_right(completions),  # [B, T]
            "completion_mask": _pad_right([torch.ones_like(completion) for completion in completions]),
            "sampler_logprobs": _pad_right([torch.tensor(sample.sampler_logprobs) for sample in samples]),
            "advantages": torch.tensor([sample.advantage for sample in samples]),  # [B]
            "num_items_in_batch": torch.tensor(float(part.num_tokens)),
        }
        return {name: values.to(self._policy.device) for name, values in inputs.items()}

    @torch.no_grad()
    def _logprobs(self, inputs: dict[str, Tensor]) -> Tensor:
        """[B, T] of the policy as it is worn."""
        logprobs: Tensor = self._trainer._get_per_token_logps_and_entropies(
            self._model,
            torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], dim=1),
            torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], dim=1),
            inputs["completion_ids"].shape[1],
        )[0]
        return logprobs

    def _set_mean(self, part: Part, num_rows: int) -> None:
        """Make the micro-batch's loss a summand of the step's.

        TRL takes the mean over the micro-batch, and divides by how many of that size make a step. Only dapo
        divides by the tokens of the whole step, which `num_items_in_batch` says.
        """
        is_by_token = self._trainer.loss_type == "dapo"
        self._trainer.current_gradient_accumulation_steps = 1 if is_by_token else part.num_rollouts / num_rows
        self._trainer.max_completion_length = part.budget

    def _take_metrics(self) -> dict[str, float]:
        """TRL's metrics of the last loss, under our names."""
        names = {"entropy": "entropy", "clip_ratio/region_mean": "clip_fraction", "kl": "kl"}
        logged = self._trainer._metrics.pop("train")
        return {ours: logged[theirs][0] for theirs, ours in names.items() if theirs in logged}


def check_trl(trl_version: str, trainer: Any) -> None:  # noqa: ANN401  (a class of TRL, which has no types)
    """Only a trl whose private methods are the ones that we call.

    Raises:
        ConfigError: it is another.
    """
    major, minor = map(int, trl_version.split(".")[:2])
    if not _OLDEST <= (major, minor) < _TOO_NEW:
        problem = "which is written for trl 1.15 and 1.16"
    elif changed := [
        name for name, expected in _SIGNATURES.items() if _arguments(trainer, name, len(expected)) != expected
    ]:
        problem = f"and its GRPOTrainer.{changed[0]} is not the one of trl 1.15 and 1.16"
    else:
        return
    raise ConfigError(
        f"learner.engine is trl, {problem}; this is trl {trl_version}: pip install 'trl>=1.15,<1.17', "
        f"{_BUILTIN}"
    )


def _arguments(trainer: Any, method: str, count: int) -> list[str]:  # noqa: ANN401
    found = getattr(trainer, method, None)
    return [] if found is None else list(signature(found).parameters)[:count]


def _make_trainer(model: Any, config: LearnerConfig, policy: Policy) -> Any:  # noqa: ANN401
    """As much of a GRPOTrainer as its loss reads."""
    from accelerate import Accelerator
    from trl.trainer.grpo_config import GRPOConfig
    from trl.trainer.grpo_trainer import GRPOTrainer

    is_cpu = policy.device.type == "cpu"
    args = GRPOConfig(
        output_dir="unused",  # nothing is written
        loss_type=LOSS_TYPES[config.normalization],
        epsilon=config.clip_low,
        epsilon_high=config.clip_high,
        beta=config.kl_coef,
        use_bias_correction_kl=False,  # GRPO's own KL term (arXiv:2402.03300 eq. 4), as ours is
        temperature=policy.temperature,
        use_cpu=is_cpu,
        bf16=False,  # the model computes in its own type
        gradient_checkpointing=None,  # type: ignore[arg-type]  # the policy's affair
        report_to=[],
    )
    trainer = GRPOTrainer.__new__(GRPOTrainer)
    trainer.args, trainer.model = args, model
    trainer.accelerator = Accelerator(cpu=is_cpu)
    trainer.loss_type, trainer.beta = args.loss_type, args.beta
    trainer.epsilon_low, trainer.epsilon_high = config.clip_low, config.clip_high
    trainer.importance_sampling_level = args.importance_sampling_level
    trainer.top_entropy_quantile = args.top_entropy_quantile
    trainer.off_policy_mask_threshold = args.off_policy_mask_threshold
    # Its name for a sampler whose logprobs differ a little from the policy's: we give the weights ourselves.
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = True
    trainer.aux_loss_enabled = trainer._entropy_bonus_enabled = False
    trainer._metrics = defaultdict(lambda: defaultdict(list))
    return trainer


def _micro_batches(samples: Sequence[Sample], max_tokens: int) -> Iterator[list[Sample]]:
    """All samples, in batches of at most `max_tokens` padded tokens; more only where one sample has more."""
    batch: list[Sample] = []
    for sample in sorted(samples, key=lambda sample: len(sample.prompt_ids) + len(sample.token_ids)):
        if batch and _padded_tokens([*batch, sample]) > max_tokens:
            yield batch
            batch = []
        batch.append(sample)
    yield batch


def _padded_tokens(samples: Sequence[Sample]) -> int:
    width = max(len(sample.prompt_ids) for sample in samples) + max(
        len(sample.token_ids) for sample in samples
    )
    return len(samples) * width


def _pad_right(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _pad_left(rows: Sequence[Tensor]) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_side="left")


class _Means:
    """Means over the tokens of a step, of what its micro-batches tell."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._num_tokens = 0
        self._gap_max = 0.0

    def add(self, means: dict[str, float], gap: Tensor, num_tokens: int) -> None:
        for name, value in {**means, "sampler_gap_mean": float(gap.abs().sum()) / num_tokens}.items():
            self._sums[name] += value * num_tokens
        self._num_tokens += num_tokens
        self._gap_max = max(self._gap_max, float(gap.abs().max()))

    def result(self) -> dict[str, float]:
        means = {name: total / self._num_tokens for name, total in self._sums.items()}
        return {**means, "sampler_gap_max": self._gap_max}
