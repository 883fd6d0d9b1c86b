"""What the driver's files and NVIDIA's tool say of this machine's cards; torch is not needed for that."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_NVIDIA = ("/dev/nvidiactl", "/dev/dxg")  # the second is WSL's
_AMD = ("/dev/kfd",)
_TIMEOUT_S = 10.0


def has_driver() -> bool:
    """Whether a GPU driver is here: without one, importing torch (seconds) to ask for a GPU is a waste."""
    return _is_any_here((*_NVIDIA, *_AMD))


def has_nvidia_driver() -> bool:
    return _is_any_here(_NVIDIA)


def ask(fields: Sequence[str], *, gpu: str | None = None, timeout_s: float = _TIMEOUT_S) -> str:
    """What nvidia-smi says, a line a card; empty where there is no such tool, or it fails.

    Args:
        fields: as in `nvidia-smi --help-query-gpu`; memory comes in MiB.
        gpu: index or UUID of a card; None asks about all.
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
    """The fields of the answer's first line; None where it has fewer. Only the first may hold commas."""
    cells = [cell.strip() for cell in answer.partition("\n")[0].rsplit(",", num_fields - 1)]
    return cells if len(cells) == num_fields and cells[0] else None


def _is_any_here(files: Sequence[str]) -> bool:
    return any(Path(file).exists() for file in files)
