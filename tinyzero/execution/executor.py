"""Runs untrusted programs, with an execution per run. Other parts of TinyZero use only this class."""

import logging
import marshal
import sys
import weakref
from asyncio import to_thread
from collections.abc import Iterable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

from tinyzero.config import ExecutionConfig
from tinyzero.errors import ExecutorBroken
from tinyzero.execution import nursery
from tinyzero.execution.dispatcher import Batch, Dispatcher
from tinyzero.execution.link import Run
from tinyzero.execution.plans import (
    JobPlan,
    ScriptPlan,
    check_text,
    checked_job,
    checked_sources,
    execution_of_run,
    executions_of,
    first_runs,
    second_runs,
    take_shared,
    with_room,
)
from tinyzero.execution.selftest import SelfTest, Tier, observe
from tinyzero.types import Execution, Job

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
        """The tier that the self-test observed when the executor started."""
        return self._tier

    @property
    def reports(self) -> list[dict[str, Any]]:
        """For the logs: the setup of each zygote (Landlock version, namespaces, user)."""
        return self._dispatcher.reports

    @property
    def pids(self) -> list[int]:
        """Process ids of the zygotes; they change when zygotes are replaced."""
        return self._dispatcher.pids

    @property
    def num_runs(self) -> int:
        """Number of processes that have run a program so far."""
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
            inputs=checked_sources(inputs),
            is_proposal=is_proposal,
            check_determinism=check_determinism,
        )
        return self.run_jobs([job])[0]

    def run_script(self, program: str, stdin: str = "") -> Execution:
        """Run a program as a script that reads `stdin`; `stdout` of the result is its output.

        The sandbox and its limits are those of `run`. At most 60,000 bytes of output are read; more is a
        separate outcome. Standard error is discarded.
        """
        return self.run_scripts([(program, stdin)])[0]

    def run_scripts(self, scripts: Iterable[tuple[str, str]]) -> list[Execution]:
        """Run many scripts, given as (program, stdin), at once; one execution each, in order."""
        return self._run_scripts(list(scripts), Batch(()))

    def run_jobs(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        """One list per job, one execution per input, in order. Larger batches keep all cores busy.

        Raises:
            ExecutorBroken: the infrastructure failed repeatedly; this is never reported as a verdict.
        """
        return self._run_jobs(jobs, Batch(()))

    async def run_jobs_async(self, jobs: Sequence[Job]) -> list[list[Execution]]:
        """`run_jobs` for asyncio: cancelling the task ends its runs, and no others."""
        batch = Batch(())
        try:
            return await to_thread(self._run_jobs, jobs, batch)
        except BaseException:
            self._dispatcher.cancel(batch)
            raise

    async def run_scripts_async(self, scripts: Iterable[tuple[str, str]]) -> list[Execution]:
        """`run_scripts` for asyncio: cancelling the task ends its runs, and no others."""
        batch = Batch(())
        try:
            return await to_thread(self._run_scripts, list(scripts), batch)
        except BaseException:
            self._dispatcher.cancel(batch)
            raise

    def cancel(self) -> None:
        """End all current runs, from any thread: callers that wait for them get an ExecutorBroken.

        The executor stays usable. A thread that asyncio has abandoned (`to_thread`) keeps waiting, and so do
        its runs, until this method ends them. `run_jobs_async` does this automatically.
        """
        self._dispatcher.cancel_all()

    def _run_jobs(self, jobs: Sequence[Job], batch: Batch) -> list[list[Execution]]:
        def planned() -> list[JobPlan]:
            return [JobPlan(checked_job(job), self._cpu_s(job)) for job in jobs]

        plans = with_room(planned)
        self._execute([run for plan in plans for run in plan.shared_run()], batch)
        with_room(lambda: take_shared(plans))
        for next_runs in (first_runs, second_runs):
            self._execute(with_room(partial(next_runs, plans)), batch)
        return with_room(lambda: executions_of(plans))

    def _run_scripts(self, scripts: Sequence[tuple[str, str]], batch: Batch) -> list[Execution]:
        for program, stdin in scripts:
            check_text("program", program)
            check_text("stdin", stdin)
        plans = [ScriptPlan(program, stdin, self.config.cpu_s) for program, stdin in scripts]
        self._execute([run for plan in plans for run in plan.runs()], batch)
        return with_room(lambda: [plan.execution for plan in plans])

    def _execute(self, runs: Sequence[Run], batch: Batch) -> None:
        batch.extend(runs)
        self._dispatcher.execute(batch)

    def close(self) -> None:
        """End all processes. A second call is harmless."""
        self._finalizer()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Executor cannot be copied or pickled, since its processes belong to this one; make one where "
            "you need it, or run the programs here and pass on the executions"
        )

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

    def _run_probes(self, probes: Sequence[SelfTest]) -> list[Execution]:
        runs = [
            Run(
                program=probe.program.encode(),
                arguments=marshal.dumps(()),
                cpu_s=probe.cpu_s,
                is_shifted=probe.is_shifted,
                mode=nursery.PROBE if probe.layer == "landlock" else nursery.CALLS,
            )
            for probe in probes
        ]
        self._execute(runs, Batch(()))
        return [execution_of_run(run) for run in runs]
