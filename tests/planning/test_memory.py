"""The memory plan against numbers worked out by hand."""

import json

import pytest

from tinyzero.config import Config, find_presets, load_config
from tinyzero.memory import ModelShape, plan, shape_of

GIB = 2**30


def tiny_config(**learner):
    return Config.model_validate(
        {
            "policy": {"rank": 3},
            "selfplay": {"proposal_tokens": 30, "answer_tokens": 20},
            "sampling": {"max_prompt_tokens": 70, "batch_rows": 5},
            "learner": {"micro_batch_tokens": 1000, **learner},
        }
    )


# 2 layers; queries 4 x 4 = 16, keys and values 2 x 4 = 8 wide.
TINY = ModelShape(
    layers=2, hidden=16, heads=4, kv_heads=2, head_dim=4, intermediate=32, vocabulary=100, is_tied=True
)


def test_published_parameter_counts_are_met_exactly():
    assert shape_of("Qwen/Qwen2.5-Coder-1.5B-Instruct").weights == 1_543_714_304
    assert shape_of("HuggingFaceTB/SmolLM2-135M-Instruct").weights == 134_515_008


def test_the_parameters_of_a_tiny_model_add_up():
    # q and o 16x16, k and v 16x8, three MLP maps 16x32: 2 x (512 + 256 + 1536)
    assert TINY.linear_weights == 4608
    assert TINY.embedding_weights == 1600
    assert TINY.small_weights == 2 * 2 * 16 + 16
    # rank x (in + out): q, o 32 each, k, v 24 each, MLP 48 each = 256 a layer
    assert TINY.lora_weights(3) == 2 * 3 * 256


def test_an_untied_head_counts_twice_and_qwen_biases_count():
    config = {
        "model_type": "qwen2",
        "num_hidden_layers": 2,
        "hidden_size": 16,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 32,
        "vocab_size": 100,
    }
    shape = ModelShape.from_config(config)
    assert shape.embedding_weights == 3200
    assert shape.small_weights - TINY.small_weights == 2 * (16 + 8 + 8)


def test_a_plan_on_the_cpu_is_float32_throughout():
    made = plan(tiny_config(), TINY, device="cpu")
    assert made.always["weights"] * GIB == pytest.approx((4608 + 1600 + 80) * 4)
    assert made.always["adapters"] * GIB == pytest.approx(1536 * (4 + 4 + 8))
    # rows x tokens x (keys and values) x layers x heads x width x bytes
    assert made.sampling["kv_cache"] * GIB == pytest.approx(5 * 100 * 2 * 2 * 2 * 4 * 4)
    assert made.sampling["sampler"] * GIB == pytest.approx(5 * 100 * 8)
    # 6 x 16 + 2 x (16 + 16) + 2 x 16 + 4 x 32 = 320 numbers a token and layer
    assert made.learning["activations"] * GIB == pytest.approx(1000 * 2 * 320 * 4)
    assert made.learning["dequantised_layer"] == 0
    assert made.learning["logits"] * GIB == pytest.approx(1000 * 100 * 12)


def test_the_peak_is_the_worse_phase_with_fragmentation_and_the_runtime():
    made = plan(tiny_config(), TINY, device="cpu")
    always = (4608 + 1600 + 80) * 4 + 1536 * 16
    learning = 1000 * 2 * 320 * 4 + 1000 * 100 * 12
    assert made.peak_gib == pytest.approx(1.08 * (always + learning) / GIB + 0.6)
    assert made.knob == "learner.micro_batch_tokens"


def test_a_sampling_peak_names_the_rows():
    config = tiny_config().model_copy(
        update={"sampling": tiny_config().sampling.model_copy(update={"batch_rows": 10**6})}
    )
    made = plan(config, TINY, device="cpu")
    assert made.knob == "sampling.batch_rows"
    assert made.peak_gib == made.sampling_gib > made.learning_gib


def test_four_bit_shrinks_the_linear_maps_only():
    made = plan(tiny_config(), TINY, device="cuda")
    assert made.always["weights"] * GIB == pytest.approx(4608 * (0.5 + 1 / 64 + 4 / 16384) + 1680 * 2)
    assert made.always["adapters"] * GIB == pytest.approx(1536 * (8 + 2.03))
    assert made.learning["dequantised_layer"] * GIB == pytest.approx(16 * 32 * 2)


def test_a_micro_batch_holds_at_least_one_longest_sequence():
    assert plan(tiny_config(micro_batch_tokens=64), TINY, device="cpu").learning[
        "logits"
    ] * GIB == pytest.approx(100 * 100 * 12)


def test_checkpointing_keeps_one_layer_and_the_inputs_of_all():
    config = tiny_config().model_copy(
        update={"model": tiny_config().model.model_copy(update={"gradient_checkpointing": True})}
    )
    made = plan(config, TINY, device="cpu")
    assert made.learning["activations"] * GIB == pytest.approx(1000 * (2 * 16 + 320) * 4)


def test_two_adapters_cost_twice_one():
    shared = plan(tiny_config(), TINY, device="cpu")
    config = tiny_config().model_copy(
        update={"policy": tiny_config().policy.model_copy(update={"adapters": "per-role"})}
    )
    assert plan(config, TINY, device="cpu").always["adapters"] == 2 * shared.always["adapters"]


def test_the_vocabulary_stops_mattering_to_the_learner_beyond_a_tile():
    shape = shape_of("Qwen/Qwen2.5-Coder-1.5B-Instruct")
    made = plan(load_config("qwen1.5b-24gb"), shape, device="cuda")
    assert made.learning["logits"] == 4096 * 32768 * 12 / GIB


def test_every_preset_fits_the_memory_it_names_with_a_tenth_to_spare():
    for name in find_presets():
        config = load_config(name)
        shape = shape_of(config.model.base)
        if shape is None:  # nano's folder is written by tools/
            continue
        device = "cuda" if config.hardware.device == "cuda" else "cpu"
        made = plan(config, shape, device=device)
        assert made.peak_gib < 0.9 * (config.hardware.memory_gib or 8), name


def test_the_shape_of_a_local_folder_is_read_from_its_config(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text(
        json.dumps(
            {
                "num_hidden_layers": 2,
                "hidden_size": 16,
                "num_attention_heads": 4,
                "intermediate_size": 32,
                "vocab_size": 100,
                "head_dim": 8,
            }
        )
    )
    shape = shape_of(str(tmp_path))
    assert (shape.kv_heads, shape.head_dim) == (4, 8)
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    assert shape_of(f"~/{tmp_path.name}") == shape


def test_an_unknown_model_has_no_plan(tmp_path):
    assert shape_of("someone/some-model") is None
    for content in ('{"architectures": ["GPT2LMHeadModel"]}', "[]", "{"):
        (tmp_path / "config.json").write_text(content)
        assert shape_of(str(tmp_path)) is None
