"""`tinyzero eval --profile` over scripted answers: what is asked, and what comes of it."""

from dataclasses import replace
from pathlib import Path

import pytest
from settled import settled

from tinyzero.cli.candidate import Candidate
from tinyzero.cli.profiling import Profiler, transfer_lines
from tinyzero.evaluation.benchmarks.answering import Protocol, Questions
from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
from tinyzero.evaluation.benchmarks.base import Mark
from tinyzero.evaluation.benchmarks.own_tasks import OwnTasks
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer
from tinyzero.tasks import KINDS
from tinyzero.types import Verdict, VerdictStatus

MINE = OwnTasks(name="mine", kinds=KINDS)
PROTOCOL = Protocol(style="compact", samples=2, temperature=1.0, max_tokens=8, seed=0)


def task(name, kind="deduction", program="def f(a):\n    b = a + 2\n    return b", **more):
    pairs = {"inputs": ["1", "2"], "outputs": ["3", "4"]}
    single = {"inputs": ["1"], "outputs": ["3"]}
    fields = {"id": name, "kind": kind, "program": program, **(pairs if kind == "induction" else single)}
    return MINE.item({**fields, **more})


ITEMS = [
    task("a"),
    task("b", "abduction"),
    task("c", "induction"),
    task("d", program="def f(a):\n    b = a + 2\n    return len(locals()) + a + b - 3", stratum="apart"),
    task("e", stratum="apart"),
]


class ShortContext:
    """A sampler for which prompts with dead code are too long."""

    def fits(self, prompt):
        return "spare" not in prompt.text

    def sample(self, request):
        raise AssertionError("the script answers")


class Script:
    """Answers all questions of both models; remembers them."""

    def __init__(self, is_right):
        self.is_right, self.asked = is_right, []

    def __call__(self, model, questions, protocol):
        self.asked.append((model, [item.id for item in questions.items], protocol))
        return [
            self.answer(model, item, number) for item in questions.items for number in range(protocol.samples)
        ]

    def answer(self, model, item, number):
        is_right = self.is_right(model, item.id, number)
        verdict = Verdict(
            status=VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG, answer="3" if is_right else "4"
        )
        written = WrittenAnswer(item=item, text="", num_tokens=10, seconds=1.0)
        return GradedAnswer(answer=written, mark=Mark(verdict=verdict))


@pytest.fixture
def profiler():
    candidate = Candidate(
        name="nano",
        label="step-000001",
        folder=Path(),
        config=settled("nano-cpu"),
        sampler=ShortContext(),
    )
    return Profiler(candidate=candidate, price_per_hour=3600.0, allow_weak_sandbox=True)


def profiled(profiler, script, models=("base", "trained")):
    questions = Questions(items=ITEMS, prompts=[MINE.prompt(item, "compact") for item in ITEMS], left_out=[])
    graded = {model: script(model, questions, PROTOCOL) for model in models}
    return profiler.profile(MINE, questions, PROTOCOL, graded, script)


def fooled(model, task, number):
    """The trained model solves all but renamed programs, and has lost e; base solves half of the samples."""
    if "#" in task or model == "trained":
        return not (model == "trained" and (task.startswith("e") or task.endswith("#renamed")))
    return number == 0


def test_rewrites_are_asked_greedily_with_the_originals_and_of_both_models_alike(profiler):
    script = Script(fooled)
    profile = profiled(profiler, script)
    (_, of_base, once), (_, of_trained, also_once) = script.asked[2:]
    assert of_base == of_trained
    assert once == also_once == Protocol(style="compact", samples=1, temperature=0.0, max_tokens=8, seed=0)
    assert of_base[:5] == ["a", "b", "c", "d", "e"]
    assert set(of_base[5:]) == {f"{name}#{how}" for name in "abde" for how in ("renamed", "constants")}
    assert profile.counts["dropped_rewrites"] == {
        "renamed": 0,
        "reordered": 0,
        "dead code": 1,
        "constants": 0,
    }


def test_a_model_that_goes_by_names_loses_its_retention(profiler):
    figures = profiled(profiler, Script(fooled)).as_json()
    robust = figures["robustness"]
    assert (robust["retention, renamed"]["base"], robust["retention, renamed"]["trained"]) == (1.0, 0.0)
    assert (robust["retention, constants"]["trained"], robust["accuracy, constants"]["trained"]) == (
        1.0,
        0.75,
    )
    assert robust["worst of 2 rewrites"]["trained"] == 0.0
    assert figures["greedy_answers"] == {"forgotten": 1, "learned": 0}
    assert list(figures["f1"]) == ["F1@2-selective", "F1@2-selective-area", "F1@2-verifier", "F1@2-output"]
    # base: 5 of 10 answers right, 10 tokens and 1 s each, at a dollar a second
    costs = {name: row["base"] for name, row in figures["economy"].items()}
    assert costs["tokens / solved task"] == 20.0
    assert costs["seconds / solved task"] == costs["dollars / solved task"] == 2.0
    assert costs["tera operations / dollar"] > 0


def test_transfer_is_told_by_domain(profiler):
    profiled(profiler, Script(fooled))
    transfer = profiler.transfer()
    figures = transfer.as_json()
    assert figures["trained_on"] == "own kinds of task"
    assert figures["domains"]["own kinds of task"]["difference"] == 0.5
    assert figures["domains"]["apart"]["difference"] == 0.0
    assert figures["transfer_ratio"] == 0.0
    assert any("transfer ratio 0.000" in line for line in transfer_lines(transfer))


def test_a_base_model_alone_has_no_transfer_and_no_differences(profiler):
    profile = profiled(profiler, Script(fooled), models=("base",))
    assert profiler.transfer() is None
    assert "greedy_answers" not in profile.counts
    assert profile.as_json()["robustness"]["greedy accuracy"] == {"value": 1.0, "interval": [1.0, 1.0]}
    assert any("on a quiet machine only" in line for line in profile.lines())
    assert [line.split()[0] for line in profile.lines() if "95 % interval" in line] == [
        "f1",
        "robustness",
        "economy",
    ]


@pytest.mark.parametrize(
    ("overrides", "file"),
    [
        ([], "nano/heldout.jsonl"),
        (["evaluation.heldout=none"], "nano/heldout.jsonl"),
        (["evaluation.heldout=gsm8k"], "sets/gsm8k.jsonl"),
        (["model.base=nowhere/model", "evaluation.heldout=none"], "sets/cruxeval.jsonl"),
    ],
)
def test_the_held_out_set_is_the_run_s_else_the_model_s_own(profiler, overrides, file):
    profiler.candidate = replace(profiler.candidate, config=settled("nano-cpu", overrides))
    assert "/".join(profiler.heldout().parts[-2:]) == file
