"""Options and texts shared by the commands on a finished run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.types import Role

RunName = Annotated[str, typer.Argument(help="The run's folder, or its name in `runs`.", metavar="RUN")]
Checkpoint = Annotated[
    str,
    typer.Option(help="best (by the held-out solve rate), last, or a step's number.", metavar="best|last|N"),
]


What = Literal["adapter", "merged", "gguf", "tasks"]
RoleName = Literal["solver", "proposer"]
MergeBase = Literal["bf16", "dequant", "auto"]
Dtype = Literal["bf16", "fp16", "fp32"]

RoleOption = Annotated[
    RoleName | None,
    typer.Option("--role", help="The role whose adapter is taken. Default: every adapter that was trained."),
]
MergeBaseOption = Annotated[
    MergeBase,
    typer.Option(
        help="bf16: merge into the base model's own weights. dequant: merge into the 4-bit weights that "
        "training used. auto: whichever is closer to the model as trained."
    ),
]
DtypeOption = Annotated[
    Dtype | None,
    typer.Option(help="Data type of the merged weights. Default: that of the base model's files."),
]


def open_run(name: str, *, yes_plugins: bool) -> "RunFolder":
    """Open a run by its path, or by its name in `runs`, with its plugins. Raises CheckpointError."""
    from tinyzero.cli.consent import plug_in_runs
    from tinyzero.run.folder import find_run

    run = find_run(name, Path("runs"))
    plug_in_runs(run, is_agreed=yes_plugins)
    return run


def note_damage(*runs: "RunFolder") -> None:
    """Say on standard error what a view of these runs leaves out, a line for each damaged file."""
    from tinyzero.cli.screen import show
    from tinyzero.run.keeping import describe_damage

    for run in runs:
        for line in describe_damage(run):
            show(f"note: {line}", err=True)


def role_of(name: RoleName | None) -> "Role | None":
    from tinyzero.types import Role

    return None if name is None else Role(name)
