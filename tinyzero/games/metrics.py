"""Metrics of one round, computed from its rollouts. The names are API; a figure without data is left out."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from tinyzero.types import Role, Rollout, Stage, Task, VerdictStatus

STAGES = tuple(Stage)


def round_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """`role/kind/measure` -> value; shares are in [0, 1], rewards are means, funnel stages are counts."""
    proposals = [rollout for rollout in rollouts if rollout.prompt.role is Role.PROPOSER]
    attempts = [rollout for rollout in rollouts if rollout.prompt.role is Role.SOLVER]
    return {
        **proposer_metrics(proposals),
        **solver_metrics(attempts),
        **length_metrics(Role.PROPOSER, proposals),
        **length_metrics(Role.SOLVER, attempts),
    }


def proposer_metrics(proposals: Sequence[Rollout]) -> dict[str, float]:
    """The funnel: how many proposals of each kind got through each stage.

    `new_share` is of those that came to the last stage, which asks whether the pool holds the task already.
    """
    metrics = {}
    for kind, group in by_kind(proposals).items():
        metrics[f"proposer/{kind}/proposed"] = float(len(group))
        for stage in STAGES:
            metrics[f"proposer/{kind}/{stage}"] = float(sum(has_passed(rollout, stage) for rollout in group))
        metrics[f"proposer/{kind}/reward"] = mean_reward(group)
    if proposals:
        metrics["proposer/valid_share"] = fmean(rollout.rejection is None for rollout in proposals)
        metrics["proposer/reward"] = mean_reward(proposals)
    sound = [rollout for rollout in proposals if has_passed(rollout, Stage.NONTRIVIAL)]
    if sound:
        metrics["proposer/new_share"] = fmean(rollout.rejection is None for rollout in sound)
    return metrics


def diversity_metrics(tasks: Sequence[Task]) -> dict[str, float]:
    """How different a round's new tasks are: distinct program shapes, names and constants aside, per task."""
    return {"proposer/distinct_shapes": len({task.shape for task in tasks}) / len(tasks)} if tasks else {}


def has_passed(proposal: Rollout, stage: Stage) -> bool:
    if proposal.rejection is None:
        return True
    return STAGES.index(stage) < STAGES.index(proposal.rejection.stage)


def solver_metrics(attempts: Sequence[Rollout]) -> dict[str, float]:
    """Accuracy by kind, and the share of tasks whose attempts disagree: only those teach within a task."""
    metrics = {}
    for kind, group in by_kind(attempts).items():
        metrics[f"solver/{kind}/attempts"] = float(len(group))
        metrics[f"solver/{kind}/accuracy"] = accuracy(group)
        metrics[f"solver/{kind}/reward"] = mean_reward(group)
    if attempts:
        metrics["solver/accuracy"] = accuracy(attempts)
        metrics["solver/reward"] = mean_reward(attempts)
        metrics["solver/malformed_share"] = fmean(
            rollout.verdict is not None and rollout.verdict.status is VerdictStatus.MALFORMED
            for rollout in attempts
        )
        metrics["solver/mixed_share"] = mixed_share(attempts)
    return metrics


def mixed_share(attempts: Sequence[Rollout]) -> float:
    verdicts: dict[str, set[bool]] = defaultdict(set)
    for rollout in attempts:
        verdicts[rollout.task_id].add(is_correct(rollout))
    return fmean(len(seen) == 2 for seen in verdicts.values())


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


def by_kind(rollouts: Iterable[Rollout]) -> Mapping[str, list[Rollout]]:
    groups: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.prompt.kind].append(rollout)
    return groups


def is_correct(rollout: Rollout) -> bool:
    return rollout.verdict is not None and rollout.verdict.is_correct


def accuracy(attempts: Sequence[Rollout]) -> float:
    return fmean(is_correct(rollout) for rollout in attempts)


def mean_reward(rollouts: Sequence[Rollout]) -> float:
    return fmean(rollout.reward.total for rollout in rollouts)
