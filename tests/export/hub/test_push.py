"""Pushing to a stand-in of the Hub: what arrives, what is refused, and what a bad network costs."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from huggingface_hub import HfApi
from stand_in import TOKEN, Fault, File, Repository, running

from tinyzero.errors import HubError
from tinyzero.export.hub.errors import is_passing
from tinyzero.export.hub.plan import Leftovers, check_names, make_plan, preview, preview_leftovers
from tinyzero.export.hub.push import Pusher, find_token
from tinyzero.export.manifest import write_record

# The client hands files to its HTTP library in a way that this one has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

LARGE = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars, enable_progress_bars

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(
        "huggingface_hub.utils._http.time.sleep", lambda _: None
    )  # the library's own patience
    disable_progress_bars()
    with running() as hub:
        yield hub
    enable_progress_bars()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "model"
    (folder / ".eval_results").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# m\n")
    (folder / "config.json").write_text("{}")
    (folder / "tinyzero.json").write_text("{}")
    (folder / ".eval_results" / "tinyzero.yaml").write_text("[]")
    (folder / "model.safetensors").write_bytes(LARGE)
    return folder


@pytest.fixture
def push(hub, folder):
    """Pushes the folder, or looks at the repository; what is said and how long is waited are kept."""

    def push_one(
        repo="m", *, is_public=False, branch="main", repo_type="model", replaces=False, only_look=False
    ):
        plan = make_plan(
            folder, repo, repo_type=repo_type, is_public=is_public, branch=branch, licence="apache-2.0",
            replaces=replaces,
        )  # fmt: skip
        push_one.said, push_one.waits = [], []
        pusher = Pusher(
            api=HfApi(endpoint=hub.url, token=TOKEN),
            plan=plan,
            token=TOKEN,
            tell=push_one.said.append,
            sleep=push_one.waits.append,
        )
        return pusher.look() if only_look else pusher.push()

    return push_one


def contents(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def complaint(call, *arguments, **options):
    with pytest.raises(HubError) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    assert TOKEN not in str(caught.value)
    return str(caught.value)


def commits(hub, repo="me/m"):
    return len(hub.repositories[repo].commits) - 1


def test_the_whole_folder_arrives_byte_for_byte_in_one_commit_and_private(push, hub, folder):
    pushed = push()
    assert (pushed.repo, pushed.url) == ("me/m", f"{hub.url}/me/m")
    assert hub.repositories["me/m"].is_private
    assert hub.files("me/m") == contents(folder)
    assert commits(hub) == 1
    assert pushed.commit == hub.repositories["me/m"].commits[-1]


def test_public_is_public_only_when_said(push, hub):
    push("me/open", is_public=True)
    assert not hub.repositories["me/open"].is_private


def test_a_data_set_is_a_repository_of_its_own_type(push, hub, folder):
    pushed = push("me/tasks", repo_type="dataset")
    assert pushed.url == f"{hub.url}/datasets/me/tasks"
    assert hub.files("me/tasks") == contents(folder)


@pytest.mark.parametrize(("there", "wish"), [(True, "drop --public"), (False, "say --public")])
def test_a_repository_of_another_visibility_is_left_alone(push, hub, there, wish):
    hub.repositories["me/m"] = Repository(is_private=there)
    said = complaint(push, is_public=there)
    assert wish in said
    assert hub.files("me/m") == {}
    assert not any(name.startswith("PUT") for name in hub.requests)


def test_a_hub_that_makes_public_what_was_to_be_private_gets_no_file(push, hub):
    hub.created_as_public = True
    assert "me/m is public, this push is to be private" in complaint(push)
    assert hub.files("me/m") == {}


def test_pushing_again_changes_nothing_and_sends_nothing(push, hub):
    push()
    hub.requests.clear()
    push()
    assert commits(hub) == 1
    assert not any("PUT" in name or "commit" in name for name in hub.requests)


def test_weights_of_an_earlier_push_go_and_other_peoples_files_stay(push, hub, folder):
    push()
    (folder / "model.safetensors").unlink()
    (folder / "adapter_model.safetensors").write_bytes(b"adapter")
    files = hub.repositories["me/m"].branches["main"]
    hub.repositories["me/m"].commit("main", {**files, "notes.txt": files["config.json"]})
    push()
    assert hub.files("me/m") == {**contents(folder), "notes.txt": b"{}"}


def test_a_repository_that_tinyzero_never_pushed_to_loses_nothing(push, hub, folder):
    push()
    files = hub.repositories["me/m"].branches["main"]
    hub.repositories["me/other"] = Repository(
        is_private=True, branches={"main": {"model.gguf": files["config.json"]}}
    )
    push("me/other")
    assert hub.files("me/other") == {**contents(folder), "model.gguf": b"{}"}


def put(hub, *names, repo="me/m", content=b"foreign"):
    """Files that somebody else has put into a repository."""
    there = hub.repositories.setdefault(repo, Repository(is_private=True))
    there.commit("main", {**there.branches["main"], **{name: File(content, is_lfs=False) for name in names}})


def recorded(folder):
    """The folder with the record that an export writes."""
    (folder / "tinyzero.json").unlink()
    write_record(folder, {"what": "merged"})


def test_all_files_of_the_last_push_that_this_one_lacks_go(push, hub, folder):
    names = ("chat_template.jinja", "tokenizer.model", "LICENSE", "vocab.json")
    for name in names:
        (folder / name).write_text("of another base")
    recorded(folder)
    push()
    put(hub, "notes.txt")
    for name in names:
        (folder / name).unlink()
    recorded(folder)
    left = push(only_look=True)
    assert left == Leftovers(ours=tuple(sorted(names)), foreign=())
    hub.requests.clear()
    push()
    assert hub.files("me/m") == {**contents(folder), "notes.txt": b"foreign"}
    assert commits(hub) == 3  # with that of somebody else


FOREIGN = [
    "adapter_config.json", "adapter_model.safetensors", "model.safetensors.index.json",
    "model-00001-of-00002.safetensors", "pytorch_model.bin", "consolidated.safetensors",
    "chat_template.jinja",
    "tokenizer.model", "added_tokens.json", "vocab.txt", "quantize_config.json", "params.json", "handler.py",
    "additional_chat_templates/tool_use.jinja",
]  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_that_programs_would_load_are_refused_and_go_with_consent(push, hub, folder, name):
    recorded(folder)
    put(hub, name, "notes.txt", "README.md", ".gitattributes", "training_args.bin", "runs/events.bin")
    before = hub.files("me/m")
    assert push(only_look=True).foreign == (name,)
    said = complaint(push)
    assert said.startswith(f"me/m holds {name}, which TinyZero did not push")
    assert "--replace deletes them" in said
    assert hub.files("me/m") == before
    assert not any(request.startswith("PUT") for request in hub.requests)
    push(replaces=True)
    kept = ("notes.txt", ".gitattributes", "training_args.bin", "runs/events.bin")
    assert hub.files("me/m") == {**contents(folder), **dict.fromkeys(kept, b"foreign")}
    push()  # nothing is left to be refused


def test_a_file_that_somebody_added_to_our_push_is_refused_too(push, hub, folder):
    recorded(folder)
    push()
    put(hub, "adapter_config.json")
    assert "adapter_config.json" in complaint(push)


def test_a_gguf_push_is_beside_other_peoples_weights_but_not_beside_their_gguf(push, hub, folder):
    (folder / "model.safetensors").rename(folder / "model.gguf")
    put(hub, "pytorch_model.bin", "adapter_config.json")
    put(hub, "quants/other.Q4.gguf", repo="me/other")
    assert push(only_look=True).foreign == ()
    push()
    assert "quants/other.Q4.gguf" in complaint(push, "me/other")


def test_a_data_set_is_pushed_beside_files_of_others(push, hub):
    put(hub, "adapter_config.json", repo="me/tasks")
    assert push("me/tasks", repo_type="dataset", only_look=True).foreign == ()


def test_the_preview_says_what_goes_and_what_is_refused(folder):
    plan = make_plan(folder, "me/m", repo_type="model", is_public=False, branch="main", licence="mit")
    assert preview_leftovers(("LICENSE",), ("a.bin",), plan) == [
        "  deletes LICENSE, of the last push",
        "would be refused: me/m holds a.bin, which TinyZero did not push and which programs would load "
        "beside these files or instead of them; --replace deletes them, or take another --repo",
    ]
    assert preview_leftovers((), ("a.bin",), dataclasses.replace(plan, replaces=True)) == [
        "  deletes a.bin, which TinyZero did not push"
    ]


def test_looking_sends_nothing_and_a_repository_that_is_not_there_holds_nothing(push, hub):
    assert push(only_look=True) == Leftovers(ours=(), foreign=())
    assert hub.repositories == {}


@pytest.mark.parametrize("status", [402, 403])
def test_an_account_without_room_is_told_so(push, hub, status):
    hub.faults = [Fault("POST .*/commit/", (status, "Private repository storage limit reached"))]
    said = complaint(push)
    assert said.startswith("the Hub has no room left for m; delete something there, or take a larger plan")
    assert f"({status}: Private repository storage limit reached)" in said


def test_metadata_that_the_hub_refuses_is_refused_with_all_its_reasons(push, hub):
    hub.yaml_errors = ['"license" must be one of [apache-2.0, mit]', '"license_name" is missing']
    said = complaint(push)
    assert said.startswith("the push to m failed: Invalid metadata in README.md.; ")
    assert all(reason in said for reason in hub.yaml_errors)
    assert push.waits == []


def test_a_client_that_is_told_to_stay_offline_is_not_waited_for(push, hub, monkeypatch):
    from huggingface_hub import constants
    from huggingface_hub.errors import OfflineModeIsEnabled

    assert not is_passing(OfflineModeIsEnabled("offline"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "unset it" in complaint(find_token)


def test_a_branch_is_made_and_main_stays(push, hub, folder):
    push()
    (folder / "config.json").write_text('{"new": 1}')
    push(branch="step-90")
    assert hub.files("me/m", "step-90") == contents(folder)
    assert hub.files("me/m")["config.json"] == b"{}"


def test_a_token_that_is_not_accepted(push, hub):
    hub.faults = [Fault("whoami", 401)]
    assert "hf auth login" in complaint(push)


def test_a_token_that_may_only_read_is_named_before_anything_is_made(push, hub):
    hub.role = "read"
    assert "may only read" in complaint(push)
    assert hub.repositories == {}


def test_a_token_that_may_not_write_there(push, hub):
    hub.repositories["you/m"] = Repository(is_private=True)
    hub.faults = [Fault("POST .*/commit/", 403)]
    assert complaint(push, "you/m").startswith("your token may not write to you/m; make one that may")
    assert push.waits == []


def test_a_conflict_is_said(push, hub):
    hub.faults = [Fault("POST .*/commit/", 409)]
    assert "run it again" in complaint(push)


def test_somebody_elses_commit_in_between_is_not_overwritten(push, hub):
    push()
    hub.faults = [Fault("POST .*/commit/", 412)]
    (push_folder := hub.repositories["me/m"]).commit("main", {})
    assert "changed by somebody else" in complaint(push)
    assert push_folder.branches["main"] == {}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_commit_that_the_hub_fails_is_repeated_with_growing_pauses(push, hub, folder, status):
    hub.faults = [Fault("POST .*/commit/", status, times=3)]
    push()
    assert push.waits == [1.0, 2.0, 4.0]
    assert hub.files("me/m") == contents(folder)
    assert commits(hub) == 1
    assert sum(count for name, count in hub.requests.items() if name.startswith("PUT")) == 1


def test_a_hub_that_keeps_failing_is_given_up_and_a_second_run_goes_on(push, hub, folder):
    hub.faults = [Fault("POST .*/commit/", 503, times=99)]
    assert "run it again: what is uploaded stays" in complaint(push)
    assert push.waits == [1.0, 2.0, 4.0, 8.0]
    assert hub.files("me/m") == {}
    hub.faults = []
    hub.requests.clear()
    push()
    assert hub.files("me/m") == contents(folder)
    assert not any(name.startswith("PUT") for name in hub.requests)  # the large file was there already


def test_a_connection_dropped_in_the_middle_of_a_large_file(push, hub, folder):
    hub.faults = [Fault("PUT /lfs/", "drop", times=2)]
    push()
    assert hub.files("me/m") == contents(folder)
    assert sum(count for name, count in hub.requests.items() if name.startswith("PUT")) == 3


def test_a_commit_whose_answer_was_lost_is_not_made_twice(push, hub, folder):
    hub.faults = [Fault("POST .*/commit/", "lose")]
    push()
    assert push.waits == [1.0]
    assert hub.files("me/m") == contents(folder)
    assert commits(hub) == 1


def test_a_repository_whose_making_was_answered_too_late(push, hub, folder):
    hub.faults = [Fault("POST /api/repos/create", 500)]
    push()
    assert hub.files("me/m") == contents(folder)


def test_a_token_in_a_file_stops_the_push(push, hub, folder):
    (folder / "README.md").write_text(f"my token is {TOKEN}")
    assert complaint(push).startswith("README.md contains your Hub token; nothing was sent")
    assert not hub.requests


def test_a_link_in_the_folder_stops_the_push(push, hub, folder, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (folder / "notes").symlink_to(tmp_path / "secret")
    assert "is no plain file; nothing was sent" in complaint(push)
    assert not hub.requests


@pytest.mark.parametrize(
    "name",
    ["", "a/b/c", "../m", "a/..", "me/m m", "me/-m", "me/m.", "a--b", "m.git", "me/m\n", "x" * 97, "é"],
)
def test_names_that_no_repository_can_have(name):
    assert complaint(check_names, name, "main").startswith("--repo ")


@pytest.mark.parametrize("branch", ["", "a b", "../x", "a//b", "a/", "a.lock", "-a", "a\x1b", "refs/.x"])
def test_names_that_no_branch_can_have(branch):
    assert complaint(check_names, "m", branch).startswith("--branch ")


def test_the_preview_names_every_file_and_the_sum(folder):
    plan = make_plan(folder, "me/m", repo_type="model", is_public=False, branch="main", licence="apache-2.0")
    lines = preview(plan)
    assert lines[0] == "model me/m, private, branch main"
    assert lines[1] == "licence apache-2.0"
    assert [line.split()[0] for line in lines[2:-1]] == sorted(contents(folder))
    assert lines[-1] == "5 files, 1.0 MB, in one commit"
    assert preview(dataclasses.replace(plan, is_public=True))[0] == "model me/m, public, branch main"


ROUND_TRIP = """
import sys
import torch
from tinyzero.cli import run

def command(*arguments):
    code = run(arguments)
    assert code == 0, code

command("push", sys.argv[1], "--repo", "me/nano-first", "--dry-run")
print("DRY", flush=True)
command("push", sys.argv[1], "--repo", "me/nano-first")
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("me/nano-first")
tokenizer = AutoTokenizer.from_pretrained("me/nano-first")
local = AutoModelForCausalLM.from_pretrained(sys.argv[1] + "/export/merged-shared-step-000004")
ids = tokenizer("solve deduction", return_tensors="pt").input_ids
with torch.no_grad():
    assert torch.equal(model(ids).logits, local(ids).logits)
print("SAME", ids.shape[1] > 2)

# A run whose base model came from the Hub.
import json
from pathlib import Path
config = Path(sys.argv[1]) / "config.json"
tree = json.loads(config.read_text())
tree["model"]["base"] = "me/nano-first"
config.write_text(json.dumps(tree))
command("export", sys.argv[1], "--what", "adapter", "--output", sys.argv[1] + "/from-hub")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)  # a second import of everything, on a machine that may be busy
def test_a_pushed_model_comes_back_through_from_pretrained_and_the_token_shows_nowhere(nano_run, tmp_path):
    """The real client over HF_ENDPOINT, as a person would run it."""
    with running() as hub:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
        environment |= {
            "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
        }  # fmt: skip
        result = subprocess.run(
            [sys.executable, "-c", ROUND_TRIP, str(nano_run.path)],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip
    assert result.returncode == 0, result.stderr
    before, _, after = result.stdout.partition("DRY\n")
    assert "dry run: nothing was sent" in before
    assert "/me/nano-first (private, commit " in after
    assert "using the earlier export" in result.stderr  # the export of the dry run is taken as it is
    assert "SAME True\n" in result.stdout
    record = json.loads((nano_run.path / "from-hub" / "tinyzero.json").read_text())
    head = hub.repositories["me/nano-first"].commits[-1]
    assert record["base"] == {
        "name": "me/nano-first", "hub_id": "me/nano-first", "revision": head, "licence": "apache-2.0",
    }  # fmt: skip
    assert "base_model: me/nano-first" in (nano_run.path / "from-hub" / "README.md").read_text()
    exported = contents(nano_run.path / "export" / "merged-shared-step-000004")
    assert hub.files("me/nano-first") == exported
    for text in (result.stdout, result.stderr):
        assert TOKEN not in text
    for path in nano_run.path.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
