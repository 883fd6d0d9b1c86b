"""Takes one optimizer step per adapter and update, on the rollouts that the adapter wrote."""

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from tinyzero.config import SettledLearner
from tinyzero.errors import CheckpointError, ConfigError, NotFinite, OutOfMemory
from tinyzero.learning.agreement import CheckedEngine
from tinyzero.learning.batch import TrainingSample, check_behaviour
from tinyzero.learning.engine import BuiltinEngine, LossEngine, RolePart
from tinyzero.learning.objective import token_weights
from tinyzero.learning.optimizers import make_optimizer, read_state, write_state
from tinyzero.learning.skips import Skips, unusable_rollout, unusable_update
from tinyzero.learning.trl_engine import TrlEngine
from tinyzero.policy.policy import Policy
from tinyzero.policy.soundness import weight_not_finite, why_not_finite
from tinyzero.policy.vacating import Move, move_optimizer
from tinyzero.types import Completion, Role, Rollout

_logger = logging.getLogger(__name__)


class LoraLearner:
    """AdamW on the LoRA weights. The base model never changes."""

    def __init__(
        self,
        policy: Policy,
        config: SettledLearner,
        temperature: float,
        *,
        completion_budgets: Mapping[Role, int] | None = None,
        total_rounds: int | None = None,
        spread: Callable[[LossEngine], LossEngine] = lambda engine: engine,
    ) -> None:
        """Create a learner at the start of a run.

        Args:
            temperature: temperature of the rollouts; the policy's fused LM head must score at the same one.
            completion_budgets: maximum tokens of a completion, by role; for normalization = "fixed".
            total_rounds: rounds of the complete run; for schedule = "linear".
            spread: puts an engine over several processes in the engine's place.
        """
        if temperature != policy.temperature:
            raise ConfigError(
                f"samples of temperature {temperature} meet a policy that scores at {policy.temperature}; "
                "load it with the temperature of its samples"
            )
        if config.normalization == "fixed" and completion_budgets is None:
            raise ConfigError('learner.normalization = "fixed" needs the completion budget of each role')
        if config.schedule == "linear" and total_rounds is None:
            raise ConfigError('learner.schedule = "linear" needs the number of rounds')
        self._policy = policy
        self._config = config
        self._total_rounds = total_rounds or 1
        self._rounds = 0
        self._lr_scale = 1.0
        self._skips = Skips()
        self._budgets = dict(completion_budgets or {})
        self._max_tokens = config.micro_batch_tokens
        self._engine = spread(_make_engine(policy, config))
        self._optimizers = {
            adapter: make_optimizer(config.optimizer, policy.trainable_parameters(adapter), lr=config.lr)
            for adapter in policy.adapters
        }
        # Gradients of float16 activations underflow without loss scaling. For other types the scaler is off.
        is_half = policy.dtype is torch.float16
        self._scalers = {
            adapter: torch.amp.GradScaler(policy.device.type, enabled=is_half) for adapter in policy.adapters
        }

    def update(self, rollouts: Sequence[Rollout], advantages: Sequence[float]) -> dict[str, float]:
        """Learn from a round. Completions of the base model (frozen roles) are ignored.

        Returns:
            `learner/<adapter>/<measure>` for every adapter that played.

        Raises:
            OutOfMemory: a single rollout is too long for the device.
            NotFinite: a weight is NaN or infinite, or the third step in a row had no finite gradient.
        """
        metrics: dict[str, float] = {}
        self._set_lr()
        for adapter in self._policy.adapters:
            own = [
                (rollout, advantage)
                for rollout, advantage in zip(rollouts, advantages, strict=True)
                if rollout.completion.adapter == adapter and rollout.completion.token_ids
            ]
            if own:
                learned = self._update_adapter(adapter, own)
                metrics |= {f"learner/{adapter}/{name}": value for name, value in learned.items()}
        self._rounds += 1
        return metrics

    def _set_lr(self) -> None:
        config = self._config
        factor = lr_factor(
            self._rounds, config.schedule, warmup=config.warmup_steps, total=self._total_rounds
        )
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = config.lr * factor * self._lr_scale

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate of all later updates, also after a resume."""
        self._lr_scale *= factor

    def move(self, move: Move) -> None:
        """See `Movable`. AdamW's own count of steps lies in main memory, and stays there."""
        for optimizer in self._optimizers.values():
            move_optimizer(optimizer, move)

    def save(self, folder: Path) -> None:
        """Write the optimizers' state. The policy saves the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        values = {
            "optimizer": self._config.optimizer,
            "scalers": {name: scaler.state_dict() for name, scaler in self._scalers.items()},
            "max_tokens": self._max_tokens,
            "rounds": self._rounds,
            "lr_scale": self._lr_scale,
        }
        write_state(folder, self._optimizers, self._weight_names(), values)

    def load(self, folder: Path) -> None:
        """Continue with saved optimizers, bit for bit.

        Raises:
            CheckpointError: there is no readable state, or it belongs to other adapters or another optimizer.
        """
        state = read_state(folder, self._optimizers, self._weight_names(), self._policy.device)
        try:
            self._check_optimizer(folder, state["optimizer"])
            for adapter, optimizer in self._optimizers.items():
                optimizer.load_state_dict(state["optimizers"][adapter])
                self._scalers[adapter].load_state_dict(state["scalers"][adapter])
            self._max_tokens = state["max_tokens"]
            self._rounds = state["rounds"]
            self._lr_scale = float(state.get("lr_scale", 1.0))
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(f"cannot read the optimizers in {folder}: {reason}") from error

    def _weight_names(self) -> dict[str, list[str]]:
        return {adapter: list(self._policy.named_weights(adapter)) for adapter in self._optimizers}

    def _check_optimizer(self, folder: Path, saved: str) -> None:
        """Raise if the saved optimizer differs: 8-bit and 32-bit moments are not compatible."""
        optimizer = self._config.optimizer
        if saved != optimizer:
            raise CheckpointError(
                f"{folder} holds the state of {saved}, and this run would go on with {optimizer}; "
                f"resume with learner.optimizer = {saved}"
            )

    def _update_adapter(self, adapter: str, own: Sequence[tuple[Rollout, float]]) -> dict[str, float]:
        check_behaviour([rollout for rollout, _ in own], self._policy.temperature)
        parts, why = self._parts(own), unusable_rollout(own)
        updates: list[dict[str, float]] = []
        if why:
            updates = [{"skipped": 1.0}]
        elif parts:
            self._policy.wear(adapter)
            starts: dict[TrainingSample, Tensor] = {}
            with self._training():
                made = [self._step(adapter, parts, starts) for _ in range(self._config.updates_per_round)]
            updates = [measured for measured, _ in made]
            why = made[-1][1] if all(why for _, why in made) else ""
        if updates:
            self._skips.note(adapter, why)
        return {
            **_summary(updates),
            "tokens": float(sum(len(rollout.completion.token_ids) for rollout, _ in own)),
            "lr": float(self._optimizers[adapter].param_groups[0]["lr"]),
            "micro_batch_tokens": float(self._max_tokens),
        }

    def _parts(self, own: Sequence[tuple[Rollout, float]]) -> list[RolePart]:
        by_role: dict[Role, list[tuple[Completion, float]]] = {}
        for rollout, advantage in own:
            by_role.setdefault(rollout.role, []).append((rollout.completion, advantage))
        parts = [self._part(role, played) for role, played in by_role.items()]
        return [part for part in parts if part.samples]

    def _part(self, role: Role, played: Sequence[tuple[Completion, float]]) -> RolePart:
        """The completions with a gradient. A rollout with advantage 0 still counts in the mean."""
        is_masked = [self._config.mask_truncated and completion.is_truncated for completion, _ in played]
        lengths = [
            0 if mask else len(item.token_ids) for (item, _), mask in zip(played, is_masked, strict=True)
        ]
        budget = self._budgets.get(role, 0)
        has_other_terms = self._config.kl_coef > 0 or self._config.entropy_coef > 0
        weights = token_weights(lengths, self._config.normalization, budget)
        samples = tuple(
            TrainingSample(
                prompt_ids=completion.prompt_ids,
                token_ids=completion.token_ids,
                sampler_logprobs=completion.sampler_logprobs,
                advantage=advantage,
                weight=weight,
            )
            for (completion, advantage), weight, length in zip(played, weights, lengths, strict=True)
            if length and (advantage != 0 or has_other_terms)
        )
        return RolePart(samples=samples, num_rollouts=len(played), num_tokens=sum(lengths), budget=budget)

    def _step(
        self, adapter: str, parts: Sequence[RolePart], starts: dict[TrainingSample, Tensor]
    ) -> tuple[dict[str, float], str]:
        """One optimizer step on all samples.

        Args:
            starts: policy logprobs of each sample at the round's start; the first step sets them.

        Returns:
            Its measures, and why it was skipped: empty if it was not, or only to find a loss scale.
        """
        loss, measured = self._accumulate(adapter, parts, starts)
        optimizer, scaler = self._optimizers[adapter], self._scalers[adapter]
        scaler.unscale_(optimizer)
        parameters = self._policy.trainable_parameters(adapter)
        grad_norm = float(torch.nn.utils.clip_grad_norm_(parameters, self._config.max_grad_norm))
        why = unusable_update(loss, grad_norm)
        if not why:
            scaler.step(optimizer)
            self._policy.versions[adapter] += 1
        elif weight_not_finite(self._policy.model) is not None:  # it will not become finite again
            raise NotFinite(f"{why}: {why_not_finite(self._policy.model)}")
        is_scaling = math.isfinite(loss) and scaler.is_enabled() and scaler.get_scale() > 1
        scaler.update()
        optimizer.zero_grad()
        figures = {"loss": loss, "grad_norm": grad_norm, "skipped": float(bool(why))}
        largest = self._largest_weight(adapter, parameters)
        return {**figures, "weight_max": largest, **measured}, "" if is_scaling else why

    def _largest_weight(self, adapter: str, parameters: Sequence[torch.nn.Parameter]) -> float:
        """The largest absolute value among an adapter's weights. Raises NotFinite if one is not finite."""
        largest = float(torch.stack([parameter.detach().abs().amax() for parameter in parameters]).amax())
        if not math.isfinite(largest):
            raise NotFinite(
                f"the update at learner.lr = {self._config.lr:g} made weights of adapter {adapter} infinite "
                "or NaN; start a new run with a lower learner.lr"
            )
        return largest

    def _accumulate(
        self, adapter: str, parts: Sequence[RolePart], starts: dict[TrainingSample, Tensor]
    ) -> tuple[float, dict[str, float]]:
        """Gradients of the step. If the device runs out of memory, retry with smaller micro-batches."""
        samples = chain.from_iterable(part.samples for part in parts)
        longest = max(len(sample.prompt_ids) + len(sample.token_ids) - 1 for sample in samples)
        scale = self._scalers[adapter].scale
        while True:
            try:
                return self._engine.accumulate(parts, starts, max_tokens=self._max_tokens, scale=scale)
            except torch.OutOfMemoryError as error:
                if self._max_tokens <= longest:  # the largest rollout would not get smaller
                    raise OutOfMemory(
                        f"one rollout of {longest} tokens does not fit into the device's memory; set "
                        "model.gradient_checkpointing, or lower selfplay.answer_tokens and proposal_tokens"
                    ) from error
            # Here the traceback, which held the activations, is gone.
            self._max_tokens //= 2
            _logger.warning("out of memory: from here on, micro-batches of %d tokens", self._max_tokens)
            self._optimizers[adapter].zero_grad()
            if self._policy.device.type == "cuda":
                torch.cuda.empty_cache()

    @contextmanager
    def _training(self) -> Iterator[None]:
        """Gradient checkpointing needs training mode. Nothing else depends on the mode: dropout is 0."""
        self._policy.model.train()
        try:
            yield
        finally:
            self._policy.model.eval()


def _make_engine(policy: Policy, config: SettledLearner) -> LossEngine:
    builtin = BuiltinEngine(policy, config)
    if config.engine == "builtin":
        return builtin
    engine = TrlEngine(policy, config)
    return engine if policy.loader == "transformers" else CheckedEngine(policy, engine, builtin)


def _summary(updates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each measure over the updates, or the largest maximum; ignores non-finite values."""
    summary = {}
    for name in updates[0] if updates else ():
        values = [update[name] for update in updates if math.isfinite(update[name])]
        if values:
            summary[name] = max(values) if name.endswith("_max") else sum(values) / len(values)
    return summary


def lr_factor(done: int, schedule: Literal["constant", "linear"], *, warmup: int, total: int) -> float:
    """The factor of the learning rate in the update after `done` updates, in (0, 1].

    Args:
        warmup: number of updates over which the factor rises linearly to 1.
        total: updates of the complete run; "linear" falls linearly and reaches 0 after the last update.
    """
    risen = min(1.0, (done + 1) / (warmup + 1))
    remaining = max(1.0 / total, 1.0 - done / total) if schedule == "linear" else 1.0
    return risen * remaining
