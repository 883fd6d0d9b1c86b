"""`tinyzero doctor`: checks this machine and its sandbox."""

import json as json_module
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyzero.cli.screen import show, show_json, waiting

if TYPE_CHECKING:
    from tinyzero.execution.attack import AttackReport
    from tinyzero.machine.checkup import Check
    from tinyzero.machine.inspection import Cuda

_UNPROVEN = "Never run on a GPU, as far as the reports of this version say (docs/gpu.md):"


def doctor(
    file: Annotated[
        Path | None,
        typer.Argument(help="With --attack: a Python file with an ITEMS list, in place of the corpus."),
    ] = None,
    attack: Annotated[
        bool, typer.Option("--attack", help="Attack the sandbox with a corpus of hostile programs.")
    ] = False,
    model: Annotated[
        str | None,
        typer.Option(help="Check a base model instead: a local folder or a Hub id.", metavar="BASE"),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    allow_weak_sandbox: Annotated[
        bool,
        typer.Option(
            "--allow-weak-sandbox", help="Run the corpus even if this machine cannot confine programs."
        ),
    ] = False,
) -> None:
    """Look at this machine, and exit 1 if something that training needs is broken.

    With --attack, attack the executor, and exit 1 if anything got through. With --model, load a base model,
    compare all that computes it, and exit 1 if what it learned could not be exported; nothing is trained.
    """
    if file is not None and not attack:
        raise typer.BadParameter(f"{file} is only read with --attack")
    if attack and model is not None:
        raise typer.BadParameter("--model and --attack look at different things; give one of them")
    if model is not None:
        _try_model(model, json=json)
    elif attack:
        _attack(file, json=json, allow_weak_sandbox=allow_weak_sandbox)
    else:
        _look(json=json)


def _try_model(base: str, *, json: bool) -> None:
    """What a run does before its first step, with the settings of this machine's preset."""
    import sys

    from tinyzero.cli.doctor_model import examine
    from tinyzero.cli.screen import Screen
    from tinyzero.config import load_config
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle
    from tinyzero.machine.suitability import choose_preset

    screen = Screen(sys.stdout, sys.stderr)
    try:
        machine = look()
        overrides = [f"model.base={json_module.dumps(base)}"]
        config = settle(load_config(choose_preset(machine), overrides), machine)
        report = examine(config, screen.wait)
        screen.close_wait()
        for line in [json_module.dumps(report.as_json())] if json else report.lines():
            screen.line(line)
    finally:
        screen.close()
    if report.problem:
        raise typer.Exit(1)


def _attack(file: Path | None, *, json: bool, allow_weak_sandbox: bool) -> None:
    from tinyzero.execution import Executor
    from tinyzero.execution.attack import ATTACK_LIMITS, attack, load_items, packaged_items

    items = packaged_items() if file is None else load_items(file)
    config = ATTACK_LIMITS.model_copy(update={"allow_weak_sandbox": allow_weak_sandbox})
    with Executor(config) as executor:
        report = attack(executor, items)
    show_json(report.as_json()) if json else show(_attack_table(report))
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
    from tinyzero.machine.checkup import Status
    from tinyzero.machine.evidence import never_run

    with waiting("looking at this machine"):
        checks, unproven = _checks(), never_run()
    is_ready = all(check.status is not Status.BROKEN for check in checks)
    if json:
        report = {"is_ready": is_ready, "checks": [asdict(check) for check in checks]}
        show_json(report | {"never_run_on_a_gpu": unproven})
    else:
        width = shutil.get_terminal_size((100, 24)).columns
        show(_report(checks, unproven, min(max(width, 60), 110)))
    if not is_ready:
        raise typer.Exit(1)


def _checks() -> "list[Check]":
    """All checks of this machine and of the preset that it would train."""
    from tinyzero.config import load_config
    from tinyzero.machine.checkup import check_all
    from tinyzero.machine.forecast import disk_plan
    from tinyzero.machine.hardware import Gpu, Machine, free_memory_gib, memory_here_gib
    from tinyzero.machine.inspection import inspect
    from tinyzero.machine.memory import plan
    from tinyzero.machine.programs import program_memory
    from tinyzero.machine.settling import settle
    from tinyzero.machine.shapes import shape_of
    from tinyzero.machine.suitability import choose_preset

    seen = inspect()
    cuda = seen.cuda
    gpu = Gpu(name=cuda.card, memory_gib=cuda.total_gib, has_bf16=cuda.has_bf16) if cuda.card else None
    machine = Machine(memory_gib=memory_here_gib(), gpu=gpu, has_driver=cuda.has_driver)
    preset = choose_preset(machine)
    config = settle(load_config(preset), machine)
    shape = shape_of(config.model.base)
    disk = disk_plan(config, shape) if shape else None
    own_gib = plan(config, shape).peak_gib if shape and not gpu else 0.0
    head_fault, head_doubt = _head_faults(cuda)
    return check_all(
        seen,
        kernel_faults=_kernel_faults(cuda),
        head_fault=head_fault,
        head_doubt=head_doubt,
        programs=program_memory(config, free_memory_gib(), own_gib),
        preset=preset,
        run_gib=disk.checkpoints + disk.logs if disk else 0.0,
        download_gib=disk.download if disk else 0.0,
    )


def _kernel_faults(cuda: "Cuda") -> list[str]:
    """The faults of bitsandbytes here. It may fail in any way; the result is always a report."""
    if cuda.torch is None:
        return ["torch does not import"]
    import torch

    from tinyzero.machine.kernels import try_kernels

    dtype = torch.float32
    if cuda.card:
        dtype = torch.bfloat16 if cuda.has_bf16 else torch.float16
    try:
        return try_kernels("cuda" if cuda.card else "cpu", dtype).faults
    except Exception as error:  # noqa: BLE001
        return [(str(error).strip() or type(error).__name__).splitlines()[0]]


def _head_faults(cuda: "Cuda") -> tuple[str, str]:
    """Why trl's fused LM head does not work here, and why it is slower than it could be; "" where it is well.

    It may fail in any way; the result is always a report. Both are "" if torch or trl is missing.
    """
    from tinyzero.errors import HardwareError
    from tinyzero.machine.inspection import installed_version

    version = installed_version("trl")
    if cuda.torch is None or version is None:
        return "", ""
    import torch

    from tinyzero.policy.fused_head import check_fused_head, prepare_fused_head

    device = torch.device("cuda" if cuda.card else "cpu")
    try:
        check_fused_head(device, version)
        return "", prepare_fused_head(device, torch.bfloat16 if cuda.has_bf16 else torch.float16)
    except HardwareError as error:
        return str(error), ""
    except Exception as error:  # noqa: BLE001
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"trl's fused head fails here ({reason}); pip install --force-reinstall trl", ""


def _report(checks: "Sequence[Check]", unproven: Mapping[str, str], width: int) -> str:
    """One line per check with its remedy below, then the unproven parts; the last line is the summary."""
    from tinyzero.machine.checkup import Status

    lines = []
    for check in checks:
        start = f"{check.status:<8}{check.name:<10}"
        lines += textwrap.wrap(check.found, width, initial_indent=start, subsequent_indent=" " * 18)
        if check.remedy:
            lines += textwrap.wrap(
                check.remedy, width, initial_indent=" " * 18 + "-> ", subsequent_indent=" " * 21
            )
    if unproven:
        lines += ["", *textwrap.wrap(_UNPROVEN, width)]
        lines += textwrap.wrap(
            "; ".join(unproven.values()), width, initial_indent="  ", subsequent_indent="  "
        )
    broken = [check.name for check in checks if check.status is Status.BROKEN]
    return "\n".join(
        [*lines, "", f"in the way of training: {', '.join(broken)}" if broken else "ready to train"]
    )
