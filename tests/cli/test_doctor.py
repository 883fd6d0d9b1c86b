import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tinyzero.cli.bench import bench
from tinyzero.cli.doctor import doctor

ITEM = {
    "name": "one", "kind": "benign", "code": "def f(x): return x", "input": "1", "expect": "ok", "also": [],
    "value": "1", "canary": None,
}  # fmt: skip


def run(command: Any, *arguments: str) -> tuple[int, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "items.py"
    path.write_text(f"ITEMS = {[ITEM, {**ITEM, 'name': 'two', 'kind': 'attack', 'expect': 'banned'}]!r}")
    return path


def test_an_attack_on_a_file_prints_one_object_and_fails_with_its_items(corpus: Path) -> None:
    code, output = run(doctor, "--attack", str(corpus), "--json")
    report = json.loads(output)
    assert code == 1
    assert report["tier"] in (1, 2, 3)
    assert report["items"][0] == {
        "name": "one", "kind": "benign", "outcome": "ok", "value_ok": True, "canary_ok": True, "passed": True,
    }  # fmt: skip
    assert not report["items"][1]["passed"]
    assert {name: report[name] for name in ("attacks_passed", "attacks", "benign_passed", "benign")} == {
        "attacks_passed": 0, "attacks": 1, "benign_passed": 1, "benign": 1,
    }  # fmt: skip
    assert report["executions_per_s"] > 0


def test_an_attack_prints_a_line_for_each_item_and_a_summary(corpus: Path) -> None:
    code, output = run(doctor, "--attack", str(corpus))
    lines = output.splitlines()
    assert code == 1
    assert [line.split() for line in lines[:2]] == [
        ["ok", "benign", "one", "ok"],
        ["FAIL", "attack", "two", "ok"],
    ]
    assert "0/1 attacks stopped, 1/1 honest programs right" in lines[2]


def test_all_items_passing_is_exit_code_0(tmp_path: Path) -> None:
    path = tmp_path / "items.py"
    path.write_text(f"ITEMS = [{ITEM!r}]")
    assert run(doctor, "--attack", str(path))[0] == 0


def test_a_bare_doctor_looks_at_the_machine() -> None:
    code, output = run(doctor, "--json")
    facts = json.loads(output)
    assert code == 0
    assert set(facts) == {"python", "platform", "torch", "cuda", "sandbox", "disk", "unsloth"}
    assert facts["sandbox"].startswith("tier ")


def test_a_file_without_attack_is_refused(corpus: Path) -> None:
    code, output = run(doctor, str(corpus))
    assert code == 2
    assert "--attack" in output


def test_what_cannot_be_measured_is_refused() -> None:
    code, output = run(bench, "weather")
    assert code == 2
    assert "weather" in output
