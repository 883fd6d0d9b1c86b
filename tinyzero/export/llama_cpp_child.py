"""Answers of llama.cpp to conversations: a program that reads one JSON object and writes one.

It stands alone, since llama.cpp ends the process that gives it a damaged file. Needs the package xllamacpp.
"""

import json
import os
import sys
import urllib.request
from typing import Any

import xllamacpp

RESULT = "RESULT "


def main() -> None:
    request = json.load(sys.stdin)
    server = xllamacpp.Server(_parameters(request))
    answers = [_answer(server.listening_address, chat, request["num_tokens"]) for chat in request["chats"]]
    os.write(1, f"{RESULT}{json.dumps(answers)}\n".encode())
    os._exit(0)  # the server's threads need no farewell


def _parameters(request: dict[str, Any]) -> Any:  # noqa: ANN401  untyped
    """On the CPU, in 32 bit where the file does not say otherwise."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = request["model"]
    parameters.n_ctx = request["context_tokens"]
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = request["num_threads"]
    parameters.n_gpu_layers = 0
    parameters.n_parallel = 1
    parameters.warmup = False
    parameters.use_jinja = True
    parameters.cache_type_k = parameters.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    parameters.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    return parameters


def _answer(address: str, chat: Any, num_tokens: int) -> dict[str, Any]:  # noqa: ANN401  JSON
    text = _post(f"{address}/apply-template", {"messages": chat})["prompt"]
    content = {"content": text, "add_special": True, "parse_special": True}
    ids = _post(f"{address}/tokenize", content)["tokens"]
    greedy = {"temperature": 0, "repeat_penalty": 1, "n_predict": num_tokens, "n_probs": 1}
    wish = {"prompt": ids, "cache_prompt": False, "return_tokens": True, **greedy}
    said = _post(f"{address}/completion", wish)
    steps = said["completion_probabilities"]
    is_complete = [step["id"] for step in steps] == said["tokens"]  # parts of a character have no probability
    return {
        "prompt_ids": ids,
        "token_ids": said["tokens"],
        "logprobs": [step["logprob"] for step in steps] if is_complete else [None] * len(said["tokens"]),
    }


def _post(url: str, content: dict[str, Any]) -> Any:  # noqa: ANN401  JSON
    request = urllib.request.Request(  # noqa: S310  the loopback
        url, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return json.load(response)


if __name__ == "__main__":
    main()
