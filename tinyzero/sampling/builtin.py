"""The built-in sampler: decodes with the very module that is trained, so nothing has to be synchronised."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from tinyzero.config import SettledSampling
from tinyzero.errors import ConfigError, OutOfMemory
from tinyzero.policy.policy import Policy
from tinyzero.sampling.decoding import Decoding, Mode, size_of
from tinyzero.sampling.graphs import on_cuda
from tinyzero.sampling.workspace import Size, Workspace
from tinyzero.types import Completion, Prompt, Role, SamplingRequest


class BuiltinSampler:
    """Samples from the policy as it is at that moment, with the adapter of the request's role.

    Attributes:
        mode: how a token is computed; falls back to exact where the card cannot record graphs.

    Where graphs are recorded, it holds the memory of a request until it is put to sleep: the next request
    replays them.
    """

    def __init__(
        self, policy: Policy, config: SettledSampling, seed: int, *, mode: Mode | None = None
    ) -> None:
        """A sampler of a policy.

        Args:
            mode: how a token is computed; None: what suits the device and the configuration.
        """
        self._policy = policy
        self._config = config
        self._seed = seed
        has_graphs = policy.device.type == "cuda" and config.cuda_graphs
        self.mode: Mode = mode or ("graphs" if has_graphs else "exact")
        self._wants_graphs = self.mode == "graphs"
        self._workspace: Workspace | None = None
        self._is_planned = True

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        """One list per prompt, in order, of `num_samples` completions each.

        Raises:
            ConfigError: a prompt is too long.
            OutOfMemory: the rows do not fit the device.
        """
        if not request.prompts:
            return []
        self._policy.activate(request.role)
        prompt_ids = [tuple(self._policy.encode(prompt)) for prompt in request.prompts]
        self._check_lengths(prompt_ids)
        try:
            with torch.inference_mode():
                workspace = self._kept_workspace(size_of(request, prompt_ids, self._config))
                completions = self._decoding(request, prompt_ids, workspace).run()
        except torch.OutOfMemoryError as error:
            self.sleep()
            raise OutOfMemory(
                f"{self._config.batch_rows} answers side by side do not fit into the device's memory; "
                "lower sampling.batch_rows"
            ) from error
        if workspace.has_failed:
            self.mode, self._workspace = "exact", None
        return completions

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
            role: whose adapter answers; None for the base model.

        Raises:
            ConfigError: the prompt is too long.
        """
        self._check_lengths([prompt_ids])
        request = SamplingRequest(
            role=role,
            prompts=(),  # it comes as token ids
            num_samples=1,
            max_tokens=max_tokens,
            temperature=temperature,
            stream=stream,
        )
        told = text = ""
        for text in self._texts(request, tuple(prompt_ids)):
            if text.startswith(told) and not text.endswith("\ufffd"):  # a character may take several tokens
                yield text[len(told) :]
                told = text
        yield text[len(told) :]

    def _texts(self, request: SamplingRequest, prompt_ids: tuple[int, ...]) -> Iterator[str]:
        """The only completion's text after each token. Whoever reads it may use the policy in between."""
        with torch.inference_mode():
            workspace = self._new_workspace(size_of(request, [prompt_ids], self._config))
            decoding = self._decoding(request, [prompt_ids], workspace)
        while decoding.is_going_on:
            with torch.inference_mode():
                self._policy.activate(request.role)
                text = decoding.step()
            yield text

    def _decoding(
        self, request: SamplingRequest, prompt_ids: list[tuple[int, ...]], workspace: Workspace
    ) -> Decoding:
        return Decoding(
            self._policy,
            self._config,
            self._seed,
            request,
            prompt_ids,
            mode=self.mode,
            workspace=workspace,
        )

    def _kept_workspace(self, size: Size) -> Workspace:
        """Where graphs are recorded, that of the requests before; as large as the plan of a run counts it."""
        held = self._workspace
        if self.mode != "graphs" or not self._is_planned:
            return self._new_workspace(size)
        if held is None or not held.serves(self._policy, size):
            longest = min(self._config.max_prompt_tokens + size.budget, self._policy.context_tokens)
            largest = size.joined(replace(size, rows=self._config.batch_rows, slots=longest))
            size = largest if held is None else largest.joined(held.size)
            self._workspace = held = None  # its memory makes room for the next
            self._workspace = held = self._new_workspace(size)
        return held

    def _new_workspace(self, size: Size) -> Workspace:
        record = on_cuda(self._policy.device) if self.mode == "graphs" else None
        return Workspace(self._policy, size, record=record)

    def metrics(self) -> dict[str, float]:
        """`sampling/without_graphs`: 1 where graphs were to be recorded and could not be, else 0."""
        return {"sampling/without_graphs": float(self.mode != "graphs")} if self._wants_graphs else {}

    def sleep(self) -> None:
        """Give the memory of requests back, and the graphs that were recorded on it."""
        self._workspace = None

    def close(self) -> None:
        """The same, for good."""
        self.sleep()

    def reaching(self, max_prompt_tokens: int) -> "BuiltinSampler":
        """The same sampler, with room for longer prompts."""
        config = self._config.model_copy(update={"max_prompt_tokens": max_prompt_tokens})
        longer = BuiltinSampler(self._policy, config, self._seed, mode=self.mode)
        longer._is_planned = False
        return longer

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
            is_configured = self._config.max_prompt_tokens < self._policy.context_tokens
            remedy = "raise the former" if is_configured else "take a base model with a longer context"
            raise ConfigError(
                f"a prompt has {longest} tokens; sampling.max_prompt_tokens is "
                f"{self._config.max_prompt_tokens} and the base model's context has "
                f"{self._policy.context_tokens}; {remedy}, or set prompts.style to compact"
            )
