"""`tinyzero doctor --model`: whether a base model can be trained and exported, without training it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING

from tinyzero.errors import ExportError

if TYPE_CHECKING:
    from tinyzero.config import Settled


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it.

    Attributes:
        problem: why what is learned could not be exported; empty where it could.
    """

    base: str
    device: str
    dtype: str
    context_tokens: int
    tried_tokens: int
    sampler_gap: float
    shares_prompts: bool
    stop_tokens: tuple[str, ...]
    frame: str
    problem: str

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    def lines(self) -> list[str]:
        rows = "share prompts" if self.shares_prompts else "do not share prompts: slower, and right"
        return [
            f"model     {self.base}, {self.dtype} on {self.device}, context {self.context_tokens} tokens",
            f"sampler   {self.sampler_gap:.2g} nats a token from the learner, to {self.tried_tokens} tokens",
            f"training  mode changes nothing, a fresh adapter neither; rows {rows}",
            f"frame     {self.frame}; answers end at {', '.join(self.stop_tokens)}",
            f"export    {self.problem or 'merged, GGUF and adapter will be possible'}",
        ]


def examine(config: "Settled", progress: Callable[[str], None]) -> Report:
    """Load the configuration's base model, and do what a run does before its first step.

    Raises:
        ModelLoadError: it cannot be used. SamplerBroken: it would be computed wrong.
    """
    from tinyzero.export.exportable import check_exportable
    from tinyzero.learning.scoring import score_completions
    from tinyzero.policy.device import prepare_device
    from tinyzero.policy.loading import load_policy
    from tinyzero.sampling.builtin import BuiltinSampler
    from tinyzero.sampling.canary import check_policy

    policy = load_policy(
        config.model,
        config.policy,
        device=prepare_device(config.hardware),
        temperature=config.sampling.temperature,
        progress=progress,
    )
    progress("comparing the sampler's probabilities with the learner's")
    verdict = check_policy(
        policy,
        BuiltinSampler(policy, config.sampling, config.run.seed),
        partial(score_completions, policy),
        engine="builtin",
        temperature=config.sampling.temperature,
        max_tokens=config.longest_sequence,
    )
    progress("reading its files as an export would")
    try:
        check_exportable(config, policy.save)
        problem = ""
    except ExportError as error:
        problem = str(error)
    return Report(
        base=config.model.base,
        device=str(policy.device),
        dtype=str(policy.dtype).removeprefix("torch."),
        context_tokens=policy.context_tokens,
        tried_tokens=verdict.num_tokens,
        sampler_gap=verdict.gap.mean,
        shares_prompts=verdict.shares_prompts,
        stop_tokens=tuple(map(str, policy.tokenizer.convert_ids_to_tokens(sorted(policy.stop_ids)))),
        frame="its chat template" if policy.frame.has_chat_template else "a written conversation",
        problem=problem,
    )
