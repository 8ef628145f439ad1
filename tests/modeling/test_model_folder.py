"""Where weights are found: in a folder, or in the hub's cache at a pinned commit."""

import pytest
import torch

from alloy.core.files import InputError
from alloy.modeling.model_folder import download, load, name, resolve, write_reference
from hub_server import refusing_hub
from small import fresh

REVISION = "0123456789abcdef0123456789abcdef01234567"


def test_a_folder_without_a_model_is_one_clear_line(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json; run `dvc repro`"):
        resolve(tmp_path)


def test_a_hub_that_cannot_be_reached_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_reference(tmp_path / "base", "nobody/nothing-of-this-name", "0" * 40)
    with pytest.raises(InputError, match=r"hub: nobody/nothing-of-this-name@0+ is neither cached nor to be had"):
        resolve(tmp_path / "base")


@pytest.mark.parametrize("repository", ["", "./models/mine", "/models/mine", "two words", "a/b/c", "some/mod--el"])
def test_a_name_that_no_repository_has_is_one_clear_line(repository):
    with pytest.raises(InputError) as caught:
        download(repository, REVISION)
    wanted = f"model.hub: '{repository}' is no name of a hub repository; write one such as Qwen/Qwen3-0.6B"
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("status", "code", "key", "named"),
    [
        (403, "GatedRepo", "model.hub: some/model", "hf auth login"),
        (404, "RepoNotFound", "model.hub: some/model", "no such repository"),
        (404, "RevisionNotFound", "model.revision: some/model", REVISION),
    ],
)
def test_what_the_hub_refuses_is_one_clear_line(tmp_path, monkeypatch, status, code, key, named):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with refusing_hub(status, code) as url:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        with pytest.raises(InputError) as caught:
            download("some/model", REVISION)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(key)
    assert named in line


def test_a_model_without_a_chat_template_is_refused(tmp_path):
    model, tokenizer = fresh()
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="no chat template; take an instruction-tuned model"):
        load(tmp_path)


def test_a_saved_model_loads_with_the_same_weights(tmp_path):
    model, tokenizer = fresh()
    model.save_pretrained(tmp_path / "weights")
    tokenizer.save_pretrained(tmp_path / "weights")
    loaded, _ = load(tmp_path / "weights")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_a_pinned_hub_model_is_loaded_from_the_hubs_own_cache(tmp_path, monkeypatch):
    model, tokenizer = fresh()
    snapshot = tmp_path / "cache/models--someone--small/snapshots" / REVISION
    model.save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_reference(tmp_path / "base", "someone/small", REVISION)
    loaded, _ = load(tmp_path / "base")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_a_model_is_named_so_that_another_machine_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reference(tmp_path / "models/base", "someone/small", REVISION)
    assert name("models/base") == ("someone/small", REVISION)
    assert name("models/other") == ("models/other", None)
