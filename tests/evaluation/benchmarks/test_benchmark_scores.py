"""`tinyzero eval --score`: the figures, against numbers worked out by hand, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tinyzero.cli import run
from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
from tinyzero.evaluation.benchmarks.base import Item, Mark, Trouble
from tinyzero.evaluation.benchmarks.choice import BENCHMARKS
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer, report, wilson_interval
from tinyzero.types import Verdict, VerdictStatus

PUBLISHED = Path(__file__).with_name("published")
TASK = {"id": "a", "kind": "deduction", "program": "def f(a): return a", "inputs": ["1"], "outputs": ["1"]}


@pytest.fixture
def command(capsys, tmp_path):
    """Score lines of answers with the command; returns the exit code and both outputs."""

    def score(bench, *lines, data=PUBLISHED):
        path = tmp_path / "answers.jsonl"
        path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
        options = ["--data", str(data)] if data else []
        code = run(["eval", "--score", str(path), "--bench", bench, "--json", *options])
        return code, *capsys.readouterr()

    return score


def graded(task, is_right, answer="", trouble=None, **by):
    status = VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG
    written = WrittenAnswer(item=Item(id=task, fields={}), text=answer)
    return GradedAnswer(
        answer=written, mark=Mark(verdict=Verdict(status=status, answer=answer), trouble=trouble, by=by)
    )


def test_figures_worked_out_by_hand():
    """Task a: 1 of 4 right, and the right answer is rare; task b: 3 of 4, by majority."""
    of_a = [
        graded("a", right, answer)
        for right, answer in [(True, "1"), (False, "2"), (False, "2"), (False, "3")]
    ]
    of_b = [
        graded("b", right, answer) for right, answer in [(True, "1"), (True, "1"), (True, "1"), (False, "2")]
    ]
    figures = report(BENCHMARKS["gsm8k"], [*of_a, *of_b])
    assert figures["accuracy"] == pytest.approx((1 / 4 + 3 / 4) / 2)
    # pass@2 of a: 1 - C(3,2)/C(4,2) = 1/2; of b: 1 - C(1,2)/C(4,2) = 1
    assert figures["pass@2"] == pytest.approx(3 / 4)
    assert figures["pass@1"] == pytest.approx(1 / 2)
    assert figures["pass@4"] == 1.0
    assert figures["maj@4"] == 0.5
    assert (figures["tasks"], figures["answers"], figures["samples"]) == (2, 8, 4)


def test_troubles_and_other_definitions_are_counted_apart():
    figures = report(
        BENCHMARKS["cruxeval-o"],
        [
            graded("a", True, official=True, strict=False),
            graded("b", False, trouble=Trouble.TIMED_OUT, official=False, strict=False),
            graded("c", False, trouble=Trouble.NOT_COMPARED, official=False, strict=False),
        ],
    )
    assert (figures["num_timed_out"], figures["num_not_compared"]) == (1, 1)
    assert (figures["accuracy_official"], figures["accuracy_strict"]) == (pytest.approx(1 / 3), 0)
    assert "pass@1" not in figures


def test_the_interval_of_single_answers_is_wilson_s():
    assert wilson_interval(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson_interval(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)


def test_several_samples_of_a_task_are_several_lines(command):
    code, out, _ = command(
        "gsm8k",
        {"id": "gsm8k/0", "completion": "It is \\boxed{18}"},
        {"task_id": 0, "completion": "<think>It is 18", "finish_reason": "length"},
        {"id": 1, "answer": 70000},
        {"id": 1, "answer": "7"},
    )
    figures = json.loads(out)
    assert code == 0
    assert (figures["accuracy"], figures["pass@2"], figures["tasks"], figures["tasks_in_set"]) == (
        0.5,
        1,
        2,
        3,
    )
    assert (figures["num_truncated"], figures["num_unparsed"]) == (1, 1)
    assert figures["seconds"] > 0


def test_a_bare_answer_to_a_mathematical_question_needs_no_box(command):
    _, out, _ = command("math500", {"id": "test/own/1.json", "answer": "0.5"})
    assert json.loads(out)["accuracy"] == 1


def test_a_file_of_tasks_of_one_s_own(command, tmp_path):
    tasks = tmp_path / "mine.jsonl"
    tasks.write_text(json.dumps(TASK) + "\n" + json.dumps({**TASK, "id": "b"}) + "\n")
    code, out, _ = command(
        str(tasks), {"id": "a", "completion": "```output\n1\n```"}, {"id": "b", "answer": "2"}, data=None
    )
    assert (code, json.loads(out)["accuracy"]) == (0, 0.5)


def test_an_input_on_which_one_s_own_program_never_ends_is_timed_out(command, tmp_path):
    tasks = tmp_path / "mine.jsonl"
    endless = {**TASK, "kind": "abduction", "program": "def f(a):\n    while a > 1: pass\n    return a"}
    tasks.write_text(json.dumps(endless) + "\n")
    _, out, _ = command(str(tasks), {"id": "a", "answer": "1"}, {"id": "a", "answer": "2"}, data=None)
    assert (json.loads(out)["accuracy"], json.loads(out)["num_timed_out"]) == (0.5, 1)


GOOD = {"id": "sample_0", "completion": "1"}


@pytest.mark.parametrize(
    ("bench", "lines", "data", "words"),
    [
        ("cruxeval-x", [GOOD], PUBLISHED, "no benchmark is called cruxeval-x; did you mean cruxeval-"),
        ("nowhere.jsonl", [GOOD], PUBLISHED, "there is no file nowhere.jsonl"),
        ("cruxeval-o", [GOOD], None, "give its folder with --data DIR; it is published as facebookresearch"),
        (
            "cruxeval-o",
            [GOOD],
            PUBLISHED / "gsm8k",
            "has no file cruxeval.jsonl for cruxeval-o; put it there",
        ),
        ("cruxeval-o", [GOOD], PUBLISHED / "nothing", "is no folder and no file"),
        ("cruxeval-o", [GOOD], PUBLISHED / "gsm8k/test.jsonl", "is no task of cruxeval-o (take the file of"),
        ("gsm8k", [GOOD], PUBLISHED / "cruxeval.jsonl", "it has no field 'question'"),
        ("cruxeval-o,gsm8k", [GOOD], PUBLISHED, "takes answers to a single benchmark"),
        ("cruxeval-o", ["{"], PUBLISHED, "line 1 of"),
        ("cruxeval-o", ["[1]\n"], PUBLISHED, "is no JSON object"),
        ("cruxeval-o", [], PUBLISHED, "holds no answer"),
        ("cruxeval-o", [{"completion": "1"}], PUBLISHED, 'has no id; a line is {"id": "sample_'),
        ("cruxeval-o", [{"id": "sample_0"}], PUBLISHED, "has no completion"),
        ("cruxeval-o", [{"id": "sample_0", "answer": ["1"]}], PUBLISHED, "several samples are several lines"),
        ("cruxeval-o", [{"id": "x", "answer": "1"}], PUBLISHED, "cruxeval-o has no task x"),
    ],
)
def test_refusals_are_one_line_that_says_what_to_do(command, bench, lines, data, words):
    code, out, err = command(bench, *lines, data=data)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_scoring_imports_no_torch(tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"id": "gsm8k/0", "completion": "18"}))
    program = (
        "import sys; from tinyzero.cli import run; "
        f"options = ['--score', {str(answers)!r}, '--bench', 'gsm8k', '--data', {str(PUBLISHED)!r}]; "
        "code = run(['eval', *options]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy      1.000" in done.stdout
