"""`tinyzero tasks`: lists, shows, verifies, exports and imports the tasks of a run."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tinyzero.cli.choices import note_damage
from tinyzero.cli.screen import waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder
    from tinyzero.run.lines import TaskRecord

_SHOWN = 40


Solved = Literal["all", "some", "none", "untried"]
"""A filter by solve rate: solved by all, some or no attempts."""


def tasks(
    run: Annotated[str, typer.Argument(help="A run's folder, or its name in the output folder.")],
    task: Annotated[
        str | None, typer.Argument(help="Show this task whole: its id, or how that begins.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    search: Annotated[
        str | None, typer.Option(help="Only with this in program, inputs, outputs or hint.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only of this kind.")] = None,
    solved: Annotated[Solved | None, typer.Option(help="Only those solved by all, some, none.")] = None,
    rate: Annotated[
        str | None, typer.Option(help="Only with a solve rate in this range: 0.2:0.8.", metavar="LOW:HIGH")
    ] = None,
    steps: Annotated[
        str | None, typer.Option(help="Only of these steps: 10:20, 10:, :20.", metavar="FIRST:LAST")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest tasks to list; 0: all.")] = _SHOWN,
    verify: Annotated[
        bool, typer.Option("--verify", help="Run the verification of these tasks again, now.")
    ] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write these tasks to FILE.jsonl, or to a folder of `datasets`.")
    ] = None,
    import_from: Annotated[
        str | None,
        typer.Option(
            "--import", metavar="OTHER", help="Verify these tasks of OTHER, and add them to the pool of RUN."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: an object a line.")] = False,
) -> None:
    """List the tasks of a run, newest first; with a TASK, show it, its origin and its verification."""
    from tinyzero.cli import task_table, task_work
    from tinyzero.run.folder import find_run
    from tinyzero.run.records import read as read_records
    from tinyzero.watch.follow import state_of

    folder = find_run(run, output.expanduser())
    source = folder if import_from is None else find_run(import_from, output.expanduser())
    note_damage(source)
    with waiting(f"reading {source.path}"):
        known = state_of(source, logs=("tasks",)).tasks
    if task is not None:
        chosen = [task_table.find(known, task, source)]
    else:
        fits = task_table.matcher(search, kind, solved, rate, steps)
        chosen = [record for record in reversed(list(known.values())) if fits(record)]
    if import_from is not None:
        typer.echo(task_work.import_tasks(folder, source, chosen), err=True)
    elif verify:
        _verify(folder, chosen, as_json=as_json)
    elif export is not None:
        typer.echo(task_work.export(chosen, export), err=True)
    elif as_json:
        for record in chosen[: limit or None]:
            typer.echo(json.dumps(task_table.as_json(record)))
    elif task is not None:
        page = task_table.page(
            chosen[0], known, color=sys.stdout.isatty(), replays=read_records(source.replays)
        )
        typer.echo(page, color=True)
    else:
        typer.echo(task_table.listing(chosen, limit, total=len(known)))


def _verify(folder: "RunFolder", chosen: "list[TaskRecord]", *, as_json: bool) -> None:
    """Print one line per task. Exits with 1 if a task differs from its record."""
    from tinyzero.cli import task_work
    from tinyzero.watch.text import one_line

    differences = task_work.verify(folder, chosen)
    for record, difference in zip(chosen, differences, strict=True):
        if as_json:
            typer.echo(json.dumps({"id": record.id, "holds": not difference, "difference": difference}))
        else:
            words = f"differs  {one_line(difference)}" if difference else "holds"
            typer.echo(f"{one_line(record.id)}  {record.kind:<10} {words}")
    if any(differences):
        raise typer.Exit(1)
