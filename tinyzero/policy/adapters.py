"""Puts the LoRA adapters on a base model."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING

import torch
from torch import nn

from tinyzero.config import Loader, ModelConfig, PolicyConfig
from tinyzero.errors import ModelLoadError
from tinyzero.policy import unsloth_loading

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel

_REMEDY = "take a causal language model of a family in docs/models.md"


def add_adapters(
    base: nn.Module,
    model: ModelConfig,
    policy: PolicyConfig,
    names: Sequence[str],
    *,
    seed: int,
    loader: Loader,
) -> "PeftModel":
    """LoRA on every linear layer but the LM head, in float32, one adapter per name.

    Raises:
        ModelLoadError: there is no such layer, or the LM head is more than one matrix.
    """
    from peft import LoraConfig

    lora = LoraConfig(
        r=policy.rank,
        lora_alpha=policy.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    if loader == "unsloth":
        with _seeded("unsloth"):  # it sets the global seed
            wrapped = unsloth_loading.wrap(base, lora, gradient_checkpointing=model.gradient_checkpointing)
        missing = names
    else:
        wrapped, missing = _wrap(base, lora, names[0], seed), names[1:]
    for name in missing:
        with _seeded(f"{seed}/{name}"):
            wrapped.add_adapter(name, lora, autocast_adapter_dtype=True)
    if loader == "unsloth":
        wrapped.set_adapter(names[0])
        wrapped.delete_adapter(unsloth_loading.FIRST)
    _check_adapters(wrapped, model.base)
    return wrapped


def _wrap(base: nn.Module, lora: "LoraConfig", name: str, seed: int) -> "PeftModel":
    from peft import get_peft_model

    with _seeded(f"{seed}/{name}"), warnings.catch_warnings():
        # peft 0.21 reads an attribute that transformers has renamed.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
        return get_peft_model(base, lora, adapter_name=name, autocast_adapter_dtype=True)


def _check_adapters(wrapped: nn.Module, base: str) -> None:
    lora = {name: parameter for name, parameter in wrapped.named_parameters() if "lora_" in name}
    if not lora:
        raise ModelLoadError(f"no linear layer of {base!r} takes an adapter; {_REMEDY}")
    # The fused head multiplies by the head's raw weight, so an adapter on it would be ignored there.
    in_head = [name for name in lora if "lm_head" in name]
    if in_head:
        layer = in_head[0].partition(".lora_")[0].removeprefix("base_model.model.")
        raise ModelLoadError(
            f"the LM head of {base!r} has layers of its own ({layer}), and the learner reads one matrix; "
            f"{_REMEDY}"
        )
    # At a learning rate of 1e-5 a 16-bit weight rounds most updates away.
    assert all(parameter.dtype is torch.float32 for parameter in lora.values()), "adapters must be float32"  # noqa: S101


@contextmanager
def _seeded(name: str) -> Iterator[None]:
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") >> 1)
        yield
