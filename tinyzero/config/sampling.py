"""The knobs of the sampler, for all engines."""

import re
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tinyzero.config.named import Named
from tinyzero.config.section import Section

VLLM_SERIES = "0.31"
"""The supported releases of vLLM."""
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Allowed values of vLLM's max_lora_rank (vllm 0.31, config/lora.py)."""
_VLLM_TEMPERATURES = (0.01, 2.0)
"""vLLM silently raises lower temperatures to the first, and refuses higher ones (sampling_params.py)."""
_ADDRESS = re.compile(r"https?://[^/\s?#@]+(/[^\s?#]*)?")


class SamplingConfig(Section):
    """The sampler."""

    engine: Annotated[str, Named("sampling.engine")] = "builtin"
    """builtin decodes with the trained module itself. vllm serves each role's adapter on its own copy of the
    base: on this card, or on the server in `server_url` (docs/vllm.md). Never run on a GPU yet. Or
    the sampler of a plugin."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of all training samples. Roles share it: the fused LM head scores at one temperature."""
    max_prompt_tokens: int = Field(default=2048, ge=16)
    """Longer prompts are never used: they show fewer references, and a task that is too long is refused."""
    batch_rows: Annotated[int, Field(ge=1)] | Literal["auto"] = 64
    """Sequences decoded in parallel; finished rows are replaced from a queue. auto: as many as the memory of
    this machine's card allows."""
    cuda_graphs: bool = True
    """Record a decoding step on the card and replay it for each token, which saves the time of launching its
    kernels one by one. No effect on a CPU. Also applies to a vLLM on this card."""
    vllm_gib: float = Field(default=6.0, gt=0)
    """Memory of this card that vLLM may have while it is awake, GiB: its weights, and the rest for keys and
    values. It sleeps while the adapters learn. No effect on a server."""
    server_url: str | tuple[str, ...] | None = None
    """Address of a `vllm serve`, as in http://10.0.0.2:8000, or a list of several; none = vLLM on this
    machine's card."""
    server_adapters: str | None = None
    """Folder for passing adapters to the server; both machines must see it under this path. none = a
    temporary folder, for a server that runs here under the same user."""
    server_key_file: str | None = None
    """File with the API key of a server that was started with --api-key; none = no key is sent."""

    @property
    def server_urls(self) -> tuple[str, ...]:
        """The addresses of all servers; empty where vLLM runs here."""
        urls = self.server_url or ()
        return (urls,) if isinstance(urls, str) else urls

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine != "vllm":
            if self.server_url is not None:
                raise ValueError(
                    f'sampling.server_url is set, but sampling.engine is "{self.engine}", which asks no '
                    'server; set it to "vllm"'
                )
            return self
        wrong = [url for url in self.server_urls if not _ADDRESS.fullmatch(url)]
        if wrong:
            raise ValueError(f'sampling.server_url is "{wrong[0]}"; it must be like http://10.0.0.2:8000')
        if self.server_url == () or len(set(self.server_urls)) < len(self.server_urls):
            raise ValueError("sampling.server_url must list each address once, and at least one")
        low, high = _VLLM_TEMPERATURES
        if not low <= self.temperature <= high:
            raise ValueError(
                f"sampling.temperature is {self.temperature:g}, and vLLM takes {low:g} to {high:g}; change "
                "it, or set sampling.engine to builtin"
            )
        return self
