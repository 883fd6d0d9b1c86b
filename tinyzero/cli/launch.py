"""From preset, settings or an earlier run to a run that trains: choose, check, open the folder, play."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.cli.choices import open_run
from tinyzero.cli.consent import plug_in, plug_in_runs, tell
from tinyzero.cli.meeting import meeting
from tinyzero.cli.screen import Screen, ScreenHandler
from tinyzero.cli.signals import stopping_politely
from tinyzero.config import Settled, load_config, locate, override, parse_overrides
from tinyzero.errors import ConfigError, FolderLost, HardwareError
from tinyzero.games.absolute_zero.game import choose_kinds
from tinyzero.games.absolute_zero.rewards import BONUSES, choose_bonuses
from tinyzero.games.attempts import SOLVER_TERMS, choose_terms
from tinyzero.machine.hardware import Machine, look
from tinyzero.machine.settling import settle
from tinyzero.machine.suitability import choose_preset, describe_numbers, why_not
from tinyzero.plugins import Plugin, digests, edited, record
from tinyzero.ranks.place import Place
from tinyzero.run import checkpoints
from tinyzero.run.durable import explaining_failures, identity
from tinyzero.run.events import Event, Measured, Measuring, Prepared, Preparing
from tinyzero.run.folder import RunFolder
from tinyzero.run.keeping import folder_beside, has_results, has_work, start_over
from tinyzero.run.observer import Observer, RunStart, RunSummary, StopReason
from tinyzero.run.recorder import Recorder, differences
from tinyzero.sampling.choice import MakeSampler
from tinyzero.tasks import KINDS
from tinyzero.types import StepReport
from tinyzero.watch import figures
from tinyzero.watch.notify import notifiers
from tinyzero.watch.text import LogFormatter
from tinyzero.watch.trackers import trackers

if TYPE_CHECKING:
    from tinyzero.trainer import Trainer

# What a resumed run may be told anew; anything else would make it another run.
_RESUMABLE = (
    "run.max_steps",
    "run.max_minutes",
    "run.checkpoint_every_steps",
    "run.checkpoint_every_minutes",
    "run.keep_checkpoints",
    "run.samples_per_step",
    "run.keep_samples",
    "run.notify",
    "sampling.vllm_gib",
    "sampling.server_url",
    "sampling.server_adapters",
    "sampling.server_key_file",
    "execution.allow_weak_sandbox",
    "evaluation.*",
    "watch.*",
    "trackers.tensorboard",
    "trackers.wandb",
    "trackers.trackio",
    "trackers.online",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What is to be trained, and where.

    Attributes:
        name: of a new run, None to number it.
        resumed: the run to go on with, None for a new one.
        starts_over: whether it goes on from step 0.
        plugins: the code of one's own that is loaded for it.
        remarks: lines about what was left to the machine.
    """

    preset: str
    config: Settled
    name: str | None = None
    resumed: RunFolder | None = None
    starts_over: bool = False
    plugins: Sequence[Plugin] = ()
    remarks: Sequence[str] = ()


def prepare(
    screen: Screen,
    preset: str | None,
    *,
    name: str | None,
    output: str | Path | None,
    resume: str | Path | None,
    settings: Sequence[str],
    start_over: bool = False,
    plugins: Sequence[str] = (),
    yes_plugins: bool = False,
) -> tuple[Launch, Machine]:
    """A new run or the rest of one on this machine, before anything is loaded or written.

    Args:
        start_over: play the resumed run from step 0; what it has written is kept, see `keeping.start_over`.
        plugins: files and modules of one's own. yes_plugins: run also those that a file or the run names.
    """
    if resume is not None:
        folder = open_run(str(resume), Path(output or "runs"))
        loaded, brought = plug_in_runs(folder, options=plugins, is_agreed=yes_plugins)
    else:
        loaded, brought, settings = plug_in(preset, settings, plugins, is_agreed=yes_plugins)
    screen.wait_on_terminal("looking at this machine")
    machine = look()
    if resume is not None:
        launch = _resumed_launch(folder, settings, loaded, start_over=start_over)
    elif start_over:
        raise ConfigError("--start-over has a meaning beside --resume RUN only; a new run starts at step 0")
    else:
        place = [] if output is None else [f"run.output={json.dumps(str(output))}"]
        launch = replace(new_launch(preset, name, [*settings, *place], machine), plugins=loaded)
    unused = [f"nothing uses {each.name} yet: --set '{each.setting}'" for each in brought]
    unused = [line for line, each in zip(unused, brought, strict=True) if not each.is_used(launch.config)]
    for remark in (*launch.remarks, *tell(brought), *unused):
        screen.note(remark)
    return launch, machine


def new_launch(preset: str | None, name: str | None, overrides: Sequence[str], machine: Machine) -> Launch:
    """A new run of a preset, or of the one that fits this machine."""
    if name is not None and (not name or Path(name).name != name or name.startswith(".") or "\0" in name):
        raise ConfigError(
            f"--name is {name!r}; it must be a plain folder name that does not begin with a dot "
            "(--output says where)"
        )
    source = preset or choose_preset(machine)
    config = load_config(source, overrides)
    if config.selfplay.game == "absolute-zero":  # names that the configuration cannot check by itself
        choose_kinds(config.selfplay.kinds, KINDS)
    choose_bonuses(config.rewards.bonuses, BONUSES)
    choose_terms(config.rewards.solver_terms, SOLVER_TERMS, key="rewards.solver_terms")
    settled = settle(config, machine)
    if settled.run.expect is not None and settled.evaluation.heldout is None:
        raise ConfigError(
            f"run.expect is {settled.run.expect}, but nothing is measured; set evaluation.heldout "
            "(tinyzero config evaluation.heldout says to what)"
        )
    remarks = (
        "" if preset else _why_this_preset(source, machine),
        describe_numbers(config, settled, machine),
    )
    return Launch(preset=locate(source).stem, config=settled, name=name, remarks=tuple(filter(None, remarks)))


def _why_this_preset(preset: str, machine: Machine) -> str:
    card = machine.gpu and f"{machine.gpu.name} with {machine.gpu.memory_gib:.0f} GiB"
    return f"{card or 'no CUDA GPU here'}: training the preset {preset} (all of them: tinyzero presets)"


def _resumed_launch(
    folder: RunFolder, overrides: Sequence[str], plugins: Sequence[Plugin], *, start_over: bool
) -> Launch:
    """The rest of a run, with its own configuration but for when to stop and what to keep."""
    for key in parse_overrides(overrides):
        if key == "run.expect":
            raise ConfigError(
                "the claim of a run is written before its first step and cannot change; start another run to "
                "claim something else"
            )
        if not any(fnmatchcase(key, pattern) for pattern in _RESUMABLE):
            raise ConfigError(
                f"{key} cannot change when a run goes on; --resume can change {', '.join(_RESUMABLE)}"
            )
    folder.warn_of_earlier_nano()
    sources = [f"run.plugins={json.dumps([plugin.source for plugin in plugins])}"] if plugins else []
    # What a folder says to start is not started: the folder may be somebody else's.
    config = override(folder.config(), ["run.notify=none", *overrides, *sources])
    steps = 0 if start_over else checkpoints.steps_saved(folder)
    if steps >= config.run.max_steps and has_results(folder, steps):
        raise ConfigError(
            f"{folder.path} has finished its {steps} steps; to train longer: "
            f"tinyzero train --resume {folder.path} --max-steps {2 * steps}"
        )
    return Launch(
        preset=folder.environment().get("preset", folder.name),
        config=config,
        resumed=folder,
        starts_over=start_over,
        plugins=plugins,
        remarks=(
            *_hand_edits(folder),
            *_incomparable(parse_overrides(overrides)),
            *_changed_plugins(folder, plugins),
            *edited(plugins),
        ),
    )


def _incomparable(changes: Mapping[str, object]) -> Sequence[str]:
    """A line where a change makes later measurements others than the earlier ones."""
    changed = [key for key in ("evaluation.heldout", "evaluation.sampled_tasks") if key in changes]
    if not changed:
        return ()
    return [
        f"warning: {' and '.join(changed)} changed: later held-out figures do not compare with earlier ones, "
        "and --checkpoint best compares both; name a checkpoint by its step"
    ]


def _changed_plugins(folder: RunFolder, plugins: Sequence[Plugin]) -> Sequence[str]:
    """A line about plugins that are not those of the earlier steps."""
    before = digests(folder)
    changed = [plugin.name for plugin in plugins if before.get(plugin.name) != plugin.sha256]
    return [f"warning: from here on with another {', '.join(changed)} than before"] if changed else ()


def _hand_edits(folder: RunFolder) -> Sequence[str]:
    """A line about what was edited in config.json since the run was last started; none for older runs."""
    started_with = folder.environment().get("config")
    if not isinstance(started_with, dict):
        return ()
    edits = differences(started_with, folder.config().model_dump(mode="json"))
    return [f"warning: config.json was edited since the last start: {', '.join(edits)}"] if edits else ()


def refuse_beside(resume: str, options: Mapping[str, object]) -> None:
    """Raises ConfigError where an option is given with `resume`; both are named as the user wrote them."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(
                f"{option} cannot be used with {resume}: a run goes on with its own configuration"
            )


def check_fits(launch: Launch, machine: Machine) -> None:
    """Refuse before anything is loaded.

    Raises:
        HardwareError: this machine cannot run it; the message names a preset that fits here.
    """
    reason = why_not(launch.preset, launch.config, machine)
    if reason is None:
        return
    fitting = choose_preset(machine)
    advice = f". {fitting} fits here: tinyzero train --preset {fitting}" if fitting != launch.preset else ""
    raise HardwareError(reason + advice)


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
