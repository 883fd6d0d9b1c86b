"""What `tinyzero eval --profile` measures beside accuracy. Pure arithmetic; formulas in docs/evaluation.md.

Every measure is a ratio of sums over tasks, so that one bootstrap over tasks serves them all.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from tinyzero.evaluation.benchmarks.base import Item
from tinyzero.evaluation.benchmarks.differences import Figure, Sums
from tinyzero.evaluation.benchmarks.scoring import GradedAnswer
from tinyzero.evaluation.comparison import Fraction, bootstrap_interval
from tinyzero.execution.values import BadLiteral, parse_literal, render
from tinyzero.types import VerdictStatus

Groups = Mapping[str, Sequence[GradedAnswer]]
"""Task id -> a model's answers to it."""
_TAU = 0.5
"""Share of the answers that must agree before a model answers."""


def f1_selective(groups: Groups) -> Sums:
    """F1 of a model that gives its most frequent answer where at least half of its answers agree."""
    return [[_selective(group, _TAU)] for group in groups.values()]


def f1_selective_area(groups: Groups) -> Sums:
    """The same for every threshold 1/K, 2/K, ..., 1; their mean is the area under F1 as a function of it."""
    return [
        [_selective(group, votes / len(group)) for votes in range(1, len(group) + 1)]
        for group in groups.values()
    ]


def f1_verifier(groups: Groups) -> Sums:
    """F1 of the label "agrees with the most frequent answer" against the verdict, over all answers."""
    return [[_verifier(group)] for group in groups.values()]


def f1_output(groups: Groups, outputs: Mapping[str, str]) -> Sums:
    """Overlap of the elements of a predicted output with those of the right one, of the best of K answers.

    Args:
        outputs: task id -> the right output, a literal.
    """
    return [
        [(max(_overlap(answer, outputs[task]) for answer in group), 1.0)] for task, group in groups.items()
    ]


def right_outputs(items: Sequence[Item], name: str) -> dict[str, str]:
    """Task id -> the right output, of the tasks that want an output and nothing else.

    Args:
        name: of the benchmark.
    """
    shown = {item.id: item.fields for item in items}
    if name == "cruxeval-o":
        return {task: str(fields["output"]) for task, fields in shown.items()}
    return {
        task: str(fields["outputs"][0]) for task, fields in shown.items() if fields.get("kind") == "deduction"
    }


def accuracy(groups: Groups) -> Sums:
    """Share of right answers, over tasks."""
    return [[(_rate(group), 1.0)] for group in groups.values()]


def retention(originals: Groups, variants: Groups) -> Sums:
    """Share of the right answers to the originals that are right for the variants as well.

    Args:
        originals, variants: one greedy answer to each task; tasks without a variant do not count.
    """
    pairs = [(originals[task][0], group[0]) for task, group in variants.items()]
    return [[(float(_is_right(a) and _is_right(b)), float(_is_right(a)))] for a, b in pairs]


def worst(variants: Sequence[Groups]) -> Sums:
    """Share of the tasks whose variants are all answered right; of tasks that have a variant."""
    rights: dict[str, list[bool]] = defaultdict(list)
    for groups in variants:
        for task, group in groups.items():
            rights[task].append(_is_right(group[0]))
    return [[(float(all(of_task)), 1.0)] for of_task in rights.values()]


def drop(groups: Groups) -> Sums:
    """How much of the accuracy by the original tests the added tests take (HumanEval to HumanEval+)."""
    return [
        [(fmean(answer.mark.by["base"] - answer.mark.by["plus"] for answer in group), 1.0)]
        for group in groups.values()
    ]


def economy(
    groups: Groups, operations_per_token: float | None, price_per_hour: float | None, idle_watts: float | None
) -> dict[str, Sums]:
    """Cost of a solved task, by name of the cost; only what was measured.

    Args:
        operations_per_token: of the model's matrix products. price_per_hour: of the machine, dollars.
        idle_watts: what the card draws without work.
    """
    tokens, seconds, joules = (_spent(groups, name) for name in ("num_tokens", "seconds", "joules"))
    rights = [float(sum(map(_is_right, group))) for group in groups.values()]
    costs: dict[str, Sequence[float] | None] = {"tokens": tokens, "seconds": seconds, "joules": joules}
    if joules and seconds and idle_watts is not None:
        costs["joules above idle"] = [j - idle_watts * s for j, s in zip(joules, seconds, strict=True)]
    dollars = [s / 3600 * price_per_hour for s in seconds] if seconds and price_per_hour else None
    operations = (
        [t * operations_per_token / 1e12 for t in tokens] if tokens and operations_per_token else None
    )
    costs |= {"dollars": dollars, "tera operations": operations}
    found = {
        f"{name} / solved task": _pairs(of_tasks, rights) for name, of_tasks in costs.items() if of_tasks
    }
    if operations and dollars:
        found["tera operations / dollar"] = _pairs(operations, dollars)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """Gains in the domain that a model trained on, and outside of it.

    Attributes:
        domains: domain -> accuracy. trained_on: the domain of the training, where it was measured.
        gain: mean over the other domains, trained less base; None where there is none.
        ratio: of that to the gain in the domain of the training, where that one is beyond noise.
        largest_loss: of a domain whose loss is beyond noise, else 0.
    """

    domains: Mapping[str, Figure]
    trained_on: str | None
    gain: Figure | None
    ratio: float | None
    largest_loss: float

    def as_json(self) -> dict[str, Any]:
        return {
            "trained_on": self.trained_on,
            "domains": {name: each.as_json() for name, each in self.domains.items()},
            "transfer": self.gain and self.gain.as_json(),
            "transfer_ratio": self.ratio,
            "largest_loss": self.largest_loss,
        }


def transfer(rates: Mapping[str, Sequence[tuple[float, float]]], trained_on: str) -> Transfer:
    """Compare domains.

    Args:
        rates: domain -> accuracy of base and trained on each of its tasks.
    """
    gains = {domain: [after - before for before, after in pairs] for domain, pairs in rates.items()}
    domains = {domain: _gain(domain, [rates[domain]], [gains[domain]]) for domain in rates}
    others = [domain for domain in rates if domain != trained_on]
    gain = None
    if others and trained_on in rates:
        pairs, differences = [rates[name] for name in others], [gains[name] for name in others]
        gain = _gain("mean of the other domains", pairs, differences)
    losses = [-_difference(each) for each in domains.values() if each.high < 0]
    at_home = domains.get(trained_on)
    ratio = _difference(gain) / _difference(at_home) if gain and at_home and at_home.is_beyond_noise else None
    return Transfer(
        domains=domains,
        trained_on=trained_on if trained_on in rates else None,
        gain=gain,
        ratio=ratio,
        largest_loss=max(losses, default=0.0),
    )


def forgotten_and_learned(base: Groups, trained: Groups) -> tuple[int, int]:
    """Tasks that base solves and trained does not, and the reverse; by one greedy answer each."""
    pairs = [(_is_right(base[task][0]), _is_right(trained[task][0])) for task in base]
    return sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)


def _gain(
    name: str, groups: Sequence[Sequence[tuple[float, float]]], gains: Sequence[Sequence[float]]
) -> Figure:
    """Means over the groups' means, with the paired interval of their difference."""
    before, after = (fmean(fmean(pair[place] for pair in group) for group in groups) for place in (0, 1))
    low, high = bootstrap_interval(gains)
    return Figure(name=name, values={"base": before, "trained": after}, low=low, high=high)


def _difference(of: Figure) -> float:
    first, second = of.values.values()
    return second - first


def _selective(group: Sequence[GradedAnswer], tau: float) -> Fraction:
    """F1 = 2 PR / (P + R) = 2 correct / (answered + tasks), with ties broken at random."""
    leading, share = _leading(group)
    is_answered = bool(leading) and share >= tau
    right = fmean(_is_right(answers[0]) for answers in leading) if is_answered else 0.0
    return 2 * right, is_answered + 1.0


def _verifier(group: Sequence[GradedAnswer]) -> Fraction:
    """2 TP / (2 TP + FP + FN) = 2 TP / (labelled right + right), with ties broken at random."""
    leading, share = _leading(group)
    hits = fmean(sum(map(_is_right, answers)) for answers in leading) if leading else 0.0
    return 2.0 * hits, share * len(group) + sum(map(_is_right, group))


def _leading(group: Sequence[GradedAnswer]) -> tuple[list[list[GradedAnswer]], float]:
    """The most frequent answers, each with its samples, and their share; unreadable answers do not stand."""
    votes: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in group:
        if answer.mark.verdict.status is not VerdictStatus.MALFORMED:
            votes[answer.mark.verdict.answer].append(answer)
    most = max(map(len, votes.values()), default=0)
    return [answers for answers in votes.values() if len(answers) == most], most / len(group)


def _overlap(answer: GradedAnswer, right: str) -> float:
    if _is_right(answer):
        return 1.0
    try:
        predicted, gold = parse_literal(answer.mark.verdict.answer), parse_literal(right)
    except BadLiteral:
        return 0.0
    if type(predicted) is not type(gold) or not isinstance(gold, str | list | tuple | set | frozenset | dict):
        return 0.0
    ours, theirs = Counter(_elements(predicted)), Counter(_elements(gold))
    return 2 * (ours & theirs).total() / max(1, ours.total() + theirs.total())


def _elements(value: Any) -> list[str]:  # noqa: ANN401  whatever a literal may be
    """Characters of a text, items of a dict, else elements."""
    return (
        list(value)
        if isinstance(value, str)
        else list(map(render, value.items() if isinstance(value, dict) else value))
    )


def _spent(groups: Groups, name: str) -> list[float] | None:
    """A cost per task, summed over its answers; None where an answer has none."""
    rows = [[getattr(answer.answer, name) for answer in group] for group in groups.values()]
    return None if any(cost is None for row in rows for cost in row) else [float(sum(row)) for row in rows]


def _pairs(numerators: Sequence[float], denominators: Sequence[float]) -> Sums:
    return [[pair] for pair in zip(numerators, denominators, strict=True)]


def _rate(group: Sequence[GradedAnswer]) -> float:
    return fmean(map(_is_right, group))


def _is_right(answer: GradedAnswer) -> bool:
    return answer.mark.verdict.is_correct
