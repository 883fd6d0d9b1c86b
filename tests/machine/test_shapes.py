"""Shapes against published parameter counts, and where they come from."""

import json

import pytest

from tinyzero.config import find_presets, load_config
from tinyzero.machine.shapes import ModelShape, known_shapes, shape_of

TINY = ModelShape(
    layers=2, hidden=16, heads=4, kv_heads=2, head_dim=4, intermediate=32, vocabulary=100, is_tied=True
)


@pytest.mark.parametrize(
    ("base", "weights"),
    [
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008),
        ("Qwen/Qwen2.5-Coder-0.5B-Instruct", 494_032_768),
        ("Qwen/Qwen2.5-Coder-1.5B-Instruct", 1_543_714_304),
        ("Qwen/Qwen2.5-Coder-3B-Instruct", 3_085_938_688),
        ("Qwen/Qwen2.5-Coder-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen2.5-Coder-14B-Instruct", 14_770_033_664),
        ("Qwen/Qwen2.5-Coder-32B-Instruct", 32_763_876_352),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("Qwen/Qwen3-1.7B", 1_720_574_976),
        ("Qwen/Qwen3-4B", 4_022_468_096),
        ("Qwen/Qwen3-8B", 8_190_735_360),
        ("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
    ],
)
def test_published_parameter_counts_are_met_exactly(base, weights):
    assert shape_of(base).weights == weights


def test_the_nano_model_has_as_many_weights_as_its_file():
    from safetensors import safe_open

    import tinyzero

    folder = tinyzero.__path__[0]
    with safe_open(f"{folder}/nano/model.safetensors", framework="numpy") as file:
        in_file = 0
        for name in file.keys():  # noqa: SIM118  it is no mapping
            count = 1
            for size in file.get_slice(name).get_shape():
                count *= size
            in_file += count
    assert shape_of("nano").weights == in_file


def test_the_parameters_of_a_tiny_model_add_up():
    # q and o 16x16, k and v 16x8, three MLP maps 16x32: 2 x (512 + 256 + 1536)
    assert TINY.linear_weights == 4608
    assert TINY.embedding_weights == TINY.head_weights == 1600
    assert TINY.small_weights == 2 * 2 * 16 + 16
    # rank x (in + out): q, o 32 each, k, v 24 each, MLP 48 each = 256 a layer
    assert TINY.lora_weights(3) == 2 * 3 * 256
    # keys and values, 2 layers, 8 wide
    assert TINY.kv_numbers_per_token == 32


def test_an_untied_head_counts_twice_qwen2_has_biases_and_qwen3_norms_per_head():
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
    shape = ModelShape.from_config(config | {"model_type": "qwen3"})
    assert shape.small_weights - TINY.small_weights == 2 * (4 + 4)


def test_every_preset_s_model_and_its_siblings_ship_with_their_shapes():
    for name in find_presets():
        base = load_config(name).model.base
        assert base == "nano" or base in known_shapes(), name
    assert known_shapes()["Qwen/Qwen2.5-7B"] == known_shapes()["Qwen/Qwen2.5-Coder-7B-Instruct"]


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
    dimensions = {
        "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 4, "intermediate_size": 32,
        "vocab_size": 100,
    }  # fmt: skip
    experts = json.dumps({**dimensions, "num_experts": 8})
    for content in (experts, '{"architectures": ["GPT2LMHeadModel"]}', "[]", "{"):
        (tmp_path / "config.json").write_text(content)
        assert shape_of(str(tmp_path)) is None
