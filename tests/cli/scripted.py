"""The real command line, trainer and run folder over a scripted game, as a program.

The environment directs it. LOAD_S: seconds that loading takes. STEP_S: seconds of each step, the last one for
all that follow: "0.1,5". GAIN: what training adds to accuracy on held-out tasks, which are measured then.
FAIL: "start" for a user's error while loading, "memory" for more memory than there may be, "bug" for an error
of our own in step 2.
"""

import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import tinyzero.assembly
import tinyzero.export.exportable
import tinyzero.trainer
from tinyzero.cli import main
from tinyzero.config import resolve_base
from tinyzero.errors import ModelLoadError
from tinyzero.evaluation.heldout import find_set, read_set
from tinyzero.evaluation.probe import HeldOutProbe
from tinyzero.evaluation.table import GREEDY, SAMPLED
from tinyzero.tasks import KINDS
from tinyzero.types import Round


class Notebook:
    """State that depends on every step played, so that a resumed run shows whether it was restored."""

    def __init__(self):
        self.total = 0

    def save(self, folder: Path):
        folder.mkdir(exist_ok=True)
        (folder / "total").write_text(str(self.total))

    def load(self, folder: Path):
        self.total = int((folder / "total").read_text())


class Game(Notebook):
    def prepare(self, step):
        return iter(())

    def play(self, step: int) -> Round:
        if os.environ.get("FAIL") == "bug" and step == 1:
            raise ZeroDivisionError
        seconds = os.environ.get("STEP_S", "0").split(",")
        time.sleep(float(seconds[min(step, len(seconds) - 1)]))
        self.total = 3 * self.total + step
        metrics = {"solver/deduction/accuracy": 0.5, "test/total": float(self.total)}
        return Round(rollouts=[], advantages=[], new_tasks=[], metrics=metrics, seconds={"solve": 0.25})


class Learner(Notebook):
    def update(self, rollouts, advantages):
        self.total += 1
        return {"learner/shared/entropy": float(self.total)}


class Probe(HeldOutProbe):
    """Accuracy that grows by GAIN a step and a little with the seed; in a control it does not."""

    def __post_init__(self):
        self._few = self.held_out.tasks

    def _all_rates(self):
        seed = self.config.run.seed / 100
        gain = 0.0 if self.config.rewards.control == "shuffled" else float(os.environ["GAIN"])
        grown = 0.0 if self.first is None else gain + seed
        rates = {item.task.id: 0.25 + grown for item in self.held_out.tasks}
        return {SAMPLED: rates, GREEDY: rates}

    _few_rates = _all_rates


def probe_of(config):
    held_out = read_set(find_set(config.evaluation.heldout, resolve_base("nano")), KINDS)
    return Probe(held_out=held_out, sampler=None, runner=None, kinds=KINDS, config=config)


@contextmanager
def assemble(config, run, observers=(), progress=lambda _: None, make_sampler=None, world=None):
    progress("loading a script")
    time.sleep(float(os.environ.get("LOAD_S", "0")))
    if os.environ.get("FAIL") == "start":
        raise ModelLoadError("no such model")
    if os.environ.get("FAIL") == "memory":
        bytearray(1 << 30)
    trainer = tinyzero.trainer.Trainer(
        config=config,
        run=run,
        policy=Notebook(),
        game=Game(),
        learner=Learner(),
        device="cpu",
        sandbox_tier="scripted",
        observers=observers,
        probe=probe_of(config) if "GAIN" in os.environ else None,
    )
    trainer.restore()
    yield trainer


def take_over(set_attribute=setattr):
    """From now on every run is the script, which has no adapters to export."""
    set_attribute(tinyzero.assembly, "assemble", assemble)
    set_attribute(tinyzero.export.exportable, "check_exportable", lambda config, save: None)
    set_attribute(sys.modules["tinyzero.cli.seeds"], "_PROGRAM", (sys.executable, __file__))


if __name__ == "__main__":
    take_over()
    main()
