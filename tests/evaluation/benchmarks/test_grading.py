"""What an answer to a benchmark is worth: canonical and mutated solutions, and the traps of each set."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ConfigError
from tinyzero.evaluation.benchmarks.base import Tools, Trouble
from tinyzero.evaluation.benchmarks.choice import BENCHMARKS, open_benchmark
from tinyzero.evaluation.benchmarks.code_tests import humaneval_plus
from tinyzero.execution import Executor
from tinyzero.games.choice import ALL_KINDS
from tinyzero.games.r_zero.equivalence.comparer import AnswerComparer

PUBLISHED = Path(__file__).with_name("published")


@pytest.fixture(scope="module")
def tools() -> Iterator[Tools]:
    with Executor(ExecutionConfig(cpu_s=3.0)) as executor, AnswerComparer() as comparer:
        yield Tools(runner=executor, comparer=comparer, kinds=ALL_KINDS)


@pytest.fixture
def grade(tools):
    """(benchmark, task id, answer) -> mark."""

    def grade(name, task, text):
        benchmark, items, _ = open_benchmark(name, PUBLISHED, ALL_KINDS)
        (item,) = [item for item in items if item.id == task]
        return benchmark.grade([(item, text)], tools)[0]

    return grade


@pytest.mark.parametrize("name", BENCHMARKS)
def test_canonical_solutions_are_correct_and_those_of_other_tasks_are_not(name, tools):
    benchmark, items, _ = open_benchmark(name, PUBLISHED, ALL_KINDS)
    canonical = [benchmark.canonical(item) for item in items]
    right = benchmark.grade(list(zip(items, canonical, strict=True)), tools)
    assert [mark.verdict.is_correct for mark in right] == [True] * len(items)
    if "eval-i" not in name:  # any input that gives the output counts
        foreign = benchmark.grade(list(zip(items, canonical[1:] + canonical[:1], strict=True)), tools)
        assert [mark.verdict.is_correct for mark in foreign] == [False] * len(items)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_an_unclosed_thought_is_no_answer(name, tools):
    benchmark, items, _ = open_benchmark(name, PUBLISHED, ALL_KINDS)
    texts = [f"<think>{benchmark.canonical(item)}" for item in items]
    marks = benchmark.grade(list(zip(items, texts, strict=True)), tools)
    assert {mark.verdict.status for mark in marks} == {"malformed"}
    closed = [f"<think>it is 7, f(1) == 2</think>{benchmark.canonical(item)}" for item in items]
    marks = benchmark.grade(list(zip(items, closed, strict=True)), tools)
    assert all(mark.verdict.is_correct for mark in marks)


@pytest.mark.parametrize(
    ("name", "style", "digest"),
    [
        ("cruxeval-o", "direct", "90e335aea5408079"),
        ("cruxeval-o", "full", "940bc7e904960cf6"),
        ("cruxeval-i", "direct", "953438ca5b2b7565"),
        ("cruxeval-i", "full", "82e17f0e12b6a754"),
    ],
)
def test_the_prompts_of_cruxeval_are_those_of_its_repository(name, style, digest):
    """Digests of what its prompts.py makes of the first task."""
    benchmark, items, _ = open_benchmark(name, PUBLISHED, ALL_KINDS)
    prompt = benchmark.prompt(items[0], style)
    assert sha256(f"{prompt.text}{prompt.prefill}".encode()).hexdigest()[:16] == digest


def test_prompts_hold_no_answer_and_begin_no_answer_that_may_think():
    for name in ("humaneval+", "mbpp+", "gsm8k", "math500"):
        benchmark, items, _ = open_benchmark(name, PUBLISHED, ALL_KINDS)
        for item in items:
            prompt = benchmark.prompt(item, "full")
            assert prompt.prefill == ""
            assert prompt.reasons
            assert benchmark.canonical(item).strip() not in prompt.text


CALL = "f([1, 1, 3, 1, 3, 1])"
OUTPUT = "[(4, 1), (4, 1), (4, 1), (4, 1), (2, 3), (2, 3)]"


@pytest.mark.parametrize(
    ("answer", "official", "strict"),
    [
        (OUTPUT, True, True),
        (f"[ANSWER]\nassert {CALL} == {OUTPUT}\n[/ANSWER]", True, True),
        (f"assert {CALL} == {OUTPUT}\n[/ANSWER]\n\n[PYTHON]\n[ANSWER]\nassert f(2) == 3", True, True),
        (f"[THOUGHT]\nIt == 3\n[/THOUGHT]\n[ANSWER]\nassert {CALL} == {OUTPUT} # done", True, True),
        (f"```python\nassert {CALL} == {OUTPUT}\n```", True, True),
        (OUTPUT.replace("4", "4.0"), True, False),
        (f"assert {CALL} == [(4, 1)] * 4 + [(2, 3)] * 2", True, False),
        (f"assert {CALL} == {CALL}", False, False),
        (f"assert {CALL} == 1 or True", False, False),
        (f"assert {CALL} == 1) or (True", False, False),
        (OUTPUT.replace("(2, 3)", "[2, 3]"), False, False),
    ],
)  # fmt: skip
def test_outputs_by_the_official_comparison_and_by_ours(grade, answer, official, strict):
    mark = grade("cruxeval-o", "sample_0", answer)
    assert mark.by == {"official": official, "strict": strict}
    assert mark.verdict.is_correct == official


def test_an_output_with_two_equals_signs_is_read_to_its_end(grade):
    text = "assert f('PYTHON == a', '') == 'x == y'"
    assert grade("cruxeval-o", "sample_16", text).verdict.answer == "'x == y'"


@pytest.mark.parametrize(
    ("answer", "is_right"),
    [
        (f"assert f([3, 1, 1, 3, 1, 1]) == {OUTPUT}", True),  # another input with the same output
        ("f([1, 1, 3, 1, 3, 1])", True),
        ("[1] * 2 + [3, 1, 3, 1]", True),
        ("f(sorted([3, 3, 1, 1, 1, 1]))", True),
        (f"assert f([1]) == {OUTPUT}", False),
        ("f(globals().update(len=3))", False),
        ("f([1])) or f(([2]", False),
    ],
)
def test_any_input_with_the_output_counts_and_it_may_be_an_expression(grade, answer, is_right):
    assert grade("cruxeval-i", "sample_0", answer).by == {"official": is_right, "strict": is_right}


def test_an_expression_may_not_change_what_the_function_sees(grade):
    attack = "f([(lambda: __builtins__.__setitem__('sorted', None))(), 1])"
    assert grade("cruxeval-i", "sample_0", attack).verdict.status == "malformed"


FIND_ZERO = """\
Here it is:
```python
def find_zero(xs):
    low, high = -1000.0, 1000.0
    while poly(xs, low) * poly(xs, high) > 0:
        low, high = 2 * low, 2 * high
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if poly(xs, low) * poly(xs, middle) > 0 else (low, middle)
    return low
```
Any root will do. For example:
```python
print(find_zero([1, 2]))
```"""


def test_any_root_counts_and_the_helpers_of_the_prompt_are_there(grade):
    assert grade("humaneval+", "HumanEval/32", FIND_ZERO).verdict.is_correct
    assert not grade(
        "humaneval+", "HumanEval/32", FIND_ZERO.replace("return low", "return low + 1")
    ).verdict.is_correct


def test_a_program_that_passes_the_base_tests_alone_is_wrong(grade):
    """The plus tests are run."""
    program = "def is_not_prime(n):\n    return n not in (2, 37)\n"
    mark = grade("mbpp+", "Mbpp/3", program)
    assert (mark.verdict.is_correct, dict(mark.by)) == (False, {"base": True, "plus": False})


PADDED_DISTANCE = """\
def digit_distance_nums(a, b):
    width = max(len(str(a)), len(str(b)))
    return sum(abs(int(x) - int(y)) for x, y in zip(str(a).zfill(width), str(b).zfill(width)))
"""


@pytest.mark.parametrize(
    ("task", "program", "is_right"),
    [
        ("Mbpp/2", "def similar_elements(a, b):\n    return sorted(set(a) & set(b), reverse=True)", True),
        ("Mbpp/2", "def similar_elements(a, b):\n    return a", False),
        ("Mbpp/88", "def freq_count(items):\n    return {i: items.count(i) for i in items}", True),
        ("Mbpp/558", PADDED_DISTANCE, True),
        ("Mbpp/558", PADDED_DISTANCE.replace("zfill", "ljust"), False),
        ("Mbpp/787", "def text_match_three(text):\n    return 'abbb' in text", True),
        ("Mbpp/787", "import re\ndef text_match_three(text):\n    return re.search('ab{3}', text)", True),
        ("Mbpp/787", "def text_match_three(text):\n    return None", False),
    ],
)
def test_the_special_oracles_of_evalplus(grade, task, program, is_right):
    assert grade("mbpp+", task, program).verdict.is_correct == is_right


@pytest.mark.parametrize(
    "program",
    [
        "class Any:\n    def __eq__(self, other): return True\ndef truncate_number(number): return Any()",
        "class F(float):\n    def __eq__(self, o): return True\ndef truncate_number(number): return F(7.0)",
        "import gc\ndef truncate_number(number): return gc.get_objects()",
        "import sys\ndef truncate_number(number): sys.modules['program'].f = lambda: [[0.5]] * 3\n",
        "def truncate_number(number): raise SystemExit",
    ],
)
def test_a_program_cannot_talk_the_judge_into_anything(grade, program):
    assert not grade("humaneval+", "HumanEval/2", program).verdict.is_correct


@pytest.mark.slow
def test_endless_programs_are_wrong_and_counted_apart(grade):
    mark = grade("humaneval+", "HumanEval/2", "def truncate_number(number):\n    while True: pass")
    assert (mark.verdict.status, mark.trouble) == ("wrong", Trouble.TIMED_OUT)


def test_floats_may_differ_by_the_tolerance_and_ints_may_not(grade):
    near = "def truncate_number(number):\n    return number % 1 + {}"
    assert grade("humaneval+", "HumanEval/2", near.format("1e-8")).verdict.is_correct
    assert not grade("humaneval+", "HumanEval/2", near.format("1e-4")).verdict.is_correct


def test_long_outputs_are_compared_by_digest(grade):
    program = "def all_prefixes(string):\n    return [string[:k + 1] for k in range(len(string))]"
    assert grade("humaneval+", "HumanEval/14", program).verdict.is_correct
    wrong = program.replace("return", "return [] if len(string) > 30 else")
    assert dict(grade("humaneval+", "HumanEval/14", wrong).by) == {"base": True, "plus": False}


class Recorder:
    """Remembers what the programs of answers could have seen."""

    def __init__(self, executor):
        self.executor, self.jobs = executor, []

    def run_jobs(self, jobs):
        self.jobs += jobs
        return self.executor.run_jobs(jobs)


def test_the_reference_solution_is_in_no_process_of_an_answer(tools):
    recorder = Recorder(tools.runner)
    _, items, _ = open_benchmark("humaneval+", PUBLISHED, ALL_KINDS)
    (item,) = [item for item in items if item.id == "HumanEval/14"]
    humaneval_plus().grade(
        [(item, "    return mark(string)\n")], Tools(runner=recorder, comparer=tools.comparer, kinds={})
    )
    of_answer = [job.program for job in recorder.jobs if "mark(string)" in job.program]
    of_reference = [job.program for job in recorder.jobs if "mark(string)" not in job.program]
    line = item.fields["canonical_solution"].strip().splitlines()[0]
    assert of_answer
    assert not any(line in program for program in of_answer)
    assert all(line in program for program in of_reference)


@pytest.mark.parametrize(
    ("answer", "is_right", "boxed", "last"),
    [
        ("So \\boxed{18} dollars, in 2 days.", True, True, False),
        ("It is $18.00.", True, False, True),
        ("It is 18.", True, False, True),
        ("It is 1,018 or 18,000.", False, False, False),
        ("\\boxed{17}. Or 18.", False, False, True),
        ("None.", False, False, False),
    ],
)
def test_word_problems_by_the_boxed_answer_else_the_last_number(grade, answer, is_right, boxed, last):
    mark = grade("gsm8k", "gsm8k/0", answer)
    assert mark.verdict.is_correct == is_right
    assert mark.by == {"boxed": boxed, "last_number": last}


def test_formulas_are_equal_by_meaning(grade):
    assert grade("math500", "test/own/2.json", "\\boxed{1 + 2x + x^2}").verdict.is_correct
    assert not grade("math500", "test/own/2.json", "\\boxed{1 + 2x}").verdict.is_correct
    assert grade("math500", "test/own/1.json", "\\boxed{0.5}").verdict.is_correct
    assert grade("math500", "test/own/1.json", "It is 0.5.").verdict.status == "malformed"


@pytest.mark.slow
def test_inputs_without_an_answer_of_the_reference_are_left_out_and_named(tools):
    fields = {
        "task_id": "HumanEval/900",
        "prompt": "def double(x):\n",
        "entry_point": "double",
        "canonical_solution": "    while x == 3:\n        pass\n    return 2 * x\n",
        "base_input": [[1], [2]],
        "plus_input": [[3], [4]],
        "atol": 0,
    }
    benchmark = humaneval_plus()
    item = benchmark.item(fields)
    (mark,) = benchmark.grade([(item, "def double(x):\n    return x + x")], tools)
    assert mark.verdict.is_correct
    assert "1 inputs left out" in benchmark.traits.exceptions["HumanEval/900"]
    broken = benchmark.item({**fields, "task_id": "HumanEval/901", "canonical_solution": "    return y\n"})
    with pytest.raises(ConfigError, match="answers none of its own inputs"):
        benchmark.grade([(broken, "def double(x):\n    return x + x")], tools)


class Silent:
    """A comparer for which everything takes too long."""

    def verdicts(self, pairs):
        return [None] * len(pairs)


def test_what_is_not_compared_in_time_is_counted_apart(tools):
    benchmark, items, _ = open_benchmark("math500", PUBLISHED, ALL_KINDS)
    (mark, *_) = benchmark.grade(
        [(items[0], "\\boxed{1}")], Tools(runner=tools.runner, comparer=Silent(), kinds={})
    )
    assert (mark.verdict.status, mark.trouble) == ("wrong", Trouble.NOT_COMPARED)
