"""Grouped queries on a card: the same mixture as transformers', and no keys that were read twice."""

from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tinyzero.policy import attention

ROWS, HEADS, KEY_HEADS, SIZE, SLOTS = 3, 6, 2, 8, 20
MODULE = SimpleNamespace(num_key_value_groups=HEADS // KEY_HEADS, is_causal=True)


class Sizes(TorchDispatchMode):
    """Numbers in each tensor that is made."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self.made.append(out.untyped_storage().nbytes() // out.element_size())
        return out


def inputs(tokens, slots, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(ROWS, tokens, HEADS, SIZE, generator=generator).transpose(1, 2).to(dtype)
    key, value = (
        torch.randn(ROWS, KEY_HEADS, slots, SIZE, generator=generator).to(dtype).requires_grad_()
        for _ in "kv"
    )
    return query.requires_grad_(), key, value


def mask_of(tokens, slots):
    hidden = torch.rand(ROWS, 1, tokens, slots, generator=torch.Generator().manual_seed(1)) < 0.3
    hidden[..., 0] = False
    return torch.zeros(hidden.shape).masked_fill_(hidden, torch.finfo(torch.float32).min)


@pytest.mark.parametrize("scaling", [None, 0.3])
@pytest.mark.parametrize(
    ("tokens", "slots", "is_masked", "has_flash"),
    [
        (1, SLOTS, True, True),
        (1, SLOTS, True, False),
        (7, 7, False, False),
        (7, 7, False, True),
        (7, 9, True, False),
    ],
)
def test_the_mixture_is_that_of_transformers(monkeypatch, tokens, slots, is_masked, has_flash, scaling):
    monkeypatch.setattr(attention, "_has_flash", lambda query: has_flash)
    given = inputs(tokens, slots)
    mask = mask_of(tokens, slots) if is_masked else None
    expected, _ = sdpa_attention_forward(MODULE, *given, mask, scaling=scaling)
    mixed, _ = attention.attend(MODULE, *given, mask, scaling=scaling)
    torch.testing.assert_close(mixed, expected)
    gradients = [torch.autograd.grad(found.square().sum(), given) for found in (mixed, expected)]
    for own, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(own, theirs)


def test_a_token_step_makes_no_copy_of_keys_and_values():
    query, key, value = inputs(1, 500)
    mask = mask_of(1, 500)
    with torch.no_grad(), Sizes() as sizes:
        attention.attend(MODULE, query, key, value, mask, scaling=None)
    assert max(sizes.made) < key.numel()


@pytest.mark.parametrize(("capability", "dtype"), [((7, 5), torch.float16), ((8, 9), torch.float32)])
def test_no_card_computes_whole_scores_for_a_prompt(monkeypatch, capability, dtype):
    """Torch has no kernel for grouped heads there, and computes them with float32 scores of all places."""
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    called = []

    def record(query, key, value, **options):
        called.append((key.shape[1], options))
        return query

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", record)
    attention.attend(MODULE, *inputs(7, 7, dtype), None)
    assert called == [(HEADS, {"dropout_p": 0.0, "scale": None, "is_causal": True})]


def test_flash_attention_reads_grouped_heads_as_they_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (8, 6))
    assert attention._has_flash(torch.zeros(1, dtype=torch.bfloat16))
    query, key, value = (tensor.detach() for tensor in inputs(7, 7, torch.bfloat16))
    assert not attention._lacks_kernel(query, key, value, None, has_flash=True)
    wide = torch.zeros(1, 1, 7, 512)
    assert attention._lacks_kernel(wide, wide, wide, None, has_flash=True)


def test_what_a_model_adds_is_left_to_transformers():
    query, key, value = inputs(1, SLOTS)
    bias, mask = torch.randn(1, HEADS, 1, SLOTS), mask_of(1, SLOTS)
    options = {"position_bias": bias, "scaling": None}
    expected, _ = sdpa_attention_forward(MODULE, query, key, value, mask, **options)
    mixed, _ = attention.attend(MODULE, query, key, value, mask, **options)
    assert torch.equal(mixed, expected)


def test_a_card_attends_so_and_a_cpu_as_before():
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    try:
        attention.use_grouped_attention(torch.device("cpu"))
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
        attention.use_grouped_attention(torch.device("cuda"))
        assert ALL_ATTENTION_FUNCTIONS["sdpa"] is attention.attend
    finally:
        ALL_ATTENTION_FUNCTIONS["sdpa"] = before
