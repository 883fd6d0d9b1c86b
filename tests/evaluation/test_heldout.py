"""Finding and reading sets of held-out tasks."""

import json
from collections import Counter

import pytest

from tinyzero.config import resolve_base
from tinyzero.errors import ConfigError
from tinyzero.evaluation.heldout import HeldOutTask, find_set, read_set, spread
from tinyzero.execution import Executor
from tinyzero.execution.values import parse_literal, same
from tinyzero.games.choice import ALL_KINDS
from tinyzero.tasks import KINDS
from tinyzero.tasks.judging import judge_answers
from tinyzero.types import Task

RECORD = {"id": "a", "kind": "deduction", "program": "def f(a): return a", "inputs": ["1"], "outputs": ["1"]}


@pytest.fixture
def write(tmp_path):
    def write(*records, name="set.jsonl"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return path

    return write


def test_nano_names_nano_s_set_for_any_model_and_none_means_none(write):
    beside = write(RECORD, name="nano/heldout.jsonl")
    assert find_set("nano", str(beside.parent)) == beside
    assert find_set(None, str(beside.parent)) is None


def test_gsm8k_ships_with_the_package_and_its_answers_are_numbers():
    held_out = read_set(find_set("gsm8k", "nano"), ALL_KINDS)
    assert (held_out.name, len(held_out.tasks)) == ("gsm8k", 200)
    for item in held_out.tasks:
        (answer,) = item.task.outputs
        float(answer.replace(",", ""))
        assert ALL_KINDS["question"].grade(item.task, f"\\boxed{{{answer}}}").is_correct
        assert not ALL_KINDS["question"].grade(item.task, f"\\boxed{{{answer}1}}").is_correct


@pytest.fixture(scope="module")
def cruxeval():
    return [item.task for item in read_set(find_set("cruxeval", "nano"), KINDS).tasks]


def test_the_set_for_real_models_has_all_kinds_and_no_program_twice_or_of_nanos(cruxeval):
    counts = Counter(task.kind for task in cruxeval)
    assert counts == {"deduction": 150, "abduction": 150, "induction": 100}
    assert len({task.program for task in cruxeval}) == len(cruxeval)
    nano = read_set(find_set("nano", resolve_base("nano")), KINDS)
    assert not {task.shape for task in cruxeval} & {item.task.shape for item in nano.tasks}


def test_the_outputs_of_the_set_for_real_models_are_those_of_the_executor(cruxeval):
    chosen = cruxeval[::8]
    with Executor() as executor:
        runs = [executor.run(task.program, list(task.inputs), check_determinism=True) for task in chosen]
    for task, executions in zip(chosen, runs, strict=True):
        outputs = [parse_literal(text) for text in task.outputs]
        assert all(same(run.value, output) for run, output in zip(executions, outputs, strict=True))


def test_the_right_answer_to_a_task_for_real_models_is_right_and_its_prompt_fits_small_contexts(cruxeval):
    def right(task):
        answers = {"deduction": task.outputs[0], "abduction": task.inputs[0], "induction": task.program}
        return KINDS[task.kind].render_answer(task, answers[task.kind], "full")

    chosen = cruxeval[::8]
    with Executor() as executor:
        texts = [[right(task)] for task in chosen]
        verdicts = judge_answers(chosen, texts, kinds=KINDS, runner=executor)
    assert all(verdict.is_correct for (verdict,) in verdicts)
    assert max(len(KINDS[task.kind].solve_prompt(task, "full").text) for task in cruxeval) < 900


def test_a_file_that_is_not_there_is_a_clear_error():
    with pytest.raises(ConfigError, match=r"evaluation.heldout is 'mine.jsonl', but there is no such file"):
        find_set("mine.jsonl", "nano")


def test_tasks_count_in_the_row_of_their_kind_or_of_their_stratum(write):
    path = write(RECORD, RECORD | {"id": "b", "stratum": "longer programs"}, name="nano/heldout.jsonl")
    held_out = read_set(path, {"deduction": None})
    assert held_out.name == "nano-heldout"
    assert [item.row for item in held_out.tasks] == ["deduction", "longer programs"]


@pytest.mark.parametrize(
    ("records", "complaint"),
    [
        ([RECORD, RECORD], "line 2: another task has the id a"),
        ([RECORD | {"kind": "poetry"}], "line 1: 'poetry' is not a kind; the kinds are deduction"),
        ([[]], "line 1: not a JSON object"),
        ([RECORD | {"stratum": 3}], "line 1: stratum is no text"),
        ([RECORD | {"outputs": []}], "line 1: it has no output"),
        ([RECORD | {"inputs": []}], "line 1: it has 0 inputs and 1 outputs, and needs one of each"),
        ([RECORD | {"inputs": ["1", "2", "3"]}], "line 1: it has 3 inputs"),
        ([RECORD | {"outputs": ["f("]}], "line 1: its output 'f\\(' is not a literal"),
        ([], "holds no task"),
    ],
)
def test_a_bad_set_is_one_line_that_says_where(write, records, complaint):
    with pytest.raises(ConfigError, match=complaint):
        read_set(write(*records), {"deduction": None})


def test_a_part_of_a_set_has_each_rows_share_and_is_always_the_same():
    tasks = [item(f"d{number}", "deduction") for number in range(80)]
    tasks += [item(f"a{number}", "abduction") for number in range(40)]
    tasks += [item("x", "abduction", "longer")]
    part = spread(tasks, 60)
    # 60 of 121: 40 of 80, 20 of 40, and one of a row that has half of one.
    assert Counter(one.row for one in part) == {"deduction": 40, "abduction": 20, "longer": 1}
    assert len({one.task.id for one in part}) == 61
    assert part == spread(tasks, 60)
    assert [one for one in tasks if one in part] == list(part)
    lengths = Counter(int(one.task.id[1:]) % 4 for one in part if one.row == "deduction")
    assert min(lengths.values()) >= 5  # a file whose lengths take turns gives some of each
    assert spread(tasks, 121) == spread(tasks, 999) == spread(tasks, None) == tasks


def item(name, kind, stratum=""):
    task = Task(id=name, kind=kind, program="", inputs=(), outputs=())
    return HeldOutTask(task=task, stratum=stratum)
