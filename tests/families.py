"""Tiny random models of many families, each of two layers, made on the spot."""

from pathlib import Path
from typing import Any

import pytest
from tiny_models import make_tokenizer

PEFT_WARNINGS = [
    pytest.mark.filterwarnings(f"ignore:{start}")
    for start in (
        "fan_in_fan_out is set",
        "The following rank_pattern keys",
        "The following alpha_pattern keys",
        "target_parameters=",
    )
]
"""Of adapters that it puts on experts, and on layers that are stored the other way round."""
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 160,
}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 160}
EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
FULL = {"layer_types": ["full_attention"] * 2}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 40, "rope_theta": 10000.0}
LLAMA3 = {
    "rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 40, "rope_theta": 10000.0,
}  # fmt: skip
LONGROPE = {
    "rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [4.0] * 4,
    "original_max_position_embeddings": 48, "rope_theta": 10000.0,
}  # fmt: skip
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
LATENT = {
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 6,
    "num_key_value_heads": 4, "head_dim": 4, "first_k_dense_replace": 2, "n_routed_experts": 4,
    "moe_intermediate_size": 16, "n_group": 1, "topk_group": 1, "num_experts_per_tok": 2,
}  # fmt: skip

RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", SIZES),
    "llama with yarn": ("llama", {**SIZES, "rope_parameters": YARN}),
    "llama with llama3 rope": ("llama", {**SIZES, "rope_parameters": LLAMA3}),
    "llama with dynamic rope": ("llama", {**SIZES, "rope_parameters": DYNAMIC}),
    "mistral": ("mistral", {**SIZES, "sliding_window": None}),
    "mistral with a window": ("mistral", {**SIZES, "sliding_window": 64}),
    "mixtral": ("mixtral", {**SIZES, **EXPERTS, "sliding_window": 64}),
    "phi": ("phi", SIZES),
    "phi3": ("phi3", {**SIZES, "pad_token_id": 0, "sliding_window": 64}),
    "phi3 with longrope": (
        "phi3",
        {**SIZES, "pad_token_id": 0, "original_max_position_embeddings": 48, "rope_parameters": LONGROPE},
    ),
    "qwen2": ("qwen2", SIZES),
    "qwen3": ("qwen3", SIZES),
    "qwen2_moe": ("qwen2_moe", {**SIZES, **EXPERTS, "shared_expert_intermediate_size": 16}),
    "qwen3_moe": ("qwen3_moe", {**SIZES, **EXPERTS}),
    "granite": ("granite", {**SIZES, "logits_scaling": 4.0, "residual_multiplier": 0.5}),
    "granitemoe": ("granitemoe", {**SIZES, **EXPERTS}),
    "olmo": ("olmo", SIZES),
    "olmo2": ("olmo2", SIZES),
    "olmoe": ("olmoe", {**SIZES, **EXPERTS}),
    "smollm3": ("smollm3", {**SIZES, **FULL, "no_rope_layers": [1, 0], "pad_token_id": 0}),
    "gemma": ("gemma", SIZES),
    "gemma2 without windows": ("gemma2", {**SIZES, **FULL}),
    "gemma3 without windows": ("gemma3_text", {**SIZES, **FULL}),
    "falcon": ("falcon", {**FALCON, "alibi": False}),
    "gpt2": ("gpt2", GPT),
    "gpt_bigcode": ("gpt_bigcode", GPT),
    "gpt_neo without local layers": (
        "gpt_neo",
        {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global"], 2]],
         "max_position_embeddings": 160},
    ),
    "gpt_neox": ("gpt_neox", SIZES),
    "gptj": ("gptj", {**GPT, "rotary_dim": 4}),
    "codegen": ("codegen", {**GPT, "rotary_dim": 4, "n_head": 4}),
    "cohere": ("cohere", SIZES),
    "glm4": ("glm4", {**SIZES, "pad_token_id": 0}),
    "helium": ("helium", SIZES),
    "hunyuan": ("hunyuan_v1_dense", SIZES),
    "ernie4_5": ("ernie4_5", SIZES),
    "arcee": ("arcee", SIZES),
    "seed_oss": ("seed_oss", SIZES),
    "apertus": ("apertus", SIZES),
    "glm": ("glm", {**SIZES, "pad_token_id": 0}),
    "internlm3": ("internlm3", SIZES),
    "olmo3 without windows": ("olmo3", {**SIZES, **FULL}),
    "xglm": ("xglm", {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4,
                      "max_position_embeddings": 160, "dropout": 0.1}),
    "bitnet": ("bitnet", SIZES),
    "diffllama": ("diffllama", SIZES),
    "nanochat": ("nanochat", SIZES),
    "persimmon": ("persimmon", SIZES),
    "lfm2 without convolutions": ("lfm2", {**SIZES, **FULL}),
    "starcoder2": ("starcoder2", {**SIZES, "sliding_window": 64, "residual_dropout": 0.1}),
    "stablelm": ("stablelm", SIZES),
    "nemotron": ("nemotron", SIZES),
    "doge": ("doge", SIZES),
    "biogpt": ("biogpt", {**SIZES, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}),
    "opt": ("opt", {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
                    "word_embed_proj_dim": 32, "max_position_embeddings": 160, "layerdrop": 0.5,
                    "dropout": 0.1}),
    "mpt": ("mpt", {"d_model": 32, "n_heads": 4, "n_layers": 2, "expansion_ratio": 2, "max_seq_len": 160}),
    "deepseek_v2": ("deepseek_v2", {**SIZES, **LATENT}),
    "deepseek_v3": ("deepseek_v3", {**SIZES, **LATENT}),
}  # fmt: skip
"""Name in docs/models.md -> model_type, and its configuration."""

PLAIN_ROWS = ("mpt", "gpt_neo without local layers")
"""Those that go by places in a row, so that completions do not share one."""

REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "qwen2 with windows": ("qwen2", {**SIZES, "use_sliding_window": True, "sliding_window": 64,
                                     "max_window_layers": 0}),
    "gemma2": ("gemma2", SIZES),
    "gpt_neo": ("gpt_neo", {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "window_size": 32,
                            "attention_types": [[["global", "local"], 1]],
                            "max_position_embeddings": 160}),
    "bloom": ("bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4}),
    "falcon with alibi": ("falcon", {**FALCON, "alibi": True}),
    "bert": ("bert", {**SIZES, "is_decoder": True}),
    "roberta": ("roberta", {**SIZES, "is_decoder": True, "pad_token_id": 1}),
    "bart": ("bart", {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 48,
                      "decoder_ffn_dim": 48, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
                      "max_position_embeddings": 160}),
    "rwkv": ("rwkv", {"hidden_size": 32, "num_hidden_layers": 2, "attention_hidden_size": 32}),
    "mamba2": ("mamba2", {"hidden_size": 32, "num_hidden_layers": 2, "num_heads": 4, "head_dim": 16,
                          "n_groups": 1, "state_size": 8, "expand": 2}),
    "falcon_h1": ("falcon_h1", {**SIZES, "mamba_n_heads": 4, "mamba_d_head": 8, "mamba_d_ssm": 32,
                                "mamba_n_groups": 1, "mamba_d_state": 8}),
    "gpt_oss": ("gpt_oss", {**SIZES, **EXPERTS}),
    "ministral": ("ministral", {**SIZES, "sliding_window": 64}),
}  # fmt: skip


def make_family(folder: Path, model_type: str, sizes: dict[str, Any]) -> Path:
    """A random model of a family, with weights so wide that its answers are far from uniform."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tokenizer = make_tokenizer()
    ids = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 0}
    config = AutoConfig.for_model(model_type, **{"vocab_size": len(tokenizer), **ids, **sizes})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "norm" not in name:
                parameter.data.normal_(0, 0.15)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
