"""The tasks of a run as a data set that `datasets` opens."""

import json

import pytest
from made import task

from tinyzero.errors import ExportError
from tinyzero.export.dataset import export_tasks

TASK = json.dumps(task(1))


def test_the_data_set_holds_every_task_and_says_how_it_was_made(nano_run, tmp_path):
    folder, base, is_new = export_tasks(nano_run, tmp_path / "tasks")
    assert (base.name, is_new) == ("nano", True)
    rows = [json.loads(line) for line in (folder / "tasks.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["solve_rate"]) for row in rows] == [("deduction", 0.25), ("abduction", None)]
    card = (folder / "README.md").read_text()
    assert "license: apache-2.0" in card
    assert "| abduction | 1 | 1 | - | - | - |" in card
    assert "| deduction | 1 | 1 | 0.25 | 0% | 0% |" in card


def test_a_task_that_stands_in_the_log_twice_is_one_row(nano_run, tmp_path):
    first, _ = nano_run.tasks.read_text().splitlines(keepends=True)
    with nano_run.tasks.open("a") as file:
        file.write(first)
    folder, _, _ = export_tasks(nano_run, tmp_path / "tasks")
    assert len((folder / "tasks.jsonl").read_text().splitlines()) == 2


def test_datasets_opens_the_folder(nano_run, tmp_path):
    from datasets import load_dataset

    folder, _, _ = export_tasks(nano_run, tmp_path / "tasks")
    loaded = load_dataset("json", data_files=str(folder / "tasks.jsonl"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"][0]["program"] == "def f(x):\n    return x + 1"
    assert loaded["train"].num_rows == 2


def test_an_earlier_export_is_taken_again(nano_run):
    folder, _, is_new = export_tasks(nano_run, reuse=True)
    assert (folder.name, is_new) == ("tasks-step-000002", True)
    assert export_tasks(nano_run, reuse=True)[2] is False


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"kind": "x"}',
        TASK.replace('"step": 1', '"step": "1"'),
        TASK.replace('"inputs": [', '"inputs": [3, '),
        TASK.replace('"attempts": 8', '"attempts": -8'),
        TASK.replace('"solve_rate": 0.25', '"solve_rate": 25'),
        TASK.replace('"kind": "deduction"', '"kind": "a | b"'),
        TASK.replace('"program"', '"programme"'),
    ],
)
def test_a_line_that_is_no_task_is_named(nano_run, tmp_path, line):
    with nano_run.tasks.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ExportError, match=r"line 3 of .* is no task"):
        export_tasks(nano_run, tmp_path / "tasks")
    assert not (tmp_path / "tasks").exists()


def test_a_run_without_tasks(nano_run, tmp_path):
    nano_run.tasks.write_text("")
    with pytest.raises(ExportError, match="has verified no task yet"):
        export_tasks(nano_run, tmp_path / "tasks")
