"""Actions on tasks: verify them again, export them, import them into another run."""

import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tinyzero.cli.screen import waiting
from tinyzero.cli.task_source import Source
from tinyzero.cli.task_table import as_json
from tinyzero.errors import ConfigError
from tinyzero.run import checkpoints
from tinyzero.run.durable import explaining_failures
from tinyzero.run.events import Imported
from tinyzero.run.folder import RunFolder
from tinyzero.run.lines import TaskRecord
from tinyzero.run.records import RecordWriter, append_event, truncate_after
from tinyzero.run.task_log import TaskLog
from tinyzero.tasks.records import to_record
from tinyzero.types import Rejection, Task

if TYPE_CHECKING:
    from tinyzero.tasks.judging import Verifier


def verify(run: RunFolder, records: Sequence[TaskRecord]) -> list[str]:
    """The difference of each task now, under the run's own limits; empty if none."""
    from tinyzero.games.r_zero.program_question import ProgramQuestion
    from tinyzero.run.verification import difference

    outcomes = _outcomes(run, records, step=0, more_kinds={ProgramQuestion.name: ProgramQuestion("form")})
    return [difference(record, outcome) for record, outcome in zip(records, outcomes, strict=True)]


def export(records: Sequence[TaskRecord], target: Path) -> str:
    """Write a JSONL file, or a folder for `datasets.load_from_disk`. Returns a summary."""
    if target.suffix == ".jsonl":
        with explaining_failures(target), target.open("w", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(as_json(record))}\n" for record in records)
    elif target.suffix or (target.exists() and not target.is_dir()):
        raise ConfigError(f"--export is {target}; it must be a .jsonl file, or a folder for `datasets`")
    elif not records:
        raise ConfigError("no task matches; a dataset needs at least one")
    else:
        with waiting("writing a dataset"), explaining_failures(target):
            from datasets import Dataset, disable_progress_bars

            disable_progress_bars()
            rows = [as_json(record) for record in records]
            columns = dict.fromkeys(name for row in rows for name in row)  # only some may have a truth
            Dataset.from_list([{name: row.get(name) for name in columns} for row in rows]).save_to_disk(
                target
            )
    return f"{len(records)} tasks in {target}"


def import_tasks(run: RunFolder, source: Source, records: Sequence[TaskRecord]) -> str:
    """Verify tasks from elsewhere, and add the valid ones to the newest checkpoint of `run`.

    They join the pool, or R-Zero's questions, when the run is resumed. Raises CheckpointError while the run
    is being trained.
    """
    from tinyzero.tasks.pool.pool import add_imports

    is_r_zero = run.config().selfplay.game == "r-zero"
    if source.run is not None and run.path.resolve() == source.run.path.resolve():
        raise ConfigError(f"{run.path} cannot import from itself; name another run")
    with run.exclusive():
        step = checkpoints.steps_saved(run)
        outcomes = _questions(run, records, step=step) if is_r_zero else _outcomes(run, records, step=step)
        verified = [outcome for outcome in outcomes if isinstance(outcome, Task)]
        known = TaskLog(run.tasks)
        added = [task for task in verified if task.id not in known]
        if added:
            checkpoints.amend(run, lambda folder: add_imports(folder / "game", added))
            _record(run, source, added, step)
    refused = sorted({outcome.stage for outcome in outcomes if isinstance(outcome, Rejection)})
    reasons = f" ({len(records) - len(verified)} refused: not {', not '.join(refused)})" if refused else ""
    what, place = ("questions usable", "every set") if is_r_zero else ("tasks verified", "the pool")
    return (
        f"{len(verified)} of {len(records)} {what}{reasons}; {len(added)} are new, and join {place} "
        f"with tinyzero train --resume {run.path}"
    )


def _record(run: RunFolder, source: Source, tasks: Sequence[Task], step: int) -> None:
    truncate_after(run.tasks, step)  # the steps after the checkpoint will be repeated
    with closing(RecordWriter(run.tasks)) as writer:
        for task in tasks:
            untried = {"attempts": 0, "solve_rate": None}
            writer.append({"step": step, **to_record(task), **untried, "imported_from": source.path.name})
    append_event(run.events, Imported(step=step, tasks=len(tasks), source=str(source.path)))


def _outcomes(
    run: RunFolder,
    records: Sequence[TaskRecord],
    *,
    step: int,
    more_kinds: "Mapping[str, Verifier] | None" = None,
) -> list[Task | Rejection]:
    from tinyzero.execution import Executor
    from tinyzero.run.verification import verify_again
    from tinyzero.tasks import KINDS

    config = run.config()
    with waiting(f"verifying {len(records)} tasks"), Executor(config.execution) as executor:
        return verify_again(
            records,
            executor,
            {**KINDS, **(more_kinds or {})},
            max_program_chars=config.pool.max_program_chars,
            step=step,
        )


def _questions(run: RunFolder, records: Sequence[TaskRecord], *, step: int) -> list[Task | Rejection]:
    """Each record as a labelled question of the run's domain, or why it is none."""
    from tinyzero.execution import Executor
    from tinyzero.run.verification import read_questions

    config = run.config()
    with waiting(f"reading {len(records)} questions"), Executor(config.execution) as executor:
        max_chars = config.pool.max_program_chars
        return read_questions(records, executor, config.r_zero, max_program_chars=max_chars, step=step)
