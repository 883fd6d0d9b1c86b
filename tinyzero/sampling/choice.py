"""Which engine samples, and whether this machine has it: told before anything is loaded."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from tinyzero.config import VLLM_SERIES, Settled
from tinyzero.errors import ConfigError, SamplerBroken
from tinyzero.types import Sampler

if TYPE_CHECKING:
    from tinyzero.policy.policy import Policy
    from tinyzero.sampling.vllm.engine import VllmEngine
    from tinyzero.sampling.vllm.fleet import ServerFleet
    from tinyzero.sampling.vllm.server import ServerEngine

MakeSampler = Callable[["Policy", Settled], Sampler]
SAMPLERS: dict[str, MakeSampler] = {}
"""The samplers of plugins, by name."""

_INSTALL = "pip install -e '.[vllm]' in TinyZero's folder"
_OTHERWISE = "or set sampling.engine to builtin"


@dataclass(frozen=True, slots=True, kw_only=True)
class VllmSupport:
    """What this machine has of what a vLLM needs.

    Attributes:
        version: of vllm, None where it is not installed.
        has_nf4: vllm-bnb-plugin is installed, without which vLLM reads no 4-bit weights.
    """

    version: str | None
    has_nf4: bool
    has_cuda: bool


def choose_sampler(config: Settled) -> MakeSampler:
    """What makes the sampler that the configuration names, once the policy is there.

    Raises:
        ConfigError: this machine lacks something for it.
        SamplerBroken: the server is not there, or does not serve this run's base model.
    """
    if config.sampling.engine == "builtin":
        return builtin_sampler
    if config.sampling.engine in SAMPLERS:
        return SAMPLERS[config.sampling.engine]
    if config.sampling.server_url is None:
        check_colocated(config, _look())
        return _colocated_sampler
    from tinyzero.config import resolve_base
    from tinyzero.sampling.vllm.fleet import ServerFleet
    from tinyzero.sampling.vllm.server import open_server

    open_at = partial(open_server, config, resolve_base(config.model.base))
    urls = config.sampling.server_urls
    return partial(_server_sampler, open_at(urls[0]) if len(urls) == 1 else ServerFleet(urls, open_at))


def builtin_sampler(policy: "Policy", config: Settled) -> Sampler:
    """The sampler that decodes with the very module that learns."""
    from tinyzero.sampling.builtin import BuiltinSampler

    return BuiltinSampler(policy, config.sampling, config.run.seed)


def check_colocated(config: Settled, support: VllmSupport) -> None:
    """Raises ConfigError where a vLLM on this machine's card cannot be."""
    if config.hardware.device == "cpu" or not support.has_cuda:
        raise ConfigError(
            "sampling.engine is vllm, which needs a CUDA card of this machine or a server; set "
            f"sampling.server_url, {_OTHERWISE}"
        )
    if support.version is None:
        raise ConfigError(f"sampling.engine is vllm, which is not installed; {_INSTALL}, {_OTHERWISE}")
    if not f"{support.version}.".startswith(f"{VLLM_SERIES}."):
        raise ConfigError(
            f"vllm {support.version} is installed, and only {VLLM_SERIES} is known to have what is called; "
            f"{_INSTALL}, {_OTHERWISE}"
        )
    if config.model.is_4_bit and not support.has_nf4:
        raise ConfigError(
            "the base model is in 4 bit, which vLLM reads with vllm-bnb-plugin, and that is not installed; "
            f"{_INSTALL}, {_OTHERWISE}"
        )
    if config.model.is_4_bit and config.model.dtype == "float16":
        raise ConfigError(
            "model.dtype is float16, and vllm-bnb-plugin computes a base in 4 bit in bfloat16 whatever the "
            f"type; set model.quantization to none, {_OTHERWISE}"
        )


def _look() -> VllmSupport:
    import torch

    try:
        installed = version("vllm") if find_spec("vllm") else None
    except PackageNotFoundError:
        installed = None
    has_nf4 = find_spec("vllm_bnb_plugin") is not None
    return VllmSupport(version=installed, has_nf4=has_nf4, has_cuda=torch.cuda.is_available())


def _colocated_sampler(policy: "Policy", config: Settled) -> Sampler:
    from tinyzero.sampling.vllm.colocated import open_colocated

    return over_engine(open_colocated(config, policy), policy, config)


def _server_sampler(engine: "ServerEngine | ServerFleet", policy: "Policy", config: Settled) -> Sampler:
    needed = min(policy.context_tokens, config.longest_sequence)
    if engine.context_tokens < needed:
        raise SamplerBroken(
            f"the vLLM server takes {engine.context_tokens} tokens, and this run has up to {needed}; start "
            f"it like this: {engine.restart}"
        )
    return over_engine(engine, policy, config)


def over_engine(engine: "VllmEngine", policy: "Policy", config: Settled) -> Sampler:
    """A sampler that hands the policy's adapters over to an engine, and closes it in the end."""
    from tinyzero.sampling.vllm.sampler import Handover, VllmSampler

    mark = f"tinyzero-{uuid4().hex[:8]}"  # of this process alone: a server may serve several
    try:
        folder = _new_folder(config.sampling.server_adapters, mark)
    except ConfigError:
        engine.close()
        raise
    handover = Handover(policy, engine, folder, mark=mark)
    return VllmSampler(policy, config.sampling, config.run.seed, engine=engine, handover=handover)


def _new_folder(parent: str | None, name: str) -> Path:
    if parent is None:
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))
    folder = Path(parent).expanduser() / name
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            f"cannot make a folder in sampling.server_adapters ({parent}): {error.strerror}; name one that "
            "this machine may write to and the server can read"
        ) from error
    return folder
