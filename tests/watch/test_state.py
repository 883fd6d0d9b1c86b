"""From records to a state: what is expected gets in, what is not is left out, and nothing raises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import made_state, metrics, sample, task

from tinyzero.run.events import Started
from tinyzero.run.lines import comparison_of
from tinyzero.watch.state import News, RunState, fold

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["step", "id", "event", "verdict", "rejection", "inputs", "reward", "a/b", "rows", "time"]
)
event_names = st.sampled_from(["start", "measured", "seeding", "alarm_over", "duplicates"])
records = st.lists(st.dictionaries(names, json_values, max_size=5), max_size=3)


@given(lines=records)
def test_no_record_however_wrong_stops_a_view(lines):
    state = fold(RunState(), News(metrics=lines, samples=lines, tasks=lines, events=lines))
    assert len(state.samples) == len(lines) >= len(state.events)
    for line in lines:
        comparison_of(line)


@given(lines=records, event=event_names)
def test_every_line_of_a_known_event_is_one_however_wrong_its_values(lines, event):
    told = [{**line, "event": event, "advice": "x"} for line in lines]
    assert len(fold(RunState(), News(events=told)).events) == len(lines)


def test_figures_that_are_no_numbers_are_left_out():
    state = fold(
        RunState(), News(metrics=[{"step": 1, "a": 1, "b": None, "c": "2", "d": True, "e": 10**400}])
    )
    assert state.metrics == {"a": 1.0}


def test_steps_that_are_played_again_take_the_place_of_the_old_ones():
    state = fold(made_state(5), News(metrics=[metrics(4)]))
    assert [step.number for step in state.steps] == [1, 2, 3, 4]


def test_a_state_until_a_step_knows_nothing_of_later_ones():
    events = [{"event": "alarm", "step": 4, "advice": "x"}, {"event": "end", "step": 2}]
    state = made_state(5, events=events).until(3)
    assert state.step == 3
    assert [sample.step for sample in state.samples] == [1, 2, 3]
    assert [type(event) for event in state.events] == [Started]


def test_a_live_state_forgets_old_samples_and_a_whole_one_does_not():
    news = News(samples=[sample(step) for step in range(1000)])
    assert len(fold(RunState(), news).samples) == 300
    assert len(fold(RunState(), news, keep_all=True).samples) == 1000


def test_a_sample_says_what_became_of_it():
    refused = sample(1, verdict=None, rejection={"stage": "ran", "detail": "TypeError"}, role="proposer")
    made = sample(1, verdict=None, role="proposer", prefill="def ", completion="f")
    state = fold(RunState(), News(samples=[sample(1), refused, made]))
    assert [one.status for one in state.samples] == ["correct", "ran", "task"]
    assert state.samples[1].detail == "TypeError"
    assert state.samples[2].answer == "def f"


def test_kinds_are_those_asked_for_and_those_played():
    state = fold(
        RunState(), News(metrics=[{"step": 1, "solver/riddle/accuracy": 0.5, "solver/accuracy": 0.5}])
    )
    assert state.kinds == ("riddle",)
    assert made_state(1).kinds == ("deduction", "abduction", "induction")


def test_the_newest_record_of_a_task_counts():
    state = fold(RunState(), News(tasks=[task(1, name="a", rate=None), task(2, name="a", rate=0.5)]))
    assert state.tasks["a"].solve_rate == 0.5


ROW = {"name": "mean", "decoding": "sampled", "tasks": 300, "before": 0.1, "after": 0.2, "difference": 0.1,
       "low": 0.05, "high": 0.15}  # fmt: skip


def test_a_comparison_keeps_the_rows_that_are_whole():
    found = comparison_of({"set": "s", "attempts": 8, "step": 90, "rows": [ROW, {**ROW, "low": None}, 3]})
    assert found is not None
    assert [row.name for row in found.rows] == ["mean"]
    assert (found.set_name, found.attempts, found.step) == ("s", 8, 90)


@pytest.mark.parametrize("record", [{}, {"rows": []}, {"rows": "x"}, {"rows": [{}]}])
def test_a_comparison_without_rows_is_none(record):
    assert comparison_of(record) is None


def test_a_live_view_keeps_a_bounded_number_of_steps_that_stand_for_all():
    state, largest = RunState(), 0
    for start in range(1, 30_001, 500):
        lines = [
            {
                "step": step,
                "solver/accuracy": 0.5,
                **({"heldout/mean/sampled": 0.1} if step % 500 == 1 else {}),
            }
            for step in range(start, start + 500)
        ]
        state = fold(state, News(metrics=lines))
        largest = max(largest, len(state.steps))
    numbers = [step.number for step in state.steps]
    assert 10_000 < largest <= 12_000
    assert numbers == sorted(set(numbers))
    assert numbers[:20] == list(range(1, 21))
    assert numbers[-1000:] == list(range(29_001, 30_001))
    assert {step for step in range(1, 30_001) if step % 500 == 1} <= set(numbers)
    assert sum(step.span for step in state.steps) == 30_000


def test_a_view_of_all_keeps_every_step_and_a_cut_run_goes_on_from_its_cut():
    lines = [{"step": step, "a/b": 1.0} for step in range(1, 13_001)]
    assert len(fold(RunState(), News(metrics=lines), keep_all=True).steps) == 13_000
    state = fold(fold(RunState(), News(metrics=lines)), News(metrics=[{"step": 21, "a/b": 2.0}]))
    assert (state.step, state.metrics, len(state.steps)) == (21, {"a/b": 2.0}, 21)
