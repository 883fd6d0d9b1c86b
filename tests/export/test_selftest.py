"""What a merged model is asked: prompts of the kinds that its run played, whichever they are."""

import json

import pytest
from made import sample, task

from tinyzero.errors import ExportError
from tinyzero.export.folders import ExportRequest, export
from tinyzero.export.selftest import NUM_PROMPTS, prompts_of
from tinyzero.games.choice import ALL_KINDS
from tinyzero.types import Role

RAISING = "def f(a, b):\n    return [1][len(a) + b]"
QUESTION = "How many divisors has 12?"


def played(run, *, tasks=(), samples=(), **selfplay):
    """The run as if it had played this."""
    config = run.config()
    run.write_config(config.model_copy(update={"selfplay": config.selfplay.model_copy(update=selfplay)}))
    run.tasks.write_text("".join(json.dumps(line) + "\n" for line in tasks))
    run.samples.write_text("".join(json.dumps(line) + "\n" for line in samples))
    return run


def error_prediction(run):
    raising = task(1, kind="error-prediction", program=RAISING, outputs=["IndexError"])
    return played(run, kinds=("error-prediction",), tasks=[raising])


def r_zero(run):
    question = task(1, kind="question", program="", inputs=[], outputs=["6"], message=QUESTION)
    return played(run, game="r-zero", tasks=[question])


def a_kind_of_ones_own(run):
    own = sample(1, kind="riddle", prompt="solve riddle\nWhat has keys?", prefill="A")
    return played(run, kinds=("riddle",), samples=[own, own, sample(2, role="proposer", kind="riddle")])


@pytest.mark.parametrize(
    ("play", "kind", "text"),
    [
        (error_prediction, "error-prediction", RAISING),
        (r_zero, "question", QUESTION),
        (a_kind_of_ones_own, "riddle", "What has keys?"),
    ],
)
def test_a_run_of_any_kind_is_merged_and_asked_what_it_played(nano_run, tmp_path, play, kind, text):
    run = play(nano_run)
    (prompt,) = prompts_of(run, Role.SOLVER, NUM_PROMPTS)
    assert prompt.kind == kind
    assert text in prompt.text
    (exported,) = export(run, ExportRequest(), tmp_path / "out")
    record = json.loads((exported.folder / "tinyzero.json").read_text())
    assert record["self_test"]["num_prompts"] == 1
    assert record["self_test"]["mean_kl"] < 1e-5


def test_a_prompt_of_ones_own_kind_is_the_recorded_one(nano_run):
    (prompt,) = prompts_of(a_kind_of_ones_own(nano_run), Role.SOLVER, NUM_PROMPTS)
    assert (prompt.text, prompt.prefill) == ("solve riddle\nWhat has keys?", "A")


def test_kinds_take_turns_and_held_out_tasks_come_before_the_runs_own(nano_run):
    raising = task(1, kind="error-prediction", program=RAISING, outputs=["IndexError"])
    run = played(nano_run, kinds=("deduction", "error-prediction"), tasks=[task(1), raising])
    prompts = prompts_of(run, Role.SOLVER, NUM_PROMPTS)
    assert [prompt.kind for prompt in prompts[:3]] == ["deduction", "error-prediction", "deduction"]
    assert len(prompts) == NUM_PROMPTS
    assert not any(task(1)["program"] in prompt.text for prompt in prompts)


def test_a_run_without_a_task_is_asked_about_the_kinds_seeds(nano_run):
    (seed,) = ALL_KINDS["error-prediction"].seeds()
    run = played(nano_run, kinds=("error-prediction",))
    assert prompts_of(run, Role.SOLVER, NUM_PROMPTS) == [
        ALL_KINDS["error-prediction"].solve_prompt(seed, "compact")
    ]
    (proposal,) = prompts_of(run, Role.PROPOSER, NUM_PROMPTS)
    assert proposal == ALL_KINDS["error-prediction"].propose_prompt([seed], "compact")


def test_a_challenger_is_asked_for_a_question(nano_run):
    asked = ALL_KINDS["question"].propose_prompt([], "compact")
    assert prompts_of(r_zero(nano_run), Role.PROPOSER, NUM_PROMPTS) == [asked]


@pytest.mark.parametrize(
    ("play", "reason"),
    [
        (lambda run: played(run, game="r-zero"), "has no task and no sample yet"),
        (
            lambda run: played(
                run, kinds=("riddle",), samples=[sample(1, kind="riddle", prompt="x " * 9000, prefill="")]
            ),
            "none of 1 prompts of what the run played fits",
        ),
    ],
)
def test_a_merge_that_cannot_be_tested_says_why(nano_run, tmp_path, play, reason):
    with pytest.raises(ExportError, match=reason):
        export(play(nano_run), ExportRequest(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
