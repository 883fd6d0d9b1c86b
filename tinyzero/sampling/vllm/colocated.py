"""vLLM on the card that trains: awake while it samples, asleep while the adapters learn.

vLLM computes in a process of its own: its allocator, its compiler and its random numbers are not ours.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tinyzero.config import Settled, resolve_base
from tinyzero.errors import OutOfMemory, SamplerBroken
from tinyzero.policy.device import release_memory
from tinyzero.sampling.vllm.engine import Drawn, HandedOver, SampleSpec, lora_rank_for

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy

_logger = logging.getLogger(__name__)
_GIB = 2**30
_BUILTIN = "or set sampling.engine to builtin"
# Read when vLLM is first imported, and inherited by its process. It reports its use to its makers unless told
# not to, and logs to standard output, which belongs to the run's own view.
_SWITCHES = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_LOGGING_LEVEL": "WARNING",
}


class _ColocatedEngine:
    """A `vllm.LLM` of the same base, with LoRA and sleep mode."""

    def __init__(self, llm: Any, *, context_tokens: int, before_waking: Callable[[], None]) -> None:  # noqa: ANN401
        """Takes over an LLM that is awake.

        Args:
            before_waking: makes room on the card.
        """
        self._llm, self._before_waking = llm, before_waking
        self._is_awake = True
        self._context_tokens = context_tokens

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def load(self, adapter: HandedOver) -> None:
        with self._awake():
            is_loaded = self._llm.llm_engine.add_lora(_request_of(adapter))
        if not is_loaded:
            raise SamplerBroken(f"vLLM did not take the adapter in {adapter.folder}; see its log, {_BUILTIN}")

    def unload(self, adapter: HandedOver) -> None:
        if self._is_awake:  # asleep only at the end, when all goes
            with self._awake():
                self._llm.llm_engine.remove_lora(adapter.number)

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        adapter: HandedOver | None,
        temperature: float,
        stop_ids: Collection[int],
    ) -> list[Drawn]:
        with self._awake():
            outputs = self._llm.generate(
                [{"prompt_token_ids": list(spec.prompt_ids)} for spec in specs],
                [_parameters(spec, temperature, stop_ids) for spec in specs],
                use_tqdm=False,
                lora_request=None if adapter is None else _request_of(adapter),
            )
        return [_drawn(output) for output in outputs]

    def sleep(self) -> None:
        """Level 1: the weights go to main memory, keys and values are dropped."""
        if not self._is_awake:
            return
        with _telling_what_broke():
            self._llm.sleep(level=1)
        self._is_awake = False

    def close(self) -> None:
        """End vLLM's process; there is no public way."""
        try:
            with _telling_what_broke():
                self._llm.llm_engine.engine_core.shutdown()
        except SamplerBroken as error:  # it goes with ours at the latest
            _logger.warning("%s", error)

    @contextmanager
    def _awake(self) -> Iterator[None]:
        with _telling_what_broke():
            if not self._is_awake:
                self._before_waking()
                self._llm.wake_up()
                self._is_awake = True
            yield


def open_colocated(config: Settled, policy: "Policy") -> _ColocatedEngine:
    """Load the base a second time, into vLLM, which takes a minute or more.

    Raises:
        OutOfMemory: the card has less memory left than `sampling.vllm_gib`.
        SamplerBroken: vLLM does not start.
    """
    release_memory()
    free_gib, total_gib = (size / _GIB for size in torch.cuda.mem_get_info(policy.device))
    wanted_gib = config.sampling.vllm_gib
    if wanted_gib > free_gib:
        raise OutOfMemory(
            f"sampling.vllm_gib is {wanted_gib:g}, and {free_gib:.1f} of the card's {total_gib:.1f} GiB are "
            f"free beside the model that learns; lower it, {_BUILTIN}"
        )
    arguments = llm_arguments(
        config,
        dtype=str(policy.dtype).removeprefix("torch."),
        num_adapters=len(policy.adapters),
        context_tokens=policy.context_tokens,
        share=wanted_gib / total_gib,
    )
    # Not setdefault: whoever wants vLLM to report its use can run a server.
    os.environ.update(_SWITCHES)
    with _telling_what_broke(), _deaf_to_ctrl_c():
        from vllm import LLM

        llm = LLM(**arguments)
    return _ColocatedEngine(llm, context_tokens=arguments["max_model_len"], before_waking=release_memory)


def llm_arguments(
    config: Settled, *, dtype: str, num_adapters: int, context_tokens: int, share: float
) -> dict[str, Any]:
    """What `vllm.LLM` is called with (vllm 0.31, entrypoints/llm.py and engine/arg_utils.py).

    Args:
        context_tokens: of the base model.
        share: of the card's memory, 0 to 1.
    """
    sampling = config.sampling
    return {
        "model": resolve_base(config.model.base),
        "revision": config.model.revision,
        "tokenizer_revision": config.model.revision,
        "trust_remote_code": False,
        "dtype": dtype,
        # NF4 made while loading, doubly quantised like ours, by the package vllm-bnb-plugin.
        "quantization": "bitsandbytes" if config.model.is_4_bit else None,
        "max_model_len": min(context_tokens, config.longest_sequence),
        "max_num_seqs": sampling.batch_rows,
        "gpu_memory_utilization": share,
        "enforce_eager": not sampling.cuda_graphs,
        "enable_lora": True,
        "max_lora_rank": lora_rank_for(config.policy.rank),
        "max_loras": 1,  # a request has one adapter
        "max_cpu_loras": num_adapters + 1,  # a new one arrives before the old one goes
        "enable_sleep_mode": True,
        "logprobs_mode": "processed_logprobs",
        "generation_config": "vllm",  # the model's own would set top-k, top-p and penalties
        "seed": config.run.seed,
        "use_tqdm_on_load": False,
    }


def _request_of(adapter: HandedOver) -> Any:  # noqa: ANN401
    from vllm.lora.request import LoRARequest

    return LoRARequest(
        lora_name=adapter.name, lora_int_id=adapter.number, lora_path=str(adapter.folder.absolute())
    )


def _parameters(spec: SampleSpec, temperature: float, stop_ids: Collection[int]) -> Any:  # noqa: ANN401
    from vllm import SamplingParams

    return SamplingParams(
        n=1,
        temperature=temperature,
        top_p=1.0,
        top_k=0,
        min_p=0.0,
        seed=spec.seed,
        # The model's own end tokens would come on top of these.
        ignore_eos=True,
        stop_token_ids=sorted(stop_ids),
        max_tokens=spec.max_tokens,
        logprobs=0,  # that of the token drawn, and of no other
        detokenize=False,
        skip_special_tokens=False,
    )


def _drawn(output: Any) -> Drawn:  # noqa: ANN401  a vllm.RequestOutput
    (completion,) = output.outputs
    ids = tuple(completion.token_ids)
    places = zip(ids, completion.logprobs or (), strict=False)  # too few are told by the sampler
    return Drawn(token_ids=ids, logprobs=tuple(place[token].logprob for token, place in places))


@contextmanager
def _telling_what_broke() -> Iterator[None]:
    """What vLLM raises, in one line; its own log, on standard error, has the rest."""
    try:
        yield
    except _errors() as error:
        raise _broken(error) from error


def _errors() -> tuple[type[Exception], ...]:
    """With vLLM's own base, unless it was not imported: that may be what fails."""
    theirs = sys.modules.get("vllm.exceptions")
    return (ImportError, RuntimeError, ValueError, OSError, *([theirs.VLLMError] if theirs else []))


def _broken(error: Exception) -> SamplerBroken:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return SamplerBroken(
        f"vLLM on this card failed: {reason}; its log above says more. Lower sampling.batch_rows, change "
        f"sampling.vllm_gib, {_BUILTIN}"
    )


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl-C: it asks the run to end its step, which still samples."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
