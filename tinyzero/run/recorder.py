"""Writes what a run did into its folder: metrics, samples, tasks, events, environment, evaluation."""

import logging
import os
import platform
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import tinyzero
from tinyzero.config.sections import SAMPLES_STRIDE
from tinyzero.run.events import Ended, Event, Started
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import comparison_record
from tinyzero.run.observer import RunStart, RunSummary
from tinyzero.run.records import RecordWriter, event_record, thin, truncate_after
from tinyzero.tasks.records import to_record
from tinyzero.types import (
    AttemptRollout,
    ProposalRollout,
    Rejection,
    Rollout,
    Round,
    StepReport,
    Task,
    Verdict,
)

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "bitsandbytes",
    "accelerate",
    "pydantic",
    "unsloth",
    "vllm",
    "vllm-bnb-plugin",
)
# A CPU run repeats bit for bit only if these stay the same.
_DECISIVE = ("threads", "device", "packages", "python", "machine", "tinyzero")


def describe_environment(*, preset: str, seed: int, device: str, sandbox_tier: str) -> dict[str, Any]:
    """The content of environment.json for this process and machine."""
    return {
        "tinyzero": tinyzero.__version__,
        "git_commit": _git_commit(),
        "preset": preset,
        "seed": seed,
        "device": device,
        "sandbox_tier": sandbox_tier,
        "threads": _num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name)) is not None},
    }


def _what_changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Changes that make a resumed run differ from an uninterrupted one, such as `threads: 2 -> 4`."""
    return differences(before, {key: after[key] for key in _DECISIVE})


def differences(before: Mapping[str, Any], after: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What a tree has otherwise than the one before, such as `packages.torch: 2.11.0 -> 2.12.0`.

    What only one of them has was not known to the version that wrote the other, and is left out.
    """
    changes: list[str] = []
    for key in before.keys() & after.keys():
        value, other = before[key], after[key]
        if isinstance(value, Mapping) and isinstance(other, Mapping):
            changes += differences(value, other, f"{prefix}{key}.")
        elif value != other:
            changes.append(f"{prefix}{key}: {value} -> {other}")
    return sorted(changes)


def _num_threads() -> int | None:
    """Number of torch's threads; None if torch is not loaded."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    """The commit of the checkout that TinyZero runs from; None outside a checkout."""
    checkout = Path(tinyzero.__file__).parents[1]
    if not (checkout / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(checkout), "rev-parse", "HEAD"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()


_logger = logging.getLogger(__name__)


class Recorder:
    """The observer that a run cannot do without: what it does not write down is gone."""

    def __init__(self, run: RunFolder, *, preset: str) -> None:
        self._run = run
        self._preset = preset
        self._seed = 0
        self._samples_per_step = 0
        self._keep_samples: int | None = None
        self._writers: dict[str, RecordWriter] = {}
        self._environment: dict[str, Any] = {}

    def on_start(self, start: RunStart) -> None:
        self._seed, self._samples_per_step = start.config.run.seed, start.config.run.samples_per_step
        self._keep_samples = start.config.run.keep_samples
        for path in self._run.logs:
            if path != self._run.events:
                truncate_after(path, start.step)  # steps beyond the checkpoint are played again
            self._writers[path.stem] = RecordWriter(path)
        self._record_environment(start)

    def on_step(self, report: StepReport) -> None:
        # The metrics come last: a step that has its line there has all of its lines.
        for record in task_records(report):
            self._writers["tasks"].append(record)
        for record in _replay_records(report):
            self._writers["replays"].append(record)
        for record in _sample_records(
            report, self._samples_per_step, Random(f"{self._seed}/{report.step}/samples")
        ):
            self._writers["samples"].append(record)
        self._writers["metrics"].append({"step": report.step, **report.metrics})
        if self._keep_samples is not None and report.step % self._keep_samples == 0:
            self._thin_samples(report.step - self._keep_samples)

    def on_event(self, event: Event) -> None:
        self._writers["events"].append(event_record(event))

    def on_end(self, summary: RunSummary) -> None:
        if summary.comparison is not None:
            self._run.write_evaluation(comparison_record(summary.comparison))
        self.on_event(Ended(step=summary.step, reason=summary.reason, seconds=summary.seconds))
        self.close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _thin_samples(self, last: int) -> None:
        self._writers["samples"].close()
        thin(self._run.samples, last=last, stride=SAMPLES_STRIDE)
        self._writers["samples"] = RecordWriter(self._run.samples)

    def save_to(self, run: RunFolder) -> None:
        """Write all that is known of the run into another folder; its own may be gone."""
        run.write_environment(self._environment)
        for path in run.logs:
            self._writers[path.stem].save_to(path)

    def _record_environment(self, start: RunStart) -> None:
        before = self._run.environment()
        environment = describe_environment(
            preset=self._preset, seed=self._seed, device=start.device, sandbox_tier=start.sandbox_tier
        )
        kept = {"base": before["base"]} if "base" in before else {}
        settings = {"config": start.config.model_dump(mode="json")}  # so that a later hand edit shows
        self._environment = environment | settings | kept
        self._run.write_environment(self._environment)
        changed = tuple(_what_changed(before, environment))
        if changed and start.step:
            _logger.warning("no longer the environment of the first steps: %s", ", ".join(changed))
        self.on_event(Started(step=start.step, changed=changed))


def task_records(report: StepReport) -> Iterator[dict[str, Any]]:
    """Every new task of the step, with its provenance and what the solver made of it."""
    verdicts = _verdicts_by_task(report.round)
    for task in report.round.new_tasks:
        record = to_record(replace(task, step=report.step))
        yield {"step": report.step, **record, **_in_numbers(verdicts[task.id])}


def _replay_records(report: StepReport) -> Iterator[dict[str, Any]]:
    """What the solver made of earlier tasks in this step."""
    verdicts = _verdicts_by_task(report.round)
    for task in report.round.replayed_tasks:
        yield {"step": report.step, "id": task.id, **_in_numbers(verdicts[task.id])}


def _verdicts_by_task(played: Round) -> Mapping[str, list[Verdict]]:
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for rollout in (*played.rollouts, *played.untrained):
        if isinstance(rollout, AttemptRollout):
            verdicts[rollout.task_id].append(rollout.verdict)
    return verdicts


def _in_numbers(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Attempts, how many got which verdict, and the solve rate: null for a task that was not attempted."""
    return {
        "attempts": len(verdicts),
        "verdicts": dict(Counter(verdict.status.value for verdict in verdicts)),
        "solve_rate": fmean(verdict.is_correct for verdict in verdicts) if verdicts else None,
    }


def _sample_records(report: StepReport, count: int, random: Random) -> Iterator[dict[str, Any]]:
    """A few rollouts of the step, drawn in turn from every role and kind."""
    for index in spread(report.round, count, random):
        rollout, advantage = report.round.rollouts[index], report.round.advantages[index]
        yield {"step": report.step, **_describe(rollout), "advantage": advantage}


def spread(played: Round, count: int, random: Random) -> list[int]:
    """Indices of `count` rollouts: one of each role and kind in turn, at random within."""
    groups: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, rollout in enumerate(played.rollouts):
        groups[rollout.role, rollout.prompt.kind].append(index)
    for group in groups.values():
        random.shuffle(group)
    longest = max(map(len, groups.values()), default=0)
    in_turn = [group[turn] for turn in range(longest) for group in groups.values() if turn < len(group)]
    return in_turn[:count]


def _describe(rollout: Rollout) -> dict[str, Any]:
    return {
        "role": rollout.role,
        "kind": rollout.prompt.kind,
        "task_id": _task_id(rollout),
        "prompt": rollout.prompt.text,
        "prefill": rollout.prompt.prefill,
        "completion": rollout.completion.text,
        "tokens": len(rollout.completion.token_ids),
        "finish_reason": rollout.completion.finish_reason,
        "verdict": _verdict(rollout),
        "rejection": _rejection(rollout),
        "reward": rollout.reward.total,
        "reward_terms": rollout.reward.terms,
    }


def _task_id(rollout: Rollout) -> str:
    """Of the task attempted, or of the one proposed; empty for a rejected proposal."""
    if isinstance(rollout, AttemptRollout):
        return rollout.task_id
    return rollout.outcome.id if isinstance(rollout.outcome, Task) else ""


def _verdict(rollout: Rollout) -> dict[str, str] | None:
    if isinstance(rollout, ProposalRollout):
        return None
    verdict = rollout.verdict
    return {"status": verdict.status, "answer": verdict.answer, "detail": verdict.detail}


def _rejection(rollout: Rollout) -> dict[str, str] | None:
    if isinstance(rollout, ProposalRollout) and isinstance(rollout.outcome, Rejection):
        return {"stage": rollout.outcome.stage, "detail": rollout.outcome.detail}
    return None
