"""What is fetched of a base model on the Hub: told before, and each weight once."""

import json

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import disable_progress_bars, enable_progress_bars
from stand_in import TOKEN, File, Repository, running

from tinyzero.config import ModelConfig
from tinyzero.errors import ModelLoadError
from tinyzero.export.base import find_base
from tinyzero.policy.downloads import announce_download, check_room, num_bytes_to_fetch

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
DUPLICATES = (
    "consolidated.safetensors",
    "model.fp16.safetensors",
    "original/weights.safetensors",
    "flax_model.msgpack",
)
INDEX = json.dumps({"weight_map": {"a": SHARDS[0], "b": SHARDS[1]}}).encode()


@pytest.fixture
def hub(monkeypatch, tmp_path):
    disable_progress_bars()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with running() as hub:
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield hub
    enable_progress_bars()


def publish(hub, *weights, index=b""):
    files = {name: File(b"w" * 2**20, is_lfs=True) for name in (*weights, *DUPLICATES)}
    texts = {"config.json": b"{}", "tokenizer.json": b"{}", "README.md": b"---\nlicense: mit\n---\n"}
    texts |= {"model.safetensors.index.json": index} if index else {}
    files |= {name: File(content, is_lfs=False) for name, content in texts.items()}
    repository = Repository(is_private=False)
    repository.commit("main", files)
    hub.repositories["me/base"] = repository


@pytest.mark.parametrize(("weights", "index"), [(("model.safetensors",), b""), (SHARDS, INDEX)])
def test_an_export_fetches_each_weight_once(hub, weights, index):
    publish(hub, *weights, index=index)
    base = find_base(ModelConfig(base="me/base"), with_weights=True)
    assert sorted(path.name for path in base.folder.rglob("*.safetensors")) == sorted(weights)
    assert (base.folder / "tokenizer.json").is_file()


def test_what_is_fetched_is_told_before_it_is(hub):
    publish(hub, *SHARDS, index=INDEX)
    told = []
    announce_download("me/base", None, told.append)
    assert told == ["fetching 0.0 GiB of me/base from the Hugging Face Hub"]
    assert not any("/resolve/" in path for path in hub.requests)
    find_base(ModelConfig(base="me/base"), with_weights=True)
    announce_download("me/base", None, told.append)
    assert len(told) == 1


def test_a_hub_that_does_not_answer_is_left_to_the_loading(hub):
    announce_download("me/nobody", None, pytest.fail)


def test_a_local_folder_asks_no_hub(hub, tmp_path):
    announce_download(str(tmp_path), None, pytest.fail)
    assert not hub.requests


@pytest.mark.parametrize(
    ("names", "size"),
    [
        (["model.safetensors", *SHARDS, "pytorch_model.bin", *DUPLICATES], 1),
        ([*SHARDS, "pytorch_model.bin", *DUPLICATES], 2),
        (["pytorch_model.bin", *DUPLICATES], 1),
        (DUPLICATES, 0),
    ],
)
def test_the_size_is_that_of_the_files_that_transformers_reads(names, size):
    sizes = dict.fromkeys(names, 1)
    assert num_bytes_to_fetch(sizes, lambda _: False) == size
    assert num_bytes_to_fetch(sizes, lambda _: True) == 0


def test_a_download_that_would_fill_the_disk_is_refused(tmp_path):
    check_room(2**20, "me/base", tmp_path / "not" / "there")
    with pytest.raises(ModelLoadError, match=r"the weights of me/base are 1073741824\.0 GiB, and "):
        check_room(2**60, "me/base", tmp_path / "not" / "there")
