"""How far a merged model is from the adapter it was made of, on prompts of the kinds that the run played.

The policy as it was trained (4-bit base, adapter worn) answers greedily; then both say, at every token of
these answers, what they would have written.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tinyzero
from tinyzero.config import SettledSampling
from tinyzero.errors import ExportError, SelfTestFailed
from tinyzero.evaluation.heldout import read_set
from tinyzero.games.choice import ALL_KINDS
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import samples_of
from tinyzero.run.records import read
from tinyzero.tasks.base import Kind, Style
from tinyzero.tasks.records import from_record
from tinyzero.types import Prompt, Role, SamplingRequest, Task

if TYPE_CHECKING:
    from torch import Tensor

    from tinyzero.policy.policy import Policy

NUM_PROMPTS = 64
ANSWER_TOKENS = 12
"""Scored per prompt: enough to be past the prompt's shadow, and few enough for a CPU."""
_MOST_KL, _LEAST_GREEDY = 0.1, 0.9
"""Bounds of a merge. SmolLM2-135M rounded to bfloat16 has 0.0006 nats and 98.7 %."""
_MOST_KL_4_BIT, _LEAST_GREEDY_4_BIT = 0.5, 0.3
"""Bounds where training saw 4-bit weights and the merge 16-bit ones."""
_ROUNDING_KL = 0.01
"""Up to here two models are one; tokens of nearly the same probability may still change places."""


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


def prompts_of(run: RunFolder, role: Role, count: int) -> list[Prompt]:
    """At most `count` prompts of the role, in the run's style, of the kinds that it played in turn."""
    config = run.config()
    recorded = _recorded_prompts(run, role)
    by_kind = [
        _prompts(ALL_KINDS[name], role, run, config.prompts.style)
        if name in ALL_KINDS
        else [prompt for prompt in recorded if prompt.kind == name]
        for name in config.selfplay.kinds_played
    ]
    in_turn = (prompt for turn in zip_longest(*by_kind) for prompt in turn if prompt is not None)
    return list(dict.fromkeys(in_turn))[:count]


def _prompts(kind: Kind, role: Role, run: RunFolder, style: Style) -> list[Prompt]:
    """About held-out tasks where there are some of the kind, else about the run's own, else about seeds."""
    tasks = _heldout_tasks(kind.name) or _own_tasks(run, kind.name) or kind.seeds()
    if role is Role.SOLVER:
        return [kind.solve_prompt(task, style) for task in tasks]
    return [kind.propose_prompt([task], style) for task in tasks] or [kind.propose_prompt([], style)]


def _heldout_tasks(kind: str) -> list[Task]:
    """Those that ship with the package."""
    path = Path(tinyzero.__file__).parent / "nano" / "heldout.jsonl"
    return [item.task for item in read_set(path, ALL_KINDS).tasks if item.task.kind == kind]


def _own_tasks(run: RunFolder, kind: str) -> list[Task]:
    tasks = []
    for record in read(run.tasks):
        with suppress(ValueError):  # a damaged line
            tasks.append(from_record(record))
    return [task for task in tasks if task.kind == kind]


def _recorded_prompts(run: RunFolder, role: Role) -> list[Prompt]:
    """As samples.jsonl has them: for kinds of one's own, which nothing here can ask about."""
    return [
        Prompt(kind=sample.kind, text=sample.prompt, prefill=sample.prefill)
        for sample in samples_of(read(run.samples))
        if sample.role == role
    ]


def ask(policy: "Policy", role: Role, prompts: Sequence[Prompt], sampling: SettledSampling) -> Reference:
    """Let the policy answer greedily, wearing the role's adapter, and note what it thinks."""
    from tinyzero.sampling.builtin import BuiltinSampler

    sampler = BuiltinSampler(policy, sampling, seed=0)
    fitting = [prompt for prompt in prompts if sampler.fits(prompt)]
    if not fitting:
        raise ExportError(
            f"the merge cannot be tested: {_why_none(len(prompts), sampling.max_prompt_tokens)}, or export "
            "the adapter: --what adapter"
        )
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


def check_agreement(agreement: Agreement, *, is_same_base: bool) -> None:
    """Refuse a merged model that is not the trained one.

    Args:
        is_same_base: whether training saw the weights that were merged into; else it saw them in 4 bit.

    Raises:
        SelfTestFailed: it differs by more than rounding can explain.
    """
    most_kl, least_greedy = (
        (_MOST_KL, _LEAST_GREEDY) if is_same_base else (_MOST_KL_4_BIT, _LEAST_GREEDY_4_BIT)
    )
    is_near = agreement.mean_kl <= most_kl  # false where it is no number
    if is_near and (agreement.greedy >= least_greedy or agreement.mean_kl <= _ROUNDING_KL):
        return
    remedy = "" if is_same_base else ", or take --merge-base dequant"
    raise SelfTestFailed(
        "the merged model is not what was trained, so nothing is exported: mean KL "
        f"{agreement.mean_kl:.2e} nats (at most {most_kl:g}), the same likeliest token at "
        f"{agreement.greedy:.1%} (at least {least_greedy:.0%}); "
        f"check the base model's files (tinyzero doctor --model){remedy}, or take --what adapter"
    )


def _why_none(num_prompts: int, most_tokens: int) -> str:
    if num_prompts == 0:
        return "the run has no task and no sample yet that it could be asked about; train it on"
    return (
        f"none of {num_prompts} prompts of what the run played fits sampling.max_prompt_tokens "
        f"({most_tokens}); raise it"
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
