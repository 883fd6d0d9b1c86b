"""The plan of a push, before anything is sent: names, files, bytes, visibility, licence."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tinyzero.export.manifest import RECORD, read_record

if TYPE_CHECKING:
    from huggingface_hub import HfApi
from typing import Literal

from tinyzero.errors import HubError

_RepoType = Literal["model", "dataset"]
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"(?:{_PART}/)?{_PART}", re.ASCII)
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}", re.ASCII)
_MOST_NAMED = 8
_SCANNED_BYTES = 16 << 20
"""Larger files hold weights, which cannot contain a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """The push of one folder to one repository.

    Attributes:
        repo: `name` or `owner/name`; the default owner is the token's user.
        files: path in the folder -> bytes.
        licence: licence in words, for the preview.
        replaces: whether files of others that programs would load beside these may be deleted.
    """

    folder: Path
    repo: str
    repo_type: _RepoType
    is_public: bool
    branch: str
    files: dict[str, int]
    licence: str
    replaces: bool = False

    @property
    def visibility(self) -> str:
        return "public" if self.is_public else "private"

    @property
    def num_bytes(self) -> int:
        return sum(self.files.values())


def make_plan(
    folder: Path,
    repo: str,
    *,
    repo_type: _RepoType,
    is_public: bool,
    branch: str,
    licence: str,
    replaces: bool = False,
) -> PushPlan:
    """List the folder's files and check the names.

    Raises:
        HubError: a name is not valid, or the folder holds something that must not be sent.
    """
    check_names(repo, branch)
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in paths:
        if path.is_symlink() or not path.is_file():
            raise HubError(f"{path} is no plain file; nothing was sent")
    return PushPlan(
        folder=folder,
        repo=repo,
        repo_type=repo_type,
        is_public=is_public,
        branch=branch,
        files={path.relative_to(folder).as_posix(): path.stat().st_size for path in paths},
        licence=licence,
        replaces=replaces,
    )


def check_names(repo: str, branch: str) -> None:
    """Raise HubError for a repository or branch name that the Hub would reject."""
    parts = repo.split("/")
    if not _REPO.fullmatch(repo) or any(word in repo for word in ("--", "..")) or repo.endswith(".git"):
        raise HubError(
            f"--repo is {repo!r}; it must be name or owner/name, of letters, digits, '-', '_' and '.'"
        )
    if any(len(part) > 96 for part in parts):
        raise HubError("--repo has a part of more than 96 characters; choose a shorter one")
    if (
        not _BRANCH.fullmatch(branch)
        or any(word in branch for word in ("..", "//", "/."))
        or branch.endswith(("/", ".", ".lock"))
    ):
        raise HubError(f"--branch is {branch!r}; it must be a plain branch name, such as main")


def preview(plan: PushPlan) -> list[str]:
    """The plan as lines of text."""
    width = max((len(name) for name in plan.files), default=0)
    kind = "data set" if plan.repo_type == "dataset" else "model"
    return [
        f"{kind} {plan.repo}, {plan.visibility}, branch {plan.branch}",
        f"licence {plan.licence}",
        *(f"  {name:<{width}}  {in_words(size):>9}" for name, size in plan.files.items()),
        f"{len(plan.files)} files, {in_words(plan.num_bytes)}, in one commit",
    ]


def preview_leftovers(ours: Sequence[str], foreign: Sequence[str], plan: PushPlan) -> list[str]:
    """What a push would do to files that are there already, as lines of text.

    Args:
        ours: files of TinyZero's last push that the plan lacks. foreign: others that programs would load.
    """
    deleted = [f"  deletes {name}, of the last push" for name in ours]
    if foreign and not plan.replaces:
        return [*deleted, f"would be refused: {refusal(plan.repo, foreign)}"]
    return deleted + [f"  deletes {name}, which TinyZero did not push" for name in foreign]


def refusal(repo: str, foreign: Sequence[str]) -> str:
    names = ", ".join(foreign[:_MOST_NAMED]) + (" and others" if len(foreign) > _MOST_NAMED else "")
    return (
        f"{repo} holds {names}, which TinyZero did not push and which programs would load beside these files "
        "or instead of them; --replace deletes them, or take another --repo"
    )


def refuse_token_in_files(plan: PushPlan, token: str) -> None:
    """Check that no file contains the token. Raises HubError."""
    for name, size in plan.files.items():
        if size <= _SCANNED_BYTES and token.encode() in (plan.folder / name).read_bytes():
            raise HubError(
                f"{name} contains your Hub token; nothing was sent. Remove it, and revoke the token"
            )


def in_words(num_bytes: int) -> str:
    """A size in words, such as 812 B or 6.4 MB."""
    size = float(num_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


# What TinyZero writes, for a record that lists no files.
_OURS = re.compile(
    r"model(-\d{5}-of-\d{5})?\.safetensors|model\.safetensors\.index\.json|adapter_(model\.safetensors|config\.json)|"
    r"model\.gguf|Modelfile|config\.json|generation_config\.json|\.eval_results/.*\.yaml|curves\.png"
)
# What stays beside a model, since no program loads it: words, pictures, and what trainers leave.
_HARMLESS = re.compile(
    r"\..*|(README|LICEN[CS]E|NOTICE|COPYING|COPYRIGHT|USE_POLICY|CITATION|CHANGELOG)([-._].*)?|"
    r".*\.(md|rst|pdf|png|jpe?g|gif|svg|webp|html?|csv|tsv|parquet|ya?ml|toml|ipynb|log|mp4|cff)|"
    r"(?!merges|vocab).*\.txt|training_args\.bin|trainer_state\.json|(all|train|eval)_results\.json|"
    r"(optimizer|scheduler|rng_state|scaler).*",
    re.IGNORECASE,
)
_OF_GGUF = re.compile(r".*\.gguf|Modelfile|template|system|params", re.IGNORECASE)
"""What llama.cpp and Ollama take from a repository; other programs take no notice of it."""
_TEMPLATES = "additional_chat_templates/"
_MAX_RECORD_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftovers:
    """Files of a repository that a push does not replace, and that would be loaded beside it or instead.

    Attributes:
        ours: of TinyZero's last push. foreign: of anybody else.
    """

    ours: tuple[str, ...]
    foreign: tuple[str, ...]


def remote_files(api: "HfApi", repo: str, plan: PushPlan) -> Sequence[Any]:
    """All files at the head of the plan's branch, with sizes and hashes."""
    tree = api.list_repo_tree(repo, recursive=True, revision=plan.branch, repo_type=plan.repo_type)
    return [entry for entry in tree if hasattr(entry, "blob_id")]


def leftovers(api: "HfApi", repo: str, plan: PushPlan, there: Sequence[Any]) -> Leftovers:
    """What lies at the head of the plan's branch and must not stay there.

    Args:
        there: the files at that head.
    """
    names = {entry.path for entry in there}
    pushed = _last_push(api, repo, plan, there) if RECORD in names else set()
    ours = sorted(names & pushed - plan.files.keys())
    foreign = sorted(name for name in names - pushed - plan.files.keys() if _is_loaded(name, plan))
    return Leftovers(ours=tuple(ours), foreign=tuple(foreign))


def _last_push(api: "HfApi", repo: str, plan: PushPlan, there: Sequence[Any]) -> set[str]:
    """The files that the record of the last push lists."""
    if any(entry.path == RECORD and entry.size > _MAX_RECORD_BYTES for entry in there):
        return set()
    with TemporaryDirectory() as folder:
        api.hf_hub_download(repo, RECORD, repo_type=plan.repo_type, revision=plan.branch, local_dir=folder)
        files = read_record(Path(folder)).get("files")
    listed = files if isinstance(files, dict) else (e.path for e in there if _OURS.fullmatch(e.path))
    return {RECORD, *listed}


def _is_loaded(name: str, plan: PushPlan) -> bool:
    """Whether a program that opens the repository would read a foreign file of this name."""
    if plan.repo_type == "dataset":  # its card names its files
        return False
    if any(file.endswith(".gguf") for file in plan.files):
        return bool(_OF_GGUF.fullmatch(name))
    if "/" in name:
        return name.startswith(_TEMPLATES)
    return not _HARMLESS.fullmatch(name) and not _OF_GGUF.fullmatch(name)


def have_arrived(plan: PushPlan, there: Sequence[Any]) -> bool:
    """Whether the branch holds every file of the plan, bit for bit."""
    entries = {entry.path: entry for entry in there}
    if not plan.files.keys() <= entries.keys():
        return False
    if any(entries[name].size != size for name, size in plan.files.items()):
        return False
    return all(_is_same(plan.folder / name, entries[name]) for name in plan.files)


def _is_same(path: Path, entry: Any) -> bool:  # noqa: ANN401  a RepoFile
    if entry.lfs is not None:
        with path.open("rb") as file:
            return bool(entry.lfs.sha256 == hashlib.file_digest(file, "sha256").hexdigest())
    content = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
    return bool(entry.blob_id == blob.hexdigest())
