"""The measures of `tinyzero eval --profile`, against numbers worked out by hand; and a test of the test."""

import math
from random import Random

import pytest

from tinyzero.cli import run
from tinyzero.evaluation.benchmarks import profile
from tinyzero.evaluation.benchmarks.answers import WrittenAnswer
from tinyzero.evaluation.benchmarks.base import Item, Mark
from tinyzero.evaluation.benchmarks.choice import BENCHMARKS
from tinyzero.evaluation.benchmarks.differences import differences, figure
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer
from tinyzero.evaluation.comparison import mean_ratio
from tinyzero.types import Verdict, VerdictStatus


def answer(task, is_right, text="", *, is_readable=True, tokens=4, seconds=None, joules=None, **by):
    status = VerdictStatus.CORRECT if is_right else VerdictStatus.WRONG
    verdict = Verdict(status=status if is_readable else VerdictStatus.MALFORMED, answer=text)
    written = WrittenAnswer(
        item=Item(id=task, fields={}), text=text, num_tokens=tokens, seconds=seconds, joules=joules
    )
    return GradedAnswer(answer=written, mark=Mark(verdict=verdict, by=by))


def answers(task, *said, right="1"):
    """An answer for each text; an empty text could not be read."""
    return [answer(task, text == right, text, is_readable=bool(text)) for text in said]


GROUPS = {
    "a": answers("a", "1", "1", "2", ""),  # right, by half of the answers
    "b": answers("b", "3", "1", "3", "3"),  # wrong, by three quarters
    "c": answers("c", "4", "1", "2", "3"),  # four answers that stand alone
}


def test_f1_selective_is_that_of_majorities_of_at_least_half():
    # Answered a and b, right a: P = 1/2, R = 1/3, F1 = 2 PR / (P + R) = 2/5
    assert mean_ratio(profile.f1_selective(GROUPS)) == pytest.approx(2 / 5)


def test_a_tie_counts_half_and_what_cannot_be_read_is_no_answer():
    assert profile.f1_selective({"a": answers("a", "1", "1", "2", "2")}) == [[(1.0, 2.0)]]
    assert profile.f1_selective({"a": answers("a", "", "", "", "1")}) == [[(0.0, 1.0)]]
    assert profile.f1_verifier({"a": answers("a", "", "")}) == [[(0.0, 0.0)]]


def test_the_area_is_the_mean_over_all_thresholds():
    # 1/4: all answered, right 1 + 0 + 1/4, so 2.5/6; 1/2: 2/5; 3/4 and 1: none right
    assert mean_ratio(profile.f1_selective_area(GROUPS)) == pytest.approx((2.5 / 6 + 2 / 5) / 4)


def test_f1_verifier_labels_what_agrees_with_the_majority():
    # a: TP 2, FP 0, FN 0; b: TP 0, FP 3, FN 1; c: the label falls on the right answer once in four
    hits, misses = 2 + 0 + 1 / 4, 0 + 4 + (3 / 4 + 3 / 4)
    assert mean_ratio(profile.f1_verifier(GROUPS)) == pytest.approx(2 * hits / (2 * hits + misses))


@pytest.mark.parametrize(
    ("said", "right", "f1"),
    [
        ("[2, 2, 3]", "[1, 2, 2]", 2 * 2 / 6),
        ("'abd'", "'abcd'", 2 * 3 / 7),
        ("{'a': 1, 'b': 2}", "{'a': 1, 'b': 3}", 2 * 1 / 4),
        ("{1, 2}", "{2, 3}", 2 * 1 / 4),
        ("[True]", "[1]", 0),
        ("(1,)", "[1]", 0),
        ("[]", "[1]", 0),
        ("7", "8", 0),
        ("", "8", 0),
    ],
)
def test_f1_output_is_the_overlap_of_elements(said, right, f1):
    group = answers("a", said, "'-'", right=right)
    assert profile.f1_output({"a": group}, {"a": right}) == [[(pytest.approx(f1), 1.0)]]
    assert profile.f1_output({"a": [*group, *answers("a", right, right=right)]}, {"a": right}) == [[(1, 1)]]


def test_only_tasks_that_want_an_output_have_one():
    crux = BENCHMARKS["cruxeval-o"].item({"id": "x", "code": "", "input": "1", "output": "[1]"})
    own = [
        Item(id="d", fields={"kind": "deduction", "outputs": ["5"]}),
        Item(id="a", fields={"kind": "abduction", "outputs": ["5"]}),
    ]
    assert profile.right_outputs([crux], "cruxeval-o") == {"x": "[1]"}
    assert profile.right_outputs([crux], "cruxeval-i") == {}
    assert profile.right_outputs(own, "mine") == {"d": "5"}


def greedy(**rights):
    return {task: [answer(task, right)] for task, right in rights.items()}


def test_retention_is_the_share_of_right_answers_that_stay_right():
    originals = greedy(a=True, b=True, c=False, d=True)
    variants = greedy(a=True, b=False, c=True)  # d has no such rewrite
    assert mean_ratio(profile.retention(originals, variants)) == pytest.approx(1 / 2)


def test_the_worst_of_the_rewrites_counts():
    assert mean_ratio(profile.worst([greedy(a=True, b=False), greedy(a=True, c=True)])) == pytest.approx(
        2 / 3
    )


def test_the_drop_from_base_to_plus_tests():
    groups = {
        "a": [answer("a", False, base=True, plus=False), answer("a", True, base=True, plus=True)],
        "b": [answer("b", False, base=False, plus=False)] * 2,
    }
    assert mean_ratio(profile.drop(groups)) == pytest.approx((1 - 1 / 2) / 2)


def test_costs_of_a_solved_task():
    groups = {
        "a": [
            answer("a", True, tokens=10, seconds=900, joules=5e4),
            answer("a", True, tokens=30, seconds=900, joules=5e4),
        ],
        "b": [answer("b", False, tokens=60, seconds=1800, joules=2e5)],
    }
    costs = profile.economy(groups, 4e9, 3.0, 40.0)
    values = {name: mean_ratio(sums) for name, sums in costs.items()}
    assert values == {
        "tokens / solved task": 100 / 2,
        "seconds / solved task": 3600 / 2,
        "joules / solved task": 3e5 / 2,
        "joules above idle / solved task": pytest.approx((3e5 - 40 * 3600) / 2),
        "dollars / solved task": 3 / 2,
        "tera operations / solved task": pytest.approx(100 * 4e9 / 1e12 / 2),
        "tera operations / dollar": pytest.approx(100 * 4e9 / 1e12 / 3),
    }


def test_what_was_not_measured_is_left_out():
    groups = {"a": [answer("a", True, seconds=1.0)], "b": [answer("b", True)]}
    assert list(profile.economy(groups, None, 3.0, None)) == ["tokens / solved task"]


def test_nothing_solved_has_no_cost_and_no_winner():
    groups = {str(number): [answer(str(number), False)] for number in range(100)}
    solved = {str(number): [answer(str(number), True)] for number in range(100)}
    costs = {
        model: profile.economy(of, None, None, None)["tokens / solved task"]
        for model, of in {"base": groups, "trained": solved}.items()
    }
    row = figure("tokens / solved task", costs)
    assert math.isnan(row.values["base"])
    assert row.as_json() == {
        "base": None, "trained": 4.0, "difference": None, "interval": [None, None],
        "verdict": "not distinguishable from noise",
    }  # fmt: skip
    assert "too few tasks for an interval" in row.line()


def test_a_figure_of_one_model_has_its_own_interval():
    row = figure("accuracy", {"base": profile.accuracy(greedy(a=True, b=True))})
    assert row.as_json() == {"value": 1.0, "interval": [1.0, 1.0]}
    assert row.line().split() == ["accuracy", "1.000", "1.000", "to", "1.000"]


def test_transfer_is_the_mean_of_the_other_domains_and_a_loss_is_named():
    better, worse = [(0.0, 1.0)] * 50 + [(0.0, 0.0)] * 50, [(1.0, 0.75)] * 100
    of = profile.transfer({"own": better, "mathematics": worse, "code": [(0.5, 1.0)] * 100}, "own")
    assert {name: each.values for name, each in of.domains.items()}["own"] == {"base": 0.0, "trained": 0.5}
    assert of.gain is not None
    assert of.gain.values["trained"] - of.gain.values["base"] == pytest.approx((-0.25 + 0.5) / 2)
    assert of.ratio == pytest.approx(0.125 / 0.5)
    assert of.largest_loss == pytest.approx(0.25)


def test_without_a_gain_beyond_noise_there_is_no_ratio_and_no_loss():
    noise = [(0.0, 1.0), (1.0, 0.0)] * 50
    of = profile.transfer({"own": noise, "mathematics": noise}, "own")
    assert (of.ratio, of.largest_loss) == (None, 0.0)
    assert of.gain is not None
    assert not of.gain.is_beyond_noise
    alone = profile.transfer({"mathematics": noise}, "own")
    assert (alone.gain, alone.trained_on) == (None, None)


def test_forgotten_and_learned_are_counted_apart():
    base, trained = greedy(a=True, b=True, c=False), greedy(a=False, b=True, c=True)
    assert profile.forgotten_and_learned(base, trained) == (1, 1)


def simulated(rng, rates):
    """An answer to each task, right with its rate."""
    return [answer(str(task), rng.random() < rate) for task, rate in enumerate(rates)]


def test_an_adapter_that_is_better_by_a_known_margin_is_called_better():
    rng, margin, holds = Random(0), 0.25, 0
    for _ in range(20):
        rates = [rng.uniform(0.1, 0.7) for _ in range(200)]
        base, trained = simulated(rng, rates), simulated(rng, [rate + margin for rate in rates])
        (row,) = differences(BENCHMARKS["cruxeval-o"], base, trained)
        assert row.low > 0  # 5 standard errors of .046
        holds += row.low <= margin <= row.high
    assert holds >= 17


def test_an_adapter_that_changes_nothing_is_called_different_in_5_of_100_simulations():
    """Both draw their own random numbers, so that their answers differ by chance."""
    rng, calls = Random(2), 0
    for _ in range(200):
        rates = [rng.uniform(0.1, 0.9) for _ in range(100)]
        (row,) = differences(BENCHMARKS["cruxeval-o"], simulated(rng, rates), simulated(rng, rates))
        calls += row.is_beyond_noise
    assert 3 <= calls <= 19  # 10 are expected; outside with a probability of 1 in 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--score", "a.jsonl", "--profile"], "--profile asks a model"),
        (["nano", "--price-per-hour", "1"], "--price-per-hour is for --profile"),
        (["nano", "--profile", "--bench", "nowhere.jsonl"], "there is no file nowhere.jsonl"),
        (["nowhere", "--profile"], "name a run, the folder of an adapter, or a model"),
        (["nano", "--profile", "--bench", "gsm8k"], "give its folder with --data DIR"),
        (["nano", "--profile", "--price-per-hour", "x"], "--price-per-hour"),
        (["nano", "--profile", "--price-per-hour", "-1"], "--price-per-hour"),
    ],
)
def test_refusals_are_one_line(capsys, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    assert run(["eval", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert words in err
