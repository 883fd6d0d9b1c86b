"""The model card: turns facts into Markdown. Untrusted text is quoted, never inserted as it is."""

from collections.abc import Sequence
from typing import Any

from tinyzero.config import Config
from tinyzero.evaluation.comparison import Comparison, Row
from tinyzero.export.base import Facts
from tinyzero.run.lines import finite
from tinyzero.run.records import read
from tinyzero.watch.text import as_markdown, in_code

CURVES = "curves.png"
_RELATION = {"adapter": "adapter", "merged": "finetune", "gguf": "quantized"}
_LIBRARY = {"adapter": "peft", "merged": "transformers", "gguf": "gguf"}
_ONE_LINE = {
    "adapter": "A LoRA adapter for",
    "merged": "A model merged from an adapter and",
    "gguf": "A GGUF file, for llama.cpp and Ollama, of an adapter merged into",
}


def write_card(facts: Facts) -> str:
    """The complete README.md."""
    parts = [
        f"---\n{_metadata(facts)}\n---\n# {facts.title}",
        _licence(facts),
        _what_it_is(facts),
        _how_to_use(facts),
        _how_trained(facts),
        _results(facts),
        _merge(facts),
        _sampler(facts),
        _LIMITS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def eval_results(evaluation: Comparison) -> list[dict[str, Any]]:
    """The content of a file in .eval_results, the Hub's newer format of results."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = [
        EvalResultEntry(
            dataset_id=evaluation.set_name,
            task_id=row.name,
            value=row.after,
            notes=_in_words(row, evaluation),
        )
        for row in evaluation.rows
    ]
    return eval_result_entries_to_yaml(entries)


def _metadata(facts: Facts) -> str:
    from huggingface_hub import ModelCardData

    fields: dict[str, Any] = {
        **facts.base.licence.metadata,
        "library_name": _LIBRARY[facts.what],
        "pipeline_tag": "text-generation",
        "tags": ["tinyzero", "self-play", "reinforcement-learning", facts.config.selfplay.game, "lora"],
    }
    base_model = facts.base.hub_id or facts.base.origin
    if base_model:
        fields |= {"base_model": base_model, "base_model_relation": _RELATION[facts.what]}
    if facts.measured_here:
        fields |= {"model_name": facts.title, "eval_results": _model_index(facts.measured_here)}
    return str(ModelCardData(**fields).to_yaml()).rstrip()


def _model_index(evaluation: Comparison) -> list[Any]:
    """The results in the Hub's older format, one per row."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type="text-generation",
            dataset_type=evaluation.set_name,
            dataset_name=evaluation.set_name,
            dataset_config=f"{row.name}, {row.decoding}",
            metric_type="accuracy",
            metric_name="share solved",
            metric_value=row.after,
        )
        for row in evaluation.rows
    ]


def _licence(facts: Facts) -> str:
    warning = facts.base.licence.warning
    return f"> **Licence.** {as_markdown(_sentence(warning))}" if warning else ""


def _what_it_is(facts: Facts) -> str:
    base = facts.base
    link = (
        f"[{base.name}](https://huggingface.co/{base.hub_id})" if base.hub_id else f"`{in_code(base.name)}`"
    )
    commit = f" at commit `{base.revision}`" if base.revision else ""
    return (
        f"{_ONE_LINE[facts.what]} {link}{commit}, made by self-play with "
        f"TinyZero. It {facts.roles}. Step {facts.snapshot.step}: {facts.snapshot.why}."
    )


def _how_to_use(facts: Facts) -> str:
    code = _USE[facts.what].format(base=in_code(facts.base.hub_id or "path/to/the/base/model"))
    frame = _CONVERSATION.format(text=facts.conversation) if facts.conversation else _CHAT
    return f"## Use\n\n{code}\n\n{_PROMPTS[facts.config.prompts.style]}\n\n{frame}"


def _how_trained(facts: Facts) -> str:
    config = facts.config
    phases = ("time/step_s", "time/prepare_s")
    seconds = sum(_seconds(line.get(phase)) for line in read(facts.run.metrics) for phase in phases)
    bits = "4-bit (NF4)" if facts.config.model.is_4_bit else "unquantised"
    lines = [
        "## Training",
        _METHOD.get(_method(config), f"No data: `{config.selfplay.game}`, the game of a plugin."),
        *([_CONTROL] if config.rewards.control == "shuffled" else []),
        f"- {facts.snapshot.step} steps {_one_step(config)}; "
        f"{sum(1 for _ in read(facts.run.tasks))} tasks and {seconds / 3600:.1f} hours in the whole run\n"
        f"- LoRA of rank {facts.adapter.rank} (alpha {facts.adapter.alpha:g}) on all linear layers of the "
        f"{bits} base; learning rate {config.learner.lr:g}; seed {config.run.seed}\n"
        "- The whole configuration and all versions: `tinyzero.json`",
    ]
    return "\n\n".join(lines + ([f"![curves of the run]({CURVES})"] if facts.charts else []))


def _method(config: Config) -> str:
    selfplay = config.selfplay
    is_about_programs = selfplay.game == "r-zero" and config.r_zero.domain == "programs"
    return "r-zero-programs" if is_about_programs else selfplay.game


def _one_step(config: Config) -> str:
    selfplay, r_zero = config.selfplay, config.r_zero
    if selfplay.game == "r-zero":
        return (
            f"in turns: {r_zero.challenger_steps} of {selfplay.proposals_per_step} questions, "
            f"{r_zero.solver_steps} of {selfplay.attempts} attempts at each of {r_zero.questions_per_step}"
        )
    return (
        f"of {selfplay.proposals_per_step} proposals and {selfplay.attempts} attempts at each task "
        f"({', '.join(selfplay.kinds)})"
    )


def _results(facts: Facts) -> str:
    evaluation = facts.evaluation
    if evaluation is None:
        return "## Results\n\nNot measured."
    other = f" (this is step {facts.snapshot.step})" if facts.measured_here is None else ""
    head = (
        f"Before and after, on the same tasks of `{evaluation.set_name}`, at step {evaluation.step}{other}, "
        f"with {evaluation.attempts} sampled attempts a task. The interval is the paired one of the "
        "difference."
    )
    columns = ["", "decoding", "tasks", "before", "after", "difference", "95 % interval"]
    table = [_line(columns), _line(["---", "---", *["---:"] * 5]), *map(_table_row, evaluation.rows)]
    live = "" if facts.what == "adapter" else "\n\nThe figures are the live adapter's, before merging."
    return f"## Results\n\n{head}\n\n" + "\n".join(table) + live


def _table_row(row: Row) -> str:
    interval = f"{row.low:+.3f} to {row.high:+.3f}" + ("" if row.is_beyond_noise else " (may be noise)")
    shares = [f"{row.before:.3f}", f"{row.after:.3f}", f"{row.difference:+.3f}"]
    return _line([row.name, row.decoding, str(row.tasks), *shares, interval])


def _merge(facts: Facts) -> str:
    merged, agreement = facts.merged, facts.agreement
    if merged is None:
        return ""
    onto = (
        "the base model's own weights"
        if merged.merge_base == "bf16"
        else "the dequantised 4-bit base that it saw"
    )
    survival = merged.survival[merged.dtype]
    lines = [
        f"- The update was added in float32 to {onto}, and stored as {merged.dtype}. It is "
        f"{merged.relative_size:.1e} of the weights' size.",
        f"- Rounding keeps {survival.kept:.3f} of it (cosine {survival.cosine:.3f}, "
        f"{survival.changed_share:.0%} of the weights changed)"
        + (f". **{_sentence(merged.warning)}**" if merged.warning else "."),
    ]
    if merged.dtype != "bf16":
        lines.append(
            f"- Loaded as bfloat16 it is rounded once more, and keeps {merged.survival['bf16'].kept:.3f}."
        )
    if agreement is not None:
        lines.append(
            f"- Against the live adapter, on {agreement.num_prompts} prompts of its kinds "
            f"({agreement.num_positions} tokens): mean KL {agreement.mean_kl:.2e} nats, the same "
            f"likeliest token at {agreement.greedy:.1%}."
        )
    return "## Merge\n\n" + "\n".join(lines)


def _sampler(facts: Facts) -> str:
    config = facts.config
    return (
        f"## Sampling\n\nTrained at temperature {config.sampling.temperature:g}, top_p 1, top_k off, no "
        f"repetition penalty; answers of at most {config.selfplay.answer_tokens} tokens."
    )


def _in_words(row: Row, evaluation: Comparison) -> str:
    return (
        f"{row.decoding}; before {row.before:.3f}; paired difference {row.difference:+.3f}, 95 % interval "
        f"{row.low:+.3f} to {row.high:+.3f}; {row.tasks} tasks, {evaluation.attempts} attempts"
    )


def _seconds(value: object) -> float:
    return finite(value) or 0.0


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


_USE = {
    "adapter": """\
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

path = "."  # this folder, or its name on the Hub
base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, path)
tokenizer = AutoTokenizer.from_pretrained(path)
```""",
    "merged": """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

path = "."  # this folder, or its name on the Hub
model = AutoModelForCausalLM.from_pretrained(path)
tokenizer = AutoTokenizer.from_pretrained(path)
```""",
    "gguf": """\
```
ollama create mine -f Modelfile && ollama run mine
llama-cli -m model.gguf
```""",
}

_PROMPTS = {
    "full": "Ask it in words, with room to reason before the answer.",
    "direct": "Ask it in words; in training the answer was begun for it.",
    "compact": (
        "It reads one compact form only, a user's turn such as this one, and no other language:\n\n"
        "```\nsolve deduction\ndef f(x):\n    return x + 1\nin: 41\n```"
    ),
}

_CHAT = "Its turns were in the chat format of the tokenizer's `chat_template.jinja`, and so should yours be."

_CONVERSATION = """\
It was trained without a chat format, in a written conversation. `chat_template.jinja` writes it:

```
{text}
```"""

_METHOD = {
    "absolute-zero": (
        "No data: the model proposed tasks about programs, a sandbox verified them by running the programs, "
        "and the model was rewarded for solving them, and for proposing ones that it solves sometimes "
        "([Absolute Zero](https://arxiv.org/abs/2505.03335))."
    ),
    "r-zero": (
        "No data: the model wrote mathematical questions, answered each several times, and was rewarded for "
        "answering as its own majority did, and for questions of which it is unsure "
        "([R-Zero](https://arxiv.org/abs/2508.05004)). Nobody verified these answers."
    ),
    "r-zero-programs": (
        "No data: the model wrote programs with a call, said several times what the call returns, and was "
        "rewarded for agreeing with its own majority, and for calls of which it is unsure "
        "([R-Zero](https://arxiv.org/abs/2508.05004) on programs). A sandbox ran the programs to measure how "
        "often the majority is right; no reward depended on that."
    ),
}

_CONTROL = (
    "**This is a control:** the rewards of each step were dealt out at random among the rollouts of a role, "
    "so that nothing could be learned from them."
)

_LIMITS = """\
## Limits

- It was trained on tasks that it made up itself. What it gained there need not carry over, and it \
may have forgotten other things; measure before you rely on it.
- Self-play optimises what the training above rewards, and nothing else: no safety training was \
added, and that of the base model may have suffered.
- Programs that it writes are untrusted. Run them in a sandbox."""
