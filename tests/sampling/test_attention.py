"""Attention block by block is the attention of each row by itself."""

from types import SimpleNamespace

import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from tinyzero.sampling.attention import attend, blocks, by_blocks

LENGTHS = [9, 7, 7, 6, 5, 5, 3, 2, 1]
HEADS, KEY_HEADS, SIZE, SLOTS = 6, 2, 4, 12


@pytest.mark.parametrize("scaling", [None, 0.3])
def test_a_row_attends_to_its_own_slots_and_to_nothing_behind_them(scaling):
    generator = torch.Generator().manual_seed(0)
    rows = len(LENGTHS)
    query = torch.randn(rows, 1, HEADS, SIZE, generator=generator).transpose(1, 2)
    key, value = (torch.randn(rows, KEY_HEADS, SLOTS, SIZE, generator=generator) for _ in "kv")
    positions = torch.tensor(LENGTHS) - 1
    mask = mask_of(positions, 10)
    with by_blocks(SimpleNamespace(_attn_implementation="sdpa"), blocks(mask, positions, KEY_HEADS), mask):
        mixed, _ = attend(None, query, key[:, :, :10], value[:, :, :10], mask, scaling=scaling)
    assert mixed.shape == (rows, 1, HEADS, SIZE)
    for row, length in enumerate(LENGTHS):
        for head in range(HEADS):
            own = key[row, head // (HEADS // KEY_HEADS), :length]
            scores = own @ query[row, head, 0] * (scaling or 0.5)  # 0.5: the size is 4
            expected = scores.softmax(0) @ value[row, head // (HEADS // KEY_HEADS), :length]
            torch.testing.assert_close(mixed[row, 0, head], expected)


def test_a_mask_that_a_layer_has_changed_is_heeded():
    """Such as one that linear biases were added to."""
    positions = torch.tensor([3, 1])
    query, key, value = (torch.randn(2, 2, slots, 4) for slots in (1, 4, 4))
    mask = mask_of(positions, 4)
    biased = mask - torch.arange(4.0)
    with by_blocks(SimpleNamespace(_attn_implementation="sdpa"), blocks(mask, positions, 2), mask):
        mixed, _ = attend(torch.nn.Module(), query, key, value, biased)
    expected = ((query @ key.transpose(2, 3)) / 2 + biased).softmax(-1) @ value
    torch.testing.assert_close(mixed, expected.transpose(1, 2))


def test_values_may_be_smaller_than_keys():
    """As in latent attention."""
    positions = torch.tensor([3, 1])
    query, key, value = torch.randn(2, 2, 1, 6), torch.randn(2, 2, 4, 6), torch.randn(2, 2, 4, 4)
    mask = mask_of(positions, 4)
    with by_blocks(SimpleNamespace(_attn_implementation="sdpa"), blocks(mask, positions, 2), mask):
        mixed, _ = attend(torch.nn.Module(), query, key, value, mask)
    expected = ((query @ key.transpose(2, 3)) / 6**0.5 + mask).softmax(-1) @ value
    torch.testing.assert_close(mixed, expected.transpose(1, 2))


def test_a_block_reaches_as_far_as_its_longest_row():
    positions = torch.tensor(LENGTHS) - 1
    cut = blocks(mask_of(positions, 10), positions, KEY_HEADS)
    assert [(block.rows.start, block.window) for block in cut] == [(0, 9), (3, 6), (6, 3)]
    assert [block.mask.shape for block in cut] == [(6, 1, 9), (6, 1, 6), (6, 1, 3)]
    (alone,) = blocks(mask_of(positions[:1], 10), positions[:1], KEY_HEADS)
    assert alone.window == 9


def test_the_model_attends_as_before_when_the_step_has_failed():
    config = SimpleNamespace(_attn_implementation="sdpa")
    with pytest.raises(RuntimeError, match="attend"):
        fail_within(config)
    assert config._attn_implementation == "sdpa"


def fail_within(config):
    with by_blocks(config, (), torch.zeros(1)):
        raise RuntimeError(ALL_ATTENTION_FUNCTIONS[config._attn_implementation].__name__)


def mask_of(positions, window):
    hidden = (torch.arange(window) > positions[:, None])[:, None, None]
    return torch.zeros(hidden.shape).masked_fill_(hidden, torch.finfo(torch.float32).min)
