"""`tinyzero tasks`: lists, shows, verifies, exports and imports the tasks of a run."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyzero.cli.choices import note_damage
from tinyzero.cli.screen import show, show_colored, show_json, waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.run.lines import TaskRecord
    from tinyzero.run.task_log import TaskLine

_SHOWN = 40


_Solved = Literal["all", "some", "none", "untried"]
"""A filter by solve rate: solved by all, some or no attempts."""


def tasks(
    run: Annotated[str, typer.Argument(help="A run's folder, or its name in the output folder.")],
    task: Annotated[
        str | None, typer.Argument(help="Show all of this task; its id, or the beginning of it.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
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
    limit: Annotated[
        int, typer.Option(min=0, help="How many of the newest tasks to list; 0 lists all.")
    ] = _SHOWN,
    verify: Annotated[bool, typer.Option("--verify", help="Verify these tasks again.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write these tasks to FILE.jsonl, or to a folder of `datasets`.")
    ] = None,
    import_from: Annotated[
        str | None,
        typer.Option(
            "--import",
            metavar="OTHER",
            help="Verify these tasks of OTHER (a run, a .jsonl file or a folder of `datasets`) and add "
            "them to the pool, or R-Zero's questions, of RUN.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line, for programs to read.")
    ] = False,
) -> None:
    """List the tasks of a run, newest first; with a TASK, show it, its origin and its verification."""
    from tinyzero.cli import task_table
    from tinyzero.run.folder import find_run
    from tinyzero.run.records import read as read_records
    from tinyzero.run.task_log import TaskLog

    folder = find_run(run, output.expanduser())
    fits = task_table.matcher(search, kind, solved, rate, steps)
    if import_from is not None:
        _import(folder, import_from, output.expanduser(), task, fits)
        return
    note_damage(folder)
    with waiting(f"reading {folder.path}"):
        known = TaskLog(folder.tasks, fits)
        chosen = known.fitting if task is None else [task_table.find(known, task, folder.path)]
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
) -> None:
    from tinyzero.cli import task_source, task_table, task_work

    with task_source.opened(name, output, fits) as source:
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
