"""The end of `tinyzero seeds`: one table over its runs, from what they measured before and after."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyzero.cli.seeds import SeedRun
    from tinyzero.evaluation.several import Table


def read_tables(plan: Sequence["SeedRun"]) -> dict[str, "Table"]:
    """Decoding -> the table, from what the runs measured before and after; empty where they did not.

    Raises:
        CheckpointError: a run has measured nothing at its end.
    """
    from tinyzero.config import resolve_base
    from tinyzero.errors import CheckpointError
    from tinyzero.evaluation.heldout import find_set, read_set
    from tinyzero.evaluation.probe import read_measurements
    from tinyzero.evaluation.several import Entrant, compare_teams
    from tinyzero.evaluation.table import GREEDY, SAMPLED, strata_of
    from tinyzero.games.choice import ALL_KINDS
    from tinyzero.run import checkpoints

    heldout = find_set(plan[0].folder.config().evaluation.heldout, str(resolve_base("nano")))
    if heldout is None:
        return {}
    strata, ends = strata_of(read_set(heldout, ALL_KINDS).tasks), []
    for run in plan:
        checkpoint = checkpoints.latest(run.folder)
        first, last = read_measurements(checkpoint / "probe") if checkpoint else (None, None)
        if first is None or last is None:
            raise CheckpointError(f"{run.folder.path} has no measurement before and after; train it anew")
        ends.append((run, first, last))
    return {
        decoding: compare_teams(
            [
                Entrant(
                    name=run.folder.name,
                    before=first.rates[decoding],
                    after=last.rates[decoding],
                    family=run.family,
                    seed=run.seed,
                )
                for run, first, last in ends
            ],
            strata,
            num_sets=2,
        )
        for decoding in (SAMPLED, GREEDY)
    }


def lines(tables: Mapping[str, "Table"], run: "SeedRun") -> Iterator[str]:
    """The tables for people, and what became of the claim."""
    from tinyzero.evaluation.several import table_lines

    if not tables:
        yield "nothing was measured on held-out tasks: evaluation.heldout is none"
    for decoding, table in tables.items():
        yield ""
        yield f"held-out accuracy, {decoding}, before and after training ({table.num_tasks} tasks)"
        yield from table_lines(table)
    if tables and (claim := _claim(tables, run)):
        low, high = claim["interval"]
        yield (
            f"claim {claim['claim']}, written before the first step: {claim['outcome']} "
            f"({claim['difference']:+.1f} points over {claim['seeds']} seeds, 95 % {low:+.1f} to {high:+.1f})"
        )


def json_lines(tables: Mapping[str, "Table"], run: "SeedRun") -> Iterator[str]:
    """The same for programs, as one line."""
    from tinyzero.evaluation.several import table_record

    records = {decoding: table_record(table) for decoding, table in tables.items()}
    yield json.dumps({"event": "seeds", "tables": records, "claim": _claim(tables, run) if tables else None})


def _claim(tables: Mapping[str, "Table"], run: "SeedRun") -> dict[str, Any] | None:
    """What became of the claim over all seeds, by an interval of 95 %; figures in points."""
    from tinyzero.evaluation.comparison import judge_claim
    from tinyzero.evaluation.several import t_interval
    from tinyzero.types import Claim

    if (expect := run.launch.config.run.expect) is None:
        return None
    claim = Claim.parse(expect)
    contrast = tables["sampled" if claim.metric == "heldout" else claim.metric].contrasts[0]
    if len(contrast.by_seed) < 2:  # the run's own ending says it
        return None
    low, high = t_interval(contrast.by_seed)
    return {
        "claim": str(claim),
        "seeds": len(contrast.by_seed),
        "difference": 100 * contrast.difference,
        "interval": [100 * low, 100 * high],
        "outcome": judge_claim(claim, low, high),
    }
