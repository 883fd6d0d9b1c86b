"""Run untrusted programs and get a verdict on each run. The one class that other parts of TinyZero use."""

import logging
import marshal
import sys
import weakref
from collections.abc import Sequence
from functools import reduce
from types import TracebackType
from typing import Any, Self

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution.answers import ANSWERS, combined, execution_of
from tinyzero.execution.dispatcher import Dispatcher
from tinyzero.execution.link import Run
from tinyzero.execution.selftest import Probe, Tier, observe
from tinyzero.execution.values import BadLiteral, parse_arguments
from tinyzero.types import Execution, Job, Outcome

MAX_PROGRAM_CHARS = 1 << 18
"""A longer program is not even tried."""

log = logging.getLogger(__name__)


class Executor:
    """Runs programs that define `f`, each run in a fresh confined process.

        with Executor() as executor:
            [execution] = executor.run("def f(x): return x + 1", ["41"])
            assert execution.value == 42

    Programs may be hostile: see docs/security.md for what each tier promises. Results that are trees of
    exact builtin types come back as values; every other end has an `Outcome` of its own. All methods may
    be called from several threads at once. This process never forks and never evaluates what a program or
    a model wrote.

    Args:
        config: limits; the defaults suit small programs.
        python: interpreter for the programs, of the same version as this one.

    Raises:
        ExecutorBroken: the sandbox does not hold here, or only weakly and `config.allow_weak_sandbox` is off.
    """

    def __init__(self, config: ExecutionConfig | None = None, *, python: str = sys.executable) -> None:
        if sys.platform == "win32":
            raise ExecutorBroken("Windows cannot confine programs; run TinyZero in WSL2 (wsl --install)")
        self.config = config or ExecutionConfig()
        self._dispatcher = Dispatcher(self.config, python)
        self._finalizer = weakref.finalize(self, self._dispatcher.close)
        try:
            self._tier = self._observed_tier()
        except OSError as error:
            self.close()
            raise ExecutorBroken(
                f"the sandbox could not be tested: {error}; that takes a free port and a writable TMPDIR"
            ) from error
        except BaseException:
            self.close()
            raise

    @property
    def tier(self) -> Tier:
        """What was observed to be stopped when the executor started."""
        return self._tier

    @property
    def reports(self) -> list[dict[str, Any]]:
        """For the record: what each zygote set up (Landlock version, namespaces, user)."""
        return self._dispatcher.reports

    @property
    def pids(self) -> list[int]:
        """Of the zygotes, of which some come and go."""
        return self._dispatcher.pids

    @property
    def num_runs(self) -> int:
        """Processes that ran a program, so far."""
        return self._dispatcher.num_runs

    def run(
        self,
        program: str,
        inputs: Sequence[str],
        *,
        is_proposal: bool = False,
        check_determinism: bool = False,
    ) -> list[Execution]:
        """Run one program on several inputs; the arguments are those of `Job`."""
        job = Job(
            program=program,
            inputs=tuple(inputs),
            is_proposal=is_proposal,
            check_determinism=check_determinism,
        )
        return self.run_jobs([job])[0]

    def run_jobs(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        """One list per job, one execution per input, in order. Larger batches keep all cores busy.

        Raises:
            ExecutorBroken: the infrastructure failed again and again; no verdict is made up for that.
        """
        plans = [_Plan(job, source, self._cpu_s(job)) for job in jobs for source in job.inputs]
        for is_second in (False, True):
            runs = [plan.next_run(is_second=is_second) for plan in plans]
            self._dispatcher.execute([run for run in runs if run])
        executions = iter([plan.execution for plan in plans])
        return [[next(executions) for _ in job.inputs] for job in jobs]

    def close(self) -> None:
        """End all processes. Running twice is harmless."""
        self._finalizer()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _cpu_s(self, job: Job) -> float:
        return self.config.cpu_s / 2 if job.is_proposal else self.config.cpu_s

    def _observed_tier(self) -> Tier:
        tier, got_through = observe(self._run_probes)
        if tier is None:
            raise ExecutorBroken(f"the sandbox does not hold on this machine: {', '.join(got_through)}")
        if tier is Tier.WEAK and not self.config.allow_weak_sandbox:
            raise ExecutorBroken(
                f"this system cannot keep programs from your files and network ({', '.join(got_through)}); "
                "use Linux 5.13 or newer, or a virtual machine, or accept the risk with --allow-weak-sandbox"
            )
        log.info("sandbox tier %d: %s", tier, tier.description)
        return tier

    def _run_probes(self, probes: Sequence[Probe]) -> list[Execution]:
        runs = [
            Run(
                program=probe.program.encode(),
                arguments=marshal.dumps(()),
                cpu_s=probe.cpu_s,
                is_shifted=probe.is_shifted,
                is_probe=probe.layer == "landlock",
            )
            for probe in probes
        ]
        self._dispatcher.execute(runs)
        return [_execution(run) for run in runs]


class _Plan:
    """The runs that one input of a job needs, one after the other."""

    def __init__(self, job: Job, source: str, cpu_s: float) -> None:
        self._job = job
        self._cpu_s = cpu_s
        self._runs: list[Run] = []
        self._refused: Execution | None = None
        try:
            self._arguments = marshal.dumps(parse_arguments(source))
        except BadLiteral as error:
            self._refused = Execution(outcome=Outcome.BAD_INPUT, detail=str(error)[:80])
        if len(job.program) > MAX_PROGRAM_CHARS:
            self._refused = Execution(outcome=Outcome.SYNTAX_ERROR, detail="too_long")

    def next_run(self, *, is_second: bool) -> Run | None:
        """The first run; or the second, which decides about determinism where the first gave an answer."""
        is_wanted = self._refused is None
        if is_second:
            is_wanted &= self._job.check_determinism and self.execution.outcome in ANSWERS
        if not is_wanted:
            return None
        run = Run(
            program=self._job.program.encode("utf-8", "surrogatepass"),
            arguments=self._arguments,
            cpu_s=self._cpu_s * (1 + is_second),
            num_calls=1 + is_second,
            is_shifted=is_second,
        )
        self._runs.append(run)
        return run

    @property
    def execution(self) -> Execution:
        return self._refused or reduce(combined, map(_execution, self._runs))


def _execution(run: Run) -> Execution:
    return execution_of(run.ended, cpu_s=run.cpu_s, num_calls=run.num_calls)
