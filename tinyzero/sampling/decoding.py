"""One sampling request in progress: rows that are decoded side by side, and refilled from a queue.

Each prompt is prefilled once and shared by its samples. A row that finishes makes room for the next prompt.
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tinyzero.config import SettledSampling
from tinyzero.errors import NotFinite
from tinyzero.policy.policy import Policy
from tinyzero.policy.soundness import why_not_finite
from tinyzero.sampling.attention import blocks, by_blocks
from tinyzero.sampling.draw import draw, uniforms
from tinyzero.sampling.rows import KeyValues, Shapes
from tinyzero.sampling.workspace import Size, Workspace
from tinyzero.types import Completion, SamplingRequest

Mode = Literal["exact", "static", "graphs"]
"""exact: a step computes the rows and the slots that are in use. static: a few more, so that the same shapes
come again and again. graphs: static, recorded as CUDA graphs."""

_PREFILL_TOKENS = 8192
"""Padded prompt tokens in one forward: enough to keep a card busy, and few beside a training batch."""
_REFILL_SHARE = 8
"""Refill once an eighth of the rows is free: prefilling prompts one by one would cost a forward each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Siblings:
    """Samples of one prompt that start together."""

    prompt: int
    samples: range


class Decoding:
    """One request in progress. R rows, T tokens of budget.

    What a step reads and writes lies in a workspace, whose tensors are never replaced.
    """

    def __init__(
        self,
        policy: Policy,
        config: SettledSampling,
        seed: int,
        request: SamplingRequest,
        prompt_ids: list[tuple[int, ...]],
        *,
        mode: Mode = "exact",
        workspace: Workspace | None = None,
    ) -> None:
        """A request that has not begun.

        Args:
            workspace: at least of `size_of` the request, and in no use; None for one of its own.
        """
        self._policy, self._seed, self._request, self._prompt_ids = policy, seed, request, prompt_ids
        self._model = policy.model.get_base_model()
        self._adapter = policy.adapter_of(request.role)
        self._queue = deque(_in_turn(prompt_ids, request.num_samples, config.batch_rows))
        self._completions: list[dict[int, Completion]] = [{} for _ in prompt_ids]
        self._rows: list[tuple[int, int]] = []  # (prompt, sample) of each active row
        size = size_of(request, prompt_ids, config)
        self._max_rows = size.rows
        self._workspace = workspace or Workspace(policy, size)
        self._store, self._progress = self._workspace.store, self._workspace.progress
        self._store.clear()
        self._progress.counts.zero_()
        self._is_finished, self._is_stop = self._workspace.is_finished, self._workspace.is_stop
        own = self._workspace.size
        self._shapes = Shapes(own.rows, own.slots) if mode != "exact" else None
        is_known = self._model.config.get_text_config()._attn_implementation == "sdpa"
        self._by_blocks = mode == "exact" and policy.device.type == "cpu" and is_known

    def run(self) -> list[list[Completion]]:
        while self.is_going_on:
            self._refill()
            finished = self._decode_token()
            if finished:
                self._retire(finished)
        return [[samples[index] for index in sorted(samples)] for samples in self._completions]

    @property
    def is_going_on(self) -> bool:
        return bool(self._queue or self._rows)

    def step(self) -> str:
        """Decode one token of a request for a single completion, and return its text so far."""
        self._refill()
        finished = self._decode_token()
        if not finished:
            return self._policy.decode(self._progress.ids(0))
        self._retire(finished)
        return self._completions[0][0].text

    def _refill(self) -> None:
        free = self._max_rows - len(self._rows)
        if self._rows and free < max(1, self._max_rows // _REFILL_SHARE):
            return
        starting = []
        while self._queue and len(self._queue[0].samples) <= free:
            starting.append(self._queue.popleft())
            free -= len(starting[-1].samples)
        for batch in self._prefill_batches(starting):
            self._admit(batch)

    def _prefill_batches(self, starting: list[_Siblings]) -> Iterator[list[_Siblings]]:
        """The queue is sorted by length, so a batch's first prompt is its longest."""
        while starting:
            fit = max(1, _PREFILL_TOKENS // len(self._prompt_ids[starting[0].prompt]))
            yield starting[:fit]
            starting = starting[fit:]

    def _admit(self, starting: list[_Siblings]) -> None:
        """Prefill each prompt and start its samples."""
        start = len(self._rows)
        self._rows += [(siblings.prompt, sample) for siblings in starting for sample in siblings.samples]
        rows, prompts = slice(start, len(self._rows)), [prompt for prompt, _ in self._rows[start:]]
        sources = [index for index, siblings in enumerate(starting) for _ in siblings.samples]
        ids = [self._prompt_ids[prompt] for prompt in prompts]
        # The last token of the prompt is left to the first decoding step, which yields its logits.
        self._store.append(
            self._prefill([self._prompt_ids[siblings.prompt] for siblings in starting]),
            self._tensor(sources),
            self._tensor([len(row) - 1 for row in ids]),
        )
        progress, budget, context = self._progress, self._request.max_tokens, self._policy.context_tokens
        progress.inputs[rows] = self._tensor([row[-1] for row in ids])
        progress.counts[rows] = 0
        progress.budgets[rows] = self._tensor([min(budget, context - len(row)) for row in ids])
        progress.uniforms[rows, :budget] = self._tensor(self._uniforms(self._rows[start:]))

    def _prefill(self, prompts: Sequence[Sequence[int]]) -> KeyValues:
        """Keys and values of each prompt but its last token; a lone token is kept, and written again."""
        lengths = [max(1, len(prompt) - 1) for prompt in prompts]
        ids = np.full((len(prompts), max(lengths)), self._policy.pad_id)
        for row, prompt, length in zip(ids, prompts, lengths, strict=True):
            row[:length] = prompt[:length]
        # Padded on the right, which causal attention never looks at: no mask, and positions count from 0.
        outputs = self._model.base_model(self._tensor(ids), use_cache=True)
        return [(layer.keys, layer.values) for layer in outputs.past_key_values.layers]

    def _decode_token(self) -> list[int]:
        """One token more for every row; returns the rows that are finished."""
        store = self._store
        rows, window = store.active, store.window
        if self._shapes is not None:
            rows, window = self._shapes.rows(rows), self._shapes.window(window)
        graphs = self._workspace.graphs(self._adapter, self._request.temperature)
        if graphs is not None:
            graphs.run(self._compute_token, rows, window)
        else:
            self._compute_token(rows, window)
        store.window += 1
        finished: list[int] = self._is_finished[: store.active].nonzero()[:, 0].tolist()
        return finished

    def _compute_token(self, rows: int, window: int) -> None:
        """One token more for the first R = `rows` rows; those that are not in use compute and move nothing.

        Only tensors change, and nothing waits for the device.
        """
        store, progress = self._store, self._progress
        counts = progress.counts[:rows, None]
        logits = self._logits(rows, store.begin_token(self._policy.dtype, rows=rows, window=window))
        numbers = progress.uniforms[:rows].gather(1, counts)[:, 0]
        tokens, logprobs = draw(logits, numbers, self._request.temperature)
        progress.tokens[:rows].scatter_(1, counts, tokens[:, None])
        progress.logprobs[:rows].scatter_(1, counts, logprobs[:, None])
        progress.inputs[:rows] = tokens
        store.end_token(rows)
        progress.counts[:rows] += store.in_use[:rows]
        is_done = progress.counts[:rows] >= progress.budgets[:rows]
        self._is_finished[:rows] = self._is_stop[tokens] | is_done

    def _logits(self, rows: int, mask: Tensor) -> Tensor:
        """[R, V] of the tokens that come next."""
        positions = self._store.positions[:rows]
        attention: AbstractContextManager[None] = nullcontext()
        if self._by_blocks:
            own = blocks(mask, positions, self._store.num_key_heads)
            attention = by_blocks(self._model.config.get_text_config(), own, mask)
        with attention:
            outputs = self._model(
                input_ids=self._progress.inputs[:rows, None],
                position_ids=positions[:, None],
                attention_mask=mask,
                past_key_values=self._store,
                use_cache=True,
                logits_to_keep=1,
            )
        logits: Tensor = outputs.logits[:, -1]
        return logits

    def _retire(self, finished: list[int]) -> None:
        """Turn finished rows into completions; the last rows take their places."""
        for row in finished:
            prompt, sample = self._rows[row]
            self._completions[prompt][sample] = self._completion(row, prompt)
        movers, holes = self._store.drop(finished)
        if movers:
            self._progress.move(movers, holes)
        for mover, hole in zip(movers, holes, strict=True):
            self._rows[hole] = self._rows[mover]
        del self._rows[self._store.active :]
        self._progress.counts[self._store.active :] = 0  # where a row in no use may write

    def _completion(self, row: int, prompt: int) -> Completion:
        ids = self._progress.ids(row)
        logprobs: list[float] = self._progress.logprobs[row, : len(ids)].tolist()
        if not all(map(math.isfinite, logprobs)):
            raise NotFinite(f"the logprobs of an answer are not finite: {why_not_finite(self._policy.model)}")
        is_stopped = ids[-1] in self._policy.stop_ids
        return Completion(
            text=self._policy.decode(ids[:-1] if is_stopped else ids),
            prompt_ids=self._prompt_ids[prompt],
            token_ids=tuple(ids),
            sampler_logprobs=tuple(logprobs),
            temperature=self._request.temperature,
            adapter=self._adapter,
            adapter_version=self._policy.versions.get(self._adapter, 0),
            finish_reason="stop" if is_stopped else "length",
            begun=self._policy.begun(self._request.prompts[prompt]) if self._request.prompts else "",
        )

    def _uniforms(self, rows: Sequence[tuple[int, int]]) -> np.ndarray:
        return np.stack([self._uniforms_of(prompt, sample) for prompt, sample in rows])

    def _uniforms_of(self, prompt: int, sample: int) -> np.ndarray:
        number, first = self._request.origin(prompt)
        stream, count = self._request.stream, self._request.max_tokens
        return uniforms(self._seed, stream, prompt=number, sample=first + sample, count=count)

    def _tensor(self, values: Sequence[int] | np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=self._policy.device)


def size_of(request: SamplingRequest, prompt_ids: Sequence[Sequence[int]], config: SettledSampling) -> Size:
    """The workspace that a request needs."""
    return Size(
        rows=min(config.batch_rows, len(prompt_ids) * request.num_samples),
        slots=max(map(len, prompt_ids)) + request.max_tokens,
        budget=request.max_tokens,
    )


def _in_turn(prompt_ids: Sequence[Sequence[int]], num_samples: int, batch_rows: int) -> list[_Siblings]:
    """All samples of a prompt together where they fit; long prompts first, and like lengths side by side."""
    by_length = sorted(range(len(prompt_ids)), key=lambda index: -len(prompt_ids[index]))
    return [
        _Siblings(prompt=index, samples=range(first, min(first + batch_rows, num_samples)))
        for index in by_length
        for first in range(0, num_samples, batch_rows)
    ]
