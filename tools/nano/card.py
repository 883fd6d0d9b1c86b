"""The model card: what nano is, the recipe, and the measured tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import Qwen3ForCausalLM

from nano.exam import ATTEMPTS, LONGER, ProposalScore, Score
from nano.examples import HELD_OUT_SHARE
from nano.tasks import MAX_REFERENCES, MIXTURE, TAUGHT
from nano.training import Recipe

Scores = Mapping[tuple[str, int], Score]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What the exam measured: solve rates by (kind, length), and proposals by kind."""

    greedy: Scores
    sampled: Scores
    proposals: Mapping[str, ProposalScore]


def write_card(
    folder: Path,
    model: Qwen3ForCausalLM,
    recipe: Recipe,
    result: Result,
    *,
    tokens: int,
    minutes: float,
) -> None:
    card = CARD.format(
        parameters=f"{model.num_parameters() / 1e6:.2f}",
        layers=model.config.num_hidden_layers,
        width=model.config.hidden_size,
        vocabulary=model.config.vocab_size,
        context=model.config.max_position_embeddings,
        recipe=recipe,
        tokens=f"{tokens / 1e6:.1f}",
        minutes=f"{minutes:.0f}",
        mixture=", ".join(f"{role} {kind} {share:.0%}" for role, kind, share, _ in MIXTURE),
        wrong_share=f"{recipe.wrong_share:.0%}",
        wrong_from=f"{recipe.wrong_from:.0%}",
        held_out=HELD_OUT_SHARE,
        longer=LONGER,
        longest=LONGER - 1,
        attempts=ATTEMPTS,
        references=MAX_REFERENCES,
        solving=_solving_table(result),
        proposing=_proposing_table(result.proposals),
    )
    (folder / "README.md").write_text(card)


def _solving_table(result: Result) -> str:
    """A row per program length, a pair of columns (greedy, sampled) per kind."""
    rows: dict[str, Sequence[int]] = {str(length): (length,) for length in range(1, LONGER)}
    rows[f"1 to {LONGER - 1}"] = tuple(range(1, LONGER))
    rows[f"{LONGER} to {LONGER + 2}"] = (LONGER,)
    head = [f"{kind} {way}" for kind in TAUGHT for way in ("greedy", "sampled")]
    lines = [_row("body lines", head), _row("---", ["---:"] * len(head))]
    for title, lengths in rows.items():
        rates = [
            _rate(scores, kind, lengths) for kind in TAUGHT for scores in (result.greedy, result.sampled)
        ]
        lines.append(_row(title, [f"{rate:.2f}" for rate in rates]))
    return "\n".join(lines)


def _rate(scores: Scores, kind: str, lengths: Sequence[int]) -> float:
    chosen = [scores[kind, length] for length in lengths]
    return sum(score.right for score in chosen) / sum(score.attempts for score in chosen)


def _proposing_table(proposals: Mapping[str, ProposalScore]) -> str:
    head = ["valid", "distinct among valid", "distinct shapes among valid"]
    lines = [_row("kind", head), _row("---", ["---:"] * len(head))]
    for kind, score in proposals.items():
        valid = max(score.valid, 1)
        cells = [
            f"{score.valid / score.attempts:.2f}",
            f"{score.distinct_tasks / valid:.2f}",
            f"{score.distinct_shapes / valid:.2f}",
        ]
        lines.append(_row(kind, cells))
    return "\n".join(lines)


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
self-play can be watched on any CPU without a download. It proposes and solves small Python tasks, weakly
on purpose, and can do nothing else. Load it with `model.base = "nano"` and `prompts.style = "compact"`;
it has never seen the other style.

- Architecture: Qwen3, {layers} layers, width {width}, {vocabulary} tokens, context {context}; float32.
- Tokenizer: byte-level BPE; digits and the characters inside string literals stay single.
- Made by `python tools/pretrain_nano.py --steps {recipe.steps} --seed {recipe.seed}` in {minutes} minutes
  on one core of a busy machine, from {tokens} million tokens.
- Recipe: `{recipe}`
- Lessons: {mixture}.
- Data: random programs of 1 to {longest} body lines over ints, strings and lists, written by
  `tools/nano/grammar.py` and run for their outputs. No text from anywhere else.
- {wrong_share} of the answers to solver prompts are deliberately wrong (another input's output, a near
  value, another program), from {wrong_from} of the training on. That is what self-play has to find out.
- Licence: Apache-2.0, as TinyZero.

## Held-out solve rates

`heldout.jsonl` shares no program shape (names and constants normalised) with pretraining: one shape in
{held_out}, chosen by its hash, is never shown. Sampled means temperature 1, {attempts} attempts a task.
Programs of {longer} body lines and more are longer than any in pretraining.

{solving}

## Proposals

Sampled at temperature 1 with 0 to {references} references (induction: one program), sent through
TinyZero's funnel.

{proposing}
"""
