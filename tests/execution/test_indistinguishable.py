# ruff: noqa: E501
"""A program cannot tell whether it is verified or attempted: it looks at everything it can see, in vain.

Each observer returns what it sees of one thing. The first run of a checked proposal and the run of an attempt must
give the same, or things that differ from run to run as well.
"""

from collections.abc import Sequence

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.execution import Executor
from tinyzero.execution.answers import execution_of
from tinyzero.execution.dispatcher import Batch
from tinyzero.execution.plans import JobPlan
from tinyzero.types import Job

FRAMES = """
import gc, sys
def f(*a):
    seen, frame = [], sys._getframe()
    while frame:
        for names in (frame.f_locals, frame.f_globals):
            for name, value in names.items():
                if name not in ("nonce", "out_of_memory", "a", "names", "name", "value", "frame", "seen"):
                    seen.append(f"{name}={value!r:.200}" if type(value) in (int, float, str, bytes, bool, dict, list,
                        tuple) else f"{name}:{type(value).__name__}")
        frame = frame.f_back
    return [item for item in sorted(set(seen)) if " at 0x" not in item][:400]
"""
NUMBERS = """
import gc, sys
def f(*a):
    todo, seen, numbers = [sys._getframe(), gc.get_objects()], set(), {}
    while todo and len(seen) < 60000:
        item = todo.pop()
        if id(item) not in seen:
            seen.add(id(item))
            todo += gc.get_referents(item)
            if type(item) is float: numbers[item] = numbers.get(item, 0) + 1
    return sorted(number for number in numbers if number in (.03, .06, .12, .125, .24, .25, .5, 1., 2., .96, .48, 1.92))
"""
OBSERVERS = {
    "frames": FRAMES,
    "numbers": NUMBERS,
    "depth": "import sys\ndef f(*a):\n    n, g = 0, sys._getframe()\n    while g: n, g = n + 1, g.f_back\n    return n",
    "descriptors": "import os\ndef f(*a):\n    found = []\n    for n in range(64):\n        try: os.fstat(n)\n"
    "        except OSError: continue\n        found.append((n, os.fstat(n).st_mode))\n    return found",
    "environment": "import os, sys\ndef f(*a): return sorted(os.environ.items()), sys.argv, sys.path, sys.flags.optimize",
    "modules": "import sys\ndef f(*a): return sorted(map(repr, sys.modules))",
    "collector": "import gc\ndef f(*a): return gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() // 100",
    "signals": "import signal\ndef f(*a): return [repr(signal.getsignal(n))[:40] for n in range(1, 32)]",
    "interpreter": "import sys\ndef f(*a): return sys.getrecursionlimit(), sys.gettrace() is None, sys.getswitchinterval()",
    "clock": "import time\ndef f(*a): return time.time() // 3600, time.monotonic() // 3600, time.process_time() // .05",
    "arguments": "import sys\ndef f(*a): return [(type(x).__name__, repr(x), sys.getrefcount(x) if type(x) is list else 0,"
    " x is sys.intern(x) if type(x) is str else 0) for x in a]",
    "identity": "def f(*a): return a[0][0] is a[1], list(a[2]), [x is y for x in a for y in a]",
    "calls": "n = 0\ndef f(*a):\n    global n\n    n += 1\n    return n",
    "threads": "import threading\ndef f(*a): return threading.active_count(), threading.current_thread().name",
    "process": "import os\ndef f(*a): return os.getpid(), os.getppid(), os.getuid(), os.getcwd() == '/'",
    "hash": "def f(*a): return hash('a'), list({'x', 'y', 'z', 'w'})",
    "randomness": "import random\ndef f(*a): return random.random()",
    "decimals": "import decimal\ndef f(*a): return repr(decimal.getcontext())",
}  # fmt: skip
WAYS_TO_WRITE = ("['abcdef', 1.5], 'abcdef', {8, 0, 'q'}", "[ 'abc' 'def',1.50 ], \"abcdef\", {'q', 0, 8}")


@pytest.fixture(scope="module")
def executor() -> Sequence[Executor]:
    with Executor(ExecutionConfig(cpu_s=1.92)) as executor:
        yield executor


def observations(
    executor: Executor, program: str, source: str, *, is_proposal: bool, times: int
) -> list[str]:
    """What the program sees in the first run of a checked proposal, or in an attempt."""
    seen = []
    for _ in range(times):
        job = Job(program=program, inputs=(source,), is_proposal=is_proposal, check_determinism=is_proposal)
        plan = JobPlan(job, executor._cpu_s(job))
        runs = plan.next_runs(is_second=False)
        executor._execute(runs, Batch(()))
        execution = execution_of(runs[0].ended, cpu_s=9.0, num_calls=1)
        assert execution.is_ok, execution
        seen.append(repr(execution.value))
    return seen


@pytest.mark.parametrize("name", OBSERVERS)
def test_a_program_sees_the_same_in_verification_and_in_an_attempt(executor: Executor, name: str) -> None:
    program = OBSERVERS[name]
    verified = observations(executor, program, WAYS_TO_WRITE[0], is_proposal=True, times=4)
    attempted = observations(executor, program, WAYS_TO_WRITE[1], is_proposal=False, times=4)
    assert len(set(attempted)) == 1
    assert set(verified) == set(attempted)


def test_no_frame_or_object_of_the_run_is_in_reach(executor: Executor) -> None:
    search = """
import gc, sys
def f():
    todo, seen, found = [sys._getframe(), gc.get_objects(), sys.modules], set(), set()
    while todo:
        item = todo.pop()
        if id(item) not in seen:
            seen.add(id(item))
            todo += gc.get_referents(item)
            if type(item).__module__.startswith("_tinyzero"):
                found.add(type(item).__name__)
            if type(item).__name__ == "frame" and item.f_code.co_name in ("serve", "_take_task", "_become_child", "main"):
                found.add(item.f_code.co_name)
    return sorted(found)
"""
    [execution] = executor.run(search, [""])
    assert execution.value in (["_Interpreter"], [])


def test_the_two_limits_are_told_apart_outside_of_the_child() -> None:
    """A program that needs more than half of the time is refused as a proposal, and cannot know why."""
    program = "import time\ndef f():\n    while time.process_time() < 0.3: pass\n    return 1"
    with Executor(ExecutionConfig(cpu_s=0.4)) as executor:
        [attempt] = executor.run(program, [""])
        [proposal] = executor.run(program, [""], is_proposal=True)
    assert attempt.is_ok
    assert proposal.outcome == "timeout"
