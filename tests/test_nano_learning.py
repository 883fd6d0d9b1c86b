"""The tool that judges whether self-play makes nano better: its control, its verdict, its report."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from rollouts import rollout_of
from torch.nn import Parameter

from tinyzero.config import Config, load_config
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.evaluation.heldout import HeldOutSet, HeldOutTask
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.controls import ChangedRewards, shuffled
from tinyzero.run.folder import RunFolder
from tinyzero.tasks import KINDS
from tinyzero.types import (
    Answer,
    Completion,
    Prompt,
    Role,
    Round,
    Task,
    Verdict,
    VerdictStatus,
)

TOOLS = Path(__file__).parents[1] / "tools"
CHANGED_TOGETHER = {"selfplay.separate_solver_batch", "r_zero.max_distance", "r_zero.min_margin"}


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))


def rollout(role, number, reward, *, task_id="t", verdict=None):
    prompt = Prompt(kind="deduction", text=str(number))
    rollout = rollout_of(role, prompt=prompt, terms={"x": reward}, task_id=task_id)
    return rollout if verdict is None else replace(rollout, verdict=verdict)


class SameRound:
    def play(self, step):
        rollouts = [rollout(Role.PROPOSER, number, -number) for number in range(1, 9)]
        rollouts += [rollout(Role.SOLVER, number, number % 2) for number in range(40)]
        return Round(rollouts=rollouts, advantages=[0.0] * 48, new_tasks=[], metrics={}, seconds={})


def rewards(played, role):
    return [item.reward.total for item in played.rollouts if item.role is role]


def test_shuffled_rewards_are_the_same_rewards_of_each_role_in_another_order():
    before = SameRound().play(0)
    game = ChangedRewards(SameRound(), Config(), shuffled)
    after, again, later = game.play(0), game.play(0), game.play(1)
    for role in Role:
        assert Counter(rewards(after, role)) == Counter(rewards(before, role))
        assert rewards(after, role) != rewards(before, role)
        assert rewards(after, role) == rewards(again, role)
        assert rewards(after, role) != rewards(later, role)
    assert [item.answer for item in after.rollouts] == [item.answer for item in before.rollouts]


def test_advantages_follow_the_shuffled_rewards():
    config = Config.model_validate({"advantages": {"scale": "none"}})
    played = ChangedRewards(SameRound(), config, shuffled).play(0)
    solver = [
        (item.reward.total, advantage)
        for item, advantage in zip(played.rollouts, played.advantages, strict=True)
        if item.role is Role.SOLVER
    ]
    assert all(advantage == reward - 0.5 for reward, advantage in solver)


def test_the_own_majority_is_paid_whether_it_is_right_or_not():
    from learning.controls import majority

    wrong, right, unreadable = VerdictStatus.WRONG, VerdictStatus.CORRECT, VerdictStatus.MALFORMED
    said = [("a", wrong, "4"), ("a", right, "5"), ("a", wrong, "4"), ("a", unreadable, "")]
    said += [("b", unreadable, ""), ("b", unreadable, ""), ("b", right, "7")]
    attempts = [
        rollout(Role.SOLVER, 0, 0.0, task_id=task, verdict=Verdict(status=status, answer=answer))
        for task, status, answer in said
    ]
    proposal = rollout(Role.PROPOSER, 0, -0.5)
    paid = [reward.total for reward in majority([proposal, *attempts], "0/0")]
    assert paid == [-0.5, 1, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(("gained", "code"), [(0.5, 0), (0.0, 1), (-0.5, 1)])
def test_the_check_fails_where_greedy_accuracy_gained_too_little(gained, code, capsys):
    """Whatever sampled accuracy gained: that much, a lower temperature could have done."""
    import nano_learning

    rows = tuple(
        Row(
            name="mean",
            decoding=decoding,
            tasks=300,
            before=0.2,
            after=0.2 + difference,
            difference=difference,
            low=difference,
            high=difference,
        )
        for decoding, difference in (("sampled", 0.3), ("greedy", gained))
    )
    comparison = Comparison(set_name="x", attempts=8, step=20, rows=rows)
    assert nano_learning.judge(comparison) == code
    assert f"gained {gained:+.3f}" in capsys.readouterr().out


def test_every_arm_is_the_preset_with_as_little_changed_as_can_be():
    from learning.arms import ARMS

    for arm in ARMS.values():
        plain = load_config(arm.preset).model_dump()
        made = load_config(arm.preset, arm.settings).model_dump()
        changed = [
            (section, key)
            for section in plain
            for key in plain[section]
            if made[section][key] != plain[section][key]
        ]
        assert len(changed) == len(arm.settings)
        assert len(changed) <= 1 or arm.settings[0].partition("=")[0] in CHANGED_TOGETHER


@pytest.fixture
def one_run(tmp_path, monkeypatch):
    """A finished run of two steps, and docs to write into."""
    from learning import report

    monkeypatch.setattr(report, "DOCS", tmp_path / "docs")
    (tmp_path / "docs").mkdir()
    run = RunFolder.create(tmp_path / "runs", "frozen_proposer-2", Config())
    write(run.events, [measured(0, 0.1), {"event": "checkpoint", "step": 1}, measured(1, 0.2)])
    metrics = dict.fromkeys(report.PLAYED.values(), 0.5) | {"time/step_s": 30.0}
    nodes = "proposer/program_nodes"
    first = {"step": 1, **metrics, nodes: 20.0, **held_out(0.2)}
    silent = {"step": 2, "time/step_s": 0.0, nodes: 30.0}
    write(run.metrics, [first, silent, {"step": 3, **metrics, nodes: 40.0}])
    rungs = [(0, {"1 line": 0.0, "2 lines": 0.5}), (3, {"1 line": 1.0, "2 lines": 0.75})]
    write(run.path / "ladder.jsonl", [{"step": step, "rates": rates} for step, rates in rungs])
    run.write_evaluation(
        {
            "rows": [ended("sampled", 0.1, 0.2), ended("greedy", 0.25, 0.5)],
            "others": [
                ended("pass@8", 0.5, 0.5),
                ended("majority", 0.2, 0.3),
                ended("thinking_share", 0.2, 0.9),
                ended("answer_tokens", 12, 45),
            ],
            "untrained": [ended("temperature 0.7", 0.125, 0.2), ended("temperature 0.3", 0.15, 0.2)],
        }
    )
    monkeypatch.setattr(report, "held_out_ids", lambda: {"deduction": ["a", "b"], "abduction": ["c", "d"]})
    (tmp_path / "runs" / "base-2" / "24-answers").mkdir(parents=True)
    voted = {"a": 1.0, "b": 0.0, "c": 0.25}  # d is not among the tasks that are sampled
    (tmp_path / "runs" / "base-2" / "24-answers" / "heldout.json").write_text(
        json.dumps({"last": {"rates": {"majority": voted}}})
    )
    return tmp_path


def test_the_report_has_a_line_an_arm_and_a_run_and_what_was_played(one_run):
    from learning import report

    tables = report.write_report(one_run / "runs", ["trained", "frozen proposer"]).split("\n\n")
    assert [table.splitlines()[2:] for table in tables] == [
        [
            "| frozen proposer | 1 | +25.0 | - | +10.0 | - | +5.0 | - | +0.0 | +10.0 |",
            "| untrained, temperature 0.7 | 1 | - | - | +2.5 | - | - | - | - | - |",
            "| untrained, temperature 0.3 | 1 | - | - | +5.0 | - | - | - | - | - |",
            "| untrained, majority of 24 | 1 | - | - | +27.5 | - | - | - | - | - |",
        ],
        [
            "| frozen proposer | 2 | 0.250 to 0.500 | +0.050 +0.150 | 0.100 to 0.200 | +0.050 +0.150 "
            "| 0.50 to 0.50 | 0.20 to 0.30 | 0.20 to 0.90 | 12 to 45 |"
        ],
        ["| frozen proposer | 30.0 to 30.0 | 0.50 to 0.50 | 0.50 to 0.50 | 0.50 to 0.50 | 0.50 to 0.50 |"],
        ["| frozen proposer | 0.00 to 1.00 | 0.50 to 0.75 |"],
    ]


def test_the_figures_are_kept_with_the_curve_from_the_base_on(one_run):
    from learning import report

    report.write_report(one_run / "runs", ["frozen proposer"])
    (result,) = json.loads((one_run / "docs" / "measurements" / "nano-learning.json").read_text())
    assert result["curve"] == [
        {"step": 0, "sampled": 0.1, "greedy": 0.1},
        {"step": 1, "sampled": 0.2, "greedy": 0.2},
    ]
    assert result["played"]["program_nodes"] == [20.0, 30.0, 40.0]
    assert result["played"]["own_accuracy"] == [0.5, None, 0.5]
    assert result["ladder"]["3"] == {"1 line": 1.0, "2 lines": 0.75}
    assert (result["arm"], result["seed"], result["minutes"]) == ("frozen proposer", 2, 1.0)
    assert "held-out accuracy" in (one_run / "docs" / "nano-learning.svg").read_text()
    assert "syntax nodes" in (one_run / "docs" / "nano-coevolution.svg").read_text()


def test_a_ladder_has_a_rate_for_each_length():
    from learning.lengths import by_stratum

    tasks = [Task(id=name, kind="deduction", program="", inputs=(), outputs=()) for name in "abc"]
    rungs = zip(tasks, ("1 line", "2 lines", "2 lines"), strict=True)
    ladder = HeldOutSet(name="x", tasks=tuple(HeldOutTask(task=task, stratum=rung) for task, rung in rungs))
    assert by_stratum(ladder, {"a": 0, "b": 1, "c": 0}) == {"1 line": 0, "2 lines": 0.5}


def test_windows_are_means_of_what_is_there():
    from learning.pictures import in_windows

    assert in_windows([1.0, None, 3.0, 2.0, 2.0, 7.0]) == [(5, 2.0), (6, 7.0)]
    assert in_windows([None] * 5) == []


def ended(decoding, before, after):
    row = {"name": "mean", "decoding": decoding, "before": before, "after": after, "low": 0.05, "high": 0.15}
    return {**row, "difference": after - before}


def held_out(rate):
    return {"heldout/mean/sampled": rate, "heldout/mean/greedy": rate}


def measured(step, rate):
    return {"event": "measured", "step": step, **held_out(rate)}


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


class CountingSampler:
    """Answers each prompt as often as requested."""

    def __init__(self):
        self.requests = []

    def fits(self, prompt):
        return True

    def sample(self, request):
        self.requests.append(request)
        return [["answer"] * request.num_samples for _ in request.prompts]


def test_some_kinds_are_attempted_more_often():
    from learning.controls import UnevenAttempts

    sampler = CountingSampler()
    game = AbsoluteZero(Config(), sampler=sampler, executor=None, kinds=KINDS)
    kinds = ("induction", "deduction", "induction")
    tasks = [
        next(iter(game.pool.tasks(kind)), None) or next(iter(KINDS[kind].seeds()))  # any of the kind
        for kind in kinds
    ]
    tasks = [replace(task, id=str(number)) for number, task in enumerate(tasks)]
    answers = UnevenAttempts(game, {"induction": 3}).solve(tasks, 2, "1/solve")
    assert [len(group) for group in answers] == [3, 2, 3]
    assert {(request.num_samples, request.stream) for request in sampler.requests} == {
        (2, "1/solve"),  # as without it
        (3, "1/solve/3"),
    }


class TwoWeights:
    """A policy of one adapter with two weights."""

    adapters = ("shared",)

    def __init__(self):
        self.loads = 0
        self.weights = {"a": Parameter(torch.zeros(2)), "b": Parameter(torch.zeros(1))}

    def named_weights(self, adapter):
        return self.weights

    def become(self, value):
        with torch.no_grad():
            for weight in self.weights.values():
                weight.fill_(value)


def test_the_average_is_of_the_last_third():
    from learning.averaging import AveragingObserver

    config = Config.model_validate({"run": {"max_steps": 6}})
    policy, trainer = TwoWeights(), SimpleNamespace(config=config)
    observer = AveragingObserver(trainer, policy)
    for step in range(1, 7):
        policy.become(float(step * step))
        observer.on_step(SimpleNamespace(step=step))
    assert observer.take_average()
    assert [weight.tolist() for weight in policy.weights.values()] == [[30.5, 30.5], [30.5]]  # of 25 and 36
    assert policy.loads == 1


def test_a_run_resumed_in_its_last_third_has_no_average():
    from learning.averaging import AveragingObserver

    config = Config.model_validate({"run": {"max_steps": 6}})
    policy = TwoWeights()
    observer = AveragingObserver(SimpleNamespace(config=config), policy)
    observer.on_step(SimpleNamespace(step=6))
    assert not observer.take_average()
    assert policy.loads == 0


def test_labels_of_the_controls_are_the_truth_or_any_answer_that_was_given():
    from learning.controls import LABELS

    from tinyzero.games.r_zero.survey import survey

    task = Task(
        id="q", kind="question", program="def f(a):\n    return a", inputs=("1",), outputs=(), truth="3"
    )
    answers = [
        Answer(prompt=Prompt(kind="question", text=""), completion=Completion(text=text)) for text in "11125x"
    ]
    ids = [replace(task, id=str(number)) for number in range(60)]
    surveys = survey(ids, [answers] * 60, comparer=None)
    assert {LABELS["truth"](each) for each in surveys} == {"3"}
    assert LABELS["truth"](replace(surveys[0], task=replace(task, truth=None))) == ""
    dealt = Counter(LABELS["random"](each) for each in surveys)
    assert dealt.keys() == {"1", "2", "5"}
    assert min(dealt.values()) > 10  # each answer alike, however many gave it
    assert [LABELS["random"](each) for each in surveys] == [LABELS["random"](each) for each in surveys]
