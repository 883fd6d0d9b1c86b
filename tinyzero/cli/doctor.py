"""`tinyzero doctor`: what this machine can do, and whether its sandbox holds."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tinyzero.execution.attack import AttackReport


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(help="With --attack: a Python file with an ITEMS list, in place of the corpus."),
    ] = None,
    attack: Annotated[
        bool, typer.Option("--attack", help="Attack the sandbox with a corpus of hostile programs.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_weak_sandbox: Annotated[
        bool, typer.Option("--allow-weak-sandbox", help="Go on where programs cannot be confined.")
    ] = False,
) -> None:
    """Look at this machine; with --attack, attack the executor and exit 1 if anything got through."""
    if file is not None and not attack:
        raise typer.BadParameter(f"{file} is only read with --attack")
    if attack:
        _attack(file, json=json, allow_weak_sandbox=allow_weak_sandbox)
    else:
        _look(json=json)


def _attack(file: Path | None, *, json: bool, allow_weak_sandbox: bool) -> None:
    from tinyzero.execution import Executor
    from tinyzero.execution.attack import ATTACK_LIMITS, attack, load_items
    from tinyzero.execution.corpus import ITEMS

    items = ITEMS if file is None else load_items(file)
    config = ATTACK_LIMITS.model_copy(update={"allow_weak_sandbox": allow_weak_sandbox})
    with Executor(config) as executor:
        report = attack(executor, items)
    print(json_module.dumps(report.as_json()) if json else _attack_table(report))
    if not all(item.passed for item in report.items):
        raise typer.Exit(1)


def _attack_table(report: "AttackReport") -> str:
    width = max((len(item.name) for item in report.items), default=0)
    lines = []
    for item in report.items:
        faults = [
            fault
            for fault, is_there in (("wrong value", not item.value_ok), ("canary", not item.canary_ok))
            if is_there
        ]
        mark = "ok  " if item.passed else "FAIL"
        lines.append(f"{mark} {item.kind:6} {item.name:{width}} {item.outcome} {', '.join(faults)}".rstrip())
    summary = report.as_json()
    return "\n".join(
        [
            *lines,
            f"tier {report.tier}: {summary['attacks_passed']}/{summary['attacks']} attacks stopped, "
            f"{summary['benign_passed']}/{summary['benign']} honest programs right, "
            f"{summary['executions_per_s']} runs/s",
        ]
    )


def _look(*, json: bool) -> None:
    facts = _facts()
    if json:
        print(json_module.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name:9} {value}")


def _facts() -> dict[str, Any]:
    import platform
    import shutil

    disk = shutil.disk_usage(Path.cwd())
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": _torch(),
        "cuda": _cuda(),
        "sandbox": _sandbox(),
        "disk": f"{disk.free / 2**30:.1f} GiB free of {disk.total / 2**30:.1f} GiB",
        "unsloth": _unsloth(),
    }


def _torch() -> str:
    try:
        import torch
    except ImportError as error:
        return f"missing ({error})"
    return str(torch.__version__)


def _cuda() -> str:
    try:
        import torch
    except ImportError:
        return "unknown without torch"
    if not torch.cuda.is_available():
        return "not available; training runs on the CPU, with small models"
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return ", ".join(f"{card.name} ({card.total_memory / 2**30:.0f} GiB)" for card in cards)


def _sandbox() -> str:
    from tinyzero.config import ExecutionConfig
    from tinyzero.errors import ExecutorBroken
    from tinyzero.execution import Executor

    try:
        with Executor(ExecutionConfig(allow_weak_sandbox=True)) as executor:
            extras = ["namespaces"] * any(report["has_namespaces"] for report in executor.reports)
            return f"tier {executor.tier}: {executor.tier.description}" + (f", {extras[0]}" if extras else "")
    except ExecutorBroken as error:
        return f"broken: {error}"


def _unsloth() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("unsloth")
    except PackageNotFoundError:
        return (
            "not installed; an extra for CUDA machines (it has no CPU mode, pins older versions and mixes "
            "licences): pip install -e '.[unsloth]', in an environment of its own"
        )
