"""The tool that judges whether self-play makes nano better: its control, its verdict, its report."""

import json
from collections import Counter
from pathlib import Path

import pytest
from rollouts import rollout_of

from tinyzero.config import Config, load_config
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.folder import RunFolder
from tinyzero.types import Prompt, Role, Round

TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def rollout(role, number, reward):
    prompt = Prompt(kind="deduction", text=str(number))
    return rollout_of(role, prompt=prompt, terms={"x": reward}, task_id="t")


class SameRound:
    def play(self, step):
        rollouts = [rollout(Role.PROPOSER, number, -number) for number in range(1, 9)]
        rollouts += [rollout(Role.SOLVER, number, number % 2) for number in range(40)]
        return Round(rollouts=rollouts, advantages=[0.0] * 48, new_tasks=[], metrics={}, seconds={})


def rewards(played, role):
    return [item.reward.total for item in played.rollouts if item.role is role]


def test_shuffled_rewards_are_the_same_rewards_of_each_role_in_another_order():
    from learning import runs

    before = SameRound().play(0)
    game = runs.ShuffledRewards(SameRound(), Config())
    after, again, later = game.play(0), game.play(0), game.play(1)
    for role in Role:
        assert Counter(rewards(after, role)) == Counter(rewards(before, role))
        assert rewards(after, role) != rewards(before, role)
        assert rewards(after, role) == rewards(again, role)
        assert rewards(after, role) != rewards(later, role)
    assert [item.answer for item in after.rollouts] == [item.answer for item in before.rollouts]


def test_advantages_follow_the_shuffled_rewards():
    from learning import runs

    config = Config.model_validate({"advantages": {"scale": "none"}})
    played = runs.ShuffledRewards(SameRound(), config).play(0)
    solver = [
        (item.reward.total, advantage)
        for item, advantage in zip(played.rollouts, played.advantages, strict=True)
        if item.role is Role.SOLVER
    ]
    assert all(advantage == reward - 0.5 for reward, advantage in solver)


@pytest.mark.parametrize(("gained", "code"), [(0.5, 0), (0.0, 1), (-0.5, 1)])
def test_the_check_fails_where_too_little_was_gained(gained, code, capsys):
    import nano_learning

    row = Row(
        name="mean",
        decoding="sampled",
        tasks=300,
        before=0.2,
        after=0.2 + gained,
        difference=gained,
        low=gained,
        high=gained,
    )
    comparison = Comparison(set_name="x", attempts=8, step=20, rows=(row,))
    assert nano_learning.judge(comparison) == code
    assert f"gained {gained:+.3f}" in capsys.readouterr().out


def test_every_arm_is_the_preset_with_as_little_changed_as_can_be():
    from learning.arms import ARMS

    plain = load_config("nano-cpu").model_dump()
    for arm in ARMS.values():
        made = load_config("nano-cpu", arm.settings).model_dump()
        changed = [
            (section, key)
            for section in plain
            for key in plain[section]
            if made[section][key] != plain[section][key]
        ]
        assert len(changed) == len(arm.settings)
        assert len(changed) <= 1 or "separate_solver_batch" in arm.settings[0]


def test_the_report_has_a_line_a_run_and_the_curve_from_the_base_on(tmp_path, monkeypatch):
    from learning import report

    monkeypatch.setattr(report, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    run = RunFolder.create(tmp_path / "runs", "frozen_proposer-2", Config())
    write(run.events, [measured(0, 0.1), {"event": "checkpoint", "step": 1}, measured(1, 0.2)])
    metrics = {"time/step_s": 30.0, "solver/accuracy": 0.5, "proposer/new_share": 0.9}
    metrics |= {"proposer/valid_share": 0.8, "proposer/distinct_shapes": 0.7, "solver/mixed_share": 0.6}
    write(run.metrics, [{"step": 1, **metrics, **held_out(0.2)}, {"step": 2, **metrics}])
    rows = [
        {"name": "mean", "decoding": decoding, "before": 0.1, "after": 0.2, "low": 0.05, "high": 0.15}
        for decoding in ("sampled", "greedy")
    ]
    run.write_evaluation({"rows": rows})

    table = report.write_report(tmp_path / "runs", ["trained", "frozen proposer"])
    assert table.splitlines()[2:] == [
        "| frozen proposer | 2 | 2 | 0.100 to 0.200 | +0.050 +0.150 | 0.100 to 0.200 | +0.050 +0.150 "
        "| 0.5 | 0.9 | 0.7 |"
    ]
    (result,) = json.loads((tmp_path / "docs" / "measurements" / "nano-learning.json").read_text())
    assert result["curve"] == [
        {"step": 0, "sampled": 0.1, "greedy": 0.1},
        {"step": 1, "sampled": 0.2, "greedy": 0.2},
    ]
    assert (result["arm"], result["seed"], result["minutes"]) == ("frozen proposer", 2, 1.0)
    assert "held-out accuracy" in (tmp_path / "docs" / "nano-learning.svg").read_text()


def held_out(rate):
    return {"heldout/mean/sampled": rate, "heldout/mean/greedy": rate}


def measured(step, rate):
    return {"event": "measured", "step": step, **held_out(rate)}


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
