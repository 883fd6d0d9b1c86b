"""The model card: what nano is, the recipe, and the measured tables."""

from collections.abc import Sequence
from pathlib import Path

from transformers import Qwen3ForCausalLM

from nano.exam import ATTEMPTS, Answered, Way
from nano.examples import HELD_OUT_SHARE
from nano.heldout import LONGER, RUNGS, length_of
from nano.recipe import Phase, Recipe
from nano.results import DECODINGS, FORCED_TASKS, Result, rate, tokens
from nano.tasks import MAX_REFERENCES, MIXTURE, TAUGHT

FORCED: tuple[Way, ...] = ("direct", "thinking")


def write_card(
    folder: Path,
    model: Qwen3ForCausalLM,
    recipe: Recipe,
    result: Result,
    *,
    tokens: int,
    minutes: float,
) -> None:
    thinking, habit = recipe.phases
    card = CARD.format(
        parameters=f"{model.num_parameters() / 1e6:.2f}",
        layers=model.config.num_hidden_layers,
        width=model.config.hidden_size,
        vocabulary=model.config.vocab_size,
        context=model.config.max_position_embeddings,
        recipe=recipe,
        command=f"--thinking-steps {thinking.steps} --habit-steps {habit.steps} --seed {recipe.seed}",
        phases="\n".join(_phase_line(phase) for phase in recipe.phases),
        tokens=f"{tokens / 1e6:.1f}",
        minutes=f"{minutes:.0f}",
        mixture=", ".join(f"{role} {kind} {share:.0%}" for role, kind, share, _ in MIXTURE),
        held_out=HELD_OUT_SHARE,
        longer=LONGER,
        longest=LONGER - 1,
        attempts=ATTEMPTS,
        forced=FORCED_TASKS,
        references=MAX_REFERENCES,
        solving=_solving_table(result),
        ways=_ways_table(result),
        ladder=_ladder_table(result),
        proposing=_proposing_table(result),
    )
    (folder / "README.md").write_text(card)


def _phase_line(phase: Phase) -> str:
    habits = phase.habits
    return (
        f"  - `{phase.name}`, {phase.steps} steps: {habits.thinking:.0%} of the answers to solver prompts "
        f"reason first (where the reasoning is short enough), all of them right; {habits.wrong:.0%} of the "
        "others are deliberately wrong."
    )


def _solving_table(result: Result) -> str:
    """A row per program length, a pair of columns (greedy, sampled) per kind."""
    rows: dict[str, Sequence[int]] = {str(length): (length,) for length in range(1, LONGER)}
    rows[f"1 to {LONGER - 1}"] = tuple(range(1, LONGER))
    rows[f"{LONGER} to {LONGER + 2}"] = (LONGER,)
    lines = _head("body lines", [f"{kind} {decoding}" for kind in TAUGHT for decoding in DECODINGS])
    for title, lengths in rows.items():
        rates = [
            rate(_chosen(result.held_out["free", decoding], kind, lengths))
            for kind in TAUGHT
            for decoding in DECODINGS
        ]
        lines.append(_row(title, [f"{value:.2f}" for value in rates]))
    return "\n".join(lines)


def _ways_table(result: Result) -> str:
    """Per kind: how often it thinks by itself, and what each way brings and costs."""
    columns = [(way, decoding) for way in FORCED for decoding in DECODINGS]
    lines = _head(
        "kind",
        ["thinks, of its own"]
        + [f"{way} {decoding}" for way, decoding in columns]
        + [f"tokens {way}" for way in FORCED],
    )
    for kind in TAUGHT:
        rates = [rate(_chosen(result.held_out[column], kind, range(1, LONGER))) for column in columns]
        lengths = [tokens(_chosen(result.held_out[way, "sampled"], kind, range(1, LONGER))) for way in FORCED]
        cells = [f"{value:.2f}" for value in (result.chance_of_thinking[kind], *rates)]
        lines.append(_row(kind, [*cells, *(f"{value:.0f}" for value in lengths)]))
    return "\n".join(lines)


def _ladder_table(result: Result) -> str:
    lines = _head("body lines", [f"{way} {decoding}" for way in FORCED for decoding in DECODINGS])
    for rung in range(1, RUNGS + 1):
        rates = [
            rate(item for item in result.ladder[way, decoding] if item.task.program.count("\n") == rung)
            for way in FORCED
            for decoding in DECODINGS
        ]
        lines.append(_row(f"rung {rung}", [f"{value:.2f}" for value in rates]))
    return "\n".join(lines)


def _proposing_table(result: Result) -> str:
    lines = _head("kind", ["valid", "distinct among valid", "distinct shapes among valid"])
    for kind, score in result.proposals.items():
        valid = max(score.valid, 1)
        cells = [
            f"{score.valid / score.attempts:.2f}",
            f"{score.distinct_tasks / valid:.2f}",
            f"{score.distinct_shapes / valid:.2f}",
        ]
        lines.append(_row(kind, cells))
    return "\n".join(lines)


def _chosen(answers: Sequence[Answered], kind: str, lengths: Sequence[int]) -> list[Answered]:
    return [item for item in answers if item.task.kind == kind and length_of(item.task) in lengths]


def _head(title: str, cells: list[str]) -> list[str]:
    return [_row(title, cells), _row("---", ["---:"] * len(cells))]


def _row(title: str, cells: list[str]) -> str:
    return f"| {' | '.join([title, *cells])} |"


CARD = """\
---
license: apache-2.0
library_name: transformers
pipeline_tag: text-generation
---
# nano

A causal language model of {parameters} million parameters that TinyZero made from scratch, so that
self-play can be watched on any CPU without a download. It proposes and solves small Python tasks, and can do
nothing else. Load it with `model.base = "nano"` and `prompts.style = "compact"`; it has never seen the other
style.

**What self-play can find in it.** Nano can trace a program step by step within `<think>` ... `</think>`. In
deduction it is then right far more often; in abduction a little, and in induction hardly (the table below).
But it seldom thinks: pretraining ends with lessons that mostly answer at once, and are partly wrong on
purpose. Self-play that rewards right answers selects the better way and strengthens it. It does not create
that ability: it was latent, because pretraining put it there. The literature says the same of much of what
reinforcement learning brings out in real models.

- Architecture: Qwen3, {layers} layers, width {width}, {vocabulary} tokens, context {context}; float32.
- Tokenizer: byte-level BPE; digits and the characters inside string literals stay single.
- Made by `python tools/pretrain_nano.py --work DIR {command}`
  in {minutes} minutes on one core of a busy machine (and part of a second one), from {tokens} million tokens.
- Recipe: `{recipe}`
- Lessons: {mixture}. In two phases:
{phases}
- Reasoning: a trace of every operation with its values and its result (deduction); guesses, each traced and
  compared with what is asked for, until a comparison holds (abduction, and induction on the first two pairs
  shown). Wrong guesses and wrong answers look alike: another run's value, a near value, another program. The
  tokens of a wrong guess are shown, and not learned.
- Data: random programs of 1 to {longest} body lines over ints, strings and lists, written by
  `tools/nano/grammar.py` and run for their outputs. No text from anywhere else.
- Licence: Apache-2.0, as TinyZero.

## Held-out solve rates

`heldout.jsonl` shares no program shape (names and constants normalised) with pretraining: one shape in
{held_out}, chosen by its hash, is never shown. Sampled means temperature 1, {attempts} attempts a task.
Programs of {longer} body lines and more are longer than any in pretraining.

{solving}

## Answering at once, and thinking first

The same with the choice taken away: the first token is `<think>` (thinking), or anything else (direct). The
first {forced} held-out tasks, those of 1 to {longest} body lines.

{ways}

Tokens are those of sampled answers.

## Longer and longer programs

`ladder.jsonl`: deduction, 20 tasks a rung, held-out shapes, of calls that run through the program.

{ladder}

## Proposals

Sampled at temperature 1 with 0 to {references} references (induction: one program), sent through
TinyZero's funnel.

{proposing}
"""
