"""Turns rollouts into micro-batches. Completions of a prompt share a row, so the prompt is computed once.

A row is a prompt without its last token, then one branch per completion. A branch holds that last token
and the completion without its last token, so it predicts the completion token by token:

    prompt  a b c      row      a b | c x y | c z        x y end and z end are the completions
                       target       | x y e | z e        positions 0 1 | 2 3 4 | 2 3

The attention mask lets a branch see the prompt and itself. The results are the same as in separate rows,
with far fewer tokens if prompts are long, answers are short, and there are many attempts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from tinyzero.types import Rollout


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingSample:
    """One completion to learn from.

    Attributes:
        weight: weight of each of its tokens in the loss of the step.
    """

    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    sampler_logprobs: tuple[float, ...]
    advantage: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrainingRow:
    """Completions of one prompt, in the layout of the module's docstring."""

    branches: tuple[TrainingSample, ...]

    @property
    def prefix(self) -> tuple[int, ...]:
        return self.branches[0].prompt_ids[:-1]

    @property
    def num_tokens(self) -> int:
        return len(self.prefix) + sum(len(branch.token_ids) for branch in self.branches)


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """One forward pass. B rows, S places, N completion tokens, in the order of `samples`.

    Attributes:
        input_ids, position_ids: [B, S], padded on the right.
        attention_mask: [B, 1, S, S], True where a query (third axis) sees a key; None if plain causal
            attention does the same.
        is_scored: [B, S], True at the N places that predict a completion token.
        targets: [N], the completion tokens.
        sampler_logprobs, advantages, weights: [N].
    """

    samples: tuple[TrainingSample, ...]
    input_ids: Tensor
    position_ids: Tensor
    attention_mask: Tensor | None
    is_scored: Tensor
    targets: Tensor
    sampler_logprobs: Tensor
    advantages: Tensor
    weights: Tensor

    @property
    def lengths(self) -> Tensor:
        """Tokens of each completion, in the order of `samples`."""
        return torch.tensor([len(sample.token_ids) for sample in self.samples], device=self.targets.device)

    def split(self, values: Tensor) -> list[Tensor]:
        """Split [N] into one [T] per sample."""
        return list(torch.split(values, [len(sample.token_ids) for sample in self.samples]))


def check_behaviour(rollouts: Sequence[Rollout], temperature: float) -> None:
    """Check that one policy wrote all rollouts at this temperature. Raises if not."""
    policies = {(rollout.completion.adapter, rollout.completion.adapter_version) for rollout in rollouts}
    temperatures = {rollout.completion.temperature for rollout in rollouts}
    if len(policies) > 1 or temperatures - {temperature}:
        raise ValueError(
            f"rollouts of different behaviour policies in one batch: adapter versions {sorted(policies)}, "
            f"temperatures {sorted(temperatures)} where {temperature} is scored"
        )


def micro_batches(
    samples: Sequence[TrainingSample], *, max_tokens: int, parity_tokens: int, device: torch.device
) -> Iterator[MicroBatch]:
    """All samples, in batches of at most `max_tokens` padded tokens; more only if a single sample has more.

    Args:
        parity_tokens: row length at which attention costs as much as the linear layers. It limits how many
            completions share a row, since attention also computes the masked places of the others. 0: none.
    """
    rows = sorted(_pack(samples, max_tokens, parity_tokens), key=lambda row: row.num_tokens)
    batch: list[_TrainingRow] = []
    for row in rows:
        if batch and row.num_tokens * (len(batch) + 1) > max_tokens:
            yield _collate(batch, device)
            batch = []
        batch.append(row)
    if batch:
        yield _collate(batch, device)


def _pack(samples: Sequence[TrainingSample], max_tokens: int, parity_tokens: int) -> Iterator[_TrainingRow]:
    by_prompt: dict[tuple[int, ...], list[TrainingSample]] = {}
    for sample in samples:
        by_prompt.setdefault(sample.prompt_ids, []).append(sample)
    for siblings in by_prompt.values():
        branches: list[TrainingSample] = []
        for sample in siblings:
            if branches and not _should_share(branches, sample, max_tokens, parity_tokens):
                yield _TrainingRow(branches=tuple(branches))
                branches = []
            branches.append(sample)
        yield _TrainingRow(branches=tuple(branches))


def _should_share(
    branches: Sequence[TrainingSample], sample: TrainingSample, max_tokens: int, parity_tokens: int
) -> bool:
    """Whether another row would cost more than the attention that a longer row wastes."""
    row = _TrainingRow(branches=tuple(branches)).num_tokens
    longer = row + len(sample.token_ids)
    apart = _TrainingRow(branches=(sample,)).num_tokens

    def cost(num_tokens: int) -> float:
        return num_tokens * (1 + num_tokens / parity_tokens)

    return parity_tokens > 0 and longer <= max_tokens and cost(longer) <= cost(row) + cost(apart)


def _collate(rows: Sequence[_TrainingRow], device: torch.device) -> MicroBatch:
    samples = tuple(branch for row in rows for branch in row.branches)
    ids, positions, segments = zip(*(_layout(row) for row in rows), strict=True)
    segment = _pad(segments, device, fill=-1)  # [B, S]
    is_plain = all(len(row.branches) == 1 for row in rows)
    lengths = torch.tensor([len(sample.token_ids) for sample in samples])

    def per_token(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float32).repeat_interleave(lengths).to(device)

    return MicroBatch(
        samples=samples,
        input_ids=_pad(ids, device, fill=0),
        position_ids=torch.arange(segment.shape[1], device=device).expand_as(segment)
        if is_plain
        else _pad(positions, device, fill=0),
        attention_mask=None if is_plain else _mask(segment),
        is_scored=segment > 0,
        targets=torch.tensor(
            list(chain.from_iterable(sample.token_ids for sample in samples)), device=device
        ),
        sampler_logprobs=torch.tensor(
            list(chain.from_iterable(sample.sampler_logprobs for sample in samples)), device=device
        ),
        advantages=per_token([sample.advantage for sample in samples]),
        weights=per_token([sample.weight for sample in samples]),
    )


def _layout(row: _TrainingRow) -> tuple[list[int], list[int], list[int]]:
    """Token ids, positions, and segments: 0 for the prefix, i for the i-th branch."""
    prefix = row.prefix
    ids, positions, segments = list(prefix), list(range(len(prefix))), [0] * len(prefix)
    for index, branch in enumerate(row.branches, start=1):
        length = len(branch.token_ids)
        ids += [branch.prompt_ids[-1], *branch.token_ids[:-1]]
        positions += range(len(prefix), len(prefix) + length)
        segments += [index] * length
    return ids, positions, segments


def _mask(segment: Tensor) -> Tensor:
    """Each place sees the prefix and its own segment, causally; so does padding, to avoid empty softmaxes."""
    is_visible = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])  # [B, S, S]
    return is_visible.tril()[:, None]


def _pad(rows: Sequence[Sequence[int]], device: torch.device, *, fill: int) -> Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], device=device)
