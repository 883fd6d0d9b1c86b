"""From what was asked to a run that trains: choose, check, make or open the folder, play."""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tinyzero.cli.screen import Screen, ScreenHandler
from tinyzero.cli.signals import stopping_politely
from tinyzero.config import Settled, load_config, locate, override, parse_overrides
from tinyzero.errors import ConfigError, HardwareError
from tinyzero.games.absolute_zero.bonuses import BONUSES, choose_bonuses
from tinyzero.games.absolute_zero.game import choose_kinds
from tinyzero.machine.hardware import Machine
from tinyzero.machine.settling import settle
from tinyzero.machine.suitability import choose_preset, describe_numbers, why_not
from tinyzero.run import checkpoints
from tinyzero.run.events import Event, Measured, Measuring, Prepared, Preparing
from tinyzero.run.folder import RunFolder, find_run
from tinyzero.run.observer import Observer, RunStart, RunSummary, StopReason
from tinyzero.run.recorder import Recorder
from tinyzero.tasks import KINDS
from tinyzero.types import StepReport
from tinyzero.watch import figures
from tinyzero.watch.trackers import trackers

# What a resumed run may be told anew; anything else would make it another run.
_RESUMABLE = (
    "run.max_steps",
    "run.max_minutes",
    "run.checkpoint_every_steps",
    "run.keep_checkpoints",
    "run.samples_per_step",
    "sampling.vllm_gib",
    "sampling.server_url",
    "sampling.server_adapters",
    "sampling.server_key_file",
    "execution.allow_weak_sandbox",
    "trackers.tensorboard",
    "trackers.wandb",
    "trackers.trackio",
    "trackers.online",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be trained.

    Attributes:
        name: of a new run, None to number it. resumed: the run to go on with, None for a new one.
        chosen: one line about the knobs that were left to the machine; "" where none was.
    """

    preset: str
    config: Settled
    name: str | None = None
    resumed: RunFolder | None = None
    chosen: str = ""


def new_job(preset: str | None, name: str | None, overrides: Sequence[str], machine: Machine) -> Job:
    """A new run of a preset, or of the one that fits this machine."""
    if name is not None and (not name or Path(name).name != name):
        raise ConfigError(f"--name is {name!r}; it must be a plain folder name (--output says where)")
    chosen = preset or choose_preset(machine)
    config = load_config(chosen, overrides)
    if config.selfplay.game == "absolute-zero":  # names that the configuration cannot check by itself
        choose_kinds(config.selfplay.kinds, KINDS)
    choose_bonuses(config.rewards.bonuses, BONUSES)
    settled = settle(config, machine)
    return Job(
        preset=locate(chosen).stem,
        config=settled,
        name=name,
        chosen=describe_numbers(config, settled, machine),
    )


def resumed_job(run: str, output: Path, overrides: Sequence[str]) -> Job:
    """The rest of a run, with its own configuration but for when to stop and what to keep."""
    folder = find_run(run, output)
    for key in parse_overrides(overrides):
        if key not in _RESUMABLE:
            raise ConfigError(
                f"{key} would make this another run; --resume can change {', '.join(_RESUMABLE)}"
            )
    config = override(folder.config(), overrides)
    made = checkpoints.steps_saved(folder)
    if made >= config.run.max_steps and folder.adapter.exists():
        raise ConfigError(
            f"{folder.path} has made its {made} steps; add more: "
            f"tinyzero train --resume {run} --max-steps {2 * made}"
        )
    return Job(preset=folder.environment().get("preset", folder.name), config=config, resumed=folder)


def check_fits(job: Job, machine: Machine) -> None:
    """Refuse before anything is loaded.

    Raises:
        HardwareError: this machine cannot run it; the message names a preset that fits here.
    """
    reason = why_not(job.preset, job.config, machine)
    if reason is None:
        return
    fitting = choose_preset(machine)
    advice = f". {fitting} fits here: tinyzero train --preset {fitting}" if fitting != job.preset else ""
    raise HardwareError(reason + advice)


def play(job: Job, view: Observer, screen: Screen) -> RunSummary:
    """Train to the end of the job, watched by `view` and written down in the run's folder."""
    from tinyzero.assembly import assemble

    with _open_folder(job) as run, _logging_to(run, screen):
        screen.note(f"run {run.path}")
        observers: list[Observer] = [
            Recorder(run, preset=job.preset),
            *trackers(job.config.trackers),
            view,
            _StepClock(screen),
        ]
        with assemble(job.config, run, observers, screen.wait) as trainer:
            if trainer.steps_done:
                screen.note(f"going on after step {trainer.steps_done}")
            with stopping_politely(trainer.request_stop, screen.say_at_once):
                summary = trainer.train()
        screen.close()
        screen.note(_in_words(summary, run))
    return summary


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
def _open_folder(job: Job) -> Iterator[RunFolder]:
    """The run's folder, held for this process; a new one that never got to its first step leaves no trace."""
    if job.resumed is not None:
        with job.resumed.exclusive():
            job.resumed.write_config(job.config)
            yield job.resumed
        return
    output = Path(job.config.run.output).expanduser()
    if job.name is not None:
        run = RunFolder.create(output, job.name, job.config)
    else:
        run = RunFolder.create_numbered(output, job.preset, job.config, today=date.today())
    try:
        with run.exclusive():
            yield run
    finally:
        if not run.metrics.exists():
            shutil.rmtree(run.path, ignore_errors=True)


@contextmanager
def _logging_to(run: RunFolder, screen: Screen) -> Iterator[None]:
    """The library's log goes to run.log, and its warnings to the screen as well."""
    logger = logging.getLogger("tinyzero")
    file = logging.FileHandler(run.log, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handlers = (file, ScreenHandler(screen))
    logger.setLevel(logging.INFO)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


def _in_words(summary: RunSummary, run: RunFolder) -> str:
    minutes, seconds = divmod(round(summary.seconds), 60)
    left = "" if summary.reason is StopReason.MAX_STEPS else f"; go on: tinyzero train --resume {run.path}"
    return f"step {summary.step} after {minutes} min {seconds} s; adapter in {run.adapter}{left}"
