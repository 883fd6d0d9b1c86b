"""What was said to the same tasks over a run: in order, once a step, and what became right."""

from tinyzero.run.events import events_of
from tinyzero.watch.comparison import answers_by_task, example_lines, mended


def answered(step, *records):
    answers = [
        {"id": name, "kind": "deduction", "prompt": "p", "answer": said, "tokens": 3, "is_correct": right}
        for name, said, right in records
    ]
    return {"event": "answered", "time": 0.0, "step": step, "answers": answers}


def test_answers_are_in_the_order_of_steps_and_the_newest_of_a_step_counts():
    events = events_of(
        [
            answered(0, ("a", "4", False)),
            answered(20, ("a", "lost with a killed process", False)),
            {"event": "checkpoint", "step": 10},
            answered(10, ("a", "6", False)),
            answered(20, ("a", "5", True)),
        ]
    )
    (answers,) = answers_by_task(events).values()
    assert [(one.step, one.answer, one.is_correct) for one in answers] == [
        (0, "4", False),
        (10, "6", False),
        (20, "5", True),
    ]
    assert (answers[0].task_id, answers[0].kind, answers[0].prompt, answers[0].tokens) == (
        "a",
        "deduction",
        "p",
        3,
    )


def test_mended_are_those_wrong_at_first_and_right_at_last():
    first = answered(0, ("a", "4", False), ("b", "5", True), ("c", "4", False), ("d", "5", True))
    last = answered(9, ("a", "5", True), ("b", "5", True), ("c", "3", False), ("d", "4", False))
    pairs = mended(answers_by_task(events_of([first, last])))
    assert [(before.answer, after.answer) for before, after in pairs] == [("4", "5")]


def test_what_is_no_answer_is_left_out():
    odd = [
        {"event": "answered", "step": 0, "answers": 7},
        {"event": "answered", "step": 0, "answers": [7, {"answer": "5"}]},
    ]
    assert answers_by_task(events_of(odd)) == {}


def test_the_ending_shows_a_task_that_thinking_mended():
    thought = "<think>\n2 + 3 -> 5\n</think>\n5"
    first = answered(0, ("a", "4", False), ("b", "4", False), ("c", "5", True))
    last = answered(9, ("a", "5", True), ("b", thought, True), ("c", "5", True))
    lines = list(example_lines(events_of([first, last])))
    assert lines == [
        "the same held-out task, before and after:",
        "    p",
        "  after 0 steps, wrong:",
        "    4",
        "  after 9 steps, right:",
        "    <think>",
        "    2 + 3 -> 5",
        "    </think>",
        "    5",
    ]
    assert list(example_lines(events_of([first]))) == []


def test_what_a_model_wrote_cannot_steer_the_terminal():
    first, last = answered(0, ("a", "\x1b[2J", False)), answered(9, ("a", "5\x1b]0;x\x07", True))
    assert not any("\x1b" in line or "\x07" in line for line in example_lines(events_of([first, last])))


def test_long_prompts_are_cut():
    long = "\n".join(["x" * 200] * 50)
    first, last = answered(0, ("a", long, False)), answered(9, ("a", "5", True))
    lines = list(example_lines(events_of([first, last])))
    assert len(lines) == 22
    assert max(map(len, lines)) <= 80
    assert "    ... (34 more lines)" in lines
