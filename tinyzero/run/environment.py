"""The environment of a run: versions, machine, threads. Its figures are repeatable only in the same one."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tinyzero

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "accelerate",
    "pydantic",
    "unsloth",
    "vllm",
    "vllm-bnb-plugin",
)
# A CPU run repeats bit for bit only if these stay the same.
_DECISIVE = ("threads", "device", "packages", "python", "machine", "tinyzero")


def describe_environment(*, preset: str, seed: int, device: str, sandbox_tier: str) -> dict[str, Any]:
    """The content of environment.json for this process and machine."""
    return {
        "tinyzero": tinyzero.__version__,
        "git_commit": _git_commit(),
        "preset": preset,
        "seed": seed,
        "device": device,
        "sandbox_tier": sandbox_tier,
        "threads": _num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
    }


def what_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Changes that make a resumed run differ from an uninterrupted one, such as `threads: 2 -> 4`."""
    return differences(before, {key: after[key] for key in _DECISIVE})


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What a tree has otherwise than the one before, such as `packages.torch: 2.11.0 -> 2.12.0`.

    What only one of them has was not known to the version that wrote the other, and is left out.
    """
    changes: list[str] = []
    for key in before.keys() & after.keys():
        value, other = before[key], after[key]
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            changes += differences(value, other, f"{prefix}{key}.")
        elif value != other:
            changes.append(f"{prefix}{key}: {value} -> {other}")
    return sorted(changes)


def _num_threads() -> int | None:
    """Number of torch's threads; None if torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that TinyZero runs from; None outside a checkout."""
    checkout = Path(tinyzero.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
