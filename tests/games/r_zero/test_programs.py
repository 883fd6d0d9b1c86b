"""R-Zero on programs: labels are votes, what the programs return is measured, and no reward depends on it."""

import pytest

from tinyzero.config import Config
from tinyzero.errors import ConfigError
from tinyzero.execution import Executor
from tinyzero.games.r_zero.game import RZero
from tinyzero.games.r_zero.program_question import cluster_values
from tinyzero.games.r_zero.survey import survey
from tinyzero.types import Answer, Completion, Execution, Outcome, Prompt, Role, Stage, Task

DOUBLE = "def f(a):\n    return a * 2\nin: 21"
FAILS = "def f(a):\n    return a / 0\nin: 3"
ECHO = "def f(a):\n    return a\nin: 5"
UNFIT = "def f(a): import os"
TURNS = {"challenger_steps": 1, "solver_steps": 2, "questions": 4, "questions_per_step": 2}


class Script:
    """Proposals in order; answers to a question in order, by what its program does."""

    def __init__(self, proposals, answers):
        self.proposals, self.answers = proposals, answers

    def sample(self, request):
        return [
            [self.say(request, prompt, i) for i in range(request.num_samples)] for prompt in request.prompts
        ]

    def say(self, request, prompt, index):
        lines = self.proposals
        if request.role is Role.SOLVER:
            lines = next(lines for words, lines in self.answers.items() if words in prompt.text)
        return Completion(text=lines[index % len(lines)], token_ids=(1,), sampler_logprobs=(-0.5,))

    def fits(self, prompt):
        return True


class Returning:
    """Says of every run that it returned the same value."""

    def __init__(self, value):
        self.value = value

    def run_jobs(self, jobs):
        return [[Execution(outcome=Outcome.OK, value=self.value)] * len(job.inputs) for job in jobs]


@pytest.fixture(scope="module")
def executor():
    with Executor(Config().execution) as executor:
        yield executor


def game(runner, proposals, answers, *, max_steps=100, **r_zero):
    config = Config.model_validate(
        {
            "run": {"max_steps": max_steps},
            "prompts": {"style": "compact"},
            "selfplay": {"game": "r-zero", "proposals_per_step": len(proposals), "attempts": 4},
            "r_zero": {"domain": "programs", "label_attempts": 4, **TURNS, **r_zero},
            "rewards": {"solver": "binary"},
            "advantages": {"estimator": "group"},
        }
    )
    return RZero(config, sampler=Script(proposals, answers), comparer=None, runner=runner)


def prepared(played, step):
    list(played.prepare(step))
    return played


def test_the_challenger_is_asked_as_deductions_proposer_and_the_solver_as_its_solver(executor):
    played = game(executor, [DOUBLE], {"a * 2": ["42", "42", "41", "40"]}).challenge(0)
    [proposal] = played.rollouts
    assert (proposal.prompt.kind, proposal.prompt.text) == ("question", "propose deduction\n")
    assert played.untrained[0].prompt.text == "solve deduction\ndef f(a):\n    return a * 2\nin: 21"
    [task] = played.new_tasks
    assert (task.kind, task.outputs, task.truth) == ("question", ("42",), "42")
    assert proposal.reward.terms == {"uncertainty": 1.0, "repetition": -1.0}


@pytest.mark.parametrize(
    ("gate", "stages"),
    [
        ("form", [None, None, None, Stage.PARSED]),
        ("runs", [None, Stage.RAN, None, Stage.PARSED]),
        ("strict", [None, Stage.RAN, Stage.NONTRIVIAL, Stage.PARSED]),
    ],
)
def test_a_gate_lets_through_what_can_be_read_what_runs_or_what_would_be_a_task(executor, gate, stages):
    proposals = [DOUBLE, FAILS, ECHO, UNFIT]
    played = game(executor, proposals, {"": ["1", "2"]}, gate=gate).challenge(0)
    outcomes = [rollout.outcome for rollout in played.rollouts]
    assert [None if isinstance(outcome, Task) else outcome.stage for outcome in outcomes] == stages
    truths = [outcome.truth for outcome in outcomes if isinstance(outcome, Task)]
    assert truths == {"form": ["42", None, "5"], "runs": ["42", "5"], "strict": ["42"]}[gate]
    share = {"form": 1 / 3, "runs": 0, "strict": 0}[gate]
    assert played.metrics["proposer/question/no_truth_share"] == pytest.approx(share)


def rewards_of(value):
    answers = {"a * 2": ["42", "42", "7", "8"], "a + 1": ["1", "2", "2", "x y"]}
    more = "def f(a):\n    return a + 1\nin: 1"
    played = game(Returning(value), [DOUBLE, more], answers, gate="form")
    first = played.challenge(0)
    second = prepared(played, 1).play(1)
    rewards = [rollout.reward.terms for step in (first, second) for rollout in step.rollouts]
    return rewards, [*first.advantages, *second.advantages], {**first.metrics, **second.metrics}


def test_no_reward_depends_on_the_truth_and_the_measures_do():
    rewards, advantages, metrics = rewards_of(42)
    other_rewards, other_advantages, other_metrics = rewards_of(7)
    assert rewards == other_rewards
    assert advantages == other_advantages
    assert metrics["solver/question/true_accuracy"] == 2 / 8
    assert other_metrics["solver/question/true_accuracy"] == 1 / 8
    # two of four agree with each label; 42 was said twice, 7 once
    assert metrics["solver/question/reward_minus_truth"] == pytest.approx(4 / 8 - 2 / 8)
    assert other_metrics["solver/question/reward_minus_truth"] == pytest.approx(4 / 8 - 1 / 8)


def test_labels_are_held_against_the_truth_by_share_and_turn(executor):
    more = "def f(a):\n    return a + 1\nin: 1"
    answers = {"a * 2": ["42", "42", "42", "8"], "a + 1": ["3", "3", "2", "1"]}
    played = prepared(game(executor, [DOUBLE, more], answers), 1).play(1)
    assert played.metrics["questions/kept"] == 2
    assert played.metrics["questions/label_accuracy"] == 0.5
    assert played.metrics["questions/label_accuracy/7_tenths"] == 1.0
    assert played.metrics["questions/label_accuracy/5_tenths"] == 0.0
    assert played.metrics["questions/no_truth_share"] == 0.0


def test_a_half_written_set_is_gone_on_with_and_its_truths_are_kept(executor, tmp_path):
    answers = {"": ["42", "42", "7", "8"]}
    played = prepared(game(executor, [DOUBLE, ECHO], answers, gate="runs"), 1)
    played.save(tmp_path)
    resumed = game(executor, [DOUBLE, ECHO], answers, gate="runs")
    resumed.load(tmp_path)
    assert resumed.questions == played.questions
    assert resumed.play(1).metrics == played.play(1).metrics


def test_answers_are_the_same_by_value_and_type_whatever_their_form(executor):
    question = Task(id="q", kind="question", program="def f(a):\n    return a", inputs=("1",), outputs=())
    said = ["[1, 2]", "[1,2]", "(1, 2)", "'5 cm'", "'5'", "1", "True", "no value", "{2, 1}", "{1, 2}"]
    prompt = Prompt(kind="question", text="")
    answers = [Answer(prompt=prompt, completion=Completion(text=text)) for text in said]
    [surveyed] = survey([question], [answers], comparer=None)
    assert list(surveyed.clusters) == [0, 0, 1, 2, 3, 4, 5, -1, 6, 6]
    assert (surveyed.label, surveyed.share, surveyed.margin) == ("[1, 2]", 0.2, 0)
    assert cluster_values([["0.3", "0.30000000000000004", ""], []]) == [[0, 0, -1], []]


@pytest.mark.parametrize(
    ("knob", "said", "kept"),
    [
        ({}, ["42", "42", "7", "7"], 1),
        ({"min_margin": 0.1}, ["42", "42", "7", "7"], 0),
        ({"min_margin": 0.25}, ["42", "42", "7", "8"], 1),
        ({"min_margin": 0.26}, ["42", "42", "7", "8"], 0),
        ({}, ["42", "42", "no", "no"], 1),
        ({"min_readable": 0.8}, ["42", "42", "no", "no"], 0),
        ({"min_readable": 0.5}, ["42", "42", "no", "no"], 1),
    ],
)
def test_ties_and_answers_that_cannot_be_read_keep_a_question_out(executor, knob, said, kept):
    played = prepared(game(executor, [DOUBLE], {"a * 2": said}, **knob), 1)
    assert len(played.questions.kept) == kept


def test_half_cut_off_and_half_trivial_earns_nothing_where_answers_have_to_be_readable(executor):
    def earned(**knob):
        answers = {"a * 2": ["42", "42", "no", "no"]}
        return game(executor, [DOUBLE], answers, repetition_weight=0, **knob).challenge(0).rollouts[0].reward

    assert earned().total == 1
    assert earned(min_readable=0.8).total == 0


def test_an_advantage_weighs_what_its_label_was_agreed_on_by(executor):
    answers = {"a * 2": ["42", "42", "42", "7"]}
    plain, weighted = (
        prepared(game(executor, [DOUBLE], answers, weight_by_agreement=on), 1).play(1).advantages
        for on in (False, True)
    )
    assert any(plain)
    assert weighted == pytest.approx([0.75 * advantage for advantage in plain])


def test_a_model_that_writes_nothing_readable_ends_with_a_line_and_no_success(executor):
    played = game(executor, ["no idea"] * 32, {})
    played.challenge(0)  # 32 may be bad luck
    with pytest.raises(
        ConfigError, match=r"nano cannot play R-Zero: it wrote 64 questions.*none.*the last one: "
    ):
        played.challenge(1)


def test_a_short_run_of_unreadable_questions_does_not_end_as_a_success():
    last = game(None, ["no idea"] * 16, {}, max_steps=1, domain="words")
    with pytest.raises(ConfigError, match="--preset r-zero-nano-cpu"):
        last.challenge(0)
    in_set = game(None, ["no idea"] * 8, {}, max_steps=2, domain="words")
    in_set.challenge(0)
    with pytest.raises(ConfigError, match="it wrote 20 questions"):
        prepared(in_set, 1)


def test_a_solver_that_answers_nothing_readable_ends_with_a_line(executor):
    played = game(executor, [DOUBLE] * 4, {"": ["what?"]}, label_attempts=64)
    with pytest.raises(ConfigError, match="it wrote 64 answers, and none can be read; set another"):
        played.challenge(0)


def test_a_model_that_once_wrote_a_question_is_let_play(executor):
    played = game(executor, [DOUBLE] + ["no"] * 70, {"": ["1", "2"]})
    played.challenge(0)
    played.sampler.proposals = ["no"] * 71
    assert played.challenge(1).metrics["proposer/valid_share"] == 0


def test_a_checkpoint_of_an_earlier_version_opens(executor, tmp_path):
    import json

    played = prepared(game(executor, [DOUBLE], {"": ["42", "7"]}), 1)
    played.save(tmp_path)
    saved = json.loads((tmp_path / "questions.json").read_text())
    for name in ("shares", "tally", "seen"):
        del saved[name]
    (tmp_path / "questions.json").write_text(json.dumps(saved))
    played.load(tmp_path)
    assert len(played.questions.kept) == 1
    played.sampler.proposals = ["no"] * 70
    played.challenge(5)  # what it wrote before is not known, so nothing is plain


def test_the_gate_is_refused_where_questions_have_no_programs():
    with pytest.raises(ValueError, match=r"r_zero\.gate is for r_zero\.domain"):
        Config.model_validate({"selfplay": {"game": "r-zero"}, "r_zero": {"gate": "form"}})
