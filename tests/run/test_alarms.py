"""The alarms by themselves: what they look at, when they know nothing, and what they tell."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

from tinyzero.config import AlarmName, Config, WatchConfig
from tinyzero.run.alarms import RULES, CollapseWatch, rules_of
from tinyzero.run.events import AlarmBegan, AlarmOver
from tinyzero.run.lines import Step

MEASURED = json.loads(
    (Path(__file__).parents[2] / "docs" / "measurements" / "nano-learning.json").read_text()
)
HEALTHY = [run for run in MEASURED if run["arm"] != "own majority"]
RULE = {rule.name: rule for rule in RULES}


def only(name, threshold, window=2):
    """A watch with one alarm, the others silent."""
    return CollapseWatch([replace(RULE[name], threshold=threshold)], window)


def events(watch, *steps):
    """What is told after each of the steps, names only."""
    return [[turn.event(1).name for turn in watch.look(metrics)] for metrics in steps]


def test_every_alarm_can_be_silent_and_every_name_is_that_of_an_alarm():
    assert sorted(RULE) == sorted(get_args(AlarmName))
    assert rules_of(WatchConfig(silent=get_args(AlarmName))) == []
    raised = rules_of(WatchConfig(silent=("trivial",)))
    assert [rule.name for rule in RULES if rule not in raised] == ["trivial"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_advice_is_one_line_and_names_knobs_that_there_are(rule):
    assert "\n" not in rule.advice
    assert len(rule.advice) < 110
    files = rule.advice.replace("samples.jsonl", "").replace("run.log", "")
    knobs = re.findall(r"\b([a-z]+)\.([a-z_]+)\b", files)
    sections = Config.model_fields
    assert all(knob in sections[section].annotation.model_fields for section, knob in knobs)


def test_an_alarm_tells_figure_and_threshold_with_advice_and_its_end_without():
    watch = only("duplicates", 0.5)
    (begin,) = [turn for share in (0.6, 0.7) for turn in watch.look({"proposer/duplicate_share": share})]
    assert begin.event(7) == AlarmBegan(
        step=7, alarm="duplicates", value=0.65, threshold=0.5, advice=begin.rule.advice
    )
    assert watch.metrics() == {"watch/duplicates": 1.0}
    (over,) = watch.look({"proposer/duplicate_share": 0.1})
    assert over.event(8) == AlarmOver(step=8, alarm="duplicates", value=0.4, threshold=0.5)
    assert watch.metrics() == {"watch/duplicates": 0.0}


def test_nothing_is_told_before_there_is_a_whole_window():
    bad = {"proposer/duplicate_share": 1.0}
    assert events(only("duplicates", 0.5, window=3), bad, bad, bad) == [[], [], ["duplicates"]]


def test_steps_without_the_figure_are_no_part_of_its_mean_and_none_at_all_changes_nothing():
    bad, good, silent = {"proposer/distinct_shapes": 0.1}, {"proposer/distinct_shapes": 0.9}, {}
    watch = only("few_shapes", 0.5)
    assert events(watch, silent, silent, bad, silent, silent, silent) == [[], [], ["few_shapes"], [], [], []]
    assert watch.metrics() == {"watch/few_shapes": 1.0}
    assert events(watch, good) == [[AlarmOver.name]]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e16])
def test_what_is_no_finite_number_counts_as_missing(value):
    """As it does in the log that a resumed run knows."""
    watch = only("duplicates", 0.5)
    steps = [{"proposer/duplicate_share": share} for share in (0.6, value)]
    assert events(watch, *steps) == [[], ["duplicates"]]


def test_the_adapter_that_lost_most_entropy_counts():
    before = {"learner/proposer/entropy": 1.0, "learner/solver/entropy": 2.0}
    steps = [before, before, before | {"learner/solver/entropy": 0.5}]  # solver: mean 1.25 of 2 = 0.625
    assert events(only("low_entropy", 0.63), *steps) == [[], [], ["low_entropy"]]
    assert events(only("low_entropy", 0.62), *steps) == [[], [], []]
    assert events(only("no_entropy", 1.1), *steps) == [[], ["no_entropy"], []]  # the proposer's


def test_a_ratio_to_nothing_is_no_figure():
    steps = [{"length/solver": length} for length in (0.0, 0.0, 5.0, 5.0)]
    assert events(only("long_answers", 2.0), *steps) == [[], [], [], []]


@pytest.mark.parametrize(("later", "told"), [(0.4, []), (0.5, []), (0.7, ["easier_programs"])])
def test_smaller_programs_are_an_alarm_only_where_the_solver_wins_by_them(later, told):
    first = {"proposer/program_nodes": 20.0, "solver/accuracy": 0.5}
    smaller = {"proposer/program_nodes": 8.0, "solver/accuracy": later}  # mean 14 of 20 = 0.7
    assert events(only("easier_programs", 0.75), first, first, smaller) == [[], [], told]


def test_a_watch_that_caught_up_goes_on_as_one_that_saw_everything():
    lengths = [8.0, 8.0, 7.0, 3.0, 2.0, 2.0, 9.0, 9.0, 1.0, 1.0]
    steps = [{"length/solver": length} for length in lengths]
    for seen in range(len(steps)):
        saw_all, log = only("short_answers", 0.5), []
        for number, metrics in enumerate(steps[:seen], start=1):
            saw_all.look(metrics)
            log.append(Step(number=number, metrics=metrics | saw_all.metrics()))
        resumed = only("short_answers", 0.5)
        resumed.catch_up(log)
        assert resumed.metrics() == saw_all.metrics()
        assert events(resumed, *steps[seen:]) == events(saw_all, *steps[seen:])


def test_an_alarm_that_was_never_told_is_told_after_a_resume():
    """The log of a run whose threshold was changed, or that an earlier version began."""
    watch = only("duplicates", 0.5)
    watch.catch_up(Step(number=at, metrics={"proposer/duplicate_share": 0.9}) for at in (1, 2, 3))
    assert events(watch, {"proposer/duplicate_share": 0.9}) == [["duplicates"]]


@pytest.mark.parametrize("run", HEALTHY, ids=lambda run: f"{run['arm']} {run['seed']}")
def test_the_default_thresholds_are_far_from_where_the_measured_runs_of_nano_ended(run):
    """None of these collapsed, those with shuffled rewards included; those paid by their own majority did."""
    end = run["end"]
    assert 1 - end["new"] < RULE["duplicates"].threshold - 0.1
    assert end["distinct_shapes"] > RULE["few_shapes"].threshold + 0.3
    assert 1 - end["mixed"] < RULE["unanimous"].threshold - 0.1  # a unanimous task is not mixed
    assert (
        end["mixed"] > 10 * RULE["nothing_to_learn"].threshold
    )  # every attempt at a mixed task has an advantage


@pytest.mark.parametrize(
    ("gain_low", "told"), [(0.01, []), (0.0, ["long_answers"]), (-0.02, ["long_answers"])]
)
def test_answers_that_grow_while_held_out_accuracy_rises_are_no_alarm(gain_low, told):
    """The gain was measured some steps before, and still counts."""
    measured = {"length/solver": 12.0, "heldout/mean/gain_low": gain_low}
    steps = [{"length/solver": length} for length in (12.0, 45.0)]  # (12 + 45) / 2 of 12: 2.375
    assert events(only("long_answers", 2.0), measured, *steps) == [[], [], told]


def test_a_gain_that_was_measured_before_a_resume_is_known_after_it():
    watch = only("long_answers", 2.0)
    first = {"length/solver": 12.0, "heldout/mean/gain_low": 0.1}
    watch.catch_up(Step(number=at, metrics=metrics) for at, metrics in enumerate([first, first], start=1))
    assert events(watch, {"length/solver": 45.0}, {"length/solver": 45.0}) == [[], []]


def test_an_update_that_was_skipped_is_told_at_once_and_over_with_the_next_that_was_not():
    watch = only("skipped_updates", 0.0, window=10)
    skipped, learned = {"learner/shared/skipped": 1.0}, {"learner/shared/skipped": 0.0}
    assert events(watch, learned, skipped, {}, learned) == [[], ["skipped_updates"], [], [AlarmOver.name]]


@pytest.mark.parametrize("figure", ["weight_max", "grad_norm", "loss"])
def test_numbers_that_explode_are_told_at_once(figure):
    watch = only("huge_numbers", 1000.0, window=10)
    assert events(watch, {f"learner/a/{figure}": 1.0}, {f"learner/b/{figure}": -1e30}) == [
        [],
        ["huge_numbers"],
    ]


def answers(parsed, malformed=None):
    read = {} if malformed is None else {"solver/malformed_share": malformed}
    return {"proposer/induction/proposed": 8.0, "proposer/induction/parsed": float(parsed), **read}


def test_a_policy_that_is_destroyed_after_its_first_step_is_told_at_the_fourth():
    steps = [answers(7, 0.1), answers(0), answers(0), answers(0)]
    assert events(only("unreadable", 0.2, window=10), *steps) == [[], [], [], ["unreadable"]]


def test_a_solver_alone_may_be_destroyed():
    steps = [answers(8, 0.1), answers(8, 0.3), *[answers(8, 1.0)] * 3]
    assert events(only("unreadable", 0.2, window=2), *steps)[-1] == ["unreadable"]


def test_a_model_that_could_hardly_write_a_proposal_at_first_is_not_judged_by_chance():
    assert events(only("unreadable", 0.2), *[answers(1)] * 2, *[answers(0)] * 6) == [[]] * 8
