"""Questions: what is asked, what is read, what is refused, and held-out ones judged."""

from dataclasses import replace

import pytest

from tinyzero.games.choice import ALL_KINDS
from tinyzero.games.r_zero.question import QUESTION, example_question, read_answer
from tinyzero.tasks import KINDS
from tinyzero.tasks.answers import boxed
from tinyzero.types import Proposal, Rejection, Stage, VerdictStatus

STYLES = ("full", "direct", "compact")


def read(answer, **limits):
    return QUESTION.parse_proposal(answer, [], **limits)


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        (r"\boxed{42}", "42"),
        (r"first \boxed{1}, then \boxed{ 2 }.", "2"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        ("\\boxed{7\nand so on", "7"),
        (r"cut off at \boxed{123", ""),
        (r"\boxed{\frac{1}{", ""),
        ("no box", ""),
        (r"\boxed{}", ""),
        (r"\boxed {4}", "4"),
        (r"\fbox{ 4 }", "4"),
        (r"\boxed 4$.", "4"),
        (r"write it in \boxed, please", ""),
        (r"\boxed{4}, in \boxed{} as you wish", "4"),
        (r"\boxed{x = \boxed{4}}", "4"),
        (r"\boxed{1} and \boxed{2} on a line, \{3\}", "2"),
        (r"\boxed", ""),
    ],
)
def test_what_a_box_holds(text, inside):
    assert boxed(text) == inside


def test_the_last_question_counts_if_an_answer_follows():
    answer = "<question>An old one, given up?</question> <question>\nHow many\n  sides has a cube?</question>"
    proposal = read(answer + r" \boxed{6}")
    assert isinstance(proposal, Proposal)
    assert proposal.message == "How many sides has a cube?"
    assert read(answer).detail == "no \\boxed answer after the question"
    assert read(r"\boxed{6} " + answer).stage is Stage.PARSED


def test_a_question_that_is_given_up_without_an_end_is_not_the_question():
    answer = r"<question>Draft one, maybe? No: <question>How many sides has a cube?</question> \boxed{6}"
    assert read(answer).message == "How many sides has a cube?"


def test_what_only_looks_begun_has_to_keep_the_form():
    answer = "Problem: something hard.\n\n<question>How many sides has a cube?</question>\\boxed{6}"
    assert read(answer).message == "How many sides has a cube?"
    assert read("Problem: How many sides has a cube?").stage is Stage.PARSED


def test_thoughts_are_not_questions():
    thought = r"<think><question>A draft of it, perhaps?</question> \boxed{1}</think> nothing"
    assert read(thought).detail == "no <question> in the answer"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Prove that two is the only even prime.", "proof"),
        ("Show that it is so, for all whole numbers.", "proof"),
        (r"What is in \boxed{5}, do you think?", "boxed"),
        ("Why?", "too short"),
        ("x" * 61, "61 characters"),
    ],
)
def test_what_cannot_be_asked(question, words):
    refused = read(f"<question>{question}</question> \\boxed{{1}}", max_program_chars=60)
    assert isinstance(refused, Rejection)
    assert refused.stage is Stage.ALLOWED
    assert words in refused.detail


def test_improve_and_approved_are_no_proofs():
    answer = r"<question>By how much did the approved plan improve?</question>\boxed{1}"
    assert isinstance(read(answer), Proposal)


@pytest.mark.parametrize("style", STYLES)
def test_the_ideal_answers_are_read_back(style):
    task = example_question()
    proposal = Proposal(kind="question", program="", inputs=(), message=task.message)
    assert read(QUESTION.render_proposal(proposal, style), is_begun=style == "direct") == proposal
    verdict = QUESTION.grade(task, QUESTION.render_answer(task, "5/11", style))
    assert verdict.status is VerdictStatus.CORRECT


@pytest.mark.parametrize("style", STYLES)
def test_prompts_hide_the_answer(style):
    task = example_question()
    propose, solve = QUESTION.propose_prompt([], style), QUESTION.solve_prompt(task, style)
    assert task.message in solve.text
    assert "5/11" not in solve.text
    if style == "direct":
        assert read(
            propose.prefill + " How many sides has\na cube?\nAnswer: 6\n\nIt has six.", is_begun=True
        ).message == ("How many sides has a cube?")
        assert read_answer(solve.prefill + "5/11}. The end") == "5/11"


def test_held_out_answers_are_compared_in_normal_form():
    task = replace(example_question(), outputs=("1200",))
    said = {
        r"\boxed{1,200}": True,
        r"\boxed{1200.0}": True,
        r"\boxed{\$1200}": True,
        r"\boxed{1200 \text{ dollars}}": True,
        r"\boxed{1201}": False,
    }
    for text, is_right in said.items():
        verdict = QUESTION.grade(task, text)
        assert verdict.is_correct is is_right, text
    assert QUESTION.grade(task, "1200").status is VerdictStatus.MALFORMED


def test_a_draft_in_a_thought_that_was_cut_off_is_no_answer():
    assert read_answer(r"<think>Perhaps \boxed{5}, but") == ""
    assert read_answer(r"<think>Perhaps \boxed{5}</think> No: \boxed{6}") == "6"


@pytest.mark.parametrize(
    "opening", ["<think>", "So far <think>\n", "Let me think. <think> ", "\ufeff<think>"]
)
def test_a_thought_that_never_ends_gives_neither_an_answer_nor_a_question(opening):
    draft = r"<question>How many sides has a cube?</question> \boxed{6}"
    assert read_answer(opening + draft) == ""
    assert read(opening + draft).stage is Stage.PARSED
    assert QUESTION.grade(replace(example_question(), outputs=("6",)), opening + draft).answer == ""
    assert read_answer(f"{opening}{draft}</think>\n{draft}") == "6"


def test_an_essay_in_a_box_is_no_answer():
    assert read_answer("\\boxed{" + "long " * 100 + "}") == ""


def test_the_same_words_are_the_same_task():
    one, other = (read(f"<question>How many  sides{end}</question>\\boxed{{1}}") for end in ("?", " ?"))
    first, second = (QUESTION.verify(proposal, step) for proposal, step in ((one, 0), (one, 5)))
    assert first.id == second.id
    assert QUESTION.verify(other, 0).id != first.id


def test_questions_are_not_among_what_programs_verify():
    assert "question" not in KINDS
    assert list(ALL_KINDS) == [*KINDS, "question"]
