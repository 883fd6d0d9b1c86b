"""Watches a run's metrics for the ways in which self-play collapses, and says when one begins and is over.

The alarms are shown, logged, and written into the metrics as `watch/<name>`; the trainer may act on them.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import gt, lt
from statistics import fmean
from typing import Final

from tinyzero.config import AlarmName, WatchConfig
from tinyzero.run.events import AlarmBegan, AlarmOver
from tinyzero.run.lines import Step

Metrics = Mapping[str, float]
_LARGEST = 1e15  # what a resumed run finds in its log: no larger numbers, no infinity, no NaN
_USUALLY_READABLE = 0.2
"""Share of readable answers in the first steps below which a fall may be chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """What an alarm looks at, oldest step first: the run's first steps, and its newest, as many of each.

    Attributes:
        known: every metric as it was last measured, whenever that was.
    """

    first: Sequence[Metrics]
    recent: Sequence[Metrics]
    known: Metrics

    def mean(self, metric: str) -> float | None:
        """Over the recent steps that have the metric; None where none has."""
        return _mean(self.recent, metric)

    def ratio(self, metric: str) -> float | None:
        """The recent mean by that of the first steps; None where one is lacking, or the first is 0."""
        first, recent = _mean(self.first, metric), self.mean(metric)
        return recent / first if recent is not None and first else None

    def fall(self, metric: str) -> float | None:
        """The first mean less the recent one; None where one is lacking."""
        first, recent = _mean(self.first, metric), self.mean(metric)
        return first - recent if first is not None and recent is not None else None

    def has_risen(self, metric: str) -> bool:
        ratio = self.ratio(metric)
        return ratio is not None and ratio > 1

    def matching(self, pattern: str) -> list[str]:
        """Names of the recent metrics that a pattern with `*` fits, each once."""
        names = dict.fromkeys(name for step in self.recent for name in step)
        return [name for name in names if fnmatchcase(name, pattern)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """When one alarm is on.

    Attributes:
        figure: what is compared with the threshold; None where the windows do not say.
        threshold: far from the figures of healthy nano runs.
        is_beyond: of (figure, threshold): what is on the wrong side.
        unless: a reason why it is no alarm all the same.
        advice: what it means, and the knob that helps; one line.
        steps: number of newest steps that it looks at; None for `watch.window_steps`.
    """

    name: AlarmName
    figure: Callable[[Windows], float | None]
    threshold: float
    is_beyond: Callable[[float, float], bool]
    unless: Callable[[Windows], bool] = lambda _: False
    advice: str
    steps: int | None = None


def mean_of(
    pattern: str, choose: Callable[[Iterable[float]], float] = max
) -> Callable[[Windows], float | None]:
    """The recent mean of a metric; of several that fit the pattern, the worst as `choose` has it."""
    return lambda windows: _worst(map(windows.mean, windows.matching(pattern)), choose)


def _ratio_of(
    pattern: str, choose: Callable[[Iterable[float]], float] = max
) -> Callable[[Windows], float | None]:
    """The recent mean as a share of what it was in the first window."""
    return lambda windows: _worst(map(windows.ratio, windows.matching(pattern)), choose)


def _largest_number(windows: Windows) -> float | None:
    """The largest absolute value among the figures of the learner that are small in every healthy run."""
    patterns = [f"learner/*/{figure}" for figure in ("weight_max", "grad_norm", "loss")]
    names = [name for pattern in patterns for name in windows.matching(pattern)]
    return max((abs(figure) for name in names if (figure := windows.mean(name)) is not None), default=None)


def _readable_left(windows: Windows) -> float | None:
    """The share of answers that can be read, of the first steps' share; of both roles, the worse one."""
    ratios = []
    for share in (_parsed_share, _well_formed_share):
        first, recent = _mean_of(windows.first, share), _mean_of(windows.recent, share)
        if first is not None and recent is not None and first >= _USUALLY_READABLE:
            ratios.append(recent / first)
    return min(ratios, default=None)


def _parsed_share(metrics: Metrics) -> float | None:
    proposed, parsed = (
        sum(value for name, value in metrics.items() if fnmatchcase(name, f"proposer/*/{stage}"))
        for stage in ("proposed", "parsed")
    )
    return parsed / proposed if proposed else None


def _well_formed_share(metrics: Metrics) -> float | None:
    malformed = metrics.get("solver/malformed_share")
    return None if malformed is None else 1 - malformed


def _mean_of(steps: Iterable[Metrics], share: Callable[[Metrics], float | None]) -> float | None:
    shares = [figure for step in steps if (figure := share(step)) is not None]
    return fmean(shares) if shares else None


_INTRINSIC = ("solver/question/confidence", "solver/question/consistency")

RULES: Final = (
    _Rule(
        name="skipped_updates",
        figure=mean_of("learner/*/skipped"),
        threshold=0.0,
        is_beyond=gt,
        advice="numbers that are NaN or infinite teach nothing (usual at first in float16); lower learner.lr",
        steps=1,
    ),
    _Rule(
        name="huge_numbers",
        figure=_largest_number,
        threshold=1000.0,
        is_beyond=gt,
        advice="weights, gradients or the loss have exploded; start a new run with a lower learner.lr",
        steps=1,
    ),
    _Rule(
        name="unreadable",
        figure=_readable_left,
        threshold=0.2,
        is_beyond=lt,
        advice="the policy hardly writes readable answers any more; start a new run with a lower learner.lr",
        steps=3,
    ),
    _Rule(
        name="without_graphs",
        figure=mean_of("sampling/without_graphs"),
        threshold=0.0,
        is_beyond=gt,
        advice="no CUDA graphs (run.log says why), so sampling is slow; lower sampling.batch_rows",
        steps=1,
    ),
    _Rule(
        name="nothing_to_learn",
        figure=mean_of("advantages/nonzero_share"),
        threshold=0.01,
        is_beyond=lt,
        advice="nearly all rewards are equal, so no answer has an advantage; read samples.jsonl to see why",
    ),
    _Rule(
        name="duplicates",
        figure=mean_of("proposer/duplicate_share"),
        threshold=0.5,
        is_beyond=gt,
        advice="the proposer repeats itself; raise sampling.temperature or lower learner.lr",
    ),
    _Rule(
        name="few_shapes",
        figure=mean_of("proposer/distinct_shapes"),
        threshold=0.5,
        is_beyond=lt,
        advice='new tasks are alike; pool.reference_sampling = "novel", r_zero.repetition_weight, learner.lr',
    ),
    _Rule(
        name="one_kind",
        figure=mean_of("proposer/kind_entropy"),
        threshold=0.5,
        is_beyond=lt,
        advice="some kinds hardly give tasks any more; look at the funnel, drop them from selfplay.kinds",
    ),
    _Rule(
        name="trivial",
        figure=mean_of("proposer/trivial_share"),
        threshold=0.5,
        is_beyond=gt,
        advice="programs ignore or echo their input; lower rewards.failing_proposal or learner.lr",
    ),
    _Rule(
        name="unanimous",
        figure=mean_of("solver/unanimous_share"),
        threshold=0.9,
        is_beyond=gt,
        advice="all attempts at a task say the same, which teaches nothing; raise sampling.temperature",
    ),
    _Rule(
        name="short_answers",
        figure=_ratio_of("length/solver"),
        threshold=0.5,
        is_beyond=lt,
        advice="answers have become short, and may be guesses; raise learner.kl_coef or lower learner.lr",
    ),
    _Rule(
        name="long_answers",
        figure=_ratio_of("length/solver"),
        threshold=2.0,
        is_beyond=gt,
        unless=lambda windows: windows.known.get("heldout/mean/gain_low", 0.0) > 0,
        advice="answers have become long and no better; lower selfplay.answer_tokens or learner.lr",
    ),
    _Rule(
        name="low_entropy",
        figure=_ratio_of("learner/*/entropy", min),
        threshold=0.3,
        is_beyond=lt,
        advice="the policy has lost most of its choices; raise learner.clip_high or lower learner.lr",
    ),
    _Rule(
        name="no_entropy",
        figure=mean_of("learner/*/entropy", min),
        threshold=0.02,
        is_beyond=lt,
        advice="the policy has next to no choice left; raise sampling.temperature",
    ),
    _Rule(
        name="truncated",
        figure=mean_of("truncated/*"),
        threshold=0.5,
        is_beyond=gt,
        advice="completions are cut off before they end; raise selfplay.answer_tokens or proposal_tokens",
    ),
    _Rule(
        name="sampler_gap",
        figure=mean_of("learner/*/sampler_gap_mean"),
        threshold=0.1,
        is_beyond=gt,
        advice="the sampler answers as another policy than the one that learns; tinyzero doctor --model BASE",
    ),
    _Rule(
        name="false_confidence",
        figure=lambda windows: windows.fall("heldout/mean/sampled"),
        threshold=0.05,
        is_beyond=gt,
        unless=lambda windows: not any(map(windows.has_risen, _INTRINSIC)),
        advice="the solver agrees with itself more, and is right less; lower learner.lr, or stop the run",
    ),
    _Rule(
        name="easier_programs",
        figure=_ratio_of("proposer/program_nodes"),
        threshold=0.7,
        is_beyond=lt,
        unless=lambda windows: not windows.has_risen("solver/accuracy"),
        advice='the solver wins because programs shrink; try policy.adapters = "per-role"',
    ),
)


def rules_of(config: WatchConfig) -> list[_Rule]:
    """The alarms that a run may raise."""
    return [rule for rule in RULES if rule.name not in config.silent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """An alarm that began with a step, or was over with it."""

    rule: _Rule
    has_begun: bool
    figure: float

    def event(self, step: int) -> AlarmBegan | AlarmOver:
        """As it is told after `step` steps."""
        rule, value = self.rule, round(self.figure, 4)
        if self.has_begun:
            return AlarmBegan(
                step=step, alarm=rule.name, value=value, threshold=rule.threshold, advice=rule.advice
            )
        return AlarmOver(step=step, alarm=rule.name, value=value, threshold=rule.threshold)


class CollapseWatch:
    """Which alarms are on, and the two windows of metrics that say so."""

    def __init__(self, rules: Sequence[_Rule], window_steps: int) -> None:
        self._rules = rules
        self._size = window_steps
        self._first: list[Metrics] = []
        longest = max((rule.steps or 0 for rule in rules), default=0)
        self._recent: deque[Metrics] = deque(maxlen=max(self._size, longest))
        self._known: dict[str, float] = {}
        self._on: set[str] = set()

    def look(self, metrics: Metrics) -> list[Turn]:
        """Take in a step's metrics; returns the alarms that began or are over with it.

        Before there are as many steps as an alarm looks at, and for a figure that has no data, everything
        stays as it is.
        """
        self._take({name: value for name, value in metrics.items() if abs(value) <= _LARGEST})
        turns = [turn for rule in self._rules if (turn := self._turn(rule, metrics)) is not None]
        for turn in turns:
            (self._on.add if turn.has_begun else self._on.discard)(turn.rule.name)
        return turns

    def metrics(self) -> dict[str, float]:
        """`watch/<name>` of every alarm that is not silent: 1 while it is on, else 0."""
        return {f"watch/{rule.name}": float(rule.name in self._on) for rule in self._rules}

    def catch_up(self, steps: Iterable[Step]) -> None:
        """Know what a run did before it was resumed: its steps so far, as its log has them.

        What was told stays told: the alarms that are on are those that the last step had on.
        """
        last: Metrics = {}
        for step in steps:
            self._take(step.metrics)
            last = step.metrics
        self._on = {rule.name for rule in self._rules if last.get(f"watch/{rule.name}") == 1}

    def _take(self, metrics: Metrics) -> None:
        if len(self._first) < self._size:
            self._first.append(metrics)
        self._recent.append(metrics)
        self._known |= metrics

    def _turn(self, rule: _Rule, newest: Metrics) -> Turn | None:
        steps = rule.steps or self._size
        if len(self._recent) < steps:
            return None
        # An alarm about the newest step alone sees all of it, however large.
        recent = [newest] if steps == rule.steps == 1 else list(self._recent)[-steps:]
        windows = Windows(first=self._first, recent=recent, known=self._known)
        figure = rule.figure(windows)
        if figure is None:
            return None
        is_on = rule.is_beyond(figure, rule.threshold) and not rule.unless(windows)
        if is_on == (rule.name in self._on):
            return None
        return Turn(rule=rule, has_begun=is_on, figure=figure)


def _mean(steps: Iterable[Metrics], metric: str) -> float | None:
    values = [step[metric] for step in steps if metric in step]
    return fmean(values) if values else None


def _worst(figures: Iterable[float | None], choose: Callable[[Iterable[float]], float]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return choose(known) if known else None
