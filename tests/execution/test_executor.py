import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import Executor, dispatcher, link
from tinyzero.types import Execution, Job, Outcome


def one(executor: Executor, program: str, source: str = "", **options: Any) -> Execution:
    [execution] = executor.run(textwrap.dedent(program), [source], **options)
    return execution


@pytest.mark.parametrize(
    ("program", "source", "value"),
    [
        ("def f(x): return x + 1", "41", 42),
        ("f = lambda *a: a", "1, [2], {'a': None}", (1, [2], {"a": None})),
        ("f = sorted", "{3, 1, 2}", [1, 2, 3]),
        ("class C:\n    def __call__(self, x): return {x: x}\nf = C()", "1.5", {1.5: 1.5}),
        ("def f(s): return s, len(s)", r"'\ud83d\ude00'", ("\ud83d\ude00", 2)),
        ("def f(n): return n and 1 + f(n - 1)", "970", 970),
        (
            "import datetime\ndef f(): return repr(datetime.datetime(2020, 1, 2))",
            "",
            "datetime.datetime(2020, 1, 2, 0, 0)",
        ),
        (
            "import datetime\nclass D(datetime.datetime): pass\ndef f(): return repr(D(2020, 1, 2))",
            "",
            "D(2020, 1, 2, 0, 0)",
        ),
        (
            "def f(s): return [s.encode(name) for name in ('utf-8-sig', 'utf-16-le', 'punycode', 'idna')]",
            "'é'",
            [b"\xef\xbb\xbf\xc3\xa9", b"\xe9\x00", b"9ca", b"xn--9ca"],
        ),
        ("import codecs\ndef f(b): return codecs.decode(codecs.encode(b, 'zlib'), 'zlib')", "b'ab'", b"ab"),
    ],
)
def test_a_program_gives_its_value(executor: Executor, program: str, source: str, value: Any) -> None:
    execution = one(executor, program, source, check_determinism=True)
    assert execution.is_ok
    assert execution.value == value


@pytest.mark.parametrize(
    ("program", "outcome", "detail"),
    [
        ("def f(): raise KeyError", Outcome.EXCEPTION, "KeyError"),
        ("def f():\n    while True: pass", Outcome.TIMEOUT, "cpu"),
        ("import time\ndef f(): time.sleep(60)", Outcome.TIMEOUT, "wall"),
        ("def f(): return 'a' * (1 << 40)", Outcome.OUT_OF_MEMORY, ""),
        ("def f(): return [0] * 10 ** 6", Outcome.OUTPUT_TOO_LARGE, ""),
        ("import os\ndef f():\n    while True: os.write(3, b'x' * 4096)", Outcome.OUTPUT_TOO_LARGE, ""),
        ("def f(): return object()", Outcome.BAD_TYPE, "object"),
        ("g = 1", Outcome.NO_FUNCTION, ""),
        ("def f(:", Outcome.SYNTAX_ERROR, "SyntaxError"),
        ("def f(): return '\0'", Outcome.SYNTAX_ERROR, "SyntaxError"),
        ("def f(): return '\ud800'", Outcome.SYNTAX_ERROR, "UnicodeEncodeError"),
        ("def f(): return " + "(" * 5000 + ")" * 5000, Outcome.SYNTAX_ERROR, "SyntaxError"),
        ("#" * 300_000, Outcome.SYNTAX_ERROR, "too_long"),
        ("import os\ndef f(): os.fork()", Outcome.BANNED, "SIGSYS"),
        ("import os\ndef f(): os._exit(0)", Outcome.CRASHED, "malformed answer"),
        ("import os\ndef f(): os._exit(3)", Outcome.CRASHED, "exit 3"),
        ("import subprocess", Outcome.EXCEPTION, "ModuleNotFoundError"),
    ],
)
def test_every_other_end_has_an_outcome_of_its_own(
    executor: Executor, program: str, outcome: Outcome, detail: str
) -> None:
    execution = one(executor, program)
    assert (execution.outcome, execution.detail, execution.value) == (outcome, detail, None)


@pytest.mark.parametrize(
    "source",
    ["x", "x=1", "1)", "f(1)", "9**9", "'\0'", "'\ud800'", "[" * 500 + "]" * 500, "'" + "a" * 5000 + "'"],
)
def test_arguments_that_are_no_literals_are_bad_input(executor: Executor, source: str) -> None:
    assert one(executor, "def f(x): return x", source).outcome is Outcome.BAD_INPUT


@pytest.mark.parametrize(
    "body",
    [
        "return list({'alpha', 'beta', 'gamma', 'delta', 'eps'})",
        "return hash('a')",
        "return id(object())",
        "import time; return time.time()",
        "import time; return time.localtime().tm_year",
        "import datetime; return datetime.date.today().isoformat()",
        "import datetime; return datetime.datetime.now().year",
        "import random; return random.random()",
        "import os; return os.urandom(8)",
        "import uuid; return str(uuid.uuid4())",
        "global n; n += 1; return n",
        "import time\n    if time.time() // 86400 < SOON: return 1\n    raise ValueError",
    ],
)
def test_a_result_that_changes_from_run_to_run_is_nondeterministic(executor: Executor, body: str) -> None:
    program = f"n, SOON = 0, {time.time() // 86_400 + 200}\ndef f():\n    {body}"
    assert one(executor, program, check_determinism=True).outcome is Outcome.NONDETERMINISTIC


@pytest.mark.parametrize(
    "program",
    [
        "def f(): return {'alpha', 'beta', 'gamma', 'delta', 'eps'}",
        "def f(): return {x: 1 for x in {'alpha', 'beta', 'gamma', 'delta'}}",
        "import random\ndef f(): return random.Random(7).random()",
        "def f(): return float('nan')",
        "import os\ndef f(): return os.getpid(), os.getppid(), os.getuid()",
    ],
)
def test_a_result_that_is_the_same_in_every_run_is_deterministic(executor: Executor, program: str) -> None:
    assert one(executor, program, check_determinism=True).is_ok


def test_each_run_and_call_gets_its_own_copy_of_the_input(executor: Executor) -> None:
    assert one(
        executor, "def f(x):\n    x.append(len(x))\n    return x", "[]", check_determinism=True
    ).value == [0]


def test_an_equal_set_is_an_identical_input(executor: Executor) -> None:
    """8 and 0 share a slot in a small table, so the order of insertion would show."""
    results = executor.run("def f(x): return list(x)", ["{8, 0}", "{0, 8}"])
    assert results[0].value == results[1].value


def test_a_proposal_has_half_of_the_time() -> None:
    program = "import time\ndef f():\n    while time.process_time() < 0.3: pass\n    return 1"
    with Executor(ExecutionConfig(cpu_s=0.4)) as executor:
        assert one(executor, program).is_ok
        assert one(executor, program, is_proposal=True).outcome is Outcome.TIMEOUT


def test_a_poisoned_run_cannot_touch_the_next(executor: Executor) -> None:
    poison = """
        import builtins, gc, json, os, sys
        sys.setrecursionlimit(50)
        for name in ("repr", "len", "type", "sorted", "isinstance", "hex"):
            setattr(builtins, name, lambda *a: "999")
        os.write = json.dumps = lambda *a: 0
        sys.modules["math"] = None
        def f(): return 1
    """
    honest = "import math, os\ndef f(): return repr([len('abc'), math.sqrt(4)])"
    jobs = [Job(program=textwrap.dedent(poison), inputs=("",)), Job(program=honest, inputs=("",))] * 20
    results = [execution.value for [execution] in executor.run_jobs(jobs)]
    assert results == [1, "[3, 2.0]"] * 20


@pytest.mark.slow
def test_no_run_sees_another_runs_program_input_or_result() -> None:
    """A child reaches nothing of a task that has ended, runs beside it, or waits, whatever it follows."""
    search = """
        import gc, sys
        def f():
            todo, seen, found = [gc.get_objects(), sys._getframe()], set(), []
            while todo:
                item = todo.pop()
                if id(item) not in seen:
                    seen.add(id(item))
                    todo += gc.get_referents(item)
                    if type(item) in (str, bytes, bytearray):
                        text = item if type(item) is str else bytes(item).decode("latin-1")
                        found.append("TERCES_OREZYNIT" in text[::-1])
            return len(found) > 1000, any(found)
    """
    keep = "def f(x):\n    for _ in range(3000000): pass\n    return x + 'TINYZERO_SECRET'"
    jobs = [
        Job(program=textwrap.dedent(search), inputs=("",)),
        Job(program=keep, inputs=("'TINYZERO_SECRET'",)),
    ]
    with Executor(ExecutionConfig(cpu_s=3)) as executor:
        results = [execution.value for [execution] in executor.run_jobs(jobs * 20)]
    assert results == [(True, False), "TINYZERO_SECRET" * 2] * 20


def test_a_program_cannot_forge_a_second_answer_or_an_infrastructure_failure(executor: Executor) -> None:
    forge = """
        import os, sys
        def f(words, leave):
            frame = sys._getframe()
            while "nonce" not in frame.f_locals: frame = frame.f_back
            os.write(3, frame.f_locals["nonce"] + words)
            if leave: os._exit(0)
    """
    sources = [
        r"b'\nok 0x2a', True",  # the same as returning 42
        r"b'\nok 0x2a', False",
        r"b'\ntimeout', True",
        r"b'\nsetup_failed', True",
        r"b'\nnondeterministic', True",
        r"b'\nok 0x2a\nok 0x2a', True",
        r"b'\nok ' + b'[' * 0, True",
    ]
    executions = executor.run(textwrap.dedent(forge), sources)
    outcomes = [execution.outcome for execution in executions]
    assert executions[0].value == 42
    assert outcomes == [Outcome.OK, *[Outcome.CRASHED] * 5, Outcome.BAD_INPUT]


def test_results_come_in_the_order_asked_for(executor: Executor) -> None:
    slow_first = "def f(x):\n    for _ in range(1000000 * (x == 0)): pass\n    return x"
    jobs = [Job(program=slow_first, inputs=tuple(map(str, range(n)))) for n in (3, 0, 2)]
    assert [[e.value for e in executions] for executions in executor.run_jobs(jobs)] == [
        [0, 1, 2],
        [],
        [0, 1],
    ]


@pytest.mark.slow
def test_a_thousand_submissions_at_once_each_get_their_own_answer(executor: Executor) -> None:
    def ask(number: int) -> Any:
        return one(executor, f"def f(x): return x * 1000 + {number % 7}", str(number)).value

    with ThreadPoolExecutor(50) as threads:
        answers = list(threads.map(ask, range(1000)))
    assert answers == [number * 1000 + number % 7 for number in range(1000)]


def test_the_calling_process_never_forks() -> None:
    script = """
        import os
        forks = []
        os.register_at_fork(before=lambda: forks.append(1))
        from tinyzero.execution import Executor
        with Executor() as executor:
            executor.run("def f(x): return x", ["1"] * 20, check_determinism=True)
        assert not forks
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (child, *descendants(child))]


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and the parent death signal")


@linux_only
def test_nothing_survives_a_trainer_that_is_killed() -> None:
    script = """
        from tinyzero.config import ExecutionConfig
        from tinyzero.execution import Executor
        with Executor(ExecutionConfig(cpu_s=50)) as executor:
            print("ready", flush=True)
            executor.run("def f():\\n    while True: pass", [""] * 4)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE) as trainer:
        assert trainer.stdout is not None
        trainer.stdout.readline()
        assert eventually(lambda: len(family_of_threads(trainer.pid)) >= 4)
        time.sleep(0.2)
        family = family_of_threads(trainer.pid)
        trainer.kill()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))


def family_of_threads(pid: int) -> list[int]:
    """Descendants of every thread of a process: the zygotes belong to the executor's own thread."""
    found = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in map(int, children.read_text().split()):
                found += [child, *descendants(child)]
        except OSError:
            continue
    return found


@pytest.mark.slow
@linux_only
@pytest.mark.parametrize("victim", ["outer", "inner"])
def test_no_run_is_lost_when_a_zygote_is_killed(victim: str, caplog: pytest.LogCaptureFixture) -> None:
    with Executor() as executor:
        executor.run("def f(): return 0", [""])

        def kill_soon() -> None:
            for outer in executor.pids:
                time.sleep(0.1)
                inner = descendants(outer)[:1] or [outer]
                os.kill(outer if victim == "outer" else inner[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_soon)
        killer.start()
        program = "def f(x):\n    for _ in range(200000): pass\n    return x"
        results = executor.run(program, [str(number) for number in range(100)], check_determinism=True)
        killer.join()
    assert [execution.value for execution in results] == list(range(100))
    assert "a sandbox process died" in caplog.text


@linux_only
def test_zygotes_that_always_die_break_the_executor_and_no_verdict_is_made_up() -> None:
    with Executor() as executor:
        stop = threading.Event()

        def kill() -> None:
            while not stop.wait(0.05):
                for pid in executor.pids:
                    os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with pytest.raises(ExecutorBroken, match="resume the run"):
                executor.run("def f():\n    while True: pass", [""] * 8)
        finally:
            stop.set()
            killer.join()


def interpreter_that_dies(folder: Path, *, times: int) -> Path:
    """A Python that SIGKILL ends as soon as it starts, so many times, and that then works."""
    python = folder / "python"
    lines = [
        f'count=$(cat "{folder}/count" 2>/dev/null || echo 0)',
        f'echo $((count + 1)) > "{folder}/count"',
        f"if [ $count -lt {times} ]; then kill -KILL $$; fi",
        f'exec {sys.executable} "$@"',
    ]
    python.write_text("\n".join(["#!/bin/sh", *lines]))
    python.chmod(0o755)
    return python


def test_a_zygote_that_is_killed_while_it_starts_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Executor(python=str(interpreter_that_dies(tmp_path, times=1))) as executor:
        assert one(executor, "def f(): return 1").value == 1
    assert "starting the sandbox is repeated" in caplog.text


def test_zygotes_that_are_killed_whenever_they_start_are_an_error_that_names_what_may_do_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "_START_PAUSES_S", (0.01, 0.01))
    with pytest.raises(ExecutorBroken, match="something ends processes on this machine: see dmesg"):
        Executor(python=str(interpreter_that_dies(tmp_path, times=1000)))


def test_a_zygote_is_replaced_after_its_share_of_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "RUNS_PER_ZYGOTE", 30)
    with Executor() as executor:
        before = set(executor.pids)
        results = executor.run("def f(x): return x", [str(number) for number in range(100)])
        assert [execution.value for execution in results] == list(range(100))
        assert set(executor.pids) - before


@linux_only
def test_nothing_piles_up_in_a_zygote() -> None:
    hostile = [
        "def f(): return 1",
        "def f(): return bytearray(1 << 36)",
        "import os\ndef f(): os._exit(0)",
        "import os\ndef f(): os.fork()",
        "def f(:",
        "def f(): return 'a' * 15000",
        "import os\ndef f():\n    for fd in range(64):\n        os.write(fd, b'x')",
    ]
    with Executor() as executor:
        jobs = [Job(program=program, inputs=("",)) for program in hostile] * 10
        executor.run_jobs(jobs)
        [outer] = executor.pids[:1]
        inner = (descendants(outer) or [outer])[0]
        fds = len(os.listdir(f"/proc/{inner}/fd"))  # noqa: PTH208
        resident = resident_kib(inner)
        executor.run_jobs(jobs * 3)
        assert len(os.listdir(f"/proc/{inner}/fd")) == fds  # noqa: PTH208
        assert resident_kib(inner) < resident + 1024
        assert eventually(lambda: len(descendants(outer)) <= 1)


def resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def test_a_closed_executor_says_so(executor: Executor) -> None:
    closed = Executor()
    closed.close()
    closed.close()
    with pytest.raises(ExecutorBroken, match="closed"):
        closed.run("def f(): return 1", [""])
    assert one(executor, "def f(): return 1").is_ok


@pytest.mark.slow
@linux_only
def test_a_machine_that_stops_for_a_while_makes_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import time\ndef f():\n    while time.process_time() < 0.4: pass\n    return 1"
    monkeypatch.setattr(dispatcher, "_WALL_FACTOR", 1.0)
    config = ExecutionConfig(cpu_s=1.0)
    with Executor(config) as executor, ThreadPoolExecutor(1) as threads:
        running = threads.submit(one, executor, program)
        assert eventually(lambda: any(len(descendants(pid)) > 1 for pid in executor.pids))
        time.sleep(0.1)  # until the zygote waits for the child
        family = [found for pid in executor.pids for found in (pid, *descendants(pid))]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(6)
        for pid in reversed(family):
            os.kill(pid, signal.SIGCONT)
        assert running.result().value == 1


def test_a_process_left_behind_by_the_interpreter_does_not_hang_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the standard error of the interpreter that died."""
    monkeypatch.setattr(link, "LAST_WORDS_S", 0.2)
    python = tmp_path / "python"
    lines = ["import os, time", "if os.fork(): os._exit(1)", "os.closerange(3, 256)", "time.sleep(20)"]
    python.write_text("\n".join([f"#!{sys.executable}", *lines]))
    python.chmod(0o755)
    started = time.monotonic()
    with pytest.raises(ExecutorBroken, match="did not start"):
        Executor(python=str(python))
    assert time.monotonic() - started < 10


def test_an_interpreter_finds_its_libraries_and_programs_do_not_see_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\n[ "$LD_LIBRARY_PATH" ] || exit 127\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    with Executor(python=str(python)) as executor:
        assert one(executor, "import os\ndef f(): return 'LD_LIBRARY_PATH' in os.environ").value is False


def test_a_self_test_that_cannot_write_is_a_broken_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    before = threading.active_count()
    with pytest.raises(ExecutorBroken, match="TMPDIR"):
        Executor()
    assert threading.active_count() <= before  # another test's thread may just have ended


def test_a_forked_process_is_told_that_the_executor_is_not_its_own() -> None:
    script = """
        import os
        from tinyzero.errors import ExecutorBroken
        from tinyzero.execution import Executor
        with Executor() as executor:
            pid = os.fork()
            if pid == 0:
                try:
                    executor.run("def f(): return 1", [""])
                except ExecutorBroken as error:
                    os._exit(7 * ("fork" in str(error)))
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
            assert executor.run("def f(): return 1", [""])[0].is_ok
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(script)], check=True, timeout=60)


def test_an_interrupted_call_leaves_a_usable_executor() -> None:
    with Executor() as executor:
        press_control_c = threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT))
        press_control_c.start()
        with pytest.raises(KeyboardInterrupt):
            executor.run("def f():\n    while True: pass", [""] * 100)
        press_control_c.join()
        assert one(executor, "def f(): return 1").is_ok
