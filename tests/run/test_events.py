"""Events and their lines: the names on disk stay, and every line reads as the event that was told."""

from typing import get_args

import pytest

from tinyzero.run.events import (
    AlarmBegan,
    AlarmOver,
    Answered,
    CheckpointDamaged,
    Checkpointed,
    Ended,
    Event,
    Imported,
    Measured,
    Measuring,
    Paused,
    Prepared,
    Preparing,
    Reacted,
    Resumed,
    Started,
    events_of,
    start_times,
)
from tinyzero.run.records import append_event, read

NUMBERS = {"value": 0.65, "threshold": 0.5}
LINES = [
    (Started(step=0), {"event": "start", "step": 0}),
    (Started(step=4, changed=("torch",)), {"event": "start", "step": 4, "changed": ["torch"]}),
    (
        Ended(step=9, reason="max_steps", seconds=1.5),
        {"event": "end", "step": 9, "reason": "max_steps", "seconds": 1.5},
    ),
    (
        Checkpointed(step=2, path="p", seconds=0.5),
        {"event": "checkpoint", "step": 2, "path": "p", "seconds": 0.5},
    ),
    (
        CheckpointDamaged(checkpoint="step-000002", damage="x is missing"),
        {"event": "checkpoint_damaged", "checkpoint": "step-000002", "damage": "x is missing"},
    ),
    (Measuring(step=0, tasks=7), {"event": "measuring", "step": 0, "tasks": 7}),
    (
        Measured(step=5, metrics={"heldout/mean/sampled": 0.25}),
        {"event": "measured", "step": 5, "heldout/mean/sampled": 0.25},
    ),
    (
        Answered(step=5, answers=({"id": "a", "answer": "5"},)),
        {"event": "answered", "step": 5, "answers": [{"id": "a", "answer": "5"}]},
    ),
    (
        Preparing(step=0, what="tasks", done=3, total=9),
        {"event": "seeding", "step": 0, "tasks": 3, "wanted": 9, "what": "tasks"},
    ),
    (
        Prepared(step=0, what="questions", done=9),
        {"event": "seeded", "step": 0, "tasks": 9, "what": "questions"},
    ),
    (Paused(step=3), {"event": "paused", "step": 3}),
    (Resumed(step=3), {"event": "resumed", "step": 3}),
    (
        AlarmBegan(step=5, alarm="duplicates", advice="lower it", **NUMBERS),
        {"event": "duplicates", "step": 5, **NUMBERS, "advice": "lower it"},
    ),
    (
        AlarmOver(step=8, alarm="duplicates", **NUMBERS),
        {"event": "alarm_over", "step": 8, "alarm": "duplicates", **NUMBERS},
    ),
    (
        Imported(step=2, tasks=4, source="runs/x"),
        {"event": "imported", "step": 2, "tasks": 4, "from": "runs/x"},
    ),
    (
        Reacted(step=7, alarm="low_entropy", action="stop"),
        {"event": "reacted", "step": 7, "alarm": "low_entropy", "action": "stop"},
    ),
]


def test_every_event_has_a_line_here():
    assert {type(event) for event, _ in LINES} == set(get_args(Event))


@pytest.mark.parametrize(("event", "line"), LINES)
def test_an_event_is_written_under_its_names_with_a_time_and_read_back(tmp_path, event, line):
    append_event(tmp_path / "events.jsonl", event)
    (record,) = read(tmp_path / "events.jsonl")
    assert record.pop("time") > 1.7e9
    assert record == line
    assert events_of([line]) == [event]


def test_a_line_that_tells_of_nothing_known_is_left_out():
    assert events_of([{"event": "out_of_memory", "step": 3}, {"step": 4}, {}]) == []


def test_the_times_of_starts_are_read():
    assert start_times([{"event": "start", "time": 5.0}, {"event": "end", "time": 9.0}]) == [5.0]
