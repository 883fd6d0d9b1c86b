"""Sends metrics to wandb, tensorboard and trackio, if configured. All are off by default, and offline if on.

A tracker that fails is dropped with a warning; the run continues.
"""

import io
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from typing import Any, Protocol

from tinyzero.config import TrackersConfig
from tinyzero.errors import ConfigError
from tinyzero.run.events import Event
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.types import StepReport

logger = logging.getLogger(__name__)


class _Tracker(Protocol):
    """An open run at one service."""

    def log(self, metrics: Mapping[str, float], step: int) -> None: ...
    def close(self) -> None: ...


class TrackerObserver:
    """Passes every step's metrics on; opens its tracker when the run starts."""

    def __init__(self, name: str, open_tracker: Callable[[RunStart], _Tracker]) -> None:
        self._name = name
        self._open = open_tracker
        self._tracker: _Tracker | None = None

    def on_start(self, start: RunStart) -> None:
        with _Surviving(self):
            self._tracker = self._open(start)

    def on_step(self, report: StepReport) -> None:
        if self._tracker is not None:
            with _Surviving(self):
                self._tracker.log(dict(report.metrics), report.step)

    def on_event(self, event: Event) -> None:
        """Events stay in events.jsonl."""

    def on_end(self, summary: RunSummary) -> None:
        if self._tracker is not None:
            with _Surviving(self):
                self._tracker.close()
            self._tracker = None

    def drop(self, error: BaseException) -> None:
        self._tracker = None
        logger.warning(
            "%s failed, and is left out from now on: %s: %s", self._name, type(error).__name__, error
        )


class _Surviving:
    """Drops a tracker that raises, so that training continues."""

    def __init__(self, observer: TrackerObserver) -> None:
        self._observer = observer

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, Exception):
            return False
        self._observer.drop(error)
        return True


def trackers(config: TrackersConfig) -> Iterator[TrackerObserver]:
    """The trackers that are switched on.

    Raises:
        ConfigError: a tracker is switched on but not installed.
    """
    for name, open_tracker in (
        ("tensorboard", _Tensorboard),
        ("wandb", _Wandb),
        ("trackio", _Trackio),
    ):
        if getattr(config, name):
            _require(name)
            yield TrackerObserver(name, lambda start, make=open_tracker: make(start, config))  # type: ignore[misc]


class _Tensorboard:
    """Event files in the run's folder: `tensorboard --logdir runs`."""

    def __init__(self, start: RunStart, _: TrackersConfig) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(start.path / "tensorboard"), purge_step=start.step + 1)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A wandb run of the same name; `mode` offline keeps it in the run's folder until `wandb sync`."""

    def __init__(self, start: RunStart, config: TrackersConfig) -> None:
        import wandb

        self._run = wandb.init(
            project=config.project,
            name=start.name,
            id=_plain(start.name),
            resume="allow",
            dir=str(start.path),
            mode="online" if config.online else "offline",
            config=start.config.model_dump(mode="json"),
            settings=wandb.Settings(console="off", silent=True),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        self._run.finish()


class _Trackio:
    """A local database: `trackio show`. Its output is redirected: standard output belongs to the view."""

    def __init__(self, start: RunStart, config: TrackersConfig) -> None:
        import trackio

        self._trackio: Any = trackio
        with redirect_stdout(io.StringIO()):
            trackio.init(
                project=config.project,
                name=start.name,
                resume="allow",
                config=start.config.model_dump(mode="json"),
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._trackio.log(dict(metrics), step=step)

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self._trackio.finish()


def _require(name: str) -> None:
    from importlib.util import find_spec

    if find_spec(name) is None:
        raise ConfigError(f"trackers.{name} is on, but {name} is not installed; pip install {name}")


def _plain(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in name)[:120]
