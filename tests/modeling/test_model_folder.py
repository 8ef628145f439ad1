"""Where weights are found: in a folder, or in the hub's cache at a pinned commit."""

import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from alloy.core.files import InputError
from alloy.modeling import model_folder
from alloy.modeling.model_folder import (
    download_snapshot,
    hash_model_files,
    load_context_length,
    load_model,
    load_weights,
    read_model_name,
    read_origin,
    resolve_weights,
    write_reference,
)
from alloy.training.lora import write_base_name
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


def change_tensor(folder, change):
    """Replace a tensor in the weights by what `change` returns, or remove it if that is None; return its name."""
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in sorted(tensors) if "mlp" in name)
    changed = {**tensors, name: change(tensors[name])}
    kept = {name: tensor for name, tensor in changed.items() if tensor is not None}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    return name


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


@pytest.mark.parametrize("damaged", ["config.json", "tokenizer.json", "model.safetensors", "chat_template.jinja"])
@pytest.mark.parametrize("damage", ["cut", "another value"])
def test_a_damaged_file_is_an_error_of_one_line(tmp_path, monkeypatch, damaged, damage):
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"interpolate": {"cmd": "x", "outs": ["models/tuned"]}}}))
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained("models/tuned")
    tokenizer.save_pretrained("models/tuned")
    file = Path("models/tuned", damaged)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if damage == "cut" else b"[1] {{")
    with pytest.raises(InputError) as caught:
        load_model("models/tuned")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("models/tuned: ")
    assert "`dvc repro interpolate`" in line


def test_missing_tensors_are_not_filled_with_random_numbers(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    removed = change_tensor(tmp_path, lambda _: None)
    with pytest.raises(InputError, match=re.escape(removed)):
        load_model(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_hub_model_whose_files_changed_is_refused(tmp_path, monkeypatch, name):
    _, snapshot = fill_hub_cache(tmp_path, monkeypatch)
    write_reference(tmp_path / "base", "someone/small", REVISION, hash_model_files(snapshot))
    assert resolve_weights(tmp_path / "base", verify=True) == str(snapshot)
    content = (snapshot / name).read_bytes()
    (snapshot / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    model_folder._require_same_file.cache_clear()  # as in a new process
    with pytest.raises(InputError) as caught:
        load_weights(tmp_path / "base", torch.float32)
    assert re.match(rf"{re.escape(str(snapshot / name))}: expected sha256 [0-9a-f]{{64}}, got", str(caught.value))
    assert f"remove {tmp_path}/cache/models--someone--small," in str(caught.value)


def test_a_hub_cache_without_an_unneeded_file_is_used(tmp_path, monkeypatch):
    _, snapshot = fill_hub_cache(tmp_path, monkeypatch)
    files = {**hash_model_files(snapshot), "notes.txt": "0" * 64}
    write_reference(tmp_path / "base", "someone/small", REVISION, files)
    assert resolve_weights(tmp_path / "base", verify=True) == str(snapshot)


@pytest.mark.parametrize("content", ["[1]", "{}", '{"repository": 1, "revision": "a", "model": 2}'])
@pytest.mark.parametrize("name", ["hub.json", "hosted.json"])
def test_a_damaged_reference_is_an_error_of_one_line(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        load_weights(tmp_path, torch.float32)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(f"{tmp_path / name}: ")


@pytest.mark.parametrize("files", [[], ["a"], "a", None])
def test_the_hashes_of_a_reference_must_be_an_object(tmp_path, files):
    reference = {"repository": "someone/small", "revision": REVISION, "files": files}
    (tmp_path / "hub.json").write_text(json.dumps(reference))
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path / 'hub.json'))}: [^\n]*`files`[^\n]*$"):
        resolve_weights(tmp_path)


@pytest.mark.parametrize("key", ["source", "name", "revision", "stop_token"])
def test_a_damaged_origin_is_an_error_of_one_line(tmp_path, key):
    origin = {"source": "hub", "name": "someone/small", "revision": REVISION, "stop_token": "</s>"}
    (tmp_path / "origin.json").write_text(json.dumps(origin))
    assert read_origin(tmp_path) == origin
    (tmp_path / "origin.json").write_text(json.dumps(origin | {key: 1}))
    with pytest.raises(InputError, match=f"^{re.escape(str(tmp_path / 'origin.json'))}: [^\n]*{key}[^\n]*$"):
        read_origin(tmp_path)


@pytest.fixture
def adapter(tmp_path, monkeypatch):
    """An adapter without an effect, in models/tuned, for the model in models/base."""
    monkeypatch.chdir(tmp_path)
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained("models/base")
    for folder in ("models/base", "models/tuned"):
        tokenizer.save_pretrained(folder)
    get_peft_model(model, LoraConfig(target_modules=["q_proj"])).save_pretrained("models/tuned")
    write_base_name(Path("models/tuned"), "models/base", None)
    return Path("models/tuned")


def test_an_adapter_is_loaded_with_its_base_model(adapter):
    base, tuned = load_weights("models/base", torch.float32), load_weights(adapter, torch.float32)
    ids = torch.arange(10, 20)[None]
    assert torch.equal(tuned(ids).logits, base(ids).logits)
    assert load_context_length(adapter) == load_context_length("models/base")


def test_an_adapter_whose_base_model_lacks_a_tensor_is_refused(adapter):
    removed = change_tensor(Path("models/base"), lambda _: None)
    with pytest.raises(InputError, match=rf"^models/base: .*{re.escape(removed)}"):
        load_weights(adapter, torch.float32)


def test_an_adapter_of_a_hub_model_is_loaded_with_the_pinned_commit(adapter, tmp_path, monkeypatch):
    model, snapshot = fill_hub_cache(tmp_path, monkeypatch)
    refs = snapshot.parents[1] / "refs"
    refs.mkdir()
    (refs / "main").write_text("f" * 40)  # another commit, which is not in the cache
    write_base_name(adapter, "someone/small", REVISION)
    assert torch.equal(load_weights(adapter, torch.float32).lm_head.weight, model.lm_head.weight)


def test_a_tensor_of_another_shape_is_named_in_the_error(tmp_path):
    model, tokenizer = make_model_and_tokenizer()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    changed = change_tensor(tmp_path, lambda tensor: tensor[:-1].contiguous())
    with pytest.raises(InputError, match=rf"{re.escape(changed)}: expected shape"):
        load_model(tmp_path)


def test_a_model_is_named_so_that_another_machine_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_reference(tmp_path / "models/base", "someone/small", REVISION)
    assert read_model_name("models/base") == ("someone/small", REVISION)
    assert read_model_name("models/other") == ("models/other", None)
