"""Answers of a model to a benchmark: kept as they come, resumed, the same randomness for both models."""

from pathlib import Path

import pytest

from tinyzero.errors import ConfigError
from tinyzero.evaluation.benchmarks.answering import Protocol, answer, check_size, file_name, questions_of
from tinyzero.evaluation.benchmarks.answers import WrittenAnswer, read_answers
from tinyzero.evaluation.benchmarks.base import Item, Mark
from tinyzero.evaluation.benchmarks.choice import BENCHMARKS
from tinyzero.evaluation.benchmarks.differences import difference_lines, differences
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer
from tinyzero.types import Completion, Role, Verdict, VerdictStatus

CRUX = BENCHMARKS["cruxeval-o"]
PROTOCOL = Protocol(style="direct", samples=16, temperature=0.2, max_tokens=10, seed=0)
ITEMS = [
    CRUX.item({"id": f"sample_{n}", "code": "def f(x): return x", "input": str(n), "output": str(n)})
    for n in range(20)
]


class Scripted:
    """Answers with the number of the sample; remembers its requests, and may be interrupted."""

    def __init__(self, *, most_requests=100, longest=1000):
        self.requests, self.most_requests, self.longest = [], most_requests, longest

    def fits(self, prompt):
        return len(prompt.text) <= self.longest or "f(7)" not in prompt.text

    def sample(self, request):
        if len(self.requests) == self.most_requests:
            raise KeyboardInterrupt
        self.requests.append(request)
        return [
            [Completion(text=f"{request.stream} {n}", token_ids=(1, 2)) for n in range(request.num_samples)]
            for _ in request.prompts
        ]


def ask(path, sampler, role=None):
    return answer(CRUX, questions_of(CRUX, ITEMS, sampler, PROTOCOL), sampler, role, PROTOCOL, path)


def test_an_interrupted_evaluation_goes_on_where_it_was(tmp_path):
    path, expected = tmp_path / "a.jsonl", ask(tmp_path / "b.jsonl", Scripted())
    with pytest.raises(KeyboardInterrupt):
        ask(path, Scripted(most_requests=1))
    with path.open("a") as file:
        file.write('{"id": "sample_9", "compl')  # a kill while a line was written
    rest = Scripted()
    assert ask(path, rest) == expected
    assert len(rest.requests) == 2  # of three, with eight tasks each
    assert ask(path, Scripted(most_requests=0)) == expected


def test_kept_answers_can_be_scored_as_a_file(tmp_path):
    path = tmp_path / "a.jsonl"
    answers = ask(path, Scripted())
    read = read_answers(path, CRUX, ITEMS)
    assert [(each.item.id, each.text) for each in read] == [(each.item.id, each.text) for each in answers]
    assert answers[0].text.startswith("[ANSWER]\n")


def test_both_models_get_the_same_prompts_streams_and_budget(tmp_path):
    base, trained = Scripted(), Scripted()
    ask(tmp_path / "base.jsonl", base)
    ask(tmp_path / "trained.jsonl", trained, Role.SOLVER)
    assert {request.role for request in base.requests} == {None}
    assert {request.role for request in trained.requests} == {Role.SOLVER}

    def shared(request):
        return request.prompts, request.stream, request.max_tokens, request.temperature, request.num_samples

    assert list(map(shared, base.requests)) == list(map(shared, trained.requests))
    assert len({request.stream for request in base.requests}) == 3


def test_other_settings_are_another_file():
    questions = questions_of(CRUX, ITEMS, Scripted(), PROTOCOL)
    colder = Protocol(style="direct", samples=16, temperature=0.1, max_tokens=10, seed=0)
    names = {file_name(CRUX, "base", each, Path("d"), questions) for each in (PROTOCOL, PROTOCOL, colder)}
    assert len(names) == 2


def test_tasks_whose_prompts_are_too_long_are_left_out_and_named():
    questions = questions_of(CRUX, ITEMS, Scripted(longest=0), PROTOCOL)
    assert questions.left_out == ["sample_7"]
    assert len(questions.items) == len(questions.prompts) == 19


@pytest.mark.parametrize(
    ("tasks", "samples", "is_refused"), [(99, 15, True), (99, 16, False), (100, 1, False)]
)
def test_small_sets_need_many_samples(tasks, samples, is_refused):
    if is_refused:
        with pytest.raises(ConfigError, match="use --samples 16 or more, or at least 100 tasks"):
            check_size(tasks, samples)
    else:
        check_size(tasks, samples)


def of(rights):
    """One graded answer per task."""
    return [
        GradedAnswer(
            answer=WrittenAnswer(item=Item(id=str(n), fields={}), text="", num_tokens=4),
            mark=Mark(verdict=Verdict(status=VerdictStatus.CORRECT if right else VerdictStatus.WRONG)),
        )
        for n, right in enumerate(rights)
    ]


def test_differences_are_paired_and_noise_has_no_winner():
    base = of([1] * 50 + [0] * 50)
    (row,) = differences(CRUX, base, of([1] * 80 + [0] * 20))
    assert (row.base, row.trained) == (0.5, 0.8)
    # 30 of 100 differences are 1: standard error .0458, so about .21 to .39
    assert (row.low, row.high) == (pytest.approx(0.21, abs=0.015), pytest.approx(0.39, abs=0.015))
    assert row.as_json()["verdict"] == "beyond noise"
    (row,) = differences(CRUX, base, of([1] * 48 + [0] * 50 + [1] * 2))
    assert row.as_json()["verdict"] == "not distinguishable from noise"


def test_the_table_names_no_winner_inside_the_noise():
    base = of([1, 0, 1, 0])
    lines = list(difference_lines(differences(CRUX, base, base), base, base))
    assert "not distinguishable from noise" in lines[1]
    assert lines[-1].split() == ["tokens", "per", "answer", "4.0", "4.0"]
