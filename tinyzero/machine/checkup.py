"""The checks of `tinyzero doctor`: rate each part of an inspection as ok, note or broken, with a remedy."""

from dataclasses import dataclass
from enum import StrEnum

from tinyzero.config import VLLM_SERIES
from tinyzero.machine.cards import why_unsupported
from tinyzero.machine.inspection import Cuda, Disk, Inspection, Package, Sandbox
from tinyzero.machine.programs import ProgramMemory

_PYTHONS = ((3, 11), (3, 14))
_MAIN_PACKAGES = ("transformers", "peft", "trl")
_BUSY_SHARE = 0.8
_UNSLOTH = (
    "pip install -e '.[unsloth]' in TinyZero's folder, in an environment of its own: it pins older versions, "
    "and mixes licences"
)

_VLLM = "pip install -e '.[vllm]' in TinyZero's folder"


class Status(StrEnum):
    """The result of one check."""

    OK = "ok"
    NOTE = "note"
    """Training works nevertheless."""
    BROKEN = "broken"
    """Training does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the report, with a remedy."""

    name: str
    found: str
    status: Status = Status.OK
    remedy: str = ""


def check_python(version: tuple[int, int, int]) -> Check:
    low, high = _PYTHONS
    text = ".".join(map(str, version))
    if low <= version[:2] < high:
        return Check(name="python", found=text)
    return Check(
        name="python",
        found=text,
        status=Status.BROKEN,
        remedy="make an environment of Python 3.11 to 3.13, and install TinyZero there",
    )


def check_packages(packages: list[Package]) -> Check:
    wrong = [package for package in packages if not package.is_right]
    if wrong:
        return Check(
            name="packages",
            found=", ".join(f"{package.name} {package.version or 'is missing'}" for package in wrong),
            status=Status.BROKEN,
            remedy="pip install " + " ".join(f"'{package.needed}'" for package in wrong),
        )
    main = [package for package in packages if package.name in _MAIN_PACKAGES]
    versions = ", ".join(f"{package.name} {package.version}" for package in main)
    return Check(name="packages", found=versions or "not installed as a package, so not compared")


def check_torch(cuda: Cuda) -> Check:
    """Torch, and whether it was built for this machine's GPU."""
    if cuda.torch is None:
        return Check(
            name="torch",
            found=f"does not import: {cuda.error}",
            status=Status.BROKEN,
            remedy="install it again, as https://pytorch.org/get-started/locally says for this machine",
        )
    finding = f"{cuda.torch}, built for {cuda.built_for or 'CPUs'}"
    if cuda.has_driver and cuda.built_for is None:
        return Check(
            name="torch",
            found=f"{finding}, but a GPU driver is here",
            status=Status.BROKEN,
            remedy="install a build for this GPU, as https://pytorch.org/get-started/locally says",
        )
    return Check(name="torch", found=finding)


def check_driver(cuda: Cuda) -> Check:
    if not cuda.has_driver:
        return Check(name="driver", found="none")
    finding = cuda.driver or "here, but nvidia-smi does not say which"
    if cuda.card is None and cuda.built_for is not None:
        if cuda.visible is not None:
            remedy = f"CUDA_VISIBLE_DEVICES is {cuda.visible!r}; unset it, or name a GPU that is there"
        else:
            remedy = f"run nvidia-smi; if it sees the GPU, update the driver to one for {cuda.built_for}"
        return Check(
            name="driver", found=f"{finding}; torch sees no GPU", status=Status.BROKEN, remedy=remedy
        )
    return Check(name="driver", found=finding)


def check_card(cuda: Cuda) -> Check:
    if cuda.card is None:
        why = cuda.other or "training runs on the CPU, with small models"
        return Check(name="gpu", found=f"none; {why}")
    finding = f"{cuda.card}, {cuda.free_gib:.1f} of {cuda.total_gib:.1f} GiB free"
    if reason := why_unsupported(cuda.card):
        return Check(
            name="gpu",
            found=f"{cuda.card} cannot train: {reason}",
            status=Status.NOTE,
            remedy="training runs on the CPU, with small models",
        )
    if cuda.count > 1:
        finding += f"; the first of {cuda.count}: torchrun --nproc_per_node {cuda.count} uses all of them"
    if cuda.free_gib < _BUSY_SHARE * cuda.total_gib:
        return Check(
            name="gpu",
            found=finding,
            status=Status.NOTE,
            remedy="another program holds the rest; nvidia-smi names it. Plans count with all of the card",
        )
    return Check(name="gpu", found=finding)


def check_dtype(cuda: Cuda) -> Check:
    """The compute type that `model.dtype = "auto"` selects here, and the reason."""
    if cuda.card is None:
        return Check(name="dtype", found="float32: CPUs multiply 16-bit numbers slowly")
    if cuda.has_bf16:
        return Check(name="dtype", found="bfloat16: the card has it")
    major, minor = cuda.capability
    return Check(
        name="dtype",
        found=f"float16 with a gradient scaler: compute capability {major}.{minor} has no bfloat16",
    )


def check_kernels(version: str | None, faults: list[str], cuda: Cuda) -> Check:
    """The result of trying bitsandbytes. Only CUDA needs it, for models in 4 bit."""
    place = "CUDA" if cuda.card else "the CPU"
    if not faults:
        return Check(
            name="4 bit",
            found=f"bitsandbytes {version} computes on {place}: NF4 there and back, a product, 8-bit AdamW",
        )
    return Check(
        name="4 bit",
        found=f"bitsandbytes {version} fails on {place}: {'; '.join(faults)}",
        status=Status.BROKEN if cuda.card else Status.NOTE,
        remedy="pip install --force-reinstall bitsandbytes; without it, model.quantization=none"
        if cuda.card
        else "presets for a CPU do not use it",
    )


def check_head(fault: str, doubt: str = "") -> Check:
    """The fused LM head of trl. Not every version supports every device, and its kernels need a C compiler.

    Args:
        fault: why it cannot be used. doubt: why it is slower than it could be; both end with the remedy.
    """
    if fault or doubt:
        what, _, remedy = (fault or doubt).partition("; ")
        status = Status.BROKEN if fault else Status.NOTE
        return Check(name="lm head", found=what, status=status, remedy=remedy)
    return Check(name="lm head", found="trl scores on this device without whole logits")


def check_unsloth(version: str | None, cuda: Cuda) -> Check:
    if version is None:
        reason = "an extra for CUDA" if cuda.card else "of no use without CUDA"
        return Check(name="unsloth", found=f"not installed; {reason}", remedy=_UNSLOTH if cuda.card else "")
    if cuda.card is None:
        return Check(name="unsloth", found=f"{version}, not used: it has no CPU mode", status=Status.NOTE)
    return Check(name="unsloth", found=version)


def check_vllm(version: str | None, plugin: str | None, cuda: Cuda) -> Check:
    """Whether `sampling.engine = "vllm"` can work here. A server elsewhere does not need it."""
    if version is None:
        reason = "the built-in sampler does without, and a server elsewhere (sampling.server_url) too"
        return Check(name="vllm", found=f"not installed; {reason}")
    if cuda.card is None:
        return Check(name="vllm", found=f"{version}, of no use without CUDA", status=Status.NOTE)
    if not f"{version}.".startswith(f"{VLLM_SERIES}."):
        return Check(name="vllm", found=f"{version}, which is not known", status=Status.NOTE, remedy=_VLLM)
    if plugin is None:
        return Check(
            name="vllm",
            found=f"{version}, without vllm-bnb-plugin: it cannot read a base in 4 bit",
            status=Status.NOTE,
            remedy=_VLLM,
        )
    return Check(name="vllm", found=f"{version}, with vllm-bnb-plugin {plugin}; asked for by sampling.engine")


def check_sandbox(sandbox: Sandbox) -> Check:
    if sandbox.error:
        return Check(
            name="sandbox",
            found=f"does not start: {sandbox.error}",
            status=Status.BROKEN,
            remedy="docs/security.md says what it needs of the system",
        )
    namespaces = ", namespaces" if sandbox.has_namespaces else ""
    finding = f"tier {sandbox.tier}: {sandbox.description}{namespaces}"
    if sandbox.tier == 1:
        return Check(
            name="sandbox",
            found=finding,
            status=Status.BROKEN,
            remedy="train on Linux with seccomp, or take the risk: --allow-weak-sandbox",
        )
    return Check(name="sandbox", found=finding)


def check_memory(programs: ProgramMemory) -> Check:
    """Whether all programs that run at once find memory. A program that does not is run again later."""
    free = "an unknown part" if programs.free_gib is None else f"{programs.free_gib:.1f} GiB"
    finding = (
        f"{free} free beside the model; {programs.workers} programs at once take {programs.at_most_gib:.1f} "
        "at most"
    )
    if programs.fits:
        return Check(name="memory", found=finding)
    return Check(name="memory", found=finding, status=Status.NOTE, remedy=programs.remedy)


def check_disk(name: str, disk: Disk, needed_gib: float, what: str) -> Check:
    """Whether the disk has room for the files of this machine's preset."""
    finding = f"{disk.free_gib:.1f} of {disk.total_gib:.1f} GiB free; {what} takes {needed_gib:.2g}"
    if disk.free_gib >= needed_gib:
        return Check(name=name, found=finding)
    return Check(
        name=name,
        found=finding,
        status=Status.BROKEN,
        remedy="make room, or set HF_HOME to a folder on another disk"
        if name == "cache"
        else "make room, or train elsewhere: --output FOLDER",
    )


def check_all(
    seen: Inspection,
    *,
    kernel_faults: list[str],
    head_fault: str,
    head_doubt: str = "",
    programs: ProgramMemory,
    preset: str,
    run_gib: float,
    download_gib: float,
) -> list[Check]:
    """All checks, in the order of the report.

    Args:
        preset: the preset that `train` would choose here. run_gib, download_gib: the size of its files.
    """
    versions = {package.name: package.version for package in seen.packages}
    return [
        check_python(seen.python),
        check_packages(seen.packages),
        check_torch(seen.cuda),
        check_driver(seen.cuda),
        check_card(seen.cuda),
        check_dtype(seen.cuda),
        check_kernels(versions.get("bitsandbytes"), kernel_faults, seen.cuda),
        check_head(head_fault, head_doubt),
        check_unsloth(seen.extras["unsloth"], seen.cuda),
        check_vllm(seen.extras["vllm"], seen.extras.get("vllm-bnb-plugin"), seen.cuda),
        check_sandbox(seen.sandbox),
        check_memory(programs),
        check_disk("disk", seen.runs, run_gib, f"a run of {preset}"),
        *([check_disk("cache", seen.downloads, download_gib, "its model")] if download_gib else []),
        Check(name="preset", found=f"{preset} fits: tinyzero train"),
    ]
