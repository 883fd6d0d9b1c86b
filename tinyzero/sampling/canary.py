"""The canary: before a run begins, everything that computes the policy must compute the same one.

Engines have been seen to write garbage from 4-bit weights, to leave the adapter off, or to cut what a window
would hide, and to go on without a word. Training on such answers looks like training.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tinyzero.errors import OutOfMemory, SamplerBroken
from tinyzero.policy.policy import Policy
from tinyzero.sampling.builtin import BuiltinSampler
from tinyzero.sampling.trial import endless, lengths_to_try, moved, random_states, text_of
from tinyzero.types import Completion, Prompt, Role, Sampler, SamplingRequest

MAX_MEAN_GAP = 0.2
"""Nats a token. Other kernels on the same 16-bit or 4-bit weights differ by hundredths; a wrong adapter,
temperature, position or mask by about one. At 0.2 a token, an answer of 50 tokens has a likelihood ratio of
e^10 or e^-10, which no importance weight mends."""
_MAX_FLOAT32_GAP = 0.02
"""The same for the built-in sampler in 32 bit, where rounding makes a hundred-thousandth."""
_MAX_TRAINING_GAP = {torch.float32: 1e-3}
"""Training mode computes with the same kernels; where there are others, as in unsloth, `_MAX_SHARED_GAP`."""
_MAX_SHARED_GAP = {torch.float32: 1e-3}
_OTHERWISE = 0.1
_NOISY_TRIES = 15
_TEXTS = ("What is 2 + 2?", "Write a Python function f that takes a list and returns it in reverse order.")
_NUM_SAMPLES, _MAX_TOKENS = 4, 16
_SHORT_CONTEXT = 2048
_SHORT = (
    "the base model's context ends at %d tokens here, and a prompt with its answer may have %d in this run: "
    "longer answers are cut off; lower sampling.max_prompt_tokens, selfplay.answer_tokens and proposal_tokens"
)
_MODEL_ERRORS = (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError, AssertionError)

_logger = logging.getLogger(__name__)


class Score(Protocol):
    """Logprobs of each completion's tokens by teacher forcing, nats, under the adapter that sampled them."""

    def __call__(
        self,
        completions: Sequence[Completion],
        *,
        shares_prompts: bool = False,
        is_training: bool = False,
        is_reference: bool = False,
    ) -> Sequence[Sequence[float]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gap:
    """Distance between two scores of the same tokens, nats a token; NaN where either is none."""

    mean: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of a canary that lives.

    Attributes:
        num_tokens: of the longest sequence that was tried.
        shares_prompts: whether completions of one prompt may share a row.
    """

    gap: _Gap
    num_tokens: int
    shares_prompts: bool


def check_policy(
    policy: Policy, sampler: Sampler, score: Score, *, engine: str, temperature: float, max_tokens: int
) -> Verdict:
    """Compare the sampler, the learner, its training mode, its shared rows, and a fresh adapter with none.

    Fresh adapters get random weights for all but the last of these, and are fresh again afterwards. Sets
    `policy.shares_prompts` where rows that share a prompt would be wrong.

    Args:
        engine: what to call the sampler in an error.
        max_tokens: of the longest sequence that the run may have, prompt and completion.

    Raises:
        SamplerBroken: they differ; the message names the cause.
    """
    if max_tokens > policy.context_tokens:
        _logger.warning(_SHORT, policy.context_tokens, max_tokens)
    limit = _limit(policy, engine)
    try:
        with endless(policy), moved(policy):
            short = [each for role in Role for each in _sample(sampler, role, _TEXTS, temperature)]
            gap = _check_gap(short, score(short), engine=engine, device=policy.device.type, limit=limit)
            longest = _check_lengths(policy, sampler, score, engine, temperature, max_tokens)
            _check_training(policy, score, short, longest)
            policy.shares_prompts = _may_share(policy, score, [*short, *longest])
        _check_fresh(policy, score, short)
    except _MODEL_ERRORS as error:
        raise SamplerBroken(_cannot_compute(error)) from error
    tried = max(len(each.prompt_ids) + len(each.token_ids) for each in (*short, *longest))
    return Verdict(gap=gap, num_tokens=tried, shares_prompts=policy.shares_prompts)


def check_sampler(sampler: Sampler, score: Score, *, engine: str, temperature: float) -> _Gap:
    """Let every role answer a few words, and compare sampler and learner alone.

    Args:
        engine: what to call it in the error.

    Raises:
        SamplerBroken: the logprobs are too far apart, or not finite.
    """
    completions = [each for role in Role for each in _sample(sampler, role, _TEXTS, temperature)]
    return _check_gap(completions, score(completions), engine=engine, device="cuda", limit=MAX_MEAN_GAP)


def measure_gap(sampler: Sampler, score: Score, *, temperature: float) -> _Gap:
    """The gap on a few short answers of each role."""
    completions = [each for role in Role for each in _sample(sampler, role, _TEXTS, temperature)]
    return _gap([each.sampler_logprobs for each in completions], score(completions))


def _sample(sampler: Sampler, role: Role, texts: Sequence[str], temperature: float) -> list[Completion]:
    prompts = [Prompt(kind="canary", text=text) for text in texts]
    short_enough = tuple(prompt for prompt in prompts if sampler.fits(prompt))
    request = SamplingRequest(
        role=role,
        prompts=short_enough or tuple(prompts),  # where none is, the sampler says what to do
        num_samples=_NUM_SAMPLES if texts is _TEXTS else 2,
        max_tokens=_MAX_TOKENS,
        stream=f"canary/{role}",
        temperature=temperature,
    )
    return [completion for samples in sampler.sample(request) for completion in samples]


def _gap(scores: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> _Gap:
    gaps = [
        abs(one - other)
        for row, row_of_other in zip(scores, others, strict=True)
        for one, other in zip(row, row_of_other, strict=True)
    ]
    return _Gap(
        mean=sum(gaps) / len(gaps), max=max(gaps, key=lambda gap: gap if gap == gap else float("inf"))
    )


def _worst(gaps: Iterable[_Gap]) -> _Gap:
    return max(gaps, key=lambda gap: gap.mean if gap.mean == gap.mean else float("inf"))


def _limit(policy: Policy, engine: str) -> float:
    is_exact = policy.dtype is torch.float32 and engine == "builtin"
    return _MAX_FLOAT32_GAP if is_exact else MAX_MEAN_GAP


def _check_gap(
    completions: Sequence[Completion],
    scores: Sequence[Sequence[float]],
    *,
    engine: str,
    device: str,
    limit: float,
) -> _Gap:
    gap = _gap([completion.sampler_logprobs for completion in completions], scores)
    if not gap.mean <= limit:  # NaN too
        raise SamplerBroken(
            f"the sampler ({engine}) and the learner disagree about the same answers: {gap.mean:.3g} nats a "
            f"token on average, {gap.max:.3g} at most, where {limit:g} are bearable; "
            f"{_advice(engine, device)}"
        )
    return gap


def _check_training(
    policy: Policy, score: Score, short: Sequence[Completion], longest: Sequence[Completion]
) -> None:
    """Where the model draws random numbers at all, it is tried again and again: noise may be rare."""
    before = random_states(policy.device)
    gap = _training_gap(score, [*short, *longest])
    tries = 0 if random_states(policy.device) == before else _NOISY_TRIES
    gaps = (gap, *(_training_gap(score, short) for _ in range(tries)))
    worst = _worst(gaps)
    limits = _MAX_TRAINING_GAP if policy.loader == "transformers" else {}
    if not worst.mean <= limits.get(policy.dtype, _OTHERWISE):
        raise SamplerBroken(
            f"in training mode the model gives other answers than in evaluation mode, by {worst.mean:.3g} "
            "nats a token: it has dropout or noise that TinyZero cannot switch off; set its probability to 0 "
            "in the model's config.json, or take another base model"
        )


def _training_gap(score: Score, completions: Sequence[Completion]) -> _Gap:
    return _gap(score(completions), score(completions, is_training=True))


def _check_fresh(policy: Policy, score: Score, short: Sequence[Completion]) -> None:
    """An adapter that was never updated is the base model: a KL divergence of exactly 0."""
    fresh = {adapter for adapter in policy.adapters if policy.is_fresh(adapter)}
    chosen = [completion for completion in short if completion.adapter in fresh]
    if not chosen:
        return
    gap = _gap(score(chosen), score(chosen, is_reference=True))
    is_exact = policy.device.type == "cpu" and policy.loader == "transformers"
    if not gap.max <= (0.0 if is_exact else _OTHERWISE):
        raise SamplerBroken(
            f"a fresh adapter changes the model's answers by {gap.max:.3g} nats a token, and must not: "
            "adapters on this model do something else than a low-rank update; take another base model"
        )


def _check_lengths(
    policy: Policy, sampler: Sampler, score: Score, engine: str, temperature: float, max_tokens: int
) -> list[Completion]:
    """Answers to prompts just below each length at which the model may change; returns the longest ones.

    A short prompt is answered beside each, whose row must not depend on its neighbour's.
    """
    answers: list[Completion] = []
    if isinstance(sampler, BuiltinSampler):
        sampler = sampler.reaching(policy.context_tokens - 1)
    for length in lengths_to_try(policy, max_tokens):
        texts = (text_of(policy, length - _MAX_TOKENS // 2), _TEXTS[0])
        try:
            answers = _sample(sampler, Role.SOLVER, texts, temperature)
            scores = score(answers)
        except (OutOfMemory, torch.OutOfMemoryError):
            _logger.warning("sequences of %d tokens do not fit into memory, and were not tried", length)
            break
        pairs = zip(answers, scores, strict=True)
        gap = _worst(_gap([answer.sampler_logprobs], [row]) for answer, row in pairs)
        if not gap.mean <= _limit(policy, engine):
            raise SamplerBroken(
                f"at sequences of about {length} tokens the sampler ({engine}) and the learner disagree, by "
                f"{gap.mean:.3g} nats a token, and not at short ones: the model attends in another way; "
                f"keep sampling.max_prompt_tokens plus the larger of selfplay.answer_tokens and "
                f"proposal_tokens below {length}, or take another base model"
            )
    return answers


def _may_share(policy: Policy, score: Score, completions: Sequence[Completion]) -> bool:
    """Whether a row that several completions share gives what each gives in a row of its own."""
    plain = score(completions)
    crowd = [len(completions) - 1] * _copies(policy, completions[-1])
    try:
        shared = score([*completions, *(completions[place] for place in crowd)], shares_prompts=True)
    except (*_MODEL_ERRORS, torch.OutOfMemoryError):
        return False
    gap = _gap([*plain, *(plain[place] for place in crowd)], shared)
    return gap.mean <= _MAX_SHARED_GAP.get(policy.dtype, _OTHERWISE)


def _copies(policy: Policy, completion: Completion) -> int:
    """So many that a row is longer than a short context, at whose end a model's tables may end."""
    if policy.context_tokens > _SHORT_CONTEXT:
        return 0
    return -(-(policy.context_tokens - len(completion.prompt_ids)) // len(completion.token_ids)) + 1


def _cannot_compute(error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return (
        f"the model cannot be sampled and scored here ({type(error).__name__}: {reason}); take a model of a "
        "family in docs/models.md"
    )


def _advice(engine: str, device: str) -> str:
    if engine != "builtin":
        return (
            "a server needs --logprobs-mode processed_logprobs, and a base in the precision that is trained "
            "(docs/vllm.md); or set sampling.engine to builtin"
        )
    if device == "cuda":
        return "set sampling.cuda_graphs to false, model.quantization to none or model.loader to transformers"
    return (
        "the model goes by something that stored keys do not hold; take a model of a family in docs/models.md"
    )
