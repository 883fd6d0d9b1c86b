"""A forecast as a table of 80 columns, and as JSON."""

import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tinyzero.machine import timing
from tinyzero.machine.forecast import Forecast, Target
from tinyzero.machine.memory import (
    FRAGMENTATION,
    number_bytes,
    offloaded_gib,
)
from tinyzero.machine.workload import FILLED_SHARE, VALID_SHARE, Workload, workload

_WIDTH = 80


def as_table(planned: Forecast) -> str:
    """The needs, term by term. The last line says whether the run fits."""
    blocks = [_head(planned), _memory(planned), _time(planned), _disk(planned), _programs(planned)]
    blocks += [_several_cards(planned)] if planned.together else []
    return "\n\n".join("\n".join(block) for block in blocks) + f"\n\n{planned.verdict}"


def as_json(planned: Forecast) -> dict[str, Any]:
    """The forecast as JSON values: GiB, seconds, and shares from 0 to 1."""
    memory, target, load = planned.memory, planned.target, workload(planned.config)
    return {
        "preset": planned.preset,
        "model": planned.config.model.base,
        "parameters": planned.shape.weights,
        "device": target.device,
        "card": None if target.card is None else asdict(target.card),
        "available_gib": target.available_gib,
        "batch_rows": planned.config.sampling.batch_rows,
        "micro_batch_tokens": planned.config.learner.micro_batch_tokens,
        "auto": dict(planned.decided),
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
        "step_s": _seconds(planned.time),
        "cuda_graphs": planned.has_graphs,
        "step_s_otherwise": _seconds(planned.other_time),
        "step_s_range": planned.range_s,
        "together": {
            str(ranks): {**asdict(time), "exchange_s": exchange_s, "total_s": time.total_s + exchange_s}
            for ranks, (time, exchange_s) in planned.together.items()
        },
        "measuring": {"tasks": planned.heldout_tasks, "seconds": planned.measuring_s},
        "programs": {
            **asdict(planned.programs),
            "at_most_gib": planned.programs.at_most_gib,
            "fits": planned.programs.fits,
        },
        "disk_gib": {**_disk_gib(planned), "total": planned.disk.total_gib},
        "log_bytes_a_step": dict(planned.disk.step_bytes),
        "fits": planned.fits,
        "margin": planned.margin,
        "verdict": planned.verdict,
    }


def _seconds(time: timing.StepTime | None) -> dict[str, float] | None:
    return None if time is None else {**asdict(time), "total_s": time.total_s}


def _disk_gib(planned: Forecast) -> dict[str, float]:
    disk = planned.disk
    return {"download": disk.download, "checkpoints": disk.checkpoints, "logs": disk.logs}


def _tokens(load: Workload) -> dict[str, int]:
    """Tokens of one prompt and one completion."""
    return {name: value for name, value in asdict(load).items() if name.endswith("_tokens")}


def _head(planned: Forecast) -> Iterator[str]:
    yield f"{planned.preset}: {planned.config.model.base}, {_in_words(planned.shape.weights)} parameters"
    yield _place(planned.target)
    if planned.decided:
        decided = ", ".join(
            f"{key} = {'none' if value is None else value}" for key, value in planned.decided.items()
        )
        yield from textwrap.wrap(f"auto: {decided}", _WIDTH)


def _place(target: Target) -> str:
    card = target.card
    if card is None:
        return f"{target.place}: {target.available_gib:.1f} GiB of main memory"
    speed = ""
    if card.bandwidth_gb_s is not None and card.tflops is not None:
        speed = f"; {card.bandwidth_gb_s:g} GB/s, {card.tflops:g} TFLOPS"
    return f"{card.name}: {card.memory_gib:.4g} GiB, of which {card.usable_gib:.1f} can be used{speed}"


def _memory(planned: Forecast) -> Iterator[str]:
    memory, what = planned.memory, _what(planned)
    phases = [{**memory.always, **phase} for phase in (memory.sampling, memory.learning)]
    yield f"{'memory, GiB':<62}sampling  learning"
    for name in dict.fromkeys(name for phase in phases for name in phase):
        label = name.replace("_", " ").replace("kv", "KV").replace("vllm", "vLLM")
        yield _row(label, what[name], *(phase.get(name) for phase in phases))
    lost = [(FRAGMENTATION - 1) * sum(phase.values()) for phase in phases]
    yield _row("fragmentation", f"{100 * (FRAGMENTATION - 1):.0f} % of the above", *lost)
    runtime = "CUDA context and kernels" if planned.target.device == "cuda" else "Python, torch, transformers"
    yield _row("runtime", runtime, memory.runtime, memory.runtime)
    yield _row("total", "", memory.sampling_gib, memory.learning_gib)
    if offloaded := offloaded_gib(planned.config, planned.shape):
        yield f"under unsloth, {offloaded:.2f} GiB of the activations wait in main memory instead"


def _programs(planned: Forecast) -> Iterator[str]:
    programs = planned.programs
    yield "main memory of programs, GiB"
    yield _row("programs", f"{programs.workers} at once, at most", programs.at_most_gib, None)
    if programs.free_gib is not None:
        beside = "beside the run" if planned.target.device == "cpu" else "here, before the run"
        yield _row("free", beside, programs.free_gib, None)
    if not programs.fits:
        yield from textwrap.wrap(f"they may run out of memory: {programs.remedy}", _WIDTH)


def _what(planned: Forecast) -> dict[str, str]:
    """A short description of each term."""
    config = planned.config
    size = "float32" if number_bytes(config.model) == 4 else "16 bit"
    rows, tokens = (
        " (auto)" if key in planned.decided else ""
        for key in ("sampling.batch_rows", "learner.micro_batch_tokens")
    )
    adapters = "2, one per role," if config.policy.adapters == "per-role" else "1"
    is_4_bit = config.model.is_4_bit
    moments = "float32" if config.learner.optimizer == "adamw" else "8 bit"
    recomputed = ", recomputed" if config.model.gradient_checkpointing else ""
    micro_batch = max(config.learner.micro_batch_tokens, config.longest_sequence)
    return {
        "weights": f"NF4, embeddings and norms {size}" if is_4_bit else size,
        "adapters": f"{adapters} of rank {config.policy.rank}, float32",
        "optimizer": f"two moments of Adam, {moments}",
        "kv_cache": f"{config.sampling.batch_rows} rows of {config.longest_sequence} tokens{rows}",
        "prefill": "prompts read at once",
        "sampler": "logits and probabilities",
        "dequantised_layer": f"the largest matrix, {size}",
        "graphs": "CUDA graphs, and memory of their own",
        "repeated_keys": "once for each query, in masked rows",
        "vllm_process": "CUDA context of its own",
        "vllm_weights": "the base once more" + (", NF4" if is_4_bit else f", {size}"),
        "vllm_cache": f"the rest of vllm_gib = {config.sampling.vllm_gib:g}",
        "gradients": "of the adapter that learns, float32",
        "activations": f"{micro_batch} tokens{recomputed}{tokens}",
        "attention_mask": "of completions that share a prompt",
        "logits": "a tile of the fused head",
    }


def _row(name: str, note: str, sampling: float | None, learning: float | None) -> str:
    cells = ("" if gib is None else f"{gib:.2f}" for gib in (sampling, learning))
    return f"  {name:<19} {note:<38}{''.join(f'{cell:>10}' for cell in cells)}".rstrip()


def _time(planned: Forecast) -> Iterator[str]:
    if planned.time is None:
        yield f"time: no estimate, for the speed of {planned.target.place} is not in the table of cards"
        return
    load, time, steps = workload(planned.config), planned.time, planned.config.run.max_steps
    yield f"{'time, seconds a step':<61}no graphs    graphs"
    learned = "tokens, and the reference" if planned.config.learner.kl_coef else "completion tokens"
    notes = {
        "propose": f"{load.counts.proposals} proposals of {load.proposal_tokens} tokens",
        "solve": f"{load.counts.answers} answers of {load.answer_tokens} tokens",
        "learn": f"{load.trained_tokens} {learned}",
        "total": f"{steps} steps in {time.total_s * steps / 3600:.1f} hours",
    }
    for name, note in notes.items():
        cells = (f"{seconds:.0f}" for seconds in _both(planned, f"{name}_s"))
        yield f"  {name:<19} {note:<38}{''.join(f'{cell:>10}' for cell in cells)}"
    yield _measuring(planned, time.total_s * steps)
    for text in (_which(planned), _assumed(planned)):
        yield from textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _both(planned: Forecast, name: str) -> list[float]:
    """A time without CUDA graphs, and with them where the configuration has them."""
    times = [planned.time, planned.other_time]
    if planned.has_graphs:
        times.reverse()
    has_both = planned.config.sampling.cuda_graphs
    return [getattr(time, name) for time in times[: 2 if has_both else 1]]


def _which(planned: Forecast) -> str:
    """Which of the two is counted on, and how far off it may be."""
    if planned.has_graphs:
        text = "Hours count on CUDA graphs."
    elif planned.config.sampling.cuda_graphs:
        text = "Hours count on no CUDA graphs, which no report has seen at work."
    else:
        text = "sampling.cuda_graphs is false."
    if planned.range_s is None:
        return f"{text} A report has measured this card."
    best, worst = planned.range_s
    return f"{text} Until a report measures this card, a step may take {best:.0f} to {worst:.0f} s."


def _measuring(planned: Forecast, training_s: float) -> str:
    """What all measurements on held-out tasks take beside the training."""
    if not planned.heldout_tasks or planned.measuring_s is None:
        return "  measuring           none: evaluation.heldout is none"
    every = planned.config.evaluation.every_steps
    often = f"at the ends, every {every} steps" if every else "at the ends"
    share = f"{100 * planned.measuring_s / training_s:.0f} % more"
    return f"  measuring           {planned.heldout_tasks} tasks, {often}: {share}"


def _assumed(planned: Forecast) -> str:
    shares = (VALID_SHARE, FILLED_SHARE, timing.LIKELY.bandwidth, timing.LIKELY.learning)
    valid, filled, bandwidth, learning = (f"{100 * share:.0f} %" for share in shares)
    engine = planned.config.sampling.engine
    sampler = "" if engine == "builtin" else f" {engine} is taken to be as fast as the built-in sampler."
    return (
        f"Taken for granted: {valid} of the proposals become tasks, prompts and completions fill {filled} of "
        f"their budgets, decoding reaches {bandwidth} of the bandwidth, learning {learning} of the "
        f"operations. Programs run on the CPU and are not counted.{sampler}"
    )


def _several_cards(planned: Forecast) -> Iterator[str]:
    """A simulation: each card takes an equal share of the sampling and of the learning."""
    yield f"{'cards together, seconds a step':<33}sampling  learning  exchange     total  times"
    alone_s = planned.time.total_s if planned.time else 0.0
    for ranks, (time, exchange_s) in planned.together.items():
        total_s = time.total_s + exchange_s
        parts = (time.propose_s + time.solve_s, time.learn_s, exchange_s, total_s)
        cells = "".join(f"{seconds:>10.1f}" for seconds in parts)
        yield f"  {ranks:<29}{cells}{alone_s / total_s:>7.1f}"
    assumed = (
        "torchrun --nproc_per_node N -m tinyzero train. Taken for granted beside the above: equal shares; no "
        "card gets below the token steps of its longest "
        f"answer; gradients in float32 over {timing.LINK_GB_S:g} GB/s each way; nothing overlaps. Every card "
        "needs the memory above, and the machine's programs share its cores. No figure was measured on "
        "several GPUs yet."
    )
    yield from textwrap.wrap(assumed, _WIDTH, initial_indent="  ", subsequent_indent="  ")


def _line(name: str, note: str, seconds: float) -> str:
    return f"  {name:<19} {note:<38}{seconds:>10.0f}"


def _disk(planned: Forecast) -> Iterator[str]:
    disk, run = planned.disk, planned.config.run
    yield "disk, GiB"
    if disk.download:
        yield _row("model download", "into the Hub's cache", disk.download, None)
    yield _row(
        "checkpoints", f"{run.keep_checkpoints} kept, 1 being written, adapters", disk.checkpoints, None
    )
    step_kb = sum(disk.step_bytes.values()) / 1000
    yield _row("run logs", f"{run.max_steps} steps, {step_kb:.1f} KB a step", disk.logs, None)
    by_file = ", ".join(
        f"{file} {size / 1000:.1f}" for file, size in disk.step_bytes.items() if round(size / 1000, 1)
    )
    yield from textwrap.wrap(
        f"KB a step: {by_file}. run.keep_samples keeps the samples of fewer steps.",
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
    )


def _in_words(parameters: int) -> str:
    if parameters >= 1e9:
        return f"{parameters / 1e9:.2f} billion"
    return f"{parameters / 1e6:.1f} million"
