"""`tinyzero export`: writes a run's result as a folder for other tools."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinyzero.cli.choices import (
    Checkpoint,
    Dtype,
    DtypeOption,
    MergeBase,
    MergeBaseOption,
    RoleName,
    RoleOption,
    RunName,
    What,
    open_run,
    role_of,
)
from tinyzero.cli.consent import YesPlugins

if TYPE_CHECKING:
    from tinyzero.cli.screen import Screen
    from tinyzero.export.folders import Exported
    from tinyzero.run.folder import RunFolder


def export(
    run: RunName = None,
    what: Annotated[
        What,
        typer.Option(
            help="What to export: a LoRA adapter, a merged model, a GGUF "
            "file, or the tasks that the run invented."
        ),
    ] = "merged",
    role: RoleOption = None,
    checkpoint: Checkpoint = "last",
    merge_base: MergeBaseOption = "bf16",
    dtype: DtypeOption = None,
    output: Annotated[
        Path | None, typer.Option(help="The folder to write. Default: one in RUN/export.")
    ] = None,
    yes_plugins: YesPlugins = False,
) -> None:
    """Export a run's adapter, merged into its base model or alone, whole and checked."""
    from tinyzero.cli.screen import Screen

    screen = Screen(sys.stdout, sys.stderr)
    try:
        folder = open_run(run, yes_plugins=yes_plugins)
        place = output.expanduser() if output else None
        for exported in take_home(
            folder,
            what,
            screen,
            role=role,
            checkpoint=checkpoint,
            merge_base=merge_base,
            dtype=dtype,
            output=place,
        ):
            screen.close_wait()
            for remark in exported.remarks:
                screen.note(remark)
            screen.line(str(exported.folder))
    finally:
        screen.close()


def take_home(
    run: "RunFolder",
    what: What,
    screen: "Screen",
    *,
    role: RoleName | None,
    checkpoint: str,
    merge_base: MergeBase,
    dtype: Dtype | None,
    output: Path | None = None,
    reuse: bool = False,
) -> "list[Exported]":
    """Export as requested. `reuse` returns an earlier export if it is unchanged."""
    from tinyzero.export.folders import Exported, ExportRequest, export

    _refuse_meaningless(what, role, merge_base, dtype)
    if what == "tasks":
        from tinyzero.export.dataset import export_tasks

        folder, base, is_new = export_tasks(run, output, reuse=reuse)
        warning = base.licence.warning
        remarks = (f"warning: {warning}",) if warning else ()
        return [Exported(folder=folder, what="tasks", remarks=remarks, is_new=is_new)]
    request = ExportRequest(
        what=what,
        role=role_of(role),
        checkpoint=checkpoint,
        merge_base=merge_base,
        dtype=dtype,
    )
    return export(run, request, output, tell=screen.wait, reuse=reuse)


def _refuse_meaningless(
    what: What, role: RoleName | None, merge_base: MergeBase, dtype: Dtype | None
) -> None:
    """Refuse options that have no effect, since the user must have meant something else."""
    from tinyzero.errors import ConfigError

    options = {
        "--role": role is not None and what == "tasks",
        "--dtype": dtype is not None and what in ("tasks", "adapter"),
        "--merge-base": merge_base != "bf16" and what in ("tasks", "adapter"),
    }
    for option, is_meaningless in options.items():
        if is_meaningless:
            raise ConfigError(f"{option} has no meaning for --what {what}")
