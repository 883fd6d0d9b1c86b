"""How far a merged model is from the adapter it was made of, on prompts that no run is trained on.

The policy as it was trained (4-bit base, adapter worn) answers greedily; then both say, at every token of
these answers, what they would have written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tinyzero
from tinyzero.config import Config, SettledSampling
from tinyzero.errors import ExportError
from tinyzero.evaluation.heldout import read_set
from tinyzero.tasks import KINDS
from tinyzero.types import Prompt, Role, SamplingRequest, Task

if TYPE_CHECKING:
    from torch import Tensor

    from tinyzero.policy.policy import Policy

NUM_PROMPTS = 64
ANSWER_TOKENS = 12
"""Scored per prompt: enough to be past the prompt's shadow, and few enough for a CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Merged model against live policy.

    Attributes:
        mean_kl: KL(live || merged), nats, mean over all positions; max_kl: the largest.
        greedy: share of positions at which both have the same likeliest token.
    """

    num_prompts: int
    num_positions: int
    mean_kl: float
    max_kl: float
    greedy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the live policy said: N answers, P scored positions in all, V vocabulary.

    Attributes:
        sequences: token ids of prompt and answer. starts: where each answer begins.
        logprobs: [P, V] float32 on the CPU.
    """

    prompts: Sequence[Prompt]
    sequences: Sequence[list[int]]
    starts: Sequence[int]
    logprobs: "Tensor"


def heldout_tasks() -> list[Task]:
    """The held-out tasks that ship with the package."""
    path = Path(tinyzero.__file__).parent / "nano" / "heldout.jsonl"
    return [item.task for item in read_set(path, KINDS).tasks]


def heldout_prompts(config: Config, role: Role, count: int) -> list[Prompt]:
    """Prompts of the role in the run's style, its kinds in turn."""
    by_kind = [
        [task for task in heldout_tasks() if task.kind == name]
        for name in config.selfplay.kinds
        if name in KINDS
    ]
    in_turn = [
        tasks[turn]
        for turn in range(max(map(len, by_kind), default=0))
        for tasks in by_kind
        if turn < len(tasks)
    ]
    return [_prompt(task, role, config) for task in in_turn[:count]]


def ask(policy: "Policy", role: Role, prompts: Sequence[Prompt], sampling: SettledSampling) -> Reference:
    """Let the policy answer greedily, wearing the role's adapter, and note what it thinks."""
    from tinyzero.sampling.builtin import BuiltinSampler

    sampler = BuiltinSampler(policy, sampling, seed=0)
    fitting = [prompt for prompt in prompts if sampler.fits(prompt)]
    if not fitting:
        raise ExportError("no held-out prompt fits sampling.max_prompt_tokens, so the merge cannot be tested")
    request = SamplingRequest(
        role=role,
        prompts=tuple(fitting),
        num_samples=1,
        max_tokens=ANSWER_TOKENS,
        temperature=0.0,
        stream="self-test",
    )
    completions = [completion for (completion,) in sampler.sample(request)]
    sequences = [[*completion.prompt_ids, *completion.token_ids] for completion in completions]
    starts = [len(completion.prompt_ids) for completion in completions]
    return Reference(
        prompts=fitting,
        sequences=sequences,
        starts=starts,
        logprobs=score(policy.model, sequences, starts, policy.device),
    )


def score(model: Any, sequences: Sequence[list[int]], starts: Sequence[int], device: Any) -> "Tensor":  # noqa: ANN401
    """Log-probabilities [P, V] at every answer token, float32 on the CPU."""
    import torch

    rows = []
    with torch.inference_mode():
        for ids, start in zip(sequences, starts, strict=True):
            length = len(ids) - start
            logits = model(input_ids=torch.tensor([ids], device=device), logits_to_keep=length + 1).logits
            rows.append(
                logits[0, :-1].float().log_softmax(-1).cpu()
            )  # the last one predicts beyond the answer
    return torch.cat(rows)


def compare(reference: Reference, model: Any, device: Any) -> Agreement:  # noqa: ANN401
    """Score the reference's answers with the merged model."""
    merged = score(model, reference.sequences, reference.starts, device)
    live = reference.logprobs
    kl = (live.exp() * (live - merged)).sum(-1)
    return Agreement(
        num_prompts=len(reference.sequences),
        num_positions=len(live),
        mean_kl=float(kl.mean()),
        max_kl=float(kl.max()),
        greedy=float((live.argmax(-1) == merged.argmax(-1)).float().mean()),
    )


def _prompt(task: Task, role: Role, config: Config) -> Prompt:
    kind, style = KINDS[task.kind], config.prompts.style
    return kind.solve_prompt(task, style) if role is Role.SOLVER else kind.propose_prompt([task], style)
