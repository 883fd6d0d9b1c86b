import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tinyzero.cli.bench import bench
from tinyzero.cli.doctor import doctor
from tinyzero.machine.evidence import never_run
from tinyzero.machine.inspection import Sandbox
from tinyzero.machine.kernels import Trial

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


@pytest.fixture(scope="module")
def looked() -> tuple[int, Any]:
    code, output = run(doctor, "--json")
    return code, json.loads(output)


def test_a_bare_doctor_checks_everything_that_training_needs(looked: tuple[int, Any]) -> None:
    code, report = looked
    names = [check["name"] for check in report["checks"]]
    assert names[:8] == ["python", "packages", "torch", "driver", "gpu", "dtype", "4 bit", "lm head"]
    assert {"unsloth", "vllm", "sandbox", "disk", "preset"} <= set(names)
    broken = [check for check in report["checks"] if check["status"] == "broken"]
    assert (code, report["is_ready"]) == ((1, False) if broken else (0, True))
    assert all(check["remedy"] for check in broken)


def test_the_kernels_really_ran(looked: tuple[int, Any]) -> None:
    (check,) = [check for check in looked[1]["checks"] if check["name"] == "4 bit"]
    assert check["status"] == "ok"
    assert "NF4 there and back, a product, 8-bit AdamW" in check["found"]


def test_a_doctor_names_what_was_never_run_on_a_gpu(looked: tuple[int, Any]) -> None:
    unproven = looked[1]["never_run_on_a_gpu"]
    assert unproven == never_run()


def test_the_report_fits_a_small_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, output = run(doctor)
    lines = output.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "ready to train" if code == 0 else lines[-1].startswith("in the way of training: ")
    assert any(line.startswith("ok      python    3.1") for line in lines)


def test_something_broken_is_exit_code_1_and_the_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from tinyzero.machine import inspection

    monkeypatch.setattr(inspection, "ask_sandbox", lambda: Sandbox(error="no processes"))
    code, output = run(doctor)
    assert code == 1
    assert "broken  sandbox   does not start: no processes\n                  -> docs/security.md" in output
    assert output.splitlines()[-1] == "in the way of training: sandbox"


def test_kernels_that_compute_nonsense_are_found_out() -> None:
    good = {"round_trip": 0.092, "product": 0.0, "step": 1e-4}
    assert Trial(**good).faults == []
    assert Trial(**good | {"round_trip": 1.0}).faults == ["NF4 weights come back 100.0% off"]
    assert Trial(**good | {"round_trip": 0.0}).faults == ["NF4 weights come back 0.0% off"]
    assert Trial(**good | {"product": 0.5}).faults == ["a 4-bit product is 50.0% off"]
    assert Trial(**good | {"step": float("nan")}).faults == ["a step of 8-bit AdamW is nan% off"]


def test_a_file_without_attack_is_refused(corpus: Path) -> None:
    code, output = run(doctor, str(corpus))
    assert code == 2
    assert "--attack" in output


def test_what_cannot_be_measured_is_refused() -> None:
    code, output = run(bench, "weather")
    assert code == 2
    assert "weather" in output
