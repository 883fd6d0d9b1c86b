"""Before against after: differences and intervals worked out by hand or by another road."""

from math import isnan
from random import Random
from statistics import NormalDist, fmean, stdev

import pytest

from tinyzero.evaluation.comparison import (
    Comparison,
    Row,
    bootstrap_interval,
    compare,
    judge_claim,
    mean_ratio,
    ratio_interval,
)
from tinyzero.types import Claim


def rows_of(groups, before, after):
    return {row.name: row for row in compare(groups, before, after, "sampled")}


def test_rows_hold_means_per_group_and_the_mean_counts_groups_alike():
    before = {"a": 0.0, "b": 0.5, "c": 1.0}
    after = {"a": 0.5, "b": 1.0, "c": 0.5}
    rows = rows_of({"deduction": ["a", "b"], "abduction": ["c"]}, before, after)
    assert list(rows) == ["deduction", "abduction", "mean"]
    assert (rows["deduction"].before, rows["deduction"].after, rows["deduction"].tasks) == (0.25, 0.75, 2)
    assert (rows["abduction"].before, rows["abduction"].after) == (1.0, 0.5)
    # (0.25 + 1) / 2 and (0.75 + 0.5) / 2: not the mean over tasks, which is 0.5 before.
    assert (rows["mean"].before, rows["mean"].after, rows["mean"].tasks) == (0.625, 0.625, 3)
    assert rows["mean"].difference == 0.0


def test_a_lone_group_is_its_own_mean():
    rows = rows_of({"deduction": ["a"]}, {"a": 0.0}, {"a": 1.0})
    assert list(rows) == ["deduction"]
    comparison = Comparison(set_name="x", attempts=1, step=1, rows=tuple(rows.values()))
    assert comparison.overall("sampled") is rows["deduction"]


def test_equal_differences_have_an_interval_without_width():
    row = rows_of({"deduction": ["a", "b"]}, {"a": 0.1, "b": 0.6}, {"a": 0.3, "b": 0.8})["deduction"]
    assert (row.low, row.high) == pytest.approx((0.2, 0.2))
    assert row.is_beyond_noise


def test_the_interval_is_that_of_the_normal_approximation_where_there_are_many_tasks():
    rng = Random(0)
    groups = [[rng.gauss(0.1, 0.3) for _ in range(400)], [rng.gauss(-0.1, 0.5) for _ in range(300)]]
    centre = fmean(map(fmean, groups))
    error = sum((stdev(values) ** 2 / len(values)) for values in groups) ** 0.5 / 2
    half = NormalDist().inv_cdf(0.975) * error
    low, high = bootstrap_interval(groups)
    assert low == pytest.approx(centre - half, abs=0.05 * half)
    assert high == pytest.approx(centre + half, abs=0.05 * half)


def test_the_interval_is_paired_so_tasks_of_different_difficulty_do_not_widen_it():
    before = {str(index): index / 100 for index in range(80)}
    after = {name: rate + 0.1 for name, rate in before.items()}
    row = rows_of({"deduction": list(before)}, before, after)["deduction"]
    assert row.high - row.low < 1e-9


def test_95_of_100_intervals_hold_the_truth():
    rng = Random(1)
    hits = 0
    for seed in range(400):
        low, high = bootstrap_interval([[rng.gauss(0.0, 1.0) for _ in range(60)]], seed=seed)
        hits += low <= 0.0 <= high
    assert 0.91 <= hits / 400 <= 0.98  # 0.945 for the percentile interval at 60 values, standard error 0.011


def pairs(rng, num_tasks):
    """One ratio of about 2 per task, whose parts go together."""
    bottoms = [rng.uniform(1.0, 3.0) for _ in range(num_tasks)]
    return [[(2 * bottom + rng.gauss(0.0, 0.5), bottom)] for bottom in bottoms]


def test_the_interval_of_a_ratio_of_sums_is_that_of_the_delta_method():
    """Linearised: the standard error of sum a / sum b is that of the mean of (a - ratio b) / mean b."""
    sums = pairs(Random(3), 500)
    ratio, bottom = mean_ratio(sums), fmean(pair[1] for [pair] in sums)
    assert ratio == pytest.approx(sum(a for [(a, _)] in sums) / sum(b for [(_, b)] in sums))
    error = stdev((a - ratio * b) / bottom for [(a, b)] in sums) / len(sums) ** 0.5
    half = NormalDist().inv_cdf(0.975) * error
    low, high = ratio_interval([sums])
    assert (low, high) == (
        pytest.approx(ratio - half, abs=0.1 * half),
        pytest.approx(ratio + half, abs=0.1 * half),
    )


def test_ratios_of_two_models_are_paired_by_task():
    sums = pairs(Random(4), 200)
    better = [[(top + bottom, bottom)] for [(top, bottom)] in sums]  # a ratio that is larger by 1
    assert ratio_interval([sums, better]) == pytest.approx((1.0, 1.0))
    assert ratio_interval([sums, sums]) == (0.0, 0.0)


def test_a_ratio_with_a_denominator_of_one_has_the_interval_of_a_mean():
    values = [Random(5).random() for _ in range(100)]
    assert ratio_interval([[[(value, 1.0)] for value in values]]) == pytest.approx(
        bootstrap_interval([values])
    )


def test_several_ratios_count_alike():
    assert mean_ratio([[(1, 2), (1, 1)], [(1, 2), (0, 1)]]) == pytest.approx((2 / 4 + 1 / 2) / 2)


def test_too_few_tasks_that_count_give_no_interval():
    low, high = ratio_interval([[[(1.0, 1.0)], [(1.0, 0.0)], [(1.0, 0.0)]]])
    assert isnan(low)
    assert isnan(high)


@pytest.mark.parametrize(
    ("low", "high", "is_beyond"), [(-0.1, 0.2, False), (0.01, 0.2, True), (-0.2, -0.01, True)]
)
def test_noise_is_an_interval_that_holds_zero(low, high, is_beyond):
    row = Row(name="x", decoding="greedy", tasks=1, before=0, after=0, difference=0, low=low, high=high)
    assert row.is_beyond_noise is is_beyond


def test_a_row_that_is_not_there_is_an_error():
    with pytest.raises(KeyError, match="abduction, greedy"):
        Comparison(set_name="x", attempts=1, step=1, rows=()).row("abduction", "greedy")


@pytest.mark.parametrize(
    ("claim", "low", "high", "result"),
    [
        ("heldout+3", 0.03, 0.08, "held"),
        ("heldout+3", 0.02, 0.08, "cannot be told"),
        ("heldout+3", -0.01, 0.03, "cannot be told"),
        ("heldout+3", 0.001, 0.029, "did not hold"),  # a gain beyond noise, and not the one that was claimed
        ("greedy-2", -0.05, -0.02, "held"),
        ("greedy-2", -0.05, -0.01, "cannot be told"),
        ("greedy-2", -0.019, 0.4, "did not hold"),
        ("heldout+0", 0.0, 0.0, "held"),
    ],
)
def test_a_claim_holds_where_all_of_the_interval_is_on_its_side(claim, low, high, result):
    assert judge_claim(Claim.parse(claim), low, high) == result


@pytest.mark.parametrize(
    "text", ["", "heldout", "heldout3", "heldout+", "pass+3", "greedy+101", "greedy+1e2"]
)
def test_what_is_no_claim_is_refused_with_one_that_is(text):
    with pytest.raises(ValueError, match=r"write heldout\+3"):
        Claim.parse(text)


def test_a_narrower_level_gives_a_wider_interval():
    """Of normal means: 95 % within 1.96 standard errors, 99.5 % within 2.807 (scipy.stats.norm.ppf)."""
    rng = Random(5)
    values = [rng.gauss(0.1, 0.3) for _ in range(500)]
    error = stdev(values) / 500**0.5
    for level, quantile in ((0.95, 1.959964), (0.995, 2.807034)):
        low, high = bootstrap_interval([values], level=level)
        assert (high - low) / 2 == pytest.approx(quantile * error, rel=0.08)
