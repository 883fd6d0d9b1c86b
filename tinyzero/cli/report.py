"""`tinyzero report`: a run, or several side by side, as one HTML file; curves as PNG."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tinyzero.cli.choices import Output, complete_run, note_damage, open_run
from tinyzero.cli.screen import show, waiting


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Folders of runs, their names in the output folder, last or best. Default: the newest run.",
            metavar="[RUN]...",
            autocompletion=complete_run,
        ),
    ] = None,
    output: Output = Path("runs"),
    to: Annotated[
        Path | None, typer.Option(help="The HTML file. Default: report.html in the (first) run's folder.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option(help="Also draw the curves of the first run into this PNG file.")
    ] = None,
) -> None:
    """Write a page that needs nothing else: curves, funnel, alarms, before and after, tasks, settings."""
    from tinyzero.run.durable import explaining_failures
    from tinyzero.watch import figures
    from tinyzero.watch.follow import state_to_report
    from tinyzero.watch.report.page import report as page
    from tinyzero.watch.report.png import write_png

    folders = [open_run(run, output) for run in runs or ["last"]]
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
