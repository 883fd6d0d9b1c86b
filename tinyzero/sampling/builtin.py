"""The built-in sampler: decodes with the very module that is trained, so nothing has to be synchronised.

Each prompt is prefilled once and shared by its samples. Rows are decoded side by side; a row that finishes
makes room for the next prompt in the queue.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tinyzero.config import SamplingConfig
from tinyzero.errors import ConfigError, OutOfMemory
from tinyzero.policy import Policy
from tinyzero.sampling.draw import draw, uniforms
from tinyzero.sampling.rows import KeyValues, RowStore
from tinyzero.types import Completion, Prompt, Role, SamplingRequest

_PREFILL_TOKENS = 8192
"""Padded prompt tokens in one forward: enough to keep a card busy, and few beside a training batch."""
_REFILL_SHARE = 8
"""Refill once an eighth of the rows is free: prefilling prompts one by one would cost a forward each."""


class BuiltinSampler:
    """Samples from the policy as it is at that moment, with the adapter of the prompts' role."""

    def __init__(self, policy: Policy, config: SamplingConfig, seed: int) -> None:
        self._policy = policy
        self._config = config
        self._seed = seed

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        """One list per prompt, in order, of `num_samples` completions each.

        Raises:
            ConfigError: a prompt is too long.
            OutOfMemory: the rows do not fit the device.
        """
        if not request.prompts:
            return []
        roles = {prompt.role for prompt in request.prompts}
        if len(roles) != 1:
            raise ValueError(
                f"one adapter answers a request, but its prompts are of the roles {sorted(roles)}"
            )
        self._policy.activate(roles.pop())
        prompt_ids = [tuple(self._policy.encode(prompt)) for prompt in request.prompts]
        self._check_lengths(prompt_ids)
        try:
            with torch.inference_mode():
                return _Decoding(self._policy, self._config, self._seed, request, prompt_ids).run()
        except torch.OutOfMemoryError as error:
            raise OutOfMemory(
                f"{self._config.batch_rows} answers side by side do not fit into the device's memory; "
                "lower sampling.batch_rows"
            ) from error

    def stream(
        self,
        role: Role | None,
        prompt_ids: Sequence[int],
        *,
        max_tokens: int,
        temperature: float,
        stream: str,
    ) -> Iterator[str]:
        """Sample one completion, and yield its text piece by piece as it is decoded.

        The pieces add up to the text that `sample` gives for this prompt alone under the same `stream`.

        Args:
            role: whose adapter answers; None for the reference, the base model itself.

        Raises:
            ConfigError: the prompt is too long.
        """
        self._check_lengths([prompt_ids])
        request = SamplingRequest(
            prompts=(Prompt(role=role or Role.SOLVER, kind="", text=""),),
            num_samples=1,
            max_tokens=max_tokens,
            temperature=temperature,
            stream=stream,
        )
        adapter = self._policy.adapter_of(role) if role else ""
        said = text = ""
        for text in self._texts(adapter, request, tuple(prompt_ids)):
            if text.startswith(said) and not text.endswith("\ufffd"):  # a character may take several tokens
                yield text[len(said) :]
                said = text
        yield text[len(said) :]

    def _texts(self, adapter: str, request: SamplingRequest, prompt_ids: tuple[int, ...]) -> Iterator[str]:
        """The only completion's text after each token. Whoever reads it may use the policy in between."""
        with torch.inference_mode():
            decoding = _Decoding(self._policy, self._config, self._seed, request, [prompt_ids])
        while decoding.is_going_on:
            with torch.inference_mode():
                self._policy.wear(adapter)
                text = decoding.step()
            yield text

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt is short enough for the configuration and the base model's context."""
        return len(self._policy.encode(prompt)) <= self._max_prompt_tokens

    @property
    def _max_prompt_tokens(self) -> int:
        """One place of the context is left for an answer."""
        return min(self._config.max_prompt_tokens, self._policy.context_tokens - 1)

    def _check_lengths(self, prompt_ids: Sequence[Sequence[int]]) -> None:
        longest = max(map(len, prompt_ids))
        if longest > self._max_prompt_tokens:
            raise ConfigError(
                f"a prompt has {longest} tokens; sampling.max_prompt_tokens is "
                f"{self._config.max_prompt_tokens} and the base model's context has "
                f"{self._policy.context_tokens}; raise the former, or set prompts.style to compact"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Samples of one prompt that start together."""

    prompt: int
    samples: range


class _Decoding:
    """One request in progress. R rows, T tokens of budget."""

    def __init__(
        self,
        policy: Policy,
        config: SamplingConfig,
        seed: int,
        request: SamplingRequest,
        prompt_ids: list[tuple[int, ...]],
    ) -> None:
        self._policy, self._seed, self._request, self._prompt_ids = policy, seed, request, prompt_ids
        self._model = policy.model.get_base_model()
        self._adapter = policy.adapter_of(request.prompts[0].role)
        self._queue = deque(_jobs(prompt_ids, request.num_samples, config.batch_rows))
        self._completions: list[dict[int, Completion]] = [{} for _ in prompt_ids]
        self._rows: list[tuple[int, int]] = []  # (prompt, sample) of each active row
        device, budget = policy.device, request.max_tokens
        self._max_rows = min(config.batch_rows, len(prompt_ids) * request.num_samples)
        capacity = max(map(len, prompt_ids)) + budget
        self._store = RowStore(num_rows=self._max_rows, capacity=capacity, device=device)
        self._stops = torch.tensor(sorted(policy.stop_ids), device=device)
        self._inputs = torch.zeros(self._max_rows, dtype=torch.long, device=device)
        self._counts = torch.zeros(self._max_rows, dtype=torch.long, device=device)
        self._budgets = torch.zeros(self._max_rows, dtype=torch.long, device=device)
        self._numbers = torch.zeros(self._max_rows, budget, dtype=torch.float64, device=device)
        self._tokens = torch.zeros(self._max_rows, budget, dtype=torch.long, device=device)
        self._logprobs = torch.zeros(self._max_rows, budget, device=device)

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
        ids = self._tokens[0, : int(self._counts[0])].tolist()
        if not finished:
            return self._policy.decode(ids)
        self._retire(finished)
        return self._completions[0][0].text

    def _refill(self) -> None:
        free = self._max_rows - len(self._rows)
        if self._rows and free < max(1, self._max_rows // _REFILL_SHARE):
            return
        jobs = []
        while self._queue and len(self._queue[0].samples) <= free:
            jobs.append(self._queue.popleft())
            free -= len(jobs[-1].samples)
        for batch in self._prefill_batches(jobs):
            self._admit(batch)

    def _prefill_batches(self, jobs: list[_Job]) -> Iterator[list[_Job]]:
        """The queue is sorted by length, so a batch's first prompt is its longest."""
        while jobs:
            fit = max(1, _PREFILL_TOKENS // len(self._prompt_ids[jobs[0].prompt]))
            yield jobs[:fit]
            jobs = jobs[fit:]

    def _admit(self, jobs: list[_Job]) -> None:
        """Prefill each job's prompt and start its samples."""
        start = len(self._rows)
        self._rows += [(job.prompt, sample) for job in jobs for sample in job.samples]
        rows, prompts = slice(start, len(self._rows)), [prompt for prompt, _ in self._rows[start:]]
        sources = [index for index, job in enumerate(jobs) for _ in job.samples]
        ids = [self._prompt_ids[prompt] for prompt in prompts]
        # The last token of the prompt is left to the first decoding step, which yields its logits.
        self._store.append(
            self._prefill([self._prompt_ids[job.prompt] for job in jobs]),
            self._tensor(sources),
            self._tensor([len(row) - 1 for row in ids]),
        )
        self._inputs[rows] = self._tensor([row[-1] for row in ids])
        self._counts[rows] = 0
        budget, context = self._request.max_tokens, self._policy.context_tokens
        self._budgets[rows] = self._tensor([min(budget, context - len(row)) for row in ids])
        self._numbers[rows] = torch.from_numpy(self._uniforms(self._rows[start:])).to(self._numbers.device)

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
        store, active = self._store, slice(len(self._rows))
        logits = self._model(
            input_ids=self._inputs[active, None],
            position_ids=store.positions[active, None],
            attention_mask=store.begin_token(self._policy.dtype),
            past_key_values=store,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]  # [R, V]
        counts = self._counts[active, None]
        numbers = self._numbers[active].gather(1, counts)[:, 0]
        tokens, logprobs = draw(logits, numbers, self._request.temperature)
        self._tokens[active].scatter_(1, counts, tokens[:, None])
        self._logprobs[active].scatter_(1, counts, logprobs[:, None])
        self._inputs[active] = tokens
        self._counts[active] += 1
        store.end_token()
        is_finished = torch.isin(tokens, self._stops) | (self._counts[active] >= self._budgets[active])
        finished: list[int] = is_finished.nonzero()[:, 0].tolist()
        return finished

    def _retire(self, finished: list[int]) -> None:
        """Turn finished rows into completions; the last rows take their places."""
        for row in finished:
            prompt, sample = self._rows[row]
            self._completions[prompt][sample] = self._completion(row, prompt)
        movers, holes = self._store.drop(finished)
        if movers:
            for state in (
                self._inputs,
                self._counts,
                self._budgets,
                self._numbers,
                self._tokens,
                self._logprobs,
            ):
                state[holes] = state[movers]
        for mover, hole in zip(movers, holes, strict=True):
            self._rows[hole] = self._rows[mover]
        del self._rows[self._store.active :]

    def _completion(self, row: int, prompt: int) -> Completion:
        count = int(self._counts[row])
        ids = self._tokens[row, :count].tolist()
        is_stopped = ids[-1] in self._policy.stop_ids
        return Completion(
            text=self._policy.decode(ids[:-1] if is_stopped else ids),
            prompt_ids=self._prompt_ids[prompt],
            token_ids=tuple(ids),
            sampler_logprobs=tuple(self._logprobs[row, :count].tolist()),
            temperature=self._request.temperature,
            adapter=self._adapter,
            adapter_version=self._policy.versions.get(self._adapter, 0),
            finish_reason="stop" if is_stopped else "length",
        )

    def _uniforms(self, rows: Sequence[tuple[int, int]]) -> np.ndarray:
        stream, count = self._request.stream, self._request.max_tokens
        return np.stack(
            [
                uniforms(self._seed, stream, prompt=prompt, sample=sample, count=count)
                for prompt, sample in rows
            ]
        )

    def _tensor(self, values: Sequence[int] | np.ndarray) -> Tensor:
        return torch.as_tensor(values, device=self._policy.device)


def _jobs(prompt_ids: Sequence[Sequence[int]], num_samples: int, batch_rows: int) -> list[_Job]:
    """All samples of a prompt together where they fit; long prompts first, and like lengths side by side."""
    by_length = sorted(range(len(prompt_ids)), key=lambda index: -len(prompt_ids[index]))
    return [
        _Job(prompt=index, samples=range(first, min(first + batch_rows, num_samples)))
        for index in by_length
        for first in range(0, num_samples, batch_rows)
    ]
