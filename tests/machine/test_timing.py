"""The time of a step against numbers worked out by hand."""

import pytest
from settled import CARD, defaults, settled

from tinyzero.machine.cards import Card, find_card
from tinyzero.machine.shapes import ModelShape, shape_of
from tinyzero.machine.timing import learning_operations, step_range_s, step_time, token_step_s
from tinyzero.machine.workload import Counts, workload

# 10 layers of 10^6 linear weights, and a head of 10^6.
SHAPE = ModelShape(
    layers=10,
    hidden=1000,
    heads=10,
    kv_heads=1,
    head_dim=10,
    intermediate=260,
    vocabulary=1000,
    is_tied=True,
)
SLOW_MEMORY = Card(name="m", memory_gib=8, bandwidth_gb_s=0.1, tflops=1000)
SLOW_MATHS = Card(name="f", memory_gib=8, bandwidth_gb_s=10**6, tflops=0.001)
SLOW_NOTHING = Card(name="n", memory_gib=8, bandwidth_gb_s=10**6, tflops=10**6)


def config(**sections):
    tree = {
        "model": {"quantization": "none", "dtype": "bfloat16"},
        "selfplay": {"proposals_per_step": 10, "attempts": 4, "proposal_tokens": 40, "answer_tokens": 20},
        "sampling": {"max_prompt_tokens": 60, "batch_rows": 8},
    }
    for name, values in sections.items():
        tree.setdefault(name, {}).update(values)
    return defaults(CARD, **tree)


def test_the_shape_is_what_the_numbers_below_take_it_for():
    # 1000 x (2 x 100 + 2 x 10 + 3 x 260) = 10^6 a layer
    assert SHAPE.linear_weights == 10**7
    assert SHAPE.head_weights == 10**6


def test_a_round_is_half_valid_and_half_full():
    load = workload(config())
    assert load.counts == Counts(
        proposals=10,
        proposer_prompts=10,
        tasks=5,
        answers=20,
        trained_prompts=15,
        trained_proposals=10,
        trained_answers=20,
    )
    assert (load.trained_tokens, load.prompt_tokens) == (400, 30)  # 10 x 20 and 20 x 10


def test_r_zero_is_its_turns_and_its_set_of_questions_per_step():
    turns = {"challenger_steps": 1, "solver_steps": 3, "questions": 22, "questions_per_step": 4}
    load = workload(config(selfplay={"game": "r-zero"}, r_zero={**turns, "label_attempts": 5}))
    assert load.counts == Counts(
        proposals=8,  # 10 by the challenger and 22 for the set, over 4 steps
        proposer_prompts=1,  # 4 rounds of writing, each to one prompt
        tasks=7,  # (16 surveyed + 12 solved) / 4
        answers=32,  # (16 x 5 + 12 x 4) / 4
        trained_prompts=4,  # (1 + 12) / 4
        trained_proposals=3,  # 10 / 4
        trained_answers=12,  # 48 / 4
    )
    frozen = config(selfplay={"game": "r-zero", "train_proposer": False}, r_zero=turns)
    assert workload(frozen).counts.trained_proposals == 0


def test_slow_memory_reads_weights_and_cache_at_seven_tenths_of_its_bandwidth():
    # 11 million weights of 2 bytes, and 8 rows x 100 tokens x 2 x 10 layers x 10 wide x 2 bytes
    expected = (22e6 + 8 * 100 * 400) / (0.7 * 0.1e9)
    assert token_step_s(config().model, SHAPE, SLOW_MEMORY, rows=8, context=100) == pytest.approx(expected)


def test_four_bit_weights_are_read_as_they_are_by_few_rows_and_unpacked_for_many():
    model = config(model={"quantization": "nf4"}).model
    packed = 1e7 * (0.5 + 1 / 64 + 4 / 16384)
    for rows, linear in ((64, packed), (65, packed + 4e7)):
        expected = (linear + 2e6 + rows * 10 * 400) / (0.7 * 0.1e9)
        assert token_step_s(model, SHAPE, SLOW_MEMORY, rows=rows, context=10) == pytest.approx(expected)


def test_slow_maths_multiplies_every_weight_for_every_row_at_half_its_speed():
    expected = 2 * 11e6 * 8 / (0.5 * 1e9)
    assert token_step_s(config().model, SHAPE, SLOW_MATHS, rows=8, context=100) == pytest.approx(expected)


def test_the_fastest_card_waits_for_kernels_to_start():
    seconds = token_step_s(config().model, SHAPE, SLOW_NOTHING, rows=8, context=9)
    assert seconds == pytest.approx(10 * 119 * 12e-6)
    replayed = token_step_s(config().model, SHAPE, SLOW_NOTHING, rows=8, context=9, has_graphs=True)
    assert replayed == pytest.approx(10 * 119 * 3e-6)


def test_sampling_takes_its_tokens_over_its_rows_or_its_longest_answer():
    time = step_time(config(), SHAPE, SLOW_NOTHING)
    # 10 proposals of 20 tokens in 8 rows are 25 steps, but one may take 40; 20 answers of 10 are 25, over 20
    assert time.propose_s == pytest.approx(40 * 10 * 119 * 12e-6, rel=1e-3)
    assert time.solve_s == pytest.approx(25 * 10 * 119 * 12e-6, rel=1e-3)
    assert time.total_s == time.propose_s + time.solve_s + time.learn_s


def test_learning_passes_twice_through_the_layers_and_three_times_through_the_head():
    # 400 completion tokens, and 15 prompts of 30
    layers, head = 2 * 1e7 * 850, 2 * 1e6 * 400
    assert learning_operations(config(), SHAPE) == pytest.approx(2 * layers + 3 * head)
    recomputed = config(model={"gradient_checkpointing": True})
    assert learning_operations(recomputed, SHAPE) == pytest.approx(3 * layers + 3 * head)
    with_reference = config(learner={"kl_coef": 0.1})
    assert learning_operations(with_reference, SHAPE) == pytest.approx(3 * layers + 4 * head)
    twice = config(learner={"updates_per_round": 2})
    assert learning_operations(twice, SHAPE) == pytest.approx(2 * (2 * layers + 3 * head))
    solver_only = config(selfplay={"train_proposer": False})
    # 200 tokens of answers, and 5 prompts of 30
    assert learning_operations(solver_only, SHAPE) == pytest.approx(2 * 2 * 1e7 * 350 + 3 * 2 * 1e6 * 200)


def test_a_separate_solver_batch_is_all_that_the_solver_learns_from():
    # 5 tasks x 4 attempts to measure, and 10 earlier tasks with an answer each
    load = workload(config(selfplay={"separate_solver_batch": True}))
    counts = load.counts
    assert (counts.tasks, counts.answers, counts.trained_prompts, counts.trained_answers) == (15, 30, 20, 10)
    replayed = workload(config(selfplay={"replays_per_step": 3})).counts
    assert (replayed.tasks, replayed.answers, replayed.trained_answers) == (8, 32, 32)


def test_a_card_of_unknown_speed_has_no_time():
    assert step_time(config(), SHAPE, Card(name="?", memory_gib=8)) is None


def test_the_range_is_from_graphs_and_good_shares_to_neither():
    best, worst = step_range_s(config(), SHAPE, SLOW_NOTHING)
    # 65 token steps of 10 x 119 kernels; learning takes no time
    assert best == pytest.approx(65 * 1190 * 2e-6, rel=1e-2)
    assert worst == pytest.approx(65 * 1190 * 16e-6, rel=1e-2)
    planned = config(sampling={"cuda_graphs": False})
    assert step_range_s(planned, SHAPE, SLOW_NOTHING)[0] == pytest.approx(65 * 1190 * 8e-6, rel=1e-2)
    best, worst = step_range_s(config(), SHAPE, SLOW_MATHS)
    operations = 2 * 2 * 1e7 * 850 + 3 * 2 * 1e6 * 400
    assert worst > operations / (0.2 * 1e9) > operations / (0.45 * 1e9)
    assert step_range_s(config(), SHAPE, Card(name="?", memory_gib=8)) is None
    likely = [step_time(config(), SHAPE, SLOW_MATHS, has_graphs=has).total_s for has in (True, False)]
    assert best < min(likely) <= max(likely) < worst


def test_a_faster_card_takes_less_time():
    planned = settled("qwen1.5b-24gb", machine=CARD)
    shape = shape_of(planned.model.base)
    slow, fast = (step_time(planned, shape, find_card(name)) for name in ("3090", "5090"))
    assert fast.learn_s < slow.learn_s / 2
    assert fast.total_s < slow.total_s
