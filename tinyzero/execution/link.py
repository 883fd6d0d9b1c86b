"""The parent's side of one zygote: starts it, sends runs, receives reports, ends it."""

import json
import os
import socket
import subprocess
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyzero.errors import ExecutorBroken
from tinyzero.execution import nursery, zygote
from tinyzero.execution.answers import Ended
from tinyzero.foreign import parse_json_object

_START_S = 30.0
"""A zygote starts in 0.1 seconds; after this time it never will."""
LAST_WORDS_S = 2.0
"""Time for descendants of a dead zygote to close its standard error."""

_NOT_YET = Ended(nursery.NOT_FORKED, 0, 0.0, 0.0, b"it was never tried")


class StartInterrupted(ExecutorBroken):
    """A zygote was ended from outside, or sent nothing in time, before it was ready: worth another try."""


class LinkLost(Exception):
    """The zygote is gone; the state of its runs is unknown."""


@dataclass(eq=False, slots=True)
class Run:
    """One run of a program, in one forked child.

    Attributes:
        is_shifted: whether it runs in a zygote with the other hash seed and the shifted clock.
        program: UTF-8; arguments: marshalled.
        mode: as in `nursery`.
        attempts: number of failed tries; pauses: number of times the machine had no room for it.
        ended: the zygote's report on its end.
    """

    program: bytes
    arguments: bytes
    cpu_s: float
    num_calls: int = 1
    is_shifted: bool = False
    mode: int = nursery.CALLS
    attempts: int = 0
    pauses: int = 0
    ended: Ended = _NOT_YET


@dataclass(frozen=True, slots=True, kw_only=True)
class ZygoteSettings:
    """The settings of a zygote; the zygote reads them under these names.

    Attributes:
        backstop_s: CPU seconds after which the kernel kills a child, the same for all children.
        sleep_s: maximum seconds that a call may sleep.
    """

    seed: int
    clock_offset_s: int
    slots: int
    wall_factor: float
    memory_mib: int
    backstop_s: int = 60
    sleep_s: float = 1.0


@dataclass(eq=False, slots=True)
class Link:
    """A zygote, the socket to it, and the runs it has been given."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    is_shifted: bool
    report: dict[str, Any] = field(default_factory=dict)
    given: dict[int, Run] = field(default_factory=dict)
    num_given: int = 0
    _unsent: deque[memoryview] = field(default_factory=deque)
    _inbox: bytearray = field(default_factory=bytearray)

    def give(self, run: Run) -> None:
        """Send a run, as far as the socket accepts it now."""
        self.num_given += 1
        run_id = self.num_given
        self.given[run_id] = run
        header = nursery.RUN.pack(
            run_id, len(run.program), len(run.arguments), run.cpu_s, run.num_calls, run.mode
        )
        self._unsent.append(memoryview(header + run.program + run.arguments))
        self.flush()

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    def flush(self) -> None:
        """Send the waiting bytes.

        Raises:
            LinkLost: the zygote is gone.
        """
        try:
            while self._unsent:
                sent = self.socket.send(self._unsent[0])
                self._unsent[0] = self._unsent[0][sent:]
                if not self._unsent[0]:
                    self._unsent.popleft()
        except BlockingIOError:
            pass
        except OSError as error:
            raise LinkLost from error

    def receive(self) -> Iterator[Run]:
        """Runs that have ended since the last call.

        Raises:
            LinkLost: after the last of them.
        """
        try:
            received = self.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError as error:
            raise LinkLost from error
        self._inbox += received
        for run_id, ended in self._frames():
            run = self.given.pop(run_id, None)
            if run is None:
                raise LinkLost
            run.ended = ended
            yield run
        if not received:
            raise LinkLost

    def _frames(self) -> Iterator[tuple[int, Ended]]:
        start, header_size = 0, nursery.ENDED.size
        while len(self._inbox) - start >= header_size:
            size, run_id, reason, status, cpu_s, wall_s = nursery.ENDED.unpack_from(self._inbox, start)
            end = start + header_size + size
            if len(self._inbox) < end:
                break
            answer = bytes(self._inbox[start + header_size : end])
            start = end
            yield run_id, Ended(reason, status, cpu_s, wall_s, answer)
        del self._inbox[:start]

    def wait_until_ready(self) -> None:
        """Receive the zygote's report on its own setup.

        Raises:
            StartInterrupted: it was killed before it sent a report, or sends none in time.
            ExecutorBroken: it failed by itself, or reports an error.
        """
        self.socket.settimeout(_START_S)
        try:
            header = self._exactly(nursery.ENDED.size)
            self.report = parse_json_object(self._exactly(nursery.ENDED.unpack(header)[0]))
        except (OSError, ValueError) as error:
            has_failed = self._has_failed()
            words = f"the sandbox process did not start: {self.last_words() or error}"
            if has_failed:
                raise ExecutorBroken(words) from error
            raise StartInterrupted(
                f"{words}; something ends processes on this machine: see dmesg for a lack of memory, and "
                "look for a memory limit (a container's, ulimit -v) or a watchdog"
            ) from error
        if "error" in self.report:
            raise ExecutorBroken(f"the sandbox process could not set itself up: {self.report['error']}")
        self.socket.settimeout(0)

    def _has_failed(self) -> bool:
        """Whether the process has ended with an error of its own, not by a signal, and is not just late."""
        try:
            return self.process.wait(LAST_WORDS_S) > 0
        except subprocess.TimeoutExpired:
            return False

    def _exactly(self, size: int) -> bytes:
        taken = b""
        while len(taken) < size:
            received = self.socket.recv(size - len(taken))
            if not received:
                raise ConnectionResetError("it ended before it was ready")
            taken += received
        return taken

    def last_words(self) -> str:
        """The last standard error output of a dead or dying zygote. Closes the connection."""
        self.socket.close()
        self.process.kill()
        try:
            _, words = self.process.communicate(timeout=LAST_WORDS_S)
        except subprocess.TimeoutExpired as error:  # a descendant holds the pipe open
            words = error.stderr or b""
        return words.decode(errors="replace").strip()[-2000:]

    def close(self, patience_s: float = 2.0) -> None:
        """Close the connection, which ends the zygote and its children, and make sure that it ends."""
        self.socket.close()
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()


def _where_libraries_are() -> dict[str, str]:
    """Environment variables that the interpreter may need to start; the zygote removes them."""
    return {name: os.environ[name] for name in zygote.FORGOTTEN if name in os.environ}


def start(settings: ZygoteSettings, *, python: str, parent_pid: int, is_shifted: bool) -> Link:
    """Start a zygote; it is usable after `wait_until_ready`.

    The calling thread must outlive it: the kernel kills the zygote when that thread ends.
    """
    arguments = {name: getattr(settings, name) for name in settings.__slots__} | {"parent_pid": parent_pid}
    return launch(Path(zygote.__file__), arguments, python=python, seed=settings.seed, is_shifted=is_shifted)


def launch(
    script: Path, arguments: Mapping[str, Any], *, python: str, seed: int, is_shifted: bool = False
) -> Link:
    """Start a script by its path, in an interpreter that sees only the standard library.

    Its command line has the number of its end of the socket, and `arguments` as JSON. subprocess uses vfork
    here, so the parent's memory is not copied.
    """
    ours, theirs = socket.socketpair()
    # -I would ignore the hash seed; -P -s and a controlled environment isolate equally well.
    command = [python, "-P", "-s", "-S", "-B", "-W", "ignore", str(script.resolve())]
    try:
        process = subprocess.Popen(
            [*command, str(theirs.fileno()), json.dumps(arguments)],
            pass_fds=[theirs.fileno()],
            env={
                "PYTHONHASHSEED": str(seed),
                "LC_ALL": "C.UTF-8",
                "TZ": "UTC",
                **_where_libraries_are(),
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        ours.close()
        raise ExecutorBroken(f"{python} cannot be started: {error}") from error
    finally:
        theirs.close()
    return Link(process=process, socket=ours, is_shifted=is_shifted)
