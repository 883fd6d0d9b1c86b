"""Tests what this machine's sandbox really stops, by attacking it at its start."""

import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tinyzero.types import Execution, Outcome


class Tier(IntEnum):
    """What a program cannot do here. Each tier includes the lower ones. docs/security.md has the details."""

    WEAK = 1
    """It cannot cheat: a clean process per run, limits, no gold answers. It could read files and connect."""
    CONFINED = 2
    """It also cannot reach files, the network or other processes: seccomp works."""
    DOUBLY_CONFINED = 3
    """Even without seccomp, Landlock keeps it from files."""

    @property
    def description(self) -> str:
        return {
            Tier.WEAK: "limits only: programs could read your files and use the network",
            Tier.CONFINED: "no files, network or processes (seccomp)",
            Tier.DOUBLY_CONFINED: "no files, network or processes (seccomp and Landlock)",
        }[self]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """A small attack, and the test that it failed.

    Attributes:
        layer: the tested layer: `limits`, `confinement`, or `landlock` (then seccomp is off).
        is_shifted: whether it runs in a zygote with the shifted clock.
    """

    name: str
    layer: str
    program: str
    is_stopped: Callable[[Execution], bool]
    cpu_s: float = 0.25
    is_shifted: bool = False


def probes(folder: Path, port: int) -> list[SelfTest]:
    """The attacks. They try to write files in `folder`, and a server listens on `port` of this machine."""

    def never_ok(execution: Execution) -> bool:
        return not execution.is_ok

    def writes(name: str) -> str:
        return f"def f():\n    open({str(folder / name)!r}, 'w').write('x')\n    return 1"

    def unwritten(name: str) -> Callable[[Execution], bool]:
        return lambda execution: not execution.is_ok and not (folder / name).exists()

    def gives(*outcomes: Outcome) -> Callable[[Execution], bool]:
        return lambda execution: execution.outcome in outcomes

    def honest(execution: Execution) -> bool:
        return execution.is_ok and execution.value == 1

    read = f"def f():\n    return open({str(folder / 'secret')!r}).read()"
    poison = (
        "import builtins, os, json\nbuiltins.repr = builtins.hex = os.write = json.dumps = lambda *a: '0x2'\n"
    )
    forge = "import os\ndef f():\n    os.write(3, b'ok 0x2')\n    os._exit(0)"
    clock = "import time\ndef f():\n    return time.time() // 86400"
    connect = (
        "def f():\n    import _socket\n    s = _socket.socket()\n"
        f"    s.connect(('127.0.0.1', {port}))\n    return 1"
    )
    return [
        SelfTest("loop", "limits", "def f():\n    while True: pass", gives(Outcome.TIMEOUT), cpu_s=0.05),
        SelfTest(
            "memory", "limits", "def f():\n    return len(bytearray(1 << 34))", gives(Outcome.OUT_OF_MEMORY)
        ),
        SelfTest("flood", "limits", "def f():\n    return [0] * 10 ** 6", gives(Outcome.OUTPUT_TOO_LARGE)),
        SelfTest("forged result", "limits", forge, gives(Outcome.CRASHED)),
        SelfTest("poisoned process", "limits", f"{poison}def f():\n    return 1", honest),
        SelfTest("process after a poisoned one", "limits", "def f():\n    return 1", honest),
        SelfTest("write a file", "confinement", writes("one"), unwritten("one")),
        SelfTest("read a file", "confinement", read, never_ok),
        SelfTest("fork", "confinement", "import os\ndef f():\n    os.fork()\n    return 1", never_ok),
        SelfTest(
            "thread",
            "confinement",
            "import _thread\ndef f():\n    _thread.start_new_thread(int, ())",
            never_ok,
        ),
        SelfTest(
            "signal",
            "confinement",
            "import os\ndef f():\n    os.kill(os.getppid(), 0)\n    return 1",
            never_ok,
        ),
        SelfTest("network", "confinement", connect, never_ok),
        SelfTest("write a file, without seccomp", "landlock", writes("two"), unwritten("two")),
        SelfTest("read a file, without seccomp", "landlock", read, never_ok),
        SelfTest("read the clock", "clock", clock, lambda execution: execution.is_ok),
        SelfTest(
            "read the shifted clock", "clock", clock, lambda execution: execution.is_ok, is_shifted=True
        ),
    ]


def observe(run_probes: Callable[[Sequence[SelfTest]], list[Execution]]) -> tuple[Tier | None, list[str]]:
    """The tier that the probes prove (None if not even limits hold), and the attacks that worked."""
    with (
        tempfile.TemporaryDirectory(prefix="tinyzero-") as name,
        socket.create_server(("127.0.0.1", 0)) as server,
    ):
        folder = Path(name)
        folder.chmod(0o777)  # the sandbox must stop the attack, not the file's permissions
        (folder / "secret").write_text("secret")
        attacks = probes(folder, server.getsockname()[1])
        executions = run_probes(attacks)
        got_through = [
            probe
            for probe, execution in zip(attacks, executions, strict=True)
            if not probe.is_stopped(execution)
        ]
    honest, shifted = (execution.value for execution in executions[-2:])
    layers = {probe.layer for probe in got_through}
    names = [probe.name for probe in got_through]
    if layers & {"limits", "clock"} or not 300 < shifted - honest < 500:
        return None, names or ["clocks that agree"]
    if "confinement" in layers:
        return Tier.WEAK, names
    return Tier.CONFINED if "landlock" in layers else Tier.DOUBLY_CONFINED, names
