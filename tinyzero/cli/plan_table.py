"""A forecast as a table of 80 columns, and as JSON."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tinyzero.cli.forecast import Forecast
from tinyzero.planning import timing
from tinyzero.planning.memory import (
    FRAGMENTATION,
    is_quantized,
    longest_sequence,
    number_bytes,
    offloaded_gib,
)
from tinyzero.planning.workload import FILLED_SHARE, VALID_SHARE, Workload, workload

_WIDTH = 80


def as_table(made: Forecast) -> str:
    """What is needed, term by term; the last line says whether it fits."""
    blocks = [_head(made), _memory(made), _time(made), _disk(made)]
    return "\n\n".join("\n".join(block) for block in blocks) + f"\n\n{made.verdict}"


def as_json(made: Forecast) -> dict[str, Any]:
    """The same for programs: GiB, seconds, and shares from 0 to 1."""
    memory, target, load = made.memory, made.target, workload(made.config)
    return {
        "preset": made.preset,
        "model": made.config.model.base,
        "parameters": made.shape.weights,
        "device": target.device,
        "card": None if target.card is None else asdict(target.card),
        "available_gib": target.available_gib,
        "batch_rows": made.config.sampling.batch_rows,
        "micro_batch_tokens": made.config.learner.micro_batch_tokens,
        "memory_gib": {
            "always": dict(memory.always),
            "sampling": dict(memory.sampling),
            "learning": dict(memory.learning),
            "fragmentation": FRAGMENTATION - 1,
            "runtime": memory.runtime,
            "sampling_total": memory.sampling_gib,
            "learning_total": memory.learning_gib,
            "peak": memory.peak_gib,
        },
        "round": {**asdict(load.counts), **_tokens(load)},
        "step_s": made.time and {**asdict(made.time), "total_s": made.time.total_s},
        "disk_gib": {**asdict(made.disk), "total": made.disk.total_gib},
        "fits": made.fits,
        "margin": made.margin,
        "verdict": made.verdict,
    }


def _tokens(load: Workload) -> dict[str, int]:
    """Of one prompt and one completion."""
    return {name: value for name, value in asdict(load).items() if name.endswith("_tokens")}


def _head(made: Forecast) -> Iterator[str]:
    yield f"{made.preset}: {made.config.model.base}, {_in_words(made.shape.weights)} parameters"
    target, card = made.target, made.target.card
    if card is None:
        yield f"{target.place}: {target.available_gib:.1f} GiB of main memory"
        return
    speed = ""
    if card.bandwidth_gb_s is not None and card.tflops is not None:
        speed = f"; {card.bandwidth_gb_s:g} GB/s, {card.tflops:g} TFLOPS"
    yield f"{card.name}: {card.memory_gib:.4g} GiB, of which {card.usable_gib:.1f} can be used{speed}"


def _memory(made: Forecast) -> Iterator[str]:
    memory, what = made.memory, _what(made)
    phases = [{**memory.always, **phase} for phase in (memory.sampling, memory.learning)]
    yield f"{'memory, GiB':<62}sampling  learning"
    for name in dict.fromkeys(name for phase in phases for name in phase):
        label = name.replace("_", " ").replace("kv", "KV").replace("vllm", "vLLM")
        yield _row(label, what[name], *(phase.get(name) for phase in phases))
    lost = [(FRAGMENTATION - 1) * sum(phase.values()) for phase in phases]
    yield _row("fragmentation", f"{100 * (FRAGMENTATION - 1):.0f} % of the above", *lost)
    runtime = "CUDA context and kernels" if made.target.device == "cuda" else "Python, torch, transformers"
    yield _row("runtime", runtime, memory.runtime, memory.runtime)
    yield _row("total", "", memory.sampling_gib, memory.learning_gib)
    if offloaded := offloaded_gib(made.config, made.shape, made.target.device):
        yield f"under unsloth, {offloaded:.2f} GiB of the activations wait in main memory instead"


def _what(made: Forecast) -> dict[str, str]:
    """What each term is, in a few words."""
    config, device = made.config, made.target.device
    size = "float32" if number_bytes(config, device) == 4 else "16 bit"
    auto = " (auto)" if made.was_open else ""
    adapters = "2, one per role," if config.policy.adapters == "per-role" else "1"
    is_4_bit = is_quantized(config, device)
    recomputed = ", recomputed" if config.model.gradient_checkpointing else ""
    micro_batch = max(config.learner.micro_batch_tokens, longest_sequence(config))
    return {
        "weights": f"NF4, embeddings and norms {size}" if is_4_bit else size,
        "adapters": f"{adapters} of rank {config.policy.rank}, float32",
        "optimizer": "two moments of Adam, " + ("8 bit" if device == "cuda" else "float32"),
        "kv_cache": f"{config.sampling.batch_rows} rows of {longest_sequence(config)} tokens{auto}",
        "prefill": "prompts read at once",
        "sampler": "logits and probabilities",
        "dequantised_layer": f"the largest matrix, {size}",
        "vllm_process": "CUDA context of its own",
        "vllm_weights": "the base once more" + (", NF4" if is_4_bit else f", {size}"),
        "vllm_cache": f"the rest of vllm_gib = {config.sampling.vllm_gib:g}",
        "gradients": "of the adapter that learns, float32",
        "activations": f"{micro_batch} tokens{recomputed}{auto}",
        "attention_mask": "of completions that share a prompt",
        "logits": "a tile of the fused head",
    }


def _row(name: str, note: str, sampling: float | None, learning: float | None) -> str:
    cells = ("" if gib is None else f"{gib:.2f}" for gib in (sampling, learning))
    return f"  {name:<19} {note:<38}{''.join(f'{cell:>10}' for cell in cells)}".rstrip()


def _time(made: Forecast) -> Iterator[str]:
    if made.time is None:
        yield f"time: no estimate, for the speed of {made.target.place} is not in the table of cards"
        return
    load, time, steps = workload(made.config), made.time, made.config.run.max_steps
    yield "time, seconds a step"
    yield _line(
        "propose", f"{load.counts.proposals} proposals of {load.proposal_tokens} tokens", time.propose_s
    )
    yield _line("solve", f"{load.counts.answers} answers of {load.answer_tokens} tokens", time.solve_s)
    reference = ", and the reference" if made.config.learner.kl_coef else ""
    yield _line("learn", f"{load.trained_tokens} completion tokens{reference}", time.learn_s)
    yield _line("total", f"{steps} steps in {time.total_s * steps / 3600:.1f} hours", time.total_s)
    yield from textwrap.wrap(_assumed(made), _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _assumed(made: Forecast) -> str:
    shares = (VALID_SHARE, FILLED_SHARE, timing.BANDWIDTH_SHARE, timing.LEARNING_SHARE)
    valid, filled, bandwidth, learning = (f"{100 * share:.0f} %" for share in shares)
    engine = made.config.sampling.engine
    sampler = "" if engine == "builtin" else f" {engine} is taken to be as fast as the built-in sampler."
    return (
        f"Taken for granted: {valid} of the proposals become tasks, prompts and completions fill {filled} of "
        f"their budgets, decoding reaches {bandwidth} of the bandwidth, learning {learning} of the "
        f"operations. Programs run on the CPU and are not counted.{sampler} No figure was measured on a GPU "
        "yet."
    )


def _line(name: str, note: str, seconds: float) -> str:
    return f"  {name:<19} {note:<38}{seconds:>10.0f}"


def _disk(made: Forecast) -> Iterator[str]:
    disk, run = made.disk, made.config.run
    yield "disk, GiB"
    if disk.download:
        yield _row("model download", "into the Hub's cache", disk.download, None)
    yield _row(
        "checkpoints", f"{run.keep_checkpoints} kept, 1 being written, adapters", disk.checkpoints, None
    )
    yield _row("run logs", f"of {run.max_steps} steps", disk.logs, None)


def _in_words(parameters: int) -> str:
    if parameters >= 1e9:
        return f"{parameters / 1e9:.2f} billion"
    return f"{parameters / 1e6:.1f} million"
