"""Reasoning in nano's lessons, and the training itself."""

import re
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import tinyzero
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.types import Job

FOLDER = Path(tinyzero.__file__).parent / "nano"
TOOLS = Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def tools_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)


@pytest.fixture(scope="module")
def executor():
    with Executor() as executor:
        yield executor


@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction"])
def test_answers_behind_a_thought_are_right(kind, executor):
    from nano.examples import random_sample
    from nano.tasks import task_of, thinking_lesson

    num_thoughts = 0
    for number in range(40):
        sample = random_sample(Random(number))
        lesson = thinking_lesson(Random(number), kind, sample)
        if lesson is None:
            continue
        num_thoughts += 1
        assert lesson.answer.startswith("<think>\n")
        assert lesson.answer.count("</think>\n") == 1
        task = task_of(Random(number), kind, sample)
        assert judged(task, lesson.answer, executor).is_correct
    assert num_thoughts >= 20


def test_every_comparison_in_a_thought_says_what_holds():
    from nano.examples import literal, random_sample
    from nano.tasks import thinking_lesson

    results = []
    for number in range(60):
        lesson = thinking_lesson(Random(number), "abduction", random_sample(Random(number)))
        for line in lesson.answer.splitlines() if lesson else ():
            if line.startswith("in: "):
                last = None
            elif line.endswith((" -> True", " -> False")) and " == " in line:
                last = line
                left, right = line.rpartition(" -> ")[0].split(" == ")
                assert (literal(left) == literal(right)) is line.endswith("True")
                results.append(line.endswith("True"))
        assert lesson is None or last is not None
    assert set(results) == {True, False}


def test_a_wrong_guess_is_shown_and_not_learned(tokenizer):
    from nano.examples import random_sample
    from nano.tasks import thinking_lesson
    from nano.vocabulary import encode_answer, scored_tokens

    num_guesses = 0
    for number in range(60):
        lesson = thinking_lesson(Random(number), "abduction", random_sample(Random(number)))
        if lesson is None or not lesson.unscored:
            continue
        ids = encode_answer(tokenizer, lesson.answer)
        scored = scored_tokens(tokenizer, lesson.answer, lesson.unscored)
        hidden = tokenizer.decode(
            [token for token, is_scored in zip(ids, scored, strict=True) if not is_scored]
        )
        assert hidden == "".join(lesson.answer[start:end] for start, end in lesson.unscored)
        guesses = re.findall(r"^in: (.*\n)", lesson.answer, re.MULTILINE)
        assert [lesson.answer[start:end] for start, end in lesson.unscored] == guesses[: len(lesson.unscored)]
        num_guesses += len(lesson.unscored)
    assert num_guesses > 10


def test_traces_compute_what_python_computes():
    from nano.examples import EXPECTED_ERRORS, compile_program
    from nano.grammar import random_arguments, random_program
    from nano.trace import trace

    num_traces = 0
    for number in range(3000):
        rng = Random(f"trace/{number}")
        program = random_program(rng, num_lines=rng.choice((1, 1, 2, 3, 4, 5, 7)))
        arguments = random_arguments(rng, program.parameters)
        try:
            expected = compile_program(program.source)(*arguments)
        except EXPECTED_ERRORS:
            continue
        traced = trace(program.source, arguments, max_chars=10_000)
        assert traced is not None
        assert repr(traced[1]) == repr(expected), program.source
        num_traces += 1
    assert num_traces > 2000


def test_each_line_of_a_trace_holds():
    from nano.examples import literal, random_sample
    from nano.trace import trace

    num_lines = 0
    for number in range(150):
        sample = random_sample(Random(number))
        traced = trace(sample.program.source, literal(f"({sample.runs[0][0]},)"), max_chars=1000)
        for line in traced[0] if traced else ():
            *parts, result = re.sub(r"^[a-z]+ = ", "", line).split(" -> ")
            assert all(repr(compiled(part)) == result for part in parts), line
            num_lines += len(parts)
    assert num_lines > 200


def compiled(expression: str) -> object:
    from nano.examples import compile_program

    return compile_program(f"def f():\n    return {expression}")()


def test_a_trace_names_the_variables_and_sums_step_by_step():
    from nano.trace import trace

    program = (
        "def f(xs, k):\n    y = 0\n    for x in xs:\n        y += x * k\n    return y if y > 9 else sum(xs)"
    )
    assert trace(program, ([1, 2], 3), max_chars=200) == (
        [
            *("y = 0", "x = 1", "1 * 3 -> 3", "y = 0 + 3 -> 3", "x = 2", "2 * 3 -> 6", "y = 3 + 6 -> 9"),
            *("9 > 9 -> False", "sum([1, 2]) -> 1 + 2 -> 3"),
        ],
        3,
    )
    assert trace(program, ([1, 2], 3), max_chars=40) is None


def test_thoughts_are_short_enough_for_a_cpu(tokenizer):
    from nano.tasks import Habits, lessons
    from nano.vocabulary import encode_answer

    habits = Habits(thinking=1.0, wrong=0.0)
    thoughts = [lesson for lesson in islice(lessons(0, 0, habits), 300) if lesson.thinks]
    lengths = sorted(len(encode_answer(tokenizer, lesson.answer)) for lesson in thoughts)
    assert sum(lengths) / len(lengths) < 65
    assert lengths[int(0.95 * len(lengths))] < 150
    assert lengths[-1] < 200


def test_the_lean_forward_pass_computes_what_transformers_computes():
    from nano.forward import logits_of

    model = AutoModelForCausalLM.from_pretrained(FOLDER, local_files_only=True)
    ids = torch.randint(4, len(model.model.embed_tokens.weight), (3, 40))
    with torch.no_grad():
        expected = model(ids).logits
        assert torch.allclose(logits_of(model, ids, torch.float32), expected, atol=1e-3)
        assert (logits_of(model, ids) - expected).abs().mean() < 0.02 * expected.abs().mean()


def test_interrupted_pretraining_ends_with_the_same_weights(tokenizer, tmp_path):
    assert trained_weights(tokenizer, tmp_path / "stopped", stop_at=2) is None
    resumed = trained_weights(tokenizer, tmp_path / "stopped")
    straight = trained_weights(tokenizer, tmp_path / "straight")
    assert resumed is not None
    assert straight is not None
    assert all(torch.equal(resumed[name], straight[name]) for name in straight)


def test_a_state_of_another_recipe_is_refused(tokenizer, tmp_path):
    trained_weights(tokenizer, tmp_path)
    with pytest.raises(SystemExit, match="another recipe"):
        trained_weights(tokenizer, tmp_path, seed=1)


class Stopped(Exception):
    pass


def trained_weights(tokenizer, folder, *, stop_at=0, seed=0):
    """The weights after three steps in two phases; None where the training stops at a report."""
    from nano.recipe import recipe
    from nano.training import Trainer, new_model

    reports = []

    def report(line: str) -> None:
        reports.append(line)
        if len(reports) == stop_at:
            raise Stopped

    plan = replace(recipe(seed, 2, 1), pool=16, passes=2, batch_tokens=256)
    model = new_model(len(tokenizer), pad_id=0, eos_id=3, seed=0)
    trainer = Trainer(
        model=model,
        tokenizer=tokenizer,
        recipe=plan,
        folder=folder,
        report=report,
        report_every=1,
        save_every=0,
    )
    try:
        trainer.train()
    except Stopped:
        return None
    return model.state_dict()


def test_the_rate_of_a_phase_warms_up_stays_and_falls():
    from nano.recipe import recipe

    phase = recipe(0, 1000, 10).phases[0]
    assert phase.rate(50) == pytest.approx(phase.lr / 2)
    assert phase.rate(500) == phase.lr
    assert phase.rate(750) == pytest.approx(phase.lr * 0.525)
    assert phase.rate(1000) == pytest.approx(phase.lr * 0.05)


def test_muon_makes_updates_orthogonal():
    from nano.muon import orthogonalize

    torch.manual_seed(0)
    for matrices in (torch.randn(3, 8, 20), torch.randn(3, 20, 8)):
        values = torch.linalg.svdvals(orthogonalize(matrices))
        assert values.min() > 0.6
        assert values.max() < 1.3


def judged(task, answer, executor):
    job = KINDS[task.kind].answer_job(task, answer)
    if not isinstance(job, Job):
        return job
    return KINDS[task.kind].judge(task, answer, executor.run_jobs([job])[0])
