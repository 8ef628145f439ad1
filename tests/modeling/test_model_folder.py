"""Where weights are found: in a folder, or in the hub's cache at a pinned commit."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from alloy.core.files import InputError, hash_files
from alloy.modeling import model_folder
from alloy.modeling.model_folder import (
    download_snapshot,
    list_model_files,
    load_model,
    read_model_name,
    resolve_weights,
    write_reference,
)
from hub_server import refusing_hub
from tiny_model import make_model_and_tokenizer

REVISION = "0123456789abcdef0123456789abcdef01234567"


def fill_hub_cache(tmp_path, monkeypatch):
    """Put a model into a hub cache of its own, as someone/small; return (model, folder)."""
    model, tokenizer = make_model_and_tokenizer()
    snapshot = tmp_path / "cache/models--someone--small/snapshots" / REVISION
    model.save_pretrained(snapshot)
    tokenizer.save_pretrained(snapshot)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return model, snapshot


def test_a_folder_without_a_model_is_an_error_of_one_line(tmp_path):
    with pytest.raises(InputError, match=r"config\.json.*`dvc repro`"):
        resolve_weights(tmp_path)


def test_an_unreachable_hub_is_an_error_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_reference(tmp_path / "base", "nobody/nothing-of-this-name", "0" * 40)
    with pytest.raises(InputError, match=r"^model\.hub: nobody/nothing-of-this-name@0+ "):
        resolve_weights(tmp_path / "base")


@pytest.mark.parametrize("repository", ["", "./models/mine", "/models/mine", "two words", "a/b/c", "some/mod--el"])
def test_an_invalid_repository_name_is_an_error_of_one_line(repository):
    with pytest.raises(InputError) as caught:
        download_snapshot(repository, REVISION)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("model.hub: ")
    assert line.endswith(f"got '{repository}'")


@pytest.mark.parametrize(
    ("status", "code", "key", "named"),
    [
        (403, "GatedRepo", "model.hub: some/model", "hf auth login"),
        (404, "RepoNotFound", "model.hub: some/model", "no such repository"),
        (404, "RevisionNotFound", "model.revision: some/model", REVISION),
    ],
)
def test_an_error_of_the_hub_is_an_error_of_one_line(tmp_path, monkeypatch, status, code, key, named):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with refusing_hub(status, code) as url:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        with pytest.raises(InputError) as caught:
            download_snapshot("some/model", REVISION)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(key)
    assert named in line


def test_a_model_without_a_chat_template_is_refused(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    tokenizer.chat_template = None
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(InputError, match="chat template"):
        load_model(tmp_path)


def test_a_saved_model_loads_with_the_same_weights(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained(tmp_path / "weights")
    tokenizer.save_pretrained(tmp_path / "weights")
    loaded, _ = load_model(tmp_path / "weights")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


def test_a_pinned_hub_model_is_loaded_from_the_hub_cache(tmp_path, monkeypatch):
    model, _ = fill_hub_cache(tmp_path, monkeypatch)
    write_reference(tmp_path / "base", "someone/small", REVISION)
    loaded, _ = load_model(tmp_path / "base")
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)


@pytest.mark.parametrize("damaged", ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "no object"])
def test_a_damaged_file_is_an_error_of_one_line(tmp_path, monkeypatch, damaged, damage):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"interpolate": {"cmd": "x", "outs": ["models/tuned"]}}}))
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained("models/tuned")
    tokenizer.save_pretrained("models/tuned")
    file = Path("models/tuned", damaged)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if damage == "cut" else b"[1]")
    with pytest.raises(InputError) as caught:
        load_model("models/tuned")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("models/tuned: ")
    assert "`dvc repro interpolate`" in line


def test_missing_tensors_are_not_filled_with_random_numbers(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    removed = next(name for name in sorted(tensors) if "mlp" in name)
    del tensors[removed]
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=re.escape(removed)):
        load_model(tmp_path)


def test_a_hub_model_whose_files_changed_is_refused(tmp_path, monkeypatch):
    _, snapshot = fill_hub_cache(tmp_path, monkeypatch)
    write_reference(tmp_path / "base", "someone/small", REVISION, hash_files(snapshot, list_model_files(snapshot)))
    assert resolve_weights(tmp_path / "base") == str(snapshot)
    (snapshot / "generation_config.json").write_text("{}")
    model_folder._require_same_files.cache_clear()  # as in a new process
    with pytest.raises(InputError, match=r"expected sha256 [0-9a-f]{64}, got"):
        resolve_weights(tmp_path / "base")


def test_a_model_is_named_so_that_another_machine_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reference(tmp_path / "models/base", "someone/small", REVISION)
    assert read_model_name("models/base") == ("someone/small", REVISION)
    assert read_model_name("models/other") == ("models/other", None)
