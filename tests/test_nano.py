"""The base model that ships with the package, and the tool that makes it."""

import re
from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase

import tinyzero
from tinyzero.evaluation.heldout import read_set
from tinyzero.execution import Executor
from tinyzero.tasks import KINDS
from tinyzero.tasks.judging import judge_answers, verify
from tinyzero.tasks.programs import canonical, shape
from tinyzero.types import Job, Role, Task

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


def half():
    """Half of the answers think, half of the others are wrong."""
    from nano.tasks import Habits

    return Habits(thinking=0.5, wrong=0.5)


def held_out() -> list[Task]:
    return [item.task for item in read_set(FOLDER / "heldout.jsonl", KINDS).tasks]


def test_plain_transformers_loads_the_folder_and_continues_a_prompt(tokenizer):
    model = AutoModelForCausalLM.from_pretrained(FOLDER, local_files_only=True)
    turn = [{"role": "user", "content": "solve deduction\ndef f(s):\n    return s.upper()\nin: 'ab'"}]
    batch = tokenizer.apply_chat_template(
        turn, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**batch, do_sample=False, max_new_tokens=12)
    answer = tokenizer.decode(ids[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)
    assert answer == "'AB'"
    assert ids[0, -1] == tokenizer.eos_token_id == model.generation_config.eos_token_id
    assert model.dtype == torch.float32


def test_the_weights_are_small_enough_for_a_package():
    assert (FOLDER / "model.safetensors").stat().st_size <= 8_000_000


def test_padding_is_not_the_end_of_an_answer(tokenizer):
    assert len({tokenizer.pad_token_id, tokenizer.eos_token_id, None}) == 3


def test_the_card_names_the_licence_and_the_measured_tables():
    card = (FOLDER / "README.md").read_text()
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert len(re.findall(r"^\| [1-4] (\| 0\.\d\d ){6}\|$", card, re.MULTILINE)) == 4


def test_the_tokenizer_restores_programs(tokenizer):
    for task in held_out():
        assert tokenizer.decode(tokenizer(task.program).input_ids) == task.program


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyzAB019-_ ", max_size=12))
def test_a_literal_is_one_token_per_character(text):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER, local_files_only=True)
    ids = tokenizer(f"in: '{text}'").input_ids
    assert [tokenizer.decode([token]) for token in ids] == ["in: ", "'", *text, "'"]


def test_digits_are_single_tokens(tokenizer):
    ids = tokenizer("[120, -37]").input_ids
    assert [tokenizer.decode([token]) for token in ids] == ["[", "1", "2", "0", ", ", "-", "3", "7", "]"]


def test_a_lesson_is_tokenized_as_a_finished_conversation(tokenizer):
    from nano.tasks import lessons
    from nano.vocabulary import encode_answer, encode_prompt

    for lesson in islice(lessons(0, 0, half()), 40):
        turns = [
            {"role": "user", "content": lesson.prompt.text},
            {"role": "assistant", "content": lesson.answer},
        ]
        whole = tokenizer.apply_chat_template(turns, tokenize=True, return_dict=False)
        assert encode_prompt(tokenizer, lesson.prompt) + encode_answer(tokenizer, lesson.answer) == whole


def test_a_lesson_begins_with_what_the_policy_will_read(tokenizer):
    from nano.tasks import lessons
    from nano.vocabulary import encode_prompt
    from settled import model_section

    from tinyzero.config import PolicyConfig
    from tinyzero.policy.loading import load_policy

    policy = load_policy(model_section(base="nano"), PolicyConfig(), device="cpu", temperature=1.0)
    for lesson in islice(lessons(0, 0, half()), 40):
        assert encode_prompt(tokenizer, lesson.prompt) == policy.encode(lesson.prompt)


def test_lessons_follow_from_seed_and_number():
    from nano.tasks import lessons

    first = list(islice(lessons(3, 0, half()), 30))
    assert list(islice(lessons(3, 10, half()), 20)) == first[10:]
    assert list(islice(lessons(4, 0, half()), 30)) != first


def test_proposals_in_lessons_pass_the_funnel(executor):
    from nano.tasks import lessons

    written = islice(lessons(0, 0, half()), 500)  # some 70 proposals
    shown = [lesson for lesson in written if lesson.role is Role.PROPOSER]
    accepted = [lesson for lesson in shown if isinstance(verified(lesson, executor), Task)]
    assert len(shown) > 50
    assert len(accepted) >= 0.95 * len(shown)


def verified(lesson, executor):
    kind = KINDS[lesson.prompt.kind]
    subject = Task(
        id="", kind="induction", program=lesson.prompt.text.partition("\n")[2], inputs=(), outputs=()
    )
    proposal = kind.parse_proposal(lesson.answer, [subject])
    (outcome,) = verify([proposal], kinds=KINDS, runner=executor, step=0)
    return outcome


@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction"])
def test_right_answers_are_right_and_wrong_ones_wrong(kind, executor):
    from nano.examples import random_sample
    from nano.tasks import direct_lesson, task_of

    for number in range(12):
        sample = random_sample(Random(number))
        task = task_of(Random(number), kind, sample)
        for is_wrong in (False, True):
            lesson = direct_lesson(Random(number), kind, sample, is_wrong=is_wrong)
            assert lesson.prompt == KINDS[kind].solve_prompt(task, "compact")
            assert judged(task, lesson.answer, executor).is_correct is not is_wrong


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


def judged(task, answer, executor):
    ((verdict,),) = judge_answers([task], [[answer]], kinds=KINDS, runner=executor)
    return verdict


def test_pretraining_shows_no_program_shape_of_the_held_out_set():
    from nano.examples import random_sample

    kept_back = {task.shape for task in [*held_out(), *ladder()]}
    assert all(int(name, 16) % 16 == 0 for name in kept_back)
    for number in range(500):
        sample = random_sample(Random(f"pretraining/{number}"))
        assert sample.shape == shape(sample.program.source)
        assert sample.shape not in kept_back


def test_no_wrong_program_of_a_lesson_has_a_held_out_shape():
    from nano.examples import is_held_out, random_sample, wrong_program

    num_others = 0
    for number in range(40):
        sample = random_sample(Random(number))
        wrong = wrong_program(Random(number), sample, sample.runs)
        assert not is_held_out(shape(wrong))
        num_others += shape(wrong) != sample.shape
    assert num_others > 10


def test_the_held_out_sets_are_what_the_tool_makes():
    from nano.heldout import held_out_tasks, ladder_tasks

    assert list(islice(held_out_tasks(), 30)) == held_out()[:30]
    assert list(islice(ladder_tasks(), 10)) == ladder()[:10]


def test_the_held_out_set_is_stratified_by_kind_and_length():
    from nano.tasks import TAUGHT

    lengths = {1: 85, 2: 85, 3: 85, 4: 85, 5: 40}
    expected = {(kind, length): count for kind in TAUGHT for length, count in lengths.items()}
    assert Counter(map(column_of, held_out())) == expected
    longer = [item.task for item in read_set(FOLDER / "heldout.jsonl", KINDS).tasks if item.stratum]
    assert longer == [task for task in held_out() if task.program.count("\n") > 4]


def test_the_start_of_the_held_out_set_is_a_fair_sample():
    counts = Counter(map(column_of, held_out()[:120]))
    assert len(counts) == 15
    assert set(counts.values()) == {8}


def column_of(task: Task) -> tuple[str, int]:
    return task.kind, min(task.program.count("\n"), 5)


def test_the_ladder_has_twenty_tasks_a_rung():
    items = read_set(FOLDER / "ladder.jsonl", KINDS).tasks
    assert Counter(item.stratum for item in items) == {
        "1 line": 20, **{f"{length} lines": 20 for length in range(2, 11)}
    }  # fmt: skip
    for item in items:
        assert item.task.kind == "deduction"
        assert item.task.program.count("\n") == int(item.stratum.split()[0])
        assert int(item.task.shape, 16) % 16 == 0


def ladder() -> list[Task]:
    return [item.task for item in read_set(FOLDER / "ladder.jsonl", KINDS).tasks]


def test_held_out_tasks_are_verified_and_different(executor):
    tasks = held_out()
    assert len({(task.kind, canonical(task.program)) for task in tasks}) == len(tasks)
    some = [*tasks[::20], *ladder()[::5]]
    runs = executor.run_jobs([Job(program=task.program, inputs=task.inputs) for task in some])
    for task, executions in zip(some, runs, strict=True):
        assert tuple(repr(execution.value) for execution in executions) == task.outputs


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
