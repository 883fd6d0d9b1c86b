"""`tinyzero eval` with nano, from the model to the figures."""

import json
from pathlib import Path

import pytest

from tinyzero.cli import run

PUBLISHED = Path(__file__).parents[1] / "evaluation" / "benchmarks" / "published"


@pytest.fixture
def evaluate(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def evaluate(*arguments):
        options = ("--bench", "cruxeval-o", "--data", str(PUBLISHED), "--samples", "16", "--json")
        code = run(["eval", *arguments, *options])
        out, err = capsys.readouterr()
        return code, json.loads(out) if code == 0 else err

    return evaluate


def test_a_base_model_is_measured_and_its_answers_are_kept(evaluate, tmp_path):
    code, first = evaluate("nano")
    (figures,) = first["results"]
    assert code == 0
    assert (figures["tasks"], figures["answers"], figures["temperature"]) == (6, 96, 0.2)
    assert 0 <= figures["accuracy"] <= figures["pass@16"] <= 1
    (kept,) = (tmp_path / "evaluations" / "nano").glob("cruxeval-o-base-*.jsonl")
    before = kept.read_bytes()
    _, second = evaluate("nano")
    del figures["seconds"], second["results"][0]["seconds"]
    assert (second["results"], kept.read_bytes()) == ([figures], before)


def test_a_fresh_adapter_differs_in_nothing(evaluate, tmp_path):
    """Adapter and base draw the same random numbers, so models that agree give equal answers."""
    from tinyzero.config import Config, load_config, resolve_base
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle
    from tinyzero.policy.loading import load_policy

    config = settle(Config.model_validate(load_config("nano-cpu").model_dump()), look())
    policy = load_policy(config.model, config.policy, device="cpu", temperature=1.0)
    adapter = policy.save_adapter(policy.adapters[0], tmp_path / "saved")
    assert str(resolve_base("nano")) in (adapter / "adapter_config.json").read_text()
    code, measured = evaluate(str(adapter))
    (figures,) = measured["results"]
    assert code == 0
    assert figures["base"]["accuracy"] == figures["trained"]["accuracy"]
    accuracy = figures["differences"]["accuracy"]
    assert (accuracy["interval"], accuracy["verdict"]) == ([0.0, 0.0], "not distinguishable from noise")


def test_a_target_that_is_nothing_is_one_line(evaluate):
    code, err = evaluate("nowhere")
    assert (code, err.count("\n")) == (2, 1)
    assert "name a run, the folder of an adapter, or a model" in err
