"""Holes of the published code of Absolute Zero (commit a82124e), each shown closed here.

One test a hole, so that nobody has to take our word for it; most are covered in more depth elsewhere.
"""

import ast
import json
from pathlib import Path
from random import Random

import pytest

import tinyzero
from tinyzero.config import Config, PoolConfig, RewardsConfig
from tinyzero.execution import Executor
from tinyzero.games.absolute_zero.game import AbsoluteZero
from tinyzero.games.absolute_zero.rewards import proposer_reward
from tinyzero.tasks import KINDS
from tinyzero.tasks.funnel import make_task
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.pool.pool import Pool
from tinyzero.types import Completion, Proposal, Role, Stage, Task

DOUBLE = make_task(
    Proposal(kind="deduction", program="def f(x):\n    return x * 2", inputs=("21",)), [42], step=1
)


PACKAGE = Path(tinyzero.__file__).parent


def imported_by(path):
    """Names of the modules that a file imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


def verdict(task, answer, executor):
    ((judged,),) = judge_answers([task], [[answer]], kinds=KINDS, runner=executor)
    return judged


def of_kind(kind, **changes):
    return Task(
        id=kind, kind=kind, program=DOUBLE.program, **{"inputs": ("21",), "outputs": ("42",), **changes}
    )


@pytest.mark.parametrize(
    "answer",
    [
        "1) or (True",
        "1)\n(True",
        "1) == 0 or f(21",
        "21) if True else (0",
        "__import__('os').system('true') or 21",
        "(lambda: 21)()",
        "*[21]",
        "x := 21",
    ],
)
def test_an_abduction_answer_is_a_literal_and_never_pasted_into_code(answer, executor):
    """Upstream evaluates the text `<gold> == f(<answer>)`."""
    assert verdict(of_kind("abduction"), "21", executor).is_correct
    for written in (answer, f"```input\n{answer}\n```"):
        judged = verdict(of_kind("abduction"), written, executor)
        assert not judged.is_correct, judged


def test_a_deduction_answer_is_never_evaluated(executor, tmp_path):
    """Upstream calls eval() on it, in the trainer's own process."""
    trace = tmp_path / "trace"
    attack = f"__import__('pathlib').Path({str(trace)!r}).touch() or 42"
    for written in (attack, f"```output\n{attack}\n```", "f(21)", "21 * 2", "[42][0]"):
        assert not verdict(DOUBLE, written, executor).is_correct
    assert not trace.exists()
    assert verdict(DOUBLE, "42", executor).is_correct


def test_no_module_of_the_trusted_side_evaluates_text():
    """Only what runs in the sandbox may, and `doctor --attack` on the expected values of its own corpus."""
    callers = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"eval", "exec"}
    }
    own_files = {
        "execution/zygote.py",
        "games/r_zero/equivalence/worker.py",
    }  # they load their neighbours by path
    plugins = "plugins/registry.py"  # a person's own code, which nobody but a person can name or agree to
    assert callers == {"execution/child.py", "execution/attack.py", plugins, *own_files}


EQUAL_TO_ALL = """
class Same:
    def __eq__(self, other):
        return True
    def __hash__(self):
        return 0
    def __repr__(self):
        return "42"

def f(x):
    return Same()
"""
EQUAL_NUMBER = EQUAL_TO_ALL.replace("class Same:", "class Same(int):")


@pytest.mark.parametrize("program", [EQUAL_TO_ALL, EQUAL_NUMBER])
def test_an_object_that_equals_everything_is_no_answer(program, executor):
    """Upstream compares with ==, on whatever the answer's program returned."""
    task = of_kind("induction", inputs=("1", "2", "3", "4"), outputs=("2", "4", "6", "8"))
    assert verdict(task, f"```python\n{DOUBLE.program}\n```", executor).is_correct
    assert not verdict(task, f"```python\n{program}\n```", executor).is_correct


@pytest.mark.parametrize(("answer", "output"), [("True", "1"), ("1.0", "1"), ("[1]", "(1,)"), ("'1'", "1")])
def test_types_count(answer, output, executor):
    """In Python True == 1 == 1.0."""
    assert not verdict(of_kind("deduction", outputs=(output,)), answer, executor).is_correct


def propose(program, given, executor):
    kind = KINDS["deduction"]
    proposal = kind.parse_proposal(f"```python\n{program}\n```\n```input\n{given}\n```", [])
    (outcome,) = verify([proposal], kinds=KINDS, runner=executor, step=1)
    return outcome


@pytest.mark.parametrize(("length", "is_task"), [(398, True), (399, False), (100_000, False)])
def test_a_long_output_is_refused_and_never_cut(length, is_task, executor):
    """Upstream keeps 200 characters, "...", and 200 more: a wrong gold answer. Here quotes count too."""
    outcome = propose("def f(c, n):\n    return c * n", f"'a', {length}", executor)
    if is_task:
        assert outcome.outputs == (repr("a" * length),)
    else:
        assert outcome.stage is Stage.RAN


@pytest.mark.parametrize(
    ("statement", "use"),
    [
        ("import os", "os.getpid()"),
        ("import sys", "sys.maxsize"),
        ("from os import path", "path.sep"),
        ("import os.path", "os.path.sep"),
        ("import socket", "socket.AF_INET"),
    ],
)
def test_the_list_of_modules_is_one_of_what_is_allowed(statement, use, executor):
    """Upstream's list of banned ones names `os.path` and `sys.exit`, which can never match."""
    outcome = propose(f"{statement}\n\ndef f(a):\n    return [a, {use}]", "1", executor)
    assert outcome.stage is Stage.ALLOWED


def test_a_result_that_depends_on_the_hash_seed_is_not_deterministic(executor):
    """Upstream runs a program twice in one process, where sets keep their order."""
    program = "def f(a):\n    return list({a, 'b', 'c', 'd', 'e'})"
    assert propose(program, "'a'", executor).stage is Stage.DETERMINISTIC


def test_a_full_buffer_keeps_the_new_and_not_the_old():
    """Upstream cuts its buffer at the end, so that nothing new is kept once it is full."""
    pool = Pool(PoolConfig(capacity=16, dedup="program"))
    for number in range(40):
        task = Task(
            id=str(number), kind="deduction", program=DOUBLE.program, inputs=(), outputs=(), step=number
        )
        assert pool.add(task)
    assert [task.id for task in pool.tasks("deduction")] == [str(number) for number in range(24, 40)]


class Twice:
    """A sampler that says the same to everybody, and remembers the requests."""

    def __init__(self, **lines):
        self.lines = lines
        self.requests = []

    def sample(self, request):
        self.requests.append(request)
        text = self.lines[request.role.value]
        return [[Completion(text=text, token_ids=(1,))] * request.num_samples for _ in request.prompts]

    def fits(self, prompt):
        return True


def play(executor, **selfplay):
    selfplay = {"kinds": ["deduction"], "proposals_per_step": 6, "attempts": 2, **selfplay}
    config = Config.model_validate({"selfplay": selfplay, "prompts": {"style": "compact"}})
    sampler = Twice(proposer=f"{DOUBLE.program}\nin: 21", solver="42")
    game = AbsoluteZero(config, sampler=sampler, executor=executor, kinds=KINDS)
    return game, sampler, game.play(0)


def test_what_is_proposed_six_times_is_one_task_and_one_row(executor):
    """Upstream keeps every copy, and fills short batches with copies besides."""
    game, sampler, played = play(executor, separate_solver_batch=True)
    assert len(played.new_tasks) == 1
    game.play(1)
    shown = [prompt.text for request in sampler.requests[2:] for prompt in request.prompts]
    solver = [text for text in shown if text.startswith("solve")]
    assert len(solver) == len(set(solver)) == 1
    assert len(game.pool.references("deduction", 9, Random(0))) == 2  # the seed and the task


def test_difficulty_is_measured_at_the_temperature_of_training(executor):
    """Upstream's attempts pass through the validation settings: greedy, so eight copies of one answer."""
    _, sampler, _ = play(executor)
    attempts = next(request for request in sampler.requests if request.role is Role.SOLVER)
    assert attempts.temperature == Config().sampling.temperature == 1.0
    assert attempts.num_samples == 2


@pytest.mark.parametrize("solve_rate", [0.0, 1.0])
def test_a_valid_task_at_the_boundary_earns_nothing_rather_than_a_penalty(solve_rate):
    """Upstream pays -0.5 there, its own paper 0."""
    assert proposer_reward(solve_rate, RewardsConfig()).total == 0
    assert RewardsConfig().malformed_proposal == -1


def test_each_kind_asks_its_proposer_for_its_own_difficulty():
    """Upstream's prompts of deduction and abduction have each other's sentence."""
    texts = {name: KINDS[name].propose_prompt([DOUBLE], "full").text for name in ("deduction", "abduction")}
    assert "an output that is hard to predict" in texts["deduction"]
    assert "an input that is hard to find" not in texts["deduction"]
    assert "an input that is hard to find" in texts["abduction"]
    assert "an output that is hard to predict" not in texts["abduction"]


def test_a_saved_game_holds_text_and_no_pickles(executor, tmp_path):
    """Upstream resumes from a pickle, which runs whatever is in it."""
    game, _, _ = play(executor)
    game.save(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {"pool.jsonl", "game.json"}
    assert all(json.loads(line) for file in tmp_path.iterdir() for line in file.read_text().splitlines())
    importers = [path for path in PACKAGE.rglob("*.py") if "pickle" in imported_by(path)]
    assert importers == []
