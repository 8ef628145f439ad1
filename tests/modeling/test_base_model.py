"""models/base from a local folder or a GGUF file: the same weights, or an error of one line."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from alloy.core.files import InputError, hash_path
from alloy.modeling.base_model import make_base_model
from alloy.modeling.model_folder import load_context_length, load_model, load_tokenizer, read_origin
from alloy.modeling.settings import Checkpoint
from model_families import build_model
from model_files import wide_model, write_gguf, write_model
from tiny_model import make_model_and_tokenizer

OUT = Path("models/base")
TEXTS = ["What colour is the  12 door?", "\n\n3. don't <|im_end|> x", "é 鍵"]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


def read_error(**model) -> str:
    """Return the error of a model that is refused; no files may be left."""
    with pytest.raises(InputError) as caught:
        make_base_model(Checkpoint(**model), OUT)
    assert not OUT.exists()
    assert not OUT.parent.exists() or not list(OUT.parent.iterdir())
    (line,) = str(caught.value).splitlines()
    return line


def edit_file(file: Path, **values) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


# A folder.


def test_a_folder_is_copied_with_its_origin_and_its_hash(project):
    write_model(project / "given")
    report = make_base_model(Checkpoint(path="given"), OUT)
    loaded, loaded_tokenizer = load_model(OUT)
    model, tokenizer = make_model_and_tokenizer()
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert [loaded_tokenizer(text)["input_ids"] for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]
    assert report == {"path": "given", "sha256": hash_path(project / "given")}
    assert read_origin(OUT) == {"source": "path", "name": "given", "sha256": report["sha256"]}


def test_only_the_files_that_the_hub_would_give_are_copied(project):
    folder = write_model(project / "given")
    before = make_base_model(Checkpoint(path="given"), OUT)
    (folder / "pytorch_model.bin").write_bytes(b"\x80")
    (folder / ".git").mkdir()
    (folder / ".git/config.json").write_text("{}")
    assert make_base_model(Checkpoint(path="given"), OUT) == before
    assert not (OUT / "pytorch_model.bin").exists() and not (OUT / ".git").exists()


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def test_weights_that_are_not_numbers_are_refused(project):
    folder = write_model(project / "given")
    change_weights(folder, lambda tensors: tensors["model.norm.weight"].fill_(math.nan))
    line = read_error(path="given")
    assert line.startswith("model.path: given: ") and "model.norm.weight" in line and "NaN" in line


@pytest.mark.parametrize("name", ["model.layers.7.mlp.up_proj.weight", "model.layers.0.self_attn.q_proj.lora_A.weight"])
def test_weights_of_more_layers_and_of_an_adapter_are_refused(project, name):
    folder = write_model(project / "given")
    change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(2, 2)}))
    assert read_error(path="given").startswith(f"model.path: given: {name}: ")


def test_weights_that_the_language_model_does_not_use_are_no_error(project):
    folder = write_model(project / "given")
    name = "vision_tower.encoder.layers.30.mlp.weight"
    change_weights(folder, lambda tensors: tensors.update({name: torch.zeros(2, 2)}))
    assert "path" in make_base_model(Checkpoint(path="given"), OUT)


def test_a_tokenizer_whose_unknown_token_ends_turns_is_refused(project):
    folder = write_model(project / "given")
    file = folder / "tokenizer.json"
    state = json.loads(file.read_text())
    state["model"]["unk_token"] = "<|im_end|>"
    state["pre_tokenizer"] = {"type": "WhitespaceSplit"}  # text is not split into bytes, so some letters are unknown
    file.write_text(json.dumps(state))
    assert "control token '<|im_end|>'" in read_error(path="given")


def test_a_copy_does_not_change_with_its_original(project):
    folder = write_model(project / "given")
    make_base_model(Checkpoint(path="given"), OUT)
    before = hash_path(OUT / "model.safetensors")
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(b"\0")
    assert hash_path(OUT / "model.safetensors") == before


def test_an_earlier_base_is_replaced_completely(project):
    write_model(project / "given")
    OUT.mkdir(parents=True)
    (OUT / "hub.json").write_text("{}")
    make_base_model(Checkpoint(path="given"), OUT)
    assert not (OUT / "hub.json").exists()
    assert [path.name for path in OUT.parent.iterdir()] == ["base"]


def test_a_relative_path_is_found_from_dvcs_copy_of_the_project(project, monkeypatch):
    write_model(project / "given")
    monkeypatch.setenv("DVC_ROOT", str(project))
    (project / "copy").mkdir()
    monkeypatch.chdir(project / "copy")
    make_base_model(Checkpoint(path="given"), OUT)
    assert (project / "copy" / OUT / "config.json").is_file()


def test_a_pinned_folder_is_accepted_only_if_unchanged(project):
    folder = write_model(project / "given")
    pinned = make_base_model(Checkpoint(path="given"), OUT)["sha256"]
    make_base_model(Checkpoint(path="given", sha256=pinned), OUT)
    shutil.rmtree(OUT.parent)
    edit_file(folder / "generation_config.json", temperature=0.5)
    line = read_error(path="given", sha256=pinned)
    assert line.startswith("model.path: given: ")
    assert pinned in line and hash_path(folder) in line


def remove_config(folder: Path) -> None:
    (folder / "config.json").unlink()


def leave_an_adapter(folder: Path) -> None:
    remove_config(folder)
    (folder / "adapter_config.json").write_text("{}")


def remove_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def leave_pickled_weights(folder: Path) -> None:
    remove_weights(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80")


def cut_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])


def lose_a_shard(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def lose_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def grow_the_config(folder: Path) -> None:
    edit_file(folder / "config.json", intermediate_size=128)


def name_an_unknown_architecture(folder: Path) -> None:
    edit_file(folder / "config.json", model_type="mamba9")


def name_no_architecture(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))


def want_remote_code(folder: Path) -> None:
    edit_file(folder / "config.json", model_type="ours", auto_map={"AutoModelForCausalLM": "modeling_ours.Ours"})


def be_an_encoder(folder: Path) -> None:
    edit_file(folder / "config.json", model_type="vit")


def remove_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def break_template(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('only systems speak') }}")


def remove_tokenizer(folder: Path) -> None:
    for file in folder.glob("token*"):
        file.unlink()


BROKEN = {
    remove_config: "no config.json",
    leave_an_adapter: "adapter",
    remove_weights: "safetensors",
    leave_pickled_weights: "pytorch_model.bin",
    cut_weights: "model.safetensors",
    lose_a_shard: "model-00002-of-00002.safetensors",
    lose_a_tensor: "model.layers.1.mlp.up_proj.weight",
    grow_the_config: "[32, 128]",
    name_an_unknown_architecture: "'mamba9'",
    name_no_architecture: "model_type",
    want_remote_code: "'ours'",
    be_an_encoder: "'vit'",
    remove_template: "chat_template.jinja",
    break_template: "only systems speak",
    remove_tokenizer: "tokenizer.json",
}


CHATML = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
# Values in the files of a model that its libraries do not accept: the file, its new keys or text, a part of the error.
BAD_VALUES = {
    "a type": ("config.json", {"hidden_size": "x"}, "'hidden_size'"),
    "no heads": ("config.json", {"num_attention_heads": 0}, "num_attention_heads"),
    "no words": ("config.json", {"vocab_size": 0}, "vocab_size"),
    "no context": ("config.json", {"max_position_embeddings": 0}, "max_position_embeddings"),
    "unknown layers": ("config.json", {"layer_types": ["full_attention", "new_attention"]}, "`layer_types`"),
    "too few layers": ("config.json", {"layer_types": ["full_attention"]}, "`layer_types`"),
    "an unknown dtype": ("config.json", {"dtype": "float99"}, "float99"),
    "a number as quantization": ("config.json", {"quantization_config": 5}, "'int'"),
    "a quantization without groups": (
        "config.json",
        {"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized"}},
        "config_groups",
    ),
    "an index without a map": ("model.safetensors.index.json", '{"weight_map": null}', "weight_map"),
    "an index as a list": ("model.safetensors.index.json", "[1]", "weight_map"),
    "a list of files": ("model.safetensors.index.json", '{"weight_map": ["a"]}', "weight_map"),
    "a list of settings": ("tokenizer_config.json", "[]", "'list'"),
    "a word as stop token": ("generation_config.json", {"eos_token_id": "<|im_end|>"}, "eos_token_id"),
    "a list as generation config": ("generation_config.json", "[1]", "'list'"),
    "a template with an error": ("chat_template.jinja", "{{ 1 / 0 }}", "division by zero"),
    "a template with an error in answers": (
        "chat_template.jinja",
        CHATML + PROMPT + "{% if messages[-1]['role'] == 'assistant' %}{{ 1 / 0 }}{% endif %}",
        "division by zero",
    ),
    "a template with a huge loop": ("chat_template.jinja", "{% for i in range(10**12) %}{% endfor %}", "MAX_RANGE"),
    "a template without generation prompt": ("chat_template.jinja", CHATML, "'<|im_start|>assistant'"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a library for quantized weights
@pytest.mark.parametrize(("name", "change", "named"), BAD_VALUES.values(), ids=BAD_VALUES)
def test_a_value_that_a_library_does_not_accept_is_an_error_of_one_line_with_the_file(project, name, change, named):
    file = write_model(project / "given") / name
    if isinstance(change, dict):
        edit_file(file, **change)
    else:
        file.write_text(change)
    line = read_error(path="given")
    assert line.startswith("model.path: given: ")
    assert name in line and named in line


def test_chat_templates_without_a_default_are_an_error_of_one_line(project):
    folder = write_model(project / "given")
    (folder / "chat_template.jinja").unlink()
    edit_file(folder / "tokenizer_config.json", chat_template=[{"name": "tool_use", "template": CHATML + PROMPT}])
    line = read_error(path="given")
    assert line.startswith("model.path: given: ") and "tokenizer_config.json" in line and "default" in line


def add_token(folder: Path, token: str, *, special: bool) -> None:
    """Add a token to the tokenizer; its id is the first that the model has no embedding for."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([token], special_tokens=special)
    tokenizer.save_pretrained(folder)


def test_a_template_with_almost_endless_loops_is_an_error_of_one_line(project, monkeypatch):
    monkeypatch.setattr("alloy.modeling.check_folder.TEMPLATE_SECONDS", 0.2)
    loop = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    (write_model(project / "given") / "chat_template.jinja").write_text(CHATML + loop + PROMPT)
    line = read_error(path="given")
    assert line.startswith("model.path: given: chat_template.jinja")
    assert "0.2 seconds" in line


def test_a_template_with_a_huge_constant_is_an_error_of_one_line(project, monkeypatch):
    """Jinja computes constants itself, and ignores exceptions while it does so."""
    monkeypatch.setattr("alloy.modeling.check_folder.TEMPLATE_SECONDS", 0.2)
    (write_model(project / "given") / "chat_template.jinja").write_text(
        CHATML + "{% set x = 7 ** 400000 ** 1 % 7 %}" * 40 + PROMPT
    )
    assert "0.2 seconds" in read_error(path="given")


@pytest.mark.parametrize(("special", "in_template"), [(False, False), (True, True)], ids=["a word", "in the template"])
def test_a_tokenizer_with_more_tokens_than_the_model_has_embeddings_is_refused(project, special, in_template):
    folder = write_model(project / "given")
    add_token(folder, "<new>", special=special)
    if in_template:
        template = folder / "chat_template.jinja"
        template.write_text(template.read_text().replace("<|im_end|>", "<new>"))
    line = read_error(path="given")
    assert line.startswith("model.path: given: tokenizer.json: ")
    assert "'<new>' is 320," in line


def test_special_tokens_that_are_not_used_need_no_embedding(project):
    """As in Gemma 3 1B, whose tokenizer has a token for images."""
    add_token(write_model(project / "given"), "<image>", special=True)
    make_base_model(Checkpoint(path="given"), OUT)
    assert len(load_tokenizer(OUT)) == 321


@pytest.mark.parametrize(
    "name", ["mistral3", "qwen2_5_vl", "qwen3_vl", "llava", "internvl", "smolvlm", "lfm2_vl", "qwen2_audio"]
)
def test_a_multimodal_model_whose_text_part_cannot_be_loaded_alone_is_refused_for_that_reason(project, name):
    edit_file(write_model(project / "given") / "config.json", model_type=name)
    line = read_error(path="given")
    assert line.startswith(f"model.path: given: '{name}' ")
    assert "multimodal" in line and "text-only" in line


@pytest.mark.parametrize("harm", BROKEN, ids=lambda harm: harm.__name__)
def test_an_unusable_folder_is_an_error_of_one_line_with_the_reason(project, harm):
    harm(write_model(project / "given"))
    line = read_error(path="given")
    assert line.startswith("model.path: given: ")
    assert BROKEN[harm] in line


def test_a_file_or_nothing_instead_of_a_folder_is_an_error_of_one_line(project):
    (project / "a.gguf").write_bytes(b"GGUF")
    assert "`gguf: a.gguf`" in read_error(path="a.gguf")
    assert read_error(path="nothing").startswith("model.path: nothing: no such folder")


# A GGUF file.


@pytest.mark.parametrize("kind", [gguf.GGMLQuantizationType.Q4_1, gguf.GGMLQuantizationType.Q8_0])
def test_a_gguf_file_becomes_a_folder_with_its_dequantized_values(project, kind):
    write_gguf(project / "a.gguf", kind)
    report = make_base_model(Checkpoint(gguf="a.gguf"), OUT)
    loaded, loaded_tokenizer = load_model(OUT)
    found = loaded.state_dict()
    for name, tensor in wide_model().state_dict().items():
        values = tensor.numpy()
        expected = gguf.dequantize(gguf.quantize(values, kind), kind) if values.ndim == 2 else values
        assert torch.equal(found[name], torch.from_numpy(expected)), name
    _, tokenizer = make_model_and_tokenizer()
    assert loaded_tokenizer.chat_template == tokenizer.chat_template
    assert loaded_tokenizer.model_max_length == loaded.config.max_position_embeddings
    assert (loaded_tokenizer.eos_token, loaded_tokenizer.pad_token) == (tokenizer.eos_token, tokenizer.pad_token)
    assert report == {"gguf": "a.gguf", "sha256": hash_path(project / "a.gguf")}
    assert read_origin(OUT) == {"source": "gguf", "name": "a.gguf", "sha256": report["sha256"]}
    assert "quantization_config" not in json.loads((OUT / "config.json").read_text())


def test_the_tokenizer_of_a_gguf_file_splits_digits_like_the_original(project):
    _, tokenizer = make_model_and_tokenizer()
    write_gguf(project / "a.gguf")
    make_base_model(Checkpoint(gguf="a.gguf"), OUT)
    loaded_tokenizer = load_tokenizer(OUT)
    assert [loaded_tokenizer(text)["input_ids"] for text in TEXTS] == [tokenizer(text)["input_ids"] for text in TEXTS]


def test_the_same_gguf_file_makes_the_same_folder_twice(project):
    write_gguf(project / "a.gguf")
    make_base_model(Checkpoint(gguf="a.gguf"), OUT)
    before = hash_path(OUT)
    make_base_model(Checkpoint(gguf="a.gguf"), OUT)
    assert hash_path(OUT) == before


def test_a_gguf_file_with_another_hash_is_refused(project):
    write_gguf(project / "a.gguf")
    line = read_error(gguf="a.gguf", sha256="0" * 64)
    assert line.startswith("model.gguf: a.gguf: ")
    assert hash_path(project / "a.gguf") in line


BAD_GGUF = {
    "an unknown way to split text": ({"split": "no-such-split"}, "'no-such-split'"),
    "no chat template": ({"template": False}, "tokenizer.chat_template"),
    "an unknown architecture": ({"architecture": "mamba9"}, "mamba9"),
    "a tensor too few": ({"without": "blk.1.ffn_up.weight"}, "model.layers.1.mlp.up_proj.weight"),
    "heads of a size that is not read": ({"head_dim": 16}, "model.layers.1.self_attn"),
}


@pytest.mark.parametrize(("given", "named"), BAD_GGUF.values(), ids=BAD_GGUF)
def test_an_unusable_gguf_file_is_an_error_of_one_line_with_the_reason(project, given, named):
    write_gguf(project / "a.gguf", **given)
    line = read_error(gguf="a.gguf")
    assert line.startswith("model.gguf: a.gguf: ")
    assert named in line


@pytest.mark.parametrize("kept", [0, 3, 20, 3000, -200])
def test_an_incomplete_gguf_file_is_an_error_of_one_line(project, kept):
    whole = write_gguf(project / "a.gguf").read_bytes()
    (project / "a.gguf").write_bytes(whole[:kept])
    assert read_error(gguf="a.gguf").startswith("model.gguf: a.gguf: ")


def test_a_part_a_folder_or_nothing_instead_of_a_gguf_file_is_an_error_of_one_line(project):
    write_gguf(project / "a-00001-of-00002.gguf")
    write_model(project / "given")
    assert "--merge" in read_error(gguf="a-00001-of-00002.gguf")
    assert "`path: given`" in read_error(gguf="given")
    assert read_error(gguf="b.gguf").startswith("model.gguf: b.gguf: no such file")


# The token that ends a turn.


def stop_at_another_token(folder: Path) -> Path:
    """Set only <|endoftext|> (0) as end token of a model whose turns end in <|im_end|> (2), as in Qwen3-*-Base."""
    edit_file(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    for name in ("generation_config.json", "config.json"):
        edit_file(folder / name, eos_token_id=0)
    return folder


@pytest.mark.parametrize("generation", [True, False], ids=["with a generation config", "without"])
def test_the_end_of_a_turn_becomes_a_stop_token_of_the_base(project, generation):
    folder = stop_at_another_token(write_model(project / "given"))
    if not generation:
        (folder / "generation_config.json").unlink()
    report = make_base_model(Checkpoint(path="given"), OUT)
    assert report["stop_token"] == read_origin(OUT)["stop_token"] == "<|im_end|>"
    loaded, loaded_tokenizer = load_model(OUT)
    assert loaded.generation_config.eos_token_id == [2, 0]
    assert loaded_tokenizer.eos_token == "<|im_end|>"
    assert json.loads((folder / "tokenizer_config.json").read_text())["eos_token"] == "<|endoftext|>"
    shutil.rmtree(folder)
    shutil.copytree(OUT, folder)  # generation already stops there, so the folder is not changed
    assert "stop_token" not in make_base_model(Checkpoint(path="given"), OUT)


def test_a_model_of_the_hub_that_must_be_changed_is_copied(project, monkeypatch):
    folder = stop_at_another_token(write_model(project / "hub/snapshot"))
    monkeypatch.setattr("alloy.modeling.find_model.download_snapshot", lambda *_: str(folder))
    model = {"hub": "nobody/small-base", "revision": "0" * 40}
    assert make_base_model(Checkpoint(**model), OUT).items() >= {**model, "stop_token": "<|im_end|>"}.items()
    assert not (OUT / "hub.json").exists()
    assert load_tokenizer(OUT).eos_token_id == 2
    named = {"source": "hub", "name": model["hub"], "revision": model["revision"]}
    assert read_origin(OUT) == {**named, "stop_token": "<|im_end|>"}


def write_template(folder: Path, end: str, after: str = "") -> None:
    """Write a template whose turns end in `end`, and the whole chat in `after`."""
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}" + end + "\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% else %}" + after + "{% endif %}"
    )


def test_a_template_without_a_control_token_after_answers_is_refused(project):
    write_template(write_model(project / "given"), end="")
    line = read_error(path="given")
    assert line.startswith("model.path: given: ")
    assert "control token" in line


def test_a_template_that_writes_the_end_of_text_needs_the_end_of_turn_in_the_generation_config(project):
    """As Phi-3's: <|end|> after each turn, and the tokenizer's eos_token after the last."""
    folder = stop_at_another_token(write_model(project / "given"))
    write_template(folder, end="<|im_end|>", after="{{ eos_token }}")
    edit_file(folder / "generation_config.json", eos_token_id=[0, 2])
    assert "stop_token" not in make_base_model(Checkpoint(path="given"), OUT)


def test_a_template_that_renders_answered_prompts_differently_is_refused(project):
    folder = write_model(project / "given")
    text = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(text.replace("<|im_start|>assistant", "<|im_start|>model"))
    assert "generation prompt" in read_error(path="given")


def test_an_unfit_model_is_refused_before_anything_is_written(project):
    def refuse(config) -> None:
        raise InputError(f"train.max_length: beyond {config.max_position_embeddings}")

    write_model(project / "given")
    write_gguf(project / "a.gguf")
    for source in ({"path": "given"}, {"gguf": "a.gguf"}):
        with pytest.raises(InputError, match=r"^train\.max_length: beyond 256$"):
            make_base_model(Checkpoint(**source), OUT, refuse)
        assert not OUT.exists()


def test_a_model_with_a_vision_tower_can_be_a_base(project):
    model = build_model("Gemma 3 with vision")
    model.generation_config.eos_token_id = 2
    model.save_pretrained(project / "given")
    make_model_and_tokenizer()[1].save_pretrained(project / "given")
    make_base_model(Checkpoint(path="given"), OUT)
    loaded, _ = load_model(OUT)
    assert torch.equal(loaded.lm_head.weight, model.lm_head.weight)
    assert load_context_length(OUT) == 256
