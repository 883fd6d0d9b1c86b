"""`tinyzero runs`: lists the runs of a folder."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinyzero.cli.choices import note_damage
from tinyzero.cli.screen import show, show_json, waiting

if TYPE_CHECKING:
    from tinyzero.run.folder import RunFolder

_COLUMNS = ("name", "preset", "model", "steps", "accuracy", "held-out", "state", "age")


def runs(
    output: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the runs: how far they came, their best held-out accuracy, and what they are doing now."""
    from tinyzero.run.folder import runs_in

    folders = runs_in(output.expanduser())
    note_damage(*folders)
    with waiting(f"reading the runs in {output}"):
        rows = [_row(run) for run in folders]
    rows.sort(key=lambda row: row["age_s"])
    if as_json:
        show_json(rows, indent=2)
    elif rows:
        show(_table(rows))
    else:
        show(f"no runs in {output}; start one: tinyzero train", err=True)


def _row(run: "RunFolder") -> dict[str, Any]:
    from tinyzero.watch import figures
    from tinyzero.watch.comparison import claim_record
    from tinyzero.watch.follow import Follower, age_s

    state = Follower(run, logs=("metrics", "events")).look()
    return {
        "name": run.name,
        "path": str(run.path),
        "preset": str(state.environment.get("preset", "")),
        "model": str(state.knob("model", "base", "")),
        "step": state.step,
        "max_steps": state.max_steps,
        "accuracy": figures.of_late(state, "solver/accuracy"),
        "best_heldout": figures.best_heldout(state),
        "control": state.control,
        "claim": claim_record(state.knob("run", "expect"), state.comparison),
        "alarms": [event.name for event in figures.alarms(state)],
        "state": figures.phase_of_life(state),
        "age_s": round(age_s(run.path, time.time()), 1),
    }


def _table(rows: list[dict[str, Any]]) -> str:
    cells = [_COLUMNS, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_COLUMNS))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from tinyzero.watch.text import one_line
    from tinyzero.watch.view import duration

    remarks = f", {len(row['alarms'])} alarm(s)" if row["alarms"] else ""
    remarks += f", control ({row['control']} rewards)" if row["control"] else ""
    remarks += f", {row['claim']['claim']} {row['claim']['outcome']}" if row["claim"] else ""
    texts = (
        row["name"],
        row["preset"] or "-",
        row["model"] or "-",
        f"{row['step']}/{row['max_steps']}",
        _share(row["accuracy"]),
        _share(row["best_heldout"]),
        row["state"] + remarks,
        duration(row["age_s"]),
    )
    return tuple(one_line(text) for text in texts)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
