"""Options and texts shared by the commands on a finished run."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.types import Role

_NEWEST, _BEST = "last", "best"
_OUTPUT = Path("runs")


def complete_run(context: typer.Context, incomplete: str) -> list[str]:
    """Names of runs, and the words that stand for one."""
    from tinyzero.run.folder import runs_in

    output = Path(context.params.get("output") or _OUTPUT).expanduser()
    names = [*(run.name for run in runs_in(output)), _NEWEST, _BEST]
    return [name for name in names if name.startswith(incomplete)]


RunName = Annotated[
    str | None,
    typer.Argument(
        help="A run's folder, its name in the output folder, last (the newest, and the default), or best (by "
        "held-out accuracy).",
        metavar="[RUN]",
        show_default=False,
        autocompletion=complete_run,
    ),
]
Output = Annotated[Path, typer.Option(help="Folder of run folders.")]
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


def open_run(name: str | None, output: Path = _OUTPUT, *, yes_plugins: bool | None = None) -> "RunFolder":
    """Open a run by its path, its name in the output folder, or a word; None is the newest.

    A run that is chosen here is named on standard error.

    Args:
        yes_plugins: load the run's plugins, after a question unless it is True; None loads none.

    Raises:
        CheckpointError: there is no such run; the message says what there is.
        ConfigError: see `plug_in_runs`.
    """
    run = _find(name, output.expanduser())
    if yes_plugins is not None:
        from tinyzero.cli.consent import plug_in_runs

        plug_in_runs(run, is_agreed=yes_plugins)
    return run


def _find(name: str | None, output: Path) -> "RunFolder":
    from tinyzero.cli.screen import show
    from tinyzero.errors import CheckpointError
    from tinyzero.run.folder import find_run, is_run, runs_in

    is_word = name in (_NEWEST, _BEST) and not is_run(output / name) and not is_run(Path(name))
    if name is not None and not is_word:
        return find_run(name, output)
    if not (runs := runs_in(output)):
        raise CheckpointError(f"no runs in {output}; start one: tinyzero train")
    run, why = _best(runs, output) if name == _BEST else (_newest(runs), "the newest")
    show(f"run {run.path} ({why})", err=True)
    return run


def _newest(runs: "list[RunFolder]") -> "RunFolder":
    from tinyzero.watch.follow import age_s

    now = time.time()
    return min(reversed(runs), key=lambda run: age_s(run.path, now))


def _best(runs: "list[RunFolder]", output: Path) -> "tuple[RunFolder, str]":
    """The run with the highest held-out accuracy at any of its steps."""
    from tinyzero.errors import CheckpointError
    from tinyzero.watch import figures
    from tinyzero.watch.follow import Follower

    states = [(run, Follower(run, logs=("metrics", "events")).look()) for run in runs]
    measured = [(best, run) for run, state in states if (best := figures.best_heldout(state)) is not None]
    if not measured:
        raise CheckpointError(f"no run in {output} was measured on held-out tasks; name one: tinyzero runs")
    accuracy, run = max(measured, key=lambda pair: pair[0])
    return run, f"the best of {len(measured)}, held-out accuracy {accuracy:.3f}"


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
