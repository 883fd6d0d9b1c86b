"""The before/after table: readable at 80 columns, honest about noise, the same figures as JSON."""

import json
from dataclasses import replace

from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.lines import comparison_of, comparison_record
from tinyzero.watch.comparison import claim_line, claim_record, comparison_lines, in_words, what_was_learned


def row(name, decoding="sampled", *, before=0.125, after=0.25, low=0.05, high=0.2, tasks=100):
    return Row(
        name=name,
        decoding=decoding,
        tasks=tasks,
        before=before,
        after=after,
        difference=after - before,
        low=low,
        high=high,
    )


COMPARISON = Comparison(
    set_name="mine",
    attempts=8,
    step=90,
    rows=(
        row("deduction"),
        row("mean", tasks=300),
        row("longer programs", low=-0.05),
        row("deduction", "greedy", after=0.0625, low=-0.08, high=-0.03),
        row("mean", "greedy", low=-0.01, tasks=300),
        row("longer programs", "greedy"),
    ),
)


def test_sampled_and_greedy_stand_side_by_side_within_80_columns():
    title, heading, *rows, sampled, greedy = comparison_lines(COMPARISON)
    assert "90 steps" in title
    assert "95 %" in title
    assert heading.split() == ["sampled", "greedy"]
    assert [" ".join(line.split()) for line in rows] == [
        "deduction 0.12 0.25 +0.12 [+0.05 +0.20] 0.12 0.06 -0.06 [-0.08 -0.03]",
        "mean 0.12 0.25 +0.12 [+0.05 +0.20] 0.12 0.25 +0.12 [-0.01 +0.20]",
        "longer programs 0.12 0.25 +0.12 [-0.05 +0.20] 0.12 0.25 +0.12 [+0.05 +0.20]",
    ]
    places = {(line.index("["), line.rindex("[")) for line in rows}
    assert places == {(heading.index("sampled") + 16, heading.index("greedy") + 16)}
    assert all(len(line) <= 80 for line in (title, heading, *rows, sampled, greedy))


def test_the_last_lines_say_what_it_comes_to():
    *_, sampled, greedy = comparison_lines(COMPARISON)
    assert sampled == "sampled: better by 12.5 points (300 tasks)"
    assert greedy == "greedy: not distinguishable from noise (300 tasks)"
    assert in_words(row("x", after=0.0, low=-0.2, high=-0.1)) == "worse by 12.5 points (100 tasks)"


LEARNED = replace(
    COMPARISON,
    rows=(row("mean", tasks=300), row("mean", "greedy", tasks=1050)),
    others=(
        row("mean", "thinking_share", before=0.25, after=0.75, low=0.4, high=0.6),
        row("mean", "answer_tokens", before=12.0, after=45.0, low=30.0, high=36.0),
        row("mean", "pass@8", before=0.5, after=0.5, low=-0.01, high=0.01),
    ),
    untrained=(
        row("mean", "temperature 0.7", before=0.1875, low=0.02),
        row("mean", "temperature 0.3", before=0.21875, low=-0.01),
    ),
)


def test_other_measures_and_the_untrained_models_temperatures_have_lines_of_their_own():
    lines = [" ".join(line.split()) for line in comparison_lines(LEARNED)]
    assert lines[3:7] == [
        "thinking share 0.25 0.75 +0.50 [+0.40 +0.60]",
        "answer tokens 12 45 +33",
        "pass@8 0.50 0.50 +0.00 [-0.01 +0.01]",
        "untrained 0.19 at temperature 0.7, 0.22 at 0.3",
    ]


def test_the_ending_says_what_was_learned_with_its_interval():
    *learned, cold = what_was_learned(LEARNED)
    assert learned == [
        "learned: 25% of 1050 tasks solved greedily, 12% before,",
        "+12.5 points (95 % +5.0 to +20.0); 75% of the answers reason, 25% before",
    ]
    assert cold == "sampled: no more than the untrained model reaches at temperature 0.3 (0.22)"
    assert all(len(line) <= 80 for line in comparison_lines(LEARNED))


def test_the_ending_claims_nothing_that_noise_could_be_nor_a_temperature_that_was_beaten():
    above = (row("mean", "temperature 0.3", before=0.21875, low=0.01),)
    rows = (row("mean"), row("mean", "greedy", low=-0.01))
    assert list(what_was_learned(replace(LEARNED, rows=rows, untrained=above))) == []


def test_what_was_written_is_read_back_the_same():
    assert comparison_of(json.loads(json.dumps(comparison_record(LEARNED)))) == LEARNED


def test_the_record_is_json_with_every_row():
    record = json.loads(json.dumps(comparison_record(COMPARISON)))
    assert {key: record[key] for key in ("set", "attempts", "step")} == {
        "set": "mine",
        "attempts": 8,
        "step": 90,
    }
    assert record["rows"][0] == {
        "name": "deduction",
        "decoding": "sampled",
        "tasks": 100,
        "before": 0.125,
        "after": 0.25,
        "difference": 0.125,
        "low": 0.05,
        "high": 0.2,
    }
    assert len(record["rows"]) == 6


def test_the_claim_is_told_with_the_interval_that_decides_it():
    line = claim_line("heldout+3", COMPARISON)
    assert line == ("claim heldout+3, written before the first step: held (+12.5 points, 95 % +5.0 to +20.0)")
    assert "cannot be told (+12.5 points, 95 % -1.0 to +20.0)" in claim_line("greedy+3", COMPARISON)
    assert "cannot be told (no measurement before and after)" in claim_line("heldout+3", None)
    sampled_alone = replace(COMPARISON, rows=COMPARISON.rows[:3])
    assert "cannot be told (no measurement before and after)" in claim_line("greedy+3", sampled_alone)


def test_the_claim_for_programs_has_metric_direction_points_and_figures():
    assert claim_record("heldout-2", COMPARISON) == {
        "claim": "heldout-2",
        "metric": "heldout",
        "direction": "-",
        "points": 2.0,
        "difference": 12.5,
        "interval": [5.0, 20.0],
        "outcome": "did not hold",
    }


def test_runs_without_a_claim_and_edited_ones_have_no_line():
    for expect in (None, "", "pigs+fly", 3, ["heldout+3"]):
        assert claim_line(expect, COMPARISON) == ""
