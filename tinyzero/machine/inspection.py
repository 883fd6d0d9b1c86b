"""What there is on this machine to train with: asked once, and put into values that can be judged."""

import os
import shutil
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from tinyzero.machine.nvidia import ask, first_card, has_driver

_GIB = 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed dependency.

    Attributes:
        version: None where it is not installed. is_right: the version is one that TinyZero is tested with.
        needed: as pip takes it, `trl>=1.15,<1.17`.
    """

    name: str
    version: str | None
    needed: str
    is_right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda:
    """What torch and the driver say of the first GPU.

    Attributes:
        built_for: `CUDA 13.0`, or ROCm; None for a torch without either. error: why torch does not import.
        driver: its version; None where NVIDIA's tool does not say. has_driver: its files are here.
        visible: CUDA_VISIBLE_DEVICES, None where it is not set.
        capability: as in (7, 5) for a T4. card: its name, None where torch sees none.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Free and whole size of the disk under a folder, GiB."""

    folder: Path
    free_gib: float
    total_gib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """What the executor observed of itself; `error` where it does not start."""

    tier: int = 0
    description: str = ""
    has_namespaces: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """Everything that `tinyzero doctor` judges."""

    python: tuple[int, int, int]
    packages: list[Package] = field(default_factory=list)
    cuda: Cuda
    extras: dict[str, str | None]
    sandbox: Sandbox
    runs: Disk
    downloads: Disk


def inspect() -> Inspection:
    """Ask the interpreter, the packages, torch, the driver, the executor and the disks."""
    return Inspection(
        python=sys.version_info[:3],
        packages=installed_packages(),
        cuda=ask_cuda(),
        extras={name: installed_version(name) for name in ("unsloth", "vllm", "vllm-bnb-plugin")},
        sandbox=ask_sandbox(),
        runs=ask_disk(Path.cwd()),
        downloads=ask_disk(Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()),
    )


def installed_packages() -> list[Package]:
    """The core dependencies, as this installation of TinyZero names them."""
    from packaging.requirements import Requirement

    packages = []
    for requirement in map(Requirement, _requirements()):
        if requirement.marker is None:  # an extra's are none of our business
            found = installed_version(requirement.name)
            packages.append(
                Package(
                    name=requirement.name,
                    version=found,
                    needed=str(requirement),
                    is_right=found is not None and requirement.specifier.contains(found, prereleases=True),
                )
            )
    return packages


def _requirements() -> list[str]:
    try:
        return requires("tinyzero") or []
    except PackageNotFoundError:  # run from a folder that was never installed
        return []


def installed_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def ask_cuda() -> Cuda:
    """The first GPU, as torch sees it or does not."""
    version_here = first_card(ask(["driver_version"]), 1)
    driver, files = version_here[0] if version_here else None, has_driver()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a library beneath it does not load
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
    )


def ask_sandbox() -> Sandbox:
    """Start an executor, which attacks itself, and stop it."""
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


def ask_disk(folder: Path) -> Disk:
    """The disk that a folder is on, or will be on once it is made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    usage = shutil.disk_usage(there)
    return Disk(folder=folder, free_gib=usage.free / _GIB, total_gib=usage.total / _GIB)
