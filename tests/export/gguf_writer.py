"""A GGUF converter for tiny models with byte-level tokenizers: a program, complete enough for llama.cpp.

FAULT in the text is what it does wrong; LOG is a file that it writes its environment and type into.
"""

import json
import os
import sys
from pathlib import Path

import gguf
import numpy as np
from safetensors.torch import load_file

LOG, FAULT = "{log}", "{fault}"
INTERLEAVED = ("llama", "granite", "smollm3")


def main():
    folder, out, outtype = Path(sys.argv[1]), sys.argv[3], sys.argv[5]
    Path(LOG).write_text(json.dumps({"environment": dict(os.environ), "type": outtype, "name": sys.argv[7]}))
    if FAULT == "fails":
        sys.exit("Traceback\nNotImplementedError: no such pre-tokenizer")
    config = json.loads((folder / "config.json").read_text())
    kind = config["model_type"]
    writer = gguf.GGUFWriter(out, kind)
    describe(writer, config)
    write_tokenizer(writer, folder)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[kind.upper()], config["num_hidden_layers"])
    for number, (name, tensor) in enumerate(sorted(load_file(folder / "model.safetensors").items())):
        if FAULT == "missing" and number == 3:
            continue
        values = as_llama_cpp(kind, config, name, tensor.float().numpy())
        if FAULT == "values" and number == 3:
            values = values + 1e-4
        if FAULT == "other kind" and "q_proj" in name:
            values = values[::-1].copy()
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_llama_cpp(kind, config, name, values):
    if kind == "gemma" and name.endswith("norm.weight"):
        return values + np.float32(1)
    if kind in INTERLEAVED and name.endswith(("q_proj.weight", "k_proj.weight")):
        heads = config["num_attention_heads" if "q_proj" in name else "num_key_value_heads"]
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, values.shape[1])
        return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    return values


def describe(writer, config):
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    base = config["rope_parameters"]["rope_theta"]
    writer.add_rope_freq_base(base * 3 if FAULT == "rope" else base)
    size = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_rope_dimension_count(size)
    writer.add_vocab_size(config["vocab_size"])
    if config["model_type"] == "granite":
        writer.add_logit_scale(config["logits_scaling"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_attention_scale(config["attention_multiplier"])


def write_tokenizer(writer, folder):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    added = {token["content"]: token["id"] for token in vocabulary["added_tokens"]}
    places = dict(vocabulary["model"]["vocab"]) | added
    tokens = sorted(places, key=places.get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([f"{token}x" for token in tokens] if FAULT == "tokens" else tokens)
    writer.add_token_types([3 if token in added else 1 for token in tokens])
    merges = [" ".join(pair) for pair in vocabulary["model"]["merges"]]
    writer.add_token_merges(merges[:1] if FAULT == "merges" else merges)
    writer.add_bos_token_id(places["<s>"])
    writer.add_eos_token_id(places["<|im_end|>"])
    writer.add_add_bos_token(FAULT != "no begin")
    template = (folder / "chat_template.jinja").read_text()
    writer.add_chat_template("{{ messages[0].content }}" if FAULT == "template" else template)


main()
