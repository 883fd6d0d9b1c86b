# ruff: noqa: E501
"""The executor in the hands of others: wrong arguments, scripts, cancelling, copies, a machine under pressure."""

import asyncio
import copy
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import Executor, dispatcher
from tinyzero.types import Execution, Job, Outcome

ONE = "def f(x): return x"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: e.run(ONE, "12"), "inputs is a list of argument sources.*got str '12'"),
        (lambda e: e.run(ONE, b"12"), "inputs is a list.*got bytes"),
        (lambda e: e.run(ONE, 12), "inputs is a list.*got int 12"),
        (lambda e: e.run(ONE, [1]), "each of inputs is a str.*got int 1"),
        (lambda e: e.run(ONE, ["1", None]), "each of inputs is a str.*got NoneType"),
        (lambda e: e.run(ONE.encode(), ["1"]), "program is a str; got bytes"),
        (lambda e: e.run(None, ["1"]), "program is a str; got NoneType"),
        (lambda e: e.run_jobs([Job(program=ONE, inputs="12")]), "inputs is a list"),  # type: ignore[arg-type]
        (lambda e: e.run_script(b"1"), "program is a str; got bytes"),
        (lambda e: e.run_script("1", 5), "stdin is a str; got int 5"),
    ],
)
def test_wrong_arguments_are_named(executor: Executor, call: Callable[[Any], Any], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        call(executor)


def test_inputs_may_come_from_an_iterator(executor: Executor) -> None:
    assert [e.value for e in executor.run(ONE, (str(n) for n in range(3)))] == [0, 1, 2]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("body", "name", "message"),
    [
        ("raise ValueError('no such\\nthing')", "ValueError", "no such\nthing"),
        ("return {}['key']", "KeyError", "'key'"),
        ("return 1 / 0", "ZeroDivisionError", "division by zero"),
        ("return [1][7]", "IndexError", "list index out of range"),
        ("raise RuntimeError", "RuntimeError", ""),
        ("raise RuntimeError('a' * 10000)", "RuntimeError", "a" * 300),
        ("raise RuntimeError('a', 1)", "RuntimeError", "('a', 1)"),
        ("open('/x')", "PermissionError", "[Errno 1] 'Operation not permitted'"),
        ("raise RuntimeError(object())", "RuntimeError", ""),
        ("raise type('E', (Exception,), {'__str__': lambda s: 1 / 0})('x')", "E", "x"),
        ("raise type('E', (Exception,), {'args': property(lambda s: 1 / 0)})('y')", "E", "y"),
        ("raise RuntimeError('\\ud800')", "RuntimeError", "\ud800"),
    ],
)
def test_an_exception_has_its_message(executor: Executor, body: str, name: str, message: str) -> None:
    [execution] = executor.run(f"def f():\n    {body}", [""], check_determinism=True)
    assert (execution.detail, execution.message) == (name, message)


@pytest.mark.parametrize(
    ("program", "stdin", "stdout"),
    [
        ("print(int(input()) + int(input()))", "1\n2\n", "3\n"),
        ("import sys\nfor line in sys.stdin: print(line.strip()[::-1])", "ab\ncd", "ba\ndc\n"),
        ("import sys\nsys.stdout.write(sys.stdin.read())", "é\n\U0001f680", "é\n\U0001f680"),
        ("import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())", "raw", "raw"),
        ("print(open(0).read(), end='')", "zero", "zero"),
        ("import os\nprint(os.read(0, 100))", "fd", "b'fd'\n"),
        ("if __name__ == '__main__':\n    print(1)", "", "1\n"),
        ("print('a', end='', flush=True)\nraise SystemExit", "", "a"),
        ("print('a')\nimport sys\nsys.exit(0)", "", "a\n"),
        ("import sys\nprint('not seen', file=sys.stderr)", "", ""),
        ("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\nprint(P(3))", "", "P(x=3)\n"),
        ("name = input('name? ')\nprint(name)", "Ada", "name? Ada\n"),
        ("import sys\nprint(len(sys.stdin.read()))", "x" * 300_000, "300000\n"),
        ("print('x' * 50000)", "", "x" * 50_000 + "\n"),
        (
            "import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()):\n    print(1)\nprint(2)",
            "",
            "2\n",
        ),
    ],
)
def test_a_script_reads_and_prints(executor: Executor, program: str, stdin: str, stdout: str) -> None:
    execution = executor.run_script(program, stdin)
    assert (execution.outcome, execution.stdout, execution.value) == (Outcome.OK, stdout, stdout)


@pytest.mark.parametrize(
    ("program", "outcome", "detail"),
    [
        ("print(1)\nprint(1 / 0)", Outcome.EXCEPTION, "ZeroDivisionError"),
        ("print(1)\nraise SystemExit(3)", Outcome.EXCEPTION, "SystemExit"),
        ("input()", Outcome.EXCEPTION, "EOFError"),
        ("print('x' * 70000)", Outcome.OUTPUT_TOO_LARGE, ""),
        ("while True: print('x' * 1000)", Outcome.TIMEOUT, "cpu"),
        ("while True: pass", Outcome.TIMEOUT, "cpu"),
        ("print(", Outcome.SYNTAX_ERROR, "SyntaxError"),
        ("x = bytearray(1 << 40)", Outcome.OUT_OF_MEMORY, ""),
        ("import os\nos.fork()", Outcome.BANNED, "SIGSYS"),
        ("import os\nos._exit(0)", Outcome.CRASHED, "malformed answer"),
        ("open('/etc/passwd')", Outcome.EXCEPTION, "PermissionError"),
    ],
)
def test_a_script_ends_as_a_call_does(
    executor: Executor, program: str, outcome: Outcome, detail: str
) -> None:
    execution = executor.run_script(program)
    assert (execution.outcome in (outcome, Outcome.OUT_OF_MEMORY), execution.value) == (True, None)
    assert execution.detail in (detail, "wall", "")


def test_what_a_script_printed_before_its_exception_is_kept(executor: Executor) -> None:
    execution = executor.run_script("print('so far')\nraise ValueError('then')")
    assert (execution.stdout, execution.message) == ("so far\n", "then")


def test_scripts_run_side_by_side_and_come_back_in_order(executor: Executor) -> None:
    results = executor.run_scripts((f"print(input() * {n})", "ab") for n in range(20))
    assert [result.stdout for result in results] == [f"{'ab' * n}\n" for n in range(20)]


@pytest.mark.parametrize(
    "program",
    [
        "print(1)\nimport sys\nsys.stdout.close()",
        "import sys\nsys.stdout.flush = sys.stdout.buffer.getvalue = lambda *a: 1 / 0\nprint(1)",
        "import sys\nsys.stdout = None\nprint(1)",
        "import sys\ndel sys.stdout",
    ],
)
def test_a_spoilt_output_is_an_answer_all_the_same(executor: Executor, program: str) -> None:
    assert isinstance(executor.run_script(program), Execution)


def test_a_good_value_is_good_however_deep_the_caller_stands(executor: Executor) -> None:
    nested = "[" * 55 + "]" * 55

    def deep(levels: int) -> list[Execution]:
        return deep(levels - 1) if levels else executor.run(ONE, [nested, "1"], check_determinism=True)

    depth = len([None for _ in iter_frames()])
    for levels in (sys.getrecursionlimit() - depth - 120, 500):
        assert [execution.is_ok for execution in deep(levels)] == [True, True]


def iter_frames() -> Any:
    frame = sys._getframe()
    while frame is not None:
        yield frame
        frame = frame.f_back  # type: ignore[assignment]


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_an_executor_cannot_be_copied(executor: Executor, duplicate: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        duplicate(executor)


LOOP = "def f():\n    while True: pass"


def test_cancelling_ends_all_runs_and_the_executor_stays_usable() -> None:
    with Executor(ExecutionConfig(cpu_s=20)) as executor:
        threading.Timer(0.5, executor.cancel).start()
        with pytest.raises(ExecutorBroken, match="cancelled"):
            executor.run(LOOP, [""] * 40)
        started = time.monotonic()
        assert executor.run(ONE, ["1"])[0].value == 1
        assert time.monotonic() - started < 10


def test_closing_ends_all_runs() -> None:
    executor = Executor(ExecutionConfig(cpu_s=20))
    threading.Timer(0.5, executor.close).start()
    with pytest.raises(ExecutorBroken, match="closed"):
        executor.run(LOOP, [""] * 40)


def test_a_cancelled_task_of_asyncio_ends_its_runs_and_no_others() -> None:
    async def both(executor: Executor) -> list[list[Execution]]:
        honest = asyncio.create_task(executor.run_jobs_async([Job(program=ONE, inputs=("1",) * 30)]))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(executor.run_jobs_async([Job(program=LOOP, inputs=("",) * 40)]), 0.5)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(executor.run_scripts_async([("while True: pass", "")] * 40), 0.5)
        return await honest

    with Executor(ExecutionConfig(cpu_s=20)) as executor:
        started = time.monotonic()
        [executions] = asyncio.run(both(executor))
        assert [execution.value for execution in executions] == [1] * 30
        assert executor.run(ONE, ["2"])[0].value == 2
        assert time.monotonic() - started < 18


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


@linux_only
def test_the_kernel_takes_children_first_when_memory_runs_out(executor: Executor) -> None:
    own = int(Path("/proc/self/oom_score_adj").read_text())
    for pid in executor.pids:
        for member in (pid, *descendants(pid)):
            assert int(Path(f"/proc/{member}/oom_score_adj").read_text()) == 1000 > own
    assert all(report["oom_score_adj"] == 1000 for report in executor.reports)


def kill_children(executor: Executor, stop: threading.Event, most: int) -> None:
    """As the kernel does when memory runs out: the runs, not the zygotes."""
    killed: set[int] = set()
    while not stop.wait(0.005) and len(killed) < most:
        for outer in executor.pids:
            for inner in descendants(outer)[:1]:
                for child in descendants(inner):
                    if child not in killed:
                        killed.add(child)
                        os.kill(child, signal.SIGKILL)


@pytest.mark.slow
@linux_only
def test_a_run_that_is_killed_from_outside_is_waited_out_and_makes_no_verdict() -> None:
    program = "import time\ndef f(x):\n    while time.process_time() < 0.1: pass\n    return x"
    with Executor(ExecutionConfig(cpu_s=1.0)) as executor:
        executor.run(ONE, ["0"])
        stop = threading.Event()
        killer = threading.Thread(target=kill_children, args=(executor, stop, 8))
        killer.start()
        try:
            [execution] = executor.run(program, ["5"])
        finally:
            stop.set()
            killer.join()
    assert execution.value == 5


@linux_only
def test_pressure_that_does_not_end_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "PAUSES_S", (0.01, 1.0))
    with Executor(ExecutionConfig(cpu_s=5.0)) as executor:
        executor.run(ONE, ["0"])
        stop = threading.Event()
        killer = threading.Thread(target=kill_children, args=(executor, stop, 100))
        killer.start()
        try:
            with pytest.raises(ExecutorBroken, match=r"memory and processes are free.*memory_mib"):
                executor.run(LOOP, [""])
        finally:
            stop.set()
            killer.join()


@pytest.mark.parametrize(
    ("body", "outcomes"),
    [
        ("import time; time.sleep(1e6)", {Outcome.TIMEOUT}),
        ("import time\n    while True: time.sleep(0.3)", {Outcome.TIMEOUT}),
        ("import threading; a = threading.Lock(); a.acquire(); a.acquire()", {Outcome.TIMEOUT}),
        ("import threading; threading.Event().wait()", {Outcome.TIMEOUT}),
        ("import queue; queue.Queue().get()", {Outcome.TIMEOUT}),
        ("import queue; queue.SimpleQueue().get()", {Outcome.TIMEOUT}),
        ("import select; select.select([], [], [])", {Outcome.TIMEOUT}),
        ("import select; select.poll().poll()", {Outcome.TIMEOUT}),
        ("import signal; signal.pause()", {Outcome.BANNED}),
        (
            "import time; time.sleep.__closure__[0].cell_contents",
            {Outcome.OK, Outcome.BAD_TYPE, Outcome.EXCEPTION},
        ),
    ],
)
def test_who_waits_for_what_never_comes_holds_no_slot(
    executor: Executor, body: str, outcomes: set[Outcome]
) -> None:
    before = executor.num_runs
    [execution] = executor.run(f"def f():\n    {body}", [""])
    assert execution.outcome in outcomes
    assert executor.num_runs == before + 1, "it was not repeated"
    assert execution.cpu_s > 0.9 * executor.config.cpu_s or execution.wall_s < 0.5, (
        "it computed, or it ended at once"
    )


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ("import time; a = time.monotonic(); time.sleep(0.5); return round(time.monotonic() - a, 1)", 0.5),
        (
            "import time; a = time.time_ns(); time.sleep(0.5); return round((time.time_ns() - a) / 1e9, 1)",
            0.5,
        ),
        (
            "import datetime, time; a = datetime.datetime.now(); time.sleep(0.5); return round((datetime.datetime.now() - a).total_seconds(), 1)",
            0.5,
        ),
        ("import threading; a = threading.Lock(); a.acquire(); return a.acquire(timeout=0.05)", False),
        ("import select; return select.select([], [], [], 0.02)", ([], [], [])),
        ("import select; return select.select([], [], [], 0)", ([], [], [])),
        ("import threading; return threading.Event().wait(0.02)", False),
    ],
)
def test_a_short_wait_ends_as_it_should(executor: Executor, body: str, value: Any) -> None:
    [execution] = executor.run(f"def f():\n    {body}", [""])
    assert (execution.outcome, execution.value) == (Outcome.OK, value)


def test_a_forked_copy_says_so_and_leaves_the_original_alone() -> None:
    script = """
import os
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import Executor
with Executor() as executor:
    pid = os.fork()
    if pid == 0:
        try:
            executor.run_script("print(1)")
        except ExecutorBroken as error:
            executor.close()
            os._exit(7 * ("forked" in str(error)))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert executor.run_script("print(1)").stdout == "1\\n"
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=60)
