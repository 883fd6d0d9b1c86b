"""Held-out accuracy before and now: which measurements are compared, and what is said about them."""

import pytest
from made import CONFIG, made_state, metrics

from tinyzero.run.lines import comparison_of
from tinyzero.watch.heldout import Gain, coach, gain, verdict
from tinyzero.watch.state import News, fold

ROW = {"name": "mean", "decoding": "sampled", "tasks": 300, "before": 0.15, "after": 0.25,
       "difference": 0.1, "low": 0.04, "high": 0.16}  # fmt: skip


def measured(step, accuracy, low=None):
    line = {"event": "measured", "step": step, "heldout/mean/sampled": accuracy}
    return line if low is None else {**line, "heldout/mean/gain_low": low}


def state_with(*events, steps=30, **fields):
    return made_state(steps, events=events, **fields)


@pytest.mark.parametrize(
    ("low", "high", "noise"),
    [(0.01, 0.2, "above noise"), (-0.01, 0.2, "within noise"), (-0.2, -0.01, "below noise"),
     (0.0, 0.1, "within noise"), (None, None, "no interval")],
)  # fmt: skip
def test_a_difference_is_above_noise_if_its_interval_is_above_zero(low, high, noise):
    assert Gain(before=0.1, now=0.2, step=10, low=low, high=high).noise == noise


def test_the_newest_measurement_is_compared_with_the_first():
    known = gain(state_with(measured(0, 0.15), measured(10, 0.2, 0.01), measured(20, 0.25, 0.04)))
    assert known == Gain(before=0.15, now=0.25, step=20, low=0.04, high=pytest.approx(0.16))


def test_a_measurement_is_taken_from_the_steps_too_and_from_the_table_of_the_same_step():
    line = {**metrics(30), "heldout/mean/sampled": 0.3, "heldout/mean/gain_low": 0.1}
    state = fold(state_with(measured(0, 0.15), steps=29), News(metrics=[line]))
    assert gain(state).now == 0.3
    table = comparison_of({"set": "s", "step": 30, "rows": [ROW]})
    assert gain(state_with(measured(30, 0.3, 0.1), comparison=table)).high == 0.16
    assert gain(state_with(measured(0, 0.1), measured(40, 0.3, 0.1), comparison=table)).step == 40


def test_a_measurement_of_lost_steps_does_not_count():
    start = {"event": "start", "step": 10}
    state = state_with(measured(0, 0.15), measured(10, 0.2, 0.01), measured(20, 0.9, 0.7), start, steps=12)
    assert gain(state).step == 10


def test_a_run_that_is_measured_anew_on_other_tasks_begins_anew():
    state = state_with(
        measured(0, 0.15), measured(10, 0.3, 0.1), measured(20, 0.6), measured(30, 0.65, -0.01)
    )
    known = gain(state)
    assert (known.since, known.before, known.noise) == (20, 0.6, "within noise")


def test_a_run_without_intervals_says_so():
    known = gain(state_with(measured(0, 0.15), measured(10, 0.3), measured(20, 0.4)))
    assert (known.since, known.now, known.noise) == (0, 0.4, "no interval")
    assert verdict(known).startswith("The run has no interval that says whether this is noise: held-out")


def test_the_verdict_has_the_figures():
    known = Gain(before=0.15, now=0.25, step=30, low=0.04, high=0.16)
    assert verdict(known) == (
        "Learned: better at tasks that it never saw, above noise: held-out accuracy 0.150 before, "
        "0.250 after 30 steps (+0.100, 95 % +0.040 to +0.160)."
    )
    assert verdict(None).startswith("Not measured on held-out tasks")
    assert verdict(gain(state_with(measured(0, 0.15)))).startswith("Not measured on held-out tasks")


def test_before_there_is_a_gain_the_coach_says_when_it_is_measured():
    config = {**CONFIG, "evaluation": {"heldout": "nano", "every_steps": 10}}
    once = state_with(measured(0, 0.15), steps=3, config=config)
    assert coach(once)[0] == "Held-out accuracy has one value so far; the next comes at step 10."
    never = {**CONFIG, "evaluation": {"heldout": "none"}}
    assert coach(state_with(steps=3, config=never))[0].startswith(
        'Not measured: evaluation.heldout is "none"'
    )
    assert coach(state_with(steps=3, is_running=False))[-1] == "Not measured twice."


def test_every_sentence_of_the_coach_has_a_length_for_forty_columns():
    states = [
        state_with(measured(0, 0.15), measured(10, now, low), is_running=is_running)
        for now, low in ((0.3, 0.1), (0.16, -0.1), (0.05, -0.12), (0.3, None))
        for is_running in (True, False)
    ]
    assert all(min(map(len, coach(state))) < 40 for state in [*states, state_with(), state_with(steps=0)])
