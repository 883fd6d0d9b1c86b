"""The memory plan against numbers worked out by hand."""

from dataclasses import replace

import pytest
from settled import CARD, CPU, defaults, settled

from tinyzero.config import find_presets
from tinyzero.machine.cards import find_card
from tinyzero.machine.memory import offloaded_gib, plan
from tinyzero.machine.shapes import ModelShape, shape_of

GIB = 2**30


def tiny_config(machine, **sections):
    tree = {
        "policy": {"rank": 3},
        "selfplay": {"proposal_tokens": 30, "answer_tokens": 20, "proposals_per_step": 2, "attempts": 4},
        "sampling": {"max_prompt_tokens": 70, "batch_rows": 5},
        "learner": {"micro_batch_tokens": 1000},
    }
    for name, values in sections.items():
        tree.setdefault(name, {}).update(values)
    return defaults(machine, **tree)


# 2 layers; queries 4 x 4 = 16, keys and values 2 x 4 = 8 wide.
TINY = ModelShape(
    layers=2, hidden=16, heads=4, kv_heads=2, head_dim=4, intermediate=32, vocabulary=100, is_tied=True
)
WEIGHTS, ADAPTER = 4608 + 1600 + 80, 1536


def in_bytes(terms):
    return {name: gib * GIB for name, gib in terms.items()}


@pytest.mark.parametrize(
    ("optimizer", "machine", "size"),
    [
        ("adamw", CARD, 8),
        ("adamw8bit", CPU, 2 * (1 + 4 / 256)),
        ("paged_adamw8bit", CARD, 2 * (1 + 4 / 256)),
    ],
)
def test_the_optimizer_that_was_asked_for_counts(optimizer, machine, size):
    made = plan(tiny_config(machine, learner={"optimizer": optimizer}), TINY)
    assert made.always["optimizer"] * GIB == pytest.approx(ADAPTER * size)


def test_a_plan_on_the_cpu_is_float32_throughout():
    made = plan(tiny_config(CPU), TINY)
    assert in_bytes(made.always) == pytest.approx(
        {"weights": WEIGHTS * 4, "adapters": ADAPTER * 4, "optimizer": ADAPTER * 8}
    )
    assert in_bytes(made.sampling) == pytest.approx(
        {
            # rows x tokens x (keys and values) x layers x heads x width x bytes
            "kv_cache": 5 * 100 * 2 * 2 * 2 * 4 * 4,
            # two prompts of 70: keys and values 32 numbers; MLP and hidden, four float32 of each
            "prefill": 140 * (32 * 4 + (32 + 16) * 16),
            "sampler": 5 * 100 * (4 + 12),
            "dequantised_layer": 0,
        }
    )
    assert in_bytes(made.learning) == pytest.approx(
        {
            "gradients": ADAPTER * 4,
            # a layer saves 4 x (16 + 16 + 32) numbers, and one MLP has 2 x 32 under way
            "activations": 1000 * (2 * 256 * 4 + 64 * 4),
            # the longest row is a prompt with four answers, 150 tokens; a bool and a float each
            "attention_mask": 1000 * 150 * 5,
            "dequantised_layer": 0,
            "logits": 1000 * 100 * 12,
        }
    )


def test_four_bit_shrinks_the_linear_maps_only_and_saves_inputs_twice():
    made = plan(tiny_config(CARD), TINY)
    assert in_bytes(made.always) == pytest.approx(
        {
            "weights": 4608 * (0.5 + 1 / 64 + 4 / 16384) + 1680 * 2,
            "adapters": ADAPTER * 4,
            "optimizer": ADAPTER * 2 * (1 + 4 / 256),
        }
    )
    assert in_bytes(made.sampling) == pytest.approx(
        {
            "kv_cache": 5 * 100 * 32 * 2,
            "prefill": 140 * (32 * 2 + 48 * 12),
            "sampler": 5 * 100 * (2 + 12),
            "dequantised_layer": 16 * 32 * 2,
            # 24 shapes of 2 layers x 119 kernels, and what a step computes once more
            "graphs": 24 * 2 * 119 * 10_000 + 5 * 100 * 14 + 16 * 32 * 2,
        }
    )
    # a bool, and twice 16 bit: a card's kernels copy the mask
    assert in_bytes(made.learning)["attention_mask"] == pytest.approx(1000 * 150 * 5)
    # keys and values for 4 heads of 4, and their gradients
    assert in_bytes(made.learning)["repeated_keys"] == pytest.approx(1000 * 2 * 2 * 16 * 2)
    # 16 bit: 4 x 16 + 3 x 32 numbers; float32: 7 x 16 + 16 + 32 numbers, and 2 x 32 under way
    assert in_bytes(made.learning)["activations"] == pytest.approx(1000 * (2 * (160 * 2 + 160 * 4) + 64 * 4))
    assert in_bytes(made.learning)["logits"] == pytest.approx(1000 * 100 * 2)


def test_graphs_that_are_off_take_nothing_and_a_prompt_in_float16_repeats_its_keys():
    made = plan(tiny_config(CARD, sampling={"cuda_graphs": False}), TINY)
    assert "graphs" not in made.sampling
    without_flash = plan(tiny_config(CARD, model={"dtype": "float16"}), TINY)
    more = (without_flash.sampling["prefill"] - made.sampling["prefill"]) * GIB
    assert more == pytest.approx(140 * 2 * 16 * 2)
    ungrouped = plan(tiny_config(CARD), replace(TINY, kv_heads=4))
    assert ungrouped.learning["repeated_keys"] == 0


def test_the_peak_is_the_worse_phase_with_fragmentation_and_the_runtime():
    made = plan(tiny_config(CPU), TINY)
    always = WEIGHTS * 4 + ADAPTER * 12
    learning = ADAPTER * 4 + 1000 * (2304 + 750 + 1200)
    assert made.peak_gib == pytest.approx(1.08 * (always + learning) / GIB + 0.6)
    assert made.knob == "learner.micro_batch_tokens"
    assert made.floor_gib == pytest.approx(1.08 * always / GIB + 0.6)


def test_a_sampling_peak_names_the_rows():
    made = plan(tiny_config(CPU, sampling={"batch_rows": 10**6}), TINY)
    assert made.knob == "sampling.batch_rows"
    assert made.peak_gib == made.sampling_gib > made.learning_gib


def test_a_micro_batch_holds_at_least_one_longest_sequence():
    made = plan(tiny_config(CPU, learner={"micro_batch_tokens": 64}), TINY)
    assert in_bytes(made.learning)["logits"] == pytest.approx(100 * 100 * 12)


def test_checkpointing_keeps_one_layer_and_the_inputs_of_all():
    made = plan(tiny_config(CPU, model={"gradient_checkpointing": True}), TINY)
    assert in_bytes(made.learning)["activations"] == pytest.approx(1000 * (2 * 16 + 256 + 64) * 4)


def test_two_adapters_cost_twice_one_but_learn_one_after_the_other():
    shared = plan(tiny_config(CPU), TINY)
    apart = plan(tiny_config(CPU, policy={"adapters": "per-role"}), TINY)
    assert apart.always["adapters"] == 2 * shared.always["adapters"]
    assert apart.always["optimizer"] == 2 * shared.always["optimizer"]
    assert apart.learning == shared.learning


def test_a_divergence_from_the_reference_costs_no_memory():
    with_kl = plan(tiny_config(CPU, learner={"kl_coef": 0.1}), TINY)
    assert with_kl == plan(tiny_config(CPU), TINY)


def test_the_vocabulary_stops_mattering_to_the_learner_beyond_a_tile():
    shape = shape_of("Qwen/Qwen2.5-Coder-1.5B-Instruct")
    made = plan(settled("qwen1.5b-24gb", machine=CARD), shape)
    assert made.learning["logits"] == 4096 * 32768 * 2 / GIB


def test_every_gpu_preset_fits_its_card_with_an_eighth_to_spare():
    planned = {name: settled(name, machine=CARD) for name in find_presets()}
    on_gpu = {name: config for name, config in planned.items() if config.hardware.device == "cuda"}
    assert len(on_gpu) >= 9
    for name, config in on_gpu.items():
        card = find_card(config.hardware.card)
        assert card.has_bf16 or config.model.dtype == "float16", name
        made = plan(config, shape_of(config.model.base))
        assert made.peak_gib < 0.875 * card.usable_gib, name


def test_every_cpu_preset_fits_eight_gib():
    for name in find_presets():
        config = settled(name)
        if config.hardware.device == "cpu":
            assert plan(config, shape_of(config.model.base)).peak_gib < 8, name


def test_vllm_on_the_card_has_weights_of_its_own_and_the_rest_for_keys_and_values():
    config = tiny_config(CARD, sampling={"engine": "vllm", "vllm_gib": 0.5})
    made = plan(config, TINY)
    # NF4 with 32-bit scales, one per 64 weights; the rest, an adapter among it, in 16 bit
    weights = 4608 * (0.5 + 4 / 64) + (1600 + 80 + ADAPTER) * 2
    assert made.sampling["vllm_weights"] * GIB == pytest.approx(weights)
    assert sum(made.sampling.values()) == pytest.approx(0.5)
    assert made.always["vllm_process"] == 0.9  # a second CUDA context, awake or asleep
    assert set(made.always) == {"weights", "adapters", "optimizer", "vllm_process"}
    assert not made.starves_vllm
    assert made.knob == "sampling.vllm_gib"
    assert made.learning == plan(tiny_config(CARD), TINY).learning


def test_vllm_that_its_weights_fill_is_starved():
    config = tiny_config(CARD, sampling={"engine": "vllm", "vllm_gib": 1e-6})
    assert plan(config, TINY).starves_vllm
    assert not plan(tiny_config(CARD), TINY).starves_vllm


def test_a_server_takes_nothing_of_this_card():
    config = tiny_config(CARD, sampling={"engine": "vllm", "server_url": "http://h:8000"})
    made = plan(config, TINY)
    assert made.sampling == {}
    assert "vllm_process" not in made.always
    assert made.knob == "learner.micro_batch_tokens"


def test_under_unsloth_the_inputs_of_all_layers_but_the_last_wait_in_main_memory():
    def offloaded(*overrides, machine=CARD):
        config = settled("qwen1.5b-12gb", ["learner.micro_batch_tokens=8192", *overrides], machine)
        return offloaded_gib(config, shape_of(config.model.base))

    assert offloaded("model.loader=unsloth") == pytest.approx(27 * 8192 * 1536 * 2 / 2**30)
    assert offloaded(machine=replace(CARD, has_unsloth=True)) == offloaded("model.loader=unsloth")
    assert offloaded() == 0
    assert offloaded("model.loader=unsloth", "model.gradient_checkpointing=false") == 0
