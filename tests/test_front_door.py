"""`tinyzero` from Python: what an import costs, and `tinyzero.train` over a scripted game and for real."""

import json
import runpy
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import tinyzero
import tinyzero.assembly
from tinyzero.errors import CheckpointError, ConfigError
from tinyzero.run.folder import RunFolder
from tinyzero.run.records import read

SCRIPT = Path(__file__).parent / "cli" / "scripted.py"


def modules_after(code):
    program = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)))"
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(finished.stdout))


def test_importing_the_package_imports_nothing_of_it():
    modules = modules_after("import tinyzero; dir(tinyzero)")
    assert not {"torch", "pydantic", "typer"} & modules
    assert [name for name in modules if name.startswith("tinyzero")] == ["tinyzero"]


def test_nothing_behind_the_door_needs_torch_before_it_is_called():
    modules = modules_after("from tinyzero import Executor, load_config, train")
    assert "torch" not in modules
    assert "tinyzero.cli.front_door" in modules


def test_the_door_is_the_package_s_own_functions():
    from tinyzero.config import load_config
    from tinyzero.execution import Executor

    assert (tinyzero.load_config, tinyzero.Executor) == (load_config, Executor)
    assert set(tinyzero.__all__) <= set(dir(tinyzero))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        tinyzero.trian  # noqa: B018


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """The game is a script; runs go to an empty folder. Gives the samplers that were handed to `assemble`."""
    script, samplers = runpy.run_path(str(SCRIPT)), []
    script["take_over"](monkeypatch.setattr)

    def assemble(config, run, observers, progress, make_sampler, world):
        samplers.append(make_sampler)
        return script["assemble"](config, run, observers, progress)

    monkeypatch.setattr(tinyzero.assembly, "assemble", assemble)
    monkeypatch.chdir(tmp_path)
    return samplers


class Steps:
    """An observer of one's own."""

    def __init__(self):
        self.steps = []

    def on_start(self, start):
        self.preset = start.config.run.output

    def on_step(self, report):
        self.steps.append(report.step)

    def on_event(self, event):
        pass

    def on_end(self, summary):
        self.reason = summary.reason


def steps_of(run):
    return [line["step"] for line in read(run.metrics)]


@pytest.mark.usefixtures("scripted")
def test_a_run_is_a_folder_that_goes_on_where_it_ended(capsys):
    run = tinyzero.train("nano-cpu", settings=["run.max_steps=2"], name="first", output="here")
    assert run == RunFolder(Path("here/first"))
    assert steps_of(run) == [1, 2]
    assert run.environment()["preset"] == "nano-cpu"
    again = tinyzero.train(resume=run.path, settings=["run.max_steps=3"])
    assert again == run
    assert steps_of(run) == [1, 2, 3]
    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines() if "0.50" in line] == ["1/2", "2/2", "3/3"]
    assert "going on after step 2" in err


@pytest.mark.usefixtures("scripted")
def test_a_run_is_resumed_by_its_name_in_the_output_folder():
    tinyzero.train("nano-cpu", settings=["run.max_steps=1"], name="first", output=Path("here"))
    run = tinyzero.train(resume="first", output=Path("here"), settings=["run.max_steps=2"])
    assert steps_of(run) == [1, 2]


def test_observers_and_a_sampler_of_ones_own_are_part_of_the_run(scripted):
    observer, make_sampler = Steps(), object()
    tinyzero.train("nano-cpu", settings=["run.max_steps=2"], observers=[observer], make_sampler=make_sampler)
    assert observer.steps == [1, 2]
    assert observer.reason == "max_steps"
    assert scripted == [make_sampler]


@pytest.mark.usefixtures("scripted")
def test_the_first_signal_ends_the_run_with_a_checkpoint_and_the_handlers_come_back():
    class Interrupting(Steps):
        def on_step(self, report):
            if report.step == 2:
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    observer = Interrupting()
    run = tinyzero.train("nano-cpu", observers=[observer])
    assert steps_of(run) == [1, 2]
    assert observer.reason == "requested"
    assert (run.checkpoints / "step-000002").is_dir()
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("scripted")
def test_a_thread_other_than_the_main_one_trains_without_signals():
    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(tinyzero.train, "nano-cpu", settings=["run.max_steps=1"]).result()
    assert steps_of(run) == [1]


@pytest.mark.usefixtures("scripted")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"preset": "nano-cup"}, "did you mean nano-cpu"),
        ({"preset": "nano-cpu", "settings": ["run.max_step=3"]}, "run.max_steps"),
        ({"preset": "nano-cpu", "settings": "run.max_steps=3"}, "give a list"),
        ({"preset": "nano-cpu", "settings": ['selfplay.kinds=["sums"]']}, "sums"),
        ({"preset": "nano-cpu", "name": "a/b"}, "a/b"),
        ({"preset": "nano-cpu", "resume": "first"}, "^preset cannot be used with resume"),
        ({"preset": "nano-cpu", "ui": "live"}, "needs a terminal"),
        ({"preset": "nano-cpu", "ui": "lively"}, "auto, live, plain, json"),
    ],
)
def test_what_cannot_work_is_an_error_that_can_be_caught_and_leaves_nothing(arguments, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        tinyzero.train(**arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("scripted")
def test_a_resumed_run_stays_itself():
    run = tinyzero.train("nano-cpu", settings=["run.max_steps=1"])
    with pytest.raises(ConfigError, match=r"learner.lr cannot change when a run goes on"):
        tinyzero.train(resume=run.path, settings=["learner.lr=1"])
    with pytest.raises(CheckpointError, match="no run second"):
        tinyzero.train(resume="second")


@pytest.mark.slow
def test_nano_trains_and_goes_on_from_python(tmp_path):
    quick = ["run.max_steps=1", "evaluation.heldout=none", "hardware.threads=1"]
    run = tinyzero.train("nano-cpu", settings=quick, output=tmp_path)
    assert (run.adapter / "solver" / "adapter_model.safetensors").is_file()
    tinyzero.train(resume=run.path, settings=["run.max_steps=2"])
    assert steps_of(run) == [1, 2]
    assert all(line["solver/accuracy"] >= 0 for line in read(run.metrics))
