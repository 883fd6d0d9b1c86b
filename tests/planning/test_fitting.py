"""Knobs that were left to the machine."""

import pytest

from tinyzero.config import load_config
from tinyzero.planning.cards import find_card
from tinyzero.planning.fitting import MARGIN, SAFE_ROWS, SAFE_TOKENS, fitted, is_open
from tinyzero.planning.memory import plan
from tinyzero.planning.shapes import shape_of

AUTO = ["sampling.batch_rows=auto", "learner.micro_batch_tokens=auto"]


def chosen(config, memory_gib, device="cuda"):
    made = fitted(config, shape_of(config.model.base), memory_gib, device)
    return made.sampling.batch_rows, made.learner.micro_batch_tokens


def with_numbers(rows, tokens, name="qwen1.5b-24gb"):
    return load_config(name, [f"sampling.batch_rows={rows}", f"learner.micro_batch_tokens={tokens}"])


@pytest.mark.parametrize("gib", [7.8, 11.8, 14.7, 23.5])
def test_the_largest_that_fits_is_chosen_and_the_next_would_not(gib):
    rows, tokens = chosen(load_config("qwen1.5b-24gb", AUTO), gib)
    shape = shape_of("Qwen/Qwen2.5-Coder-1.5B-Instruct")
    limit = (1 - MARGIN) * gib
    made = plan(with_numbers(rows, tokens), shape, device="cuda")
    assert made.peak_gib <= limit
    more = plan(with_numbers(round(rows * 1.5), tokens * 2), shape, device="cuda")
    assert more.sampling_gib > limit
    assert more.learning_gib > limit or tokens == 16384


def test_more_memory_means_more_rows():
    config = load_config("qwen1.5b-24gb", AUTO)
    assert chosen(config, 7.8) == (32, 12288)
    assert chosen(config, 23.5) == (192, 16384)


def test_no_more_rows_than_a_round_has_answers():
    config = load_config("qwen1.5b-24gb", [*AUTO, "selfplay.proposals_per_step=3", "selfplay.attempts=5"])
    assert chosen(config, 80)[0] == 16


def test_numbers_that_were_given_stay():
    config = load_config("qwen1.5b-24gb", ["sampling.batch_rows=7", "learner.micro_batch_tokens=auto"])
    assert chosen(config, 7.8)[0] == 7
    settled = load_config("qwen1.5b-24gb")
    assert not is_open(settled)
    assert fitted(settled, shape_of(settled.model.base), 7.8, "cuda") == settled


def test_where_nothing_fits_the_smallest_is_chosen():
    config = load_config("qwen7b-24gb", AUTO)
    assert chosen(config, 6) == (8, 1024)
    assert (
        plan(
            fitted(config, shape_of(config.model.base), 6, "cuda"), shape_of(config.model.base), device="cuda"
        ).peak_gib
        > 6
    )


def test_an_unknown_model_gets_what_a_large_one_could_live_with():
    config = load_config("qwen7b-24gb", [*AUTO, "model.base=someone/some-model"])
    assert chosen(config, 23.5) == (SAFE_ROWS, SAFE_TOKENS)
    seven = shape_of("Qwen/Qwen2.5-7B-Instruct")
    made = plan(with_numbers(SAFE_ROWS, SAFE_TOKENS, "qwen7b-24gb"), seven, device="cuda")
    assert made.peak_gib < (1 - MARGIN) * find_card("3090").usable_gib
