"""Tasks to JSON and back."""

import json

import pytest

from tinyzero.tasks.records import from_record, to_record
from tinyzero.types import Task

TASK = Task(id="1", kind="deduction", program="def f(a): return a", inputs=("1",), outputs=("1",), step=3)


def test_a_task_comes_back_from_json_the_same():
    assert from_record(json.loads(json.dumps(to_record(TASK)))) == TASK


def test_a_key_that_is_no_field_is_passed_over_and_defaults_may_be_left_out():
    record = {"id": "1", "kind": "k", "program": "p", "inputs": ["1"], "outputs": ["2"], "solve_rate": 0.5}
    assert from_record(record) == Task(id="1", kind="k", program="p", inputs=("1",), outputs=("2",))


@pytest.mark.parametrize(
    "change",
    [{"id": 1}, {"inputs": "1"}, {"outputs": [1]}, {"parents": None}, {"step": "x"}, {"message": []}],
)
def test_a_field_of_the_wrong_type_is_refused(change):
    with pytest.raises(ValueError, match="wrong type"):
        from_record({**json.loads(json.dumps(to_record(TASK))), **change})


def test_a_missing_field_is_named():
    with pytest.raises(ValueError, match="program"):
        from_record({"id": "1", "kind": "k", "inputs": [], "outputs": []})


@pytest.mark.parametrize("record", [[], "x", 1, None])
def test_what_is_no_object_is_refused(record):
    with pytest.raises(ValueError, match="not a JSON object"):
        from_record(record)
