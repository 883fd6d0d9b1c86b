"""The before/after table: readable at 80 columns, honest about noise, the same figures as JSON."""

import json

from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.run.lines import comparison_record
from tinyzero.watch.comparison import comparison_lines, in_words


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
