"""`tinyzero runs`: lists the runs of a folder; what one has come to, and its metrics as CSV."""

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.choices import Output, RunName, note_damage, open_run
from tinyzero.cli.screen import show, show_json, waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder

_COLUMNS = ("name", "preset", "model", "steps", "before", "held-out", "change", "own tasks", "state", "age")
_DROPPED_FIRST = ("model", "preset", "own tasks", "age", "steps", "change")
"""What a narrow terminal does without, in this order."""


def runs(
    run: RunName = None,
    output: Output = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the metrics of RUN as CSV, a line per step; 0 is before it.")
    ] = False,
) -> None:
    """List the runs with their accuracy on held-out tasks, before and now; of a RUN, say what it came to."""
    from tinyzero.run.folder import runs_in

    if as_csv:
        folder = open_run(run, output)
        note_damage(folder)
        show(_as_csv(folder))
        return
    folders = runs_in(output.expanduser()) if run is None else [open_run(run, output)]
    note_damage(*folders)
    with waiting(f"reading the runs in {output}"):
        rows = [_row(folder) for folder in folders]
    rows.sort(key=lambda row: row["age_s"])
    if as_json:
        show_json(rows, indent=2)
    elif rows:
        show(_table(rows, shutil.get_terminal_size((1000, 24)).columns))
        if run is not None:
            show(f"\n{rows[0]['verdict']}")
    else:
        show(f"no runs in {output}; start one: tinyzero train", err=True)


def _row(run: "RunFolder") -> dict[str, Any]:
    from tinyzero.watch import figures
    from tinyzero.watch.comparison import claim_record
    from tinyzero.watch.follow import Follower, age_s
    from tinyzero.watch.heldout import gain, verdict

    state = Follower(run, logs=("metrics", "events")).look()
    known = gain(state)
    has_two = known is not None and known.step != known.since
    return {
        "name": run.name,
        "path": str(run.path),
        "preset": str(state.environment.get("preset", "")),
        "model": str(state.knob("model", "base", "")),
        "step": state.step,
        "max_steps": state.max_steps,
        "heldout_before": known and known.before,
        "heldout": known.now if known and has_two else None,
        "heldout_change": known.difference if known and has_two else None,
        "noise": known.noise if known and has_two else None,
        "best_heldout": figures.best_heldout(state),
        "control": state.control,
        "claim": claim_record(state.knob("run", "expect"), state.comparison),
        "verdict": verdict(known),
        "accuracy": figures.of_late(state, "solver/accuracy"),
        "alarms": [event.name for event in figures.alarms(state)],
        "state": figures.phase_of_life(state),
        "age_s": round(age_s(run.path, time.time()), 1),
    }


def _table(rows: list[dict[str, Any]], width: int) -> str:
    """As many of the columns as fit, the most important ones always."""
    cells = [dict(zip(_COLUMNS, _COLUMNS, strict=True)), *map(_cells, rows)]
    columns = list(_COLUMNS)
    for column in (None, *_DROPPED_FIRST):
        columns = [name for name in columns if name != column]
        lines = _aligned([[row[name] for name in columns] for row in cells])
        if max(map(len, lines)) <= width:
            break
    return "\n".join(lines)


def _aligned(cells: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _cells(row: dict[str, Any]) -> dict[str, str]:
    from tinyzero.watch.text import one_line
    from tinyzero.watch.view import duration

    remarks = f", {len(row['alarms'])} alarm(s)" if row["alarms"] else ""
    remarks += f", control ({row['control']} rewards)" if row["control"] else ""
    remarks += f", {row['claim']['claim']} {row['claim']['outcome']}" if row["claim"] else ""
    change = row["heldout_change"]
    texts = (
        row["name"],
        row["preset"] or "-",
        row["model"] or "-",
        f"{row['step']}/{row['max_steps']}",
        _share(row["heldout_before"]),
        _share(row["heldout"]),
        "-" if change is None else f"{change:+.3f} {row['noise']}",
        _share(row["accuracy"]),
        row["state"] + remarks,
        duration(row["age_s"]),
    )
    return {name: one_line(text) for name, text in zip(_COLUMNS, texts, strict=True)}


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _as_csv(run: "RunFolder") -> str:
    """A line per step, and one for each measurement that is in no step, such as the one before the first."""
    from tinyzero.watch.follow import state_of
    from tinyzero.watch.heldout import measurements

    state = state_of(run, logs=("metrics", "events"))
    rows = {**measurements(state), **{step.number: step.metrics for step in state.steps}}
    names = sorted({name for metrics in rows.values() for name in metrics})
    lines = [["step", *map(_quoted, names)]]
    lines += [[str(step), *(str(rows[step].get(name, "")) for name in names)] for step in sorted(rows)]
    return "\n".join(map(",".join, lines))


def _quoted(name: str) -> str:
    """A name as CSV has it: a log of others may hold any name."""
    name = " ".join(name.split())
    return '"' + name.replace('"', '""') + '"' if set(name) & set(',"') else name
