"""Measurements of the executor: how exact its timeouts are, and what hostile programs leave behind."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import quantiles

from tinyzero.execution.executor import Executor
from tinyzero.types import Job, Outcome

TRIVIAL = "def f(x): return x + 1"
LOOP = "def f(x):\n    while True: pass"
BUSY = "import time\ndef f(share):\n    while time.process_time() < share: pass\n    return 1"
HOSTILE = (
    TRIVIAL,
    "def f(x): return len(bytearray(1 << 36))",
    "import os\ndef f(x): os._exit(0)",
    "import os\ndef f(x): os.fork()",
    "def f(x return x",
    "def f(x): return ['a' * 10000] * 5",
    "def f(x): return open('/tmp/tinyzero-bench', 'w')",
    "import os\ndef f(x):\n  for fd in range(64):\n    try: os.write(fd, b'x')\n    except OSError: pass",
)
"""An equal share of each; plus one endless loop in a hundred."""


def batch_with_loops(executor: Executor, num_runs: int = 2000) -> dict[str, float]:
    """One endless loop in twenty; the overshoot is CPU time beyond the limit."""
    jobs = [Job(program=LOOP if number % 20 == 0 else TRIVIAL, inputs=("1",)) for number in range(num_runs)]
    started = time.perf_counter()
    executions = [execution for [execution] in executor.run_jobs(jobs)]
    seconds = time.perf_counter() - started
    loops = executions[::20]
    overshoot = [1000 * (loop.cpu_s - executor.config.cpu_s) for loop in loops]
    wrong = sum(loop.outcome is not Outcome.TIMEOUT for loop in loops)
    wrong += sum(execution.outcome is Outcome.TIMEOUT for execution in executions) - (len(loops) - wrong)
    return {"batch_s": seconds, **_percentiles("overshoot_ms", overshoot), "batch_wrong_verdicts": wrong}


def wrong_timeouts(executor: Executor, num_runs: int = 64, oversubscription: int = 4) -> dict[str, float]:
    """Honest programs that need 60 % of their CPU time, beside four busy processes for each core."""
    share = str(0.6 * executor.config.cpu_s)
    with _busy_processes(oversubscription * (os.cpu_count() or 1)):
        executions = executor.run(BUSY, [share] * num_runs)
    return {"wrong_timeouts": sum(not execution.is_ok for execution in executions), "of": num_runs}


def leftovers(executor: Executor, num_runs: int) -> dict[str, float]:
    """What has grown after hostile programs: memory, descriptors, processes and temporary files."""
    _hostile(executor, 400)
    before = _holdings(executor)
    started = time.perf_counter()
    _hostile(executor, num_runs)
    seconds = time.perf_counter() - started
    after = _holdings(executor)
    growth = {f"{name}_growth": after[name] - before[name] for name in before}
    return {"hostile_runs": num_runs, "hostile_s": seconds, **growth}


def _hostile(executor: Executor, num_runs: int) -> None:
    programs = [LOOP if number % 100 == 99 else HOSTILE[number % len(HOSTILE)] for number in range(num_runs)]
    for start in range(0, num_runs, 2000):
        executor.run_jobs([Job(program=program, inputs=("1",)) for program in programs[start : start + 2000]])


def _holdings(executor: Executor) -> dict[str, int]:
    family = [found for pid in executor.pids for found in (pid, *_descendants(pid))]
    return {
        "zygote_rss_kib": sum(_resident_kib(pid) for pid in family),
        "zygote_fds": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in family),
        "trainer_fds": len(list(Path("/proc/self/fd").iterdir())),
        "processes": len(family),
        "temporary_files": len(list(Path(tempfile.gettempdir()).iterdir())),
    }


def _descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [found for child in map(int, children) for found in (child, *_descendants(child))]


def _resident_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@contextmanager
def _busy_processes(count: int) -> Iterator[None]:
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _percentiles(name: str, values: Sequence[float]) -> dict[str, float]:
    cuts = quantiles(values, n=100)
    return {f"{name}_p50": cuts[49], f"{name}_p99": cuts[98]}
