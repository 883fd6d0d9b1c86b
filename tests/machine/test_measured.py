"""The activation formulas against what torch really keeps, counted on a small model: bytes need no GPU."""

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tinyzero.machine.memory import activation_bytes_per_token
from tinyzero.machine.shapes import ModelShape

TOKENS = 192


def shape(layers: int) -> ModelShape:
    return ModelShape(
        layers=layers,
        hidden=128,
        heads=8,
        kv_heads=2,
        head_dim=16,
        intermediate=512,
        vocabulary=64,
        is_tied=True,
    )


class LiveBytes(TorchDispatchMode):
    """Bytes of the tensors that are alive and were made since the start, and their peak."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.live, self.now, self.peak = known, {}, 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._note(tensor.untyped_storage())
        return result

    def _note(self, storage: Any) -> None:
        address = storage._cdata
        if storage.data_ptr() in self.known or address in self.live:
            return
        self.live[address] = storage.nbytes()
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, address)

    def _forget(self, address: int) -> None:
        self.now -= self.live.pop(address, 0)


def wrapped(layers: int, dtype: torch.dtype, *, is_recomputed: bool) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    of = shape(layers)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=of.vocabulary,
            hidden_size=of.hidden,
            intermediate_size=of.intermediate,
            num_hidden_layers=layers,
            num_attention_heads=of.heads,
            num_key_value_heads=of.kv_heads,
            tie_word_embeddings=True,
        )
    ).to(dtype)
    model.requires_grad_(requires_grad=False)
    lora = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    made = get_peft_model(model, lora)
    if is_recomputed:
        getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)(
            {"use_reentrant": False}
        )
    return made.train()


def peak_bytes_per_token(layers: int, dtype: torch.dtype, *, is_recomputed: bool) -> float:
    model = wrapped(layers, dtype, is_recomputed=is_recomputed)
    ids = torch.zeros(1, TOKENS, dtype=torch.long)
    mask = torch.zeros(1, 1, TOKENS, TOKENS, dtype=dtype)
    base = model.get_base_model().base_model

    def step() -> None:
        hidden = base(ids, attention_mask=mask, use_cache=False).last_hidden_state
        hidden.float().sum().backward()

    step()  # from here on the gradients are there
    known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    with LiveBytes(known) as live:
        step()
    return live.peak / TOKENS


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("is_recomputed", [False, True])
def test_a_learning_step_keeps_what_the_plan_says(dtype, is_recomputed):
    layers, size = 4, torch.finfo(dtype).bits // 8
    planned = activation_bytes_per_token(shape(layers), size, is_recomputed=is_recomputed)
    measured = peak_bytes_per_token(layers, dtype, is_recomputed=is_recomputed)
    assert measured == pytest.approx(planned, rel=0.05)


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_a_prefill_has_alive_what_the_plan_says():
    for dtype in (torch.float32, torch.bfloat16):
        of, size = shape(4), torch.finfo(dtype).bits // 8
        model = wrapped(4, dtype, is_recomputed=False).eval()
        known = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
        with torch.inference_mode(), LiveBytes(known) as live:
            outputs = model.get_base_model().base_model(
                torch.zeros(1, TOKENS, dtype=torch.long), use_cache=True
            )
        assert outputs.past_key_values is not None
        planned = of.kv_numbers_per_token * size + (of.intermediate + of.hidden) * (2 * size + 8)
        assert live.peak / TOKENS == pytest.approx(planned, rel=0.08)
