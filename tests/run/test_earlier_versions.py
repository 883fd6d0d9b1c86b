"""Runs of earlier versions: a config.json that says auto, with knobs that are none any more."""

import json
from pathlib import Path

import pytest

from tinyzero.cli import run as run_command
from tinyzero.config import load_config
from tinyzero.config.dropped import DROPPED
from tinyzero.export.folders import ExportRequest, export
from tinyzero.run.folder import RunFolder

EARLIER = json.loads((Path(__file__).parents[1] / "earlier_config.json").read_text())
"""As the preset nano-cpu was written down before anything was settled."""


@pytest.fixture
def earlier_run(tmp_path):
    folder = tmp_path / "runs" / "earlier"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(EARLIER))
    (folder / "environment.json").write_text(json.dumps({"device": "cpu", "preset": "nano-cpu"}))
    return RunFolder(folder)


def test_the_file_says_auto_and_has_dropped_knobs():
    autos = [
        f"{name}.{key}"
        for name, values in EARLIER.items()
        for key, value in values.items()
        if value == "auto"
    ]
    assert autos == [
        "model.frame",
        "model.loader",
        "model.quantization",
        "model.dtype",
        "learner.optimizer",
        "evaluation.heldout",
    ]
    assert all(key.partition(".")[2] in EARLIER[key.partition(".")[0]] for key in DROPPED)


def test_an_earlier_run_is_settled_when_it_is_opened_and_says_nothing(earlier_run, caplog):
    config = earlier_run.config()
    assert (config.model.dtype, config.model.quantization, config.model.loader) == (
        "float32", "none", "transformers",
    )  # fmt: skip
    assert (config.learner.optimizer, config.evaluation.heldout) == ("adamw", "nano")
    assert config.selfplay == load_config("nano-cpu", ["selfplay.answer_tokens=112"]).selfplay
    assert not caplog.records


def test_a_run_of_an_earlier_nano_says_so_where_its_adapters_are_used(earlier_run, caplog):
    earlier_run.warn_of_earlier_nano()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{earlier_run.path} was trained on the nano of an earlier version")


@pytest.mark.parametrize(
    "sections", [{"model": {"base": "other"}}, {"evaluation": {"sampled_tasks": None}}, {"model": 7}]
)
def test_other_runs_say_nothing_about_nano(earlier_run, caplog, sections):
    (earlier_run.path / "config.json").write_text(json.dumps(EARLIER | sections))
    earlier_run.warn_of_earlier_nano()
    assert not caplog.records


def test_a_dropped_knob_that_was_turned_is_told_once(earlier_run, caplog):
    turned = {**EARLIER, "pool": {**EARLIER["pool"], "eviction": "decided"}}
    (earlier_run.path / "config.json").write_text(json.dumps(turned))
    earlier_run.config()
    earlier_run.config()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.endswith(
        "config.json sets pool.eviction = decided, which this version no longer has; it is ignored"
    )


def test_an_earlier_run_is_watched(earlier_run, capsys, monkeypatch):
    monkeypatch.chdir(earlier_run.path.parents[1])
    assert run_command(["watch", "earlier", "--once", "--size", "100x30"]) == 0
    assert "earlier" in capsys.readouterr().out


@pytest.mark.parametrize("what", ["adapter", "merged"])
def test_an_earlier_run_is_exported(nano_run, tmp_path, what):
    written = json.loads((nano_run.path / "config.json").read_text())
    for section, values in EARLIER.items():
        lost = {key: value for key, value in values.items() if key not in written[section] or value == "auto"}
        written[section] |= lost
    (nano_run.path / "config.json").write_text(json.dumps(written))
    (exported,) = export(nano_run, ExportRequest(what=what), tmp_path / "out")
    record = json.loads((exported.folder / "tinyzero.json").read_text())
    assert record["config"]["model"]["dtype"] == "float32"
    assert "eviction" not in record["config"]["pool"]
