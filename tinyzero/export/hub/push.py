"""Pushes one folder to one repository of the Hub in one commit. Checks first; retries if the network fails.

Uploaded files stay on the Hub if a push fails, so a second run continues it. The library does not
retry the commit. This module does, after a check whether a commit without an answer has arrived.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from tinyzero.errors import HubError
from tinyzero.export.hub.errors import client_errors, in_words, is_passing, status_of
from tinyzero.export.hub.plan import (
    Leftovers,
    PushPlan,
    have_arrived,
    leftovers,
    refusal,
    refuse_token_in_files,
    remote_files,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

_WAITS_S = (1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pushed:
    """The result of a push. `commit` is the head of the branch, which holds exactly the folder's files."""

    repo: str
    url: str
    commit: str


@dataclass(slots=True, kw_only=True)
class Pusher:
    """A push in progress.

    Attributes:
        sleep: waits for some seconds. tell: called with a text for each step.
        waits_s: seconds before the second try, the third, and so on; after them the push fails.
    """

    api: "HfApi"
    plan: PushPlan
    token: str
    tell: Callable[[str], None] = lambda _: None
    sleep: Callable[[float], None] = time.sleep
    waits_s: tuple[float, ...] = _WAITS_S

    def look(self) -> Leftovers:
        """What the push would delete, or be refused for; nothing is sent.

        Raises:
            HubError: the Hub cannot be asked, or the repository has another visibility.
        """
        repo = self._full_name()
        is_private = self._is_private(repo)
        if is_private is None:
            return Leftovers(ours=(), foreign=())
        self._check_visibility(repo, is_private)
        is_there = self.plan.branch == "main" or self._patiently(lambda: self._has_branch(repo))
        plan = self.plan if is_there else replace(self.plan, branch="main")  # of which it will be made
        return self._patiently(lambda: leftovers(self.api, repo, plan, remote_files(self.api, repo, plan)))

    def push(self) -> _Pushed:
        """Send the folder.

        Raises:
            HubError: the push failed. The repository is unchanged, except for files without a commit.
        """
        refuse_token_in_files(self.plan, self.token)
        repo = self._full_name()
        self._settle_repository(repo)
        self._settle_branch(repo)
        head = self._commit(repo)
        prefix = "datasets/" if self.plan.repo_type == "dataset" else ""
        url = f"{self.api.endpoint}/{prefix}{repo}"
        return _Pushed(repo=repo, url=url, commit=head)

    def _full_name(self) -> str:
        """The repository's name with its owner. This is the first use of the token."""
        user = self._patiently(self.api.whoami)
        role = user.get("auth", {}).get("accessToken", {}).get("role")
        if role == "read":
            raise HubError(
                "your Hub token may only read; make one that may write: https://hf.co/settings/tokens"
            )
        return self.plan.repo if "/" in self.plan.repo else f"{user['name']}/{self.plan.repo}"

    def _settle_repository(self, repo: str) -> None:
        """Check that the repository has the planned visibility, or create it."""
        is_private = self._is_private(repo)
        if is_private is None:
            self.tell(f"making the {self.plan.visibility} repository {repo}")
            self._create(repo)
            is_private = self._is_private(repo)
        self._check_visibility(repo, is_private)

    def _check_visibility(self, repo: str, is_private: bool | None) -> None:  # noqa: FBT001
        if is_private is None or is_private is self.plan.is_public:
            actual = "not to be found" if is_private is None else "private" if is_private else "public"
            wish = "drop --public" if is_private else "say --public"
            raise HubError(
                f"{repo} is {actual}, this push is to be {self.plan.visibility}; {wish}, or take another name"
            )

    def _is_private(self, repo: str) -> bool | None:
        """Whether the repository is private; None if it does not exist."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def look() -> bool | None:
            try:
                return bool(self.api.repo_info(repo, repo_type=self.plan.repo_type).private)
            except RepositoryNotFoundError:
                return None

        return self._patiently(look)

    def _create(self, repo: str) -> None:
        """Create the repository. If an answer was lost, it may exist already; visibility is checked later."""
        self._patiently(
            lambda: self.api.create_repo(
                repo, private=not self.plan.is_public, repo_type=self.plan.repo_type, exist_ok=True
            )
        )

    def _settle_branch(self, repo: str) -> None:
        if self.plan.branch != "main":
            self._patiently(
                lambda: self.api.create_branch(
                    repo, branch=self.plan.branch, repo_type=self.plan.repo_type, exist_ok=True
                )
            )

    def _commit(self, repo: str) -> str:
        """Send the changes in one commit. Returns the head that holds them."""
        self.tell(f"sending {len(self.plan.files)} files to {repo}")
        gone = self._patiently(lambda: self._commit_once(repo))
        there = self._files(repo)
        if not have_arrived(self.plan, there) or not {entry.path for entry in there}.isdisjoint(gone):
            raise HubError(f"{repo} holds other files than {self.plan.folder} after the push; run it again")
        return self._head(repo)

    def _commit_once(self, repo: str) -> Sequence[str]:
        """Send one commit, unless an earlier try has arrived and only its answer was lost.

        Returns the files that it deletes.
        """
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        head = self._head(repo)
        there = self._files(repo)
        gone = self._gone(repo, there)
        if have_arrived(self.plan, there) and not gone:
            return ()
        operations: list[Any] = [CommitOperationDelete(path_in_repo=name) for name in gone]
        operations += [
            CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(self.plan.folder / name))
            for name in self.plan.files
        ]
        self.api.create_commit(
            repo,
            operations,
            commit_message="Upload with TinyZero",
            repo_type=self.plan.repo_type,
            revision=self.plan.branch,
            parent_commit=head,
        )
        return gone

    def _gone(self, repo: str, there: Sequence[Any]) -> tuple[str, ...]:
        """The files to delete. Raises HubError for those of others, if they may not be."""
        left = leftovers(self.api, repo, self.plan, there)
        if left.foreign and not self.plan.replaces:
            raise HubError(refusal(repo, left.foreign))
        return left.ours + left.foreign

    def _has_branch(self, repo: str) -> bool:
        from huggingface_hub.errors import RevisionNotFoundError

        try:
            self._head(repo)
        except RevisionNotFoundError:
            return False
        return True

    def _head(self, repo: str) -> str:
        info = self.api.repo_info(repo, repo_type=self.plan.repo_type, revision=self.plan.branch)
        return str(info.sha)

    def _files(self, repo: str) -> Sequence[Any]:
        return remote_files(self.api, repo, self.plan)

    def _patiently(self, call: Callable[[], T]) -> T:
        """Retry a call on temporary errors. Raises HubError with a message for other errors."""
        for wait_s in (*self.waits_s, None):
            try:
                return call()
            except client_errors() as error:
                if wait_s is None or not is_passing(error):
                    raise HubError(in_words(error, self.plan.repo, self.token)) from None
                self.tell(
                    f"the Hub failed ({status_of(error) or type(error).__name__}); again in {wait_s:g} s"
                )
                self.sleep(wait_s)
        raise AssertionError("the last try returns or raises")


def find_token() -> str:
    """The token of the environment or the login store.

    Raises:
        HubError: there is none, or the Hub's client was told to stay offline.
    """
    from huggingface_hub import constants, get_token

    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be sent to the Hub; unset it and run it again")
    token = get_token()
    if not token:
        raise HubError("no Hub token: run `hf auth login`, or set the environment variable HF_TOKEN")
    return token


def make_pusher(
    plan: PushPlan, tell: Callable[[str], None], *, waits_s: tuple[float, ...] = _WAITS_S
) -> Pusher:
    """A pusher for the Hub endpoint in the environment."""
    from huggingface_hub import HfApi

    token = find_token()
    return Pusher(api=HfApi(token=token), plan=plan, token=token, tell=tell, waits_s=waits_s)
