"""`tinyzero push`: sends a run's result to the Hugging Face Hub; private by default."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from tinyzero.cli.choices import (
    Checkpoint,
    DtypeOption,
    MergeBaseOption,
    RoleName,
    RoleOption,
    RunName,
    What,
    open_run,
)
from tinyzero.cli.consent import YesPlugins
from tinyzero.cli.export import take_home

if TYPE_CHECKING:
    from pathlib import Path

    from tinyzero.cli.screen import Screen
    from tinyzero.export.hub.plan import PushPlan


def push(
    run: RunName = None,
    *,
    repo: Annotated[
        str,
        typer.Option(help="Repository on the Hub: owner/name, or name for your own account.", metavar="NAME"),
    ],
    public: Annotated[
        bool, typer.Option("--public", help="Make the repository public. Default: private.")
    ] = False,
    what: Annotated[
        What,
        typer.Option(
            help="What to push: an adapter, a merged model, a GGUF file, or the tasks as a dataset."
        ),
    ] = "merged",
    role: RoleOption = None,
    checkpoint: Checkpoint = "last",
    merge_base: MergeBaseOption = "bf16",
    dtype: DtypeOption = None,
    branch: Annotated[str, typer.Option(help="Branch to commit to.")] = "main",
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Delete files of others there that programs would load beside these."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Export and show what a push would do, without pushing.")
    ] = False,
    yes_plugins: YesPlugins = False,
) -> None:
    """Export, and send the folder to the Hub in one commit. The token: HF_TOKEN, or `hf auth login`."""
    from tinyzero.cli.screen import Screen
    from tinyzero.export.hub.plan import check_names, preview
    from tinyzero.export.hub.push import find_token

    screen = Screen(sys.stdout, sys.stderr)
    try:
        check_names(repo, branch)
        if not dry_run:
            find_token()  # fails early, before the export
        folder = open_run(run, yes_plugins=yes_plugins)
        adapter_role = _one_role(folder.config().policy.adapters, role, what)
        if adapter_role is not role:
            screen.note(
                "this run has an adapter for each role: pushing the "
                "solver's (--role proposer pushes the other)"
            )
        (exported,) = take_home(
            folder,
            what,
            screen,
            role=adapter_role,
            checkpoint=checkpoint,
            merge_base=merge_base,
            dtype=dtype,
            reuse=True,
        )
        screen.close_wait()
        if not exported.is_new:
            screen.note(f"using the earlier export in {exported.folder}")
        plan = _plan(exported.folder, repo, what, is_public=public, branch=branch, replaces=replace)
        for line in preview(plan):
            screen.line(line)
        if dry_run:
            _look(plan, screen)
        for remark in exported.remarks:
            screen.note(remark)
        if dry_run:
            screen.line("dry run: nothing was sent")
        else:
            _send(plan, screen)
    finally:
        screen.close()


def _one_role(adapters: str, role: RoleName | None, what: What) -> RoleName | None:
    """The role to push. A repository holds one model: the solver's, if each role has its own adapter."""
    if role is None and adapters == "per-role" and what != "tasks":
        return "solver"
    return role


def _plan(
    folder: "Path", repo: str, what: What, *, is_public: bool, branch: str, replaces: bool
) -> "PushPlan":
    from tinyzero.export.hub.plan import make_plan
    from tinyzero.export.licence import licence_of

    return make_plan(
        folder,
        repo,
        repo_type="dataset" if what == "tasks" else "model",
        is_public=is_public,
        branch=branch,
        licence=licence_of(folder).in_words,
        replaces=replaces,
    )


def _look(plan: "PushPlan", screen: "Screen") -> None:
    """Say what the push would do to files that lie in the repository, if it can be asked."""
    from tinyzero.errors import HubError
    from tinyzero.export.hub.plan import preview_leftovers
    from tinyzero.export.hub.push import make_pusher

    try:
        left = make_pusher(plan, tell=screen.note, waits_s=()).look()
    except HubError as error:
        screen.note(f"not compared with what is in {plan.repo}: {error}")
        return
    for line in preview_leftovers(left.ours, left.foreign, plan):
        screen.line(line)


def _send(plan: "PushPlan", screen: "Screen") -> None:
    from tinyzero.export.hub.push import make_pusher

    if not sys.stderr.isatty():
        from huggingface_hub.utils import disable_progress_bars  # type: ignore[attr-defined]

        disable_progress_bars()
    pushed = make_pusher(plan, tell=screen.note).push()
    screen.line(f"{pushed.url} ({plan.visibility}, commit {pushed.commit[:12]})")
