"""The base model that ships with the package, and the tool that makes it."""

import re
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

    for lesson in islice(lessons(0, 0, 0.5), 40):
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
    for lesson in islice(lessons(0, 0, 0.5), 40):
        assert encode_prompt(tokenizer, lesson.prompt) == policy.encode(lesson.prompt)


def test_lessons_follow_from_seed_and_number():
    from nano.tasks import lessons

    first = list(islice(lessons(3, 0, 0.5), 30))
    assert list(islice(lessons(3, 10, 0.5), 20)) == first[10:]
    assert list(islice(lessons(4, 0, 0.5), 30)) != first


def test_proposals_in_lessons_pass_the_funnel(executor):
    from nano.tasks import lessons

    shown = [lesson for lesson in islice(lessons(0, 0, 0.0), 200) if lesson.role is Role.PROPOSER]
    accepted = [lesson for lesson in shown if isinstance(verified(lesson, executor), Task)]
    assert len(shown) > 25
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
    from nano.tasks import solver_lesson, task_of

    for number in range(12):
        sample = random_sample(Random(number))
        task = task_of(Random(number), kind, sample)
        for is_wrong in (False, True):
            lesson = solver_lesson(Random(number), kind, sample, is_wrong=is_wrong)
            assert lesson.prompt == KINDS[kind].solve_prompt(task, "compact")
            assert judged(task, lesson.answer, executor).is_correct is not is_wrong


def judged(task, answer, executor):
    ((verdict,),) = judge_answers([task], [[answer]], kinds=KINDS, runner=executor)
    return verdict


def test_pretraining_shows_no_program_shape_of_the_held_out_set():
    from nano.examples import random_sample

    kept_back = {task.shape for task in held_out()}
    assert all(int(name, 16) % 16 == 0 for name in kept_back)
    for number in range(500):
        sample = random_sample(Random(f"pretraining/{number}"))
        assert sample.shape == shape(sample.program.source)
        assert sample.shape not in kept_back


def test_the_held_out_set_is_what_the_tool_makes():
    from nano.exam import held_out_tasks

    assert list(islice(held_out_tasks(), 60)) == held_out()[:60]


def test_the_held_out_set_is_stratified_by_kind_and_length():
    from nano.tasks import TAUGHT

    counts: dict[tuple[str, int], int] = {}
    for task in held_out():
        key = task.kind, min(task.program.count("\n"), 5)
        counts[key] = counts.get(key, 0) + 1
    assert counts == {(kind, length): 25 for kind in TAUGHT for length in (1, 2, 3, 4, 5)}
    longer = [item.task for item in read_set(FOLDER / "heldout.jsonl", KINDS).tasks if item.stratum]
    assert longer == [task for task in held_out() if task.program.count("\n") > 4]


def test_held_out_tasks_are_verified_and_different(executor):
    tasks = held_out()
    assert len({(task.kind, canonical(task.program)) for task in tasks}) == len(tasks)
    some = tasks[::6]
    runs = executor.run_jobs([Job(program=task.program, inputs=task.inputs) for task in some])
    for task, executions in zip(some, runs, strict=True):
        assert tuple(repr(execution.value) for execution in executions) == task.outputs


def test_muon_makes_updates_orthogonal():
    from nano.muon import orthogonalize

    torch.manual_seed(0)
    for matrices in (torch.randn(3, 8, 20), torch.randn(3, 20, 8)):
        values = torch.linalg.svdvals(orthogonalize(matrices))
        assert values.min() > 0.6
        assert values.max() < 1.3
