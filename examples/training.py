"""What the examples share: a run of the nano preset with some settings, from Python."""

from datetime import date
from pathlib import Path

from tinyzero.assembly import assemble
from tinyzero.config import load_config
from tinyzero.machine.hardware import look
from tinyzero.machine.settling import settle
from tinyzero.run.folder import RunFolder
from tinyzero.run.recorder import Recorder
from tinyzero.watch.plain import PlainObserver


def train(*settings: str) -> RunFolder:
    """Train as `tinyzero train --preset nano-cpu --set ...` does, and leave a run's folder."""
    config = settle(load_config("nano-cpu", settings), look())
    run = RunFolder.create_numbered(Path(config.run.output), "example", config, today=date.today())
    observers = (Recorder(run, preset="nano-cpu"), PlainObserver(print))
    with run.exclusive(), assemble(config, run, observers, progress=print) as trainer:
        trainer.train()
    return run
