"""Several models on the same tasks: each against its base model, and against the first. Pure arithmetic.

Models that differ only in their seed form one team, with an interval over the seeds beside that over tasks.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from tinyzero.evaluation.comparison import LEVEL, Rates, bootstrap_interval

_NOISE = "not distinguishable from noise"

_Strata = Mapping[str, Sequence[str]]
"""Name -> task ids; strata count alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrant:
    """A model that was measured.

    Attributes:
        after: accuracy by task. before: that of its base model, None where it was not measured.
        family: equal for models that differ only in their seed; empty for a model that has no such relatives.
    """

    name: str
    after: Rates
    before: Rates | None = None
    family: str = ""
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Team:
    """A model, or several of the same family with distinct seeds."""

    name: str
    members: Sequence[Entrant]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Contrast:
    """A difference in accuracy between a team and its base model, or the first team.

    Attributes:
        against: name of the first team; empty for the base model.
        by_seed: a difference for each seed, paired by seed and task.
        over_tasks: interval of their mean, by a bootstrap over tasks.
        over_seeds: the same by Student's t over the seeds; None for a single pair of models.
    """

    name: str
    against: str
    by_seed: Sequence[float]
    over_tasks: tuple[float, float]
    over_seeds: tuple[float, float] | None

    @property
    def difference(self) -> float:
        return fmean(self.by_seed)

    @property
    def verdict(self) -> str:
        """Names a winner only where no interval holds zero: a few seeds may agree by luck."""
        ends = [self.over_tasks, *([self.over_seeds] if self.over_seeds else [])]
        if min(low for low, _ in ends) > 0:
            return "better"
        return "worse" if max(high for _, high in ends) < 0 else _NOISE


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All comparisons of the teams on one set of tasks.

    Attributes:
        comparisons: how many intervals share the error of 5 %, those of other sets included.
        level: of each interval, by Bonferroni's correction.
    """

    teams: Sequence[_Team]
    strata: _Strata
    contrasts: Sequence[_Contrast]
    comparisons: int
    level: float

    @property
    def num_tasks(self) -> int:
        return sum(map(len, self.strata.values()))


def compare_teams(entrants: Sequence[Entrant], strata: _Strata, *, num_sets: int = 1) -> Table:
    """Each team against its base model, and each but the first against the first, on tasks that all have.

    Args:
        num_sets: sets of tasks, or measures, on which the same comparisons are made.

    Source: Bonferroni's correction; bootstrap paired by task (Efron and Tibshirani 1993, chapter 13).
    """
    teams, shared = _teams(entrants), _shared(entrants, strata)
    pairs = list(_pairs(teams))
    comparisons = len(pairs) * num_sets
    level = 1 - (1 - LEVEL) / max(1, comparisons)
    return Table(
        teams=teams,
        strata=shared,
        contrasts=[_contrast(*pair, shared, level) for pair in pairs],
        comparisons=comparisons,
        level=level,
    )


def _teams(entrants: Sequence[Entrant]) -> list[_Team]:
    """In the order of their first members. A family in which a seed comes twice is not taken together."""
    families: dict[str, list[Entrant]] = {}
    for entrant in entrants:
        families.setdefault(entrant.family or entrant.name, []).append(entrant)
    teams: list[_Team] = []
    for members in families.values():
        if len({member.seed for member in members}) == len(members):
            more = f" and {len(members) - 1} more seeds" if len(members) > 1 else ""
            teams.append(_Team(name=f"{members[0].name}{more}", members=members))
        else:
            teams += [_Team(name=member.name, members=[member]) for member in members]
    return teams


def _shared(entrants: Sequence[Entrant], strata: _Strata) -> dict[str, list[str]]:
    """The tasks on which all were measured."""
    measured = [
        rates for entrant in entrants for rates in (entrant.after, entrant.before) if rates is not None
    ]
    kept = {
        name: [task for task in ids if all(task in rates for rates in measured)]
        for name, ids in strata.items()
    }
    return {name: ids for name, ids in kept.items() if ids}


def _pairs(teams: Sequence[_Team]) -> Iterator[tuple[str, str, list[tuple[Rates, Rates]]]]:
    """Name, what it is compared with, and a pair of rates for each seed."""
    for team in teams:
        if pairs := [(member.after, member.before) for member in team.members if member.before is not None]:
            yield team.name, "", pairs
    for team in teams[1:]:
        yield team.name, teams[0].name, _matched(team, teams[0])


def _matched(team: _Team, first: _Team) -> list[tuple[Rates, Rates]]:
    """A pair for each seed that both have; the means over the seeds where those are fewer than two."""
    of_first = {member.seed: member.after for member in first.members}
    pairs = [(member.after, of_first[member.seed]) for member in team.members if member.seed in of_first]
    return pairs if len(pairs) > 1 else [(_mean_rates(team), _mean_rates(first))]


def _mean_rates(team: _Team) -> dict[str, float]:
    rates = [member.after for member in team.members]
    return {
        task: fmean(each[task] for each in rates) for task in rates[0] if all(task in each for each in rates)
    }


def _contrast(
    name: str, against: str, pairs: Sequence[tuple[Rates, Rates]], strata: _Strata, level: float
) -> _Contrast:
    groups = [
        [fmean(after[task] - before[task] for after, before in pairs) for task in ids]
        for ids in strata.values()
    ]
    by_seed = [_mean_rate(after, strata) - _mean_rate(before, strata) for after, before in pairs]
    return _Contrast(
        name=name,
        against=against,
        by_seed=by_seed,
        over_tasks=bootstrap_interval(groups, level=level),
        over_seeds=t_interval(by_seed, level=level) if len(by_seed) > 1 else None,
    )


def _mean_rate(rates: Rates, strata: _Strata) -> float:
    """Mean over the strata of the means over their tasks."""
    return fmean(fmean(rates[task] for task in ids) for ids in strata.values())


def t_interval(values: Sequence[float], *, level: float = LEVEL) -> tuple[float, float]:
    """Interval of the mean of independent values. Raises ValueError for fewer than two."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} values have no interval; it takes two or more")
    half = _t_quantile(level, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def _t_quantile(level: float, freedom: int) -> float:
    """The t within which Student's distribution has this share, by bisection over its angle."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _share_within(angle: float, freedom: int) -> float:
    """P(|T| < sqrt(freedom) tan(angle)). Source: Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    is_odd = freedom % 2
    term, total = math.cos(angle) if is_odd else 1.0, 0.0
    for k in range(1, freedom // 2 + 1):
        total += term
        term *= (2 * k - 1 + is_odd) / (2 * k + is_odd) * math.cos(angle) ** 2
    return 2 / math.pi * (angle + math.sin(angle) * total) if is_odd else math.sin(angle) * total


def table_record(table: Table) -> dict[str, Any]:
    """The table as JSON: accuracies and differences are shares."""
    return {
        "tasks": table.num_tasks,
        "correction": "Bonferroni",
        "num_comparisons": table.comparisons,
        "level": table.level,
        "teams": [
            {
                "name": team.name,
                **_means(team.members, table.strata),
                "members": [
                    {"name": member.name, "seed": member.seed, **_means([member], table.strata)}
                    for member in team.members
                ],
            }
            for team in table.teams
        ],
        "comparisons": [
            {
                "name": contrast.name,
                "against": contrast.against or "base",
                "difference": contrast.difference,
                "interval_over_tasks": list(contrast.over_tasks),
                "interval_over_seeds": contrast.over_seeds and list(contrast.over_seeds),
                "by_seed": list(contrast.by_seed),
                "verdict": contrast.verdict,
            }
            for contrast in table.contrasts
        ],
    }


def _means(members: Sequence[Entrant], strata: _Strata) -> dict[str, float | None]:
    bases = [_mean_rate(member.before, strata) for member in members if member.before is not None]
    accuracy = fmean(_mean_rate(member.after, strata) for member in members)
    return {"base": fmean(bases) if bases else None, "accuracy": accuracy}


def table_lines(table: Table) -> Iterator[str]:
    """The table for people. Members of a team have no verdict of their own."""
    against = {(contrast.name, contrast.against): contrast for contrast in table.contrasts}
    names = [team.name for team in table.teams] + [m.name for team in table.teams for m in team.members]
    width = max(len(name) + 2 for name in names)
    yield f"{'':<{width}}{'base':>8}{'accuracy':>10}{'difference':>12}  {'over tasks':<18}over seeds"
    for team in table.teams:
        yield _line(team.name, width, team.members, table.strata, against.get((team.name, "")))
        if len(team.members) > 1:
            for member in team.members:
                yield _line(f"  {member.name}", width, [member], table.strata, None)
    if len(table.teams) > 1:
        yield f"against {table.teams[0].name}"
        for team in table.teams[1:]:
            yield f"{team.name:<{width}}{'':>18}{_difference(against[team.name, table.teams[0].name])}"
    yield (
        f"intervals of {100 * table.level:.4g} % each: all {table.comparisons} together err in at most 5 % "
        "of cases (Bonferroni)"
    )


def _line(
    name: str, width: int, members: Sequence[Entrant], strata: _Strata, contrast: _Contrast | None
) -> str:
    means = _means(members, strata)
    base, accuracy = means["base"], means["accuracy"]
    shown = "-" if base is None else f"{base:.3f}"
    if contrast is not None:
        difference = _difference(contrast)
    else:
        difference = "" if base is None or accuracy is None else f"{accuracy - base:>+12.3f}"
    return f"{name:<{width}}{shown:>8}{accuracy:>10.3f}{difference}"


def _difference(contrast: _Contrast) -> str:
    tasks, seeds = contrast.over_tasks, contrast.over_seeds
    over_seeds = f"{seeds[0]:+.3f} to {seeds[1]:+.3f}" if seeds else ""
    over_tasks = f"{tasks[0]:+.3f} to {tasks[1]:+.3f}"
    return f"{contrast.difference:>+12.3f}  {over_tasks:<18}{over_seeds:<18}{contrast.verdict}"
