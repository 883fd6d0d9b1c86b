"""Options and texts that the commands about a finished run share."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from tinyzero.runs.folder import RunFolder
    from tinyzero.types import Role

RunName = Annotated[str, typer.Argument(help="The run's folder, or its name in `runs`.", metavar="RUN")]
Checkpoint = Annotated[
    str,
    typer.Option(help="best (by the held-out solve rate), last, or a step's number.", metavar="best|last|N"),
]


class What(StrEnum):
    """What is taken home."""

    ADAPTER = "adapter"
    MERGED = "merged"
    GGUF = "gguf"
    TASKS = "tasks"


class RoleName(StrEnum):
    """Whose adapter."""

    SOLVER = "solver"
    PROPOSER = "proposer"


class MergeBaseName(StrEnum):
    """What a merge adds to."""

    BF16 = "bf16"
    DEQUANT = "dequant"
    AUTO = "auto"


class DtypeName(StrEnum):
    """Of merged weights."""

    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"


RoleOption = Annotated[
    RoleName | None, typer.Option("--role", help="Whose adapter. Default: each that was trained.")
]
MergeBaseOption = Annotated[
    MergeBaseName,
    typer.Option(
        help="Merge into the base's own weights (bf16), into what 4-bit training saw of them (dequant), "
        "or into whichever is closer to the live adapter (auto)."
    ),
]
DtypeOption = Annotated[
    DtypeName | None,
    typer.Option(help="Type of the merged weights. Default: that of the base model's files."),
]


def open_run(name: str) -> "RunFolder":
    """A run by its path, or by its name in `runs`. Raises CheckpointError."""
    from tinyzero.runs.folder import find_run

    return find_run(name, Path("runs"))


def role_of(name: RoleName | None) -> "Role | None":
    from tinyzero.types import Role

    return None if name is None else Role(name.value)
