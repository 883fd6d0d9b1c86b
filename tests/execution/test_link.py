import marshal
import os
import sys
import time
from collections.abc import Iterator

import pytest

from tinyzero.execution import nursery
from tinyzero.execution.link import Link, Run, ZygoteSettings, start


@pytest.fixture
def link() -> Iterator[Link]:
    settings = ZygoteSettings(seed=1, clock_offset_s=0, slots=2, wall_factor=4.0, memory_mib=512)
    link = start(settings, python=sys.executable, parent_pid=os.getpid(), is_shifted=False)
    link.wait_until_ready()
    yield link
    link.close()


def run_of(program: str) -> Run:
    return Run(program=program.encode(), arguments=marshal.dumps(()), cpu_s=0.1)


def test_a_run_that_ends_while_the_zygote_waits_for_its_parent_is_not_late(link: Link) -> None:
    """The parent sends half of a second task, and is held up for longer than the first run's wall time."""
    first = run_of("import time\ndef f():\n    while time.process_time() < 0.05: pass\n    return 1")
    second = run_of("def f(): return 2")
    link.give(first)
    time.sleep(0.05)
    link.given[2] = second
    header = nursery.RUN.pack(2, len(second.program), len(second.arguments), second.cpu_s, 1, False)
    link.socket.sendall(header)
    time.sleep(0.8)
    link.socket.sendall(second.program + second.arguments)
    link.socket.settimeout(10)
    ended: list[Run] = []
    while len(ended) < 2:
        ended += link.receive()
    assert [first.ended.reason, second.ended.reason] == [nursery.FINISHED] * 2
