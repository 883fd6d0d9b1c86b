"""docs/metrics.md and what a run emits: every name is documented, and every documented name is emitted.

Whoever adds a metric adds a row there. What `SETTINGS` cannot bring about goes into NOT_HERE.
"""

import re
from functools import partial
from pathlib import Path

import pytest
from forced import ForcedSampler, r_zero_config, script
from settled import settled

import tinyzero
from tinyzero.assembly import assemble
from tinyzero.games.absolute_zero.rewards import BONUSES
from tinyzero.games.choice import ALL_KINDS
from tinyzero.run.alarms import RULES
from tinyzero.run.folder import RunFolder
from tinyzero.types import Role

DOCS = Path(__file__).parents[1] / "docs"
FAILED = ("disallowed", "failing", "nondeterministic", "trivial", "duplicate")
R_ZERO_TERMS = ("uncertainty", "repetition", "confidence")
PLACEHOLDERS = {
    "<role>": "|".join(Role),
    "<kind>": "|".join(ALL_KINDS),
    "<adapter>": "shared|proposer|solver",
    "<alarm>": "|".join(rule.name for rule in RULES),
    "<row>": "|".join([*ALL_KINDS, "mean", "longer_programs"]),
    "<term>": "|".join([*BONUSES, "learnability", "variance", "accuracy", "format", *FAILED, *R_ZERO_TERMS]),
    "<decoding>": "sampled|greedy",
    "<rank>": "0|1",
    "<tenths>": "10|[0-9]",
}
NOT_HERE = {
    "sampling/without_graphs",  # on a card
    "ranks/count",  # on several
    "ranks/<rank>/wait_s",
    "questions/imported",
}
"""Rows whose metrics the steps of the runs below do not emit."""
SETTINGS = [
    "run.max_steps=2",
    "selfplay.replays_per_step=6",
    "rewards.bonuses.novelty.coefficient=0.1",
    "selfplay.attempts=4",
    "learner.kl_coef=0.01",
    "learner.updates_per_round=2",
    "evaluation.attempts=1",
    "hardware.threads=1",
]


def documented():
    """Name as the table has it -> its unit."""
    rows = re.findall(r"^\| `([^`]+)` \|[^|]*\| ([^|]*)\|", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    return {name: unit.strip() for name, unit in rows}


def fits(row, metric):
    pattern = re.escape(row)
    for placeholder, names in PLACEHOLDERS.items():
        pattern = pattern.replace(placeholder, f"({names})")
    assert "<" not in pattern, f"{row} has a placeholder that PLACEHOLDERS does not know"
    return re.fullmatch(pattern, metric) is not None


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    """The metrics of two real steps of each game: nano, the executor, the learner, a few held-out tasks."""
    folder = tmp_path_factory.mktemp("metrics")
    few = folder / "few.jsonl"
    nano_set = (Path(tinyzero.__file__).parent / "nano" / "heldout.jsonl").read_text()
    few.write_text("".join(nano_set.splitlines(keepends=True)[::40]))
    config = settled("nano-cpu", [*SETTINGS, f"evaluation.heldout={few}"])
    with assemble(config, RunFolder.create(folder, "run", config)) as trainer:
        trainer.probe.measure(0)
        played = {**trainer.step().metrics, **trainer.step().metrics}
    about_programs = r_zero_metrics(folder, "programs", 'r_zero.domain="programs"', 'r_zero.gate="form"')
    return {**played, **about_programs, **r_zero_metrics(folder, "words", "r_zero.confidence_weight=0.1")}


def r_zero_metrics(folder, name, *settings):
    """A challenger's step, and a solver's for which questions were written."""
    config = r_zero_config(*settings, "run.max_steps=2", 'evaluation.heldout="none"')
    heard = Heard()
    with assemble(
        config,
        RunFolder.create(folder, name, config),
        observers=(heard,),
        make_sampler=partial(ForcedSampler, script=script),
    ) as trainer:
        trainer.train()
    return heard.metrics


class Heard:
    """An observer that keeps every metric's newest value."""

    def __init__(self):
        self.metrics = {}

    def on_start(self, start):
        pass

    def on_step(self, report):
        self.metrics |= report.metrics

    def on_event(self, event):
        pass

    def on_end(self, summary):
        pass


def test_the_table_has_a_row_for_each_of_a_few_names_once():
    names = re.findall(r"^\| `([^`]+)`", (DOCS / "metrics.md").read_text(), re.MULTILINE)
    assert len(names) == len(set(names)) > 40
    assert fits("solver/<kind>/accuracy", "solver/deduction/accuracy")
    assert not fits("solver/<kind>/accuracy", "solver/accuracy")
    assert not fits("solver/<kind>/accuracy", "solver/riddles/accuracy")
    assert not fits("time/step_s", "time/step_s/x")


@pytest.mark.slow
def test_every_metric_of_a_run_is_documented(emitted):
    assert [name for name in emitted if not any(fits(row, name) for row in documented())] == []


@pytest.mark.slow
def test_every_documented_metric_is_one_of_a_run(emitted):
    unseen = {row for row in documented() if not any(fits(row, name) for name in emitted)}
    assert unseen == NOT_HERE


@pytest.mark.slow
def test_what_is_documented_as_a_share_is_one(emitted):
    shares = [row for row, unit in documented().items() if unit == "share"]
    values = {name: value for name, value in emitted.items() if any(fits(row, name) for row in shares)}
    assert len(values) > len(shares)
    assert [name for name, value in values.items() if not -1e-9 <= value <= 1 + 1e-9] == []


def test_every_alarm_is_documented_with_its_threshold():
    rows = re.findall(
        r"^\| `(\w+)` \| ([^|]+) \| ([\d.]+) \|", (DOCS / "watching.md").read_text(), re.MULTILINE
    )
    assert {name: float(default) for name, _, default in rows} == {
        rule.name: rule.threshold for rule in RULES
    }
