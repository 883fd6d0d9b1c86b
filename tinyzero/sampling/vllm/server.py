"""A `vllm serve` elsewhere: completions, adapters and its state over HTTP, by the standard library alone.

It contacts `sampling.server_url` and nothing else, past any proxy that the environment names.
"""

import re
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tinyzero.config import SamplingConfig, Settled
from tinyzero.errors import ConfigError, SamplerBroken
from tinyzero.foreign import BadContent, read_text
from tinyzero.sampling.vllm.address import Address, Refused, Unreachable
from tinyzero.sampling.vllm.engine import Drawn, HandedOver, SampleSpec, lora_rank_for

_OLDEST = (0, 31)
_PROBE = "tinyzero-probe"
_TIMEOUT_S = 600.0


class ServerEngine:
    """A server that serves our base model, and takes adapters while it runs.

    Attributes:
        at_once: requests in flight. restart: how to start one that fits.
    """

    def __init__(
        self, address: Address, *, base: str, context_tokens: int, at_once: int, restart: str
    ) -> None:
        """A server that was looked at.

        Args:
            base: what the server calls the base model.
            at_once: requests in flight.
        """
        self._address, self._base, self.at_once = address, base, at_once
        self._context_tokens, self.restart = context_tokens, restart

    @property
    def context_tokens(self) -> int:
        return self._context_tokens

    def load(self, adapter: HandedOver) -> None:
        body = {"lora_name": adapter.name, "lora_path": str(adapter.folder.absolute())}
        try:
            self._address.post("/v1/load_lora_adapter", body)
        except Refused as error:
            # A lost answer was asked for again; the name is ours alone.
            if "already been loaded" not in error.reason:
                raise SamplerBroken(
                    f"the vLLM at {self._address} did not take the adapter in {adapter.folder}: "
                    f"{error.reason}; it must be able to read that folder (sampling.server_adapters), and be "
                    f"started like this: {self.restart}"
                ) from error

    def unload(self, adapter: HandedOver) -> None:
        try:
            self._address.post("/v1/unload_lora_adapter", {"lora_name": adapter.name})
        except Refused as error:
            raise SamplerBroken(error.reason) from error

    def generate(
        self,
        specs: Sequence[SampleSpec],
        *,
        adapter: HandedOver | None,
        temperature: float,
        stop_ids: Collection[int],
    ) -> list[Drawn]:
        """A request per sample: the prompts of one request would share its seed."""
        model = self._base if adapter is None else adapter.name
        bodies = [_completion_body(spec, model, temperature, stop_ids) for spec in specs]
        with ThreadPoolExecutor(min(self.at_once, len(specs)), "vllm-request") as threads:
            waiting = [threads.submit(self._complete, body) for body in bodies]
            try:
                return [answer.result() for answer in waiting]
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def sleep(self) -> None:
        """The server's card is its own business."""

    def close(self) -> None:
        """The server goes on."""

    def _complete(self, body: dict[str, Any]) -> Drawn:
        try:
            answer = self._address.post("/v1/completions", body)
        except Refused as error:
            raise SamplerBroken(
                f"the vLLM at {self._address} refused a prompt: {error.reason}; see its log"
            ) from error
        try:
            return _drawn(answer, prompt_ids=body["prompt"])
        except (KeyError, TypeError, ValueError) as error:
            raise SamplerBroken(
                f"the vLLM at {self._address} answers in a form that is not known ({error!r}); use vllm "
                f"{_in_words(_OLDEST)}"
            ) from error


def _completion_body(
    spec: SampleSpec, model: str, temperature: float, stop_ids: Collection[int]
) -> dict[str, Any]:
    """The body of a /v1/completions (vllm 0.31, entrypoints/openai/completion/protocol.py).

    What is left out, the server fills in from the model's generation_config: so nothing is.
    """
    return {
        "model": model,
        "prompt": list(spec.prompt_ids),
        "add_special_tokens": False,
        "n": 1,
        "seed": spec.seed,
        "max_tokens": spec.max_tokens,
        "temperature": temperature,
        "top_p": 1.0,
        "top_k": 0,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "repetition_penalty": 1.0,
        "watermarking": False,
        "ignore_eos": True,
        "stop_token_ids": sorted(stop_ids),
        "logprobs": 0,  # that of the token drawn, and of no other
        "return_token_ids": True,
        "skip_special_tokens": False,
        "stream": False,
    }


def open_server(
    config: Settled,
    base: str,
    url: str,
    *,
    pause: Callable[[float], None] = time.sleep,
    timeout_s: float = _TIMEOUT_S,
) -> ServerEngine:
    """Look at a server that the configuration names.

    Args:
        base: folder or Hub id of the base model here.
        pause: waits some seconds, between tries.
        timeout_s: to wait for one answer, queueing included.

    Raises:
        ConfigError: the key cannot be read.
        SamplerBroken: no server there, or one that cannot serve this run.
    """
    sampling = config.sampling
    address = Address(url, timeout_s=timeout_s, key=_key(sampling), pause=pause)
    restart = serve_command(config, base)
    try:
        address.get("/health")
        _check_version(address)
        name, context = _find_base(address, base, restart)
        _check_takes_adapters(address, restart)
    except Refused as error:
        raise SamplerBroken(
            f"the vLLM at {address} refused a question at the start: {error.reason}; is it a vllm serve, and "
            "sampling.server_key_file right?"
        ) from error
    except Unreachable as error:
        raise SamplerBroken(f"{error.what}; start one: {restart}") from error
    return ServerEngine(
        address, base=name, context_tokens=context, at_once=sampling.batch_rows, restart=restart
    )


def serve_command(config: Settled, base: str) -> str:
    """A command line that starts a server for this run."""
    model = config.model
    quantized = " --quantization bitsandbytes" if model.is_4_bit else ""
    revision = "" if model.revision is None else f" --revision {model.revision}"
    num_adapters = 2 if config.policy.adapters == "per-role" else 1
    return (
        f"VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 VLLM_NO_USAGE_STATS=1 vllm serve {base} --enable-lora "
        f"--max-lora-rank {lora_rank_for(config.policy.rank)} --max-cpu-loras {num_adapters + 1} "
        f"--max-model-len {config.longest_sequence} --logprobs-mode processed_logprobs "
        f"--generation-config vllm{quantized} --dtype {model.dtype}{revision}"
    )


def _key(sampling: SamplingConfig) -> str | None:
    if sampling.server_key_file is None:
        return None
    path = Path(sampling.server_key_file).expanduser()
    try:
        return read_text(path).strip()
    except (OSError, BadContent) as error:
        raise ConfigError(
            f"cannot read sampling.server_key_file ({path}): {error}; make that file"
        ) from error


def _check_version(address: Address) -> None:
    said = str(address.get("/version").get("version", ""))
    found = re.match(r"(\d+)\.(\d+)", said)
    if found is None or tuple(map(int, found.groups())) < _OLDEST:
        raise SamplerBroken(
            f"the server at {address} is vllm {said or 'of no version'}; this needs {_in_words(_OLDEST)} "
            "or newer"
        )


def _find_base(address: Address, base: str, restart: str) -> tuple[str, int]:
    """What the server calls our base model, and its longest sequence."""
    cards = [card for card in address.get("/v1/models").get("data", []) if card.get("parent") is None]
    for card in cards:
        if _last_part(base) in {_last_part(str(card.get(name) or "")) for name in ("id", "root")}:
            return str(card["id"]), int(card.get("max_model_len") or 1 << 30)
    served = ", ".join(str(card.get("root") or card.get("id")) for card in cards) or "nothing"
    raise SamplerBroken(
        f"the vLLM at {address} serves {served}, and this run trains {base}; start it: {restart}"
    )


def _last_part(base: str) -> str:
    """Folders lie elsewhere on another machine, and a Hub id may have been downloaded into one."""
    return base.rstrip("/").rpartition("/")[2]


def _check_takes_adapters(address: Address, restart: str) -> None:
    """Ask to forget an adapter that is not there: a server that could, says so by its name."""
    try:
        address.post("/v1/unload_lora_adapter", {"lora_name": _PROBE})
    except Refused as error:
        if _PROBE in error.reason:
            return
        if error.status not in (404, 405):
            raise
        raise SamplerBroken(
            f"the vLLM at {address} takes no adapters while it runs; start it like this: {restart}"
        ) from error


def _drawn(answer: dict[str, Any], *, prompt_ids: list[int]) -> Drawn:
    (choice,) = answer["choices"]
    if choice["prompt_token_ids"] != prompt_ids:
        raise ValueError("the prompt was changed")
    return Drawn(
        token_ids=tuple(map(int, choice["token_ids"])),
        logprobs=tuple(map(float, choice["logprobs"]["token_logprobs"])),
    )


def _in_words(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
