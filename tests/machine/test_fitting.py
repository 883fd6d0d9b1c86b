"""Rows and tokens that were left to the machine."""

import pytest
from settled import settled

from tinyzero.machine.cards import find_card
from tinyzero.machine.hardware import Gpu, Machine
from tinyzero.machine.memory import plan
from tinyzero.machine.settling import MARGIN, SAFE_ROWS, SAFE_TOKENS
from tinyzero.machine.shapes import shape_of

AUTO = ["sampling.batch_rows=auto", "learner.micro_batch_tokens=auto"]


def on_card(memory_gib, *overrides, name="qwen1.5b-24gb"):
    return settled(name, overrides, Machine(memory_gib=64, gpu=Gpu(name="a card", memory_gib=memory_gib)))


def chosen(memory_gib, *overrides, name="qwen1.5b-24gb"):
    config = on_card(memory_gib, *AUTO, *overrides, name=name)
    return config.sampling.batch_rows, config.learner.micro_batch_tokens


def plan_of(rows, tokens, name="qwen1.5b-24gb", shape="Qwen/Qwen2.5-Coder-1.5B-Instruct"):
    numbers = (f"sampling.batch_rows={rows}", f"learner.micro_batch_tokens={tokens}")
    return plan(on_card(24, *numbers, name=name), shape_of(shape))


@pytest.mark.parametrize("gib", [7.8, 11.8, 14.7, 23.5])
def test_the_largest_that_fits_is_chosen_and_the_next_would_not(gib):
    rows, tokens = chosen(gib)
    limit = (1 - MARGIN) * gib
    assert plan_of(rows, tokens).peak_gib <= limit
    more = plan_of(round(rows * 1.5), tokens * 2)
    assert more.sampling_gib > limit
    assert more.learning_gib > limit or tokens == 16384


def test_more_memory_means_more_rows():
    assert chosen(7.8) == (24, 8192)
    assert chosen(23.5) == (192, 16384)


def test_no_more_rows_than_a_round_has_answers():
    assert chosen(80, "selfplay.proposals_per_step=3", "selfplay.attempts=5")[0] == 16


def test_numbers_that_were_given_stay():
    assert chosen(7.8, "sampling.batch_rows=7")[0] == 7
    config = on_card(7.8)
    assert (config.sampling.batch_rows, config.learner.micro_batch_tokens) == (128, 8192)


def test_where_nothing_fits_the_smallest_is_chosen():
    config = on_card(6, *AUTO, name="qwen7b-24gb")
    assert (config.sampling.batch_rows, config.learner.micro_batch_tokens) == (8, 1024)
    assert plan(config, shape_of(config.model.base)).peak_gib > 6


def test_an_unknown_model_gets_what_a_large_one_could_live_with():
    assert chosen(23.5, "model.base=someone/some-model", name="qwen7b-24gb") == (SAFE_ROWS, SAFE_TOKENS)
    large = plan_of(SAFE_ROWS, SAFE_TOKENS, "qwen7b-24gb", "Qwen/Qwen2.5-7B-Instruct")
    assert large.peak_gib < (1 - MARGIN) * find_card("3090").usable_gib
