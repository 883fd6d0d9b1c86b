"""Metrics of one round, computed from its rollouts. The names are API; a figure without data is left out."""

import ast
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import TypeVar

from tinyzero.tasks.answers import reasoning
from tinyzero.types import AttemptRollout, ProposalRollout, Role, Rollout, Stage, Task, VerdictStatus

_STAGES = tuple(Stage)
_AnyRollout = TypeVar("_AnyRollout", ProposalRollout, AttemptRollout)


def round_metrics(
    proposals: Sequence[ProposalRollout], attempts: Sequence[AttemptRollout]
) -> dict[str, float]:
    """`role/kind/measure` -> value; shares are in [0, 1], rewards are means, funnel stages are counts."""
    return {
        **_proposer_metrics(proposals),
        **solver_metrics(attempts),
        **length_metrics(Role.PROPOSER, proposals),
        **length_metrics(Role.SOLVER, attempts),
    }


def _proposer_metrics(proposals: Sequence[ProposalRollout]) -> dict[str, float]:
    """The funnel: how many proposals of each kind got through each stage; shares; how kinds are balanced."""
    metrics = {}
    for kind, group in by_kind(proposals).items():
        metrics[f"proposer/{kind}/proposed"] = float(len(group))
        for stage in _STAGES:
            metrics[f"proposer/{kind}/{stage}"] = float(sum(_has_passed(rollout, stage) for rollout in group))
        metrics[f"proposer/{kind}/reward"] = mean_reward(group)
    if proposals:
        metrics["proposer/valid_share"] = fmean(map(is_task, proposals))
        metrics["proposer/reward"] = mean_reward(proposals)
    return metrics | _last_stages(proposals) | _kind_balance(proposals)


def _last_stages(proposals: Sequence[ProposalRollout]) -> dict[str, float]:
    """Shares of those that came to a stage: refused as trivial, refused because the pool holds them, new."""
    metrics = {}
    deterministic = [rollout for rollout in proposals if _has_passed(rollout, Stage.DETERMINISTIC)]
    if deterministic:
        metrics["proposer/trivial_share"] = fmean(
            not _has_passed(rollout, Stage.NONTRIVIAL) for rollout in deterministic
        )
    sound = [rollout for rollout in deterministic if _has_passed(rollout, Stage.NONTRIVIAL)]
    if sound:
        metrics["proposer/new_share"] = fmean(map(is_task, sound))
        metrics["proposer/duplicate_share"] = 1 - metrics["proposer/new_share"]
    return metrics


def _kind_balance(proposals: Sequence[ProposalRollout]) -> dict[str, float]:
    """Entropy of the kinds of the proposals that became tasks, by the most that the kinds played allow.

    1 where every kind gave as many tasks, 0 where one gave them all. With a single kind it says nothing.
    """
    kinds = by_kind(proposals)
    counts = [sum(map(is_task, group)) for group in kinds.values()]
    if len(kinds) < 2 or not any(counts):
        return {}
    return {"proposer/kind_entropy": entropy(counts) / math.log(len(kinds))}


def entropy(counts: Sequence[int]) -> float:
    """Shannon entropy of a distribution given by counts, nats."""
    total = sum(counts)
    return sum(count / total * math.log(total / count) for count in counts if count)


def diversity_metrics(tasks: Sequence[Task], repeated_shapes: Sequence[str] = ()) -> dict[str, float]:
    """How different a round's programs are, and how large those of its new tasks.

    `distinct_shapes`: program shapes, names and constants aside, per sound proposal. `program_nodes`: nodes
    of the syntax tree, mean of the programs; they fall when the proposer turns to easier ones.

    Args:
        repeated_shapes: of the sound proposals that are no new task.
    """
    shapes = [*(task.shape for task in tasks), *repeated_shapes]
    metrics = {"proposer/distinct_shapes": len(set(shapes)) / len(shapes)} if shapes else {}
    if tasks:
        metrics["proposer/program_nodes"] = fmean(_num_nodes(task.program) for task in tasks)
    return metrics


def _num_nodes(program: str) -> int:
    return sum(1 for _ in ast.walk(ast.parse(program)))


def is_task(proposal: ProposalRollout) -> bool:
    return isinstance(proposal.outcome, Task)


def _has_passed(proposal: ProposalRollout, stage: Stage) -> bool:
    if isinstance(proposal.outcome, Task):
        return True
    return _STAGES.index(stage) < _STAGES.index(proposal.outcome.stage)


def solver_metrics(attempts: Sequence[AttemptRollout]) -> dict[str, float]:
    """Accuracy by kind, and the share of tasks whose attempts disagree: only those teach within a task."""
    metrics = {}
    for kind, group in by_kind(attempts).items():
        metrics[f"solver/{kind}/attempts"] = float(len(group))
        metrics[f"solver/{kind}/accuracy"] = accuracy(group)
        metrics[f"solver/{kind}/reward"] = mean_reward(group)
        metrics |= {f"solver/{kind}/{name}": value for name, value in _thinking_metrics(group).items()}
    if attempts:
        metrics["solver/accuracy"] = accuracy(attempts)
        metrics["solver/reward"] = mean_reward(attempts)
        metrics["solver/malformed_share"] = fmean(
            rollout.verdict.status is VerdictStatus.MALFORMED for rollout in attempts
        )
        metrics["solver/mixed_share"] = mixed_share(attempts)
        metrics |= {f"solver/{name}": value for name, value in _thinking_metrics(attempts).items()}
    return metrics | _unanimity(attempts)


def _thinking_metrics(attempts: Sequence[AttemptRollout]) -> dict[str, float]:
    """How many attempts reason before they answer, how long these are, and what it is good for.

    Where some reason and some do not, their accuracies say which pays.
    """
    thinking = [rollout for rollout in attempts if reasoning(rollout.answer.text)]
    direct = [rollout for rollout in attempts if not reasoning(rollout.answer.text)]
    metrics = {"thinking_share": len(thinking) / len(attempts)}
    if thinking:
        metrics["thinking_accuracy"] = accuracy(thinking)
        metrics["thinking_tokens"] = fmean(len(rollout.completion.token_ids) for rollout in thinking)
    if direct:
        metrics["direct_accuracy"] = accuracy(direct)
    return metrics


def mixed_share(attempts: Sequence[AttemptRollout]) -> float:
    return fmean(len(set(map(is_correct, group))) == 2 for group in by_task(attempts))


def _unanimity(attempts: Sequence[AttemptRollout]) -> dict[str, float]:
    """Of the tasks that were attempted more than once, the share with one answer only, right or wrong.

    Answers are compared as text; all that cannot be read are one answer.
    """
    answers = [[_answer_read(rollout) for rollout in group] for group in by_task(attempts) if len(group) >= 2]
    return {"solver/unanimous_share": fmean(len(set(group)) == 1 for group in answers)} if answers else {}


def _answer_read(attempt: AttemptRollout) -> str | None:
    """The answer that was read, None where none could be."""
    verdict = attempt.verdict
    return None if verdict.status is VerdictStatus.MALFORMED else verdict.answer


def length_metrics(role: Role, rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Sampled tokens of a role, their mean per completion, and the share that ran out of budget."""
    if not rollouts:
        return {}
    lengths = [len(rollout.completion.token_ids) for rollout in rollouts]
    return {
        f"tokens/{role}": float(sum(lengths)),
        f"length/{role}": fmean(lengths),
        f"truncated/{role}": fmean(rollout.completion.is_truncated for rollout in rollouts),
    }


def advantage_metrics(advantages: Sequence[float]) -> dict[str, float]:
    """The share of rollouts that have an advantage: a round where it is 0 teaches nothing."""
    return {"advantages/nonzero_share": fmean(map(bool, advantages)) if advantages else 0.0}


def by_kind(rollouts: Iterable[_AnyRollout]) -> Mapping[str, list[_AnyRollout]]:
    groups: dict[str, list[_AnyRollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.prompt.kind].append(rollout)
    return groups


def by_task(attempts: Iterable[AttemptRollout]) -> Iterable[list[AttemptRollout]]:
    groups: dict[str, list[AttemptRollout]] = defaultdict(list)
    for rollout in attempts:
        groups[rollout.task_id].append(rollout)
    return groups.values()


def is_correct(attempt: AttemptRollout) -> bool:
    return attempt.verdict.is_correct


def accuracy(attempts: Sequence[AttemptRollout]) -> float:
    return fmean(map(is_correct, attempts))


def mean_reward(rollouts: Sequence[Rollout]) -> float:
    return fmean(rollout.reward.total for rollout in rollouts)


def term_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """`reward/<role>/<term>`: the term's mean over all rollouts of the role, 0 where a rollout lacks it."""
    sums: dict[str, float] = defaultdict(float)
    counts: dict[str, int] = defaultdict(int)
    for rollout in rollouts:
        counts[rollout.role] += 1
        for term, value in rollout.reward.terms.items():
            sums[f"reward/{rollout.role}/{term}"] += value
    return {name: total / counts[name.split("/")[1]] for name, total in sums.items()}
