# ruff: noqa: E501
"""Several calls in one process: what the harness changes is undone, and inputs that share a process run as if alone."""

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.execution import Executor
from tinyzero.execution.values import same
from tinyzero.types import Execution, Job, Outcome

HONEST = {
    "cyclic garbage": """
def f(n):
    for _ in range(n):
        a = [bytearray(20000)]
        a.append(a)
    return n""",
    "recursion error caught": """
def down(n): return down(n + 1)
def f(x):
    try: down(0)
    except RecursionError: return x
    return -1""",
    "depth of recursion": """
def f(x):
    depth = 0
    def down():
        nonlocal depth
        depth += 1
        down()
    try: down()
    except RecursionError: return depth""",
    "recursion error in repr": """
def f(x):
    a = []
    for _ in range(5000): a = [a]
    try: repr(a)
    except RecursionError: return x""",
    "sleep": "import time\ndef f(x): time.sleep(0.7)",
}
CHANGING = {
    "decimal precision": """
import decimal
def f(x):
    decimal.getcontext().prec += 3
    return str(decimal.Decimal(1) / 3)""",
    "random state": "import random\nrandom.seed(3)\ndef f(x): return random.random()",
    "recursion limit": "import sys\ndef f(x):\n    sys.setrecursionlimit(sys.getrecursionlimit() + 100)\n    return sys.getrecursionlimit()",
    "collector": "import gc\ndef f(x):\n    was = gc.isenabled()\n    gc.disable()\n    return was, gc.get_threshold()",
    "warnings": "import warnings\ndef f(x):\n    n = len(warnings.filters)\n    warnings.simplefilter('error')\n    return n",
    "builtins": "import builtins\ndef f(x):\n    was = hasattr(builtins, 'mine')\n    builtins.mine = 1\n    return was",
    "a module's names": "import math\ndef f(x):\n    math.pi += 1\n    return math.pi",
    "modules loaded": "import sys\ndef f(x):\n    was = 'mine' in sys.modules\n    sys.modules['mine'] = sys\n    return was",
    "digits": "import sys\ndef f(x):\n    n = sys.get_int_max_str_digits()\n    sys.set_int_max_str_digits(n + 1000)\n    return n",
    "signal handlers": "import signal\ndef f(x):\n    return repr(signal.signal(signal.SIGUSR1, lambda *_: 0))[:20]",
    "tracer": "import sys\ndef f(x):\n    was = sys.gettrace() is None\n    sys.settrace(lambda *a: None)\n    return was",
}


@pytest.mark.parametrize("name", HONEST)
def test_the_second_call_of_the_determinism_check_has_what_the_first_had(
    executor: Executor, name: str
) -> None:
    source = "2000" if name == "cyclic garbage" else "1"
    config = ExecutionConfig(cpu_s=2.0)
    with Executor(config) as patient:
        [execution] = patient.run(HONEST[name], [source], check_determinism=True)
    assert execution.is_ok, execution


COUNTERS = {
    "in the program": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
    "in a module": "import math\ndef f(x):\n    math.n = getattr(math, 'n', 0) + 1\n    return math.n",
    **{name: program for name, program in CHANGING.items() if name not in ("warnings", "random state")},
}


@pytest.mark.parametrize("name", COUNTERS)
def test_what_counts_its_calls_wherever_is_nondeterministic(executor: Executor, name: str) -> None:
    [execution] = executor.run(COUNTERS[name], ["1"], check_determinism=True)
    assert execution.outcome is Outcome.NONDETERMINISTIC


@pytest.mark.parametrize("name", CHANGING)
def test_what_one_input_changes_another_does_not_see(executor: Executor, name: str) -> None:
    inputs = ("1", "2", "3")
    apart, shared = executor.run_jobs(
        [Job(program=CHANGING[name], inputs=inputs, share_process=sharing) for sharing in (False, True)]
    )
    assert outcomes(shared) == outcomes(apart)


NAN, OTHER_NAN = float("nan"), float("nan")


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ({NAN: 1, OTHER_NAN: 2}, {NAN: 2}, False),
        ({NAN: 1, OTHER_NAN: 2}, {NAN: 2, OTHER_NAN: 1}, True),
        ({NAN: 1, OTHER_NAN: 2}, {NAN: 2, OTHER_NAN: 2}, False),
        ({NAN, OTHER_NAN}, {NAN}, False),
        ({NAN, OTHER_NAN}, {OTHER_NAN, NAN}, True),
        (frozenset([(NAN, 1), (OTHER_NAN, 1)]), frozenset([(NAN, 1)]), False),
        ({complex(NAN, 1): 1, complex(OTHER_NAN, 1): 2}, {complex(NAN, 1): 1}, False),
        ({0.0: 1}, {-0.0: 1}, True),
    ],
)
def test_nan_keys_count_as_often_as_they_are_there(left: object, right: object, *, expected: bool) -> None:
    assert same(left, right) is expected
    assert same(right, left, float_tolerance=True) is expected


def test_a_random_value_under_a_nan_key_is_nondeterministic(executor: Executor) -> None:
    program = "import random\ndef f(): return {float('nan'): random.random(), float('nan'): 1}"
    [execution] = executor.run(program, [""], check_determinism=True)
    assert execution.outcome is Outcome.NONDETERMINISTIC


def outcomes(executions: list[Execution]) -> list[str]:
    """Without the limit that a loop met first: on a crowded machine that is now the CPU's, now the clock's."""
    return [
        f"{execution.outcome} {execution.value}{'' if execution.outcome == 'timeout' else execution.detail}"
        for execution in executions
    ]


PROGRAMS = {
    "counts its calls": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n, x",
    "fails for some": "def f(x): return 6 // x",
    "loops for one": "def f(x):\n    while x == 2: pass\n    return x",
    "leaves for one": "import os\ndef f(x):\n    if x == 2: os._exit(0)\n    return x",
    "needs much memory for one": "def f(x): return len(bytearray(1 << 36)) if x == 2 else x",
    "returns too much for one": "def f(x): return [0] * 10 ** 6 if x == 2 else x",
    "spoils the builtins": "import builtins, math\ndef f(x):\n    builtins.len = math.sqrt = lambda *a: 9\n    return x",
    "keeps state in a module": "import math\nmath.n = getattr(math, 'n', 0) + 1\ndef f(x): return math.n",
    "is no program": "def f(x:",
    "has no function": "g = 1",
    "recurses without end": "def f(x): return f(x)",
    "forges lines": "import os\ndef f(x):\n    os.write(3, b'\\nok 0x7')\n    return x",
}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "forges lines"])
def test_inputs_that_share_a_process_get_what_they_get_alone(executor: Executor, name: str) -> None:
    inputs = ("1", "0", "2", "x", "3")
    apart, shared = executor.run_jobs(
        [Job(program=PROGRAMS[name], inputs=inputs, share_process=sharing) for sharing in (False, True)]
    )
    assert outcomes(shared) == outcomes(apart)


def test_inputs_that_share_a_process_take_one(executor: Executor) -> None:
    before = executor.num_runs
    executor.run_jobs([Job(program="def f(x): return x", inputs=("1", "2", "3"), share_process=True)])
    assert executor.num_runs == before + 1


def test_forged_lines_of_a_shared_process_stay_its_own(executor: Executor) -> None:
    jobs = [
        Job(program=PROGRAMS["forges lines"], inputs=("1", "2"), share_process=True),
        Job(program="def f(x): return x", inputs=("5",)),
    ]
    executions = executor.run_jobs(jobs)
    assert all(isinstance(execution, Execution) for execution in executions[0])
    assert executions[1][0].value == 5
