"""A launched run in progress: its folder, its log, who is told, and the signals that end it."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.cli.launch import Launch
from tinyzero.cli.meeting import meeting
from tinyzero.cli.screen import Screen, ScreenHandler
from tinyzero.cli.signals import stopping_politely
from tinyzero.config import override
from tinyzero.errors import FolderLost
from tinyzero.plugins import record
from tinyzero.ranks.place import Place
from tinyzero.run.durable import explaining_failures, identity
from tinyzero.run.events import Event, Measured, Measuring, Prepared, Preparing
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import folder_beside, has_work, start_over
from tinyzero.run.observer import Observer, RunStart, RunSummary, StopReason
from tinyzero.run.recorder import Recorder
from tinyzero.sampling.choice import MakeSampler
from tinyzero.types import StepReport
from tinyzero.watch import figures
from tinyzero.watch.notify import notifiers
from tinyzero.watch.text import LogFormatter
from tinyzero.watch.trackers import trackers

if TYPE_CHECKING:
    from tinyzero.trainer import Trainer


def play(
    launch: Launch,
    screen: Screen,
    observers: Sequence[Observer],
    make_sampler: MakeSampler | None = None,
    place: Place | None = None,
) -> RunFolder:
    """Train to the end of the launch, watched by `observers` and written down in the run's folder.

    Args:
        place: of rank 0 where several processes play the run.
    """
    from tinyzero.assembly import assemble
    from tinyzero.export.exportable import check_exportable

    told = list(notifiers(launch.config.run.notify))
    launch = replace(launch, config=override(launch.config, ["run.notify=none"]) if told else launch.config)
    # The signals come first: one that is repeated while processes and files are closed disturbs nothing.
    with (
        ExitStack() as signals,
        _open_folder(launch, screen) as run,
        _logging_to(run, screen),
        closing(Recorder(run, preset=launch.preset)) as recorder,
        nullcontext() if place is None else meeting(place) as world,
    ):
        screen.note(f"run {run.path}")
        if world is not None:
            world.run = str(run.path)
            world.share(lambda: (launch.config, str(run.path)))
            screen.note(f"{world.size} processes play it together")
        watching: list[Observer] = [
            recorder,
            *trackers(launch.config.trackers),
            *observers,
            _StepClock(screen),
            *map(signals.enter_context, told),
        ]
        with assemble(launch.config, run, watching, screen.wait, make_sampler, world) as trainer:
            check_exportable(launch.config, trainer.policy.save)
            if trainer.steps_done:
                screen.note(f"going on after step {trainer.steps_done}")
            signals.enter_context(
                stopping_politely(trainer.request_stop, trainer.request_save, screen.say_at_once)
            )
            summary = _train(trainer, recorder, launch)
        screen.close()
        screen.note(_in_words(summary, run))
    return run


def _train(trainer: "Trainer", recorder: Recorder, launch: Launch) -> RunSummary:
    """Train; a run that loses its folder is saved beside it, and ends with an error that says where."""
    try:
        return trainer.train()
    except FolderLost as error:
        beside = folder_beside(trainer.run, launch.config)
        trainer.move_to(beside)
        recorder.save_to(beside)
        record(beside, launch.plugins)
        raise FolderLost(
            f"{error}; all of its {trainer.steps_done} steps are in {beside.path}: go on with "
            f"tinyzero train --resume {beside.path}"
        ) from error


class _StepClock:
    """Says what is being waited for: on a terminal which step is played, everywhere what is measured."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def on_start(self, start: RunStart) -> None:
        self._screen.wait_on_terminal(f"step {start.step + 1}")

    def on_step(self, report: StepReport) -> None:
        self._screen.wait_on_terminal(f"step {report.step + 1}")

    def on_event(self, event: Event) -> None:
        if isinstance(event, Measuring):
            self._screen.wait(f"measuring on {event.tasks} held-out tasks, after {event.step} steps")
        elif isinstance(event, Preparing):
            self._screen.wait(figures.preparing_in_words(event))
        elif isinstance(event, Measured | Prepared):
            self._screen.wait_on_terminal(f"step {event.step + 1}")

    def on_end(self, summary: RunSummary) -> None:
        pass


@contextmanager
def _open_folder(launch: Launch, screen: Screen) -> Iterator[RunFolder]:
    """The run's folder, held for this process; a new one that never got to its first step leaves no trace."""
    if launch.resumed is not None:
        if launch.starts_over:
            start_over(launch.resumed)
        with launch.resumed.exclusive():
            launch.resumed.write_config(launch.config)
            record(launch.resumed, launch.plugins)
            yield launch.resumed
        return
    output = Path(launch.config.run.output).expanduser()
    if launch.name is not None:
        run = RunFolder.create(output, launch.name, launch.config)
    else:
        run = RunFolder.create_numbered(output, launch.preset, launch.config, today=date.today())
    begun = identity(run.path)
    try:
        with run.exclusive():
            record(run, launch.plugins)
            yield run
    except KeyboardInterrupt:
        if not has_work(run):
            screen.note("stopped before the first step: nothing is kept")
        raise
    finally:
        if identity(run.path) == begun and not has_work(run):
            shutil.rmtree(run.path, ignore_errors=True)


class _LogFile(logging.FileHandler):
    """Drops what the disk does not take: the files that a run needs say so, and a log disturbs nothing."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  logging's name
        pass


@contextmanager
def _logging_to(run: RunFolder, screen: Screen) -> Iterator[None]:
    """The library's log goes to run.log, and its warnings to the screen as well."""
    logger = logging.getLogger("tinyzero")
    with explaining_failures(run.log):
        file = _LogFile(run.log, encoding="utf-8", errors="backslashreplace")
    file.setFormatter(LogFormatter())
    handlers = (file, ScreenHandler(screen))
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            with suppress(OSError):  # what a full disk could not take
                handler.close()


def _in_words(summary: RunSummary, run: RunFolder) -> str:
    minutes, seconds = divmod(round(summary.seconds), 60)
    left = "" if summary.reason is StopReason.MAX_STEPS else f"; go on: tinyzero train --resume {run.path}"
    return f"step {summary.step} after {minutes} min {seconds} s; adapter in {run.adapter}{left}"
