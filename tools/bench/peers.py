"""How other ways of running a program compare: rates and CPU time of the same trivial program, in one go."""

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tinyzero.execution.executor import Executor
from tinyzero.types import Job

PROGRAM = "def f(x): return x + 1"
_CALL = f"{PROGRAM}\nassert f(41) == 42"
_IN_PROCESS = f"""
for _ in range(COUNT):
    names = {{}}
    exec({PROGRAM!r}, names)
    assert repr(eval("f(41)", names)) == "42"
"""
_IN_FORKS = f"""
import multiprocessing
def check(results):
    exec({_CALL!r}, {{}})
    results.append("passed")
for _ in range(COUNT):
    results = multiprocessing.Manager().list()
    process = multiprocessing.get_context("fork").Process(target=check, args=(results,))
    process.start()
    process.join(5)
    assert results[0] == "passed"
"""
_EVALPLUS = f"""
import numpy
from evalplus.eval import PASS, untrusted_check
for _ in range(COUNT):
    verdict, _ = untrusted_check("humaneval", {PROGRAM!r}, [[41]], "f", [42], 0, [0.1])
    assert verdict == PASS
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of one way to run programs; `cpu_ms` is CPU time of all its processes for a run."""

    runs_per_s: float
    cpu_ms: float


def compare(executor: Executor, num_runs: int = 400) -> dict[str, Speed]:
    """Way -> speed. Ours comes first, and is measured with as many runs in flight as it likes.

    Args:
        num_runs: of ours; the slower ways run fewer.
    """
    few = max(1, num_runs // 20)
    speeds = {
        "tinyzero": _of_ours(executor, [Job(program=PROGRAM, inputs=("41",))] * num_runs),
        "tinyzero, with the determinism check": _of_ours(
            executor, [Job(program=PROGRAM, inputs=("41",), check_determinism=True)] * num_runs
        ),
        "in one process, as Absolute Zero does (unsafe)": _of_script(_IN_PROCESS, 10 * num_runs),
        "fork and manager, as human-eval does (unsafe)": _of_script(_IN_FORKS, few),
    }
    commands = {"python -I -S -c (unsafe)": [sys.executable, "-I", "-S", "-c", _CALL]}
    if bubblewrap := shutil.which("bwrap"):
        shell = [bubblewrap, "--unshare-all", "--ro-bind", "/", "/"]
        commands["bwrap and python -I -S -c"] = [*shell, sys.executable, "-I", "-S", "-c", _CALL]
    for name, command in commands.items():
        if _works(command):
            speeds[name] = _measured(few, lambda command=command: _repeat(command, few))  # type: ignore[misc]
    if find_spec("evalplus"):
        speeds["evalplus"] = _of_script(_EVALPLUS, few)
    return speeds


def proposal_cpu_ms(executor: Executor, num_proposals: int = 40) -> dict[str, float]:
    """CPU time of verifying a proposal of one input and six others, in all processes of the sandbox."""
    checked = Job(program=PROGRAM, inputs=("41",), is_proposal=True, check_determinism=True)
    costs = {}
    for name, sharing in (("a process for each run", False), ("runs on other inputs share one", True)):
        others = Job(
            program=PROGRAM, inputs=("1", "2", "3", "4", "5", "6"), is_proposal=True, share_process=sharing
        )
        costs[name] = _of_ours(executor, [checked, others] * num_proposals, num_runs=num_proposals).cpu_ms
    return costs


def _of_ours(executor: Executor, jobs: list[Job], num_runs: int | None = None) -> Speed:
    before, started = _family_cpu_s(executor.pids), time.perf_counter()
    executor.run_jobs(jobs)
    seconds = time.perf_counter() - started
    count = num_runs or len(jobs)
    return Speed(runs_per_s=count / seconds, cpu_ms=1000 * (_family_cpu_s(executor.pids) - before) / count)


def _of_script(script: str, count: int) -> Speed:
    """Of a script that does COUNT runs; its own start does not count."""
    timed = f"import json, resource, time\nstarted = time.perf_counter()\n{script}\n{_TELL}"
    source = timed.replace("COUNT", str(count))
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    seconds, cpu_s = json.loads(done.stdout.splitlines()[-1])
    return Speed(runs_per_s=count / seconds, cpu_ms=1000 * cpu_s / count)


_TELL = """
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps([time.perf_counter() - started, sum(usage.ru_utime + usage.ru_stime for usage in usages)]))
"""


def _measured(count: int, call: Callable[[], None]) -> Speed:
    before, started = _children_cpu_s(), time.perf_counter()
    call()
    seconds = time.perf_counter() - started
    return Speed(runs_per_s=count / seconds, cpu_ms=1000 * (_children_cpu_s() - before) / count)


def _repeat(command: list[str], count: int) -> None:
    for _ in range(count):
        subprocess.run(command, check=True)


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _children_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _family_cpu_s(pids: list[int]) -> float:
    """CPU seconds of processes, of their descendants, and of all that these have waited for (Linux)."""
    tick = os.sysconf("SC_CLK_TCK")
    fields = [_stat(member) for pid in pids for member in (pid, *_descendants(pid))]
    return sum(sum(map(int, stat[11:15])) for stat in fields) / tick


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _descendants(pid: int) -> Iterator[int]:
    for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
        yield child
        yield from _descendants(child)
