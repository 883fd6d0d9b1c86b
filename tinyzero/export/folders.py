"""Exports a run to folders for other tools: adapter, merged model or GGUF, with card, licence and record."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from tinyzero.config import Config, Settled
from tinyzero.errors import ExportError
from tinyzero.export import gguf
from tinyzero.export.adapters import Adapter, read_adapter, write_adapter
from tinyzero.export.aside import written_aside
from tinyzero.export.base import Base, Facts, What, find_base, refuse_outside_links
from tinyzero.export.card import CURVES, eval_results, write_card
from tinyzero.export.checking import check_frame
from tinyzero.export.manifest import is_same_export, read_record, record, write_record
from tinyzero.export.merge import Dtype, MergeBase
from tinyzero.export.merged_model import write_merged
from tinyzero.export.results import read_evaluation
from tinyzero.export.shards import SHARD_BYTES
from tinyzero.export.tokenizer_files import frame_of, open_tokenizer, reasons_first, write_tokenizer
from tinyzero.policy.base_files import know_again
from tinyzero.policy.written_frame import chat_template, conversation_around
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import comparison_record
from tinyzero.run.trained import Snapshot, choose_snapshot
from tinyzero.types import Role
from tinyzero.watch import figures
from tinyzero.watch.follow import state_of
from tinyzero.watch.report import png

NO_CURVES = (
    "no curves in the card: they are drawn with matplotlib, which is not installed (pip install matplotlib)"
)
_MOST_CHARTS = 6
_CHARTED_LOGS = ("metrics", "events")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """The request for an export.

    Attributes:
        role: the role whose adapter is exported; None for every trained adapter.
        checkpoint: `best`, `last` or a step's number.
        merge_base: the weights that a merge adds to; `auto` takes those closer to the live adapter.
        dtype: type of merged files; None for the base model's type.
    """

    what: Literal["adapter", "merged", "gguf"] = "merged"
    role: Role | None = None
    checkpoint: str = "last"
    merge_base: MergeBase | Literal["auto"] = "bf16"
    dtype: Dtype | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A finished folder.

    Attributes:
        remarks: notes for the owner, one line each. is_new: False if an earlier export was reused.
    """

    folder: Path
    what: What
    remarks: tuple[str, ...]
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """The data that all exports of one call share."""

    run: RunFolder
    config: Settled
    request: ExportRequest
    snapshot: Snapshot
    base: Base
    tell: Callable[[str], None]
    shard_bytes: int


def export(
    run: RunFolder,
    request: ExportRequest,
    output: Path | None = None,
    *,
    tell: Callable[[str], None] = lambda _: None,
    reuse: bool = False,
    shard_bytes: int = SHARD_BYTES,
) -> list[Exported]:
    """Write a folder for each requested adapter.

    Args:
        output: the folder, or the parent of several folders; None for the run's `export/`.
        tell: called with a text at each long step.
        reuse: return an earlier, unchanged export of the same request.

    Raises:
        CheckpointError: the run or the disk failed. ModelLoadError: the base model failed to load.
        ExportError: the run cannot be exported in this form.
    """
    if request.what == "gguf":
        gguf.require_converter(run.path)
    snapshot = choose_snapshot(run, request.checkpoint)
    refuse_outside_links(snapshot.adapters, run.path)
    config = run.config()
    names = choose_adapters(config, request.role)
    tell("looking for the base model")
    base = find_base(config.model, with_weights=request.what != "adapter")
    if request.what == "adapter":  # the others open the run's policy, which looks as well
        know_again(config.model, run.base(), "export")
    work = _Work(
        run=run,
        config=config,
        request=request,
        snapshot=snapshot,
        base=base,
        tell=tell,
        shard_bytes=shard_bytes,
    )
    return [_export_one(work, name, _target(work, name, output, len(names)), reuse=reuse) for name in names]


def choose_adapters(config: Config, role: Role | None) -> list[str]:
    """Names of the adapters that were trained for this role; for None, of all trained adapters."""
    if config.policy.adapters == "shared":
        return ["shared"]
    trained = [each for each in Role if each is not Role.PROPOSER or config.selfplay.train_proposer]
    if role is not None and role not in trained:
        raise ExportError(
            f"the {role} of this run is the untrained base model (selfplay.train_proposer is off)"
        )
    return [each.value for each in trained if role in (None, each)]


def _roles_in_words(config: Config, name: str) -> str:
    if name == "shared":
        both = config.selfplay.train_proposer
        return (
            "proposes tasks and solves them" if both else "solves tasks; proposals came from the base model"
        )
    return "solves tasks" if name == Role.SOLVER else "proposes tasks"


def _target(work: _Work, name: str, output: Path | None, count: int) -> Path:
    if output is not None:
        return output if count == 1 else output / name
    request = work.request
    details = [request.what, name, f"step-{work.snapshot.step:06d}"]
    if request.what != "adapter":
        details += [request.dtype] if request.dtype else []
        details += [request.merge_base] if request.merge_base != "bf16" else []
    return work.run.path / "export" / "-".join(details)


def _export_one(work: _Work, name: str, target: Path, *, reuse: bool) -> Exported:
    request = _request_record(work, name)
    if reuse and is_same_export(target, request):
        remarks = (*_stale_remark(target, work), *_licence_remark(work.base))
        return Exported(folder=target, what=work.request.what, remarks=remarks, is_new=False)
    source = work.snapshot.adapters / name
    frame = frame_of(work.config, work.base.folder, work.run.base())
    template = chat_template(frame, reasons=reasons_first(work.config))
    facts = _facts(work, read_adapter(source), conversation_around(frame, "...", template))
    with written_aside(target) as folder:
        if work.request.what == "adapter":
            write_adapter(facts.adapter, source, folder, base=work.base.name, revision=work.base.revision)
            write_tokenizer(work.base.folder, folder, template)
            check_frame(open_tokenizer(folder), frame, (), reasons=reasons_first(work.config))
        else:
            facts = write_merged(
                facts,
                folder,
                merge_base=work.request.merge_base,
                dtype=work.request.dtype,
                tell=work.tell,
                shard_bytes=work.shard_bytes,
            )
        work.base.copy_licence(folder)
        _write_words(facts, folder, request)
    return Exported(folder=target, what=work.request.what, remarks=_remarks(facts))


def _request_record(work: _Work, name: str) -> dict[str, Any]:
    """The data that identifies an export. It excludes the role, since a shared adapter has two."""
    request = asdict(work.request)
    return {key: request[key] for key in ("what", "merge_base", "dtype")} | {
        "adapter": name,
        "step": work.snapshot.step,
    }


def _facts(work: _Work, adapter: Adapter, conversation: str) -> Facts:
    return Facts(
        what=work.request.what,
        run=work.run,
        config=work.config,
        snapshot=work.snapshot,
        base=work.base,
        adapter=adapter,
        roles=_roles_in_words(work.config, adapter.name),
        conversation=conversation,
        evaluation=read_evaluation(work.run),
        charts=figures.charts(state_of(work.run, _CHARTED_LOGS), _MOST_CHARTS) if png.can_draw() else (),
    )


def _write_words(facts: Facts, folder: Path, request: dict[str, Any]) -> None:
    """Write card, curves, results, and last the record, which lists all files."""
    import yaml

    (folder / "README.md").write_text(write_card(facts), encoding="utf-8")
    if facts.charts:
        png.write_png(facts.charts, folder / CURVES)
    if facts.measured_here is not None:
        (folder / ".eval_results").mkdir()
        text = yaml.safe_dump(eval_results(facts.measured_here), sort_keys=False, allow_unicode=True)
        (folder / ".eval_results" / "tinyzero.yaml").write_text(text, encoding="utf-8")
    write_record(folder, record(facts, request))


def _remarks(facts: Facts) -> tuple[str, ...]:
    """Notes for the owner. The most serious come last, since the end is read first."""
    remarks = [f"step {facts.snapshot.step}: {facts.snapshot.why}"]
    if not png.can_draw():
        remarks.append(NO_CURVES)
    if facts.evaluation is None:
        remarks.append("before and after: not measured, and the card says so")
    elif facts.measured_here is None:
        remarks.append(
            f"the evaluation is of step {facts.evaluation.step}, this is step {facts.snapshot.step}: "
            "the card says so, and its metadata leaves the results out"
        )
    if facts.merged is not None:
        merged = facts.merged
        remarks.append(
            f"stored as {merged.dtype}, which keeps {merged.kept:.3f} of the update "
            f"(|update| is {merged.relative_size:.1e} of |weights|), merged into the {merged.merge_base} base"
        )
    if facts.agreement is not None:
        agreement = facts.agreement
        remarks.append(
            f"against the live adapter on {agreement.num_prompts} prompts of its kinds: mean KL "
            f"{agreement.mean_kl:.2e} nats, greedy agreement {agreement.greedy:.1%}"
        )
    if facts.merged is not None and facts.merged.warning:
        remarks.append(f"warning: {facts.merged.warning}")
    remarks += facts.notes
    if facts.adapter.is_zero:
        remarks.append("warning: this adapter was never updated; it changes nothing")
    return (*remarks, *_licence_remark(facts.base))


def _stale_remark(target: Path, work: _Work) -> tuple[str, ...]:
    """A warning if the run was evaluated after the export."""
    table = read_evaluation(work.run)
    now = comparison_record(table) if table and table.step == work.snapshot.step else None
    if read_record(target).get("evaluation") == now:
        return ()
    return (f"warning: the card does not have the newest results; remove {target} to write it again",)


def _licence_remark(base: Base) -> tuple[str, ...]:
    return (f"warning: {base.licence.warning}",) if base.licence.warning else ()
