"""Races the scoring of benchmark answers against a process per answer, for `tinyzero bench scoring`."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Any

from tinyzero.errors import ExecutorBroken
from tinyzero.foreign import parse_json_object

if TYPE_CHECKING:
    from tinyzero.evaluation.benchmarks.answers import WrittenAnswer

_FUNCTIONS: Mapping[str, tuple[str, str, list[list[Any]]]] = {
    "total": ("def total(values):\n", "    return sum(values)\n", [[list(range(n))] for n in range(30)]),
    "mirror": ("def mirror(text):\n", "    return text + text[::-1]\n", [["ab" * n] for n in range(30)]),
    "evens": (
        "def evens(values):\n",
        "    return [value for value in values if value % 2 == 0]\n",
        [[list(range(n, 2 * n))] for n in range(30)],
    ),
}
"""Name -> the prompt, the right answer, and the inputs of its tests."""
_WRONG = "    return None\n"


def scoring_speed(num_answers: int = 48, repeats: int = 3) -> dict[str, Any]:
    """Answers per second of both ways, half of the answers right, and their ratio lap by lap.

    Raises:
        ExecutorBroken: the two ways disagree on an answer.
    """
    load_before, answers = os.getloadavg()[0], _answers(num_answers)
    laps = []
    for _ in range(repeats + 1):
        ours, our_verdicts = _by_us(answers)
        theirs, their_verdicts = _by_a_process_each(answers)
        if our_verdicts != their_verdicts:
            raise ExecutorBroken("both ways of scoring disagree on an answer; run tinyzero doctor --attack")
        laps.append((num_answers / ours, num_answers / theirs))
    counted = laps[1:]  # the first warms up
    ratios = [ours / theirs for ours, theirs in counted]
    return {
        "cores": os.cpu_count() or 1,
        "load_before": load_before,
        "answers": num_answers,
        "answers_per_s": median(ours for ours, _ in counted),
        "process_each_per_s": median(theirs for _, theirs in counted),
        "speedup": median(ratios),
        "speedup_min": min(ratios),
        "speedup_max": max(ratios),
    }


def _answers(count: int) -> list["WrittenAnswer"]:
    """Answers to tasks in the form of HumanEval+, right and wrong in turn."""
    from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
    from tinyzero.evaluation.benchmarks.choice import BENCHMARKS

    items = [
        BENCHMARKS["humaneval+"].item(
            {
                "task_id": f"Own/{name}",
                "entry_point": name,
                "prompt": prompt,
                "canonical_solution": body,
                "base_input": rows[:10],
                "plus_input": rows[10:],
                "atol": 0,
            }
        )
        for name, (prompt, body, rows) in _FUNCTIONS.items()
    ]
    asked = [items[number % len(items)] for number in range(count)]
    return [
        WrittenAnswer(item=item, text=_WRONG if number % 2 else item.fields["canonical_solution"])
        for number, item in enumerate(asked)
    ]


def _by_us(answers: list["WrittenAnswer"]) -> tuple[float, list[bool]]:
    """Seconds and verdicts of our grading, reference solutions included, the sandbox's start left out."""
    from tinyzero.cli.evaluate import open_tools
    from tinyzero.evaluation.benchmarks.code_tests import humaneval_plus
    from tinyzero.evaluation.benchmarks.scoring import grade

    benchmark = humaneval_plus()
    with ExitStack() as held:
        tools = open_tools(benchmark, held, allow_weak_sandbox=True)  # the programs are our own
        started = time.perf_counter()
        graded = grade(benchmark, answers, tools)
        seconds = time.perf_counter() - started
    return seconds, [each.mark.verdict.is_correct for each in graded]


def _by_a_process_each(answers: list["WrittenAnswer"]) -> tuple[float, list[bool]]:
    """The same for a process and a manager per answer, four at a time; the start of Python is left out."""
    programs = [_with_tests(each) for each in answers]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-"],
        input=f"PROGRAMS = {programs!r}\n{_HUMAN_EVAL}",
        capture_output=True,
        text=True,
        check=True,
    )
    told = parse_json_object(done.stdout)
    return told["seconds"], told["verdicts"]


def _with_tests(answer: "WrittenAnswer") -> str:
    """The program that human-eval runs: prompt, answer and assertions in one text."""
    name = answer.item.fields["entry_point"]
    prompt, body, rows = _FUNCTIONS[name]
    right = f"{prompt.replace(name, 'right', 1)}{body}"
    tests = "".join(f"assert {name}(*{row!r}) == right(*{row!r})\n" for row in rows)
    return f"{prompt}{answer.text}\n{right}\n{tests}"


_HUMAN_EVAL = """
import json, multiprocessing, os, signal, tempfile, time
from concurrent.futures import ThreadPoolExecutor

def execute(program, results):
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        signal.setitimer(signal.ITIMER_REAL, 3.0)
        try:
            exec(program, {})
            results.append(True)
        except BaseException:
            results.append(False)
        signal.setitimer(signal.ITIMER_REAL, 0)
        os.chdir("/")

def check(program):
    results = multiprocessing.Manager().list()
    process = multiprocessing.get_context("fork").Process(target=execute, args=(program, results))
    process.start()
    process.join(4.0)
    if process.is_alive():
        process.kill()
    return bool(results and results[0])

started = time.perf_counter()
with ThreadPoolExecutor(4) as threads:
    verdicts = list(threads.map(check, PROGRAMS))
print(json.dumps({"seconds": time.perf_counter() - started, "verdicts": verdicts}))
"""
"""After `check_correctness` of openai/human-eval (MIT), execution.py, without what makes it safer."""
