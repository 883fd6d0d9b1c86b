"""`tinyzero tasks`: lists, shows, verifies, exports and imports the tasks of a run."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyzero.cli.choices import Output, RunName, complete_run, note_damage, open_run
from tinyzero.cli.consent import YesPlugins
from tinyzero.cli.screen import show, show_colored, show_json, waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.run.lines import TaskRecord
    from tinyzero.run.task_log import TaskLine

_SHOWN = 40


_Solved = Literal["all", "some", "none", "untried"]
"""A filter by solve rate: solved by all, some or no attempts."""
_Order = Literal["newest", "rate", "size", "oddness"]
"""The orders of `task_table`, which is imported when it is needed."""


def tasks(
    run: RunName = None,
    task: Annotated[
        str | None, typer.Argument(help="Show all of this task; its id, or the beginning of it.")
    ] = None,
    output: Output = Path("runs"),
    search: Annotated[
        str | None,
        typer.Option(help="Only tasks that contain this text in program, inputs, outputs or hint."),
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    solved: Annotated[
        _Solved | None, typer.Option(help="Only tasks that all, some or none of the attempts solved.")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(help="Only tasks with a solve rate in this range, such as 0.2:0.8.", metavar="LOW:HIGH"),
    ] = None,
    steps: Annotated[
        str | None,
        typer.Option(help="Only tasks of these steps, such as 10:20, 10: or :20.", metavar="FIRST:LAST"),
    ] = None,
    sort: Annotated[
        _Order,
        typer.Option(
            help="newest first; rate: seldom solved first; size: longest program first; "
            "oddness: programs of the rarest shapes first."
        ),
    ] = "newest",
    limit: Annotated[int, typer.Option(min=0, help="How many tasks to list; 0 lists all.")] = _SHOWN,
    verify: Annotated[bool, typer.Option("--verify", help="Verify these tasks again.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write these tasks to FILE.jsonl, or to a folder of `datasets`.")
    ] = None,
    import_from: Annotated[
        str | None,
        typer.Option(
            "--import",
            metavar="OTHER",
            autocompletion=complete_run,
            help="Verify these tasks of OTHER (a run, a .jsonl file or a folder of `datasets`) and add "
            "them to the pool, or R-Zero's questions, of RUN.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, for programs to read.")
    ] = False,
    yes_plugins: YesPlugins = False,
) -> None:
    """List the tasks of a run; with a TASK, show it, its origin and its verification."""
    from tinyzero.cli import task_table
    from tinyzero.run.records import read as read_records
    from tinyzero.run.task_log import TaskLog

    folder = open_run(run, output, yes_plugins=yes_plugins if verify or import_from is not None else None)
    fits = task_table.matcher(search, kind, solved, rate, steps)
    if import_from is not None:
        _import(folder, import_from, output, task, fits, yes_plugins=yes_plugins)
        return
    note_damage(folder)
    with waiting(f"reading {folder.path}"):
        known = TaskLog(folder.tasks, fits)
        chosen: Sequence[TaskRecord] = (
            known.fitting if task is None else [task_table.find(known, task, folder.path)]
        )
        if not chosen:
            task_table.check_kind_and_steps(folder, known, kind, steps)
        chosen = task_table.sort(chosen, sort, known)
    if verify:
        _verify(folder, chosen, as_json=as_json)
    elif export is not None:
        from tinyzero.cli import task_work

        show(task_work.export(chosen, export), err=True)
    elif as_json:
        for record in chosen[: limit or None]:
            show_json(task_table.as_json(record))
    elif task is not None:
        replays = read_records(folder.replays, mentioning=chosen[0].id)
        show_colored(task_table.page(chosen[0], known, color=sys.stdout.isatty(), replays=replays))
    else:
        show(task_table.listing(chosen, limit, total=len(known)))


def _import(
    folder: "RunFolder",
    name: str,
    output: Path,
    task: str | None,
    fits: "Callable[[TaskLine], bool] | None",
    *,
    yes_plugins: bool,
) -> None:
    from tinyzero.cli import task_source, task_table, task_work

    with task_source.opened(name, output, fits, yes_plugins=yes_plugins) as source:
        tasks = source.tasks
        chosen = tasks.fitting if task is None else [task_table.find(tasks, task, source.path)]
        show(task_work.import_tasks(folder, source, chosen), err=True)


def _verify(folder: "RunFolder", chosen: "Sequence[TaskRecord]", *, as_json: bool) -> None:
    """Print one line per task. Exits with 1 if a task differs from its record."""
    from tinyzero.cli import task_work
    from tinyzero.watch.text import one_line

    differences = task_work.verify(folder, chosen)
    for record, difference in zip(chosen, differences, strict=True):
        if as_json:
            show_json({"id": record.id, "holds": not difference, "difference": difference})
        else:
            words = f"differs  {one_line(difference)}" if difference else "holds"
            show(f"{one_line(record.id)}  {one_line(record.kind):<10} {words}")
    if any(differences):
        raise typer.Exit(1)
