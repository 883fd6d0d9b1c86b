"""Information on this machine's cards from the driver's files and nvidia-smi, without torch."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NVIDIA = ("/dev/nvidiactl", "/dev/dxg")  # the second is WSL's
_AMD = ("/dev/kfd",)
_TIMEOUT_S = 10.0


def has_driver() -> bool:
    """Whether a GPU driver is installed. Without one, importing torch (seconds) to find a GPU is useless."""
    return _is_any_here((*_NVIDIA, *_AMD))


def has_nvidia_driver() -> bool:
    return _is_any_here(_NVIDIA)


def ask(fields: Sequence[str], *, gpu: str | None = None, timeout_s: float = _TIMEOUT_S) -> str:
    """The output of nvidia-smi, one line per card; empty if the tool is missing or fails.

    Args:
        fields: fields of `nvidia-smi --help-query-gpu`; memory is in MiB.
        gpu: index or UUID of a card; None for all cards.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits"]
    command += [] if gpu is None else ["-i", gpu]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout if answer.returncode == 0 else ""


def first_card(answer: str, num_fields: int) -> list[str] | None:
    """The fields of the answer's first line; None if there are fewer. Only the first may hold commas."""
    cells = [cell.strip() for cell in answer.partition("\n")[0].rsplit(",", num_fields - 1)]
    return cells if len(cells) == num_fields and cells[0] else None


def _is_any_here(files: Sequence[str]) -> bool:
    return any(Path(file).exists() for file in files)
