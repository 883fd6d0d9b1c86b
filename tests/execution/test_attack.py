"""Every attack and honest program of the corpus, as the user of this process and as an unprivileged one."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import tinyzero
from tinyzero.config import ExecutionConfig
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor
from tinyzero.execution.attack import Item, attack, load_items, packaged_items
from tinyzero.types import Outcome

CPU_S = 0.5
"""Enough for a memory bomb to reach the memory limit, on a slow machine too."""


@pytest.mark.slow
def test_every_item_goes_as_it_should() -> None:
    with Executor(ExecutionConfig(cpu_s=CPU_S)) as executor:
        report = attack(executor, packaged_items())
    assert [item for item in report.items if not item.passed] == []
    assert (report.count("attack"), report.count("benign")) == (115, 39)


MORE = Path(__file__).with_name("more_programs.toml")
PLANTED = Path("/tmp/tz_attack/plant")


def more_items() -> list[Item]:
    tables = tomllib.loads(MORE.read_text(encoding="utf-8"))
    return [Item(kind=kind, **item) for kind in ("attack", "benign") for item in tables[kind]]


@pytest.mark.slow
def test_every_item_of_the_second_file_goes_as_it_should() -> None:
    PLANTED.mkdir(parents=True, exist_ok=True)
    (PLANTED / "planted.py").write_text("X = 1")
    (PLANTED / "moveme").touch()
    with Executor(ExecutionConfig(cpu_s=CPU_S)) as executor:
        report = attack(executor, more_items())
    assert [item for item in report.items if not item.passed] == []
    assert report.count("attack") + report.count("benign") == 128


def system_python() -> str | None:
    """An interpreter that other users can start: a home folder is often closed to them."""
    for python in (sys.executable, "/usr/bin/python3"):
        check = [python, "-P", "-c", "import json"]
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run(
                check, user=1001, group=1001, extra_groups=[], stderr=subprocess.DEVNULL, check=True
            )
            return python
    return None


@pytest.fixture
def open_copy() -> Iterator[Path]:
    """The package where every user can read it: a checkout may lie in a closed home folder."""
    folder = Path(tempfile.mkdtemp(prefix="tinyzero-"))
    folder.chmod(0o755)
    package = Path(tinyzero.__file__).parent
    shutil.copytree(package, folder / "tinyzero", ignore=shutil.ignore_patterns("nano", "__pycache__"))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="already an unprivileged user")
def test_every_item_goes_as_it_should_without_privileges(open_copy: Path) -> None:
    python = system_python()
    if python is None:
        pytest.skip("no interpreter that other users can start")
    script = f"""
        import json, os
        from tinyzero.config import ExecutionConfig
        from tinyzero.execution import Executor
        from tinyzero.execution.attack import attack
        from tinyzero.execution.attack import packaged_items
        os.setgroups([])
        os.setresgid(1001, 1001, 1001)
        os.setresuid(1001, 1001, 1001)
        with Executor(ExecutionConfig(cpu_s={CPU_S}), python={python!r}) as executor:
            print(json.dumps(attack(executor, packaged_items()).as_json()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, cwd=open_copy
    )  # `-c` looks there first
    report = json.loads(done.stdout)
    assert [item for item in report["items"] if not item["passed"]] == []


def test_a_wrong_value_a_wrong_outcome_and_a_canary_fail_an_item(tmp_path: Path, executor: Executor) -> None:
    canary = tmp_path / "canary"
    item = Item(name="a", kind="benign", code="def f(): return 2", input="", expect="ok")
    items = [
        replace(item, value="2"),
        replace(item, value="1 + 1"),
        replace(item, value="2.0"),
        replace(item, expect="timeout"),
        replace(item, expect="timeout", also=("ok",)),
        replace(item, canary=str(canary)),
    ]
    canary.touch()
    report = attack(executor, items)
    assert [item.passed for item in report.items] == [True, True, False, False, True, True]
    assert [item.value_ok for item in report.items] == [True, True, False, True, True, True]
    assert not canary.exists()
    assert report.as_json()["benign_passed"] == 4


@pytest.mark.parametrize(
    "text",
    [
        "ITEMS = [{item!r}]",
        "from typing import Any\nITEMS: list[Any] = [{item!r}]",
        "ITEM = {item!r}\nITEMS = [ITEM]",
        "ITEMS = []\nITEMS.append({item!r})",
    ],
)
def test_items_are_read_from_a_file(tmp_path: Path, text: str) -> None:
    item = Item(name="a", kind="attack", code="def f(): return 2", input="", expect="ok", also=("oom",))
    fields = {name: value for name, value in asdict(item).items() if name != "why"}
    path = tmp_path / "items.py"
    path.write_text(text.format(item=fields))
    assert load_items(path) == [item]


def test_every_item_of_the_corpus_has_its_own_name_and_a_known_outcome() -> None:
    items = packaged_items()
    assert len({item.name for item in items}) == len(items) == 154
    assert {outcome for item in items for outcome in (item.expect, *item.also)} <= set(Outcome)
    assert all(item.why for item in items)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "ITEMS"),
        ("ITEMS = []", "empty"),
        ("ITEMS = [1]", "ITEMS"),
        ("ITEMS = [{}]", "lacks"),
        ("(", "read"),
    ],
)
def test_a_file_without_items_is_an_error_of_the_user(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "items.py"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        load_items(path)
    with pytest.raises(ConfigError, match=r"missing\.py"):
        load_items(tmp_path / "missing.py")
