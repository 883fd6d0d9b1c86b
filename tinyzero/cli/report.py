"""`tinyzero report`: a run, or several side by side, as one HTML file; curves as PNG."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tinyzero.cli.choices import note_damage
from tinyzero.cli.screen import show, waiting


def report(
    runs: Annotated[list[str], typer.Argument(help="Folders of runs, or their names in the output folder.")],
    output: Annotated[Path, typer.Option(help="Folder of run folders.")] = Path("runs"),
    to: Annotated[
        Path | None, typer.Option(help="The HTML file. Default: report.html in the (first) run's folder.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Also draw the curves of the first run into this PNG file.")
    ] = None,
) -> None:
    """Write a page that needs nothing else: curves, funnel, alarms, before and after, tasks, settings."""
    from tinyzero.run.durable import explaining_failures
    from tinyzero.run.folder import find_run
    from tinyzero.watch import figures
    from tinyzero.watch.follow import state_to_report
    from tinyzero.watch.report.page import report as page
    from tinyzero.watch.report.png import write_png

    folders = [find_run(run, output.expanduser()) for run in runs]
    note_damage(*folders)
    with waiting(f"reading {', '.join(str(folder.path) for folder in folders)}"):
        states = [state_to_report(folder) for folder in folders]
    target = to or folders[0].path / "report.html"
    with waiting(f"writing {target}"), explaining_failures(target):
        target.write_text(page(states, made_at=time.strftime("%Y-%m-%d %H:%M")), encoding="utf-8")
    show(str(target))
    if png is not None:
        with waiting(f"drawing {png}"), explaining_failures(png):
            write_png(figures.charts(states[0])[:6], png)
        show(str(png))
