"""`tinyzero eval --profile`: F1@K, robustness, economy and transfer, for base and trained side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinyzero.cli.candidate import Candidate
    from tinyzero.evaluation.benchmarks.answering import Protocol, Questions
    from tinyzero.evaluation.benchmarks.base import Benchmark, Item
    from tinyzero.evaluation.benchmarks.differences import Figure
    from tinyzero.evaluation.benchmarks.profile import Groups, Transfer
    from tinyzero.evaluation.benchmarks.rewrites import Variants
    from tinyzero.evaluation.benchmarks.scoring import GradedAnswer

_Ask = Callable[[str, "Questions", "Protocol"], list["GradedAnswer"]]
"""Model, what is asked, and how -> the graded answers."""
_OWN, _MATHEMATICS, _REASONING = "own kinds of task", "mathematics", "code reasoning"
_LOAD = "intervals are over tasks, not over the machine's load: compare times on a quiet machine only"
_DOMAINS = {
    "cruxeval-o": _REASONING,
    "cruxeval-i": _REASONING,
    "humaneval+": "code synthesis",
    "mbpp+": "code synthesis",
    "gsm8k": _MATHEMATICS,
    "math500": _MATHEMATICS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Profile:
    """The measures of one benchmark.

    Attributes:
        sections: name of a group of measures -> its figures.
        counts: what was counted beside them.
    """

    sections: Mapping[str, Sequence["Figure"]]
    counts: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        figures = {name: {each.name: each.as_json() for each in of} for name, of in self.sections.items()}
        return {**figures, **self.counts}

    def lines(self) -> Iterator[str]:
        """For people."""
        for name, figures in self.sections.items():
            if figures:
                yield from _table(name, figures)
        if any(each.name.startswith("seconds") for each in self.sections["economy"]):
            yield _LOAD
        for name, value in self.counts.items():
            shown = ", ".join(f"{key} {count}" for key, count in value.items())
            yield f"{name.replace('_', ' ')}: {shown or 'none'}"


@dataclass(slots=True, kw_only=True)
class Profiler:
    """Profiles benchmark after benchmark, and compares their domains at the end.

    Attributes:
        price_per_hour: of the machine, dollars.
    """

    candidate: "Candidate"
    price_per_hour: float | None
    allow_weak_sandbox: bool
    _rates: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    _idle_watts: float | None = field(init=False)

    def __post_init__(self) -> None:
        from tinyzero.machine.usage import CardMeter

        self._idle_watts = CardMeter(self.candidate.gpu).idle_watts()

    def heldout(self) -> Path:
        """The file of the run's held-out set, else of the base model's own, else the package's."""
        from tinyzero.config import local_folder, resolve_base
        from tinyzero.config.loading import HELDOUT_FILE
        from tinyzero.evaluation.heldout import find_set

        config = self.candidate.config
        folder = local_folder(config.model.base)
        own = None if folder is None else folder / HELDOUT_FILE
        default = str(own) if own is not None and own.is_file() else "cruxeval"
        path = find_set(config.evaluation.heldout or default, str(resolve_base("nano")))
        assert path is not None  # noqa: S101  it has a name
        return path

    def profile(
        self,
        benchmark: "Benchmark",
        questions: "Questions",
        protocol: "Protocol",
        graded: Mapping[str, list["GradedAnswer"]],
        ask: _Ask,
    ) -> _Profile:
        """All measures of one benchmark.

        Args:
            graded: model -> its answers to the questions under the protocol.
        """
        from tinyzero.evaluation.benchmarks.profile import forgotten_and_learned
        from tinyzero.evaluation.benchmarks.scoring import by_task

        groups = {model: by_task(answers) for model, answers in graded.items()}
        self._keep_rates(benchmark, groups)
        variants = self._variants(benchmark, questions)
        greedy = _greedy(benchmark, questions, variants, protocol, list(graded), self.candidate, ask)
        counts: dict[str, Any] = (
            {"dropped_rewrites": variants.dropped} if any(variants.items.values()) else {}
        )
        if len(groups) > 1:
            forgotten, learned = forgotten_and_learned(*(each[""] for each in greedy.values()))
            counts["greedy_answers"] = {"forgotten": forgotten, "learned": learned}
        return _Profile(
            sections={
                "f1": list(_f1(benchmark, questions, groups)),
                "robustness": list(_robustness(groups, greedy)),
                "economy": list(self._economy(groups)),
            },
            counts=counts,
        )

    def transfer(self) -> "Transfer | None":
        """Gains by domain; None where there is no trained model beside the base."""
        from tinyzero.evaluation.benchmarks.profile import transfer

        if not self._rates:
            return None
        of_programs = _OWN if _OWN in self._rates else _REASONING
        plays_questions = self.candidate.config.selfplay.game == "r-zero"
        return transfer(self._rates, _MATHEMATICS if plays_questions else of_programs)

    def _keep_rates(self, benchmark: "Benchmark", groups: Mapping[str, "Groups"]) -> None:
        """Accuracy of base and trained, by domain."""
        from tinyzero.evaluation.benchmarks.profile import accuracy

        if len(groups) < 2:
            return
        base, trained = map(accuracy, groups.values())
        answered = next(iter(groups.values())).values()
        for group, [(before, _)], [(after, _)] in zip(answered, base, trained, strict=True):
            domain = _domain(benchmark, group[0].answer.item)
            self._rates.setdefault(domain, []).append((before, after))

    def _variants(self, benchmark: "Benchmark", questions: "Questions") -> "Variants":
        from tinyzero.cli.evaluate import open_tools
        from tinyzero.evaluation.benchmarks.rewrites import rewritten

        with ExitStack() as held:
            tools = open_tools(benchmark, held, allow_weak_sandbox=self.allow_weak_sandbox)
            return rewritten(questions.items, tools.runner)

    def _economy(self, groups: Mapping[str, "Groups"]) -> Iterator["Figure"]:
        from tinyzero.evaluation.benchmarks.differences import figure
        from tinyzero.evaluation.benchmarks.profile import economy
        from tinyzero.machine.shapes import shape_of

        shape = shape_of(self.candidate.config.model.base)
        operations = None if shape is None else 2.0 * (shape.linear_weights + shape.head_weights)
        costs = {
            model: economy(of, operations, self.price_per_hour, self._idle_watts)
            for model, of in groups.items()
        }
        for name in next(iter(costs.values())):
            if all(name in of_model for of_model in costs.values()):
                yield figure(name, {model: of_model[name] for model, of_model in costs.items()})


def _domain(benchmark: "Benchmark", item: "Item") -> str:
    """A published benchmark's domain; of a task of one's own, its stratum, else that of its kind."""
    if benchmark.name in _DOMAINS:
        return _DOMAINS[benchmark.name]
    own = _MATHEMATICS if item.fields.get("kind") == "question" else _OWN
    return str(item.fields.get("stratum") or own)


def _greedy(
    benchmark: "Benchmark",
    questions: "Questions",
    variants: "Variants",
    protocol: "Protocol",
    models: Sequence[str],
    candidate: "Candidate",
    ask: _Ask,
) -> dict[str, dict[str, "Groups"]]:
    """Model -> rewrite -> task id -> its greedy answer; the originals' rewrite is an empty name.

    Greedy, since a right answer may turn wrong by chance alone when it is sampled twice.
    """
    from tinyzero.evaluation.benchmarks.scoring import by_task

    changed = [
        (replace(item, id=f"{task}#{name}"), benchmark.prompt(item, protocol.style))
        for name, of_tasks in variants.items.items()
        for task, item in of_tasks.items()
    ]
    fitting = [(item, prompt) for item, prompt in changed if candidate.sampler.fits(prompt)]
    asked = replace(
        questions,
        items=[*questions.items, *(item for item, _ in fitting)],
        prompts=[*questions.prompts, *(prompt for _, prompt in fitting)],
    )
    once = replace(protocol, samples=1, temperature=0.0)
    answers = {model: by_task(ask(model, asked, once)) for model in models}
    ids = {"": {item.id: item.id for item in questions.items}} | {
        name: {task: f"{task}#{name}" for task in of_tasks} for name, of_tasks in variants.items.items()
    }
    return {
        model: {
            name: {task: by_id[place] for task, place in of_name.items() if place in by_id}
            for name, of_name in ids.items()
        }
        for model, by_id in answers.items()
    }


def _f1(benchmark: "Benchmark", questions: "Questions", groups: Mapping[str, "Groups"]) -> Iterator["Figure"]:
    from tinyzero.evaluation.benchmarks import profile
    from tinyzero.evaluation.benchmarks.differences import figure

    num_samples = min(len(group) for of_model in groups.values() for group in of_model.values())
    name = f"F1@{num_samples}"
    if benchmark.traits.has_majority and num_samples > 1:
        yield figure(f"{name}-selective", _each(groups, profile.f1_selective))
        yield figure(f"{name}-selective-area", _each(groups, profile.f1_selective_area))
        yield figure(f"{name}-verifier", _each(groups, profile.f1_verifier))
    outputs = profile.right_outputs(questions.items, benchmark.name)
    if outputs:
        with_outputs = {
            model: {task: group for task, group in of_model.items() if task in outputs}
            for model, of_model in groups.items()
        }
        yield figure(
            f"{name}-output", _each(with_outputs, lambda of_model: profile.f1_output(of_model, outputs))
        )


def _robustness(
    groups: Mapping[str, "Groups"], greedy: Mapping[str, Mapping[str, "Groups"]]
) -> Iterator["Figure"]:
    from tinyzero.evaluation.benchmarks import profile
    from tinyzero.evaluation.benchmarks.differences import figure

    originals = {model: by_name[""] for model, by_name in greedy.items()}
    yield figure("greedy accuracy", _each(originals, profile.accuracy))
    names = [name for name, of_tasks in next(iter(greedy.values())).items() if name and of_tasks]
    for name in names:
        changed = {model: by_name[name] for model, by_name in greedy.items()}
        retained = {model: profile.retention(originals[model], changed[model]) for model in changed}
        yield figure(f"accuracy, {name}", _each(changed, profile.accuracy))
        yield figure(f"retention, {name}", retained)
    if names:
        worst = {model: profile.worst([by_name[name] for name in names]) for model, by_name in greedy.items()}
        yield figure(f"worst of {len(names)} rewrites", worst)
    answers = [group[0] for of_model in groups.values() for group in of_model.values()]
    if all({"base", "plus"} <= answer.mark.by.keys() for answer in answers):
        yield figure("drop from base to plus tests", _each(groups, profile.drop))


def _each(groups: Mapping[str, "Groups"], measure: Callable[["Groups"], Any]) -> dict[str, Any]:
    return {model: measure(of_model) for model, of_model in groups.items()}


def _table(name: str, figures: Sequence["Figure"]) -> Iterator[str]:
    models = list(figures[0].values)
    head = "".join(f"{model:>10}" for model in models) + (f"{'difference':>12}" if len(models) > 1 else "")
    yield f"{name:<30}{head}  95 % interval"
    yield from (each.line() for each in figures)


def transfer_lines(of: "Transfer") -> Iterator[str]:
    """Gains by domain for people."""
    yield from _table("transfer", [*of.domains.values(), *([of.gain] if of.gain else [])])
    if of.gain is None:
        yield "transfer needs tasks of the trained domain and of others; name several with --bench"
    elif of.ratio is None:
        yield f"no transfer ratio: the gain in {of.trained_on} is not distinguishable from noise"
    else:
        yield f"transfer ratio {of.ratio:.3f}: of the gain in {of.trained_on}, in the other domains"
    yield f"largest loss beyond noise: {of.largest_loss:.3f}"
