"""Several models on the same tasks: intervals against scipy's numbers, the correction, teams of seeds."""

from random import Random

import pytest

from tinyzero.evaluation.several import Entrant, compare_teams, t_interval, table_lines, table_record

TASKS = [str(number) for number in range(200)]
STRATA = {"all": TASKS}
NOISE = "not distinguishable from noise"


@pytest.mark.parametrize(
    ("level", "values", "quantile"),
    [  # scipy.stats.t.ppf((1 + level) / 2, len(values) - 1)
        (0.95, 2, 12.706204736174694),
        (0.95, 3, 4.302652729749462),
        (0.95, 4, 3.1824463052837078),
        (0.95, 5, 2.7764451051977934),
        (0.95, 10, 2.2621571627982053),
        (0.95, 31, 2.0422724563012378),
        (0.99, 3, 9.92484320091829),
        (0.99, 5, 4.604094871415896),
        (0.999, 2, 636.6192487687194),
    ],
)
def test_an_interval_over_seeds_is_that_of_students_t(level, values, quantile):
    numbers = [float(number % 2) for number in range(values)]
    mean = sum(numbers) / values
    deviation = (sum((number - mean) ** 2 for number in numbers) / (values - 1)) ** 0.5
    low, high = t_interval(numbers, level=level)
    assert (high + low) / 2 == pytest.approx(mean, abs=1e-9)
    assert (high - low) / 2 == pytest.approx(quantile * deviation / values**0.5, rel=1e-7)


def test_a_single_seed_has_no_interval():
    with pytest.raises(ValueError, match="1 values"):
        t_interval([0.5])


def rates(mean, seed, spread=0.1):
    rng = Random(seed)
    return {task: mean + rng.uniform(-spread, spread) for task in TASKS}


def entrant(name, gain, *, seed=0, family="", base=0.3):
    return Entrant(
        name=name, before=rates(base, 1), after=rates(base + gain, seed + 2), family=family, seed=seed
    )


def by_pair(table):
    return {(contrast.name, contrast.against): contrast for contrast in table.contrasts}


def test_each_model_is_compared_with_its_base_and_with_the_first():
    table = compare_teams([entrant("a", 0.1), entrant("b", 0.2), entrant("c", 0.1, seed=9)], STRATA)
    found = by_pair(table)
    assert list(found) == [("a", ""), ("b", ""), ("c", ""), ("b", "a"), ("c", "a")]
    assert found["b", ""].difference == pytest.approx(0.2, abs=0.02)
    assert found["b", "a"].verdict == "better"
    assert found["c", "a"].verdict == NOISE
    assert all(contrast.over_seeds is None for contrast in table.contrasts)


def test_all_comparisons_share_five_per_cent_of_error():
    """Bonferroni: 1 - 0.05 / 5 for five comparisons, 1 - 0.05 / 10 where there are two sets of tasks."""
    entrants = [entrant("a", 0.1), entrant("b", 0.2), entrant("c", 0.1, seed=9)]
    assert compare_teams(entrants, STRATA).level == pytest.approx(0.99)
    doubled = compare_teams(entrants, STRATA, num_sets=2)
    assert (doubled.comparisons, doubled.level) == (10, pytest.approx(0.995))
    alone, many = by_pair(compare_teams(entrants[:1], STRATA)), by_pair(doubled)
    narrow, wide = alone["a", ""].over_tasks, many["a", ""].over_tasks
    # Normal quantiles of 95 % and 99.5 %, scipy.stats.norm.ppf: 1.959964 and 2.807034.
    assert (wide[1] - wide[0]) / (narrow[1] - narrow[0]) == pytest.approx(2.807034 / 1.959964, rel=0.06)


def test_five_per_cent_of_null_comparisons_name_a_winner_and_not_more():
    """Models that differ from their base in nothing: 40 tables, each right with 95 % or more."""
    wrong = 0
    for trial in range(40):
        models = [
            Entrant(name=str(n), before=rates(0.5, 999 + trial), after=rates(0.5, 100 * trial + n))
            for n in range(4)
        ]
        table = compare_teams(models, STRATA)
        wrong += any(contrast.verdict != NOISE for contrast in table.contrasts)
    assert wrong <= 6  # of 40; 2 are expected, and more than 6 come in 1 of 200 such tests


def test_seeds_of_a_configuration_are_taken_together():
    """Differences of 0.1, 0.2 and 0.3 at every task: mean 0.2, t interval 0.2 +- 4.3027 * 0.1 / sqrt(3)."""
    base = dict.fromkeys(TASKS, 0.25)
    seeds = [
        Entrant(
            name=f"x-{n}", before=base, after=dict.fromkeys(TASKS, 0.25 + 0.1 * (n + 1)), family="f", seed=n
        )
        for n in range(3)
    ]
    (contrast,) = compare_teams(seeds, STRATA).contrasts
    assert contrast.name == "x-0 and 2 more seeds"
    assert contrast.by_seed == pytest.approx([0.1, 0.2, 0.3])
    assert contrast.over_tasks == pytest.approx((0.2, 0.2))
    half = 4.302652729749462 * 0.1 / 3**0.5
    assert contrast.over_seeds == pytest.approx((0.2 - half, 0.2 + half))
    assert contrast.verdict == NOISE  # over the tasks there is a winner, over the seeds none


def test_a_control_is_compared_seed_by_seed():
    base = dict.fromkeys(TASKS, 0.25)

    def team(name, gains):
        return [
            Entrant(
                name=f"{name}-{n}", before=base, after=dict.fromkeys(TASKS, 0.25 + gain), family=name, seed=n
            )
            for n, gain in enumerate(gains)
        ]

    table = compare_teams([*team("trained", (0.1, 0.3)), *team("control", (0.0, 0.21))], STRATA)
    contrast = table.contrasts[-1]
    assert contrast.by_seed == pytest.approx([-0.1, -0.09])
    half = 2 * 12.706204736174694  # of two values; the level is lower than 95 %, so the interval is wider
    assert contrast.over_seeds[1] - contrast.over_seeds[0] > half * 0.005
    assert len(table.contrasts) == table.comparisons == 3


def test_a_seed_that_comes_twice_is_no_team():
    table = compare_teams([entrant("a", 0.1, family="f"), entrant("b", 0.1, family="f")], STRATA)
    assert [team.name for team in table.teams] == ["a", "b"]


def test_strata_count_alike_and_only_tasks_that_all_have():
    few = Entrant(
        name="x", before={"a": 0.0, "b": 0.5, "c": 1.0}, after={"a": 0.5, "b": 1.0, "c": 0.5, "d": 1.0}
    )
    table = compare_teams([few], {"one": ["a", "b", "d"], "two": ["c"], "none": ["e"]})
    assert table.num_tasks == 3
    assert table.contrasts[0].difference == 0.0  # (0.5 - 0.5) / 2, not the mean over tasks


def test_the_table_names_no_winner_inside_the_noise():
    models = [entrant("first", 0.0), entrant("second", 0.001, seed=5), entrant("third", 0.2)]
    lines = list(table_lines(compare_teams(models, STRATA)))
    assert [line.split()[0] for line in lines if line.endswith("better")] == ["third", "third"]
    assert sum(line.endswith(NOISE) for line in lines) == 3
    assert "99 % each: all 5 together err in at most 5 % of cases (Bonferroni)" in lines[-1]


def test_the_record_holds_all_of_the_table():
    record = table_record(compare_teams([entrant("a", 0.1), entrant("b", 0.2)], STRATA))
    assert (record["correction"], record["num_comparisons"], record["tasks"]) == ("Bonferroni", 3, 200)
    assert [(each["name"], each["against"]) for each in record["comparisons"]] == [
        ("a", "base"), ("b", "base"), ("b", "a"),
    ]  # fmt: skip
    assert record["teams"][1]["members"][0]["accuracy"] == pytest.approx(0.5, abs=0.02)


def test_a_model_without_a_base_is_compared_with_the_first_alone():
    alone = Entrant(name="base model", after=rates(0.3, 4))
    table = compare_teams([alone, entrant("b", 0.2)], STRATA)
    assert list(by_pair(table)) == [("b", ""), ("b", "base model")]
    assert next(iter(table_lines(table)))
