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


@pytest.fixture
def adapter(tmp_path):
    """A fresh adapter of nano, which changes nothing."""
    from tinyzero.config import Config, load_config
    from tinyzero.machine.hardware import look
    from tinyzero.machine.settling import settle
    from tinyzero.policy.loading import load_policy

    config = settle(Config.model_validate(load_config("nano-cpu").model_dump()), look())
    policy = load_policy(config.model, config.policy, device="cpu", temperature=1.0)
    return policy.save_adapter(policy.adapters[0], tmp_path / "saved")


def test_a_fresh_adapter_differs_in_nothing(evaluate, adapter):
    """Adapter and base draw the same random numbers, so models that agree give equal answers."""
    from tinyzero.config import resolve_base

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


@pytest.fixture
def seeds(nano_run):
    """Two runs that differ only in their seed, and one with another setting."""
    import shutil

    from tinyzero.run.folder import RunFolder

    runs = [nano_run]
    for name, changes in (("second", {"run": {"seed": 1}}), ("other", {"learner": {"lr": 1e-3}})):
        path = Path(shutil.copytree(nano_run.path, nano_run.path.with_name(name)))
        tree = json.loads((path / "config.json").read_text())
        for section, values in changes.items():
            tree[section] |= values
        (path / "config.json").write_text(json.dumps(tree))
        runs.append(RunFolder(path))
    return [str(run.path) for run in runs]


@pytest.mark.slow
def test_several_runs_are_one_table_with_seeds_taken_together(evaluate, seeds):
    code, measured = evaluate(*seeds, str(Path(seeds[0]) / "checkpoints" / "step-000002"), "--limit", "2")
    (result,) = measured["results"]
    assert code == 0
    team, other, earlier = result["teams"]
    assert [member["seed"] for member in team["members"]] == [0, 1]
    assert (other["name"], earlier["name"].rpartition("/")[2]) == (seeds[2], "step-000002")
    pairs = [(each["name"], each["against"]) for each in result["comparisons"]]
    assert pairs == [
        (team["name"], "base"), (seeds[2], "base"), (earlier["name"], "base"),
        (seeds[2], team["name"]), (earlier["name"], team["name"]),
    ]  # fmt: skip
    assert result["num_comparisons"] == 5
    assert result["level"] == pytest.approx(0.99)
    first, second = team["members"]
    assert first["accuracy"] == second["accuracy"]  # they have the same adapters, and the same random numbers
    assert result["comparisons"][0]["interval_over_seeds"] is not None
    assert list(Path(seeds[0]).joinpath("benchmarks").glob("*-base-*.jsonl"))
    assert not list(Path(seeds[1]).joinpath("benchmarks").glob("*-base-*.jsonl"))  # measured once


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        ((0, 0), "are the same model; name each once"),
        ((0, "runs/first-run/checkpoints/step-000004"), "are the same model"),
        ((0, "nowhere"), "no run nowhere"),
        ((0, "runs/first-run/checkpoints/step-000003"), "3"),
    ],
)
def test_a_wrong_name_among_several_is_a_line_before_anything_is_measured(evaluate, seeds, targets, words):
    code, err = evaluate(*(seeds[target] if isinstance(target, int) else target for target in targets))
    assert (code, err.count("\n")) == (2, 1)
    assert words in err
    assert not (Path(seeds[0]) / "benchmarks").exists()


@pytest.mark.slow
def test_a_profile_has_every_measure_for_both_models_and_is_resumed(evaluate, adapter):
    options = ("--profile", "--price-per-hour", "2")
    code, measured = evaluate(str(adapter), *options)
    assert code == 0
    (figures,) = measured["results"]
    profile = figures["profile"]
    assert list(profile["f1"]) == [
        "F1@16-selective",
        "F1@16-selective-area",
        "F1@16-verifier",
        "F1@16-output",
    ]
    rewrites = ("renamed", "reordered", "dead code", "constants")
    assert {"greedy accuracy", "accuracy, renamed", "retention, constants"} <= profile["robustness"].keys()
    assert profile["dropped_rewrites"] == dict.fromkeys(rewrites, 0)
    assert {"tokens / solved task", "seconds / solved task", "dollars / solved task"} <= profile[
        "economy"
    ].keys()
    assert profile["greedy_answers"] == {"forgotten": 0, "learned": 0}
    same = [
        *profile["f1"].values(),
        *profile["robustness"].values(),
        profile["economy"]["tokens / solved task"],
    ]
    assert {row["verdict"] for row in same} == {"not distinguishable from noise"}
    assert all(row["base"] == row["trained"] for row in same)
    assert measured["transfer"]["domains"]["code reasoning"]["interval"] == [0.0, 0.0]
    _, again = evaluate(str(adapter), *options)
    assert again["results"][0]["profile"] == profile  # seconds are kept with the answers


@pytest.mark.slow
def test_without_a_benchmark_the_held_out_tasks_are_profiled(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["eval", "nano", "--profile", "--limit", "6", "--samples", "16"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("heldout: 6 tasks, 16 answers each")
    assert [line.split()[0] for line in lines if line.endswith("95 % interval")] == [
        "f1",
        "robustness",
        "economy",
    ]
    assert "forgotten" not in out
