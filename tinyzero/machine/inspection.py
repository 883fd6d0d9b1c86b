"""Inspects this machine once, and stores the results as values that `checkup` can rate."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from tinyzero.machine.cards import why_unsupported
from tinyzero.machine.usage import ask, first_card, has_amd_driver, has_nvidia_driver

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed dependency.

    Attributes:
        version: None if not installed. is_right: whether TinyZero is tested with this version.
        needed: the requirement in pip's format, such as `trl>=1.15,<1.17`.
    """

    name: str
    version: str | None
    needed: str
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda:
    """What torch and the driver report about the first GPU.

    Attributes:
        built_for: `CUDA 13.0` or ROCm; None for a torch for CPUs. error: why torch does not import.
        driver: NVIDIA's version; None if nvidia-smi does not report it. has_driver: whether its files exist.
        other: why a card of another maker that is here cannot train; empty if there is none.
        visible: CUDA_VISIBLE_DEVICES; None if not set.
        count: number of GPUs that torch sees.
        capability: such as (7, 5) for a T4. card: its name; None if torch sees no GPU.
    """

    torch: str | None = None
    error: str = ""
    built_for: str | None = None
    driver: str | None = None
    has_driver: bool = False
    visible: str | None = None
    card: str | None = None
    capability: tuple[int, int] = (0, 0)
    total_gib: float = 0.0
    free_gib: float = 0.0
    has_bf16: bool = False
    count: int = 1
    other: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Free and total size of the disk of a folder, GiB."""

    folder: Path
    free_gib: float
    total_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """The executor's report on its confinement; `error` if it does not start."""

    tier: int = 0
    description: str = ""
    has_namespaces: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """All data that `tinyzero doctor` rates."""

    python: tuple[int, int, int]
    packages: list[Package] = field(default_factory=list)
    cuda: Cuda
    extras: dict[str, str | None]
    sandbox: Sandbox
    runs: Disk
    downloads: Disk


def inspect() -> Inspection:
    """Inspect the interpreter, the packages, torch, the driver, the executor and the disks."""
    return Inspection(
        python=sys.version_info[:3],
        packages=_installed_packages(),
        cuda=_ask_cuda(),
        extras={name: installed_version(name) for name in ("unsloth", "vllm", "vllm-bnb-plugin")},
        sandbox=ask_sandbox(),
        runs=_ask_disk(Path.cwd()),
        downloads=_ask_disk(Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()),
    )


def _installed_packages() -> list[Package]:
    """The core dependencies in the metadata of this installation of TinyZero."""
    from packaging.requirements import Requirement

    packages = []
    for requirement in map(Requirement, _requirements()):
        if requirement.marker is None:  # skips the dependencies of extras
            version = installed_version(requirement.name)
            packages.append(
                Package(
                    name=requirement.name,
                    version=version,
                    needed=str(requirement),
                    is_right=version is not None
                    and requirement.specifier.contains(version, prereleases=True),
                )
            )
    return packages


def _requirements() -> list[str]:
    try:
        return requires("tinyzero") or []
    except PackageNotFoundError:  # TinyZero runs without being installed
        return []


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _ask_cuda() -> Cuda:
    """The first GPU as torch sees it, or the reason why torch sees none."""
    version_here = first_card(ask(["driver_version"]), 1)
    driver, files = version_here[0] if version_here else None, has_nvidia_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library does not load
        return Cuda(error=str(error), driver=driver, has_driver=files, visible=visible)
    built_for = None
    if torch.version.cuda or torch.version.hip:
        built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else f"ROCm {torch.version.hip}"
    if not torch.cuda.is_available():
        return Cuda(
            torch=str(torch.__version__),
            built_for=built_for,
            driver=driver,
            has_driver=files,
            visible=visible,
            other=_other_card(),
        )
    free, total = torch.cuda.mem_get_info(0)
    return Cuda(
        torch=str(torch.__version__),
        built_for=built_for,
        driver=driver,
        has_driver=True,
        visible=visible,
        card=torch.cuda.get_device_name(0),
        capability=torch.cuda.get_device_capability(0),
        total_gib=total / _GIB,
        free_gib=free / _GIB,
        has_bf16=torch.cuda.is_bf16_supported(including_emulation=False),
        count=torch.cuda.device_count(),
    )


def _other_card() -> str:
    """Why the card that is here cannot train, where it is AMD's or Apple's."""
    maker = "AMD" if has_amd_driver() else "Apple" if sys.platform == "darwin" else ""
    return why_unsupported(maker) if maker else ""


def ask_sandbox() -> Sandbox:
    """Start an executor, which tests its own confinement, and stop it."""
    from tinyzero.config import ExecutionConfig
    from tinyzero.errors import ExecutorBroken
    from tinyzero.execution import Executor

    try:
        with Executor(ExecutionConfig(allow_weak_sandbox=True)) as executor:
            return Sandbox(
                tier=int(executor.tier),
                description=executor.tier.description,
                has_namespaces=any(report["has_namespaces"] for report in executor.reports),
            )
    except ExecutorBroken as error:
        return Sandbox(error=str(error))


def _ask_disk(folder: Path) -> Disk:
    """The disk of a folder, which may not exist yet."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(there)
    return Disk(folder=folder, free_gib=usage.free / _GIB, total_gib=usage.total / _GIB)
