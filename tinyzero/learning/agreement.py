"""Checks a foreign engine: compares its gradients with those of the built-in engine before trusting it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import cycle

import torch
from torch import Tensor

from tinyzero.errors import ConfigError
from tinyzero.learning.batch import TrainingSample
from tinyzero.learning.engine import LossEngine, RolePart
from tinyzero.policy.policy import Policy

_TOLERANCES = {torch.float32: 1e-3, torch.float16: 0.1, torch.bfloat16: 0.1}
"""Allowed relative distance of two equal gradients; 16-bit gradients differ by some hundredths."""

_COMPARED = 3
_ASIDE = (0.0, 0.05, -0.05, 1.0, -1.0)
"""Nats added per token to separate start and sampler logprobs. In a first update they are equal and hardly
differ from the policy, so the check would miss a loss that ignores them, their clipping or their cap."""


class CheckedEngine:
    """An engine that is compared with a trusted engine at the first step, on a few short samples."""

    def __init__(self, policy: Policy, engine: LossEngine, trusted: LossEngine) -> None:
        self._policy = policy
        self._engine = engine
        self._trusted = trusted
        self._is_checked = False

    def accumulate(
        self,
        parts: Sequence[RolePart],
        starts: dict[TrainingSample, Tensor],
        *,
        max_tokens: int,
        scale: Callable[[Tensor], Tensor],
    ) -> tuple[float, dict[str, float]]:
        """See `LossEngine`.

        Raises:
            ConfigError: the gradients differ from those of the trusted engine.
        """
        if not self._is_checked:
            self._check(probe(parts, max_tokens), max_tokens, scale)
        return self._engine.accumulate(parts, starts, max_tokens=max_tokens, scale=scale)

    def _check(self, part: RolePart, max_tokens: int, scale: Callable[[Tensor], Tensor]) -> None:
        expected, actual = (
            self._gradient(engine, part, max_tokens, scale) for engine in (self._trusted, self._engine)
        )
        if not expected.norm() > 0 or not expected.isfinite().all():
            return  # float16 under- or overflowed: check at the next step
        distance = float((actual - expected).norm() / expected.norm())
        tolerance = _TOLERANCES[self._policy.dtype]
        if not distance <= tolerance:  # also fails for NaN
            raise ConfigError(
                f"learner.engine is trl, but the gradient of the loss that {self._policy.loader} puts in its "
                f"place is {distance:.2g} of its length away from the built-in one (rounding explains "
                f"{tolerance:g}); set learner.engine to builtin"
            )
        self._is_checked = True

    def _gradient(
        self, engine: LossEngine, part: RolePart, max_tokens: int, scale: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The flat gradient of the active adapter. The parameters keep no gradient."""
        parameters = [parameter for parameter in self._policy.model.parameters() if parameter.requires_grad]
        starts = {sample: _aside(sample, self._policy) for sample in part.samples}
        engine.accumulate([part], starts, max_tokens=max_tokens, scale=scale)
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in parameters
        ]
        for parameter in parameters:
            parameter.grad = None
        return torch.cat([gradient.flatten() for gradient in gradients]).float()


def probe(parts: Sequence[RolePart], max_tokens: int) -> RolePart:
    """The shortest samples of the first part with an advantage: at least one, more if they fit."""
    for part in parts:
        candidates = [sample for sample in part.samples if sample.advantage != 0]
        if candidates:
            candidates.sort(key=_num_tokens)
            fit = max(1, max_tokens // _num_tokens(candidates[min(_COMPARED, len(candidates)) - 1]))
            return replace(part, samples=tuple(candidates[: min(_COMPARED, fit)]))
    return replace(parts[0], samples=parts[0].samples[:1])


def _num_tokens(sample: TrainingSample) -> int:
    return len(sample.prompt_ids) + len(sample.token_ids)


def _aside(sample: TrainingSample, policy: Policy) -> Tensor:
    """Artificial logprobs of the round's start."""
    pairs = zip(sample.sampler_logprobs, cycle(_ASIDE), strict=False)
    return torch.tensor([logprob + aside for logprob, aside in pairs], device=policy.device)
