"""The sampler over a vLLM: prompts to token ids, adapters to folders, what was drawn to completions."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.errors import SamplerBroken
from tinyzero.sampling.vllm.engine import HandedOver, VllmEngine

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b

from tinyzero.config import SettledSampling
from tinyzero.errors import ConfigError
from tinyzero.policy.policy import Policy
from tinyzero.sampling.vllm.engine import Drawn, SampleSpec
from tinyzero.types import Completion, Prompt, SamplingRequest

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """An adapter, and the state of the policy that it is: loads of saved weights, and updates."""

    state: tuple[int, int]
    adapter: HandedOver


class Handover:
    """The adapters that an engine serves, at most one of each name of the policy.

    The engine tells adapters apart by number and name, and keeps keys and values by name and folder. So what
    has changed gets all three anew, and the old one is forgotten and removed.
    """

    def __init__(self, policy: "Policy", engine: VllmEngine, folder: Path, *, mark: str) -> None:
        """Nothing is handed over yet.

        Args:
            folder: exists, and holds nothing else.
            mark: begins the names; different for all that may ask one server.
        """
        self._policy, self._engine, self._folder, self._mark = policy, engine, folder, mark
        self._served: dict[str, _Served] = {}
        self._count = 0

    def current(self, adapter: str) -> HandedOver | None:
        """The adapter with its weights as they are now; None where the name is empty, which is the base.

        Raises:
            SamplerBroken: the engine does not take it, or the folder cannot be written.
        """
        if not adapter:
            return None
        state = (self._policy.loads, self._policy.versions[adapter])
        served = self._served.get(adapter)
        if served is None or served.state != state:
            self._served[adapter] = _Served(state=state, adapter=self._hand_over(adapter))
            if served is not None:
                self._forget(served.adapter)
        return self._served[adapter].adapter

    def close(self) -> None:
        """Forget all, and remove the folder."""
        for served in self._served.values():
            self._forget(served.adapter)
        self._served = {}
        shutil.rmtree(self._folder, ignore_errors=True)

    def _hand_over(self, adapter: str) -> HandedOver:
        self._count += 1
        aside = self._folder / f"{self._count:06d}"
        try:
            folder = self._policy.save_adapter(adapter, aside)
        except OSError as error:
            raise SamplerBroken(
                f"cannot write an adapter into {self._folder} ({error.strerror or error}); make room, or "
                "name another folder as sampling.server_adapters"
            ) from error
        made = HandedOver(name=f"{self._mark}-{adapter}-{self._count}", number=self._count, folder=folder)
        try:
            self._engine.load(made)
        except SamplerBroken:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        return made

    def _forget(self, adapter: HandedOver) -> None:
        """An engine that cannot forget does no harm: it drops what no one asks for when it needs the room."""
        try:
            self._engine.unload(adapter)
        except SamplerBroken as error:
            _logger.warning("vLLM keeps the adapter %s: %s", adapter.name, error)
        shutil.rmtree(adapter.folder.parent, ignore_errors=True)


class VllmSampler:
    """Samples from the policy as it is at that moment, with the adapter of the request's role."""

    def __init__(
        self, policy: Policy, config: SettledSampling, seed: int, *, engine: VllmEngine, handover: Handover
    ) -> None:
        self._policy, self._config, self._seed = policy, config, seed
        self._engine, self._handover = engine, handover

    def sample(self, request: SamplingRequest) -> list[list[Completion]]:
        """One list per prompt, in order, of `num_samples` completions each.

        Raises:
            ConfigError: a prompt is too long.
            SamplerBroken: vLLM does not answer, or not as it was asked to.
        """
        if not request.prompts:
            return []
        adapter = self._policy.adapter_of(request.role)
        prompt_ids = [tuple(self._policy.encode(prompt)) for prompt in request.prompts]
        self._check_lengths(prompt_ids)
        specs = [
            self._spec(request, ids, prompt=prompt, sample=sample)
            for prompt, ids in enumerate(prompt_ids)
            for sample in range(request.num_samples)
        ]
        drawn = self._engine.generate(
            specs,
            adapter=self._handover.current(adapter),
            temperature=request.temperature,
            stop_ids=self._stop_ids,
        )
        prompts = [prompt for prompt in request.prompts for _ in range(request.num_samples)]
        completions = [
            replace(self._completion(request, adapter, spec, answer), begun=self._policy.begun(prompt))
            for prompt, spec, answer in zip(prompts, specs, drawn, strict=True)
        ]
        return [
            completions[start : start + request.num_samples]
            for start in range(0, len(completions), request.num_samples)
        ]

    def fits(self, prompt: Prompt) -> bool:
        """Whether the prompt is short enough for the configuration and the contexts of model and engine."""
        return len(self._policy.encode(prompt)) <= self._max_prompt_tokens

    def sleep(self) -> None:
        """Give the card's memory back until the next request."""
        self._engine.sleep()

    def close(self) -> None:
        """Take back the adapters, and stop the engine."""
        try:
            self._handover.close()
        finally:
            self._engine.close()

    def _spec(
        self, request: SamplingRequest, prompt_ids: tuple[int, ...], *, prompt: int, sample: int
    ) -> SampleSpec:
        number, first = request.origin(prompt)
        return SampleSpec(
            prompt_ids=prompt_ids,
            seed=sample_seed(self._seed, request.stream, prompt=number, sample=first + sample),
            max_tokens=min(request.max_tokens, self._context_tokens - len(prompt_ids)),
        )

    def _completion(
        self, request: SamplingRequest, adapter: str, spec: SampleSpec, drawn: Drawn
    ) -> Completion:
        ids = drawn.token_ids
        is_stopped = bool(ids) and ids[-1] in self._policy.stop_ids
        self._check(spec, drawn, is_stopped=is_stopped)
        return Completion(
            text=self._policy.decode(ids[:-1] if is_stopped else ids),
            prompt_ids=spec.prompt_ids,
            token_ids=ids,
            sampler_logprobs=drawn.logprobs,
            temperature=request.temperature,
            adapter=adapter,
            adapter_version=self._policy.versions.get(adapter, 0),
            finish_reason="stop" if is_stopped else "length",
        )

    def _check(self, spec: SampleSpec, drawn: Drawn, *, is_stopped: bool) -> None:
        """An answer cut short for a reason of the engine's own would be trained on like any other."""
        count, budget = len(drawn.token_ids), spec.max_tokens
        if len(drawn.logprobs) != count:
            raise SamplerBroken(
                f"vLLM gave {len(drawn.logprobs)} logprobs for {count} tokens; set sampling.engine to builtin"
            )
        if not is_stopped and count != budget:
            raise SamplerBroken(
                f"vLLM ended an answer after {count} of {budget} tokens, without an end token; see its log, "
                "or set sampling.engine to builtin"
            )
        if any(token in self._policy.stop_ids for token in drawn.token_ids[:-1]):
            raise SamplerBroken(
                "vLLM went on after an end token; its version is not the one that this was written for"
            )

    @property
    def _stop_ids(self) -> list[int]:
        """Those that the model can draw: vLLM refuses others."""
        vocabulary = self._policy.model.get_base_model().config.get_text_config().vocab_size
        return sorted(id_ for id_ in self._policy.stop_ids if id_ < vocabulary)

    @property
    def _context_tokens(self) -> int:
        return min(self._policy.context_tokens, self._engine.context_tokens)

    @property
    def _max_prompt_tokens(self) -> int:
        """One place of the context is left for an answer."""
        return min(self._config.max_prompt_tokens, self._context_tokens - 1)

    def _check_lengths(self, prompt_ids: Sequence[Sequence[int]]) -> None:
        longest = max(map(len, prompt_ids))
        if longest > self._max_prompt_tokens:
            raise ConfigError(
                f"a prompt has {longest} tokens; sampling.max_prompt_tokens is "
                f"{self._config.max_prompt_tokens} and the context has {self._context_tokens}; raise the "
                "former, or set prompts.style to compact"
            )


def sample_seed(seed: int, stream: str, *, prompt: int, sample: int) -> int:
    """The seed of one sample, 0 to 2^63 - 1: a function of these names, and of nothing sampled beside."""
    name = f"{seed}/{stream}/{prompt}/{sample}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1
